// SPDX-License-Identifier: GPL-2.0

//! Folios: physically contiguous runs of pages, the unit of the page cache.
//!
//! The type tells the state of a folio. A [`NewFolio`] is in no page cache and has one owner. A
//! [`Folio`] is in a page cache and shared. A [`LockedFolio`] is in a page cache, with its lock
//! held.
//!
//! Userspace may write to a mapped folio at any time. So its bytes are never behind a Rust
//! reference: the kernel's own functions copy them.
//!
//! C header: `include/linux/pagemap.h`.

use super::{
    node::{
        Node,
        Nodes, //
    },
    policy::{
        Allowed,
        MemPolicy, //
    }, //
};
use crate::helpers;
use core::{
    mem::ManuallyDrop,
    ops::{
        Deref,
        Range, //
    },
    ptr::NonNull, //
};
use kernel::{
    alloc::AllocError,
    bindings,
    error::to_result,
    iov::IovIterDest,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// A folio in a page cache.
///
/// # Invariants
///
/// The reference count is not zero while a `&Folio` exists. All bytes are initialised.
#[repr(transparent)]
pub(crate) struct Folio(Opaque<bindings::folio>);

// SAFETY: Any thread may use and free a folio. Its lock has no owner.
unsafe impl Send for Folio {}
// SAFETY: The methods call kernel functions that take the locks they need.
unsafe impl Sync for Folio {}

// SAFETY: The methods use the folio's own reference count. A folio is freed with its last
// reference.
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

    /// Returns the bytes from byte `pos` of the page cache on, at most `len` and not past the end
    /// of the folio. The folio has to hold byte `pos`.
    ///
    /// # Errors
    ///
    /// - `EIO`: the folio has a hardware memory error.
    ///
    /// C: `folio_size()`, `offset_in_folio()`, `include/linux/mm.h`.
    pub(crate) fn part(&self, pos: u64, len: usize) -> Result<Part<'_>> {
        // SAFETY: By the type invariants the folio is valid.
        let len_bytes = unsafe { helpers::mmap_pool_folio_whole_size(self.as_ptr()) };
        // The size of a folio is a power of two, and its offset in the page cache a multiple of it.
        let mask = len_bytes.checked_sub(1).ok_or(EIO)?;
        let offset = pos as usize & mask;
        // INVARIANT: Clipped to the folio.
        Ok(Part {
            folio: self,
            offset,
            len: len.min(len_bytes - offset),
        })
    }

    /// Returns the index of the page after the folio. It does not change: a reference prevents a
    /// split, and the index stays when the folio leaves the page cache.
    ///
    /// C: `folio_next_index()`.
    pub(crate) fn end(&self) -> usize {
        // SAFETY: By the type invariants the folio is valid.
        unsafe { helpers::mmap_pool_folio_next_index(self.as_ptr()) }
    }

    /// Returns the number of pages. It does not change: a reference prevents a split.
    pub(crate) fn nr_pages(&self) -> usize {
        // SAFETY: By the type invariants the folio is valid.
        unsafe { helpers::mmap_pool_folio_nr_pages(self.as_ptr()) }
    }

    /// Returns the first byte of the page cache that the folio holds.
    ///
    /// C: `folio_pos()`.
    pub(crate) fn pos(&self) -> i64 {
        // SAFETY: By the type invariants the folio is valid.
        unsafe { helpers::mmap_pool_folio_pos(self.as_ptr()) }
    }

    /// Returns the number of bytes.
    ///
    /// C: `folio_size()`.
    pub(crate) fn len_bytes(&self) -> usize {
        // SAFETY: By the type invariants the folio is valid.
        unsafe { helpers::mmap_pool_folio_size(self.as_ptr()) }
    }

    /// Returns the bytes of the page cache that the folio holds.
    pub(crate) fn span(&self) -> Range<u64> {
        // CAST: Offsets are not negative.
        let start = self.pos() as u64;
        start..start + self.len_bytes() as u64
    }

    /// Checks for a hardware memory error.
    ///
    /// # Errors
    ///
    /// - `EIO`: the folio has a hardware memory error.
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

    /// Waits until a read of the folio has ended. The task can be killed.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the task is being killed.
    /// - `EIO`: the read failed.
    ///
    /// C: `folio_wait_locked_killable()`, `folio_test_uptodate()`.
    pub(crate) fn wait_for_read(&self) -> Result {
        // SAFETY: By the type invariants the folio is valid.
        to_result(unsafe { helpers::mmap_pool_folio_wait_for_read(self.as_ptr()) })
    }

    fn head_page(&self) -> *mut bindings::page {
        // CAST: The first member of `struct folio` is the `struct page` of its first page.
        self.as_ptr().cast()
    }
}

