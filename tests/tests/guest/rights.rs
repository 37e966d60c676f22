// SPDX-License-Identifier: MIT OR GPL-2.0

//! Who may do what concerns all pools: those who can open the node, for writing if it changes
//! something.

use std::os::fd::AsRawFd;

use mmap_pool::{uapi, Errno, MappingBuilder, OpenOptions, Pool, Seals};
use mmap_pool_tests::child::in_child;
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::observe::{checked, put_word, verdict};
use mmap_pool_tests::subject::{PAGE, SIZE};
use mmap_pool_tests::{fail, Answer};
use rustix::fs::{fallocate, ftruncate, FallocateFlags};

const NOBODY: u32 = 65534;

#[test]
fn a_created_pool_knows_neither_create_nor_stat() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let pool = Pool::create().size_bytes(SIZE as u64).create().unwrap();
    let path = format!("/proc/self/fd/{}", pool.as_raw_fd());
    let readable = OpenOptions::new().write(false).open_path(path).unwrap();
    for pool in [&pool, &readable] {
        let create = Pool::create().create_through(pool);
        assert_eq!(create.unwrap_err().errno(), Errno::NOTTY);
        assert_eq!(pool.stat().unwrap_err().errno(), Errno::NOTTY);
        assert_eq!(pool.info().unwrap().size_bytes, SIZE as u64);
        // Whether there is an argument or not.
        for number in [uapi::CREATE, uapi::STAT] {
            // SAFETY: A refused number touches no argument, and there is none at this address.
            let answer = checked(unsafe { libc::ioctl(pool.as_raw_fd(), number.into(), 0_usize) });
            assert_eq!(answer, Err(Errno::NOTTY));
        }
    }
    let stat = Pool::open().unwrap().stat().unwrap();
    assert_eq!(stat.nr_pools, 2);
    drop((pool, readable));
    module.unload().unwrap();
}

#[test]
fn creating_needs_the_node_open_for_writing_and_asking_does_not() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let readable = OpenOptions::new().write(false).open().unwrap();
    let create = Pool::create().create_through(&readable);
    assert_eq!(create.unwrap_err().errno(), Errno::BADF);
    assert_eq!(readable.stat().unwrap().nr_pools, 1);
    let writable = Pool::open().unwrap();
    drop(Pool::create().create_through(&writable).unwrap());
    drop((readable, writable));
    module.unload().unwrap();
}

#[test]
fn a_process_that_was_handed_one_pool_takes_no_memory_beyond_its_size() {
    // Room for the pool and a little more.
    let module = FreshModule::load("size_mb=1 limit_mb=2").unwrap();
    let pool = Pool::create().size_bytes(SIZE as u64).create().unwrap();
    pool.seal(Seals::GROW | Seals::SEAL).unwrap();
    let answer = in_child(|| {
        // SAFETY: A plain request, in a process of its own.
        checked(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) })?;
        let node = Pool::open().map_err(|error| error.errno());
        let created = take_all_through(&pool)?;
        let end = SIZE as u64;
        let [kept, grown] = [FallocateFlags::KEEP_SIZE, FallocateFlags::empty()]
            .map(|flags| verdict(&fallocate(&pool, flags, end, PAGE as u64)));
        let written = rustix::io::pwrite(&pool, b"more", end);
        let truncated = ftruncate(&pool, end + 1);
        let mapping = MappingBuilder::shared().map(&pool)?;
        for offset in (0..mapping.len()).step_by(PAGE) {
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
    default.prefault(0, SIZE as u64).unwrap();
    assert_eq!(default.stat().unwrap().nr_refused_pages, 0);
    drop((pool, default));
    module.unload().unwrap();
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
