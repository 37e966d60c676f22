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

use super::{
    node::{Node, Nodes},
    policy::{Allowed, MemPolicy},
};
use crate::helpers;
use core::{ops::Deref, ptr::NonNull};
use kernel::{
    alloc::AllocError,
    bindings,
    iov::IovIterDest,
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

// SAFETY: A folio may be used and freed by any thread; its lock belongs to none.
unsafe impl Send for Folio {}
// SAFETY: The functions below leave what needs a lock to the kernel, which takes it.
unsafe impl Sync for Folio {}

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

    /// Returns the part of the folio that holds the `len` bytes from byte `pos` of the page cache, or
    /// the first of them. Byte `pos` has to be in the folio.
    ///
    /// # Errors
    ///
    /// - `EIO`: some of the folio's memory is known to be broken. (Who maps it is told by the core.)
    ///
    /// C: `folio_size()`, `offset_in_folio()`, `include/linux/mm.h`.
    pub(crate) fn part(&self, pos: u64, len: usize) -> Result<Part<'_>> {
        // SAFETY: By the type invariants the folio is valid.
        let len_bytes = unsafe { helpers::mmap_pool_folio_whole_size(self.as_ptr()) };
        // A folio begins at a multiple of its size, which is a power of two.
        let mask = len_bytes.checked_sub(1).ok_or(EIO)?;
        let offset = pos as usize & mask;
        // INVARIANT: Clipped to the folio.
        Ok(Part {
            folio: self,
            offset,
            len: len.min(len_bytes - offset),
        })
    }

    /// Returns the page of the page cache that follows the folio. It stays, even when the folio
    /// leaves the page cache: a reference keeps it from being split.
    ///
    /// C: `folio_next_index()`.
    pub(crate) fn end(&self) -> usize {
        // SAFETY: By the type invariants the folio is valid.
        unsafe { helpers::mmap_pool_folio_next_index(self.as_ptr()) }
    }

    /// Returns the number of pages. It stays: a reference keeps the folio from being split.
    pub(crate) fn nr_pages(&self) -> usize {
        // SAFETY: By the type invariants the folio is valid.
        unsafe { helpers::mmap_pool_folio_nr_pages(self.as_ptr()) }
    }

    /// # Errors
    ///
    /// - `EIO`: some of the folio's memory is known to be broken.
    ///
    /// C: `folio_contain_hwpoisoned_page()`, `include/linux/page-flags.h`.
    pub(crate) fn check_intact(&self) -> Result {
        // SAFETY: By the type invariants the folio is valid.
        if unsafe { helpers::mmap_pool_folio_is_broken(self.as_ptr()) } {
            Err(EIO)
        } else {
            Ok(())
        }
    }

    fn head_page(&self) -> *mut bindings::page {
        // CAST: `struct folio` begins with the `struct page` of its first page.
        self.as_ptr().cast()
    }
}

/// Bytes of a folio.
///
/// # Invariants
///
/// They are within the folio.
pub(crate) struct Part<'a> {
    folio: &'a Folio,
    offset: usize,
    len: usize,
}

impl Part<'_> {
    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Copies the bytes into `iov` and returns how many it copied: fewer if a fault on the other side
    /// could not be resolved.
    ///
    /// # Context
    ///
    /// May sleep and may fault. Holds no lock that a page fault takes.
    ///
    /// C: `copy_folio_to_iter()`, `include/linux/uio.h`.
    #[inline]
    pub(crate) fn copy_to_iter(&self, iov: &mut IovIterDest<'_>) -> usize {
        let page = self.folio.head_page();
        // SAFETY: The reference keeps the folio; the bytes are within it. They are read as plain
        // memory, racing with userspace at most, which C permits here.
        unsafe { bindings::copy_page_to_iter(page, self.offset, self.len, iov.as_raw()) }
    }
}

/// Returns `gfp` as it is for a single page, and without what makes an allocation wait or disturb
/// others for more: those are a bonus.
pub(super) fn gfp_for(nr_pages: usize, gfp: bindings::gfp_t) -> bindings::gfp_t {
    if nr_pages > 1 {
        light(gfp)
    } else {
        gfp
    }
}

/// Takes from `gfp` whatever makes an allocation wait or disturb others.
///
/// C: `GFP_TRANSHUGE_LIGHT`, `include/linux/gfp_types.h`.
fn light(gfp: bindings::gfp_t) -> bindings::gfp_t {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_gfp_light(gfp) }
}

