// SPDX-License-Identifier: MIT OR GPL-2.0

//! Selftests of the kernel, `tools/testing/selftests/mm`: those that take a path.

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
