// SPDX-License-Identifier: GPL-2.0

//! Pseudo file systems: file systems for inodes without a name.
//!
//! Users cannot mount such a file system. It exists because the kernel handles mapped files
//! completely: truncation, reverse mapping, migration, `mincore`, futexes, and more. Memory of an
//! inode gets all of that.
//!
//! C header: `include/linux/pseudo_fs.h`.

use super::{
    backed::{
        BackedData,
        SuperOperations, //
    },
    inode::{
        InodeData,
        MemoryData, //
    },
    this_module, //
};
use crate::helpers;
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::{
        c_int,
        c_ulong, //
    },
    prelude::*,
    str::as_char_ptr_in_const_context,
    types::Opaque, //
};

/// A type of pseudo file system whose inodes carry a `T`.
///
/// A type for inodes in memory has no owner: the module owns the only mount, so the mount must not
/// keep the module loaded. With backed inodes, a file owns its mount, and the type has an owner: the
/// kernel drops its reference to the module after `kill_sb()` (`deactivate_locked_super()`,
/// `fs/super.c`).
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

    /// Creates the type, for a `static`.
    pub(crate) const fn new(name: &'static CStr) -> Self
    where
        T: MemoryData,
    {
        Self::with(bindings::file_system_type {
            name: as_char_ptr_in_const_context(name),
            init_fs_context: Some(Self::init_fs_context),
            kill_sb: Some(bindings::kill_anon_super),
            ..pin_init::zeroed()
        })
    }

    /// Creates the type of backed inodes, for a `static`.
    pub(crate) const fn new_backed(name: &'static CStr) -> Self
    where
        T: BackedData,
    {
        Self::with(bindings::file_system_type {
            owner: this_module(),
            name: as_char_ptr_in_const_context(name),
            init_fs_context: Some(Self::init_backed_fs_context),
            kill_sb: Some(SuperOperations::<T>::kill_sb),
            ..pin_init::zeroed()
        })
    }

    const fn with(fs_type: bindings::file_system_type) -> Self {
        Self(Opaque::new(fs_type), PhantomData)
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::file_system_type {
        self.0.get()
    }

    /// Returns whether `s_type` is this type.
    pub(super) fn is(&self, s_type: *const bindings::file_system_type) -> bool {
        s_type == self.0.get()
    }

    /// # Safety
    ///
    /// Called by the VFS with a new `fc` of this type.
    unsafe extern "C" fn init_fs_context(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: `fc` is valid and new. The operations are static.
        unsafe { helpers::mmap_pool_init_pseudo(fc, T::MAGIC as c_ulong, &Self::SUPER_OPERATIONS) }
    }

    /// # Safety
    ///
    /// As [`Self::init_fs_context`].
    unsafe extern "C" fn init_backed_fs_context(fc: *mut bindings::fs_context) -> c_int
    where
        T: BackedData,
    {
        let operations = &SuperOperations::<T>::TABLE;
        // SAFETY: `fc` is valid and new. The operations are static.
        unsafe { helpers::mmap_pool_init_pseudo(fc, T::MAGIC as c_ulong, operations) }
    }
}

/// A mount for new inodes.
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

/// The mount that exists while the module is loaded.
///
/// It must not be dropped in `evict`. The last mount destroys its super block, and that waits for
/// tasks that hold an inode without a mount (`fsnotify_sb_delete()`, `fs/notify/fsnotify.c`). The
/// task in `evict` may be such a task (`fsnotify_put_inode_ref()`, `fs/notify/mark.c`), and would
/// wait for itself.
///
/// # Invariants
///
/// Owns one reference to the `vfsmount`, which is one of the type of `T`.
pub(crate) struct InternalMount<T: InodeData>(NonNull<bindings::vfsmount>, PhantomData<fn() -> T>);

// SAFETY: Any thread may use and drop a mount.
unsafe impl<T: InodeData> Send for InternalMount<T> {}
// SAFETY: A shared mount is only used to create inodes, for which the VFS has its own locks.
unsafe impl<T: InodeData> Sync for InternalMount<T> {}

impl<T: InodeData> InternalMount<T> {
    /// Mounts the file system internally.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    ///
    /// C: `kern_mount()`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The file system type is static and complete.
        let mnt = unsafe { bindings::kern_mount(T::file_system_type().0.get()) };
        // INVARIANT: `kern_mount()` returns a reference.
        Ok(Self(
            NonNull::new(from_err_ptr(mnt)?).ok_or(ENOMEM)?,
            PhantomData,
        ))
    }

    /// Waits until the mount has no other reference.
    ///
    /// An inode with files holds a [`ModuleRef`](super::ModuleRef), so the module is unloaded after
    /// the inode is evicted. `path_put()` evicts the inode in its `dput()`, with code of the
    /// module, and then calls `mntput()`. So that code has returned when the mount has no other
    /// reference.
    fn wait_until_unused(&self) {
        let mnt = self.0.as_ptr();
        // SAFETY: The mount is valid. `may_umount()` returns true if there are no references other
        // than the two that this function knows of.
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
        // SAFETY: By the type invariants the mount is valid while `self` exists.
        unsafe { Mount::from_raw(self.0) }
    }
}

impl<T: InodeData> Drop for InternalMount<T> {
    fn drop(&mut self) {
        self.wait_until_unused();
        // SAFETY: By the type invariants `self` owns a reference. It is the last, so the super
        // block is destroyed when this returns.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}
