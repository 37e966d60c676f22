// SPDX-License-Identifier: GPL-2.0

//! Where the folios of a pool come from.

#![forbid(unsafe_code)]

use super::{pages, Pool, TOTALS};
use crate::{
    fs::inode::{Inode, InodeGuard},
    mm::{fatal_signal_pending, folio::LockedFolio},
    reserve::Reserve,
    totals::Charge,
    uapi,
};
use core::ops::Range;
use kernel::{prelude::*, sync::atomic::Relaxed};

/// Where pages may be, in pages.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// No page is at or past this.
    pub(super) end: usize,
    /// No large folio reaches past this: it could not be split there (`mm/mapping.rs`).
    pub(super) large_end: usize,
}

impl Bounds {
    /// Those for who will see to it that the pool has `len_bytes` bytes: until then other pages may
    /// be past that.
    pub(super) fn up_to(len_bytes: u64) -> Self {
        Self {
            end: usize::MAX,
            large_end: pages(0, len_bytes).end,
        }
    }
}

impl Inode<Pool> {
    /// Resolves a fault on page `pgoff`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// As [`Self::locked_folio`].
    #[inline]
    pub(crate) fn fault(&self, pgoff: usize) -> Result<LockedFolio> {
        let pool = self.data();
        let (folio, is_new) = self
            .find_or_add(pgoff, || self.bounds())
            .inspect_err(|_| pool.nr_fault_refusals.add(1, Relaxed))?;
        if is_new {
            pool.nr_fault_misses.add(1, Relaxed);
            let nr_others = folio.nr_pages() as u64 - 1;
            pool.nr_batched_pages.add(nr_others, Relaxed);
        } else {
            pool.nr_fault_hits.add(1, Relaxed);
        }
        if pool.nr_huge_pages > 0 && folio.nr_pages() == pool.nr_huge_pages {
            pool.nr_huge_faults.add(1, Relaxed);
        }
        Ok(folio)
    }

    /// Returns the folio that holds page `pgoff`, allocated if there is none, locked. The page has
    /// to be within `bounds()`, which is asked anew whenever that may have changed.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: the page is at or past the end.
    /// - `ENODEV`: the pool was revoked.
    /// - `ENOSPC`: the limit for all pools is reached.
    /// - `ENOMEM`: no memory, or the memory cgroup is at its limit.
    pub(super) fn locked_folio(
        &self,
        pgoff: usize,
        bounds: impl Fn() -> Bounds,
    ) -> Result<LockedFolio> {
        self.find_or_add(pgoff, bounds).map(|(folio, _)| folio)
    }

    /// As [`Self::locked_folio`]. Returns with the folio whether it was allocated for this.
    fn find_or_add(
        &self,
        pgoff: usize,
        bounds: impl Fn() -> Bounds,
    ) -> Result<(LockedFolio, bool)> {
        loop {
            if let Some(folio) = self.mapping().lock_folio(pgoff) {
                // A folio that is locked cannot be truncated, but may have been about to be.
                return if pgoff < bounds().end {
                    Ok((folio, false))
                } else {
                    Err(ENXIO)
                };
            }
            // Neighbours are a bonus: without memory for them, the page itself will do.
            let large = (1..=self.mapping().max_order())
                .rev()
                .find_map(|order| self.add_folio(pgoff, order, &bounds).ok());
            if let Some(folio) = large {
                return Ok((folio, true));
            }
            match self.add_folio(pgoff, 0, &bounds) {
                // Somebody else was faster: take theirs.
                Err(error) if error == EEXIST => {}
                result => return result.map(|folio| (folio, true)),
            }
        }
    }

    /// Allocates the folio of `1 << order` pages that is to hold page `pgoff`, and returns it locked.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: the folio would not be within `bounds()`.
    /// - `ENODEV`: the pool was revoked.
    /// - `EEXIST`: one of the pages is there already.
    /// - `EXDEV`: the pages do not have the same memory policy.
    /// - `ENOSPC`: the limit for all pools is reached.
    /// - `ENOMEM`: no memory, or the memory cgroup is at its limit.
    fn add_folio(
        &self,
        pgoff: usize,
        order: u32,
        bounds: impl Fn() -> Bounds,
    ) -> Result<LockedFolio> {
        let nr_pages = 1 << order;
        let start = pgoff & !(nr_pages - 1);
        let check = || {
            self.check_alive()?;
            let Bounds { end, large_end } = bounds();
            let end = if order == 0 { end } else { large_end };
            if start + nr_pages <= end {
                Ok(())
            } else {
                Err(ENXIO)
            }
        };
        check()?;
        if order > 0 && self.mapping().next_page(start, start + nr_pages).is_some() {
            return Err(EEXIST);
        }
        let Some(charge) = TOTALS.charge(nr_pages) else {
            if order == 0 {
                TOTALS.refused();
            }
            return Err(ENOSPC);
        };
        let gfp = self.mapping().gfp_mask();
        let new = self
            .data()
            .policies
            .with(start..start + nr_pages, |policy| {
                Reserve::folio(self.reserve(), policy, gfp, order, start)
            })??;
        let _guard = self.mapping().invalidate_lock_shared();
        check()?;
        let folio = self.mapping().add_folio(new, start)?;
        // From here on `pages_removed()` gives it back.
        Charge::keep(charge);
        self.data().nr_allocated_pages.add(nr_pages as u64, Relaxed);
        Ok(folio)
    }

