// SPDX-License-Identifier: GPL-2.0

//! Pseudo file systems: inodes that have a page cache but no name.
//!
//! Such a file system is never mounted by users and shows up nowhere. It exists because memory that
//! belongs to an inode gets the kernel's whole machinery for mapped files: truncation, reverse
//! mapping, migration, `mincore`, futexes, and more.
//!
//! Each inode carries a value of the driver's type `T`, and lives as long as somebody holds an
//! [`ARef`] to it.
//!
//! C headers: `include/linux/pseudo_fs.h`, `include/linux/fs.h`.

use crate::{
    helpers,
    mm::{mapping::Mapping, vm_ops::FileObject},
};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::{c_int, c_ulong},
    fs::File,
    prelude::*,
    str::as_char_ptr_in_const_context,
    sync::aref::{ARef, AlwaysRefCounted},
    types::{NotThreadSafe, Opaque},
};

/// The driver's part of an inode.
pub(crate) trait InodeData: Send + Sync + Sized + 'static {
    /// What `statfs` reports as the file system's type.
    const MAGIC: u32;

    /// Returns the one file system type whose inodes carry a `Self`.
    fn file_system_type() -> &'static FileSystemType<Self>;
}

/// A type of pseudo file system whose inodes carry a `T`.
///
/// C: `struct file_system_type`, `include/linux/fs.h`.
pub(crate) struct FileSystemType<T>(Opaque<bindings::file_system_type>, PhantomData<fn() -> T>);

// SAFETY: The C structure has its own locks, and Rust code does not access its fields.
unsafe impl<T> Sync for FileSystemType<T> {}

impl<T: InodeData> FileSystemType<T> {
    const SUPER_OPERATIONS: bindings::super_operations = bindings::super_operations {
        statfs: Some(bindings::simple_statfs),
        evict_inode: Some(Self::evict_inode),
        ..pin_init::zeroed()
    };

    /// Creates the type, to be kept in a `static`.
    ///
    /// It has no owner: a mount of it does not keep the module loaded. [`Mount`] goes away with
    /// the module, and files that use an inode keep the module loaded themselves.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self(
            Opaque::new(bindings::file_system_type {
                name: as_char_ptr_in_const_context(name),
                init_fs_context: Some(Self::init_fs_context),
                kill_sb: Some(bindings::kill_anon_super),
                ..pin_init::zeroed()
            }),
            PhantomData,
        )
    }

    /// # Safety
    ///
    /// Called by the VFS with a new `fc` of this type.
    unsafe extern "C" fn init_fs_context(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: `fc` is valid and new; the operations are static.
        unsafe { helpers::mmap_pool_init_pseudo(fc, T::MAGIC as c_ulong, &Self::SUPER_OPERATIONS) }
    }

    /// # Safety
    ///
    /// Called by the VFS for an inode of this type that nobody refers to any more.
    unsafe extern "C" fn evict_inode(inode: *mut bindings::inode) {
        // SAFETY: The inode is being evicted: its page cache is still valid, and nobody adds to it.
        unsafe { bindings::truncate_inode_pages_final(&raw mut (*inode).i_data) };
        // SAFETY: The page cache was emptied above.
        unsafe { bindings::clear_inode(inode) };
        // SAFETY: The inode is valid.
        let private = unsafe { (*inode).i_private }.cast::<Private<T>>();
        if !private.is_null() {
            // SAFETY: `Mount::new_inode` has put a box there, and nobody can borrow from it now.
            drop(unsafe { KBox::from_raw(private) });
        }
    }
}

/// A mount of the file system of `T`.
///
/// # Invariants
///
/// Owns one reference to the `vfsmount`.
pub(crate) struct Mount<T: InodeData>(NonNull<bindings::vfsmount>, PhantomData<fn() -> T>);

// SAFETY: A mount may be used and dropped on any thread.
unsafe impl<T: InodeData> Send for Mount<T> {}
// SAFETY: Creating inodes is the VFS's business, which has its own locks.
unsafe impl<T: InodeData> Sync for Mount<T> {}

