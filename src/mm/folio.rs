// SPDX-License-Identifier: GPL-2.0

//! Folios: physically contiguous runs of pages, the unit of the page cache.
//!
//! The state of a folio is its type: [`NewFolio`] belongs to nobody else, [`Folio`] is in a page
//! cache and others may use it, [`LockedFolio`] is in a page cache and its lock is held.
//!
//! Userspace may write to a mapped folio at any time. Its bytes are therefore never behind a Rust
//! reference: they are only copied, by the kernel's own functions.
//!
//! C header: `include/linux/pagemap.h`.

use crate::helpers;
use core::{ops::Deref, ptr::NonNull};
use kernel::{
    alloc::AllocError,
    bindings,
    iov::{IovIterDest, IovIterSource},
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::{ARef, AlwaysRefCounted},
    types::Opaque,
};

/// A folio in a page cache.
///
/// # Invariants
///
/// The reference count is not zero while a `&Folio` exists. All bytes are initialised.
#[repr(transparent)]
pub(crate) struct Folio(Opaque<bindings::folio>);

// SAFETY: The functions below use the folio's own reference count, and a folio is freed when its
// last reference is put.
unsafe impl AlwaysRefCounted for Folio {
    fn inc_ref(&self) {
        // SAFETY: By the type invariants the count is not zero.
        unsafe { helpers::mmap_pool_folio_get(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference that it owns.
        unsafe { helpers::mmap_pool_folio_put(obj.cast().as_ptr()) };
    }
}

impl Folio {
    pub(super) fn as_ptr(&self) -> *mut bindings::folio {
        self.0.get()
    }

    /// Copies `len` bytes from `offset`, both in bytes, into `iov` and returns how many it copied:
    /// fewer if a fault on the other side could not be resolved.
    ///
    /// # Context
    ///
    /// May sleep and may fault. Holds no lock that a page fault takes.
    ///
    /// C: `copy_folio_to_iter()`, `include/linux/uio.h`.
    pub(crate) fn copy_to_iter(
        &self,
        offset: usize,
        len: usize,
        iov: &mut IovIterDest<'_>,
    ) -> usize {
        let len = len.min(self.len_bytes().saturating_sub(offset));
        // SAFETY: The reference keeps the folio; `offset + len` is within it. The pages are read
        // as plain memory, racing with userspace at most, which C permits here.
        unsafe { bindings::copy_page_to_iter(self.head_page(), offset, len, iov.as_raw()) }
    }

    /// Copies `len` bytes from `iov` to `offset`, both in bytes, and returns how many it copied:
    /// fewer if a fault on the other side could not be resolved.
    ///
    /// # Context
    ///
    /// May sleep and may fault. Holds no lock that a page fault takes.
    ///
    /// C: `copy_page_from_iter()`, `include/linux/uio.h`.
    pub(crate) fn copy_from_iter(
        &self,
        offset: usize,
        len: usize,
        iov: &mut IovIterSource<'_>,
    ) -> usize {
        let len = len.min(self.len_bytes().saturating_sub(offset));
        // SAFETY: The reference keeps the folio; `offset + len` is within it. Nobody holds a Rust
        // reference to the bytes.
        let copied =
            unsafe { bindings::copy_page_from_iter(self.head_page(), offset, len, iov.as_raw()) };
        // SAFETY: The reference keeps the folio.
        unsafe { helpers::mmap_pool_flush_dcache_folio(self.as_ptr()) };
        copied
    }

    /// Returns the number of pages.
    pub(super) fn nr_pages(&self) -> usize {
        // SAFETY: By the type invariants the folio is valid.
        unsafe { helpers::mmap_pool_folio_nr_pages(self.as_ptr()) }
    }

    fn len_bytes(&self) -> usize {
        self.nr_pages() << PAGE_SHIFT
    }

    fn head_page(&self) -> *mut bindings::page {
        // CAST: `struct folio` begins with the `struct page` of its first page.
        self.as_ptr().cast()
    }
}

/// Writes `len` zero bytes into `iov` and returns how many it wrote.
///
/// # Context
///
/// May sleep and may fault. Holds no lock that a page fault takes.
///
/// C: `iov_iter_zero()`, `include/linux/uio.h`.
pub(crate) fn copy_zeroes_to_iter(len: usize, iov: &mut IovIterDest<'_>) -> usize {
    // SAFETY: `iov` is a valid iterator to copy to.
    unsafe { bindings::iov_iter_zero(len, iov.as_raw()) }
}

/// A zeroed folio that nobody else knows yet.
///
/// # Invariants
///
/// Owns the only reference; the folio is one page, zeroed, uptodate, unlocked and in no page cache.
pub(crate) struct NewFolio(ARef<Folio>);

impl NewFolio {
    /// Allocates a folio of one page.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` forbids it.
    ///
    /// C: `folio_alloc()`, `include/linux/gfp.h`.
    pub(crate) fn zeroed(gfp: bindings::gfp_t) -> Result<Self, AllocError> {
        // SAFETY: The function has no preconditions.
        let folio = unsafe { helpers::mmap_pool_folio_alloc(gfp | bindings::__GFP_ZERO, 0) };
        let folio = NonNull::new(folio).ok_or(AllocError)?;
        // SAFETY: The folio is ours alone and `__GFP_ZERO` has initialised all of it.
        unsafe { helpers::mmap_pool_folio_mark_uptodate(folio.as_ptr()) };
        // INVARIANT: As the allocation's only owner, all of the above holds.
        // SAFETY: The allocation comes with one reference, handed over here.
        Ok(Self(unsafe { ARef::from_raw(folio.cast()) }))
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::folio {
        self.0.as_ptr()
    }

    /// Declares the folio to be in a page cache and locked.
    ///
    /// # Safety
    ///
    /// `filemap_add_folio()` has succeeded on it.
    pub(super) unsafe fn assume_added(self) -> LockedFolio {
        // INVARIANT: `filemap_add_folio()` returns the folio locked.
        LockedFolio(self.0)
    }
}

/// A folio of a page cache whose lock is held: it cannot be truncated.
///
/// # Invariants
///
/// Owns a reference and the folio lock.
pub(crate) struct LockedFolio(ARef<Folio>);

impl LockedFolio {
    /// # Safety
    ///
    /// `folio` is in a page cache and locked; the caller hands over the lock and a reference.
    pub(super) unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: As the caller promises.
        // SAFETY: The caller hands over a reference.
        Self(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Gives up ownership of the lock and of the reference without releasing them.
    pub(super) fn into_raw(self) -> NonNull<bindings::folio> {
        let folio = core::mem::ManuallyDrop::new(self);
        NonNull::from(&**folio).cast()
    }

    /// Releases the lock and keeps the reference.
    pub(crate) fn unlock(self) -> ARef<Folio> {
        let folio = self.into_raw();
        // SAFETY: By the type invariants the lock was ours.
        unsafe { bindings::folio_unlock(folio.as_ptr()) };
        // SAFETY: By the type invariants the reference was ours.
        unsafe { ARef::from_raw(folio.cast()) }
    }
}

impl Deref for LockedFolio {
    type Target = Folio;

    fn deref(&self) -> &Folio {
        &self.0
    }
}

impl Drop for LockedFolio {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is ours.
        unsafe { bindings::folio_unlock(self.as_ptr()) };
    }
}
