// SPDX-License-Identifier: GPL-2.0

//! The operations on the page cache of an inode in memory. `backed.rs` has those of other inodes.
//!
//! C header: `struct address_space_operations`, `include/linux/fs.h`.

use super::inode::{
    Inode,
    InodeGuard,
    MemoryData, //
};
use crate::{
    helpers,
    mm::folio::{
        Folio,
        LockedFolio, //
    }, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::from_result,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*, //
};

/// The `struct address_space_operations` of inodes in memory, with a `T`.
pub(super) struct AddressSpaceOperations<T>(PhantomData<T>);

impl<T: MemoryData> AddressSpaceOperations<T> {
    /// The page cache has no backing storage: nothing is read in, nothing is written back.
    pub(super) const TABLE: bindings::address_space_operations =
        bindings::address_space_operations {
            dirty_folio: Some(bindings::noop_dirty_folio),
            write_begin: Some(Self::write_begin),
            write_end: Some(Self::write_end),
            release_folio: Some(Self::release_folio),
            free_folio: Some(Self::free_folio),
            migrate_folio: Some(bindings::filemap_migrate_folio),
            // Allows `open()` with `O_DIRECT`, as on tmpfs. It is never called.
            direct_IO: Some(bindings::noop_direct_IO),
            ..pin_init::zeroed()
        };

    /// Finds the folio for the next bytes of a write.
    ///
    /// The kernel copies the bytes while the folio is locked. Migration copies a folio before it
    /// freezes the reference count (`__migrate_folio()`, `mm/migrate.c`). Without the lock, a write
    /// in between would be lost.
    ///
    /// # Safety
    ///
    /// Called by `generic_perform_write()` for a page cache with this table. The inode is locked.
    unsafe extern "C" fn write_begin(
        _kiocb: *const bindings::kiocb,
        mapping: *mut bindings::address_space,
        pos: bindings::loff_t,
        len: c_uint,
        foliop: *mut *mut bindings::folio,
        _fsdata: *mut *mut c_void,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The caller's promise.
            let guard = unsafe { Self::guard(mapping) };
            // CAST: A position to write at is never negative.
            let folio = T::write_begin(&guard, pos as u64, len as usize)?;
            // SAFETY: `foliop` is valid. The caller takes over the lock and the reference.
            unsafe { *foliop = folio.into_raw().as_ptr() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `generic_perform_write()` with the folio of [`Self::write_begin`], after it copied
    /// `copied` bytes.
    unsafe extern "C" fn write_end(
        _kiocb: *const bindings::kiocb,
        mapping: *mut bindings::address_space,
        pos: bindings::loff_t,
        _len: c_uint,
        copied: c_uint,
        folio: *mut bindings::folio,
        _fsdata: *mut c_void,
    ) -> c_int {
        if let Some(folio) = NonNull::new(folio) {
            // SAFETY: `write_begin` passed the lock and the reference to the caller, which returns
            // them.
            drop(unsafe { LockedFolio::from_raw(folio) });
        }
        if copied > 0 {
            // SAFETY: The caller's promise.
            let guard = unsafe { Self::guard(mapping) };
            guard.grow_to(pos as u64 + u64::from(copied));
        }
        // CAST: At most the size of a folio.
        copied as c_int
    }

    /// # Safety
    ///
    /// `mapping` has this table, and its inode is locked for `'a`.
    unsafe fn guard<'a>(mapping: *mut bindings::address_space) -> ManuallyDrop<InodeGuard<'a, T>> {
        // SAFETY: The host of a page cache with this table is an inode with a `T`.
        let inode = unsafe { &*(*mapping).host.cast::<Inode<T>>() };
        // SAFETY: The caller's promise. The guard is not dropped, so the caller keeps the lock.
        ManuallyDrop::new(unsafe { InodeGuard::assume_locked(inode) })
    }

    /// Returns whether the kernel may split a folio. It calls this before each split of a large
    /// folio.
    ///
    /// A split removes the pages past the end of the file from the page cache. It does not call
    /// `free_folio` for them, and it decrements the count of dirty pages, which does not include
    /// folios of this page cache. So a folio that reaches past the end is not split.
    ///
    /// # Safety
    ///
    /// Called by the kernel for a valid, locked folio of a page cache with this table.
    unsafe extern "C" fn release_folio(folio: *mut bindings::folio, _: bindings::gfp_t) -> bool {
        // SAFETY: The caller holds a reference. The lock keeps the folio in its page cache.
        unsafe { helpers::mmap_pool_folio_ends_in_file(folio) }
    }

    /// # Safety
    ///
    /// Called by the kernel for a valid folio that was removed from a page cache with this table.
    unsafe extern "C" fn free_folio(folio: *mut bindings::folio) {
        // SAFETY: The caller holds a reference. Folios enter the page cache initialised.
        T::pages_removed(unsafe { &*folio.cast::<Folio>() }.nr_pages());
    }
}

/// Copies `iov` to the inode of `kiocb`, folio by folio.
///
/// Returns the number of bytes copied.
///
/// # Safety
///
/// Both pointers are valid. The page cache of the file has `write_begin` and `write_end`, and its
/// inode is locked.
///
/// C: `generic_perform_write()`, `mm/filemap.c`.
#[inline]
pub(super) unsafe fn perform_write(
    kiocb: *mut bindings::kiocb,
    iov: *mut bindings::iov_iter,
) -> Result<usize> {
    // SAFETY: The caller's promise.
    let written = unsafe { bindings::generic_perform_write(kiocb, iov) };
    usize::try_from(written).map_err(|_| Error::from_errno(written as c_int))
}
