// SPDX-License-Identifier: MIT OR GPL-2.0

//! What only pools have: lifetime and names of created pools, revocation, the limit of all pools,
//! permissions.

use std::fs;
use std::os::fd::AsRawFd;

use mmap_pool::{Errno, MappingBuilder, Pool, Seals, Strategy};
use mmap_pool_tests::cgroup::Cgroup;
use mmap_pool_tests::child::{in_child, Child};
use mmap_pool_tests::machine::{pages_of_mib, place};
use mmap_pool_tests::module::{self, fresh_module, FreshModule};
use mmap_pool_tests::observe::{put_word, totals, verdict, word};
use mmap_pool_tests::scenarios::descriptors::become_another_user;
use mmap_pool_tests::signal::{touch, Access};
use mmap_pool_tests::subject::{page_size, size};

#[test]
fn a_pool_lives_as_long_as_a_descriptor_or_a_mapping() {
    let _module = fresh_module();
    let default = Pool::open().unwrap();
    let counts = || {
        let stat = default.stat().unwrap();
        (stat.nr_pools, stat.nr_resident_pages)
    };
    assert_eq!(counts(), (1, 0));
    let pool = created();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    put_word(&mapping, 0, "hello").unwrap();
    assert_eq!(counts(), (2, 1));
    drop(pool);
    put_word(&mapping, page_size(), "still").unwrap();
    assert_eq!(
        (word(&mapping, 0).unwrap().as_str(), counts()),
        ("hello", (2, 2))
    );
    // In a child, the parent's mapping gone.
    let mut child = Child::fork(|link| {
        link.say("ready")?;
        link.hear()?;
        word(&mapping, page_size())
    })
    .unwrap();
    child.link.hear().unwrap();
    drop(mapping);
    assert_eq!(counts(), (2, 2));
    child.link.say("look").unwrap();
    assert_eq!(child.finish().unwrap(), "still");
    assert_eq!(counts(), (1, 0));
}

#[test]
fn a_created_pool_keeps_the_module_and_nothing_else_does() {
    let _module = fresh_module();
    let mapping = MappingBuilder::shared().map(&created()).unwrap();
    assert_eq!(module::try_unload(), Err(Errno::AGAIN));
    put_word(&mapping, 0, "there").unwrap();
}

#[test]
fn a_new_descriptor_is_closed_by_exec() {
    let _module = fresh_module();
    let pool = created();
    let flags = rustix::io::fcntl_getfd(&pool).unwrap();
    assert_eq!(flags, rustix::io::FdFlags::CLOEXEC);
}

#[test]
fn proc_shows_the_name_and_escapes_it() {
    let _module = fresh_module();
    for (name, shown) in [
        ("frames", "frames"),
        ("", ""),
        ("two\nlines", "two\\nlines"),
        ("../etc/passwd", "../etc/passwd"),
    ] {
        let pool = Pool::create().name(name).size_bytes(4096).create().unwrap();
        let fd = pool.as_raw_fd();
        let target = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
        let expected = format!("/mmap_pool:{shown} (deleted)");
        assert_eq!(target.to_str().unwrap(), expected);
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let line = format!("pool-name:\t{shown}");
        assert!(info.lines().any(|found| found == line), "{info}");
    }
}

