// SPDX-License-Identifier: MIT OR GPL-2.0

//! The memmap2 crate. Most Rust programs map files with it.
//!
//! It lends slices of the mapped memory. In these tests nothing else writes while a slice is lent.

use std::fs::File;

use memmap2::{Advice, Mmap, MmapMut, MmapOptions, RemapOptions};
use mmap_pool_tests::subject::{page_size, size};

use crate::given::Given;
use crate::on_both;

on_both! {
    1 mapping_without_a_length;
    1 shared_writes_are_read_by_others;
    1 copies_are_ones_own;
    1 a_part_begins_at_its_offset;
    1 flushing_advising_and_locking;
    1 protections_change_both_ways;
    1 remapping_follows_a_new_size;
}

fn mapping_without_a_length(given: &Given) {
    // SAFETY: Nothing writes.
    let mapping = unsafe { Mmap::map(file(given)) }.unwrap();
    // The crate asks fstat, which knows the size of regular files.
    assert_eq!(mapping.len(), if given.is_node { 0 } else { size() });
    assert!(mapping.iter().all(|&byte| byte == 0));
}

fn shared_writes_are_read_by_others(given: &Given) {
    let mut mapping = map_mut(given);
    mapping[page_size()..page_size() + 5].copy_from_slice(b"hello");
    assert_eq!(&read(given, page_size()), b"hello");
    given
        .pool
        .write_all_at(b"jelly", page_size() as u64)
        .unwrap();
    // SAFETY: Nothing writes.
    let other = unsafe { MmapOptions::new().len(size()).map(file(given)) }.unwrap();
    assert_eq!(&other[page_size()..page_size() + 5], b"jelly");
}

fn copies_are_ones_own(given: &Given) {
    given.pool.write_all_at(b"first", 0).unwrap();
    let mut options = MmapOptions::new();
    // SAFETY: Nothing writes but the write below, when no slice is lent.
    let (mut copy, read_only) = unsafe {
        (
            options.len(size()).map_copy(file(given)).unwrap(),
            options.len(size()).map_copy_read_only(file(given)).unwrap(),
        )
    };
    copy[..4].copy_from_slice(b"mine");
    assert_eq!((&copy[..5], &read(given, 0)), (&b"minet"[..], b"first"));
    given.pool.write_all_at(b"later", 0).unwrap();
    assert_eq!(
        (&copy[..5], &read_only[..5]),
        (&b"minet"[..], &b"later"[..])
    );
}

fn a_part_begins_at_its_offset(given: &Given) {
    let mut options = MmapOptions::new();
    // Not a whole page: the crate maps from the page's start.
    options.offset(3 * page_size() as u64 + 100).len(5);
    // SAFETY: Nothing writes.
    let mut mapping = unsafe { options.map_mut(file(given)) }.unwrap();
    mapping.copy_from_slice(b"there");
    assert_eq!(&read(given, 3 * page_size() + 100), b"there");
}

fn flushing_advising_and_locking(given: &Given) {
    let mut mapping = map_mut(given);
    mapping[..5].copy_from_slice(b"hello");
    mapping.flush().unwrap();
    mapping.flush_async().unwrap();
    mapping.flush_range(100, page_size()).unwrap();
    mapping.flush_async_range(page_size(), 1).unwrap();
    for advice in [
        Advice::Random,
        Advice::Sequential,
        Advice::WillNeed,
        Advice::Normal,
    ] {
        mapping.advise(advice).unwrap();
    }
    mapping
        .advise_range(Advice::PopulateWrite, page_size(), page_size())
        .unwrap();
    assert_eq!(given.pool.info().unwrap().nr_resident_pages, 2);
    mapping.lock().unwrap();
    assert_eq!(given.pool.info().unwrap().nr_resident_pages, 256);
    mapping.unlock().unwrap();
    assert_eq!(&mapping[..5], b"hello");
}

fn protections_change_both_ways(given: &Given) {
    let mut mapping = map_mut(given);
    mapping[0] = 1;
    let mapping = mapping.make_read_only().unwrap();
    let mut mapping = mapping.make_mut().unwrap();
    mapping[0] += 1;
    assert_eq!(read(given, 0)[0], 2);
    assert!(mapping.make_exec().is_ok());
}

fn remapping_follows_a_new_size(given: &Given) {
    let mut mapping = map_mut(given);
    mapping[..5].copy_from_slice(b"first");
    // The default pool of this test is at most as large as it was made.
    if !given.is_node {
        given.pool.resize(2 * size() as u64).unwrap();
    }
    // SAFETY: Nothing refers to the old place.
    unsafe { mapping.remap(2 * size(), RemapOptions::new().may_move(true)) }.unwrap();
    assert_eq!(&mapping[..5], b"first");
    if !given.is_node {
        mapping[2 * size() - 5..].copy_from_slice(b"final");
        assert_eq!(&read(given, 2 * size() - 5), b"final");
    }
    // SAFETY: As above.
    unsafe { mapping.remap(page_size(), RemapOptions::new()) }.unwrap();
    assert_eq!((mapping.len(), &mapping[..5]), (page_size(), &b"first"[..]));
}

fn file(given: &Given) -> &File {
    given.pool.as_file()
}

fn map_mut(given: &Given) -> MmapMut {
    // SAFETY: Nothing else writes while a slice is lent.
    unsafe { MmapOptions::new().len(size()).map_mut(file(given)) }.unwrap()
}

fn read(given: &Given, at: usize) -> [u8; 5] {
    let mut bytes = [0; 5];
    given.pool.read_exact_at(&mut bytes, at as u64).unwrap();
    bytes
}
