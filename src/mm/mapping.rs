// SPDX-License-Identifier: GPL-2.0

//! The page cache of an inode: which folio holds which page.
//!
//! C: `struct address_space`, `include/linux/fs.h`, `include/linux/pagemap.h`.

use super::folio::{Folio, LockedFolio, NewFolio};
use crate::helpers;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    prelude::*,
    sync::aref::ARef,
    types::Opaque,
};

/// The page cache of an inode of a pseudo file system, filled by its owner alone.
///
/// # Invariants
///
/// The `address_space` is initialised, and its operations are [`OPERATIONS`].
#[repr(transparent)]
pub(crate) struct Mapping(Opaque<bindings::address_space>);

// SAFETY: The page cache has its own locks; every method may be called from any thread.
unsafe impl Sync for Mapping {}

/// Memory is all there is behind the page cache: nothing is read in, nothing is written back.
const OPERATIONS: bindings::address_space_operations = bindings::address_space_operations {
    dirty_folio: Some(bindings::noop_dirty_folio),
    migrate_folio: Some(bindings::filemap_migrate_folio),
    ..pin_init::zeroed()
};

impl Mapping {
    /// Takes over the page cache of a new inode.
    ///
    /// Its folios are the only copy of the data, so reclaim has to leave them alone.
    ///
    /// # Safety
    ///
    /// `mapping` belongs to an inode that is being set up, and lives for `'a`.
    pub(crate) unsafe fn init<'a>(mapping: *mut bindings::address_space) -> &'a Self {
        // SAFETY: The caller's promise; nobody else can see the inode yet.
        unsafe { (*mapping).a_ops = &OPERATIONS };
        // SAFETY: The caller's promise.
        unsafe { helpers::mmap_pool_mapping_set_unevictable(mapping) };
        // INVARIANT: The operations were set above.
        // SAFETY: The caller's promise.
        unsafe { Self::from_raw(mapping) }
    }

    /// # Safety
    ///
    /// [`Mapping::init`] was called for `mapping`, which lives for `'a`.
    pub(crate) unsafe fn from_raw<'a>(mapping: *mut bindings::address_space) -> &'a Self {
        // SAFETY: The caller's promise; `Mapping` is transparent.
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
        let folio = NonNull::new(from_err_ptr(folio).ok()?)?;
        // SAFETY: The look-up has taken a reference; folios enter this page cache as `NewFolio`,
        // initialised.
        Some(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Returns the folio that holds page `pgoff`, locked, if there is one.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `filemap_lock_folio()`.
    pub(crate) fn lock_folio(&self, pgoff: usize) -> Option<LockedFolio> {
        // SAFETY: The pointer is valid by the type invariants.
        let folio = unsafe { helpers::mmap_pool_filemap_lock_folio(self.as_ptr(), pgoff) };
        let folio = NonNull::new(from_err_ptr(folio).ok()?)?;
        // SAFETY: The look-up has taken a reference and the lock, and has checked that the folio
        // still belongs to this page cache.
        Some(unsafe { LockedFolio::from_raw(folio) })
    }

    /// Makes `folio` hold page `pgoff`, and returns it locked.
    ///
    /// The folio is charged to the memory cgroup of the running task.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EEXIST`: some folio holds the page already.
    /// - `ENOMEM`: no memory for the page cache, or the memory cgroup is at its limit.
    ///
    /// C: `filemap_add_folio()`.
    pub(crate) fn add_folio(&self, folio: NewFolio, pgoff: usize) -> Result<LockedFolio> {
        // SAFETY: Both pointers are valid by their type invariants; the folio is unlocked and in
        // no page cache, and at order 0 every index is aligned.
        to_result(unsafe {
            bindings::filemap_add_folio(self.as_ptr(), folio.as_ptr(), pgoff, self.gfp_mask())
        })?;
        // SAFETY: The call above has succeeded.
        let folio = unsafe { folio.assume_added() };
        // The page cache holds the only copy of the data. To the kernel that is a dirty folio; a
        // clean one may be dropped, by `MADV_SOFT_OFFLINE` for one.
        // SAFETY: The folio is locked, so it stays in this page cache for the call.
        unsafe { bindings::folio_mark_dirty(folio.as_ptr()) };
        Ok(folio)
    }
}
