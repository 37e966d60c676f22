// SPDX-License-Identifier: MIT OR GPL-2.0

//! `MMAP_POOL_INFO` and `/proc/self/fdinfo`.

use std::fs;
use std::os::fd::AsRawFd;

use mmap_pool::{uapi, Info, Mapping, MappingBuilder, OpenOptions, Pool, Protection, Strategy};
use mmap_pool_tests::machine::{pmd_size, HUGE, WINDOW};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::observe::{nr_minor_faults, put_word, word};
use mmap_pool_tests::signal::{touch, Access};
use mmap_pool_tests::subject::{page_size, size, PAGES};

#[test]
fn a_new_pool_is_empty() {
    let _module = fresh_module();
    let mut expected = Info::default();
    expected.size_bytes = size() as u64;
    expected.page_size_bytes = u32::try_from(page_size()).unwrap();
    expected.abi_version = uapi::ABI_VERSION;
    expected.flags = uapi::FLAG_DEFAULT;
    expected.strategy = uapi::Strategy::Auto as u32;
    assert_eq!(Pool::open().unwrap().info().unwrap(), expected);
}

#[test]
fn the_parameter_sets_the_size_and_64_mib_is_the_default() {
    for (parameters, mib) in [
        ("", 64),
        ("size_mb=1", 1),
        ("size_mb=7", 7),
        ("size_mb=200", 200),
    ] {
        let module = FreshModule::load(parameters).unwrap();
        let pool = Pool::open().unwrap();
        assert_eq!(pool.info().unwrap().size_bytes, mib << 20, "{parameters:?}");
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        assert_eq!(mapping.len() as u64, mib << 20);
        put_word(&mapping, mapping.len() - 8, "last").unwrap();
        drop((mapping, pool));
        module.unload().unwrap();
    }
}

#[test]
fn info_works_whatever_the_descriptor_was_opened_for() {
    let _module = fresh_module();
    for (reads, writes) in [(true, false), (false, true), (true, true)] {
        let pool = OpenOptions::new().read(reads).write(writes).open().unwrap();
        assert_eq!(pool.info().unwrap().size_bytes, size() as u64);
    }
}

#[test]
fn first_touches_count_as_faults_and_allocations() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    for page in 0..100 {
        // Every other page, so that no page has a neighbour it could be mapped along with.
        if page % 2 == 0 {
            word(&mapping, page * 2 * page_size()).unwrap();
        } else {
            put_word(&mapping, page * 2 * page_size(), "new").unwrap();
        }
    }
    let info = pool.info().unwrap();
    assert_eq!(
        (
            info.nr_faults,
            info.nr_allocated_pages,
            info.nr_resident_pages
        ),
        (100, 100, 100)
    );
}

#[test]
fn read_and_write_are_no_faults() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    pool.write_all_at(&vec![1; 4 * page_size()], 0).unwrap();
    pool.read_exact_at(&mut vec![0; 6 * page_size()], 0)
        .unwrap();
    let info = pool.info().unwrap();
    assert_eq!(
        (
            info.nr_faults,
            info.nr_allocated_pages,
            info.nr_resident_pages
        ),
        (0, 4, 4)
    );
}

#[test]
fn resident_pages_are_mapped_around_a_fault_without_asking_the_pool() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    drop(MappingBuilder::shared().populate().map(&pool).unwrap());
    let before = pool.info().unwrap();
    assert_eq!(before.nr_resident_pages, PAGES as u64);

    let mapping = MappingBuilder::shared()
        .protection(Protection::READ)
        .map(&pool)
        .unwrap();
    let nr_minor_faults = read_every_page(&mapping);
    let after = pool.info().unwrap();
    assert_eq!(
        after, before,
        "resident pages must be served without the pool's fault handler"
    );
    // Fault-around maps 16 pages at a time; each end of the mapping may need one more.
    assert!(
        nr_minor_faults <= PAGES / 16 + 2,
        "{nr_minor_faults} faults"
    );
}

