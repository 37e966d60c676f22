// SPDX-License-Identifier: MIT OR GPL-2.0

//! Python's `mmap` module.

use crate::given::{run, Given};
use crate::on_both;

/// Each function of `python.py` is a test.
macro_rules! functions {
    ($($name:ident)*) => {
        on_both! { $(1 $name;)* }
        $(
            fn $name(given: &Given) {
                call(given, stringify!($name));
            }
        )*
    };
}

functions! {
    length_zero_maps_all
    longer_than_the_file
    access_read
    access_write
    access_copy
    with_an_offset
    finding_and_moving
    as_a_file
    flushing_and_advising
    resizing
    a_child_shares_it
}

fn call(given: &Given, function: &str) {
    run(given
        .program("python3")
        .args(["-c", include_str!("python.py"), function, given.path]));
}
