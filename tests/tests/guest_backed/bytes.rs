// SPDX-License-Identifier: MIT OR GPL-2.0

//! The bytes of a pool are those of its object.

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use mmap_pool::{Advice, MappingBuilder, Pool, Protection};

use crate::on_each;
use crate::store::{backed, map, page, page_size, Store};

on_each! {
    a_store_reaches_the_object_with_msync;
    what_the_object_holds_is_read;
    a_private_copy_stays_private;
    read_write_and_mappings_agree;
    parts_of_pages_are_written;
    a_write_that_stops_early_keeps_the_rest_of_the_page;
    the_last_part_of_a_page_ends_the_object;
    closing_writes_back;
    advice_loses_nothing;
}

fn a_store_reaches_the_object_with_msync(store: &Store) {
    let object = store.object(64 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 64 * page_size());
    for number in [0, 1, 2, 17, 63] {
        mapping
            .write_at(&page(number, 1), number * page_size())
            .unwrap();
    }
    mapping.flush().unwrap();
    for number in 0..64 {
        let expected = match number {
            0 | 1 | 2 | 17 | 63 => page(number, 1),
            _ => vec![0; page_size()],
        };
        assert_eq!(
            store.stored(number * page_size(), page_size()),
            expected,
            "{number}"
        );
    }
}

fn what_the_object_holds_is_read(store: &Store) {
    let object = store.object(300 * page_size());
    for number in 0..300 {
        object
            .write_all_at(&page(number, 2), (number * page_size()) as u64)
            .unwrap();
    }
    object.sync_all().unwrap();
    let pool = backed(&object);
    let mapping = map(&pool, 300 * page_size());
    let mut bytes = vec![0; page_size()];
    for number in (0..300).rev().step_by(7).chain(0..300) {
        mapping.read_at(&mut bytes, number * page_size()).unwrap();
        assert_eq!(bytes, page(number, 2), "{number}");
        pool.read_exact_at(&mut bytes, (number * page_size()) as u64)
            .unwrap();
        assert_eq!(bytes, page(number, 2), "{number}");
    }
    assert_eq!(pool.backing().unwrap().nr_dirty_pages, 0);
}

fn a_private_copy_stays_private(store: &Store) {
    let object = store.object(4 * page_size());
    let pool = backed(&object);
    let private = MappingBuilder::private()
        .len(4 * page_size())
        .protection(Protection::READ_WRITE)
        .map(&pool)
        .unwrap();
    private.write_at(&page(1, 3), page_size()).unwrap();
    let shared = map(&pool, 4 * page_size());
    shared.write_at(&page(2, 4), 2 * page_size()).unwrap();
    let mut bytes = vec![0; page_size()];
    shared.read_at(&mut bytes, page_size()).unwrap();
    assert_eq!(bytes, vec![0; page_size()]);
    private.read_at(&mut bytes, 2 * page_size()).unwrap();
    assert_eq!(bytes, page(2, 4));
    pool.sync().unwrap();
    assert_eq!(store.stored(page_size(), page_size()), vec![0; page_size()]);
    assert_eq!(store.stored(2 * page_size(), page_size()), page(2, 4));
}

fn read_write_and_mappings_agree(store: &Store) {
    let object = store.object(16 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 16 * page_size());
    pool.write_all_at(&page(3, 5), 3 * page_size() as u64)
        .unwrap();
    mapping.write_at(&page(4, 5), 4 * page_size()).unwrap();
    let mut bytes = vec![0; page_size()];
    mapping.read_at(&mut bytes, 3 * page_size()).unwrap();
    assert_eq!(bytes, page(3, 5));
    pool.read_exact_at(&mut bytes, 4 * page_size() as u64)
        .unwrap();
    assert_eq!(bytes, page(4, 5));
    let info = pool.info().unwrap();
    assert!(info.is_backed() && info.nr_resident_pages >= 2, "{info:?}");
}

fn parts_of_pages_are_written(store: &Store) {
    let object = store.object(16 * page_size());
    let mut expected = Vec::new();
    for number in 0..16 {
        expected.extend_from_slice(&page(number, 6));
    }
    object.write_all_at(&expected, 0).unwrap();
    object.sync_all().unwrap();
    let pool = backed(&object);
    let mut offset = 1;
    let mut len = 1;
    while offset + len < 16 * page_size() {
        let part = vec![(offset % 251).to_le_bytes()[0]; len];
        pool.write_all_at(&part, offset as u64).unwrap();
        expected[offset..offset + len].copy_from_slice(&part);
        offset += len + 97;
        len = len * 5 % 9973;
    }
    pool.sync().unwrap();
    let mut bytes = vec![0; 16 * page_size()];
    pool.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes == expected);
    assert!(store.stored(0, 16 * page_size()) == expected);
}

