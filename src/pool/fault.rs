// SPDX-License-Identifier: GPL-2.0

//! A page fault, from the VMA to the folio.
//!
//! 1. A program touches a page of a mapping that its page table does not map.
//! 2. If nothing is mapped where a huge page could be, the core calls
//!    `vm_operations_struct::huge_fault`. [`Inode::huge_fault`] finds or allocates a huge folio, and
//!    a single PMD entry maps it. Else it falls back to the next steps.
//! 3. For a read, the core maps what is in the page cache around that page
//!    (`filemap_map_pages()`). If the page itself was there, this file is not called.
//! 4. Else the core calls `vm_operations_struct::fault`, with the VMA lock or `mmap_lock` held.
//!    `mm/vm_ops.rs` finds the pool behind the mapped file and calls [`PoolVmOps::fault`].
//! 5. [`Inode::get_folio`] looks the page up in the page cache, and takes the folio if there is
//!    one.
//! 6. Else [`Inode::add_folio`] allocates one: a large folio if the strategy of the pool wants one
//!    and there is memory for it, or a single page. It charges the pages to the limit of all pools,
//!    takes a zeroed folio from the reserve or the page allocator, and adds it to the page cache.
//! 7. Another task may add the page first. Then the look-up is repeated, and finds its folio.
//! 8. The folio is returned locked, so no truncation can take it before it is mapped.
//! 9. The core maps the page and unlocks the folio. For a write to a private mapping it maps a
//!    copy.

