// SPDX-License-Identifier: MIT OR GPL-2.0

//! Permissions of the ioctls that concern all pools. They need the node, open for writing if they
//! change something.

use std::fs;
use std::os::fd::AsRawFd;

use mmap_pool::{uapi, Errno, MappingBuilder, OpenOptions, Pool, Protection, Seals, Strategy};
use mmap_pool_tests::child::{in_child, Child};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::observe::{checked, put_word, verdict, word};
use mmap_pool_tests::signal::{touch, Access};
use mmap_pool_tests::subject::{page_size, size};
use mmap_pool_tests::{fail, Answer};
use rustix::fs::{fallocate, fchmod, fchown, ftruncate, FallocateFlags, Mode};
use rustix::process::Uid;

const NOBODY: u32 = 65534;

#[test]
fn a_created_pool_knows_neither_create_nor_stat() {
    let _module = fresh_module();
    let pool = Pool::create().size_bytes(size() as u64).create().unwrap();
    let path = format!("/proc/self/fd/{}", pool.as_raw_fd());
    let readable = OpenOptions::new().write(false).open_path(path).unwrap();
    for pool in [&pool, &readable] {
        let create = Pool::create().create_through(pool);
        assert_eq!(create.unwrap_err().errno(), Errno::NOTTY);
        assert_eq!(pool.stat().unwrap_err().errno(), Errno::NOTTY);
        assert_eq!(pool.info().unwrap().size_bytes, size() as u64);
        // Whether there is an argument or not.
        for number in [uapi::CREATE, uapi::STAT] {
            // SAFETY: A refused number touches no argument, and there is none at this address.
            let answer = checked(unsafe { libc::ioctl(pool.as_raw_fd(), number.into(), 0_usize) });
            assert_eq!(answer, Err(Errno::NOTTY));
        }
    }
    let stat = Pool::open().unwrap().stat().unwrap();
    assert_eq!(stat.nr_pools, 2);
}

#[test]
fn creating_needs_the_node_open_for_writing_and_asking_does_not() {
    let _module = fresh_module();
    let readable = OpenOptions::new().write(false).open().unwrap();
    let create = Pool::create().create_through(&readable);
    assert_eq!(create.unwrap_err().errno(), Errno::BADF);
    assert_eq!(readable.stat().unwrap().nr_pools, 1);
    let writable = Pool::open().unwrap();
    drop(Pool::create().create_through(&writable).unwrap());
}

#[test]
fn a_process_that_was_handed_one_pool_takes_no_memory_beyond_its_size() {
    // Room for the pool and a little more.
    let _module = FreshModule::load("size_mb=1 limit_mb=2").unwrap();
    let pool = Pool::create().size_bytes(size() as u64).create().unwrap();
    pool.seal(Seals::GROW | Seals::SEAL).unwrap();
    let answer = in_child(|| {
        become_nobody()?;
        let node = Pool::open().map_err(|error| error.errno());
        let created = take_all_through(&pool)?;
        let end = size() as u64;
        let [kept, grown] = [FallocateFlags::KEEP_SIZE, FallocateFlags::empty()]
            .map(|flags| verdict(&fallocate(&pool, flags, end, page_size() as u64)));
        let written = rustix::io::pwrite(&pool, b"more", end);
        let truncated = ftruncate(&pool, end + 1);
        let mapping = MappingBuilder::shared().map(&pool)?;
        for offset in (0..mapping.len()).step_by(page_size()) {
            put_word(&mapping, offset, "all")?;
        }
        Ok(format!(
            "node {}, {created}, fallocate {kept} {grown}, write {}, ftruncate {}",
            verdict(&node),
            verdict(&written),
            verdict(&truncated)
        ))
    })
    .unwrap();
    assert_eq!(
        answer,
        "node EACCES, CREATE ENOTTY, fallocate EPERM EPERM, write EPERM, ftruncate EPERM"
    );
    // The default pool gets its own.
    let default = Pool::open().unwrap();
    default.prefault(0, size() as u64).unwrap();
    assert_eq!(default.stat().unwrap().nr_refused_pages, 0);
}

#[test]
fn what_one_user_takes_root_takes_back() {
    for (strategy, revoked) in [(Strategy::Huge, "ok"), (Strategy::Eager, "EPERM")] {
        let module = FreshModule::load("size_mb=1 limit_mb=2").unwrap();
        let default = Pool::open().unwrap();
        let mut child = Child::fork(|link| {
            become_nobody()?;
            let pool = Pool::create().strategy(strategy).size_bytes(2 << 20);
            let pool = pool.create_through(&default)?;
            pool.prefault(0, 2 << 20)?;
            link.say(&pool.as_raw_fd().to_string())?;
            link.hear()
        })
        .unwrap();
        let fd = child.link.hear().unwrap();

        let mapping = MappingBuilder::shared().map(&default).unwrap();
        let written = rustix::io::pwrite(&default, b"root", 0);
        assert_eq!(written, Err(Errno::NOSPC));
        let touched = touch(mapping.as_ptr(), 0, Access::Write).unwrap();
        assert_eq!(touched, "SIGBUS BUS_ADRERR at +0x0");

        let process = format!("/proc/{}", child.raw_pid().unwrap());
        let info = fs::read_to_string(format!("{process}/fdinfo/{fd}")).unwrap();
        assert!(info.contains("pool-resident-pages:\t512\n"), "{info}");
        let taken = Pool::open_path(format!("{process}/fd/{fd}")).unwrap();
        let answer = taken.revoke().map_err(|error| error.errno());
        assert_eq!(verdict(&answer), revoked, "{strategy:?}");
        drop(taken);
        if revoked == "ok" {
            assert_eq!(default.stat().unwrap().nr_resident_pages, 0);
        }
        // All pages go with the last process that has the pool. Dropping it kills the child.
        drop(child);
        put_word(&mapping, 0, "root").unwrap();
        assert_eq!(default.stat().unwrap().nr_resident_pages, 1);
        drop((mapping, default));
        module.unload().unwrap();
    }
}

