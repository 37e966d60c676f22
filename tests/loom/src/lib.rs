// SPDX-License-Identifier: GPL-2.0

//! Tests of the module's concurrent code with `loom`: every order of its atomic operations, and every
//! value that a relaxed load may return.
//!
//! Some files of `src/` use only the atomics of the `kernel` crate. They are compiled here
//! unchanged: the module `sync` below replaces `kernel::sync`, and uses `loom`'s atomics. Code that
//! depends on other atomics of the kernel has a model here, in a file of its own.

#![cfg(test)]

extern crate self as kernel;

mod seals;

#[expect(
    clippy::struct_field_names,
    dead_code,
    reason = "the kernel's lints apply to this file, and the tests use only a part of it"
)]
#[path = "../../../src/totals.rs"]
mod totals;
#[expect(
    clippy::cast_possible_truncation,
    clippy::precedence,
    dead_code,
    reason = "the kernel's lints apply to this file, and the tests use only a part of it"
)]
#[path = "../../../src/uapi.rs"]
mod uapi;

/// Replaces `kernel::sync`.
mod sync {
    /// Replaces `kernel::sync::atomic`.
    pub mod atomic {
        use loom::sync::atomic::{AtomicU64, Ordering};
        use std::sync::OnceLock;

        /// The relaxed order: it orders no other operation.
        pub struct Relaxed;

        /// Creates `loom`'s atomic at its first use, because `loom` has no constant constructor.
        pub struct Atomic<T>(T, OnceLock<AtomicU64>);

        impl Atomic<u64> {
            pub const fn new(value: u64) -> Self {
                Self(value, OnceLock::new())
            }

            fn get(&self) -> &AtomicU64 {
                self.1.get_or_init(|| AtomicU64::new(self.0))
            }

            pub fn load(&self, _: Relaxed) -> u64 {
                self.get().load(Ordering::Relaxed)
            }

            pub fn store(&self, value: u64, _: Relaxed) {
                self.get().store(value, Ordering::Relaxed);
            }

            pub fn add(&self, value: u64, _: Relaxed) {
                self.get().fetch_add(value, Ordering::Relaxed);
            }

            pub fn fetch_add(&self, value: u64, _: Relaxed) -> u64 {
                self.get().fetch_add(value, Ordering::Relaxed)
            }

            pub fn cmpxchg(&self, old: u64, new: u64, _: Relaxed) -> Result<u64, u64> {
                let relaxed = Ordering::Relaxed;
                self.get().compare_exchange(old, new, relaxed, relaxed)
            }
        }
    }
}

mod tests {
    use super::totals::Totals;
    use loom::sync::Arc;
    use loom::thread;

    fn limited(nr_pages: u64) -> Arc<Totals> {
        let totals = Totals::new();
        totals.set_limit(nr_pages);
        // The first use of each counter creates it.
        assert_eq!(totals.stat().nr_resident_pages, 0);
        Arc::new(totals)
    }

    fn resident(totals: &Totals) -> u64 {
        totals.stat().nr_resident_pages
    }

    /// Runs `a` and `b` on the totals at the same time, then `look`.
    fn at_once(
        nr_limit_pages: u64,
        a: fn(&Totals) -> u64,
        b: fn(&Totals) -> u64,
        look: fn(&Totals, u64, u64),
    ) {
        loom::model(move || {
            let totals = limited(nr_limit_pages);
            let other = thread::spawn({
                let totals = totals.clone();
                move || b(&totals)
            });
            let a = a(&totals);
            let b = other.join().unwrap();
            look(&totals, a, b);
        });
    }

    /// Charges and keeps the pages. Returns their number, or 0 if the charge is refused.
    fn keep(totals: &Totals, nr_pages: u16) -> u64 {
        match totals.charge(nr_pages.into()) {
            Some(charge) => {
                charge.keep();
                nr_pages.into()
            }
            None => 0,
        }
    }

    #[test]
    fn two_charges_within_the_limit_both_succeed() {
        at_once(
            3,
            |totals| keep(totals, 1),
            |totals| keep(totals, 2),
            |totals, a, b| assert_eq!((a, b, resident(totals)), (1, 2, 3)),
        );
    }

    #[test]
    fn of_two_charges_beyond_the_limit_one_succeeds() {
        at_once(
            3,
            |totals| keep(totals, 2),
            |totals| keep(totals, 2),
            |totals, a, b| assert_eq!((a + b, resident(totals)), (2, 2)),
        );
    }

    #[test]
    fn a_refused_charge_takes_no_pages_from_others() {
        at_once(
            1,
            |totals| keep(totals, 2),
            |totals| keep(totals, 1),
            |totals, a, b| assert_eq!((a, b, resident(totals)), (0, 1, 1)),
        );
    }

    #[test]
    fn pages_given_back_can_be_charged_again() {
        fn back_and_forth(totals: &Totals) -> u64 {
            let nr_pages = keep(totals, 2);
            totals.uncharge(usize::try_from(nr_pages).unwrap());
            drop(totals.charge(1));
            nr_pages
        }
        at_once(3, back_and_forth, back_and_forth, |totals, _, _| {
            assert_eq!(resident(totals), 0);
            assert!(totals.charge(3).is_some());
        });
    }
}