/// Bytes of a folio.
///
/// # Invariants
///
/// The bytes are within the folio.
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

    /// Copies the bytes into `iov`. Returns the number of bytes copied: fewer if `iov` is not
    /// writable.
    ///
    /// # Context
    ///
    /// May sleep and may fault. Holds no lock that a page fault takes.
    ///
    /// C: `copy_folio_to_iter()`, `include/linux/uio.h`.
    #[inline]
    pub(crate) fn copy_to_iter(&self, iov: &mut IovIterDest<'_>) -> usize {
        let page = self.folio.head_page();
        // SAFETY: The reference keeps the folio, and the bytes are within it. Userspace may write
        // them at the same time; `copy_page_to_iter()` allows that.
        unsafe { bindings::copy_page_to_iter(page, self.offset, self.len, iov.as_raw()) }
    }
}

/// Returns the flags to allocate `nr_pages` pages: `gfp` for a single page, and without reclaim for
/// more, because extra pages are optional.
pub(super) fn gfp_for(nr_pages: usize, gfp: bindings::gfp_t) -> bindings::gfp_t {
    if nr_pages > 1 {
        light(gfp)
    } else {
        gfp
    }
}

/// Removes reclaim and access to memory reserves from `gfp`.
///
/// C: `GFP_TRANSHUGE_LIGHT`, `include/linux/gfp_types.h`.
fn light(gfp: bindings::gfp_t) -> bindings::gfp_t {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_gfp_light(gfp) }
}

/// Restricts `gfp` to the first node: the allocation fails if it has no free memory.
///
/// C: `__GFP_THISNODE`.
fn this_node(gfp: bindings::gfp_t) -> bindings::gfp_t {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_gfp_this_node(gfp) }
}

/// Returns the order of a huge page, which one PMD entry maps. 0 if the kernel has no huge pages.
///
/// C: `PMD_ORDER`, `include/linux/pgtable.h`.
pub(crate) fn pmd_order() -> u32 {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_pmd_order() }
}

/// Writes `len` zero bytes into `iov`. Returns the number of bytes written.
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

/// A zeroed folio with a single owner.
///
/// # Invariants
///
/// Owns the only reference. The folio is zeroed, uptodate, unlocked, charged to no memory cgroup
/// and in no page cache.
pub(crate) struct NewFolio(ARef<Folio>);

