// SPDX-License-Identifier: GPL-2.0

//! The page cache of an inode: a map from page index to folio.
//!
//! C: `struct address_space`, `include/linux/fs.h`, `include/linux/pagemap.h`.

use super::{
    cond_resched,
    folio::{
        gfp_for,
        Folio,
        LockedFolio,
        NewFolio, //
    }, //
};
use crate::helpers;
use core::{
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::aref::ARef,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// The page cache of an inode of a pseudo file system. Only the driver adds folios.
///
/// # Invariants
///
/// The `address_space` is initialised.
#[repr(transparent)]
pub(crate) struct PageCache(Opaque<bindings::address_space>);

// SAFETY: The page cache has its own locks. Any thread may call the methods.
unsafe impl Sync for PageCache {}

/// A page in bytes.
const PAGE_LEN: u64 = PAGE_SIZE as u64;

impl PageCache {
    /// Sets up the page cache of a new inode.
    ///
    /// Its folios are the only copy of the data, so it is unevictable: reclaim skips the folios.
    /// They may have up to `1 << max_order` pages.
    ///
    /// # Safety
    ///
    /// `mapping` belongs to an inode that is being set up, and lives for `'a`. `operations` fit
    /// that inode.
    pub(crate) unsafe fn init<'a>(
        mapping: *mut bindings::address_space,
        operations: &'static bindings::address_space_operations,
        max_order: u32,
    ) -> &'a Self {
        // SAFETY: The caller's promise. The inode is not shared yet.
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
        // INVARIANT: Set up above.
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

    /// Returns the number of pages in the page cache.
    pub(crate) fn nr_pages(&self) -> usize {
        // SAFETY: The pointer is valid by the type invariants. The kernel changes the counter under
        // the lock of the array. Reading one aligned word without it is what C does.
        unsafe { (&raw const (*self.as_ptr()).nrpages).read_volatile() }
    }

    /// Returns the order of the largest folio that may be in the page cache.
    ///
    /// C: `mapping_max_folio_order()`.
    pub(crate) fn max_order(&self) -> u32 {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { helpers::mmap_pool_mapping_max_order(self.as_ptr()) }
    }

    /// Returns the flags for allocations of folios.
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
        // SAFETY: The look-up took a reference. Folios enter this page cache as `NewFolio`,
        // initialised.
        Some(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Returns the folio that holds page `pgoff`, locked, if there is one. Marks it as used if that
    /// page is below the end of the file.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `filemap_lock_folio()`.
    pub(crate) fn lock_folio(&self, pgoff: usize) -> Option<LockedFolio> {
        // SAFETY: The pointer is valid by the type invariants.
        let folio = unsafe { helpers::mmap_pool_filemap_use_folio(self.as_ptr(), pgoff) };
        let folio = NonNull::new(folio)?;
        // SAFETY: The look-up took a reference and the lock, and checked that the folio is still in
        // this page cache. Folios enter it initialised.
        Some(unsafe { LockedFolio::from_raw(folio) })
    }

    /// As [`Self::lock_folio`], but does not mark the folio as used. So the call that allocated it
    /// may still remove it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `filemap_lock_folio()`.
    #[inline]
    pub(crate) fn lock_folio_as_is(&self, pgoff: usize) -> Option<LockedFolio> {
        // SAFETY: The pointer is valid by the type invariants.
        let folio = unsafe { helpers::mmap_pool_filemap_lock_folio(self.as_ptr(), pgoff) };
        let folio = NonNull::new(folio)?;
        // SAFETY: As in `lock_folio()`.
        Some(unsafe { LockedFolio::from_raw(folio) })
    }

    /// As [`Self::lock_folio_as_is`]. The task can be killed while it waits.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the task is being killed.
    pub(crate) fn lock_folio_killable(&self, pgoff: usize) -> Result<Option<LockedFolio>> {
        // SAFETY: The pointer is valid by the type invariants.
        let folio = unsafe { helpers::mmap_pool_filemap_lock_folio_killable(self.as_ptr(), pgoff) };
        let folio = NonNull::new(from_err_ptr(folio)?);
        // SAFETY: As in `lock_folio()`.
        Ok(folio.map(|folio| unsafe { LockedFolio::from_raw(folio) }))
    }

    /// Marks the folios of `pages` as used.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn use_folios(&self, pages: Range<usize>) {
        self.for_each_folio(pages, |folio| folio.set_used());
    }

    /// Removes the unused folios of `pages`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `shmem_undo_range()`, `mm/shmem.c`.
    pub(crate) fn remove_unused_folios(&self, pages: Range<usize>) {
        self.for_each_folio(pages, |folio| {
            if folio.is_unused() {
                self.remove_folio(folio);
            }
        });
    }

    /// Waits for each folio until its lock is free: until it was read in.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn wait_for_folios(&self) {
        self.for_each_folio(0..usize::MAX, |_| ());
    }

    /// Removes the pages of the bytes from `start` to `last`, and zeroes the parts of pages. A folio
    /// that is only partly in the range is split. If it cannot be, its pages in the range are zeroed.
    ///
    /// The C function also splits, but if the second of two splits fails, it removes pages after `last`,
    /// and if a split fails half-way, pages before `start` (`truncate_inode_partial_folio()`,
    /// `mm/truncate.c`). So it gets ranges that begin and end with a folio.
    ///
    /// # Context
    ///
    /// May sleep. The caller holds the invalidate lock exclusively.
    ///
    /// C: `truncate_inode_pages_range()`.
    pub(crate) fn remove_bytes(&self, start: bindings::loff_t, last: bindings::uoff_t) {
        // CAST: Offsets are not negative.
        let start = start as u64;
        let is_to_the_end = last == u64::MAX;
        // Of whole pages.
        let mut first = start.next_multiple_of(PAGE_LEN);
        let mut end = if is_to_the_end {
            last
        } else {
            (last + 1) / PAGE_LEN * PAGE_LEN
        };
        if first != start || self.span_at(start).start < start {
            self.zero_and_split(start, last.min(start | (PAGE_LEN - 1)));
        }
        if !is_to_the_end && (end != last + 1 || self.span_at(last).end > end) {
            self.zero_and_split(start.max(last & !(PAGE_LEN - 1)), last);
        }
        // What could not be split stays.
        if first < end {
            if let Some(span) = self.zero_part(first, &(first..end)) {
                first = span.end;
            }
        }
        if first < end && !is_to_the_end {
            if let Some(span) = self.zero_part(end - 1, &(first..end)) {
                end = span.start;
            }
        }
        if let (true, Ok(first)) = (first < end, first.try_into()) {
            let last = if is_to_the_end { last } else { end - 1 };
            // SAFETY: The pointer is valid by the type invariants.
            unsafe { bindings::truncate_inode_pages_range(self.as_ptr(), first, last) };
        }
    }

    /// Returns the bytes of the folio that holds byte `pos`, or none before and after it.
    fn span_at(&self, pos: u64) -> Range<u64> {
        // CAST: Offsets of pages fit.
        let folio = self.lock_folio_as_is((pos >> PAGE_SHIFT) as usize);
        folio.map_or(pos..pos, |folio| folio.span())
    }

    /// Zeroes bytes of a page, and splits the folio, so that the page is one of its own. Of all bytes of
    /// a page, zeroes the first only: the page is to be removed.
    fn zero_and_split(&self, start: u64, last: u64) {
        let is_whole = last - start == PAGE_LEN - 1;
        let last = if is_whole { start } else { last };
        // CAST: Offsets fit.
        let start = start as bindings::loff_t;
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { bindings::truncate_inode_pages_range(self.as_ptr(), start, last) };
    }

    /// If the folio that holds byte `pos` has bytes outside of `range`, zeroes the others, and returns
    /// where it is.
    fn zero_part(&self, pos: u64, range: &Range<u64>) -> Option<Range<u64>> {
        // CAST: Offsets of pages fit.
        let folio = self.lock_folio_as_is((pos >> PAGE_SHIFT) as usize)?;
        folio.zero_part(range).then(|| folio.span())
    }

    /// Removes and unmaps `pages`, which are zero in what is behind the page cache. A folio with other
    /// pages stays, and these are zeroed in it. Private copies stay.
    ///
    /// # Context
    ///
    /// May sleep. Nothing is written back meanwhile. Pages may be added.
    pub(crate) fn remove_zeroed(&self, pages: Range<usize>) {
        let range = (pages.start as u64) << PAGE_SHIFT..(pages.end as u64) << PAGE_SHIFT;
        self.for_each_folio(pages, |folio| {
            if !folio.zero_part(&range) {
                self.remove_folio(folio);
            }
        });
    }

    /// Removes the clean folios of `pages`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `invalidate_inode_pages2_range()`.
    pub(crate) fn remove_clean(&self, pages: Range<usize>) {
        let last = pages.end.saturating_sub(1);
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { bindings::invalidate_inode_pages2_range(self.as_ptr(), pages.start, last) };
    }

    /// Removes and unmaps a folio of this page cache. Does nothing if it has left it.
    ///
    /// C: `generic_error_remove_folio()`.
    fn remove_folio(&self, folio: &LockedFolio) {
        // SAFETY: Both are valid, and the folio is locked.
        unsafe { bindings::generic_error_remove_folio(self.as_ptr(), folio.as_ptr()) };
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

    /// Adds `folio` at page `pgoff`, and returns it locked.
    ///
    /// Charges the folio to the memory cgroup of the running task. For a large folio the charge
    /// does not reclaim memory.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EEXIST`: the page cache holds one of the pages already.
    /// - `EINVAL`: `pgoff` is not a multiple of the folio's size, or the folio is larger than
    ///   [`max_order`](Self::max_order) allows.
    /// - `ENOMEM`: no memory for the page cache, or the memory cgroup is at its limit.
    ///
    /// C: `filemap_add_folio()`.
    pub(crate) fn add_folio(&self, folio: NewFolio, pgoff: usize) -> Result<LockedFolio> {
        let nr_pages = folio.nr_pages();
        if pgoff % nr_pages != 0 || nr_pages > 1 << self.max_order() {
            return Err(EINVAL);
        }
        let gfp = gfp_for(nr_pages, self.gfp_mask());
        // SAFETY: Both pointers are valid by their type invariants. The folio is unlocked and in no
        // page cache. Its index is aligned and its order allowed, as checked above.
        to_result(unsafe {
            bindings::filemap_add_folio(self.as_ptr(), folio.as_ptr(), pgoff, gfp)
        })?;
        // SAFETY: `filemap_add_folio()` succeeded.
        let folio = unsafe { folio.assume_added() };
        // The page cache holds the only copy of the data, so the folio is dirty. The kernel may
        // drop a clean folio, for example for `MADV_SOFT_OFFLINE`.
        folio.mark_dirty();
        Ok(folio)
    }

    /// Returns the first page from `pgoff` up to `end` that the page cache holds.
    ///
    /// C: `xa_find()` on `address_space::i_pages`.
    pub(crate) fn next_page(&self, pgoff: usize, end: usize) -> Option<usize> {
        let mut found = pgoff;
        // SAFETY: The array is part of the page cache. The entry is compared with null only.
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

    /// Returns how many pages right before `pgoff` the page cache holds, at most `max`. A step of
    /// the search is a folio.
    #[inline]
    pub(crate) fn nr_pages_before(&self, pgoff: usize, max: usize) -> usize {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { helpers::mmap_pool_mapping_nr_pages_before(self.as_ptr(), pgoff, max) }
    }

    /// Takes the invalidate lock exclusively: pages are neither added nor truncated meanwhile.
    ///
    /// Lock order: after the inode's lock and `mmap_lock`, before the lock of a folio.
    ///
    /// C: `filemap_invalidate_lock()`.
    pub(crate) fn invalidate_lock(&self) -> InvalidateGuard<'_> {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { helpers::mmap_pool_filemap_invalidate_lock(self.as_ptr()) };
        InvalidateGuard(self, NotThreadSafe)
    }

    /// Takes the invalidate lock shared: pages may be added, but are not truncated meanwhile.
    ///
    /// C: `filemap_invalidate_lock_shared()`.
    pub(crate) fn invalidate_lock_shared(&self) -> SharedInvalidateGuard<'_> {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { helpers::mmap_pool_filemap_invalidate_lock_shared(self.as_ptr()) };
        SharedInvalidateGuard(self, NotThreadSafe)
    }

    /// Denies new writable shared mappings until the guard is dropped.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: a writable shared mapping exists.
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
        // SAFETY: The guard was created with the lock held.
        unsafe { helpers::mmap_pool_filemap_invalidate_unlock(self.0.as_ptr()) };
    }
}

/// The invalidate lock of a page cache, held shared.
pub(crate) struct SharedInvalidateGuard<'a>(&'a PageCache, NotThreadSafe);

impl Drop for SharedInvalidateGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The guard was created with the lock held.
        unsafe { helpers::mmap_pool_filemap_invalidate_unlock_shared(self.0.as_ptr()) };
    }
}

/// Proof that a page cache has no writable shared mapping.
///
/// An `mmap` that later creates one sees all stores made before the guard was dropped.
pub(crate) struct DenyWritableGuard<'a>(&'a PageCache);

impl Drop for DenyWritableGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The guard was created by `mapping_deny_writable()`.
        unsafe { helpers::mmap_pool_mapping_allow_writable(self.0.as_ptr()) };
    }
}
