// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pools stay intact when processes are killed and processors go offline.

use std::fs;
use std::path::Path;

use mmap_pool::{MappingBuilder, Pool, Protection, Seals};
use mmap_pool_tests::child::{in_child, Child};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::observe::{put_word, word};
use mmap_pool_tests::subject::{page_size, PAGES};
use mmap_pool_tests::Failure;
use rustix::fs::{fallocate, FallocateFlags};

use crate::strategies::LAZY;

#[test]
fn a_process_killed_while_faulting_leaves_a_working_pool() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    for round in 0..20 {
        let mut child = Child::fork(|link| loop {
            let shared = MappingBuilder::shared().map(&pool)?;
            let private = MappingBuilder::private().map(&pool)?;
            for page in 0..PAGES {
                put_word(&shared, page * page_size() + 8, "child")?;
                put_word(&private, page * page_size(), "private")?;
            }
            pool.write_all_at(b"written", 16)?;
            link.say("a round")?;
        })
        .unwrap();
        // Alive, and busy from now on until it is killed.
        child.link.hear().unwrap();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(
            status.terminating_signal(),
            Some(libc::SIGKILL),
            "round {round}"
        );

        assert_eq!(pool.info().unwrap().nr_resident_pages, PAGES as u64);
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        for page in 0..PAGES {
            assert_eq!(
                word(&mapping, page * page_size()).unwrap(),
                "0",
                "a private write came through"
            );
            assert_eq!(word(&mapping, page * page_size() + 8).unwrap(), "child");
        }
    }
}

#[test]
fn four_processes_killed_while_allocating_leave_a_working_pool() {
    let _module = FreshModule::load("size_mb=64").unwrap();
    let mut children = Vec::new();
    for _ in 0..4 {
        children.push(
            Child::fork(|link| {
                let mapping = MappingBuilder::shared().map(&Pool::open()?)?;
                link.say("ready")?;
                for page in 0..mapping.len() / page_size() {
                    put_word(&mapping, page * page_size(), "here")?;
                }
                // In case all are faster than the killer.
                link.hear()
            })
            .unwrap(),
        );
    }
    for child in &mut children {
        child.link.hear().unwrap();
    }
    for child in children {
        child.kill().unwrap();
        assert_eq!(
            child.wait().unwrap().terminating_signal(),
            Some(libc::SIGKILL)
        );
    }

    // What is there is what was allocated, and the rest can still be.
    let pool = Pool::open().unwrap();
    let info = pool.info().unwrap();
    assert_eq!(info.nr_resident_pages, info.nr_allocated_pages);
    let mapping = MappingBuilder::shared().populate().map(&pool).unwrap();
    assert_eq!(
        pool.info().unwrap().nr_resident_pages,
        (mapping.len() / page_size()) as u64
    );
}

#[test]
fn a_child_that_exits_without_unmapping_holds_nothing() {
    let _module = fresh_module();
    in_child(|| {
        let pool = Pool::open()?;
        let mapping = MappingBuilder::shared().populate().map(&pool)?;
        put_word(&mapping, 0, "left")?;
        std::mem::forget((pool, mapping));
        Ok(String::new())
    })
    .unwrap();
    let mut bytes = [0; 4];
    Pool::open().unwrap().read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"left");
}

/// What a process does on its pool when it is killed.
type Operation = fn(&Pool) -> Result<(), Failure>;

const OPERATIONS: [(&str, Operation); 9] = [
    ("create", |_| {
        drop(Pool::create().create()?);
        Ok(())
    }),
    ("map", |pool| {
        drop(MappingBuilder::shared().populate().map(pool)?);
        Ok(())
    }),
    ("copy", |pool| {
        let mapping = MappingBuilder::private().map(pool)?;
        (0..mapping.len() / page_size())
            .try_for_each(|page| put_word(&mapping, page * page_size(), "mine"))
    }),
    ("write", |pool| {
        Ok(pool.write_all_at(&vec![1; 40 * page_size()], 100)?)
    }),
    ("read", |pool| {
        Ok(pool.read_exact_at(&mut vec![0; 40 * page_size()], 100)?)
    }),
    ("resize", |pool| {
        pool.resize(page_size() as u64 + 1)?;
        Ok(pool.resize(SIZE)?)
    }),
    ("punch", |pool| {
        pool.prefault(0, SIZE)?;
        Ok(pool.punch(100, SIZE - 200)?)
    }),
    ("fallocate", |pool| {
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(pool, FallocateFlags::empty(), 0, SIZE)?;
        Ok(fallocate(pool, punch, 0, SIZE)?)
    }),
    ("seal and revoke", |_| {
        let pool = Pool::create().size_bytes(SIZE).create()?;
        let mut mapping = MappingBuilder::shared().populate().map(&pool)?;
        pool.seal(Seals::SHRINK)?;
        mapping.protect(Protection::READ)?;
        Ok(pool.revoke()?)
    }),
];

/// Bytes of those pools: some huge pages, and some single pages.
const SIZE: u64 = (5 << 20) + 12345;

#[test]
fn a_process_killed_in_any_operation_leaves_nothing_of_it() {
    let _module = fresh_module();
    for (name, operation) in OPERATIONS {
        for strategy in LAZY {
            for _ in 0..5 {
                let mut child = Child::fork(|link| {
                    let pool = Pool::create()
                        .strategy(strategy)
                        .size_bytes(SIZE)
                        .create()?;
                    link.say("begins")?;
                    loop {
                        operation(&pool)?;
                    }
                })
                .unwrap();
                child.link.hear().unwrap();
                // A different moment each time.
                std::thread::yield_now();
                child.kill().unwrap();
                let status = child.wait().unwrap();
                assert_eq!(status.terminating_signal(), Some(libc::SIGKILL), "{name}");
                let stat = Pool::open().unwrap().stat().unwrap();
                assert_eq!((stat.nr_pools, stat.nr_resident_pages), (1, 0), "{name}");
            }
        }
    }
}

#[test]
fn processors_go_and_come_while_pools_are_used() {
    const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";
    assert!(Path::new(ONLINE).exists(), "a guest of two processors");

    let _module = FreshModule::load("size_mb=1 reserve_mb=4").unwrap();
    let mut children: Vec<_> = LAZY
        .into_iter()
        .map(|strategy| {
            Child::fork(move |link| {
                for number in 0_u64.. {
                    let pool = Pool::create()
                        .strategy(strategy)
                        .size_bytes(SIZE)
                        .create()?;
                    let mapping = MappingBuilder::shared().populate().map(&pool)?;
                    let text = number.to_string();
                    for page in 0..mapping.len() / page_size() {
                        put_word(&mapping, page * page_size(), &text)?;
                    }
                    for page in 0..mapping.len() / page_size() {
                        assert_eq!(word(&mapping, page * page_size())?, text);
                    }
                    if number == 0 {
                        link.say("begins")?;
                    }
                }
                Ok(String::new())
            })
            .unwrap()
        })
        .collect();
    for child in &mut children {
        child.link.hear().unwrap();
    }
    for _ in 0..10 {
        fs::write(ONLINE, "0").unwrap();
        fs::write(ONLINE, "1").unwrap();
    }
    for child in children {
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.terminating_signal(), Some(libc::SIGKILL));
    }
    let stat = Pool::open().unwrap().stat().unwrap();
    assert_eq!((stat.nr_pools, stat.nr_resident_pages), (1, 0));
}