#[test]
fn a_revoked_pool_is_gone_for_everybody() {
    let _module = fresh_module();
    let (pool, other) = (created(), created());
    let shared = MappingBuilder::shared().map(&pool).unwrap();
    let private = MappingBuilder::private().map(&pool).unwrap();
    let others = MappingBuilder::shared().map(&other).unwrap();
    put_word(&shared, 0, "data").unwrap();
    put_word(&private, page_size(), "mine").unwrap();
    put_word(&others, 0, "others").unwrap();
    pool.revoke().unwrap();

    assert_eq!(pool.info().unwrap().nr_resident_pages, 0);
    for (mapping, page) in [(&shared, 0), (&private, 1), (&shared, 9)] {
        let seen = touch(mapping.as_ptr(), page * page_size(), Access::Read).unwrap();
        assert_eq!(
            seen,
            format!("SIGBUS BUS_ADRERR at +{:#x}", page * page_size())
        );
    }
    let gone = Err(Errno::NODEV);
    let kernel = |error: std::io::Error| Errno::from_io_error(&error).unwrap();
    assert_eq!(pool.read_at(&mut [0], 0).map_err(kernel), gone.map(|()| 0));
    assert_eq!(pool.write_at(&[0], 0).map_err(kernel), gone.map(|()| 0));
    assert_eq!(pool.as_file().set_len(size() as u64).map_err(kernel), gone);
    let library = |result: mmap_pool::Result<()>| result.map_err(|error| error.errno());
    assert_eq!(library(pool.resize(size() as u64)), gone);
    assert_eq!(library(pool.punch(0, 4096)), gone);
    assert_eq!(library(pool.prefault(0, 4096)), gone);
    assert_eq!(library(pool.seal(Seals::GROW)), gone);
    assert_eq!(library(pool.seal(Seals::from_bits(1 << 20))), gone);
    let builder = MappingBuilder::shared().len(page_size());
    assert_eq!(library(builder.map(&pool).map(drop)), gone);

    assert_eq!(word(&others, 0).unwrap(), "others");
}

#[test]
fn only_the_owner_and_root_revoke_a_pool() {
    let _module = fresh_module();
    let (node, roots) = (Pool::open().unwrap(), created());
    let answers = in_child(|| {
        become_another_user()?;
        let own = Pool::create().size_bytes(4096).create_through(&node)?;
        Ok(format!(
            "{} {}",
            errno_of(&roots.revoke()),
            errno_of(&own.revoke())
        ))
    })
    .unwrap();
    assert_eq!(answers, "EPERM ok");
    assert!(!roots.info().unwrap().is_revoked());
}

#[test]
fn users_cannot_hurt_each_other_on_the_default_pool() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    pool.write_all_at(b"kept", 0).unwrap();
    let answers = in_child(|| {
        become_another_user()?;
        Ok([
            pool.resize(4096),
            pool.resize(2 * size() as u64),
            pool.seal(Seals::WRITE),
            pool.revoke(),
            // These do what a write could do as well.
            pool.punch(size() as u64 / 2, 4096),
            pool.prefault(0, 4096),
        ]
        .map(|result| errno_of(&result))
        .join(" "))
    })
    .unwrap();
    assert_eq!(answers, "EPERM EPERM EPERM EPERM ok ok");
    let info = pool.info().unwrap();
    assert_eq!((info.size_bytes, info.seals), (size() as u64, 0));
}

#[test]
fn another_user_cannot_open_the_node() {
    let _module = fresh_module();
    let answer = in_child(|| {
        become_another_user()?;
        Ok(errno_of(&Pool::open()))
    })
    .unwrap();
    assert_eq!(answer, "EACCES");
}

#[test]
fn the_limit_is_enospc_for_calls_and_sigbus_for_accesses() {
    let _module = FreshModule::load("size_mb=1 limit_mb=2").unwrap();
    let (pool, other) = (created(), created());
    pool.resize(4 << 20).unwrap();
    pool.prefault(0, 2 << 20).unwrap();
    let full = totals().unwrap();
    assert_eq!(
        (full.nr_resident_pages, full.nr_refused_pages),
        (pages_of_mib(2), 0)
    );

    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let seen = touch(mapping.as_ptr(), 2 << 20, Access::Write).unwrap();
    assert_eq!(seen, format!("SIGBUS BUS_ADRERR at +{}", place(2 << 20)));
    assert_eq!(pool.prefault(2 << 20, 1).unwrap_err().errno(), Errno::NOSPC);
    let kernel = |error: std::io::Error| Errno::from_io_error(&error).unwrap();
    assert_eq!(other.write_at(b"no", 0).map_err(kernel), Err(Errno::NOSPC));
    let allocated = rustix::fs::fallocate(&other, rustix::fs::FallocateFlags::empty(), 0, 4096);
    assert_eq!(allocated, Err(Errno::NOSPC));
    // What is there can be used, and a hole can be read.
    put_word(&mapping, 0, "there").unwrap();
    assert_eq!(other.read_at(&mut [0xff], 0).unwrap(), 1);
    // Two children touched the page.
    let refused = totals().unwrap();
    assert_eq!(
        (refused.nr_resident_pages, refused.nr_refused_pages),
        (pages_of_mib(2), 5)
    );

    // A page that is given back can be had by another pool.
    pool.punch(0, 4096).unwrap();
    other.write_all_at(b"now", 0).unwrap();
    drop((mapping, pool));
    assert_eq!(totals().unwrap().nr_resident_pages, 1);
}

