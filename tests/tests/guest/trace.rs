// SPDX-License-Identifier: MIT OR GPL-2.0

//! The calls of the kernel on `mmap` and on faults, recorded. `docs/call-chains.md` explains them.

use mmap_pool::{Mapping, MappingBuilder, Pool};
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::observe::{put_word, word};
use mmap_pool_tests::subject::PAGE;
use mmap_pool_tests::trace::Trace;
use mmap_pool_tests::Failure;

const PAGE_ON_IT: &str = include_str!("../../../docs/call-chains.md");

/// The functions that are recorded.
const FUNCTIONS: &[&str] = &[
    "__x64_sys_mmap",
    "ksys_mmap_pgoff",
    "fget",
    "security_mmap_file",
    "do_mmap",
    "__get_unmapped_area",
    "mmap_region",
    "vm_area_alloc",
    "vma_interval_tree_insert",
    "__mm_populate",
    "lock_vma_under_rcu",
    "handle_mm_fault",
    "do_fault",
    "filemap_map_pages",
    "__do_fault",
    "filemap_add_folio",
    "finish_fault",
    "set_pte_range",
    "do_wp_page",
    "folio_unlock",
];

/// Functions that some kernels lack: a kernel without security modules calls no hook, and the
/// compiler may inline small functions.
const NOT_EVERYWHERE: &[&str] = &["security_mmap_file", "vma_interval_tree_insert", "do_fault"];

/// The order in which `mmap` works: the file, the permission, the place, the area, the driver, the
/// link.
const MMAP_CHAIN: &[&str] = &[
    "__x64_sys_mmap",
    "ksys_mmap_pgoff",
    "fget",
    "security_mmap_file",
    "do_mmap",
    "__get_unmapped_area",
    "mmap_region",
    "vm_area_alloc",
    "mmap_pool_file_accessed",
    "vma_interval_tree_insert",
];

/// A fault on a page that the pool does not have yet.
const FIRST_FAULT_CHAIN: &[&str] = &[
    "lock_vma_under_rcu",
    "handle_mm_fault",
    "do_fault",
    "__do_fault",
    "filemap_add_folio",
    "finish_fault",
    "set_pte_range",
    "folio_unlock",
];

/// A fault on a page that the pool has.
const RESIDENT_FAULT_CHAIN: &[&str] = &[
    "lock_vma_under_rcu",
    "handle_mm_fault",
    "do_fault",
    "filemap_map_pages",
    "set_pte_range",
];

fn record(action: impl Fn(usize) -> Result<(), Failure>) -> Trace {
    Trace::record(&here(FUNCTIONS), action).unwrap()
}

/// The `names` that this kernel has.
fn here<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let is_here = |name: &&&str| !NOT_EVERYWHERE.contains(name) || Trace::knows(name).unwrap();
    names.iter().filter(is_here).copied().collect()
}

fn assert_order(trace: &Trace, names: &[&str]) {
    if let Some(name) = trace.missing(&here(names)) {
        panic!("{name} is not where it should be in\n{trace}");
    }
}

#[test]
fn mmap_finds_checks_creates_asks_the_driver_and_links() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let trace = record(|_| {
        drop(MappingBuilder::shared().map(&pool)?);
        Ok(())
    });
    assert_order(&trace, MMAP_CHAIN);
    assert_eq!(trace.count("handle_mm_fault"), 0, "{trace}");
    assert_eq!(trace.count("filemap_add_folio"), 0, "{trace}");
}

#[test]
fn a_locked_mapping_is_populated_at_last() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let trace = record(|turn| {
        drop(
            MappingBuilder::shared()
                .locked()
                .len(PAGE)
                .offset((turn * PAGE) as u64)
                .map(&pool)?,
        );
        Ok(())
    });
    assert_order(&trace, MMAP_CHAIN);
    assert_order(
        &trace,
        &[
            "do_mmap",
            "__mm_populate",
            "handle_mm_fault",
            "filemap_add_folio",
        ],
    );
}

#[test]
fn a_first_touch_looks_up_allocates_adds_and_maps() {
    for (access, reads) in [(read as fn(&_, _) -> _, 1), (write, 0)] {
        let module = fresh_module();
        let pool = Pool::open().unwrap();
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let trace = record(|turn| access(&mapping, turn * 64));
        assert_order(&trace, FIRST_FAULT_CHAIN);
        assert!(trace.enters_module_from("__do_fault"), "{trace}");
        // What is written is not looked for around.
        assert_eq!(trace.count("filemap_map_pages"), reads, "{trace}");
        assert_eq!(trace.count("filemap_add_folio"), 1, "{trace}");
        drop((mapping, pool));
        module.unload().unwrap();
    }
}

#[test]
fn a_resident_page_is_mapped_without_the_module() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    drop(MappingBuilder::shared().populate().map(&pool).unwrap());
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let trace = record(|turn| read(&mapping, turn * 64));
    assert_order(&trace, RESIDENT_FAULT_CHAIN);
    assert!(!trace.enters_module_from("handle_mm_fault"), "{trace}");
    assert_eq!(trace.count("__do_fault"), 0, "{trace}");
}

#[test]
fn a_private_write_copies_the_page_that_was_read() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    drop(MappingBuilder::shared().populate().map(&pool).unwrap());
    let mapping = MappingBuilder::private().map(&pool).unwrap();
    let trace = record(|turn| {
        read(&mapping, turn * 64)?;
        write(&mapping, turn * 64)
    });
    assert_order(&trace, RESIDENT_FAULT_CHAIN);
    assert_order(
        &trace,
        &["filemap_map_pages", "handle_mm_fault", "do_wp_page"],
    );
    assert!(!trace.enters_module_from("handle_mm_fault"), "{trace}");
}

#[test]
fn the_page_on_call_chains_names_every_step() {
    for name in [MMAP_CHAIN, FIRST_FAULT_CHAIN, RESIDENT_FAULT_CHAIN].concat() {
        assert!(
            PAGE_ON_IT.contains(name),
            "{name} is not in docs/call-chains.md"
        );
    }
}

fn read(mapping: &Mapping, page: usize) -> Result<(), Failure> {
    word(mapping, page * PAGE).map(drop)
}

fn write(mapping: &Mapping, page: usize) -> Result<(), Failure> {
    put_word(mapping, page * PAGE, "new")
}
