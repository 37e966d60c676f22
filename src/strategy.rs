// SPDX-License-Identifier: GPL-2.0

//! When a pool gets its pages, and in what pieces.

#![forbid(unsafe_code)]

use crate::uapi;
use kernel::prelude::*;

/// When a pool gets its pages, and in what pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Strategy {
    /// A page fault allocates the page that was touched, no other.
    Page = uapi::STRATEGY_PAGE,
    /// A page fault allocates the aligned 64 KiB around the page that was touched.
    Around = uapi::STRATEGY_AROUND,
    /// Memory comes in the largest pieces there are, up to a huge page.
    Huge = uapi::STRATEGY_HUGE,
    /// `mmap` allocates all of the range. Nothing is taken away as long as the pool lives.
    Eager = uapi::STRATEGY_EAGER,
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
