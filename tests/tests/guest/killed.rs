// SPDX-License-Identifier: MIT OR GPL-2.0

//! A long operation ends early when its process is killed.

use std::thread;

use mmap_pool::{Pool, Strategy};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::subject::page_size;
use mmap_pool_tests::Failure;
use rustix::fs::{fallocate, FallocateFlags};

/// Bytes of a pool: thousands of folios, one after the other.
const SIZE: usize = 64 << 20;
fn pages() -> u64 {
    (SIZE / page_size()) as u64
}

/// The kill can come too late for an operation, but not for so many.
const NR_ATTEMPTS: usize = 20;

#[test]
fn a_killed_process_does_not_finish_its_prefault() {
    is_cut_short(Strategy::Page, |pool| Ok(pool.prefault(0, SIZE as u64)?));
}

#[test]
fn a_killed_process_does_not_finish_its_fallocate() {
    is_cut_short(Strategy::Page, |pool| {
        Ok(fallocate(pool, FallocateFlags::empty(), 0, SIZE as u64)?)
    });
}

#[test]
fn a_killed_process_does_not_finish_its_write() {
    let bytes = vec![0; SIZE];
    is_cut_short(Strategy::Page, |pool| match pool.write_at(&bytes, 0)? {
        SIZE => Ok(()),
        written => Err(format!("{written} bytes written").into()),
    });
}

/// The allocated pages go back: an eager pool grows by all pages or not at all.
#[test]
fn a_killed_process_does_not_finish_growing_an_eager_pool() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let mut was_cut_short = false;
    for _ in 0..NR_ATTEMPTS {
        let pool = create(Strategy::Eager, page_size());
        kill_after_the_first_page(&pool, 1, |pool| Ok(pool.resize(SIZE as u64)?));
        was_cut_short = pool.info().unwrap().size_bytes < SIZE as u64;
        if was_cut_short {
            assert_eq!(nr_resident(&pool), 1);
            break;
        }
    }
    assert!(was_cut_short, "{NR_ATTEMPTS} times, the pool has grown");
}

fn create(strategy: Strategy, size_bytes: usize) -> Pool {
    let pool = Pool::create().strategy(strategy);
    pool.size_bytes(size_bytes as u64).create().unwrap()
}

fn nr_resident(pool: &Pool) -> u64 {
    pool.info().unwrap().nr_resident_pages
}

/// Kills a process as soon as its `operation` has allocated something beyond `nr_pages` pages.
fn kill_after_the_first_page(
    pool: &Pool,
    nr_pages: u64,
    operation: impl Fn(&Pool) -> Result<(), Failure>,
) {
    let child = Child::fork(|_| {
        operation(pool)?;
        Ok(String::new())
    })
    .unwrap();
    while nr_resident(pool) == nr_pages {
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Kills a process while `operation`, which allocates all pages of a pool, is under way, and expects
/// fewer pages.
fn is_cut_short(strategy: Strategy, operation: impl Fn(&Pool) -> Result<(), Failure>) {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();

    let whole = create(strategy, SIZE);
    operation(&whole).unwrap();
    assert_eq!(nr_resident(&whole), pages());
    drop(whole);

    let mut was_cut_short = false;
    for _ in 0..NR_ATTEMPTS {
        let pool = create(strategy, SIZE);
        kill_after_the_first_page(&pool, 0, &operation);
        was_cut_short = nr_resident(&pool) < pages();
        if was_cut_short {
            break;
        }
    }
    assert!(was_cut_short, "{NR_ATTEMPTS} times, all pages are there");
}
