// SPDX-License-Identifier: GPL-2.0

//! Allocation strategies: when a pool allocates its pages, and how many at once.

use crate::{
    mm::folio::pmd_order,
    uapi, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// When a pool allocates its pages, and how many at once.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Strategy {
    /// A page fault allocates the touched page only.
    Page = uapi::STRATEGY_PAGE,
    /// A page fault allocates the aligned 64 KiB around the touched page.
    Around = uapi::STRATEGY_AROUND,
    /// A page fault allocates the largest free folio, up to a huge page.
    Huge = uapi::STRATEGY_HUGE,
    /// The pool is fully allocated when it is created and when it grows. It keeps its pages until
    /// it is freed.
    Eager = uapi::STRATEGY_EAGER,
}

impl Strategy {
    /// Bytes of a folio of [`Strategy::Around`]: as many as fault-around maps at once.
    const WINDOW_BYTES: usize = 1 << 16;

    /// Returns the number of pages, as a power of two, of the largest folio that is allocated.
    pub(crate) fn max_order(self) -> u32 {
        match self {
            Self::Page => 0,
            Self::Around => pmd_order().min((Self::WINDOW_BYTES / PAGE_SIZE).max(1).ilog2()),
            Self::Huge | Self::Eager => pmd_order(),
        }
    }

    /// Returns whether a pool keeps its pages until it is freed.
    pub(crate) fn keeps_pages(self) -> bool {
        self == Self::Eager
    }
}

impl TryFrom<u32> for Strategy {
    type Error = Error;

    /// # Errors
    ///
    /// - `EINVAL`: there is no such strategy.
    fn try_from(number: u32) -> Result<Self> {
        match number {
            uapi::STRATEGY_PAGE => Ok(Self::Page),
            uapi::STRATEGY_AROUND => Ok(Self::Around),
            uapi::STRATEGY_HUGE => Ok(Self::Huge),
            uapi::STRATEGY_EAGER => Ok(Self::Eager),
            _ => Err(EINVAL),
        }
    }
}

#[kunit_tests(mmap_pool_strategy)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_strategy_of_that_number_or_einval() {
        for number in 0..16 {
            match Strategy::try_from(number) {
                Ok(strategy) => assert_eq!(strategy as u32, number),
                Err(error) => assert!(number > uapi::STRATEGY_EAGER && error == EINVAL),
            }
        }
        assert!(Strategy::try_from(u32::MAX).is_err());
    }

    #[test]
    fn folios_get_no_smaller_from_page_to_huge() {
        assert_eq!(Strategy::Page.max_order(), 0);
        assert!(Strategy::Page.max_order() <= Strategy::Around.max_order());
        assert!(Strategy::Around.max_order() <= Strategy::Huge.max_order());
    }
}
