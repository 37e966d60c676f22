// SPDX-License-Identifier: MIT OR GPL-2.0

//! Huge pages that the module maps itself, by `huge_fault`.

use std::ffi::c_int;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use mmap_pool::{Mapping, MappingBuilder, Protection, Strategy};
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::observe::{checked, nr_minor_faults, present, put_word, vmstat, word};
use mmap_pool_tests::subject::page_size;
use rustix::fs::{fstat, futimens, Timespec, Timestamps};
use rustix::pipe::pipe;

use crate::strategies::{huge_pages, pool, HUGE, MADV_GUARD_INSTALL, MADV_GUARD_REMOVE};

/// The kernel counts in `thp_file_mapped` the huge pages of files that it maps itself. Before, it
/// allocates a page table that it does not need. It asks for what one PMD entry maps, which is a folio of
/// a pool if a page has 4 KiB.
///
/// needs: `config=CONFIG_PAGE_SIZE_4KB`
#[test]
fn the_module_maps_a_huge_page_before_the_kernel_allocates_a_page_table() {
    let _module = fresh_module();
    let count = || vmstat().unwrap()["thp_file_mapped"];
    let pool = pool(Strategy::Huge, 2 * HUGE);
    let read_only = MappingBuilder::shared().protection(Protection::READ);
    let builders = [
        ("first touch", MappingBuilder::shared()),
        ("again", MappingBuilder::shared()),
        ("read only", read_only),
        ("private", MappingBuilder::private()),
    ];
    for (name, builder) in builders {
        let mapping = builder.map(&pool).unwrap();
        let (before, faults) = (count(), nr_minor_faults());
        for offset in [5 * page_size(), HUGE + 5 * page_size()] {
            match name {
                "first touch" | "again" => put_word(&mapping, offset, "here").unwrap(),
                _ => assert_eq!(word(&mapping, offset).unwrap(), "here", "{name}"),
            }
        }
        assert_eq!(nr_minor_faults() - faults, 2, "{name}");
        assert_eq!(present(&mapping).unwrap().len() as u64, 2 * huge_pages());
        assert_eq!(count(), before, "{name}");
    }
}

/// The kernel does not call `huge_fault` if huge pages are disabled. It maps what `fault` returns.
#[test]
fn without_the_kernels_leave_a_huge_page_is_mapped_all_the_same() {
    let _module = fresh_module();
    let pool = pool(Strategy::Huge, HUGE);
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    advise(&mapping, 0..HUGE, libc::MADV_NOHUGEPAGE);
    let before = nr_minor_faults();
    put_word(&mapping, 0, "first").unwrap();
    put_word(&mapping, HUGE - page_size(), "last").unwrap();
    assert_eq!(nr_minor_faults() - before, 1);
}

/// One thread writes to a huge page and unmaps it. The other makes the kernel map it page by page,
/// under no lock that the first would wait for. The kernel warns if a huge page is to be mapped for
/// writing where another task has put a page table meanwhile.
#[test]
fn a_huge_fault_beside_one_that_needs_a_page_table_is_no_mistake() {
    const NR_ROUNDS: usize = 2_000;

    let _module = fresh_module();
    let pool = pool(Strategy::Huge, HUGE);
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let guarded = HUGE - page_size()..HUGE;
            while !is_over.load(Relaxed) {
                advise(&mapping, guarded.clone(), MADV_GUARD_INSTALL);
                advise(&mapping, guarded.clone(), MADV_GUARD_REMOVE);
            }
        });
        for round in 0..NR_ROUNDS {
            let text = round.to_string();
            put_word(&mapping, 0, &text).unwrap();
            advise(&mapping, 0..HUGE, libc::MADV_DONTNEED);
            assert_eq!(word(&mapping, 0).unwrap(), text);
        }
        is_over.store(true, Relaxed);
    });
}

/// A folio that is pinned is not split when the pool shrinks, so it reaches past the end. What is past
/// the end must not be mapped with the rest.
#[test]
fn a_huge_page_that_reaches_past_the_end_is_mapped_up_to_the_end() {
    let _module = fresh_module();
    let pool = pool(Strategy::Huge, HUGE);
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    put_word(&mapping, 0, "pinned").unwrap();
    let (from, to) = pipe().unwrap();
    let vector = libc::iovec {
        iov_base: mapping.as_ptr().cast(),
        iov_len: page_size(),
    };
    // SAFETY: The vector names mapped memory, which may change while it is in the pipe.
    checked(unsafe { libc::vmsplice(to.as_raw_fd(), &vector, 1, 0) }).unwrap();
    pool.resize(8 * page_size() as u64).unwrap();
    for _ in 0..2 {
        put_word(&mapping, 0, "again").unwrap();
        let present = present(&mapping).unwrap();
        assert!(present.iter().all(|&page| page < 8), "{present:?}");
    }
    drop((from, to));
}

/// As a store to a page of any file does.
#[test]
fn the_first_store_to_a_huge_page_changes_the_times() {
    let _module = fresh_module();
    let epoch = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    for strategy in Strategy::ALL {
        let pool = pool(strategy, HUGE);
        pool.prefault(0, HUGE as u64).unwrap();
        let times = Timestamps {
            last_access: epoch,
            last_modification: epoch,
        };
        futimens(&pool, &times).unwrap();
        let before = fstat(&pool).unwrap();
        assert_eq!(before.st_mtime, 0, "{strategy:?}");
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        put_word(&mapping, 0, "new").unwrap();
        let after = fstat(&pool).unwrap();
        assert!(
            after.st_mtime > 0,
            "{strategy:?}: the time of modification is kept"
        );
    }
}

/// Advises the kernel about these bytes of the mapping.
fn advise(mapping: &Mapping, bytes: Range<usize>, advice: c_int) {
    let start = mapping.as_ptr().wrapping_add(bytes.start).cast();
    // SAFETY: The bytes are within the mapping, and nothing refers to them.
    checked(unsafe { libc::madvise(start, bytes.len(), advice) }).unwrap();
}

/// What a write has left past the end is removed. That splits no folio.
#[test]
fn a_write_that_fails_leaves_a_huge_page_as_it_is() {
    let _module = fresh_module();
    for end in [HUGE - 100, HUGE] {
        let pool = pool(Strategy::Huge, end);
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        put_word(&mapping, 0, "here").unwrap();
        // SAFETY: The kernel checks the address.
        let written = unsafe { libc::pwrite(pool.as_raw_fd(), std::ptr::null(), 8, 0) };
        assert_eq!(written, -1);
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let before = nr_minor_faults();
        for offset in (0..HUGE).step_by(page_size()) {
            let expected = if offset == 0 { "here" } else { "0" };
            assert_eq!(word(&mapping, offset).unwrap(), expected);
        }
        // With smaller folios there is one for each 16 pages. The program itself has one or two.
        let nr_faults = nr_minor_faults() - before;
        assert!(nr_faults < 5, "{end}: {nr_faults}");
    }
}
