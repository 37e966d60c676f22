// SPDX-License-Identifier: GPL-2.0

//! Inodes: a page cache, a size, a lock, and data of the driver.
//!
//! An inode exists as long as an [`ARef`] to it, or an open file or a mapping of it.
//!
//! C header: `include/linux/fs.h`.

use super::{
    address_space::AddressSpaceOperations,
    pseudo::{
        FileSystemType,
        Mount, //
    },
    ModuleRef, //
};
use crate::{
    helpers,
    mm::{
        folio::LockedFolio,
        page_cache::{
            InvalidateGuard,
            PageCache, //
        },
        vm_ops::FileObject, //
    }, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_ulong, //
    },
    fs::LocalFile,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        atomic::{
            Atomic,
            Relaxed, //
        }, //
    },
    types::{
        ForeignOwnable,
        NotThreadSafe,
        Opaque, //
    }, //
};

/// The driver's data in an inode.
pub(crate) trait InodeData: Send + Sync + Sized + 'static {
    /// The type of the file system that `statfs` reports.
    const MAGIC: u32;

    /// Returns the type of the file system whose inodes have a `Self`.
    fn file_system_type() -> &'static FileSystemType<Self>;

    /// Changes the size to `len_bytes`, for `ftruncate`.
    fn resize(inode: &InodeGuard<'_, Self>, len_bytes: u64) -> Result;

    /// Returns how many of `len` bytes from byte `pos` may be written: at least one.
    fn check_write(inode: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<usize>;

    /// Returns the storage that the inode uses, in units of 512 bytes.
    ///
    /// C: `struct kstat`, `blocks`.
    fn nr_blocks(inode: &Inode<Self>) -> u64;
}

/// The driver's data in an inode whose page cache holds the only copy of the content.
pub(crate) trait MemoryData: InodeData {
    /// Returns the order of the largest folio that the page cache may hold.
    fn max_order(&self) -> u32;

    /// Returns the folio that holds byte `pos`, locked, for a write of `len` bytes.
    ///
    /// C: `address_space_operations::write_begin`.
    fn write_begin(inode: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<LockedFolio>;

    /// Called after `nr_pages` pages have left the page cache of an inode.
    ///
    /// # Context
    ///
    /// The caller may hold the lock of a folio. Must not sleep.
    ///
    /// C: `address_space_operations::free_folio`.
    fn pages_removed(nr_pages: usize);
}

/// The value that `i_private` points to.
#[pin_data]
struct Private<T> {
    mnt: NonNull<bindings::vfsmount>,
    /// Set under the invalidate lock of the page cache.
    is_revoked: Atomic<bool>,
    #[pin]
    data: T,
    /// Present if the inode has files of its own. The last field, so it is dropped last.
    _module: Option<ModuleRef>,
}

/// An inode with a `T`.
///
/// # Invariants
///
/// The inode belongs to the file system of `T`. `i_private` points to a `Private<T>`.
/// Its page cache is set up. Each reference to the inode comes with a
/// reference to its mount.
#[repr(transparent)]
pub(crate) struct Inode<T: InodeData>(Opaque<bindings::inode>, PhantomData<T>);

// SAFETY: Any thread may use and release an inode. `T` is `Send`.
unsafe impl<T: InodeData> Send for Inode<T> {}
// SAFETY: `T` is `Sync`, and the VFS has locks for the rest.
unsafe impl<T: InodeData> Sync for Inode<T> {}

// SAFETY: A reference consists of one to the inode and one to its mount, taken and put together.
unsafe impl<T: InodeData> AlwaysRefCounted for Inode<T> {
    fn inc_ref(&self) {
        // SAFETY: The mount is valid as long as the inode is.
        unsafe { bindings::mntget(self.private().mnt.as_ptr()) };
        // SAFETY: The inode is valid.
        unsafe { bindings::ihold(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns a reference, so the inode is valid.
        let mnt = unsafe { obj.as_ref() }.private().mnt;
        // SAFETY: The caller gives up the reference.
        unsafe { bindings::iput(obj.cast().as_ptr()) };
        // SAFETY: The reference to the inode came with one to the mount. The inode is not used any
        // more.
        unsafe { bindings::mntput(mnt.as_ptr()) };
    }
}

impl<T: InodeData> Inode<T> {
    const OPERATIONS: bindings::inode_operations = bindings::inode_operations {
        setattr: Some(Self::setattr),
        getattr: Some(Self::getattr),
        ..pin_init::zeroed()
    };

    /// Creates an inode with `data`. `make` makes the C structure, whose page cache it sets up.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    /// - Otherwise the errors of `data` and `make`.
    pub(super) fn with_inode(
        mount: &Mount<T>,
        data: impl PinInit<T, Error>,
        module: Option<ModuleRef>,
        make: impl FnOnce(*mut bindings::super_block, &T) -> Result<NonNull<bindings::inode>>,
    ) -> Result<ARef<Self>> {
        let mnt = NonNull::new(mount.as_ptr()).ok_or(EINVAL)?;
        let private = try_pin_init!(Private {
            mnt,
            is_revoked: Atomic::new(false),
            data <- data,
            _module: module,
        });
        let private = KBox::try_pin_init(private, GFP_KERNEL_ACCOUNT)?;
        // SAFETY: The mount is valid, and so is its super block.
        let inode = make(unsafe { (*mnt.as_ptr()).mnt_sb }, &private.data)?;
        // SAFETY: The inode is not shared yet.
        unsafe {
            (*inode.as_ptr()).i_private = private.into_foreign().cast();
            (*inode.as_ptr()).i_op = &Self::OPERATIONS;
        }
        // SAFETY: The mount is valid. The reference made below includes one to the mount.
        unsafe { bindings::mntget(mnt.as_ptr()) };
        // INVARIANT: `i_private` was set above, the page cache by `make`.
        // SAFETY: A new inode has one reference.
        Ok(unsafe { ARef::from_raw(inode.cast()) })
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::inode {
        self.0.get()
    }

    /// Returns the mount that the inode was created on.
    pub(crate) fn mount(&self) -> &Mount<T> {
        // SAFETY: By the type invariants the reference to the inode comes with one to its mount.
        unsafe { Mount::from_raw(self.private().mnt) }
    }

    fn private(&self) -> &Private<T> {
        // SAFETY: By the type invariants `i_private` is valid. It is freed after the last
        // reference.
        unsafe { &*(*self.as_ptr()).i_private.cast() }
    }

    /// Returns the driver's data.
    pub(crate) fn data(&self) -> &T {
        &self.private().data
    }

    /// Returns the page cache.
    pub(crate) fn page_cache(&self) -> &PageCache {
        // SAFETY: By the type invariants it was initialised. It exists as long as the inode.
        unsafe { PageCache::from_raw((*self.as_ptr()).i_mapping) }
    }

    /// Returns the size in bytes.
    ///
    /// C: `i_size_read()`.
    pub(crate) fn len_bytes(&self) -> u64 {
        // SAFETY: The inode is valid.
        let len_bytes = unsafe { helpers::mmap_pool_i_size_read(self.as_ptr()) };
        // CAST: A size is never negative.
        len_bytes as u64
    }

    /// Returns whether the running task owns the inode or has `CAP_FOWNER`.
    ///
    /// C: `inode_owner_or_capable()`.
    pub(crate) fn is_owner_or_capable(&self) -> bool {
        // SAFETY: The inode is valid, and its mount is not idmapped.
        unsafe { bindings::inode_owner_or_capable(&raw mut bindings::nop_mnt_idmap, self.as_ptr()) }
    }

    /// Locks the inode: other writers and changes of the size wait until the guard is dropped.
    ///
    /// Lock order: before `mmap_lock`. The holder may cause a page fault, and a fault handler may
    /// not take this lock. A writer may hold it for ever, while it waits for a page of userspace
    /// (userfaultfd, FUSE). So a task that waits for the lock can be killed.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the task is being killed.
    ///
    /// C: `inode_lock_killable()`, `include/linux/fs.h`.
    #[inline]
    pub(crate) fn lock(&self) -> Result<InodeGuard<'_, T>> {
        // SAFETY: The inode is valid, and so is its lock.
        if unsafe { bindings::down_write_killable(&raw mut (*self.as_ptr()).i_rwsem) } != 0 {
            return Err(EINTR);
        }
        // INVARIANT: The lock was taken above.
        Ok(InodeGuard(self, NotThreadSafe))
    }

    /// Returns whether [`Self::revoke`] was called.
    pub(crate) fn is_revoked(&self) -> bool {
        self.private().is_revoked.load(Relaxed)
    }

    /// Removes all pages and unmaps them. The size becomes 0 and stays 0. A function that adds
    /// pages has to check [`Self::is_revoked`] under the invalidate lock.
    ///
    /// Does not take the inode's lock, which a writer may hold for ever. A concurrent write ends
    /// after the folio that it has locked.
    ///
    /// Returns false if the inode was revoked before.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn revoke(&self) -> bool {
        let guard = self.page_cache().invalidate_lock();
        if self.is_revoked() {
            return false;
        }
        self.private().is_revoked.store(true, Relaxed);
        self.truncate(&guard, 0);
        true
    }

    /// Changes the size to `len_bytes`. Pages past a smaller size are removed, unmapped, and their
    /// private copies freed. The rest of a partial last page is zeroed.
    ///
    /// C: `truncate_setsize()`.
    fn truncate(&self, _guard: &InvalidateGuard<'_>, new_len_bytes: bindings::loff_t) {
        let len_bytes = new_len_bytes as u64;
        if len_bytes <= self.len_bytes() && self.page_cache().max_order() > 0 {
            let cache = self.page_cache();
            // Unmap first: removing a mapped page would also remove guard regions
            // (`madvise(MADV_GUARD_INSTALL)`) of its mappings.
            let end = len_bytes.div_ceil(PAGE_SIZE as u64) as c_ulong;
            let unmap = |even_private_copies| {
                // SAFETY: The page cache is valid. A number of 0 stands for all pages.
                unsafe {
                    bindings::unmap_mapping_pages(cache.as_ptr(), end, 0, even_private_copies)
                }
            };
            unmap(false);
            // Split large folios before the size changes: `release_folio()` allows a split only
            // while the folio is below the end.
            cache.remove_bytes(new_len_bytes, bindings::uoff_t::MAX);
            // A folio that could not be split, because one of its pages is pinned, must not be
            // split while the size changes. Hold its lock.
            let folio = cache.lock_folio_as_is((len_bytes >> PAGE_SHIFT) as usize);
            // SAFETY: The inode is valid. The size changes under the invalidate lock only.
            unsafe { helpers::mmap_pool_i_size_write(self.as_ptr(), new_len_bytes) };
            drop(folio);
            unmap(true);
            // What was stored past the end until then.
            if let Some(folio) = cache.lock_folio_as_is((len_bytes >> PAGE_SHIFT) as usize) {
                folio.zero(len_bytes..u64::MAX);
            }
        } else {
            // SAFETY: As above.
            unsafe { bindings::truncate_setsize(self.as_ptr(), new_len_bytes) };
        }
    }

    /// # Safety
    ///
    /// Called by the VFS for an inode of this type, locked.
    unsafe extern "C" fn setattr(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attr: *mut bindings::iattr,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The VFS passes valid arguments.
            to_result(unsafe { bindings::setattr_prepare(idmap, dentry, attr) })?;
            // SAFETY: As above. The dentry of an open file has an inode, which has this type.
            let inode: &Self = unsafe { &*helpers::mmap_pool_d_inode(dentry).cast() };
            // SAFETY: The VFS holds the lock, and releases it.
            let guard = ManuallyDrop::new(unsafe { InodeGuard::assume_locked(inode) });
            // SAFETY: As above.
            let (valid, len) = unsafe { ((*attr).ia_valid, (*attr).ia_size) };
            if valid & bindings::ATTR_SIZE != 0 {
                let (old_len_bytes, len_bytes) = (inode.len_bytes(), len.try_into()?);
                T::resize(&guard, len_bytes)?;
                if len_bytes != old_len_bytes {
                    // For `truncate()` the file system has to ask for new times (`do_truncate()`,
                    // `fs/open.c`). `notify_change()` has filled them in.
                    // SAFETY: As above.
                    unsafe { (*attr).ia_valid |= bindings::ATTR_MTIME | bindings::ATTR_CTIME };
                }
            }
            // SAFETY: As above.
            unsafe { bindings::setattr_copy(idmap, inode.as_ptr(), attr) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by the VFS for an inode of this type.
    unsafe extern "C" fn getattr(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        request_mask: u32,
        _query_flags: c_uint,
    ) -> c_int {
        // SAFETY: The VFS passes valid arguments. The dentry of an open file has an inode, which
        // has this type.
        let inode: &Self = unsafe { &*helpers::mmap_pool_d_inode((*path).dentry).cast() };
        // SAFETY: As above.
        unsafe {
            bindings::generic_fillattr(idmap, request_mask, inode.as_ptr(), stat);
            (*stat).blocks = T::nr_blocks(inode);
        }
        0
    }
}

impl<T: MemoryData> Inode<T> {
    /// Creates an empty inode: a regular file that is owned by the running task, with access for
    /// its owner only.
    ///
    /// It does not keep the module loaded, so the module has to drop it at unload.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    /// - Otherwise the errors of `data`.
    ///
    /// C: `alloc_anon_inode()`.
    pub(crate) fn new(mount: &Mount<T>, data: impl PinInit<T, Error>) -> Result<ARef<Self>> {
        Self::with_module(mount, data, None)
    }

    /// As [`Self::new`], for an inode with files of its own. It keeps the module loaded.
    pub(super) fn new_for_files(
        mount: &Mount<T>,
        data: impl PinInit<T, Error>,
    ) -> Result<ARef<Self>> {
        Self::with_module(mount, data, Some(ModuleRef::new()?))
    }

    fn with_module(
        mount: &Mount<T>,
        data: impl PinInit<T, Error>,
        module: Option<ModuleRef>,
    ) -> Result<ARef<Self>> {
        Self::with_inode(mount, data, module, |sb, data| {
            // SAFETY: The super block is valid.
            let inode = unsafe { bindings::alloc_anon_inode(sb) };
            let inode = NonNull::new(from_err_ptr(inode)?).ok_or(ENOMEM)?;
            // SAFETY: The inode is not shared yet. Its page cache is part of it.
            unsafe {
                let inode = inode.as_ptr();
                (*inode).i_mode |= bindings::S_IFREG as bindings::umode_t;
                // An ordinary file without a name: security modules check it, and it can be
                // executed. They do not see its creation, because
                // `security_inode_init_security_anon()` is not exported.
                (*inode).i_flags &= !(bindings::S_PRIVATE | bindings::S_ANON_INODE);
                bindings::clear_nlink(inode);
                let operations = &AddressSpaceOperations::<T>::TABLE;
                PageCache::init((*inode).i_mapping, operations, data.max_order());
            }
            Ok(inode)
        })
    }
}

/// Empties the page cache of an inode and drops the driver's data.
///
/// # Safety
///
/// Called by the VFS for an inode of the file system of `T` without references.
pub(super) unsafe extern "C" fn evict<T: InodeData>(inode: *mut bindings::inode) {
    // SAFETY: The inode is being evicted. Its page cache is valid, and no task can add to it.
    unsafe { bindings::truncate_inode_pages_final(&raw mut (*inode).i_data) };
    // SAFETY: The page cache was emptied above.
    unsafe { bindings::clear_inode(inode) };
    // SAFETY: The inode is valid.
    let private = unsafe { (*inode).i_private }.cast::<Private<T>>();
    if !private.is_null() {
        // SAFETY: `Inode::new` has stored a box, and no reference to its content is left.
        let private = unsafe { Pin::<KBox<Private<T>>>::from_foreign(private.cast()) };
        // The module reference is dropped last. `InternalMount` makes the unload wait for the rest
        // of this function.
        drop(private);
    }
}

// SAFETY: `f_mapping` is set before the end of `open`, and does not change afterwards.
unsafe impl<T: InodeData> FileObject for Inode<T> {
    fn of_file(file: &LocalFile) -> Option<&Self> {
        // SAFETY: An open file has a page cache, whose host is an inode of a super block. They are
        // valid as long as the file.
        unsafe {
            let inode = (*(*file.as_ptr()).f_mapping).host;
            // The type excludes inodes of other file systems, `i_private` excludes the root inode.
            if T::file_system_type().is((*(*inode).i_sb).s_type) && !(*inode).i_private.is_null() {
                // INVARIANT: All inodes of the type, except the root, come from `Inode::new`.
                Some(&*inode.cast())
            } else {
                None
            }
        }
    }
}

/// A locked inode. Only the holder changes its size, except for [`Inode::revoke`].
///
/// # Invariants
///
/// The lock is held.
pub(crate) struct InodeGuard<'a, T: InodeData>(&'a Inode<T>, NotThreadSafe);

impl<'a, T: InodeData> InodeGuard<'a, T> {
    /// # Safety
    ///
    /// The lock of `inode` is held for `'a`. The caller drops the guard only to release the lock.
    pub(super) unsafe fn assume_locked(inode: &'a Inode<T>) -> Self {
        // INVARIANT: The caller's promise.
        Self(inode, NotThreadSafe)
    }
}

impl<T: InodeData> InodeGuard<'_, T> {
    /// Returns the folio that holds page `pgoff`, locked, if there is one.
    ///
    /// Unlike [`PageCache::lock_folio`] it does not mark the folio as used. There is no need to: a
    /// folio is unused only while the call that allocates it holds the inode's lock, which the
    /// caller holds now.
    ///
    /// # Context
    ///
    /// May sleep.
    #[inline]
    pub(crate) fn lock_folio(&self, pgoff: usize) -> Option<LockedFolio> {
        self.page_cache().lock_folio_as_is(pgoff)
    }

    /// Changes the size to `len_bytes`. Pages past a smaller size are removed, unmapped, and their
    /// private copies freed. The rest of a partial last page is zeroed.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the size is beyond a file's bounds.
    /// - `ENODEV`: the inode was revoked.
    ///
    /// C: `truncate_setsize()`.
    pub(crate) fn set_len(&self, len_bytes: u64) -> Result {
        let new_len_bytes = bindings::loff_t::try_from(len_bytes)?;
        let guard = self.page_cache().invalidate_lock();
        if self.is_revoked() {
            return Err(ENODEV);
        }
        self.truncate(&guard, new_len_bytes);
        Ok(())
    }

    /// Grows the inode to `len_bytes` bytes, unless it is larger already or was revoked. The caller
    /// has written the bytes past the old end.
    ///
    /// # Context
    ///
    /// May sleep. Takes the invalidate lock, so the caller must not hold the lock of a folio.
    ///
    /// C: `i_size_write()`.
    pub(crate) fn grow_to(&self, len_bytes: u64) {
        if len_bytes <= self.len_bytes() {
            return;
        }
        let _guard = self.page_cache().invalidate_lock_shared();
        if !self.is_revoked() {
            // CAST: The written bytes are within a file's bounds.
            let len_bytes = len_bytes as bindings::loff_t;
            // SAFETY: The inode is valid and locked. Only `revoke()` could change the size now, and
            // it takes the invalidate lock exclusively.
            unsafe { helpers::mmap_pool_i_size_write(self.as_ptr(), len_bytes) };
        }
    }

    /// Checks a new size against the limits of the file system and of the running process.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the size is beyond a file's bounds.
    /// - `EFBIG`: the size is past a limit. For `RLIMIT_FSIZE` the process also gets `SIGXFSZ`.
    ///
    /// C: `inode_newsize_ok()`.
    pub(crate) fn check_new_len(&self, len_bytes: u64) -> Result {
        let len_bytes = bindings::loff_t::try_from(len_bytes)?;
        // SAFETY: The inode is valid, and locked.
        to_result(unsafe { bindings::inode_newsize_ok(self.as_ptr(), len_bytes) })
    }

    /// Makes a hole of `len_bytes` bytes from byte `offset`: removes and unmaps whole pages, and
    /// zeroes parts of pages. Private copies stay.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `len_bytes` is zero, or the end of the range is beyond a file's bounds.
    ///
    /// C: `truncate_pagecache_range()`.
    pub(crate) fn punch(&self, offset: u64, len_bytes: u64) -> Result {
        let end = offset.checked_add(len_bytes).ok_or(EINVAL)?;
        let (offset, end) = (offset.try_into()?, bindings::loff_t::try_from(end)?);
        if len_bytes == 0 {
            return Err(EINVAL);
        }
        let cache = self.page_cache();
        let _guard = cache.invalidate_lock();
        // CAST: Not negative.
        let (first, last) = (offset as u64, end as u64);
        // Whole pages only.
        let first = first.div_ceil(PAGE_SIZE as u64) as c_ulong;
        let nr_pages = ((last >> PAGE_SHIFT) as c_ulong).saturating_sub(first);
        if nr_pages > 0 {
            // SAFETY: The page cache is valid. A number of 0 would stand for all pages.
            unsafe { bindings::unmap_mapping_pages(cache.as_ptr(), first, nr_pages, false) };
        }
        // CAST: As above.
        cache.remove_bytes(offset, (end - 1) as bindings::uoff_t);
        Ok(())
    }

    /// Removes what a write that failed has left past the end: folios, and bytes in the folio with the
    /// end.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(super) fn remove_past_end(&self) {
        let cache = self.page_cache();
        let _guard = cache.invalidate_lock();
        // Of a revoked inode no page is left.
        let len_bytes = self.len_bytes();
        if let Some(folio) = cache.lock_folio_as_is((len_bytes >> PAGE_SHIFT) as usize) {
            folio.zero(len_bytes..u64::MAX);
        }
        // Past the last page that a file can have, there is none.
        if let Ok(end) = len_bytes.next_multiple_of(PAGE_SIZE as u64).try_into() {
            cache.remove_bytes(end, bindings::uoff_t::MAX);
        }
    }
}

impl<T: InodeData> core::ops::Deref for InodeGuard<'_, T> {
    type Target = Inode<T>;

    fn deref(&self) -> &Inode<T> {
        self.0
    }
}

impl<T: InodeData> Drop for InodeGuard<'_, T> {
    /// C: `inode_unlock()`, `include/linux/fs.h`.
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is held.
        unsafe { bindings::up_write(&raw mut (*self.0.as_ptr()).i_rwsem) };
    }
}