    /// Allocates the pages of the `len_bytes` bytes from byte `offset` that have none. What was
    /// allocated before a failure stays, as with `MADV_POPULATE_READ`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EINVAL`: the range is empty or not within the pool.
    /// - `EINTR`: the task is being killed.
    /// - Otherwise as [`Self::locked_folio`].
    pub(crate) fn prefault(&self, offset: u64, len_bytes: u64) -> Result {
        self.check_alive()?;
        let end = offset.checked_add(len_bytes).ok_or(EINVAL)?;
        if len_bytes == 0 || end > self.len_bytes() {
            // The end is not that of a pool that was revoked meanwhile.
            self.check_alive()?;
            return Err(EINVAL);
        }
        self.allocate(pages(offset, end), || self.bounds(), |_| ())
            .map_err(|error| {
                // Only a pool that has shrunk since has no such page, or one that was revoked.
                if error != ENXIO {
                    error
                } else if self.is_revoked() {
                    ENODEV
                } else {
                    EINVAL
                }
            })
    }

    /// Allocates those of `pages` that are not there, within `bounds()`. Calls `added` for each folio
    /// that was.
    fn allocate(
        &self,
        pages: Range<usize>,
        bounds: impl Fn() -> Bounds,
        mut added: impl FnMut(&LockedFolio),
    ) -> Result {
        let mut pgoff = pages.start;
        while pgoff < pages.end {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let (folio, is_new) = self.find_or_add(pgoff, &bounds)?;
            if is_new {
                added(&folio);
            }
            pgoff = folio.end();
        }
        Ok(())
    }

    /// Where pages may be as long as the size stays.
    fn bounds(&self) -> Bounds {
        let end = self.nr_pages();
        Bounds {
            end,
            large_end: end,
        }
    }
}

impl InodeGuard<'_, Pool> {
    /// Allocates those of `pages` that are not there, within `bounds`: all or none. A failure gives
    /// back what was allocated, but for pages that somebody has used since.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the task is being killed.
    /// - Otherwise as [`Inode::locked_folio`].
    ///
    /// C: `shmem_fallocate()`, `mm/shmem.c`.
    pub(super) fn allocate_all(&self, pages: Range<usize>, bounds: Bounds) -> Result {
        // A large folio may reach beyond `pages`. When it is split meanwhile, so do its parts.
        let mut added = 0..0;
        let note = |folio: &LockedFolio| {
            folio.set_unused();
            if added.is_empty() {
                added.start = folio.end() - folio.nr_pages();
            }
            added.end = folio.end();
        };
        let result = self.allocate(pages, || bounds, note);
        match result {
            Ok(()) => self.mapping().use_folios(added),
            Err(_) => self.mapping().remove_unused_folios(added),
        }
        result
    }

    /// Allocates the pages of the `len_bytes` bytes from byte `offset` that have none, past the
    /// end too. Makes the pool that large, unless `keeps_size`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool is sealed against growing, and would.
    /// - `EFBIG`: the process may not have files that large.
    /// - Otherwise as [`Self::allocate_all`].
    pub(crate) fn fallocate(&self, offset: u64, len_bytes: u64, keeps_size: bool) -> Result {
        let end = self.check_fallocate(offset, len_bytes)?;
        let len_bytes = self.len_bytes();
        if keeps_size {
            return self.allocate_all(pages(offset, end), Bounds::up_to(len_bytes));
        }
        // A pool that keeps its pages has all of them.
        let start = if self.data().strategy.keeps_pages() {
            offset.min(len_bytes)
        } else {
            offset
        };
        self.allocate_all(pages(start, end), Bounds::up_to(end.max(len_bytes)))?;
        self.grow_to(end);
        Ok(())
    }

    /// Returns the end of what [`Self::fallocate`] is to allocate, if that is allowed.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool is sealed against growing, and would.
    /// - `EFBIG`: the process may not have files that large.
    pub(crate) fn check_fallocate(&self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.check_alive()?;
        let end = offset.checked_add(len_bytes).ok_or(EFBIG)?;
        self.check_new_len(end)?;
        if end > self.len_bytes() && self.data().is_sealed(uapi::SEAL_GROW) {
            return Err(EPERM);
        }
        Ok(end)
    }
}
