// SPDX-License-Identifier: MIT OR GPL-2.0

//! Short runs, and every sequence of the corpus, on the kinds of the target.

use mmap_pool_fuzz::disturb::{self, Hand};
use mmap_pool_fuzz::generate::Theme;
use mmap_pool_fuzz::model::Kind;
use mmap_pool_fuzz::{oracle, race, world};

/// Makes a test of each file of the corpus.
macro_rules! corpus {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("../../corpus/", stringify!($name), ".ops"));
            let sequence = text.parse().unwrap();
            for kind in crate::kinds() {
                let outcome = world::run(kind, &sequence, None, None).unwrap();
                assert_eq!(outcome.difference, None);
                assert!(outcome.nr_ops > 0);
            }
        }
    )*};
}

corpus! {
    a_copy_across_the_end_of_a_sealed_object
    a_free_place_without_room_beside_it
    a_failed_write_past_the_end_leaves_the_size
    a_private_mapping_ends_with_the_pool
    a_refused_zero_range_zeroes_nothing
    a_revoked_pool_may_be_mapped_beside_itself
    a_write_of_nothing_marks_no_page
    a_write_seal_holds_through_every_descriptor
    an_error_is_told_once_by_each_file
    moving_pages_keeps_private_copies
    part_of_a_huge_page_leaves_an_eager_pool
    punching_spares_copies_of_another_process
    punching_within_pages_zeroes_them
    shrinking_frees_what_is_past_the_end
}

pub(crate) fn predict(kinds: Vec<Kind>, nr_ops: u64) {
    let plan = oracle::Plan {
        seed: 1,
        nr_ops,
        limit: None,
        length: 200,
        theme: Theme::Calls,
        kinds,
    };
    carry_out(&plan, None);
}

/// Returns the number of pages that the kernel has moved.
pub(crate) fn predict_while_the_kernel_acts(kinds: Vec<Kind>, nr_ops: u64, length: usize) -> u64 {
    let plan = oracle::Plan {
        seed: 3,
        nr_ops,
        limit: None,
        length,
        theme: Theme::Bytes,
        kinds,
    };
    let hand = Hand::start(plan.seed, &disturb::all_acts()).unwrap();
    carry_out(&plan, Some(&hand));
    hand.nr_moved_pages()
}

/// Every answer of the plan is the predicted one.
fn carry_out(plan: &oracle::Plan, hand: Option<&Hand>) {
    let report = oracle::carry_out(plan, hand, |_| {}).unwrap();
    if let Some(hand) = hand {
        println!("{hand}");
    }
    if let Some(found) = report.found {
        panic!("a difference:\n{found}");
    }
    assert!(report.nr_ops >= plan.nr_ops);
}

pub(crate) fn race(kinds: Vec<Kind>, nr_ops: u64) {
    let plan = race::Plan {
        seed: 1,
        nr_ops,
        limit: None,
        kinds,
    };
    assert!(race::carry_out(&plan, None, |_| {}).unwrap() >= plan.nr_ops);
}
