// SPDX-License-Identifier: MIT OR GPL-2.0

//! The examples in C and Python. Each creates a pool.

use crate::given::{compiled, run, Given};

const SAID: &str = "hello, and 1 of 256 pages hold memory\n";

#[test]
fn the_example_in_c_creates_and_maps_a_pool() {
    Given::node(1, |given| {
        assert_eq!(run(&mut given.program(&compiled("create_and_map"))), SAID);
    });
}

#[test]
fn the_example_in_python_does_the_same() {
    Given::node(1, |given| {
        let text = include_str!("../../../examples/create_and_map.py");
        assert_eq!(run(given.program("python3").args(["-c", text])), SAID);
    });
}
