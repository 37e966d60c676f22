// SPDX-License-Identifier: MIT OR GPL-2.0

//! Which pages of a tracked pool were written.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mmap_pool::{Errno, MappingBuilder, Pool};

use mmap_pool_tests::slow_page::SlowPage;

use crate::on_each;
use crate::store::{backed, builder, drop_caches, map, page_size, Store};

on_each! {
    pages_are_told_exactly_and_once;
    any_mapping_and_any_call_counts;
    what_was_written_back_is_told_still;
    a_write_of_nothing_marks_no_page;
    ranges_are_checked;
    no_store_is_missed_by_a_reader_beside_it;
    a_pinned_page_is_told_until_it_is_released;
}

const NR_PAGES: usize = 1000;

fn tracked(store: &Store) -> Pool {
    let object = store.object(NR_PAGES * page_size());
    builder(&object).track_writes().create().unwrap()
}

fn take(pool: &Pool) -> Vec<u64> {
    pool.take_written(0, (NR_PAGES * page_size()) as u64)
        .unwrap()
}

fn pages_are_told_exactly_and_once(store: &Store) {
    let pool = tracked(store);
    let mapping = map(&pool, NR_PAGES * page_size());
    assert!(take(&pool).is_empty());
    for pages in [
        vec![0, 1, 63, 64, 65, 127, 999],
        vec![0, 500],
        vec![],
        vec![999],
    ] {
        for &number in &pages {
            let offset = usize::try_from(number).unwrap() * page_size() + 17;
            mapping.write_at(b"new", offset).unwrap();
        }
        // Reading is not writing.
        mapping.read_at(&mut [0; 8], 300 * page_size()).unwrap();
        pool.read_exact_at(&mut [0; 8], 301 * page_size() as u64)
            .unwrap();
        assert_eq!(take(&pool), pages);
    }
    mapping.write_at(b"new", 10 * page_size()).unwrap();
    mapping.write_at(b"new", 200 * page_size()).unwrap();
    let part = |start: usize, nr: usize| {
        pool.take_written((start * page_size()) as u64, (nr * page_size()) as u64)
            .unwrap()
    };
    assert!(part(11, 189).is_empty());
    assert_eq!(part(150, 51), [200]);
    assert_eq!(take(&pool), [10]);
}

/// The source of the write is not mapped.
fn a_write_of_nothing_marks_no_page(store: &Store) {
    let pool = tracked(store);
    pool.read_exact_at(&mut [0; 8], 5 * page_size() as u64)
        .unwrap();
    let offset = libc::off_t::try_from(5 * page_size()).unwrap();
    // SAFETY: The kernel checks the address.
    let written = unsafe { libc::pwrite(pool.as_raw_fd(), ptr::null(), 64, offset) };
    assert_eq!(written, -1);
    assert!(take(&pool).is_empty());
    assert_eq!(pool.backing().unwrap().nr_dirty_pages, 0);
}

fn any_mapping_and_any_call_counts(store: &Store) {
    let pool = tracked(store);
    let first = map(&pool, NR_PAGES * page_size());
    let second = map(&pool, NR_PAGES * page_size());
    first.write_at(b"1", 3 * page_size()).unwrap();
    second.write_at(b"2", 5 * page_size()).unwrap();
    pool.write_all_at(&[3; 10], 8 * page_size() as u64 - 5)
        .unwrap();
    // A private copy is not the pool's.
    let private = MappingBuilder::private()
        .len(64 * page_size())
        .map(&pool)
        .unwrap();
    private.write_at(b"4", 20 * page_size()).unwrap();
    // The kernel writes into a mapping.
    let source = store.path();
    let source = std::fs::File::open(source);
    if let Ok(source) = source {
        // SAFETY: The mapping is writable.
        let done = unsafe {
            use std::os::fd::AsRawFd;
            let address = first.as_ptr().add(30 * page_size()).cast();
            libc::pread(source.as_raw_fd(), address, 10, 0)
        };
        assert_eq!(done, 10);
    }
    assert_eq!(take(&pool), [3, 5, 7, 8, 30]);
}

fn what_was_written_back_is_told_still(store: &Store) {
    let pool = tracked(store);
    let mapping = map(&pool, NR_PAGES * page_size());
    mapping.write_at(b"new", 7 * page_size()).unwrap();
    mapping.flush().unwrap();
    drop_caches();
    mapping.write_at(b"new", 9 * page_size()).unwrap();
    assert_eq!(take(&pool), [7, 9]);
    // The answer keeps what waits to be written back.
    mapping.flush().unwrap();
    let stored = store.stored(9 * page_size(), page_size());
    assert_eq!(stored[..3], *b"new");
}

