// SPDX-License-Identifier: MIT OR GPL-2.0

//! Operations at the same time. The locks of a pool give them an order.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use mmap_pool::{Errno, MappingBuilder, Pool, Strategy};
use mmap_pool_tests::machine::{HUGE, WINDOW};
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::observe::{put_word, symbol, word};
use mmap_pool_tests::subject::page_size;
use rustix::fs::{fallocate, FallocateFlags};

use crate::strategies::LAZY;

/// More threads than processors, so that some are preempted midway.
const NR_WORKERS: usize = 3;

#[test]
fn no_page_is_added_past_an_end_that_has_moved() {
    const NR_ROUNDS: usize = 2_000;

    let _module = fresh_module();
    let pool = Pool::create()
        .size_bytes(page_size() as u64)
        .create()
        .unwrap();
    let (is_over, nr_done) = (
        AtomicBool::new(false),
        [const { AtomicU64::new(0) }; NR_WORKERS],
    );
    thread::scope(|scope| {
        for done in &nr_done {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    // While the pool is that large.
                    let _ = pool.prefault(0, page_size() as u64);
                    done.fetch_add(1, Relaxed);
                    thread::yield_now();
                }
            });
        }
        let done = || nr_done.each_ref().map(|done| done.load(Relaxed));
        let mut lost_in = None;
        for round in 0..NR_ROUNDS {
            pool.resize(page_size() as u64).unwrap();
            pool.resize(0).unwrap();
            // What had begun before is done.
            let before = done();
            while done()
                .iter()
                .zip(before)
                .any(|(now, before)| *now == before)
            {
                thread::yield_now();
            }
            if pool.info().unwrap().nr_resident_pages > 0 {
                lost_in = Some(round);
                break;
            }
        }
        is_over.store(true, Relaxed);
        assert_eq!(lost_in, None, "the round with a page in an empty pool");
    });
}

/// A hole from the midst of a huge page to another place in it. The kernel splits the page at both. If
/// somebody uses the second part meanwhile, that part cannot be split.
#[test]
fn a_hole_within_a_huge_page_takes_nothing_beside_it() {
    const NR_ROUNDS: u8 = 200;
    /// Of 512.
    const HOLE: (usize, usize) = (100, 200);

    let _module = fresh_module();
    let len = HUGE;
    let [start, end] =
        [HOLE.0, HOLE.1].map(|part| (len * part / 512).next_multiple_of(page_size()));
    let pool = Pool::create().strategy(Strategy::Huge);
    let pool = pool.size_bytes(len as u64).create().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    for round in 1..=NR_ROUNDS {
        pool.punch(0, len as u64).unwrap();
        for offset in (0..len).step_by(page_size()) {
            mapping.atomic_u8(offset).unwrap().store(round, Relaxed);
        }
        let is_over = AtomicBool::new(false);
        let used = thread::scope(|scope| {
            let workers: Vec<_> = (0..NR_WORKERS)
                .map(|worker| {
                    let (is_over, mapping, pool) = (&is_over, &mapping, &pool);
                    let offset = end + worker * page_size();
                    scope.spawn(move || {
                        let byte = mapping.atomic_u8(offset + 1).unwrap();
                        let mut count = 0_u8;
                        while !is_over.load(Relaxed) {
                            count = count.wrapping_add(1);
                            byte.store(count, Relaxed);
                            let _ = pool.read_at(&mut [0; 8], offset as u64);
                        }
                        (offset, count)
                    })
                })
                .collect();
            pool.punch(start as u64, (end - start) as u64).unwrap();
            is_over.store(true, Relaxed);
            let used = workers.into_iter().map(|worker| worker.join().unwrap());
            used.collect::<Vec<_>>()
        });
        for (offset, count) in used {
            let found = mapping.atomic_u8(offset + 1).unwrap().load(Relaxed);
            assert_eq!(found, count, "round {round}: byte {offset}");
        }
        for offset in (0..len).step_by(page_size()) {
            let expected = if (start..end).contains(&offset) {
                0
            } else {
                round
            };
            let found = mapping.atomic_u8(offset).unwrap().load(Relaxed);
            assert_eq!(found, expected, "round {round}: byte {offset}");
        }
    }
}