impl NewFolio {
    /// Allocates a folio of `1 << order` pages.
    ///
    /// A large folio is allocated without reclaim and compaction, as with `GFP_TRANSHUGE_LIGHT`.
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
        // SAFETY: The pointer is a new allocation with `__GFP_ZERO`, or null.
        unsafe { Self::from_raw(folio) }
    }

    /// Allocates a folio of `1 << order` pages for page `pgoff`, on the nodes of `policy`.
    /// Otherwise as [`Self::zeroed`].
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

    /// Allocates a folio of `1 << order` pages on the node of `nodes` that is nearest to `node`.
    /// Without `nodes` any node will do.
    fn zeroed_on(
        node: Node,
        nodes: Option<&Nodes>,
        gfp: bindings::gfp_t,
        order: u32,
    ) -> Result<Self, AllocError> {
        let nodes = nodes.map_or(core::ptr::null(), Nodes::as_ptr).cast_mut();
        let gfp = gfp | bindings::__GFP_ZERO;
        // SAFETY: The node is valid. The set is null or valid, and only read.
        let folio = unsafe { helpers::mmap_pool_folio_alloc_nodes(gfp, order, node.id(), nodes) };
        // SAFETY: The pointer is a new allocation with `__GFP_ZERO`, or null.
        unsafe { Self::from_raw(folio) }
    }

    /// Allocates a folio of `1 << order` pages on `node` for later use, without reclaim and
    /// compaction.
    ///
    /// The kernel cannot migrate a folio that is in no page cache. So the folio is not allocated in
    /// a zone of movable memory.
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
    /// `folio` is null or a new allocation with `__GFP_ZERO`. The caller gives up its reference.
    unsafe fn from_raw(folio: *mut bindings::folio) -> Result<Self, AllocError> {
        let folio = NonNull::new(folio).ok_or(AllocError)?;
        // SAFETY: This is the only reference, and `__GFP_ZERO` has initialised the folio.
        unsafe { helpers::mmap_pool_folio_mark_uptodate(folio.as_ptr()) };
        // INVARIANT: The allocation is new, zeroed and marked uptodate.
        // SAFETY: The caller gives up the reference of the allocation.
        Self(unsafe { ARef::from_raw(folio.cast()) })
            .intact()
            .ok_or(AllocError)
    }

    /// Returns the number of pages.
    pub(crate) fn nr_pages(&self) -> usize {
        self.0.nr_pages()
    }

    /// Returns the folio, or `None` if it has a hardware memory error.
    ///
    /// For a folio in no page cache, `memory_failure()` (`mm/memory-failure.c`) sets the page flag
    /// and does nothing else. The page allocator does not reuse a single page with that flag. It
    /// would reuse such a page of a large folio (`free_pages_prepare()`, `mm/page_alloc.c`), so a
    /// large folio with that flag is never freed.
    pub(crate) fn intact(self) -> Option<Self> {
        (!self.is_broken()).then_some(self)
    }

    fn is_broken(&self) -> bool {
        // SAFETY: By the type invariants this is the only reference.
        unsafe { helpers::mmap_pool_folio_set_aside_if_broken(self.as_ptr()) }
    }

    /// Returns the reference, for an owner that does not free the folio.
    fn into_inner(self) -> ARef<Folio> {
        let new = ManuallyDrop::new(self);
        // SAFETY: The field is valid, and `new` does not use it any more.
        unsafe { core::ptr::read(&new.0) }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::folio {
        self.0.as_ptr()
    }

    /// Returns the folio as one that is in a page cache, with its lock held.
    ///
    /// # Safety
    ///
    /// `filemap_add_folio()` has added the folio.
    pub(super) unsafe fn assume_added(self) -> LockedFolio {
        // INVARIANT: `filemap_add_folio()` returns the folio locked.
        LockedFolio(self.into_inner())
    }
}

impl Drop for NewFolio {
    fn drop(&mut self) {
        if self.nr_pages() > 1 && self.is_broken() {
            // With one reference more, it is never freed.
            core::mem::forget(self.0.clone());
        }
    }
}

/// A list of new folios. The links are in the folios, so the list allocates nothing.
///
/// # Invariants
///
/// `top` is null or the first of `len` folios. The `lru` member of each folio points to the next.
/// The list owns each folio as a [`NewFolio`] does.
pub(crate) struct NewFolioList {
    top: *mut bindings::folio,
    len: usize,
}

// SAFETY: The list owns its folios, and any thread may use and free a folio.
unsafe impl Send for NewFolioList {}