#[test]
fn a_failed_fallocate_keeps_size_and_bytes_and_none_of_its_pages() {
    let _module = FreshModule::load("size_mb=1 limit_mb=1").unwrap();
    let pool = created();
    pool.write_all_at(b"kept", 0).unwrap();
    let flags = rustix::fs::FallocateFlags::empty();
    assert_eq!(
        rustix::fs::fallocate(&pool, flags, 0, 4 << 20),
        Err(Errno::NOSPC)
    );
    let info = pool.info().unwrap();
    assert_eq!(
        (info.size_bytes, info.nr_resident_pages),
        (size() as u64, 1)
    );
    let mut bytes = [0; 4];
    pool.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"kept");
}

#[test]
fn pages_past_the_end_go_with_the_pool() {
    let _module = fresh_module();
    let (default, pool) = (Pool::open().unwrap(), created());
    let keep = rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&pool, keep, size() as u64, 16 * page_size() as u64).unwrap();
    assert_eq!(default.stat().unwrap().nr_resident_pages, 16);
    // Growing shows zeros, shrinking frees.
    pool.resize(2 * size() as u64).unwrap();
    let mut bytes = vec![0xff; page_size()];
    pool.read_exact_at(&mut bytes, size() as u64).unwrap();
    assert_eq!(bytes, vec![0; page_size()]);
    pool.resize(size() as u64).unwrap();
    assert_eq!(default.stat().unwrap().nr_resident_pages, 0);
}

#[test]
fn a_bad_limit_is_einval_and_leaves_nothing_behind() {
    let without = module::without_module().unwrap();
    for limit in ["-1", "abc", "99999999"] {
        let parameters = format!("limit_mb={limit}");
        let error = module::load(&parameters).unwrap_err();
        assert_eq!(error, module::LoadError(Errno::INVAL), "{parameters}");
        assert!(!module::is_loaded().unwrap());
    }
    drop(without);
}

#[test]
fn memory_is_charged_to_who_touches_it() {
    let _module = fresh_module();
    let cgroup = Cgroup::new("touched").unwrap();
    let created = Strategy::ALL[..3].iter().map(|&strategy| {
        let pool = Pool::create().size_bytes(size() as u64);
        pool.strategy(strategy).create().unwrap()
    });
    for pool in created.chain([Pool::open().unwrap()]) {
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let mut child = Child::fork(|link| {
            cgroup.enter()?;
            for page in 0..size() / page_size() {
                put_word(&mapping, page * page_size(), "mine")?;
            }
            link.say("touched")?;
            link.hear()
        })
        .unwrap();
        child.link.hear().unwrap();
        assert_eq!(cgroup.file_bytes().unwrap(), size() as u64);
        // The pages stay, and so does the charge, until they are given back.
        child.link.say("leave").unwrap();
        child.finish().unwrap();
        assert_eq!(cgroup.file_bytes().unwrap(), size() as u64);
        pool.punch(0, size() as u64).unwrap();
        assert_eq!(cgroup.file_bytes().unwrap(), 0);
    }
}

#[test]
fn a_memory_cgroup_at_its_limit_loses_the_process_that_touches() {
    let module = FreshModule::load("size_mb=8").unwrap();
    let cgroup = Cgroup::new("limited").unwrap();
    cgroup.limit(4 << 20).unwrap();
    let pool = Pool::open().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let child = Child::fork(|_| {
        cgroup.enter()?;
        for page in 0..mapping.len() / page_size() {
            put_word(&mapping, page * page_size(), "mine")?;
        }
        Ok(String::new())
    })
    .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.terminating_signal(), Some(libc::SIGKILL));
    // Others are not concerned.
    put_word(&mapping, mapping.len() - 8, "ours").unwrap();
    drop((mapping, pool));
    module.unload().unwrap();
    assert_eq!(cgroup.file_bytes().unwrap(), 0);
}

