// SPDX-License-Identifier: MIT OR GPL-2.0

//! Programs that test memory: memtester, stress-ng.
//!
//! Both work on a device: memtester refuses other files, and stress-ng makes the files of its other
//! stressors itself. A preloaded library makes the memory of stress-ng pools.

use std::process::Stdio;

use mmap_pool::Strategy;

use crate::given::{compiled, run, Given};

#[test]
fn memtester_finds_no_fault() {
    Given::node(4, |given| {
        let said = run(given
            .program("memtester")
            .args(["-p", "0", "-d", given.path, "1M", "1"]));
        assert!(said.ends_with("Done.\n"), "{said}");
        assert_eq!(given.pool.info().unwrap().nr_resident_pages, 256);
    });
}

/// Four threads at once open, map, poll, seek, ask and close, in every order.
#[test]
fn stress_ng_finds_a_device_that_bears_everything() {
    Given::node(4, |given| {
        let said = run(given
            .program("stress-ng")
            .args(["--dev", "2", "--dev-file", given.path])
            .args(["--dev-ops", "50", "--timeout", "10", "--verify"]));
        assert!(
            said.contains("1 of 1 devices opened and exercised"),
            "{said}"
        );
        assert!(said.contains("passed: 2: dev (2)"), "{said}");
    });
}

/// Pattern after pattern, in memory that is a pool of each strategy.
#[test]
fn stress_ng_finds_every_pattern_in_memory_that_is_a_pool() {
    for strategy in Strategy::ALL {
        Given::node(1, |given| {
            let mut command = given.program("stress-ng");
            command
                .env("LD_PRELOAD", compiled("pooled.so"))
                .env("POOLED", (strategy as u32).to_string())
                .args(["--vm", "1", "--vm-bytes", "4M", "--vm-ops", "1000"])
                .args(["--timeout", "120", "--verify"])
                .stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut nr_pools = 0;
            while child.try_wait().unwrap().is_none() {
                nr_pools = nr_pools.max(given.pool.stat().unwrap().nr_pools);
            }
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{strategy:?}: {said}");
            assert!(said.contains("passed: 1: vm (1)"), "{strategy:?}: {said}");
            assert!(nr_pools > 1, "{strategy:?}: its memory is no pool");
        });
    }
}
