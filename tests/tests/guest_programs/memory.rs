// SPDX-License-Identifier: MIT OR GPL-2.0

//! Programs that test memory: memtester, stress-ng.
//!
//! Both want a device. memtester refuses all other files; stress-ng makes the files of its other
//! stressors itself.

use crate::given::{run, Given};

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