use super::{
    pages,
    Pool,
    TOTALS, //
};
use crate::{
    fs::inode::Inode,
    mm::{
        folio::{
            pmd_order,
            LockedFolio, //
        },
        policy::MemPolicy,
        vm_ops::{
            FaultError,
            VmFault,
            VmOperations, //
        }, //
    },
    reserve::Reserve,
    totals::Charge, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

/// The operations on mappings of a pool.
pub(crate) struct PoolVmOps;

impl VmOperations for PoolVmOps {
    type Object = Inode<Pool>;

    const FAULT_AROUND: bool = true;

    #[inline]
    fn fault(pool: &Inode<Pool>, vmf: &VmFault<'_>) -> Result<LockedFolio, FaultError> {
        Ok(pool.fault(vmf.pgoff())?)
    }

    const HUGE_FAULT: bool = true;

    fn huge_fault(pool: &Inode<Pool>, vmf: &VmFault<'_>) -> Option<LockedFolio> {
        pool.huge_fault(vmf.pgoff())
    }

    const USERFAULTFD: bool = true;

    fn set_policy(pool: &Inode<Pool>, pages: Range<usize>, policy: Option<MemPolicy>) -> Result {
        pool.set_policy(pages, policy)
    }
}

impl Pool {
    /// Counts a fault that is resolved with a folio of `nr_pages` pages.
    #[inline]
    fn count_fault(&self, nr_pages: usize, is_new: bool) {
        if is_new {
            self.nr_fault_misses.add(1, Relaxed);
            self.nr_batched_pages.add(nr_pages as u64 - 1, Relaxed);
        } else {
            self.nr_fault_hits.add(1, Relaxed);
        }
        if self.nr_huge_pages > 0 && nr_pages == self.nr_huge_pages {
            self.nr_huge_faults.add(1, Relaxed);
        }
    }

    /// Returns whether a memory cgroup may still refuse large folios.
    #[inline]
    fn waits_with_large_folios(&self) -> bool {
        self.nr_pages_to_wait.load(Relaxed) > 0
    }
}

impl Inode<Pool> {
    /// Returns the folio to map for a fault on page `pgoff`, and counts the fault.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// As [`Self::get_folio`].
    #[inline]
    pub(super) fn fault(&self, pgoff: usize) -> Result<LockedFolio> {
        let pool = self.data();
        let (folio, is_new) = self
            .get_folio(pgoff, || self.bounds())
            .inspect_err(|_| pool.nr_fault_refusals.add(1, Relaxed))?;
        pool.count_fault(folio.nr_pages(), is_new);
        Ok(folio)
    }

    /// Returns the huge folio to map for a fault on page `pgoff`, and counts the fault. `None` if
    /// there are smaller folios, or no memory for a huge one.
    ///
    /// # Context
    ///
    /// May sleep.
    fn huge_fault(&self, pgoff: usize) -> Option<LockedFolio> {
        let pool = self.data();
        if pool.nr_huge_pages == 0 {
            return None;
        }
        let (folio, is_new) = match self.find_folio(pgoff, || self.bounds()) {
            Some(found) => (found.ok()?, false),
            None if self.order_at(pgoff) < pmd_order() => return None,
            None => {
                let new = self.add_folio(pgoff, pmd_order(), || self.bounds());
                (new.ok()?, true)
            }
        };
        // With a hardware memory error, its other pages are mapped one by one. So are those of a
        // folio that reaches past the end: touching a page there is `SIGBUS`.
        if folio.nr_pages() != pool.nr_huge_pages
            || folio.end() > self.bounds().end
            || folio.check_intact().is_err()
        {
            return None;
        }
        pool.count_fault(folio.nr_pages(), is_new);
        Some(folio)
    }

    /// Returns the folio that holds page `pgoff`, locked, and whether this call has allocated it.
    ///
    /// The page has to be within `bounds()`, which is called again after each step that may sleep.
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
    pub(super) fn get_folio(
        &self,
        pgoff: usize,
        bounds: impl Fn() -> Bounds,
    ) -> Result<(LockedFolio, bool)> {
        loop {
            if let Some(found) = self.find_folio(pgoff, &bounds) {
                return found.map(|folio| (folio, false));
            }
            // Extra pages are optional. Without memory for them, fall back to a single page.
            let large = (1..=self.order_at(pgoff))
                .rev()
                .find_map(|order| self.add_folio(pgoff, order, &bounds).ok());
            if let Some(folio) = large {
                return Ok((folio, true));
            }
            match self.add_folio(pgoff, 0, &bounds) {
                // Lost the race: use the folio that is there now.
                Err(error) if error == EEXIST => {}
                Err(error) if self.was_late(pgoff, error) => {}
                result => {
                    if matches!(result, Err(error) if error == ENOSPC) {
                        TOTALS.refused();
                    }
                    return result.map(|folio| (folio, true));
                }
            }
        }
    }

    /// Returns whether page `pgoff` could not be added with `error` only because another task was adding
    /// it, or another page that was there already.
    #[cold]
    fn was_late(&self, pgoff: usize, error: Error) -> bool {
        if error != ENOSPC && error != ENOMEM {
            return false;
        }
        // While it is held, no page of this pool is charged and not added.
        let _guard = self.page_cache().invalidate_lock();
        self.page_cache().next_page(pgoff, pgoff + 1).is_some()
            || (error == ENOSPC && TOTALS.has_room(1))
    }

    /// Returns the order of the folio that the strategy wants for page `pgoff`.
    #[inline]
    fn order_at(&self, pgoff: usize) -> u32 {
        let strategy = self.data().strategy;
        strategy.order_at(pgoff, |max| self.page_cache().nr_pages_before(pgoff, max))
    }

    /// Returns the folio that holds page `pgoff`, locked, if there is one.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: the page is at or past the end.
    #[inline]
    fn find_folio(&self, pgoff: usize, bounds: impl Fn() -> Bounds) -> Option<Result<LockedFolio>> {
        let folio = self.page_cache().lock_folio(pgoff)?;
        // A locked folio cannot be truncated. It may be past the new end all the same: a truncation
        // sets the size first.
        Some(if pgoff < bounds().end {
            Ok(folio)
        } else {
            Err(ENXIO)
        })
    }

    /// Allocates the folio of `1 << order` pages that holds page `pgoff`, and returns it locked.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: the folio would not be within `bounds()`.
    /// - `ENODEV`: the pool was revoked.
    /// - `EEXIST`: the page cache holds one of the pages.
    /// - `EXDEV`: the pages do not have the same memory policy, or it wants single pages.
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
        if order > 0 && self.data().waits_with_large_folios() {
            return Err(ENOMEM);
        }
        if order > 0
            && self
                .page_cache()
                .next_page(start, start + nr_pages)
                .is_some()
        {
            return Err(EEXIST);
        }
        if !TOTALS.has_room(nr_pages) {
            return Err(ENOSPC);
        }
        let gfp = self.page_cache().gfp_mask();
        let new = self
            .data()
            .policies
            .with(start..start + nr_pages, |policy| {
                let strategy = self.data().strategy;
                if order > 0 && policy.is_some_and(|policy| !strategy.fits(policy)) {
                    return Err(EXDEV);
                }
                Ok(Reserve::folio(self.reserve(), policy, gfp, order, start)?)
            })??;
        let _guard = self.page_cache().invalidate_lock_shared();
        check()?;
        // Charged under the invalidate lock: who takes it exclusively then finds the folio.
        let charge = TOTALS.charge(nr_pages).ok_or(ENOSPC)?;
        let pool = self.data();
        let folio = self
            .page_cache()
            .add_folio(new, start)
            .inspect_err(|error| {
                if order > 0 && *error == ENOMEM {
                    pool.nr_pages_to_wait.store(nr_pages as i64, Relaxed);
                }
            })?;
        // From here on `pages_removed()` uncharges the pages.
        Charge::keep(charge);
        pool.nr_allocated_pages.add(nr_pages as u64, Relaxed);
        if pool.waits_with_large_folios() {
            pool.nr_pages_to_wait.add(-1, Relaxed);
        }
        Ok(folio)
    }

    /// Returns the bounds of a pool whose size does not change.
    pub(super) fn bounds(&self) -> Bounds {
        let end = self.nr_pages();
        Bounds {
            end,
            large_end: end,
        }
    }
}

/// Where pages may be added, in pages from the start of the pool.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// The end for single pages.
    end: usize,
    /// The end for large folios. One that reached past the size of the pool could not be split
    /// (`release_folio` in `fs/address_space.rs`).
    large_end: usize,
}

impl Bounds {
    /// Bounds for a caller that is about to resize the pool to `len_bytes`. Until then single pages
    /// may be past that.
    pub(super) fn up_to(len_bytes: u64) -> Self {
        Self {
            end: usize::MAX,
            large_end: pages(0, len_bytes).end,
        }
    }
}
