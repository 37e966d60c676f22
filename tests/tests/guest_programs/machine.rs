// SPDX-License-Identifier: MIT OR GPL-2.0

//! QEMU boots a machine whose memory is a pool.

use mmap_pool_tests::program::boots_in;

use crate::given::{run, Given};
use crate::on_both;

on_both! {
    256 a_guest_boots_in_it;
}

fn a_guest_boots_in_it(given: &Given) {
    for text in boots_in(&given.pool, given.path) {
        run(given
            .program("grep")
            .args(["-a", "-q", "-F", &text, given.path]));
    }
    let info = given.pool.info().unwrap();
    assert!(info.nr_resident_pages > 1024, "{info:?}");
}
