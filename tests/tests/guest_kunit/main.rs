// SPDX-License-Identifier: MIT OR GPL-2.0

//! The results of the module's `KUnit` tests. The kernel runs them when the module is loaded.
//!
//! needs: `config=CONFIG_KUNIT append=kunit.enable=1`

use std::collections::BTreeSet;
use std::fs;

use mmap_pool_tests::module::fresh_module;

const RESULTS: &str = "/sys/kernel/debug/kunit";
const PREFIX: &str = "mmap_pool_";

macro_rules! suites {
    ($($suite:ident)*) => {
        const SUITES: &[&str] = &[$(stringify!($suite)),*];

        $(
            #[test]
            fn $suite() {
                passes(stringify!($suite));
            }
        )*
    };
}

suites! { copy policies pool reserve strategy totals }

/// Every test of the suite ran and passed.
fn passes(suite: &str) {
    let _module = fresh_module();
    let path = format!("{RESULTS}/{PREFIX}{suite}/results");
    let results = fs::read_to_string(path).unwrap();
    // The plan, `1..4`, of the suite itself is indented, as are its results.
    let planned = results
        .lines()
        .filter(|line| line.starts_with("    "))
        .find_map(|line| line.trim().strip_prefix("1..")?.parse().ok())
        .unwrap_or(0);
    let passed = results
        .lines()
        .filter(|line| line.starts_with("    ok ") && !line.contains("# SKIP"))
        .count();
    assert!(planned > 0 && passed == planned, "{results}");
}

#[test]
fn these_are_all_suites() {
    let _module = fresh_module();
    let found: BTreeSet<String> = fs::read_dir(RESULTS)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_prefix(PREFIX)?.into()))
        .collect();
    assert_eq!(found, SUITES.iter().map(ToString::to_string).collect());
}
