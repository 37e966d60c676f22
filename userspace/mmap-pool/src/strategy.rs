// SPDX-License-Identifier: MIT OR GPL-2.0

//! When a pool allocates its pages.

use crate::uapi;

/// When a pool allocates its pages, and how many at a time. It is chosen when the pool is created.
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
    /// A page fault allocates only the touched page.
    #[default]
    Page = uapi::STRATEGY_PAGE,
    /// A page fault allocates and maps the aligned 64 KiB that contain the touched page.
    Around = uapi::STRATEGY_AROUND,
    /// The pool allocates the largest blocks that fit and are available, up to a huge page (2 MiB on
    /// x86-64). A single page-table entry maps a huge page.
    Huge = uapi::STRATEGY_HUGE,
    /// The pool allocates all its pages when it is created or grows, so touching it never allocates
    /// memory. Such a pool never gives pages back. It has [`Seals::SHRINK`](crate::Seals::SHRINK) from
    /// the start, and making a hole in it or revoking it fails with `EPERM`.
    Eager = uapi::STRATEGY_EAGER,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::Page, Self::Around, Self::Huge, Self::Eager];

    /// Returns the strategy of a `STRATEGY_` constant, or `None` if this version does not know it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|&strategy| strategy as u32 == number)
    }
}
