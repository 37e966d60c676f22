// SPDX-License-Identifier: MIT OR GPL-2.0

//! The calls of the kernel on `mmap` and on faults, recorded. `docs/call-chains.md` explains them.

use mmap_pool::{Mapping, MappingBuilder, Pool};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::observe::{full_reserve, put_word, word};
use mmap_pool_tests::subject::page_size;
use mmap_pool_tests::trace::Trace;
use mmap_pool_tests::Failure;

const PAGE_ON_IT: &str = include_str!("../../../docs/call-chains.md");
const FIGURE: &str = include_str!("../../../docs/pictures/fault.svg");
const README: &str = include_str!("../../../README.md");
/// The crate root of the module.
const ROOT: &str = include_str!("../../../src/mmap_pool_main.rs");
/// The files of the module that the page names.
const MODULE: [(&str, &str); 3] = [
    ("device.rs", include_str!("../../../src/device.rs")),
    ("pool/fault.rs", include_str!("../../../src/pool/fault.rs")),
    ("reserve.rs", include_str!("../../../src/reserve.rs")),
];

/// The entry of the system call. Its name has the architecture.
const ENTRY: &str = if cfg!(target_arch = "x86_64") {
    "__x64_sys_mmap"
} else {
    "__arm64_sys_mmap"
};

/// The functions that are recorded.
const FUNCTIONS: &[&str] = &[
    ENTRY,
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
    "__filemap_get_folio_mpol",
    "folio_alloc_noprof",
    "filemap_add_folio",
    "finish_fault",
    "set_pte_range",
    "do_wp_page",
    "folio_unlock",
];

/// Functions that some kernels lack: a kernel without security modules calls no hook, and the
/// compiler may inline small functions.
const NOT_EVERYWHERE: &[&str] = &[
    "security_mmap_file",
    "vma_interval_tree_insert",
    "do_fault",
    "folio_alloc_noprof",
];

/// The order in which `mmap` works: the file, the permission, the place, the area, the driver, the
/// link.
const MMAP_CHAIN: &[&str] = &[
    ENTRY,
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

/// A fault on a page that the pool does not have yet, while the reserve has folios.
const FIRST_FAULT_CHAIN: &[&str] = &[
    "lock_vma_under_rcu",
    "handle_mm_fault",
    "do_fault",
    "__do_fault",
    "__filemap_get_folio_mpol",
    "filemap_add_folio",
    "finish_fault",
    "set_pte_range",
    "folio_unlock",
];

/// The same fault when the reserve is empty.
const UNRESERVED_FAULT_CHAIN: &[&str] = &[
    "lock_vma_under_rcu",
    "handle_mm_fault",
    "do_fault",
    "__do_fault",
    "__filemap_get_folio_mpol",
    "folio_alloc_noprof",
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
                .len(page_size())
                .offset((turn * page_size()) as u64)
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
fn a_first_touch_looks_up_takes_from_the_reserve_adds_and_maps() {
    let trace = first_touches(4, FIRST_FAULT_CHAIN);
    assert!(trace
        .iter()
        .all(|trace| trace.count("folio_alloc_noprof") == 0));
}

#[test]
fn a_first_touch_without_a_reserve_looks_up_allocates_adds_and_maps() {
    first_touches(0, UNRESERVED_FAULT_CHAIN);
}

/// Records a read and a write of a new page, with a full reserve of so many MiB.
fn first_touches(reserve_mb: u64, chain: &[&str]) -> [Trace; 2] {
    [(read as fn(&_, _) -> _, 1), (write, 0)].map(|(access, reads)| {
        let parameters = format!("size_mb=1 reserve_mb={reserve_mb}");
        let _module = FreshModule::load(&parameters).unwrap();
        let pool = Pool::open().unwrap();
        full_reserve(reserve_mb).unwrap();
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let trace = record(|turn| access(&mapping, turn * 64));
        assert_order(&trace, chain);
        assert!(trace.enters_module_from("__do_fault"), "{trace}");
        // Fault-around is for reads only.
        assert_eq!(trace.count("filemap_map_pages"), reads, "{trace}");
        assert_eq!(trace.count("filemap_add_folio"), 1, "{trace}");
        trace
    })
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

/// The page and the sources name the functions of the module where they are.
#[test]
fn the_page_on_call_chains_names_functions_where_they_are() {
    for (file, function) in [
        ("device.rs", "PoolFile::mmap"),
        ("pool/fault.rs", "PoolVmOps::fault"),
        ("pool/fault.rs", "Inode::get_folio"),
        ("pool/fault.rs", "Inode::add_folio"),
        ("reserve.rs", "Reserve::folio"),
    ] {
        let is_named = PAGE_ON_IT
            .lines()
            .any(|line| line.contains(file) && line.contains(function));
        assert!(is_named, "{file}, {function} is not in docs/call-chains.md");
        let (_, method) = function.split_once("::").unwrap();
        let source = MODULE.iter().find(|(name, _)| *name == file).unwrap().1;
        assert!(
            source.contains(&format!("fn {method}(")),
            "{function} is not in src/{file}"
        );
    }
    for text in [ROOT, README] {
        assert!(text.contains("pool/fault.rs"), "it names another file");
    }
}

#[test]
fn the_page_on_call_chains_names_every_step() {
    let chains = [
        MMAP_CHAIN,
        FIRST_FAULT_CHAIN,
        UNRESERVED_FAULT_CHAIN,
        RESIDENT_FAULT_CHAIN,
    ];
    for name in chains.concat() {
        assert!(
            PAGE_ON_IT.contains(name),
            "{name} is not in docs/call-chains.md"
        );
    }
}

/// The figure shows the chain of a first touch.
#[test]
fn the_figure_of_a_fault_has_every_step_in_order() {
    let mut rest = FIGURE;
    for name in FIRST_FAULT_CHAIN {
        let title = format!("<title>{name}: ");
        let Some((_, after)) = rest.split_once(&*title) else {
            panic!("{name} is not where it should be: run make pictures");
        };
        rest = after;
    }
}

fn read(mapping: &Mapping, page: usize) -> Result<(), Failure> {
    word(mapping, page * page_size()).map(drop)
}

fn write(mapping: &Mapping, page: usize) -> Result<(), Failure> {
    put_word(mapping, page * page_size(), "new")
}