/// Makes an allocation with `gfp` fail where the first node it asks has no memory.
///
/// C: `__GFP_THISNODE`.
fn this_node(gfp: bindings::gfp_t) -> bindings::gfp_t {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_gfp_this_node(gfp) }
}

/// Returns the number of pages, as a power of two, of a huge page: what an entry maps that is one
/// level above those of pages. 0 if the kernel has no such pages.
///
/// C: `PMD_ORDER`, `include/linux/pgtable.h`.
pub(crate) fn pmd_order() -> u32 {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_pmd_order() }
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
/// Owns the only reference; the folio is zeroed, uptodate, unlocked, charged to no memory cgroup and
/// in no page cache.
pub(crate) struct NewFolio(ARef<Folio>);

impl NewFolio {
    /// Allocates a folio of `1 << order` pages.
    ///
    /// A large one is taken if there is one: nothing is reclaimed or compacted for it, as in
    /// `GFP_TRANSHUGE_LIGHT`.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` forbids it.
    ///
    /// C: `folio_alloc()`, `include/linux/gfp.h`.
    pub(crate) fn zeroed(gfp: bindings::gfp_t, order: u32) -> Result<Self, AllocError> {
        let gfp = gfp_for(1 << order, gfp) | bindings::__GFP_ZERO;
        // SAFETY: The function has no preconditions.
        let folio = unsafe { helpers::mmap_pool_folio_alloc(gfp, order) };
        // SAFETY: The allocation has just succeeded or failed, with `__GFP_ZERO`.
        unsafe { Self::from_raw(folio) }
    }

