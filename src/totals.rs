// SPDX-License-Identifier: GPL-2.0

//! Counts over all pools, and the limit for their pages.

use crate::uapi;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Counts over all pools.
pub(crate) struct Totals {
    nr_pools: Atomic<u64>,
    nr_resident_pages: Atomic<u64>,
    nr_limit_pages: Atomic<u64>,
    nr_refused_pages: Atomic<u64>,
}

impl Totals {
    pub(crate) const fn new() -> Self {
        Self {
            nr_pools: Atomic::new(0),
            nr_resident_pages: Atomic::new(0),
            nr_limit_pages: Atomic::new(0),
            nr_refused_pages: Atomic::new(0),
        }
    }

    /// Sets the limit: the number of pages that all pools together may hold.
    pub(crate) fn set_limit(&self, nr_pages: u64) {
        self.nr_limit_pages.store(nr_pages, Relaxed);
    }

    /// Returns whether [`Self::charge`] would succeed now.
    #[inline]
    pub(crate) fn has_room(&self, nr_pages: usize) -> bool {
        self.after(self.nr_resident_pages.load(Relaxed), nr_pages)
            .is_some()
    }

    /// Returns the count after `nr_pages` more pages, unless it is past the limit.
    #[inline]
    fn after(&self, before: u64, nr_pages: usize) -> Option<u64> {
        let limit = self.nr_limit_pages.load(Relaxed);
        let after = before.checked_add(nr_pages as u64)?;
        if after > limit {
            return None;
        }
        Some(after)
    }

    /// Charges `nr_pages` pages that are about to enter a pool, unless the limit forbids it.
    pub(crate) fn charge(&self, nr_pages: usize) -> Option<Charge<'_>> {
        let mut before = self.nr_resident_pages.load(Relaxed);
        loop {
            // The count never exceeds the limit, not even briefly: other callers would be refused.
            let after = self.after(before, nr_pages)?;
            match self.nr_resident_pages.cmpxchg(before, after, Relaxed) {
                Ok(_) => return Some(Charge(self, nr_pages)),
                Err(now) => before = now,
            }
        }
    }

    /// Counts a page that the limit has refused.
    pub(crate) fn refused(&self) {
        self.nr_refused_pages.add(1, Relaxed);
    }

    /// Uncharges `nr_pages` pages that have left a pool.
    pub(crate) fn uncharge(&self, nr_pages: usize) {
        let before = self
            .nr_resident_pages
            .fetch_add((nr_pages as u64).wrapping_neg(), Relaxed);
        debug_assert!(before >= nr_pages as u64);
    }

    /// Counts a pool until the returned value is dropped.
    pub(crate) fn count_pool(&self) -> CountedPool<'_> {
        self.nr_pools.add(1, Relaxed);
        CountedPool(self)
    }

    /// Returns whether there is no pool and no page.
    pub(crate) fn is_empty(&self) -> bool {
        self.nr_pools.load(Relaxed) == 0 && self.nr_resident_pages.load(Relaxed) == 0
    }

    /// Describes the totals.
    pub(crate) fn stat(&self) -> uapi::Stat {
        uapi::Stat {
            nr_pools: self.nr_pools.load(Relaxed),
            nr_resident_pages: self.nr_resident_pages.load(Relaxed),
            nr_limit_pages: self.nr_limit_pages.load(Relaxed),
            nr_refused_pages: self.nr_refused_pages.load(Relaxed),
            ..uapi::Stat::default()
        }
    }
}

/// Charged pages. Dropping it uncharges them.
pub(crate) struct Charge<'a>(&'a Totals, usize);

impl Charge<'_> {
    /// Keeps the pages charged.
    pub(crate) fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.0.uncharge(self.1);
    }
}

/// A counted pool. Dropping it counts one pool less.
pub(crate) struct CountedPool<'a>(&'a Totals);

impl Drop for CountedPool<'_> {
    fn drop(&mut self) {
        self.0.nr_pools.add(1_u64.wrapping_neg(), Relaxed);
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::prelude::kunit_tests(mmap_pool_totals)]
mod tests {
    use super::*;

    fn limited(nr_pages: u64) -> Totals {
        let totals = Totals::new();
        totals.set_limit(nr_pages);
        totals
    }

    #[test]
    fn a_dropped_charge_is_given_back() {
        let totals = limited(4);
        drop(totals.charge(4));
        assert_eq!(totals.stat().nr_resident_pages, 0);
    }

    #[test]
    fn a_kept_charge_stays_until_it_is_taken_back() {
        let totals = limited(4);
        if let Some(charge) = totals.charge(3) {
            charge.keep();
        }
        assert_eq!(totals.stat().nr_resident_pages, 3);
        totals.uncharge(3);
        assert_eq!(totals.stat().nr_resident_pages, 0);
    }

    #[test]
    fn the_limit_may_be_reached_and_not_passed() {
        let totals = limited(4);
        let held = totals.charge(3);
        assert!(held.is_some());
        assert!(totals.charge(2).is_none());
        assert!(totals.charge(1).is_some());
        assert_eq!(totals.stat().nr_resident_pages, 3);
    }

    #[test]
    fn pools_are_counted_in_and_out() {
        let totals = Totals::new();
        let (first, second) = (totals.count_pool(), totals.count_pool());
        drop(first);
        assert_eq!(totals.stat().nr_pools, 1);
        assert!(!totals.is_empty());
        drop(second);
        assert!(totals.is_empty());
    }
}