#[test]
fn what_a_stranger_does_with_a_descriptor_it_was_handed() {
    let _module = fresh_module();
    let pool = Pool::create().size_bytes(size() as u64).create().unwrap();
    let path = format!("/proc/self/fd/{}", pool.as_raw_fd());
    let readable = OpenOptions::new().write(false).open_path(path).unwrap();
    assert_eq!(
        done_by_stranger(&readable),
        "write EBADF, ftruncate EINVAL, fallocate EBADF, map writable EACCES, \
         RESIZE EBADF, PUNCH EBADF, PREFAULT EBADF, SEAL EBADF; \
         open for writing EACCES, REVOKE EPERM, CREATE ENOTTY, STAT ENOTTY, \
         fchmod EPERM, fchown EPERM, lease EACCES; INFO ok, 0 resident, then 1"
    );
    pool.punch(0, size() as u64).unwrap();
    assert_eq!(
        done_by_stranger(&pool),
        "write ok, ftruncate ok, fallocate ok, map writable ok, \
         RESIZE ok, PUNCH ok, PREFAULT ok, SEAL ok; \
         open for writing EACCES, REVOKE EPERM, CREATE ENOTTY, STAT ENOTTY, \
         fchmod EPERM, fchown EPERM, lease EACCES; INFO ok, 1 resident, then 2"
    );
}

/// The results of a process of another user that has a pool from another process.
fn done_by_stranger(pool: &Pool) -> String {
    in_child(|| {
        become_nobody()?;
        let of_pool = |answer: mmap_pool::Result<()>| answer.map_err(|error| error.errno());
        let mut said = Vec::new();
        let mut say = |what: &str, answer: Result<(), Errno>| {
            said.push(format!("{what} {}", verdict(&answer)));
        };
        let (fd, len) = (pool.as_raw_fd(), size() as u64);
        say("write", rustix::io::pwrite(pool, b"all", 0).map(drop));
        say("ftruncate", ftruncate(pool, len));
        let flags = FallocateFlags::empty();
        say("fallocate", fallocate(pool, flags, 0, page_size() as u64));
        let writable = MappingBuilder::shared().map(pool).map(drop);
        say("map writable", of_pool(writable));
        say("RESIZE", of_pool(pool.resize(len)));
        say("PUNCH", of_pool(pool.punch(0, page_size() as u64)));
        say("PREFAULT", of_pool(pool.prefault(0, 1)));
        say("SEAL", of_pool(pool.seal(Seals::SHRINK)));
        let changes = said.join(", ");

        let mut said = Vec::new();
        let mut say = |what: &str, answer: Result<(), Errno>| {
            said.push(format!("{what} {}", verdict(&answer)));
        };
        let anew = Pool::open_path(format!("/proc/self/fd/{fd}")).map(drop);
        say("open for writing", of_pool(anew));
        say("REVOKE", of_pool(pool.revoke()));
        let created = Pool::create().create_through(pool).map(drop);
        say("CREATE", of_pool(created));
        say("STAT", of_pool(pool.stat().map(drop)));
        say("fchmod", fchmod(pool, Mode::RWXU | Mode::RWXO));
        let me = Uid::from_raw(NOBODY);
        say("fchown", fchown(pool, Some(me), None));
        // SAFETY: A plain request.
        let lease = unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) };
        say("lease", checked(lease).map(drop));
        let others = said.join(", ");

        let info = pool.info().map(|info| info.nr_resident_pages);
        let before = info.as_ref().copied().unwrap_or_default();
        // An untouched page is allocated for a reader, too.
        let mapping = MappingBuilder::shared()
            .protection(Protection::READ)
            .map(pool)?;
        word(&mapping, size() - page_size())?;
        Ok(format!(
            "{changes}; {others}; INFO {}, {before} resident, then {}",
            verdict(&info.map_err(|error| error.errno())),
            pool.info()?.nr_resident_pages
        ))
    })
    .unwrap()
}

fn become_nobody() -> Result<(), Errno> {
    // SAFETY: A plain request, in a process of its own.
    checked(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }).map(drop)
}

/// Creates a pool through `pool`, and takes all the memory that the limit allows for it.
fn take_all_through(pool: &Pool) -> Answer {
    let created = match Pool::create().size_bytes(1 << 40).create_through(pool) {
        Ok(created) => created,
        Err(error) => return Ok(format!("CREATE {}", verdict::<()>(&Err(error.errno())))),
    };
    let Err(error) = created.prefault(0, 1 << 40) else {
        fail!("there is no limit");
    };
    let nr_pages = created.info()?.nr_resident_pages;
    Ok(format!(
        "CREATE ok, {nr_pages} pages, then {}",
        error.errno()
    ))
}
