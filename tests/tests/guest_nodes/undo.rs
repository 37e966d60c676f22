// SPDX-License-Identifier: MIT OR GPL-2.0

//! A call allocates many pages and fails while the kernel splits its folios.

use std::fs;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use mmap_pool::{Errno, MappingBuilder, Pool, Strategy};
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::observe::{mincore, vmstat};
use mmap_pool_tests::subject::page_size;
use rustix::fs::{fallocate, FallocateFlags};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 8 * MIB;
/// The first huge page begins before this.
fn offset() -> u64 {
    5 * page_size() as u64
}

/// Returns the answers of 50 calls of `what`, while another thread has the kernel split the pool's folios.
fn while_split<T>(pool: &Pool, what: impl Fn() -> T) -> Vec<T> {
    let has_ended = AtomicBool::new(false);
    let nr_split = || vmstat().unwrap()["thp_split_page"];
    let before = nr_split();
    let end = SIZE / page_size() as u64;
    let text = format!(
        "/proc/self/fd/{},0x0,{end:#x},0",
        pool.as_file().as_raw_fd()
    );
    let answers = thread::scope(|scope| {
        scope.spawn(|| {
            while !has_ended.load(Relaxed) {
                fs::write("/sys/kernel/debug/split_huge_pages", &text).unwrap();
            }
        });
        let answers = (0..50).map(|_| what()).collect();
        has_ended.store(true, Relaxed);
        answers
    });
    assert!(nr_split() > before);
    answers
}

fn nr_resident(pool: &Pool) -> u64 {
    pool.info().map_or(u64::MAX, |info| info.nr_resident_pages)
}

#[test]
fn a_failing_fallocate_gives_back_all_of_a_huge_page_that_was_split() {
    let _module = FreshModule::load("size_mb=1 limit_mb=8 reserve_mb=0").unwrap();
    let pool = Pool::create().strategy(Strategy::Huge);
    let pool = pool.size_bytes(SIZE).create().unwrap();
    let answers = while_split(&pool, || {
        let failed = fallocate(&pool, FallocateFlags::empty(), offset(), SIZE);
        (failed, nr_resident(&pool))
    });
    assert_eq!(answers, vec![(Err(Errno::NOSPC), 0); 50]);
}

#[test]
fn all_of_a_huge_page_that_was_split_is_in_memory() {
    let _module = FreshModule::load("size_mb=1 limit_mb=16 reserve_mb=0").unwrap();
    let pool = Pool::create().strategy(Strategy::Huge);
    let pool = pool.size_bytes(SIZE).create().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let answers = while_split(&pool, || {
        let done = fallocate(&pool, FallocateFlags::empty(), offset(), SIZE - offset());
        let nr_in_memory = mincore(&mapping).map_or(0, |pages| pages.len() as u64);
        let nr_resident = nr_resident(&pool);
        (
            done.and(pool.punch(0, SIZE).map_err(|error| error.errno())),
            nr_in_memory,
            nr_resident,
        )
    });
    for (done, nr_in_memory, nr_resident) in answers {
        assert_eq!((done, nr_in_memory), (Ok(()), nr_resident));
    }
}
