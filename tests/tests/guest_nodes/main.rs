// SPDX-License-Identifier: MIT OR GPL-2.0

//! Tests on two memory nodes. The kernel moves and splits the pages of a pool while a program
//! writes to it with `write(2)`; `mmap-pool-lost-writes` does this for any length of time. Memory
//! policies decide the node of each page.
//!
//! needs: `nodes=2 mem=2048M append=movablecore=1024M timeout=600`

mod policy;
mod undo;

use mmap_pool::Strategy;
use mmap_pool_tests::lost_writes::{count, Act, Object, Until};
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::observe::vmstat;

const OBJECTS: [Object; 4] = [
    Object::Pool(Strategy::Page),
    Object::Pool(Strategy::Around),
    Object::Pool(Strategy::Huge),
    Object::Memfd,
];

#[test]
fn no_write_is_lost_while_the_frame_goes_out_of_use() {
    // Whatever the strategy was, the kernel splits a folio before it moves the page that it wants.
    no_write_is_lost(Act::SoftOffline, [1000, 100, 100, 100]);
}

#[test]
fn no_write_is_lost_while_the_folio_moves_to_another_node() {
    no_write_is_lost(Act::MovePages, [200, 200, 50, 100]);
}

#[test]
fn no_write_is_lost_while_the_folio_is_split() {
    let nr_split = || vmstat().unwrap()["thp_split_page"];
    let before = nr_split();
    // Most of the times there is nothing to split any more.
    no_write_is_lost(Act::Split, [100, 10_000, 10_000, 100]);
    assert!(nr_split() > before);
}

/// Makes the kernel act so often on each object.
fn no_write_is_lost(act: Act, nr_acts: [usize; 4]) {
    assert_eq!(act.is_missing(), None);
    let _module = fresh_module();
    for (object, nr_acts) in OBJECTS.into_iter().zip(nr_acts) {
        let tally = count(object, act, Until::Acts(nr_acts)).unwrap();
        println!("{object:?} {act:?}: {tally}");
        assert!(tally.nr_writes > 0 && tally.nr_acts >= nr_acts);
        assert_eq!(tally.nr_lost, 0, "{object:?} {act:?}: {tally}");
    }
}
