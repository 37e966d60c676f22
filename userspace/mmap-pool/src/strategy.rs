// SPDX-License-Identifier: MIT OR GPL-2.0

//! When a pool gets its pages.

use crate::uapi;

/// When a pool gets its pages, and in what pieces: chosen when it is created.
///
/// ```
/// use mmap_pool::{Pool, Strategy};
///
/// let builder = Pool::create().size_bytes(64 << 20).strategy(Strategy::Huge);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum Strategy {
    /// A page fault allocates the page that was touched, no other.
    #[default]
    Page = uapi::STRATEGY_PAGE,
    /// A page fault allocates and maps the aligned 64 KiB around the page that was touched.
    Around = uapi::STRATEGY_AROUND,
    /// Memory comes in the largest pieces there are, up to a huge page (2 MiB on x86-64), which a
    /// single entry of the page table maps.
    Huge = uapi::STRATEGY_HUGE,
    /// Mapping the pool allocates and maps all of the range, so that touching it never allocates.
    /// In return nothing is ever taken away: the pool has [`Seals::SHRINK`](crate::Seals::SHRINK)
    /// from the start, and making a hole or revoking it is `EPERM`.
    Eager = uapi::STRATEGY_EAGER,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::Page, Self::Around, Self::Huge, Self::Eager];

    /// The strategy of a `STRATEGY_` constant, unless this version does not know it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|&strategy| strategy as u32 == number)
    }
}