#[test]
fn a_hole_takes_nothing_beside_it() {
    const NR_ROUNDS: usize = 300;
    let len = 16 * WINDOW;
    let last = len - page_size();

    let _module = fresh_module();
    let pool = Pool::create().strategy(Strategy::Around);
    let pool = pool.size_bytes(len as u64).create().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let touch_within = || {
        for window in (WINDOW..len - WINDOW).step_by(WINDOW) {
            mapping.atomic_u8(window).unwrap().store(1, Relaxed);
        }
    };
    let is_over = AtomicBool::new(false);
    let mut lost_in = None;
    thread::scope(|scope| {
        // A hole from the midst of the first window to that of the last, which takes long, as there
        // are new pages within it all the time.
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                pool.punch(WINDOW as u64 / 2, (len - WINDOW) as u64)
                    .unwrap();
            }
        });
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                touch_within();
            }
        });
        for round in 0..NR_ROUNDS {
            pool.punch(0, len as u64).unwrap();
            touch_within();
            // Each allocates a whole window.
            put_word(&mapping, 0, "kept").unwrap();
            put_word(&mapping, last, "kept").unwrap();
            touch_within();
            if [0, last].map(|offset| word(&mapping, offset).unwrap()) != ["kept", "kept"] {
                lost_in = Some(round);
                break;
            }
        }
        is_over.store(true, Relaxed);
    });
    assert_eq!(lost_in, None, "the round with a word that was lost");
}

#[test]
fn a_revoked_pool_is_gone_before_its_bytes_are() {
    const LEN: usize = 64 << 20;

    let _module = fresh_module();
    for strategy in LAZY {
        let pool = Pool::create().strategy(strategy);
        let pool = pool.size_bytes(LEN as u64).create().unwrap();
        pool.prefault(0, LEN as u64).unwrap();
        let (read, mapped, is_revoked) = thread::scope(|scope| {
            scope.spawn(|| pool.revoke().unwrap());
            while pool.as_file().metadata().unwrap().len() > 0 {}
            let read = pool.read_at(&mut [0], 0);
            let mapped = MappingBuilder::shared().len(page_size()).map(&pool);
            (read, mapped, pool.info().unwrap().is_revoked())
        });
        let read = read.map_err(|error| Errno::from_io_error(&error).unwrap());
        assert_eq!(read, Err(Errno::NODEV), "{strategy:?}");
        let mapped = mapped.map_or_else(|error| symbol(error.errno()), |_| "ok".into());
        assert_eq!(
            (mapped.as_str(), is_revoked),
            ("ENODEV", true),
            "{strategy:?}"
        );
    }
}

#[test]
fn no_page_is_added_to_a_revoked_pool() {
    const NR_ROUNDS: usize = 20;
    const LEN: u64 = 16 << 20;

    let _module = fresh_module();
    for round in 0..NR_ROUNDS {
        let strategy = LAZY[round % LAZY.len()];
        let pool = Pool::create().strategy(strategy);
        let pool = pool.size_bytes(page_size() as u64).create().unwrap();
        let nr_pages = || pool.info().unwrap().nr_resident_pages;
        let allocated = thread::scope(|scope| {
            let allocator = scope.spawn(|| fallocate(&pool, FallocateFlags::empty(), 0, LEN));
            while nr_pages() == 0 {
                thread::yield_now();
            }
            pool.revoke().unwrap();
            allocator.join().unwrap()
        });
        assert!(
            matches!(allocated, Ok(()) | Err(Errno::NODEV)),
            "{allocated:?}"
        );
        assert_eq!(nr_pages(), 0, "round {round}");
    }
}

#[test]
fn a_call_beside_revoking_invents_no_bytes_and_no_end() {
    const NR_ROUNDS: usize = 200;
    let len = 64 * page_size();

    let _module = fresh_module();
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap();
    for round in 0..NR_ROUNDS {
        let strategy = LAZY[round % LAZY.len()];
        let pool = Pool::create().strategy(strategy);
        let pool = pool.size_bytes(len as u64).create().unwrap();
        pool.write_all_at(&vec![0xff; len], 0).unwrap();
        let is_begun = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| loop {
                let mut bytes = vec![0x5e; len];
                let read = pool.read_at(&mut bytes, 0).map_err(errno);
                is_begun.store(true, Relaxed);
                match read {
                    Ok(len) => {
                        assert!(len > 0, "an end that was never there");
                        assert!(bytes[..len].iter().all(|&byte| byte == 0xff), "new bytes");
                    }
                    Err(errno) => break errno,
                }
            });
            let allocator = scope.spawn(|| loop {
                if let Err(error) = pool.prefault(0, len as u64) {
                    break error.errno();
                }
            });
            while !is_begun.load(Relaxed) {
                thread::yield_now();
            }
            pool.revoke().unwrap();
            assert_eq!(reader.join().unwrap(), Errno::NODEV, "round {round}");
            assert_eq!(allocator.join().unwrap(), Errno::NODEV, "round {round}");
        });
    }
}