#[test]
fn a_refused_fault_counts_and_allocates_nothing() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let mapping = MappingBuilder::shared()
        .len(size() + page_size())
        .map(&pool)
        .unwrap();
    // Two children touch the page.
    let seen = touch(mapping.as_ptr(), size(), Access::Write).unwrap();
    assert_eq!(seen, "SIGBUS BUS_ADRERR at +0x100000");
    let info = pool.info().unwrap();
    assert_eq!(
        (
            info.nr_faults,
            info.nr_allocated_pages,
            info.nr_resident_pages
        ),
        (2, 0, 0)
    );
}

#[test]
fn all_descriptors_count_for_the_same_pool() {
    let _module = fresh_module();
    let (one, other) = (Pool::open().unwrap(), Pool::open().unwrap());
    one.write_all_at(b"1", 0).unwrap();
    other.write_all_at(b"2", page_size() as u64).unwrap();
    assert_eq!(one.info().unwrap(), other.info().unwrap());
    assert_eq!(one.info().unwrap().nr_resident_pages, 2);
}

#[test]
fn fdinfo_tells_size_and_resident_pages() {
    let _module = FreshModule::load("size_mb=2").unwrap();
    let pool = Pool::open().unwrap();
    pool.write_all_at(&vec![1; 4 * page_size()], 0).unwrap();
    assert_eq!(fdinfo(&pool, "pool-size-bytes"), 2_097_152);
    assert_eq!(fdinfo(&pool, "pool-resident-pages"), 4);
}

#[test]
fn fdinfo_tells_how_faults_were_resolved() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let nr_beside = |bytes: usize| (bytes / page_size()) as u64 - 1;
    // If a PMD entry maps it, the module is asked for it first.
    let nr_huge = if pmd_size() == HUGE { 2 } else { 0 };
    // Strategy, and what is expected of a write to page 0, one to page 1 through another mapping,
    // and one past the end: faults, hits, misses, batched pages, huge faults.
    for (strategy, expected) in [
        (Strategy::Auto, [3, 0, 2, 0, 0]),
        (Strategy::Page, [3, 0, 2, 0, 0]),
        (Strategy::Around, [3, 1, 1, nr_beside(WINDOW), 0]),
        (Strategy::Huge, [3, 1, 1, nr_beside(HUGE), nr_huge]),
    ] {
        let size = 2 << 20;
        let pool = Pool::create().size_bytes(size).strategy(strategy);
        let pool = pool.create().unwrap();
        let len = usize::try_from(size).unwrap() + page_size();
        let map = || MappingBuilder::shared().len(len).map(&pool).unwrap();
        let (one, other) = (map(), map());
        put_word(&one, 0, "first").unwrap();
        put_word(&other, page_size(), "second").unwrap();
        // Two processes try it, and both are refused.
        touch(one.as_ptr(), len - page_size(), Access::Write).unwrap();
        let counts = ["", "-hits", "-misses"].map(|kind| match kind {
            "" => fdinfo(&pool, "pool-faults") - 1,
            kind => fdinfo(&pool, &format!("pool-fault{kind}")),
        });
        let others = ["pool-batched-pages", "pool-huge-faults"].map(|key| fdinfo(&pool, key));
        assert_eq!(
            [&counts[..], &others[..]].concat(),
            expected,
            "{strategy:?}"
        );
    }
}

/// A number of the pool in `/proc/self/fdinfo`.
fn fdinfo(pool: &Pool, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", pool.as_raw_fd())).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = line.unwrap_or_else(|| panic!("no {key} in {text:?}"));
    value.trim().parse().unwrap()
}

/// Returns the number of faults.
fn read_every_page(mapping: &Mapping) -> usize {
    // Whatever else the loop needs is in the page table after a first byte.
    mapping.read_at(&mut [0], 0).unwrap();
    let before = nr_minor_faults();
    for page in 0..PAGES {
        mapping.read_at(&mut [0], page * page_size()).unwrap();
    }
    usize::try_from(nr_minor_faults() - before).unwrap()
}
