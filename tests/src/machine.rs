// SPDX-License-Identifier: MIT OR GPL-2.0

//! What differs from machine to machine: how large pages are.

use std::fs;

use mmap_pool::Strategy;
pub use rustix::param::page_size;

/// Bytes of the largest folio of a pool, on every machine (`src/strategy.rs`).
pub const HUGE: usize = 2 << 20;

/// Bytes of a folio of [`Strategy::Around`], on every machine.
pub const WINDOW: usize = 64 << 10;

/// Pages of [`HUGE`].
#[must_use]
pub fn huge_pages() -> usize {
    HUGE / page_size()
}

/// Pages of the largest folio of a pool of this strategy.
#[must_use]
pub fn folio_pages(strategy: Strategy) -> usize {
    match strategy {
        Strategy::Page => 1,
        Strategy::Around => WINDOW / page_size(),
        _ => huge_pages(),
    }
}

/// What some machines lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Page-table entries that note a write, soft-dirty.
    SoftDirty,
    /// PMD entries that map as much as the largest folio of a pool. They do with pages of 4 KiB.
    HugePages,
}

impl Feature {
    /// Why scenarios that need it cannot be asked, or `None` if the machine has it.
    #[must_use]
    pub fn lacking(self) -> Option<&'static str> {
        let (has, why) = match self {
            Self::SoftDirty => (has_soft_dirty(), "the kernel has no soft-dirty pages"),
            Self::HugePages => (pmd_size() == HUGE, "a huge page has not 2 MiB"),
        };
        (!has).then_some(why)
    }
}

/// Whether the flags of an area tell that it is new, which only kernels with soft-dirty pages do.
fn has_soft_dirty() -> bool {
    fs::read_to_string("/proc/self/smaps").is_ok_and(|areas| {
        let mut flags = areas
            .lines()
            .filter_map(|line| line.strip_prefix("VmFlags:"));
        flags.any(|flags| flags.split_whitespace().any(|flag| flag == "sd"))
    })
}

/// Pages of so many MiB.
#[must_use]
pub fn pages_of_mib(mib: u64) -> u64 {
    (mib << 20) / page_size() as u64
}

/// Bytes that one PMD entry maps, or 0 if the kernel has no huge pages.
#[must_use]
pub fn pmd_size() -> usize {
    fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
        .ok()
        .and_then(|size| size.trim().parse().ok())
        .unwrap_or(0)
}

/// A number of bytes as it is with pages of 4 KiB, so that the right answer is the same on every machine:
/// `n` pages are `n * 4096`, and less than half a page before or after them stays as many bytes. `None` if
/// it is neither.
fn with_pages_of_4k(len_bytes: u64, page_size: u64) -> Option<u64> {
    let (nr_pages, rest) = (len_bytes / page_size, len_bytes % page_size);
    if rest < 2048 {
        Some(nr_pages * 4096 + rest)
    } else if rest == page_size / 2 {
        Some(nr_pages * 4096 + 2048)
    } else if page_size - rest < 2048 {
        Some((nr_pages + 1) * 4096 - (page_size - rest))
    } else {
        None
    }
}

/// The place that is byte `number` with pages of 4 KiB: as many pages, and as many bytes before or after them.
#[must_use]
pub fn scaled(number: usize) -> usize {
    let (nr_pages, rest) = (number / 4096, number % 4096);
    if rest < 2048 {
        nr_pages * page_size() + rest
    } else {
        (nr_pages + 1) * page_size() - (4096 - rest)
    }
}

/// How an answer tells a number of bytes: as it is with pages of 4 KiB.
#[must_use]
pub fn bytes(len_bytes: u64) -> String {
    let page_size = page_size() as u64;
    with_pages_of_4k(len_bytes, page_size).map_or_else(
        || {
            format!(
                "{} pages and {} bytes",
                len_bytes / page_size,
                len_bytes % page_size
            )
        },
        |bytes| bytes.to_string(),
    )
}

/// How an answer tells the place of a byte, as [`bytes`] does.
#[must_use]
pub fn place(offset: u64) -> String {
    with_pages_of_4k(offset, page_size() as u64)
        .map_or_else(|| bytes(offset), |offset| format!("{offset:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_pages_of_4k_every_number_stays() {
        for number in (0..20_000).chain([u64::MAX >> 1]) {
            assert_eq!(with_pages_of_4k(number, 4096), Some(number));
        }
    }

    #[test]
    fn a_page_is_a_page() {
        for (len_bytes, expected) in [
            (0, Some(0)),
            (100, Some(100)),
            (8192, Some(2048)),
            (16384, Some(4096)),
            (3 * 16384 + 8, Some(3 * 4096 + 8)),
            (16383, Some(4095)),
            // What a mistaken 4096 gives.
            (4096, None),
            (3 * 16384 + 12288, None),
        ] {
            assert_eq!(with_pages_of_4k(len_bytes, 16384), expected, "{len_bytes}");
        }
    }
}