impl NewFolioList {
    pub(crate) const fn new() -> Self {
        // INVARIANT: The list is empty.
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
        // INVARIANT: The folio becomes the first, and its next is the former first.
        let folio = ARef::into_raw(folio.into_inner()).cast().as_ptr();
        // SAFETY: The list owns the folio, so its `lru` member is unused.
        unsafe { helpers::mmap_pool_folio_set_next(folio, self.top) };
        self.top = folio;
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<NewFolio> {
        let folio = NonNull::new(self.top)?;
        // INVARIANT: The next folio becomes the first.
        // SAFETY: By the type invariants the folio is valid, and `lru` points to the next.
        self.top = unsafe { helpers::mmap_pool_folio_next(folio.as_ptr()) };
        self.len -= 1;
        // INVARIANT: The list gives up its ownership of the folio.
        // SAFETY: By the type invariants the list owns a reference.
        Some(NewFolio(unsafe { ARef::from_raw(folio.cast()) }))
    }
}

impl Drop for NewFolioList {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// A folio in a page cache, with its lock held. Truncation waits for the lock.
///
/// # Invariants
///
/// Owns a reference and the folio lock.
pub(crate) struct LockedFolio(ARef<Folio>);

impl LockedFolio {
    /// # Safety
    ///
    /// `folio` is in a page cache and locked. The caller gives up the lock and a reference.
    pub(crate) unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: The caller's promise.
        // SAFETY: The caller gives up a reference.
        Self(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Marks the folio, which is new, as unused. The call that allocated it may remove it again.
    /// The next [`PageCache::lock_folio`] for a page below the end of the file marks it as used. It
    /// is not mapped before that.
    ///
    /// [`PageCache::lock_folio`]: super::page_cache::PageCache::lock_folio
    ///
    /// C: `folio_clear_uptodate()`. `shmem_fallocate()` marks its new folios in the same way.
    pub(crate) fn set_unused(&self) {
        // SAFETY: By the type invariants the folio is locked.
        unsafe { helpers::mmap_pool_folio_clear_uptodate(self.as_ptr()) };
    }

    /// Zeroes the bytes of `range` that the folio holds, counted from the start of the page cache.
    ///
    /// C: `folio_zero_range()`.
    pub(crate) fn zero(&self, range: Range<u64>) {
        let span = self.span();
        let (start, end) = (range.start.max(span.start), range.end.min(span.end));
        if start < end {
            // CAST: Within the folio.
            let (start, len_bytes) = ((start - span.start) as usize, (end - start) as usize);
            // SAFETY: By the type invariants the folio is valid. The range is within it.
            unsafe { helpers::mmap_pool_folio_zero(self.as_ptr(), start, len_bytes) };
        }
    }

    /// If the folio has bytes outside of `range`, zeroes the others. Returns whether it has.
    pub(super) fn zero_part(&self, range: &Range<u64>) -> bool {
        let span = self.span();
        let is_part = span.start < range.start || range.end < span.end;
        if is_part {
            self.zero(range.clone());
        }
        is_part
    }

    /// Marks the folio as used.
    pub(super) fn set_used(&self) {
        self.set_uptodate();
    }

    /// Returns whether the folio is marked as unused.
    pub(super) fn is_unused(&self) -> bool {
        !self.is_uptodate()
    }

    /// Returns whether all bytes have their content.
    ///
    /// C: `folio_test_uptodate()`.
    pub(crate) fn is_uptodate(&self) -> bool {
        // SAFETY: By the type invariants the folio is locked.
        unsafe { helpers::mmap_pool_folio_test_uptodate(self.as_ptr()) }
    }

    /// Says that all bytes have their content.
    ///
    /// C: `folio_mark_uptodate()`.
    pub(crate) fn set_uptodate(&self) {
        // SAFETY: By the type invariants the folio is locked.
        unsafe { helpers::mmap_pool_folio_set_uptodate(self.as_ptr()) };
    }

    /// Says that the bytes have to be written back.
    ///
    /// C: `folio_mark_dirty()`.
    pub(crate) fn mark_dirty(&self) {
        // SAFETY: By the type invariants the folio is locked, and so it stays in its page cache.
        unsafe { bindings::folio_mark_dirty(self.as_ptr()) };
    }

    /// Makes the next store to a mapping of the folio a page fault. Returns false if the folio is
    /// pinned, so that a store needs no mapping.
    ///
    /// C: `folio_mkclean()`, `folio_maybe_dma_pinned()`.
    pub(crate) fn protect(&self) -> bool {
        // SAFETY: By the type invariants the folio is locked, and so it stays in its page cache.
        unsafe { !helpers::mmap_pool_folio_protect(self.as_ptr()) }
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
