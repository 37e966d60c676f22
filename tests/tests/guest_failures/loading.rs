// SPDX-License-Identifier: MIT OR GPL-2.0

//! Loading the module, with a failure in each possible place.

use mmap_pool::{Errno, Pool};
use mmap_pool_tests::failures::Switch;
use mmap_pool_tests::module::{has_node, is_loaded, load, unload, without_module};

#[test]
fn loading_the_module() {
    let _without = without_module().unwrap();
    let switch = Switch::new().unwrap();
    for nth in 1.. {
        let (loaded, has_failed) = switch
            .fail_nth(nth, || load("size_mb=1 reserve_mb=1"))
            .unwrap();
        match loaded {
            Ok(()) => {
                // What failed was not needed.
                Pool::open().unwrap().write_all_at(b"works", 0).unwrap();
                unload().unwrap();
            }
            Err(error) => {
                assert!(has_failed, "{error} without a failure");
                assert!(
                    [Errno::NOMEM, Errno::FAULT].contains(&error.0),
                    "failure {nth}: {error}"
                );
            }
        }
        assert!(!is_loaded().unwrap() && !has_node(), "failure {nth}");
        if !has_failed {
            break;
        }
    }
}