/// A write of a whole page, which is not in memory. Its source ends after 100 bytes.
fn a_write_that_stops_early_keeps_the_rest_of_the_page(store: &Store) {
    let object = store.object(64 * page_size());
    let number = 40;
    let offset = number * page_size();
    object
        .write_all_at(&page(number, 6), offset as u64)
        .unwrap();
    object.sync_all().unwrap();
    let pool = backed(&object);
    let source = Pool::create()
        .size_bytes(page_size() as u64)
        .create()
        .unwrap();
    // There is nothing in its second page.
    let source = map(&source, 2 * page_size());
    source.write_at(&[9; 100], page_size() - 100).unwrap();
    // SAFETY: The kernel checks the addresses.
    let written = unsafe {
        let start = source.as_ptr().add(page_size() - 100).cast();
        let offset = libc::off_t::try_from(offset).unwrap();
        libc::pwrite(pool.as_raw_fd(), start, page_size(), offset)
    };
    assert_eq!(written, 100);
    let mut expected = page(number, 6);
    expected[..100].fill(9);
    let mut bytes = vec![0; page_size()];
    pool.read_exact_at(&mut bytes, offset as u64).unwrap();
    assert!(bytes == expected);
    pool.sync().unwrap();
    assert!(store.stored(offset, page_size()) == expected);
}

fn the_last_part_of_a_page_ends_the_object(store: &Store) {
    if !store.has_files() {
        return;
    }
    let len = 5 * page_size() + 1000;
    let object = store.object(len);
    object
        .write_all_at(&[7; 1000], 5 * page_size() as u64)
        .unwrap();
    object.sync_all().unwrap();
    {
        let pool = backed(&object);
        assert_eq!(pool.info().unwrap().size_bytes, len as u64);
        let mapping = map(&pool, 6 * page_size());
        let mut bytes = vec![1; page_size()];
        mapping.read_at(&mut bytes, 5 * page_size()).unwrap();
        assert_eq!(bytes[..1000], [7; 1000]);
        assert_eq!(bytes[1000..], vec![0; page_size() - 1000]);
        // Bytes past the end are not kept.
        mapping
            .write_at(&vec![9; page_size()], 5 * page_size())
            .unwrap();
        mapping.flush().unwrap();
        mapping.read_at(&mut bytes, 5 * page_size()).unwrap();
        assert_eq!(bytes[..1000], [9; 1000]);
        assert_eq!(bytes[1000..], vec![0; page_size() - 1000]);
        assert_eq!(
            pool.read_at(&mut bytes, 5 * page_size() as u64).unwrap(),
            1000
        );
        let error = pool.write_at(b"more", len as u64).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        // A write across the end writes what fits.
        assert_eq!(pool.write_at(&[8; 100], len as u64 - 10).unwrap(), 10);
    }
    assert_eq!(object.metadata().unwrap().len(), len as u64);
    let mut expected = vec![9; 1000];
    expected[990..].fill(8);
    assert_eq!(store.stored(5 * page_size(), page_size()), expected);
}

fn closing_writes_back(store: &Store) {
    let object = store.object(1000 * page_size());
    let mapping = {
        let pool = backed(&object);
        map(&pool, 1000 * page_size())
    };
    for number in 0..1000 {
        mapping
            .write_at(&page(number, 8), number * page_size())
            .unwrap();
    }
    mapping.unmap().unwrap();
    for number in 0..1000 {
        assert_eq!(
            store.stored(number * page_size(), page_size()),
            page(number, 8),
            "{number}"
        );
    }
}

fn advice_loses_nothing(store: &Store) {
    let object = store.object(64 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 64 * page_size());
    for number in 0..64 {
        mapping
            .write_at(&page(number, 9), number * page_size())
            .unwrap();
    }
    for advice in [
        Advice::DontNeed,
        Advice::PageOut,
        Advice::Cold,
        Advice::WillNeed,
        Advice::PopulateRead,
        Advice::PopulateWrite,
    ] {
        mapping.advise(advice).unwrap();
        let mut bytes = vec![0; page_size()];
        for number in 0..64 {
            mapping.read_at(&mut bytes, number * page_size()).unwrap();
            assert_eq!(bytes, page(number, 9), "{advice:?} {number}");
        }
    }
}
