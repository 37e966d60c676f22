// SPDX-License-Identifier: GPL-2.0

//! Pseudo file systems: what inodes without a name live on.
//!
//! Such a file system is never mounted by users and shows up nowhere. It exists because memory that
//! belongs to an inode gets the kernel's whole machinery for mapped files: truncation, reverse
//! mapping, migration, `mincore`, futexes, and more.
//!
//! C header: `include/linux/pseudo_fs.h`.

use super::inode::InodeData;
use crate::helpers;
use core::{marker::PhantomData, ops::Deref, ptr::NonNull};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::{c_int, c_ulong},
    prelude::*,
    str::as_char_ptr_in_const_context,
    types::Opaque,
};

/// A type of pseudo file system whose inodes carry a `T`.
///
/// It has no owner, so a mount does not keep the module loaded: the module itself owns the only one.
///
/// C: `struct file_system_type`, `include/linux/fs.h`.
pub(crate) struct FileSystemType<T>(Opaque<bindings::file_system_type>, PhantomData<fn() -> T>);

// SAFETY: The C structure has its own locks, and Rust code does not access its fields.
unsafe impl<T> Sync for FileSystemType<T> {}

impl<T: InodeData> FileSystemType<T> {
    const SUPER_OPERATIONS: bindings::super_operations = bindings::super_operations {
        statfs: Some(bindings::simple_statfs),
        evict_inode: Some(super::inode::evict::<T>),
        ..pin_init::zeroed()
    };

    /// Creates the type, to be kept in a `static`.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        let fs_type = bindings::file_system_type {
            name: as_char_ptr_in_const_context(name),
            init_fs_context: Some(Self::init_fs_context),
            kill_sb: Some(bindings::kill_anon_super),
            ..pin_init::zeroed()
        };
        Self(Opaque::new(fs_type), PhantomData)
    }

    /// Returns whether `s_type` is this one.
    pub(super) fn is(&self, s_type: *const bindings::file_system_type) -> bool {
        s_type == self.0.get()
    }

    /// # Safety
    ///
    /// Called by the VFS with a new `fc` of this type.
    unsafe extern "C" fn init_fs_context(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: `fc` is valid and new; the operations are static.
        unsafe { helpers::mmap_pool_init_pseudo(fc, T::MAGIC as c_ulong, &Self::SUPER_OPERATIONS) }
    }
}

/// A mount that inodes can be created on.
///
/// # Invariants
///
/// It is a mount of the type of [`InodeData::file_system_type`].
#[repr(transparent)]
pub(crate) struct Mount<T: InodeData>(Opaque<bindings::vfsmount>, PhantomData<fn() -> T>);

impl<T: InodeData> Mount<T> {
    /// # Safety
    ///
    /// `mnt` is a mount of the type of `T`, valid for `'a`.
    pub(super) unsafe fn from_raw<'a>(mnt: NonNull<bindings::vfsmount>) -> &'a Self {
        // SAFETY: The caller's promise; `Mount` is transparent.
        unsafe { mnt.cast().as_ref() }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::vfsmount {
        self.0.get()
    }
}

/// The mount that exists as long as the module is loaded.
///
/// Nothing is torn down while a pool goes: the last mount takes its super block along, which waits
/// for whoever still holds an inode without a mount (`fsnotify_sb_delete()`, `fs/notify/fsnotify.c`),
/// and that may be the task that evicts the inode (`fsnotify_put_inode_ref()`, `fs/notify/mark.c`).
///
/// # Invariants
///
/// Owns one reference to the `vfsmount`, which is one of the type of `T`.
pub(crate) struct InternalMount<T: InodeData>(NonNull<bindings::vfsmount>, PhantomData<fn() -> T>);

// SAFETY: A mount may be used and dropped on any thread.
unsafe impl<T: InodeData> Send for InternalMount<T> {}
// SAFETY: Creating inodes is the VFS's business, which has its own locks.
unsafe impl<T: InodeData> Sync for InternalMount<T> {}

impl<T: InodeData> InternalMount<T> {
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

    /// Waits until the mount has no other reference.
    ///
    /// An inode with files holds a [`ModuleRef`](super::ModuleRef), so the module is not unloaded
    /// before it is evicted. What can still be under way then is the end of `path_put()`: the code of
    /// the module that evicts the inode runs in its `dput()`, and its `mntput()` comes after that.
    fn wait_until_unused(&self) {
        let mnt = self.0.as_ptr();
        // SAFETY: The mount is valid. `may_umount()` wants two references, ours are the only ones
        // when it says yes.
        unsafe {
            bindings::mntget(mnt);
            while bindings::may_umount(mnt) == 0 {
                bindings::msleep(1);
            }
            bindings::mntput(mnt);
        }
    }
}

impl<T: InodeData> Deref for InternalMount<T> {
    type Target = Mount<T>;

    fn deref(&self) -> &Mount<T> {
        // SAFETY: By the type invariants, as long as `self` exists.
        unsafe { Mount::from_raw(self.0) }
    }
}

impl<T: InodeData> Drop for InternalMount<T> {
    fn drop(&mut self) {
        self.wait_until_unused();
        // SAFETY: By the type invariants the reference is ours. It is the last, so the super block
        // is gone when this returns.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}
