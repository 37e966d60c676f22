// SPDX-License-Identifier: MIT OR GPL-2.0

//! Processes that die at any moment leave the pool as it should be.

use mmap_pool::{MappingBuilder, Pool};
use mmap_pool_tests::child::{in_child, Child};
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::observe::{put_word, word};
use mmap_pool_tests::subject::{PAGE, PAGES};

#[test]
fn a_process_killed_while_faulting_leaves_a_working_pool() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let pool = Pool::open().unwrap();
    for round in 0..20 {
        let mut child = Child::fork(|link| loop {
            let shared = MappingBuilder::shared().map(&pool)?;
            let private = MappingBuilder::private().map(&pool)?;
            for page in 0..PAGES {
                put_word(&shared, page * PAGE + 8, "child")?;
                put_word(&private, page * PAGE, "private")?;
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
                word(&mapping, page * PAGE).unwrap(),
                "0",
                "a private write came through"
            );
            assert_eq!(word(&mapping, page * PAGE + 8).unwrap(), "child");
        }
    }
    drop(pool);
    module.unload().unwrap();
}

#[test]
fn four_processes_killed_while_allocating_leave_a_working_pool() {
    let module = FreshModule::load("size_mb=64").unwrap();
    let mut children = Vec::new();
    for _ in 0..4 {
        children.push(
            Child::fork(|link| {
                let mapping = MappingBuilder::shared().map(&Pool::open()?)?;
                link.say("ready")?;
                for page in 0..mapping.len() / PAGE {
                    put_word(&mapping, page * PAGE, "here")?;
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
        (mapping.len() / PAGE) as u64
    );
    drop((mapping, pool));
    module.unload().unwrap();
}

#[test]
fn a_child_that_exits_without_unmapping_holds_nothing() {
    let module = FreshModule::load("size_mb=1").unwrap();
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
    module.unload().unwrap();
}
