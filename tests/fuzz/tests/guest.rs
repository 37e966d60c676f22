// SPDX-License-Identifier: MIT OR GPL-2.0

//! In the guest: a short run of each mode, and every sequence of the corpus. On pools in memory, on memfds,
//! and on pools that a block device backs.
//!
//! needs: `scratch=512M insmod=dm-mod nodes=2 mem=2048M append=movablecore=1024M timeout=900`

mod runs;

use mmap_pool_fuzz::model::{Behind, Home, Kind};
use mmap_pool_fuzz::storage;

fn kinds() -> Vec<Kind> {
    let mut kinds = Kind::all();
    let can_make = |behind| behind == Behind::Device && storage::can_make(behind);
    kinds.retain(|kind| kind.behind().is_none_or(can_make));
    kinds
}

fn of_home(home: Home) -> Vec<Kind> {
    let mut kinds = kinds();
    kinds.retain(|kind| kind.home() == home);
    kinds
}

#[test]
fn every_answer_is_the_predicted_one() {
    runs::predict(of_home(Home::Memory), 12_000);
}

/// needs: `config=CONFIG_BLK_DEV_DM`
#[test]
fn every_answer_of_pools_on_a_device_is_the_predicted_one() {
    runs::predict(of_home(Home::Storage), 500);
}

#[test]
fn every_answer_is_the_predicted_one_while_the_kernel_acts() {
    let nr_moved = runs::predict_while_the_kernel_acts(of_home(Home::Memory), 12_000, 1000);
    assert!(nr_moved > 0, "no page has moved");
}

/// needs: `config=CONFIG_BLK_DEV_DM`
#[test]
fn every_answer_of_pools_on_a_device_is_the_predicted_one_while_the_kernel_acts() {
    // On a fast machine this run may end before a page moves.
    runs::predict_while_the_kernel_acts(of_home(Home::Storage), 1_000, 500);
}

#[test]
fn a_race_leaves_nothing_behind() {
    runs::race(of_home(Home::Memory), 12_000);
}