    /// Allocates a folio of `1 << order` pages that is to hold page `pgoff`, from the nodes that `policy`
    /// says. Otherwise as [`Self::zeroed`].
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` forbids it.
    ///
    /// C: `folio_alloc_mpol()`, `mm/mempolicy.c`.
    pub(crate) fn zeroed_by(
        policy: &MemPolicy,
        gfp: bindings::gfp_t,
        order: u32,
        pgoff: usize,
    ) -> Result<Self, AllocError> {
        let mut gfp = gfp_for(1 << order, gfp);
        if order > 0 && !policy.is_interleaved() {
            gfp = this_node(gfp);
        }
        let node = policy.node(pgoff, order);
        match policy.allowed() {
            Allowed::Any => Self::zeroed_on(node, None, gfp, order),
            Allowed::Only(nodes) => Self::zeroed_on(node, Some(nodes), gfp, order),
            Allowed::Rather(nodes) => Self::zeroed_on(node, Some(nodes), light(gfp), order)
                .or_else(|_| Self::zeroed_on(node, None, gfp, order)),
        }
    }

    /// Allocates a folio of `1 << order` pages from the nearest to `node` of `nodes`, or of all.
    fn zeroed_on(
        node: Node,
        nodes: Option<&Nodes>,
        gfp: bindings::gfp_t,
        order: u32,
    ) -> Result<Self, AllocError> {
        let nodes = nodes.map_or(core::ptr::null(), Nodes::as_ptr).cast_mut();
        let gfp = gfp | bindings::__GFP_ZERO;
        // SAFETY: The node is a valid one. The set is null or valid, and only read.
        let folio = unsafe { helpers::mmap_pool_folio_alloc_nodes(gfp, order, node.id(), nodes) };
        // SAFETY: The allocation has just succeeded or failed, with `__GFP_ZERO`.
        unsafe { Self::from_raw(folio) }
    }

    /// Allocates a folio of `1 << order` pages on `node` that is to wait for its use. It is taken if
    /// there is one: nothing is reclaimed or compacted for it.
    ///
    /// While it waits nothing can move it, so it does not come from where everything has to be
    /// movable.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `__folio_alloc_node()`, `include/linux/gfp.h`.
    pub(crate) fn zeroed_in_advance(node: Node, order: u32) -> Result<Self, AllocError> {
        let gfp = light(bindings::GFP_KERNEL | bindings::__GFP_HIGHMEM);
        Self::zeroed_on(node, None, this_node(gfp), order)
    }

    /// # Safety
    ///
    /// `folio` is a new allocation with `__GFP_ZERO`, handed over, or null.
    unsafe fn from_raw(folio: *mut bindings::folio) -> Result<Self, AllocError> {
        let folio = NonNull::new(folio).ok_or(AllocError)?;
        // SAFETY: The folio is ours alone and `__GFP_ZERO` has initialised all of it.
        unsafe { helpers::mmap_pool_folio_mark_uptodate(folio.as_ptr()) };
        // INVARIANT: As the allocation's only owner, all of the above holds.
        // SAFETY: The allocation comes with one reference, handed over here.
        Self(unsafe { ARef::from_raw(folio.cast()) })
            .intact()
            .ok_or(AllocError)
    }

    /// Returns the number of pages.
    pub(crate) fn nr_pages(&self) -> usize {
        self.0.nr_pages()
    }

    /// Returns the folio unless some of its memory is known to be broken.
    ///
    /// Of a folio that is in no page cache nothing is told when its memory breaks: the page is marked,
    /// and that is all (`memory_failure()`, `mm/memory-failure.c`). When the page is freed by itself,
    /// the page allocator keeps it out of use. A page of a large folio would come back from there
    /// (`free_pages_prepare()`, `mm/page_alloc.c`), so such a folio is never freed.
    pub(crate) fn intact(self) -> Option<Self> {
        // SAFETY: By the type invariants the folio is ours alone.
        if unsafe { helpers::mmap_pool_folio_set_aside_if_broken(self.as_ptr()) } {
            if self.nr_pages() > 1 {
                core::mem::forget(self);
            }
            None
        } else {
            Some(self)
        }
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

/// New folios, linked through themselves: a list of any length takes no memory of its own.
///
/// # Invariants
///
/// `top` is null or the first of `len` folios, each of which has the next in its `lru`. The list owns
/// what a [`NewFolio`] owns of each.
pub(crate) struct NewFolioList {
    top: *mut bindings::folio,
    len: usize,
}

// SAFETY: The list owns its folios, which any thread may use and free.
unsafe impl Send for NewFolioList {}

impl NewFolioList {
    pub(crate) const fn new() -> Self {
        // INVARIANT: An empty list.
        Self {
            top: core::ptr::null_mut(),
            len: 0,
        }
    }

    /// Returns the number of folios.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, folio: NewFolio) {
        // INVARIANT: The folio is the first now, and has the one before it as its next.
        let folio = ARef::into_raw(folio.0).cast().as_ptr();
        // SAFETY: The list owns the folio, so nobody else uses its `lru`.
        unsafe { helpers::mmap_pool_folio_set_next(folio, self.top) };
        self.top = folio;
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<NewFolio> {
        let folio = NonNull::new(self.top)?;
        // INVARIANT: The next folio is the first now.
        // SAFETY: By the type invariants the folio is ours, and has the next in its `lru`.
        self.top = unsafe { helpers::mmap_pool_folio_next(folio.as_ptr()) };
        self.len -= 1;
        // INVARIANT: What the list owned of the folio is handed over.
        // SAFETY: By the type invariants the list owns a reference.
        Some(NewFolio(unsafe { ARef::from_raw(folio.cast()) }))
    }
}

impl Drop for NewFolioList {
    fn drop(&mut self) {
        while self.pop().is_some() {}
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
    pub(crate) unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: As the caller promises.
        // SAFETY: The caller hands over a reference.
        Self(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Declares that nobody has used the folio, which is new, so that it may be taken away again. It
    /// counts as used from the next [`PageCache::lock_folio`] on that is about a page of the file, and
    /// cannot be mapped before.
    ///
    /// [`PageCache::lock_folio`]: super::page_cache::PageCache::lock_folio
    ///
    /// C: `folio_clear_uptodate()`: that is how `shmem_fallocate()` tells its own folios.
    pub(crate) fn set_unused(&self) {
        // SAFETY: By the type invariants the folio is locked.
        unsafe { helpers::mmap_pool_folio_clear_uptodate(self.as_ptr()) };
    }

    /// Declares the folio to be used.
    pub(super) fn set_used(&self) {
        // SAFETY: By the type invariants the folio is locked.
        unsafe { helpers::mmap_pool_folio_set_uptodate(self.as_ptr()) };
    }

    /// Returns whether nobody has used the folio since [`Self::set_unused`].
    pub(super) fn is_unused(&self) -> bool {
        // SAFETY: By the type invariants the folio is locked.
        unsafe { !helpers::mmap_pool_folio_test_uptodate(self.as_ptr()) }
    }

    /// Gives up ownership of the lock and of the reference without releasing them.
    pub(crate) fn into_raw(self) -> NonNull<bindings::folio> {
        let folio = core::mem::ManuallyDrop::new(self);
        NonNull::from(&**folio).cast()
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
