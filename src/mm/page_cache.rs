// SPDX-License-Identifier: GPL-2.0

//! The page cache of an inode: which folio holds which page.
//!
//! C: `struct address_space`, `include/linux/fs.h`, `include/linux/pagemap.h`.

use super::{
    cond_resched,
    folio::{gfp_for, Folio, LockedFolio, NewFolio},
};
use crate::helpers;
use core::{ops::Range, ptr::NonNull};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::aref::ARef,
    types::{NotThreadSafe, Opaque},
};

/// The page cache of an inode of a pseudo file system, filled by its owner alone.
///
/// # Invariants
///
/// The `address_space` is initialised.
#[repr(transparent)]
pub(crate) struct PageCache(Opaque<bindings::address_space>);

// SAFETY: The page cache has its own locks; every method may be called from any thread.
unsafe impl Sync for PageCache {}

impl PageCache {
    /// Takes over the page cache of a new inode.
    ///
    /// Its folios are the only copy of the data, so reclaim has to leave them alone. They may have up
    /// to `1 << max_order` pages, if the kernel can have large ones.
    ///
    /// # Safety
    ///
    /// `mapping` belongs to an inode that is being set up, and lives for `'a`. Its `operations` are
    /// made for that inode.
    pub(crate) unsafe fn init<'a>(
        mapping: *mut bindings::address_space,
        operations: &'static bindings::address_space_operations,
        max_order: u32,
    ) -> &'a Self {
        // SAFETY: The caller's promise; nobody else can see the inode yet.
        unsafe { (*mapping).a_ops = operations };
        // SAFETY: The caller's promise.
        unsafe { helpers::mmap_pool_mapping_set_unevictable(mapping) };
        if max_order > 0 {
            // SAFETY: The caller's promise.
            unsafe {
                helpers::mmap_pool_mapping_set_max_order(mapping, max_order);
                helpers::mmap_pool_mapping_set_release_always(mapping);
            }
        }
        // INVARIANT: The operations were set above.
        // SAFETY: The caller's promise.
        unsafe { Self::from_raw(mapping) }
    }

    /// # Safety
    ///
    /// [`PageCache::init`] was called for `mapping`, which lives for `'a`.
    pub(crate) unsafe fn from_raw<'a>(mapping: *mut bindings::address_space) -> &'a Self {
        // SAFETY: The caller's promise; `PageCache` is transparent.
        unsafe { &*mapping.cast() }
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::address_space {
        self.0.get()
    }

    /// Returns the number of pages in the cache.
    pub(crate) fn nr_pages(&self) -> usize {
        // SAFETY: The pointer is valid by the type invariants. Others change the counter under a
        // lock of their own; a single aligned word is read, as C does without the lock.
        unsafe { (&raw const (*self.as_ptr()).nrpages).read_volatile() }
    }

    /// Returns the number of pages, as a power of two, of the largest folio that may be in the cache.
    ///
    /// C: `mapping_max_folio_order()`.
    pub(crate) fn max_order(&self) -> u32 {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { helpers::mmap_pool_mapping_max_order(self.as_ptr()) }
    }

    /// Returns the flags to allocate this page cache's folios with.
    pub(crate) fn gfp_mask(&self) -> bindings::gfp_t {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { helpers::mmap_pool_mapping_gfp_mask(self.as_ptr()) }
    }

    /// Returns the folio that holds page `pgoff`, if there is one.
    ///
    /// C: `filemap_get_folio()`.
    pub(crate) fn folio(&self, pgoff: usize) -> Option<ARef<Folio>> {
        // SAFETY: The pointer is valid by the type invariants.
        let folio = unsafe { helpers::mmap_pool_filemap_get_folio(self.as_ptr(), pgoff) };
        let folio = NonNull::new(folio)?;
        // SAFETY: The look-up has taken a reference; folios enter this page cache as `NewFolio`,
        // initialised.
        Some(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Returns the folio that holds page `pgoff`, locked, if there is one. It counts as used if the file
    /// reaches that page.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `filemap_lock_folio()`.
    pub(crate) fn lock_folio(&self, pgoff: usize) -> Option<LockedFolio> {
        // SAFETY: The pointer is valid by the type invariants, and folios enter this page cache
        // initialised.
        let folio = unsafe { helpers::mmap_pool_filemap_use_folio(self.as_ptr(), pgoff) };
        let folio = NonNull::new(folio)?;
        // SAFETY: The look-up has taken a reference and the lock, and has checked that the folio
        // still belongs to this page cache.
        Some(unsafe { LockedFolio::from_raw(folio) })
    }

    /// As [`Self::lock_folio`], but the folio does not count as used. So it may be taken away by the
    /// call that allocated it, if that call fails.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `filemap_lock_folio()`.
    #[inline]
    pub(crate) fn lock_folio_as_is(&self, pgoff: usize) -> Option<LockedFolio> {
        // SAFETY: The pointer is valid by the type invariants, and folios enter this page cache
        // initialised.
        let folio = unsafe { helpers::mmap_pool_filemap_lock_folio(self.as_ptr(), pgoff) };
        let folio = NonNull::new(folio)?;
        // SAFETY: As in `lock_folio()`.
        Some(unsafe { LockedFolio::from_raw(folio) })
    }

    /// Makes the folios of `pages` count as used.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn use_folios(&self, pages: Range<usize>) {
        self.for_each_folio(pages, |folio| folio.set_used());
    }

    /// Takes those folios of `pages` away that do not count as used.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `shmem_undo_range()`, `mm/shmem.c`.
    pub(crate) fn remove_unused_folios(&self, pages: Range<usize>) {
        self.for_each_folio(pages, |folio| {
            if folio.is_unused() {
                // SAFETY: The folio is one of this page cache, and locked.
                unsafe { bindings::generic_error_remove_folio(self.as_ptr(), folio.as_ptr()) };
            }
        });
    }

    /// Calls `what` for each folio of `pages`, locked.
    fn for_each_folio(&self, pages: Range<usize>, what: impl Fn(&LockedFolio)) {
        let mut pgoff = pages.start;
        while let Some(found) = self.next_page(pgoff, pages.end) {
            pgoff = found;
            if let Some(folio) = self.lock_folio_as_is(found) {
                what(&folio);
                pgoff = folio.end();
            }
            cond_resched();
        }
    }

    /// Makes `folio` hold the pages from `pgoff` on, and returns it locked.
    ///
    /// The folio is charged to the memory cgroup of the running task. For a large one nothing is
    /// reclaimed from it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EEXIST`: some folio holds one of the pages already.
    /// - `EINVAL`: `pgoff` is not a multiple of the folio's size, or that is more than
    ///   [`max_order`](Self::max_order) says.
    /// - `ENOMEM`: no memory for the page cache, or the memory cgroup is at its limit.
    ///
    /// C: `filemap_add_folio()`.
    pub(crate) fn add_folio(&self, folio: NewFolio, pgoff: usize) -> Result<LockedFolio> {
        let nr_pages = folio.nr_pages();
        if pgoff % nr_pages != 0 || nr_pages > 1 << self.max_order() {
            return Err(EINVAL);
        }
        let gfp = gfp_for(nr_pages, self.gfp_mask());
        // SAFETY: Both pointers are valid by their type invariants; the folio is unlocked and in
        // no page cache, its index is aligned, and the page cache takes its order.
        to_result(unsafe {
            bindings::filemap_add_folio(self.as_ptr(), folio.as_ptr(), pgoff, gfp)
        })?;
        // SAFETY: The call above has succeeded.
        let folio = unsafe { folio.assume_added() };
        // The page cache holds the only copy of the data. To the kernel that is a dirty folio; a
        // clean one may be dropped, by `MADV_SOFT_OFFLINE` for one.
        // SAFETY: The folio is locked, so it stays in this page cache for the call.
        unsafe { bindings::folio_mark_dirty(folio.as_ptr()) };
        Ok(folio)
    }

    /// Returns the first page at or after `pgoff` and before `end` that is in the cache.
    ///
    /// C: `xa_find()` on `address_space::i_pages`.
    pub(crate) fn next_page(&self, pgoff: usize, end: usize) -> Option<usize> {
        let mut found = pgoff;
        // SAFETY: The array is part of the page cache. Only the presence of an entry is looked at.
        let entry = unsafe {
            bindings::xa_find(
                &raw mut (*self.as_ptr()).i_pages,
                &mut found,
                end.checked_sub(1)?,
                bindings::XA_PRESENT,
            )
        };
        (!entry.is_null()).then_some(found)
    }

    /// Keeps pages from entering the cache and from being truncated, until the guard is dropped.
    ///
    /// Taken after the inode's lock and after `mmap_lock`, before the lock of a folio.
    ///
    /// C: `filemap_invalidate_lock()`.
    pub(crate) fn invalidate_lock(&self) -> InvalidateGuard<'_> {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { helpers::mmap_pool_filemap_invalidate_lock(self.as_ptr()) };
        InvalidateGuard(self, NotThreadSafe)
    }

    /// Keeps pages from being truncated until the guard is dropped; they may enter the cache.
    ///
    /// C: `filemap_invalidate_lock_shared()`.
    pub(crate) fn invalidate_lock_shared(&self) -> SharedInvalidateGuard<'_> {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { helpers::mmap_pool_filemap_invalidate_lock_shared(self.as_ptr()) };
        SharedInvalidateGuard(self, NotThreadSafe)
    }

    /// Keeps shared mappings that can be written to from being made, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: there is such a mapping.
    ///
    /// C: `mapping_deny_writable()`.
    pub(crate) fn deny_writable(&self) -> Result<DenyWritableGuard<'_>> {
        // SAFETY: The pointer is valid by the type invariants.
        to_result(unsafe { helpers::mmap_pool_mapping_deny_writable(self.as_ptr()) })?;
        Ok(DenyWritableGuard(self))
    }
}

/// The invalidate lock of a page cache, held exclusively.
pub(crate) struct InvalidateGuard<'a>(&'a PageCache, NotThreadSafe);

impl Drop for InvalidateGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The lock was taken when the guard was made.
        unsafe { helpers::mmap_pool_filemap_invalidate_unlock(self.0.as_ptr()) };
    }
}

/// The invalidate lock of a page cache, held shared.
pub(crate) struct SharedInvalidateGuard<'a>(&'a PageCache, NotThreadSafe);

impl Drop for SharedInvalidateGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The lock was taken when the guard was made.
        unsafe { helpers::mmap_pool_filemap_invalidate_unlock_shared(self.0.as_ptr()) };
    }
}

/// Proof that no shared mapping of a page cache can be written to.
///
/// What was stored while it exists is seen by every `mmap` that makes such a mapping afterwards.
pub(crate) struct DenyWritableGuard<'a>(&'a PageCache);

impl Drop for DenyWritableGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: Undoes what was done when the guard was made.
        unsafe { helpers::mmap_pool_mapping_allow_writable(self.0.as_ptr()) };
    }
}
