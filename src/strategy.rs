// SPDX-License-Identifier: GPL-2.0

//! The module's side of [`Strategy`]: how large the folios of a pool are.

use crate::{
    mm::{
        folio::pmd_order,
        policy::MemPolicy, //
    },
    uapi::Strategy, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Bytes of the largest folio.
///
/// With pages of 4 KiB, a PMD entry maps it. With larger pages, a PMD entry maps 32 MiB or 512 MiB:
/// one touch would zero as much, and the reserve would have no such folio. There 2 MiB are what
/// arm64 calls a contiguous range of page-table entries, which takes one entry of the TLB.
const LARGEST_BYTES: usize = 2 << 20;

/// Returns the order of the largest folio. 0 if the kernel has no huge pages.
#[inline]
pub(crate) fn largest_order() -> u32 {
    pmd_order().min((LARGEST_BYTES / PAGE_SIZE).ilog2())
}

impl Strategy {
    /// Bytes of a folio of [`Strategy::Around`]: as many as fault-around maps at once. With pages of
    /// 64 KiB, that is one page.
    const WINDOW_BYTES: usize = 1 << 16;

    /// Returns the number of pages, as a power of two, of the largest folio that is allocated.
    pub(crate) fn max_order(self) -> u32 {
        match self {
            Self::Page => 0,
            Self::Around => largest_order().min((Self::WINDOW_BYTES / PAGE_SIZE).ilog2()),
            Self::Auto | Self::Huge | Self::Eager => largest_order(),
        }
    }

    /// Returns the order of the folio to allocate for page `pgoff`, if there is memory for it.
    ///
    /// `nr_pages_before(max)` counts the pages, at most `max`, that the pool holds right before
    /// `pgoff`. [`Strategy::Auto`] continues such a run with a folio that is as large, or smaller
    /// where `pgoff` is not aligned to that. So it has no state, and a new folio is never larger than
    /// what the pool holds right before it.
    #[inline]
    pub(crate) fn order_at(
        self,
        pgoff: usize,
        nr_pages_before: impl FnOnce(usize) -> usize,
    ) -> u32 {
        if self != Self::Auto {
            return self.max_order();
        }
        let max_order = pgoff.trailing_zeros().min(self.max_order());
        if max_order == 0 {
            return 0;
        }
        nr_pages_before(1 << max_order).checked_ilog2().unwrap_or(0)
    }

    /// Returns whether large folios may be allocated by `policy`.
    ///
    /// Interleaved folios take turns by their place, in units of their size. A folio of
    /// [`Strategy::Auto`] begins a multiple of its size behind the start of the run, and mostly that
    /// is once its size: nearly all would have the same turn. So interleaved pages stay single.
    pub(crate) fn fits(self, policy: &MemPolicy) -> bool {
        self != Self::Auto || !policy.is_interleaved()
    }

    /// Returns whether a pool keeps its pages until it is freed.
    pub(crate) fn keeps_pages(self) -> bool {
        self == Self::Eager
    }
}

#[kunit_tests(mmap_pool_strategy)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_strategy_of_that_number_or_none() {
        for number in 0..16 {
            let strategy = Strategy::from_number(number);
            assert_eq!(strategy.is_some(), (number as usize) < Strategy::ALL.len());
            assert!(strategy.is_none_or(|strategy| strategy as u32 == number));
        }
        assert!(Strategy::from_number(u32::MAX).is_none());
    }

    /// Returns the orders of the folios that a sequential walk from page `start` allocates.
    fn walk(start: usize, nr_folios: usize) -> impl Iterator<Item = u32> {
        let mut pgoff = start;
        (0..nr_folios).map(move |_| {
            let order = Strategy::Auto.order_at(pgoff, |max| max.min(pgoff - start));
            pgoff += 1 << order;
            order
        })
    }

    #[test]
    fn a_sequential_walk_doubles_its_folios_up_to_the_largest() {
        for (number, order) in walk(0, 20).enumerate() {
            // The first two are single pages.
            assert_eq!(order, largest_order().min(number.saturating_sub(1) as u32));
        }
    }

    #[test]
    fn a_walk_from_an_odd_page_is_aligned_before_it_grows() {
        for (order, expected) in walk(5, 8).zip([0, 0, 0, 1, 1, 2, 3, 3]) {
            assert_eq!(order, largest_order().min(expected));
        }
    }

    #[test]
    fn a_page_without_a_run_before_it_stays_single() {
        for pgoff in 0..1024 {
            assert_eq!(Strategy::Auto.order_at(pgoff, |_| 0), 0);
        }
    }

    #[test]
    fn folios_get_no_smaller_from_page_to_huge() {
        assert_eq!(Strategy::Page.max_order(), 0);
        assert!(Strategy::Page.max_order() <= Strategy::Around.max_order());
        assert!(Strategy::Around.max_order() <= Strategy::Huge.max_order());
    }
}
