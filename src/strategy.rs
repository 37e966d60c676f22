// SPDX-License-Identifier: GPL-2.0

//! The module's side of [`Strategy`]: how large the folios of a pool are.

use crate::{
    mm::folio::pmd_order,
    uapi::Strategy, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

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

    #[test]
    fn folios_get_no_smaller_from_page_to_huge() {
        assert_eq!(Strategy::Page.max_order(), 0);
        assert!(Strategy::Page.max_order() <= Strategy::Around.max_order());
        assert!(Strategy::Around.max_order() <= Strategy::Huge.max_order());
    }
}
