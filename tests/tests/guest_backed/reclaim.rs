// SPDX-License-Identifier: MIT OR GPL-2.0

//! The kernel takes pages that the object has as well.

use std::thread;
use std::time::Duration;

use mmap_pool::{Advice, Errno, Mapping, Pool};
use mmap_pool_tests::child::in_child;
use mmap_pool_tests::observe::{checked, verdict};

use crate::on_each;
use crate::store::{backed, drop_caches, map, page, page_size, Store};

on_each! {
    clean_pages_leave_memory_and_dirty_ones_stay;
    mapped_pages_leave_when_they_are_paged_out;
    a_clean_page_that_breaks_is_read_again;
    a_dirty_page_that_breaks_is_reported;
}

const NR_PAGES: usize = 256;

fn filled(store: &Store) -> (Pool, Mapping) {
    let object = store.object(NR_PAGES * page_size());
    let pool = backed(&object);
    for number in 0..NR_PAGES {
        pool.write_all_at(&page(number, 1), (number * page_size()) as u64)
            .unwrap();
    }
    pool.sync().unwrap();
    let mapping = map(&pool, NR_PAGES * page_size());
    (pool, mapping)
}

fn nr_resident(pool: &Pool) -> u64 {
    pool.info().unwrap().nr_resident_pages
}

/// Repeats `act` until `is_done`: another processor may hold on to pages for a moment.
fn repeat(act: impl Fn(), is_done: impl Fn() -> bool) {
    for _ in 0..100 {
        act();
        if is_done() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("the pages stay");
}

fn check(mapping: &Mapping, number: usize, pattern: u64) {
    let mut bytes = vec![0; page_size()];
    mapping.read_at(&mut bytes, number * page_size()).unwrap();
    assert!(bytes == page(number, pattern), "page {number}");
}

fn clean_pages_leave_memory_and_dirty_ones_stay(store: &Store) {
    let (pool, mapping) = filled(store);
    repeat(drop_caches, || nr_resident(&pool) == 0);
    pool.write_all_at(&page(7, 2), 7 * page_size() as u64)
        .unwrap();
    for _ in 0..3 {
        drop_caches();
    }
    check(&mapping, 7, 2);
    for number in (0..NR_PAGES).filter(|number| *number != 7) {
        check(&mapping, number, 1);
    }
}

fn mapped_pages_leave_when_they_are_paged_out(store: &Store) {
    let (pool, mapping) = filled(store);
    for number in 0..NR_PAGES {
        check(&mapping, number, 1);
    }
    assert!(nr_resident(&pool) >= NR_PAGES as u64);
    let page_out = || mapping.advise(Advice::PageOut).unwrap();
    repeat(page_out, || nr_resident(&pool) < NR_PAGES as u64 / 4);
    for number in 0..NR_PAGES {
        check(&mapping, number, 1);
    }
}

/// Breaks the first page of the mapping, in a child. The kernel may kill it.
fn break_first_page(mapping: &Mapping) {
    let start = mapping.as_ptr().cast();
    let _ = in_child(|| {
        // SAFETY: The page belongs to the mapping.
        let broken = unsafe { libc::madvise(start, page_size(), libc::MADV_HWPOISON) };
        Ok(verdict(&checked(broken).map(drop)))
    });
}

fn a_clean_page_that_breaks_is_read_again(store: &Store) {
    let (pool, mapping) = filled(store);
    check(&mapping, 0, 1);
    break_first_page(&mapping);
    for number in 0..NR_PAGES {
        check(&mapping, number, 1);
    }
    assert_eq!(pool.sync(), Ok(()));
}

fn a_dirty_page_that_breaks_is_reported(store: &Store) {
    let (pool, mapping) = filled(store);
    // Not mapped here, so that no signal comes.
    pool.write_all_at(&page(0, 2), 0).unwrap();
    break_first_page(&mapping);
    assert_eq!(pool.sync().unwrap_err().errno(), Errno::IO);
    assert_eq!(pool.sync(), Ok(()));
    // The object has the former bytes.
    check(&mapping, 0, 1);
}