#[test]
fn a_new_seal_leaves_the_others() {
    let _module = fresh_module();
    let pool = created();
    pool.seal(Seals::GROW).unwrap();
    pool.seal(Seals::SHRINK).unwrap();
    let seals = pool.seals().unwrap();
    assert_eq!(seals, Seals::GROW | Seals::SHRINK);
    let sizes = [2 * size() as u64, page_size() as u64];
    let resized = sizes.map(|size| errno_of(&pool.resize(size)));
    assert_eq!(resized, ["EPERM", "EPERM"]);
}

#[test]
fn a_read_from_within_a_hole_ends_with_the_hole() {
    let _module = fresh_module();
    for strategy in [Strategy::Page, Strategy::Auto] {
        let pool = Pool::create().strategy(strategy);
        let pool = pool.size_bytes(size() as u64).create().unwrap();
        pool.write_all_at(&vec![0xff; page_size()], page_size() as u64)
            .unwrap();
        let mut bytes = vec![0x5e; 2 * page_size()];
        pool.read_exact_at(&mut bytes, 100).unwrap();
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        assert_eq!(zeros, page_size() - 100, "{strategy:?}");
        assert!(bytes[zeros..][..page_size()]
            .iter()
            .all(|&byte| byte == 0xff));
        assert_eq!(bytes[zeros + page_size()..], [0; 100]);
    }
}

fn created() -> Pool {
    let pool = Pool::create().name("created").size_bytes(size() as u64);
    pool.create().unwrap()
}

fn errno_of<T>(result: &mmap_pool::Result<T>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => verdict::<()>(&Err(error.errno())),
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn ioctls_of_32_bit_programs_work_too() {
    let _module = fresh_module();
    let pool = created();
    // The system calls of 32-bit programs take 32-bit addresses.
    let zero = fs::File::open("/dev/zero").unwrap();
    // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
    let low = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            page_size(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_32BIT,
            zero.as_raw_fd(),
            0,
        )
    };
    assert_ne!(low, libc::MAP_FAILED);
    // SAFETY: The range was mapped just now, with this protection.
    let low = unsafe {
        mmap_pool::Mapping::from_raw_parts(
            low.cast(),
            page_size(),
            mmap_pool::Protection::READ_WRITE,
        )
    };
    let size = 3 * page_size() as u64;
    low.write_at(&size.to_ne_bytes(), 0).unwrap();
    assert_eq!(
        compat_ioctl(&pool, mmap_pool::uapi::RESIZE, low.as_ptr()),
        0
    );
    assert_eq!(pool.info().unwrap().size_bytes, size);
    assert_eq!(compat_ioctl(&pool, mmap_pool::uapi::INFO, low.as_ptr()), 0);
    let mut told = [0; 8];
    low.read_at(&mut told, 0).unwrap();
    assert_eq!(u64::from_ne_bytes(told), size);
    assert_eq!(
        compat_ioctl(&pool, mmap_pool::uapi::INFO, std::ptr::null_mut()),
        -libc::EFAULT
    );
    assert_eq!(
        compat_ioctl(&pool, mmap_pool::uapi::INFO + 0x40, low.as_ptr()),
        -libc::ENOTTY
    );
}

/// `ioctl(2)` as 32-bit programs call it: its result, or an error number below 0.
#[cfg(target_arch = "x86_64")]
fn compat_ioctl(pool: &Pool, number: u32, argument: *mut u8) -> i32 {
    const IOCTL: i32 = 54;
    let mut result = IOCTL;
    let argument = u32::try_from(argument.addr()).unwrap();
    // SAFETY: A system call with an argument as large as the number says, or none. rbx is the
    // compiler's own, so it is kept.
    unsafe {
        std::arch::asm!(
            "xchg {fd:r}, rbx",
            "int 0x80",
            "xchg {fd:r}, rbx",
            fd = inout(reg) i64::from(pool.as_raw_fd()) => _,
            inout("eax") result,
            in("ecx") number,
            in("edx") argument,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}
