// SPDX-License-Identifier: MIT OR GPL-2.0

//! The module's parameters, each over its whole range.

use mmap_pool::{Errno, Pool};
use mmap_pool_tests::machine::pages_of_mib;
use mmap_pool_tests::module::{self, FreshModule, LoadError};
use mmap_pool_tests::subject::size;

// A warning of the kernel while it loads is found by the harness.
#[test]
fn the_reserve_may_have_any_size_up_to_the_machines_memory() {
    let memory = memory_mib();
    for mib in [0, 1, 2, 15, 16, 17, memory / 2, memory - 1, memory] {
        let module = FreshModule::load(&format!("size_mb=1 reserve_mb={mib}")).unwrap();
        let pool = Pool::open().unwrap();
        // Whatever it has by now, pages are there.
        pool.prefault(0, size() as u64).unwrap();
        let stat = pool.stat().unwrap();
        assert!(
            stat.nr_reserve_pages <= pages_of_mib(4 * mib),
            "reserve_mb={mib}: {stat:?}"
        );
        drop(pool);
        module.unload().unwrap();
    }
    let without = module::without_module().unwrap();
    for mib in [memory + 1, 2 * memory, u64::MAX >> 20, u64::MAX] {
        let loaded = module::load(&format!("size_mb=1 reserve_mb={mib}"));
        assert_eq!(loaded, Err(LoadError(Errno::INVAL)), "reserve_mb={mib}");
    }
    drop(without);
}

#[test]
fn sizes_and_limits_may_be_anything_up_to_the_machines_memory() {
    let memory = memory_mib();
    for mib in [1, 2, memory / 2, memory] {
        for parameters in [
            format!("size_mb={mib}"),
            format!("size_mb=1 limit_mb={mib}"),
        ] {
            let module = FreshModule::load(&parameters).unwrap();
            Pool::open().unwrap().prefault(0, size() as u64).unwrap();
            module.unload().unwrap();
        }
    }
}

/// The machine's memory, in whole MiB.
fn memory_mib() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = total
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib >> 10
}
