// SPDX-License-Identifier: MIT OR GPL-2.0

//! Selftests of the kernel, `tools/testing/selftests/mm`: those that take a path, and two whose memory
//! a preloaded library makes pools.

use mmap_pool::Strategy;

use crate::given::{compiled, run, try_run, Given};
use crate::on_both;

on_both! {
    8 transhuge_stress_maps_advises_and_looks;
    8 pfnmap_finds_ordinary_memory;
    16 gup_test_pins_pages;
}

fn transhuge_stress_maps_advises_and_looks(given: &Given) {
    let said = run(given
        .program(&compiled("transhuge-stress"))
        .args(["-f", given.path, "-d", "1", "4"]));
    assert!(said.contains("ok 1 Completed"), "{said}");
}

/// That test is about mappings without `struct page`, and skips all others. A pool's memory is
/// ordinary, so that is right; what remains is that it opens and maps the pool.
fn pfnmap_finds_ordinary_memory(given: &Given) {
    const SKIPPED: Option<i32> = Some(4);
    let (status, said) = try_run(given.program(&compiled("pfnmap")).args(["--", given.path]));
    assert_eq!(status, SKIPPED, "{said}");
    let reason = format!("Invalid file: '{}'. Not pfnmap'ed", given.path);
    assert!(said.contains(&reason), "{said}");
}

/// needs: `config=CONFIG_GUP_TEST`
fn gup_test_pins_pages(given: &Given) {
    // Get and pin, for short and for long, one by one and all at once.
    for how in ["-u", "-U", "-a", "-b", "-L"] {
        for sharing in ["-S", "-w"] {
            let said = run(given
                .program(&compiled("gup_test"))
                .args(["-f", given.path, "-m", "8", "-n", "-1", how, sharing]));
            assert!(said.contains("pass:1 fail:0"), "{how} {sharing}:\n{said}");
            assert!(!said.contains("runcated"), "{how} {sharing}:\n{said}");
        }
    }
}

/// The one row that fails is about the kernel's page of zeros, which is in no pool.
///
/// needs: `config=CONFIG_USERFAULTFD_RWP`
#[test]
fn pagemap_ioctl_finds_the_writes_to_pools() {
    for strategy in [Strategy::Auto, Strategy::Huge] {
        let said = with_pools_as_memory("pagemap_ioctl", strategy);
        let failed = failed(&said);
        assert!(
            matches!(failed[..], [row] if row.ends_with("all huge pages must have PFNZERO set")),
            "{strategy:?}:\n{said}"
        );
        assert!(said.contains("ok 42 Large Page testing"), "{said}");
    }
}

/// The test wants folios of each size. A pool has some of them, and what fails is to get the others.
///
/// needs: `config=CONFIG_USERFAULTFD_RWP`
#[test]
fn uffd_wp_mremap_finds_protected_pages_where_they_were_moved() {
    let said = with_pools_as_memory("uffd-wp-mremap", Strategy::Huge);
    for row in failed(&said) {
        assert!(row.ends_with("alloc_one_folio() failed"), "{said}");
    }
    let huge = "test_one_folio(size=2097152, private=";
    for row in [
        "true, swapout=false",
        "true, swapout=true",
        "false, swapout=false",
        "false, swapout=true",
    ] {
        let row = format!("{huge}{row}, hugetlb=false)");
        let is_ok = |line: &str| line.starts_with("ok ") && line.ends_with(&row);
        assert!(said.lines().any(is_ok), "{row}:\n{said}");
    }
}

/// Runs the selftest, whose memory becomes pools, and returns what it says.
fn with_pools_as_memory(program: &str, strategy: Strategy) -> String {
    let mut said = String::new();
    Given::node(1, |given| {
        let mut command = given.program("env");
        command
            .args(["-C", "/tmp"])
            .arg(format!("LD_PRELOAD={}", compiled("pooled.so")))
            .arg(format!("POOLED={}", strategy as u32))
            .arg(compiled(program));
        (_, said) = try_run(&mut command);
    });
    assert!(said.contains("# Totals: pass:"), "{said}");
    said
}

/// The rows of a selftest that failed.
fn failed(said: &str) -> Vec<&str> {
    let is_failed = |line: &&str| line.starts_with("not ok ");
    said.lines().filter(is_failed).collect()
}
