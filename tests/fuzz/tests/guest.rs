// SPDX-License-Identifier: MIT OR GPL-2.0

//! In the guest: a short run of each mode, and what was found before.

use std::thread;
use std::time::Duration;

use mmap_pool::Pool;
use mmap_pool_fuzz::generate::generate;
use mmap_pool_fuzz::model::Kind;
use mmap_pool_fuzz::{oracle, race, world};
use mmap_pool_tests::observe::{nr_free_pages, slope};

/// Every file of the corpus: its name and what it says.
macro_rules! corpus {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("../corpus/", stringify!($name), ".ops"));
            let sequence = text.parse().unwrap();
            for kind in Kind::ALL {
                let outcome = world::run(kind, &sequence, None).unwrap();
                assert_eq!(outcome.difference, None);
                assert!(outcome.nr_ops > 0);
            }
        }
    )*};
}

corpus! {
    a_failed_write_past_the_end_leaves_the_size
    a_private_mapping_ends_with_the_pool
    a_refused_zero_range_zeroes_nothing
    a_revoked_pool_may_be_mapped_beside_itself
    a_write_seal_holds_through_every_descriptor
    moving_pages_keeps_private_copies
    part_of_a_huge_page_leaves_an_eager_pool
    punching_spares_copies_of_another_process
    punching_within_pages_zeroes_them
    shrinking_frees_what_is_past_the_end
}

#[test]
fn every_answer_is_the_predicted_one() {
    let plan = oracle::Plan {
        seed: 1,
        nr_ops: 12_000,
        limit: None,
        length: 200,
        kinds: Kind::ALL.to_vec(),
    };
    let report = oracle::carry_out(&plan, |_| {}).unwrap();
    if let Some(found) = report.found {
        panic!("a difference; as a file for tests/fuzz/corpus:\n{found}");
    }
    assert!(report.nr_ops >= plan.nr_ops);
}

#[test]
fn all_at_once_leaves_nothing_behind() {
    let plan = race::Plan {
        seed: 1,
        nr_ops: 12_000,
        limit: None,
    };
    assert!(race::carry_out(&plan, |_| {}).unwrap() >= plan.nr_ops);
}

#[test]
fn the_same_operations_cost_no_memory() {
    const NR_WARM_UP: usize = 3;
    const NR_CYCLES: usize = 8;
    // The last of them is about huge pages.
    let sequences: Vec<_> = (12..16).map(|seed| generate(seed, 200)).collect();

    let cycle = || {
        for sequence in &sequences {
            for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::Memfd) {
                let outcome = world::run(kind, sequence, None).unwrap();
                assert_eq!(outcome.difference, None);
            }
        }
        nr_pages_at_hand()
    };
    for _ in 0..NR_WARM_UP {
        cycle();
    }
    let at_hand: Vec<_> = (0..NR_CYCLES).map(|_| cycle()).collect();
    let lost = -slope(&at_hand);
    assert!(lost < 8.0, "{lost} pages lost per cycle; {at_hand:?}");
}

/// Free pages and those of the reserve, when the reserve neither grows nor shrinks.
fn nr_pages_at_hand() -> i64 {
    let nr_reserve_pages = || Pool::open().unwrap().stat().unwrap().nr_reserve_pages;
    let mut reserve = None;
    while reserve != Some(nr_reserve_pages()) {
        reserve = Some(nr_reserve_pages());
        thread::sleep(Duration::from_millis(50));
    }
    nr_free_pages().unwrap() + i64::try_from(nr_reserve_pages()).unwrap()
}