impl<T: InodeData> Mount<T> {
    /// Mounts the file system, for the module's own use.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    ///
    /// C: `kern_mount()`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The file system type is static and complete.
        let mnt = unsafe { bindings::kern_mount(T::file_system_type().0.get()) };
        // INVARIANT: The reference is handed over by the call.
        Ok(Self(
            NonNull::new(from_err_ptr(mnt)?).ok_or(ENOMEM)?,
            PhantomData,
        ))
    }

    /// Creates an inode of `len_bytes` bytes, all of them a hole.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: more bytes than a file can have.
    /// - `ENOMEM`: no memory.
    ///
    /// C: `alloc_anon_inode()`.
    pub(crate) fn new_inode(&self, len_bytes: u64, data: T) -> Result<ARef<Inode<T>>> {
        let len_bytes = bindings::loff_t::try_from(len_bytes)?;
        let private = KBox::new(Private { mnt: self.0, data }, GFP_KERNEL)?;
        // SAFETY: By the type invariants the mount is valid, so its super block is.
        let inode = unsafe { bindings::alloc_anon_inode((*self.0.as_ptr()).mnt_sb) };
        let inode = NonNull::new(from_err_ptr(inode)?).ok_or(ENOMEM)?;
        // SAFETY: Nobody else knows the inode yet.
        unsafe {
            (*inode.as_ptr()).i_private = KBox::into_raw(private).cast();
            helpers::mmap_pool_i_size_write(inode.as_ptr(), len_bytes);
        }
        // SAFETY: Nobody else knows the inode yet; its page cache is part of it.
        unsafe { Mapping::init((*inode.as_ptr()).i_mapping) };
        // SAFETY: The mount is valid. This is the mount's half of the reference made below.
        unsafe { bindings::mntget(self.0.as_ptr()) };
        // INVARIANT: `i_private` and the page cache were set up above.
        // SAFETY: The inode comes with one reference, handed over here.
        Ok(unsafe { ARef::from_raw(inode.cast()) })
    }
}

impl<T: InodeData> Drop for Mount<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the reference is ours. If inodes are left, the super
        // block stays until the last of them has put its own reference.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}

/// What `i_private` points to.
struct Private<T> {
    mnt: NonNull<bindings::vfsmount>,
    data: T,
}

/// An inode that carries a `T`.
///
/// # Invariants
///
/// The inode belongs to the file system of `T`, `i_private` points to a `Private<T>`, and
/// [`Mapping::init`] was called for its page cache. Each reference to the inode comes with a
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
    pub(super) fn as_ptr(&self) -> *mut bindings::inode {
        self.0.get()
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
    pub(crate) fn mapping(&self) -> &Mapping {
        // SAFETY: By the type invariants; the page cache lives as long as the inode.
        unsafe { Mapping::from_raw((*self.as_ptr()).i_mapping) }
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

    /// Keeps other writers out until the guard is dropped.
    ///
    /// Taken before `mmap_lock`: a holder may fault, a fault handler may not take it.
    ///
    /// C: `inode_lock()`.
    pub(crate) fn lock(&self) -> InodeGuard<'_, T> {
        // SAFETY: The inode is valid.
        unsafe { helpers::mmap_pool_inode_lock(self.as_ptr()) };
        // INVARIANT: The lock was taken above.
        InodeGuard(self, NotThreadSafe)
    }
}

// SAFETY: `f_mapping` is set once, before `open` ends, and never changed afterwards.
unsafe impl<T: InodeData> FileObject for Inode<T> {
    fn of_file(file: &File) -> Option<&Self> {
        // SAFETY: An open file has a mapping, whose host is an inode of some super block; all of
        // them are valid as long as the file is.
        unsafe {
            let inode = (*(*file.as_ptr()).f_mapping).host;
            // The type tells our inodes from others, `i_private` from the file system's root.
            if (*(*inode).i_sb).s_type == T::file_system_type().0.get()
                && !(*inode).i_private.is_null()
            {
                // INVARIANT: All inodes of the type but its root come from `Mount::new_inode`.
                Some(&*inode.cast())
            } else {
                None
            }
        }
    }
}

/// The lock of an inode.
///
/// # Invariants
///
/// The lock is held.
pub(crate) struct InodeGuard<'a, T: InodeData>(&'a Inode<T>, NotThreadSafe);

impl<T: InodeData> Drop for InodeGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is held.
        unsafe { helpers::mmap_pool_inode_unlock(self.0.as_ptr()) };
    }
}
