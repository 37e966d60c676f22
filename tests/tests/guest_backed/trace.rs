// SPDX-License-Identifier: MIT OR GPL-2.0

//! The calls of the kernel on faults and on `msync`, recorded. `docs/call-chains.md` explains them.
//!
//! Only the calls of the task are recorded, not those of the workers that read and write.

use std::fs::File;

use mmap_pool::Mapping;
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::trace::Trace;
use mmap_pool_tests::Failure;

use crate::store::{backed, map, page_size, DEVICE};

const PAGE_ON_IT: &str = include_str!("../../../docs/call-chains.md");
/// The files of the module that the page names.
const MODULE: [(&str, &str); 3] = [
    ("mm/vm_ops.rs", include_str!("../../../src/mm/vm_ops.rs")),
    ("fs/backed.rs", include_str!("../../../src/fs/backed.rs")),
    ("fs/backing.rs", include_str!("../../../src/fs/backing.rs")),
];

/// The functions that are recorded. Those of the module are recorded as well.
const FUNCTIONS: &[&str] = &[
    "handle_mm_fault",
    "filemap_map_pages",
    "filemap_fault",
    "page_cache_ra_order",
    "filemap_add_folio",
    "vfs_iocb_iter_read",
    "finish_fault",
    "balance_dirty_pages_ratelimited",
    "__x64_sys_msync",
    "vfs_fsync_range",
    "file_write_and_wait_range",
    "do_writepages",
    "writeback_iter",
    "folio_clear_dirty_for_io",
    "folio_unlock",
    "vfs_iocb_iter_write",
];

/// A read of a page that is not in memory: the core asks for the pages around it, and waits.
const FIRST_READ_CHAIN: &[&str] = &[
    "handle_mm_fault",
    "filemap_map_pages",
    "filemap_fault",
    "page_cache_ra_order",
    "filemap_add_folio",
    "mmap_pool_readahead_folio",
    "mmap_pool_io_alloc_read",
    "mmap_pool_init_kiocb",
    "vfs_iocb_iter_read",
    "handle_mm_fault",
];

/// A write to a page that is in memory and clean.
const FIRST_WRITE_CHAIN: &[&str] = &[
    "handle_mm_fault",
    "filemap_fault",
    "mmap_pool_page_mkwrite",
    "mmap_pool_folio_index",
    "finish_fault",
    "folio_unlock",
    "balance_dirty_pages_ratelimited",
];

/// `msync` of a dirty page.
const MSYNC_CHAIN: &[&str] = &[
    "__x64_sys_msync",
    "vfs_fsync_range",
    "file_write_and_wait_range",
    "do_writepages",
    "mmap_pool_increment_below",
    "mmap_pool_io_alloc_write",
    "writeback_iter",
    "folio_clear_dirty_for_io",
    "mmap_pool_folio_start_writeback",
    "folio_unlock",
    "mmap_pool_queue_work",
    "vfs_fsync_range",
];

/// Pages of the pool. Read-ahead of one of the two pages that are touched does not reach the other.
const LEN: usize = 32 << 20;

/// Maps a pool on the device, of which nothing is in memory.
fn mapping_of_the_device() -> (FreshModule, Mapping) {
    let module = fresh_module();
    let device = File::options().read(true).write(true).open(DEVICE).unwrap();
    (module, map(&backed(&device), LEN))
}

/// The offset of the page that an action touches.
fn offset(turn: usize) -> usize {
    turn * LEN / 2
}

fn record(action: impl Fn(usize) -> Result<(), Failure>) -> Trace {
    Trace::record(FUNCTIONS, action).unwrap()
}

fn assert_order(trace: &Trace, names: &[&str]) {
    if let Some(name) = trace.missing(names) {
        panic!("{name} is not where it should be in\n{trace}");
    }
}

#[test]
fn a_first_read_asks_the_object_and_tries_again() {
    let (_module, mapping) = mapping_of_the_device();
    let trace = record(|turn| {
        mapping.read_at(&mut [0; 8], offset(turn))?;
        Ok(())
    });
    assert_order(&trace, FIRST_READ_CHAIN);
    assert_eq!(trace.count("mmap_pool_page_mkwrite"), 0, "{trace}");
    assert_eq!(trace.count("vfs_iocb_iter_write"), 0, "{trace}");
}

#[test]
fn a_first_write_is_announced_before_it_is_mapped() {
    let (_module, mapping) = mapping_of_the_device();
    for turn in [0, 1] {
        mapping.read_at(&mut [0; 8], offset(turn)).unwrap();
    }
    let trace = record(|turn| {
        mapping.write_at(&[1; 8], offset(turn))?;
        // The page is writable now, so the core is not asked again.
        mapping.write_at(&[2; 8], offset(turn) + 8)?;
        Ok(())
    });
    assert_order(&trace, FIRST_WRITE_CHAIN);
    assert_eq!(trace.count("mmap_pool_page_mkwrite"), 1, "{trace}");
}

#[test]
fn msync_unlocks_then_queues_then_flushes() {
    let (_module, mapping) = mapping_of_the_device();
    for turn in [0, 1] {
        mapping.read_at(&mut [0; 8], offset(turn)).unwrap();
    }
    let trace = record(|turn| {
        mapping.write_at(&[1; 8], offset(turn))?;
        mapping.flush_range(offset(turn), page_size())?;
        Ok(())
    });
    assert_order(&trace, FIRST_WRITE_CHAIN);
    assert_order(&trace, MSYNC_CHAIN);
    // A worker writes.
    assert_eq!(trace.count("vfs_iocb_iter_write"), 0, "{trace}");
    // The pool's, and that of the object.
    assert_eq!(trace.count("vfs_fsync_range"), 2, "{trace}");
}

/// The page and the sources name the functions of the module where they are.
#[test]
fn the_page_on_call_chains_names_backed_functions_where_they_are() {
    for (file, function) in [
        ("mm/vm_ops.rs", "BackedVTable::page_mkwrite"),
        ("fs/backed.rs", "BackedOperations::dirty_folio"),
        ("fs/backed.rs", "BackedOperations::readahead"),
        ("fs/backed.rs", "BackedOperations::writepages"),
        ("fs/backed.rs", "fsync"),
        ("fs/backing.rs", "Run::drop"),
        ("fs/backing.rs", "Io::completed"),
        ("fs/backing.rs", "Io::work"),
        ("fs/backing.rs", "Io::transfer"),
        ("fs/backing.rs", "Io::end"),
    ] {
        let is_named = PAGE_ON_IT
            .lines()
            .any(|line| line.contains(file) && line.contains(function));
        assert!(is_named, "{file}, {function} is not in docs/call-chains.md");
        let method = function.rsplit("::").next().unwrap();
        let source = MODULE.iter().find(|(name, _)| *name == file).unwrap().1;
        assert!(
            source.contains(&format!("fn {method}(")) || source.contains(&format!("fn {method}<")),
            "{function} is not in src/{file}"
        );
    }
    for name in [FIRST_READ_CHAIN, FIRST_WRITE_CHAIN, MSYNC_CHAIN].concat() {
        assert!(
            PAGE_ON_IT.contains(name),
            "{name} is not in docs/call-chains.md"
        );
    }
}
