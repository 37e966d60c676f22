// SPDX-License-Identifier: MIT OR GPL-2.0

//! In the guest: a short run of each mode, and every sequence of the corpus, on pools that a file of ext4
//! backs.
//!
//! needs: `config=CONFIG_BLK_DEV_DM disk scratch=512M insmod=dm-mod nodes=2 mem=2048M append=movablecore=1024M timeout=900`

mod runs;

use mmap_pool_fuzz::model::{Behind, Kind, Tracking};

fn kinds() -> Vec<Kind> {
    let mut kinds = Kind::all();
    kinds.retain(|kind| kind.behind() == Some(Behind::Ext4));
    kinds
}

#[test]
fn every_answer_of_pools_on_ext4_is_the_predicted_one() {
    runs::predict(kinds(), 500);
}

#[test]
fn every_answer_of_pools_on_ext4_is_the_predicted_one_while_the_kernel_acts() {
    // On a fast machine this run may end before a page moves.
    runs::predict_while_the_kernel_acts(kinds(), 1_000, 500);
}

#[test]
fn a_race_on_ext4_leaves_nothing_behind() {
    runs::race(vec![Kind::Backed(Behind::Ext4, Tracking::Exact)], 4_000);
}
