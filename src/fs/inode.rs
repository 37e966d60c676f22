// SPDX-License-Identifier: GPL-2.0

//! Inodes: a page cache, a size, a lock, and a value of the driver.
//!
//! An inode lives as long as somebody holds an [`ARef`] to it, or a file of it is open or mapped.
//!
//! C header: `include/linux/fs.h`.

use super::{
    address_space::AddressSpaceOperations,
    pseudo::{FileSystemType, Mount},
    ModuleRef,
};
use crate::{
    helpers,
    mm::{
        folio::LockedFolio,
        page_cache::{InvalidateGuard, PageCache},
        vm_ops::FileObject,
    },
};
use core::{marker::PhantomData, mem::ManuallyDrop, ptr::NonNull};
use kernel::{
    bindings,
    error::{from_err_ptr, from_result, to_result},
    ffi::{c_int, c_uint, c_ulong},
    fs::LocalFile,
    page::{PAGE_SHIFT, PAGE_SIZE},
    prelude::*,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        atomic::{Atomic, Relaxed},
    },
    types::{ForeignOwnable, NotThreadSafe, Opaque},
};

/// The driver's part of an inode.
pub(crate) trait InodeData: Send + Sync + Sized + 'static {
    /// What `statfs` reports as the file system's type.
    const MAGIC: u32;

    /// Returns the one file system type whose inodes carry a `Self`.
    fn file_system_type() -> &'static FileSystemType<Self>;

    /// Returns the number of pages, as a power of two, that the largest folio of the inode may have.
    fn max_order(&self) -> u32;

    /// Changes the size to `len_bytes`, for `ftruncate`.
    fn resize(inode: &InodeGuard<'_, Self>, len_bytes: u64) -> Result;

    /// Returns how many of `len` bytes from byte `pos` may be written, at least one.
    fn check_write(inode: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<usize>;

    /// Returns the folio that the `len` bytes from byte `pos` are written to, or the first of them,
    /// locked. Byte `pos` has to be in it.
    ///
    /// C: `address_space_operations::write_begin`.
    fn write_begin(inode: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<LockedFolio>;

    /// Called when `nr_pages` pages have left the page cache of an inode.
    ///
    /// # Context
    ///
    /// May hold the lock of a folio. Must not sleep.
    ///
    /// C: `address_space_operations::free_folio`.
    fn pages_removed(nr_pages: usize);
}

/// What `i_private` points to.
#[pin_data]
struct Private<T> {
    mnt: NonNull<bindings::vfsmount>,
    /// Set under the invalidate lock of the page cache.
    is_revoked: Atomic<bool>,
    #[pin]
    data: T,
    /// Of an inode that has files of its own. The last to go.
    _module: Option<ModuleRef>,
}

/// An inode that carries a `T`.
///
/// # Invariants
///
/// The inode belongs to the file system of `T`, `i_private` points to a `Private<T>`, and
/// [`PageCache::init`] was called for its page cache. Each reference to the inode comes with a
/// reference to its mount.
#[repr(transparent)]
pub(crate) struct Inode<T: InodeData>(Opaque<bindings::inode>, PhantomData<T>);

// SAFETY: The VFS allows any thread to use and to release an inode; `T` is `Send`.
unsafe impl<T: InodeData> Send for Inode<T> {}
// SAFETY: What `&Inode` gives access to is either `Sync` itself or has locks of its own.
unsafe impl<T: InodeData> Sync for Inode<T> {}

// SAFETY: A reference is one to the inode and one to the mount, taken and put together.
unsafe impl<T: InodeData> AlwaysRefCounted for Inode<T> {
    fn inc_ref(&self) {
        // SAFETY: The mount is valid as long as the inode is.
        unsafe { bindings::mntget(self.private().mnt.as_ptr()) };
        // SAFETY: The inode is valid.
        unsafe { bindings::ihold(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns a reference, so the inode is still valid.
        let mnt = unsafe { obj.as_ref() }.private().mnt;
        // SAFETY: The caller gives up the reference.
        unsafe { bindings::iput(obj.cast().as_ptr()) };
        // SAFETY: The mount's half of the reference; the inode is not used after this.
        unsafe { bindings::mntput(mnt.as_ptr()) };
    }
}

impl<T: InodeData> Inode<T> {
    const OPERATIONS: bindings::inode_operations = bindings::inode_operations {
        setattr: Some(Self::setattr),
        getattr: Some(Self::getattr),
        ..pin_init::zeroed()
    };

    /// Creates an empty inode. It is a regular file, owned by the running task and accessible to its
    /// owner.
    ///
    /// It does not keep the module loaded: it belongs to the module.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    /// - Otherwise those of `data`.
    ///
    /// C: `alloc_anon_inode()`.
    pub(crate) fn new(mount: &Mount<T>, data: impl PinInit<T, Error>) -> Result<ARef<Self>> {
        Self::with_module(mount, data, None)
    }

    /// As [`Self::new`], for an inode that is to have files of its own: it keeps the module loaded.
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
        let mnt = NonNull::new(mount.as_ptr()).ok_or(EINVAL)?;
        let private = try_pin_init!(Private {
            mnt,
            is_revoked: Atomic::new(false),
            data <- data,
            _module: module,
        });
        let private = KBox::try_pin_init(private, GFP_KERNEL_ACCOUNT)?;
        let max_order = private.data.max_order();
        // SAFETY: The mount is valid, so its super block is.
        let inode = unsafe { bindings::alloc_anon_inode((*mnt.as_ptr()).mnt_sb) };
        let inode = NonNull::new(from_err_ptr(inode)?).ok_or(ENOMEM)?;
        // SAFETY: Nobody else knows the inode yet.
        unsafe {
            let inode = inode.as_ptr();
            (*inode).i_private = private.into_foreign().cast();
            (*inode).i_op = &Self::OPERATIONS;
            (*inode).i_mode |= bindings::S_IFREG as bindings::umode_t;
            // An ordinary file: security modules see it, it can be executed, it has no name. They
            // are not told of its creation: `security_inode_init_security_anon()` is not exported.
            (*inode).i_flags &= !(bindings::S_PRIVATE | bindings::S_ANON_INODE);
            bindings::clear_nlink(inode);
        }
        // SAFETY: Nobody else knows the inode yet; its page cache is part of it.
        unsafe {
            let mapping = (*inode.as_ptr()).i_mapping;
            PageCache::init(mapping, &AddressSpaceOperations::<T>::TABLE, max_order)
        };
        // SAFETY: The mount is valid. This is the mount's half of the reference made below.
        unsafe { bindings::mntget(mnt.as_ptr()) };
        // INVARIANT: `i_private` and the page cache were set up above.
        // SAFETY: The inode comes with one reference, handed over here.
        Ok(unsafe { ARef::from_raw(inode.cast()) })
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::inode {
        self.0.get()
    }

    /// Returns the mount that the inode was created on.
    pub(crate) fn mount(&self) -> &Mount<T> {
        // SAFETY: By the type invariants, a reference to the inode comes with one to its mount.
        unsafe { Mount::from_raw(self.private().mnt) }
    }

    fn private(&self) -> &Private<T> {
        // SAFETY: By the type invariants; the box is dropped when no reference is left.
        unsafe { &*(*self.as_ptr()).i_private.cast() }
    }

    /// Returns the driver's part of the inode.
    pub(crate) fn data(&self) -> &T {
        &self.private().data
    }

    /// Returns the page cache.
    pub(crate) fn page_cache(&self) -> &PageCache {
        // SAFETY: By the type invariants; the page cache lives as long as the inode.
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

    /// Returns whether the running task owns the inode, or may act as if it did.
    ///
    /// C: `inode_owner_or_capable()`.
    pub(crate) fn is_owner_or_capable(&self) -> bool {
        // SAFETY: The inode is valid, and its mount is not idmapped.
        unsafe { bindings::inode_owner_or_capable(&raw mut bindings::nop_mnt_idmap, self.as_ptr()) }
    }

    /// Keeps other writers and changes of the size out until the guard is dropped.
    ///
    /// Taken before `mmap_lock`: a holder may fault, a fault handler may not take it. A writer that
    /// holds it may wait for a page of a program for ever (userfaultfd, FUSE), so who waits for the
    /// lock can be killed.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the task is being killed.
    ///
    /// C: `inode_lock_killable()`, `include/linux/fs.h`.
    #[inline]
    pub(crate) fn lock(&self) -> Result<InodeGuard<'_, T>> {
        // SAFETY: The inode is valid, and so is the lock in it.
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

    /// Takes all pages away, and mappings of them, for good: the size is 0 from then on. Whoever adds
    /// pages asks [`Self::is_revoked`] under the invalidate lock.
    ///
    /// This does not need the inode's lock, which a writer may hold for as long as it likes. A write
    /// under way ends with the folio that it has locked.
    ///
    /// Returns whether this is the first time.
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

    /// Changes the size to `len_bytes`. What lies past a smaller size goes: pages, mappings of
    /// them, and private copies. If it ends within a page, the rest of that page is zeroed.
    ///
    /// C: `truncate_setsize()`.
    fn truncate(&self, _guard: &InvalidateGuard<'_>, new_len_bytes: bindings::loff_t) {
        let len_bytes = new_len_bytes as u64;
        if len_bytes <= self.len_bytes() && self.page_cache().max_order() > 0 {
            // Guard regions outlive mapped pages, but not pages that are still mapped when they go.
            let end = len_bytes.div_ceil(PAGE_SIZE as u64) as c_ulong;
            // SAFETY: The page cache is valid; 0 pages are all there are.
            unsafe { bindings::unmap_mapping_pages(self.page_cache().as_ptr(), end, 0, false) };
            // A large folio can be split as long as all of it is below the end.
            // SAFETY: The page cache is valid.
            unsafe {
                bindings::truncate_inode_pages_range(
                    self.page_cache().as_ptr(),
                    new_len_bytes,
                    bindings::uoff_t::MAX,
                )
            };
            // One that could not be, because somebody uses a page of it, must not be split while the
            // size changes.
            let _folio = self
                .page_cache()
                .lock_folio_as_is((len_bytes >> PAGE_SHIFT) as usize);
            // SAFETY: The inode is valid, and the size changes under the invalidate lock alone.
            unsafe { helpers::mmap_pool_i_size_write(self.as_ptr(), new_len_bytes) };
        }
        // SAFETY: As above.
        unsafe { bindings::truncate_setsize(self.as_ptr(), new_len_bytes) };
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
            // SAFETY: As above; the dentry of an open file has an inode, and this is one of ours.
            let inode: &Self = unsafe { &*helpers::mmap_pool_d_inode(dentry).cast() };
            // SAFETY: The VFS holds the lock. It is not ours to release.
            let guard = ManuallyDrop::new(unsafe { InodeGuard::assume_locked(inode) });
            // SAFETY: As above.
            let (valid, len) = unsafe { ((*attr).ia_valid, (*attr).ia_size) };
            if valid & bindings::ATTR_SIZE != 0 {
                let (old_len_bytes, len_bytes) = (inode.len_bytes(), len.try_into()?);
                T::resize(&guard, len_bytes)?;
                if len_bytes != old_len_bytes {
                    // `truncate()` leaves the times to the file system (`do_truncate()`,
                    // `fs/open.c`); `notify_change()` has put the present one there.
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
        // SAFETY: The VFS passes valid arguments; the dentry of an open file has an inode, and
        // this is one of ours.
        let inode: &Self = unsafe { &*helpers::mmap_pool_d_inode((*path).dentry).cast() };
        // SAFETY: As above.
        unsafe {
            bindings::generic_fillattr(idmap, request_mask, inode.as_ptr(), stat);
            // In units of 512 bytes.
            (*stat).blocks = (inode.page_cache().nr_pages() << (PAGE_SHIFT - 9)) as u64;
        }
        0
    }
}

/// Empties the page cache of an inode and drops the driver's part of it.
///
/// # Safety
///
/// Called by the VFS for an inode of the file system of `T` that nobody refers to any more.
pub(super) unsafe extern "C" fn evict<T: InodeData>(inode: *mut bindings::inode) {
    // SAFETY: The inode is being evicted: its page cache is still valid, and nobody adds to it.
    unsafe { bindings::truncate_inode_pages_final(&raw mut (*inode).i_data) };
    // SAFETY: The page cache was emptied above.
    unsafe { bindings::clear_inode(inode) };
    // SAFETY: The inode is valid.
    let private = unsafe { (*inode).i_private }.cast::<Private<T>>();
    if !private.is_null() {
        // SAFETY: `Inode::new` has put a box there, and nobody can borrow from it now.
        let private = unsafe { Pin::<KBox<Private<T>>>::from_foreign(private.cast()) };
        // Fields are dropped in order, so the module may be unloaded from the end of this on. It waits
        // for the rest of this function: see `InternalMount`.
        drop(private);
    }
}

// SAFETY: `f_mapping` is set once, before `open` ends, and never changed afterwards.
unsafe impl<T: InodeData> FileObject for Inode<T> {
    fn of_file(file: &LocalFile) -> Option<&Self> {
        // SAFETY: An open file has a mapping, whose host is an inode of some super block; all of
        // them are valid as long as the file is.
        unsafe {
            let inode = (*(*file.as_ptr()).f_mapping).host;
            // The type tells our inodes from others, `i_private` from the file system's root.
            if T::file_system_type().is((*(*inode).i_sb).s_type) && !(*inode).i_private.is_null() {
                // INVARIANT: All inodes of the type but its root come from `Inode::new`.
                Some(&*inode.cast())
            } else {
                None
            }
        }
    }
}

/// An inode whose lock is held: its size stays, unless the holder changes it.
///
/// # Invariants
///
/// The lock is held.
pub(crate) struct InodeGuard<'a, T: InodeData>(&'a Inode<T>, NotThreadSafe);

impl<'a, T: InodeData> InodeGuard<'a, T> {
    /// # Safety
    ///
    /// The lock of `inode` is held for `'a`. If the guard is not to release it, it is not dropped.
    pub(super) unsafe fn assume_locked(inode: &'a Inode<T>) -> Self {
        // INVARIANT: The caller's promise.
        Self(inode, NotThreadSafe)
    }
}

impl<T: InodeData> InodeGuard<'_, T> {
    /// Returns the folio that holds page `pgoff`, locked, if there is one. It is in use: folios are
    /// unused only while the call that allocates them holds the inode's lock.
    ///
    /// # Context
    ///
    /// May sleep.
    #[inline]
    pub(crate) fn lock_folio(&self, pgoff: usize) -> Option<LockedFolio> {
        self.page_cache().lock_folio_as_is(pgoff)
    }

    /// Changes the size to `len_bytes`. What lies past a smaller size goes: pages, mappings of
    /// them, and private copies. If it ends within a page, the rest of that page is zeroed.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: more bytes than a file can have.
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

    /// Makes the inode `len_bytes` bytes long, if it is shorter and was not revoked. What is past the
    /// old end was written.
    ///
    /// # Context
    ///
    /// May sleep. Takes the invalidate lock, so holds no folio's.
    ///
    /// C: `i_size_write()`.
    pub(crate) fn grow_to(&self, len_bytes: u64) {
        if len_bytes <= self.len_bytes() {
            return;
        }
        let _guard = self.page_cache().invalidate_lock_shared();
        if !self.is_revoked() {
            // CAST: What was written is within a file's bounds.
            let len_bytes = len_bytes as bindings::loff_t;
            // SAFETY: The inode is valid. With its lock, nothing but `revoke()` changes the size, which
            // takes the invalidate lock exclusively.
            unsafe { helpers::mmap_pool_i_size_write(self.as_ptr(), len_bytes) };
        }
    }

    /// Checks a size that the inode is to grow to against the limits of the file system and of the
    /// running process.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: more bytes than a file can have.
    /// - `EFBIG`: it is past a limit. If that is the process's, it gets `SIGXFSZ`.
    ///
    /// C: `inode_newsize_ok()`.
    pub(crate) fn check_new_len(&self, len_bytes: u64) -> Result {
        let len_bytes = bindings::loff_t::try_from(len_bytes)?;
        // SAFETY: The inode is valid, and locked.
        to_result(unsafe { bindings::inode_newsize_ok(self.as_ptr(), len_bytes) })
    }

    /// Makes a hole of `len_bytes` bytes from `offset`: whole pages and shared mappings of them
    /// go, the rest is zeroed. Private copies stay.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `len_bytes` is zero, or the range is not within a file's bounds.
    ///
    /// C: `truncate_pagecache_range()`.
    pub(crate) fn punch(&self, offset: u64, len_bytes: u64) -> Result {
        let end = offset.checked_add(len_bytes).ok_or(EINVAL)?;
        let (offset, end) = (offset.try_into()?, bindings::loff_t::try_from(end)?);
        if len_bytes == 0 {
            return Err(EINVAL);
        }
        let _guard = self.page_cache().invalidate_lock();
        // SAFETY: The inode is valid.
        unsafe { bindings::truncate_pagecache_range(self.as_ptr(), offset, end - 1) };
        Ok(())
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