fn ranges_are_checked(store: &Store) {
    let pool = tracked(store);
    let len = pool.info().unwrap().size_bytes;
    let page = page_size() as u64;
    for (offset, len) in [
        (0, 0),
        (1, page),
        (0, len + 1),
        (len, page),
        (u64::MAX - 4095, page),
    ] {
        let error = pool.take_written(offset, len).unwrap_err();
        assert_eq!(error.errno(), Errno::INVAL, "{offset} {len}");
    }
    assert!(pool.take_written(0, len).unwrap().is_empty());
    drop(pool);
    let object = store.object(page_size());
    let pool = backed(&object);
    let error = pool.take_written(0, page).unwrap_err();
    assert_eq!(error.errno(), Errno::NOTTY);
}

/// A copy is kept up to date with the answers, while another thread stores. In the end they are
/// equal.
fn no_store_is_missed_by_a_reader_beside_it(store: &Store) {
    let pool = tracked(store);
    let mapping = map(&pool, NR_PAGES * page_size());
    let is_over = AtomicBool::new(false);
    let mut copy = vec![0; NR_PAGES * page_size()];
    let mut update = || {
        for number in take(&pool) {
            let start = usize::try_from(number).unwrap() * page_size();
            pool.read_exact_at(&mut copy[start..start + page_size()], start as u64)
                .unwrap();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut state = 1_u64;
            for round in 0..20_000_u64 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let offset = (state >> 33) as usize % (NR_PAGES * page_size() / 8) * 8;
                mapping.write_at(&round.to_le_bytes(), offset).unwrap();
                if round % 5000 == 0 {
                    mapping.flush().unwrap();
                }
            }
            is_over.store(true, Ordering::Release);
        });
        while !is_over.load(Ordering::Acquire) {
            update();
        }
    });
    update();
    let mut bytes = vec![0; NR_PAGES * page_size()];
    pool.read_exact_at(&mut bytes, 0).unwrap();
    let differ: BTreeSet<_> = (0..bytes.len())
        .filter(|&index| bytes[index] != copy[index])
        .map(|index| index / page_size())
        .collect();
    assert!(differ.is_empty(), "{differ:?}");
}

/// A system call has asked for write access to a page, and waits for the bytes.
fn a_pinned_page_is_told_until_it_is_released(store: &Store) {
    let pool = tracked(store);
    let mapping = map(&pool, NR_PAGES * page_size());
    let slow = SlowPage::new().unwrap();
    let source = slow.as_ptr() as usize;
    let target = mapping.as_ptr() as usize + 5 * page_size();
    thread::scope(|scope| {
        let call = scope.spawn(move || {
            let vector = |address| libc::iovec {
                iov_base: address as *mut _,
                iov_len: 64,
            };
            let (from, to) = (vector(source), vector(target));
            // SAFETY: The kernel checks both ranges.
            unsafe { libc::process_vm_writev(libc::getpid(), &from, 1, &to, 1, 0) }
        });
        slow.wait_until_touched().unwrap();
        assert_eq!(take(&pool), [5]);
        assert_eq!(take(&pool), [5]);
        slow.let_come().unwrap();
        assert_eq!(call.join().unwrap(), 64);
    });
    assert_eq!(take(&pool), [5]);
    assert!(take(&pool).is_empty());
}

#[test]
fn a_large_object_can_be_tracked() {
    Store::ext4(|store| {
        let object = store.object(page_size());
        object.set_len(1 << 40).unwrap();
        let pool = builder(&object).track_writes().create().unwrap();
        pool.write_all_at(b"new", (1 << 40) - 3).unwrap();
        let last = (1 << 40) / page_size() as u64 - 1;
        let len = 1024 * page_size() as u64;
        assert_eq!(pool.take_written((1 << 40) - len, len).unwrap(), [last]);
    });
}

/// The size of the pool is that of one moment.
#[test]
fn an_object_that_changes_its_size_is_tracked() {
    Store::ext4(|store| {
        let object = store.object(page_size());
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for len in [1024 * page_size(), page_size()].into_iter().cycle() {
                    object.set_len(len as u64).unwrap();
                    if is_over.load(Ordering::Acquire) {
                        break;
                    }
                }
            });
            for _ in 0..50 {
                let pool = builder(&object).track_writes().create().unwrap();
                let nr_pages =
                    usize::try_from(pool.info().unwrap().size_bytes).unwrap() / page_size();
                let mapping = map(&pool, nr_pages * page_size());
                mapping
                    .write_at(b"new", (nr_pages - 1) * page_size())
                    .unwrap();
                let len = (nr_pages * page_size()) as u64;
                let written = pool.take_written(0, len).unwrap();
                assert_eq!(written, [nr_pages as u64 - 1]);
            }
            is_over.store(true, Ordering::Release);
        });
    });
}
