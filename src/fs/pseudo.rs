// SPDX-License-Identifier: GPL-2.0

//! Pseudo file systems: what inodes without a name live on.
//!
//! Such a file system is never mounted by users and shows up nowhere. It exists because memory that
//! belongs to an inode gets the kernel's whole machinery for mapped files: truncation, reverse
//! mapping, migration, `mincore`, futexes, and more.
//!
//! C header: `include/linux/pseudo_fs.h`.

use super::{inode::InodeData, this_module};
use crate::helpers;
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    ffi::{c_int, c_ulong},
    prelude::*,
    str::as_char_ptr_in_const_context,
    types::Opaque,
};

/// A type of pseudo file system whose inodes carry a `T`.
///
/// To C these are two types, since the owner is a property of the type. A mount of `internal` does
/// not keep the module loaded: the module itself owns the only one. A mount of `shared` does, and
/// exists as long as some file does: a file is still used for a moment after it has given up the
/// module, and what gives up the module for it then is the mount.
///
/// C: `struct file_system_type`, `include/linux/fs.h`.
pub(crate) struct FileSystemType<T> {
    internal: Opaque<bindings::file_system_type>,
    shared: Opaque<bindings::file_system_type>,
    /// What `simple_pin_fs()` keeps: the mount of `shared`, and for how many it exists.
    shared_mnt: Opaque<*mut bindings::vfsmount>,
    shared_count: Opaque<c_int>,
    _data: PhantomData<fn() -> T>,
}

// SAFETY: The C structures have their own locks, and Rust code does not access their fields.
unsafe impl<T> Sync for FileSystemType<T> {}

impl<T: InodeData> FileSystemType<T> {
    const SUPER_OPERATIONS: bindings::super_operations = bindings::super_operations {
        statfs: Some(bindings::simple_statfs),
        evict_inode: Some(super::inode::evict::<T>),
        ..pin_init::zeroed()
    };

    /// Creates the type, to be kept in a `static`.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self {
            internal: Self::file_system_type(name, core::ptr::null_mut()),
            shared: Self::file_system_type(name, this_module()),
            shared_mnt: Opaque::new(core::ptr::null_mut()),
            shared_count: Opaque::new(0),
            _data: PhantomData,
        }
    }

    const fn file_system_type(
        name: &'static CStr,
        owner: *mut bindings::module,
    ) -> Opaque<bindings::file_system_type> {
        Opaque::new(bindings::file_system_type {
            name: as_char_ptr_in_const_context(name),
            owner,
            init_fs_context: Some(Self::init_fs_context),
            kill_sb: Some(bindings::kill_anon_super),
            ..pin_init::zeroed()
        })
    }

    /// Returns whether `s_type` is one of the two.
    pub(super) fn is(&self, s_type: *const bindings::file_system_type) -> bool {
        s_type == self.internal.get() || s_type == self.shared.get()
    }

    /// # Safety
    ///
    /// Called by the VFS with a new `fc` of this type.
    unsafe extern "C" fn init_fs_context(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: `fc` is valid and new; the operations are static.
        unsafe { helpers::mmap_pool_init_pseudo(fc, T::MAGIC as c_ulong, &Self::SUPER_OPERATIONS) }
    }
}

/// The mount for the module's own inodes.
///
/// # Invariants
///
/// Owns one reference to the `vfsmount`.
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
        let mnt = unsafe { bindings::kern_mount(T::file_system_type().internal.get()) };
        // INVARIANT: The reference is handed over by the call.
        Ok(Self(
            NonNull::new(from_err_ptr(mnt)?).ok_or(ENOMEM)?,
            PhantomData,
        ))
    }
}

impl<T: InodeData> Drop for InternalMount<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the reference is ours. If inodes are left, the super
        // block stays until the last of them has put its own reference.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}

/// A share in the mount for inodes that have files of their own.
///
/// # Invariants
///
/// Counts for one in `shared_count`, and `0` is `shared_mnt`.
pub(crate) struct SharedMount<T: InodeData>(NonNull<bindings::vfsmount>, PhantomData<fn() -> T>);

// SAFETY: A share may be used and dropped on any thread.
unsafe impl<T: InodeData> Send for SharedMount<T> {}
// SAFETY: Creating inodes is the VFS's business, which has its own locks.
unsafe impl<T: InodeData> Sync for SharedMount<T> {}

impl<T: InodeData> SharedMount<T> {
    /// Mounts the file system if nobody has.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    /// - `ENODEV`: the module is being unloaded.
    ///
    /// C: `simple_pin_fs()`.
    pub(crate) fn new() -> Result<Self> {
        let fs = T::file_system_type();
        // SAFETY: The arguments are static and belong together.
        to_result(unsafe {
            bindings::simple_pin_fs(fs.shared.get(), fs.shared_mnt.get(), fs.shared_count.get())
        })?;
        // SAFETY: The pointer does not change while we count.
        let mnt = unsafe { *fs.shared_mnt.get() };
        // INVARIANT: Counted above.
        Ok(Self(NonNull::new(mnt).ok_or(ENODEV)?, PhantomData))
    }
}

impl<T: InodeData> Drop for SharedMount<T> {
    fn drop(&mut self) {
        let fs = T::file_system_type();
        // SAFETY: By the type invariants we count for one. Files keep the mount itself.
        unsafe { bindings::simple_release_fs(fs.shared_mnt.get(), fs.shared_count.get()) };
    }
}

/// A mount that inodes can be created on.
///
/// # Safety
///
/// `as_ptr` returns a mount of one of the types of [`InodeData::file_system_type`], valid as long
/// as the value exists.
pub(crate) unsafe trait Mount<T: InodeData> {
    /// Returns the mount.
    fn as_ptr(&self) -> *mut bindings::vfsmount;
}

// SAFETY: By the type invariants.
unsafe impl<T: InodeData> Mount<T> for InternalMount<T> {
    fn as_ptr(&self) -> *mut bindings::vfsmount {
        self.0.as_ptr()
    }
}

// SAFETY: By the type invariants.
unsafe impl<T: InodeData> Mount<T> for SharedMount<T> {
    fn as_ptr(&self) -> *mut bindings::vfsmount {
        self.0.as_ptr()
    }
}
