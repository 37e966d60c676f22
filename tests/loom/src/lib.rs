// SPDX-License-Identifier: GPL-2.0

//! The module's concurrent logic in every order that its atomic operations can have, and with every
//! value that a relaxed load may return.
//!
//! The files of `src/` that use nothing of the kernel but its atomics are compiled here as they are,
//! with what stands in for `kernel` below, and with `loom`'s atomics. What depends on the kernel's own
//! atomics is a model, in a file of its own.

#![cfg(test)]

extern crate self as kernel;

mod seals;

#[expect(
    clippy::struct_field_names,
    dead_code,
    reason = "the kernel's lints apply to this file, and not all of it is of use here"
)]
#[path = "../../../src/totals.rs"]
mod totals;
#[expect(
    clippy::cast_possible_truncation,
    clippy::precedence,
    dead_code,
    reason = "the kernel's lints apply to this file, and not all of it is of use here"
)]
#[path = "../../../src/uapi.rs"]
mod uapi;

/// `kernel::sync`.
mod sync {
    /// `kernel::sync::atomic`.
    pub mod atomic {
        use loom::sync::atomic::{AtomicU64, Ordering};
        use std::sync::OnceLock;

        /// Says that an operation orders nothing else.
        pub struct Relaxed;

        /// The atomic itself is made when it is first used, since `loom` makes none in a constant.
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
        // Asking makes all of them.
        assert_eq!(totals.stat().nr_resident_pages, 0);
        Arc::new(totals)
    }

    fn resident(totals: &Totals) -> u64 {
        totals.stat().nr_resident_pages
    }

    /// Does `a` and `b` at the same time, each on the totals, and then looks.
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

    /// Charges and keeps the pages; returns how many it got.
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
    fn two_get_what_there_is_for_two() {
        at_once(
            3,
            |totals| keep(totals, 1),
            |totals| keep(totals, 2),
            |totals, a, b| assert_eq!((a, b, resident(totals)), (1, 2, 3)),
        );
    }

    #[test]
    fn one_gets_what_there_is_for_one() {
        at_once(
            3,
            |totals| keep(totals, 2),
            |totals| keep(totals, 2),
            |totals, a, b| assert_eq!((a + b, resident(totals)), (2, 2)),
        );
    }

    #[test]
    fn a_refusal_takes_nothing_from_others() {
        at_once(
            1,
            |totals| keep(totals, 2),
            |totals| keep(totals, 1),
            |totals, a, b| assert_eq!((a, b, resident(totals)), (0, 1, 1)),
        );
    }

    #[test]
    fn what_is_given_back_is_there_again() {
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
