// SPDX-License-Identifier: GPL-2.0

//! What the kernel asks of an inode about its page cache.
//!
//! C header: `struct address_space_operations`, `include/linux/fs.h`.

use super::inode::{Inode, InodeData, InodeGuard};
use crate::{
    helpers,
    mm::folio::{Folio, LockedFolio},
};
use core::{marker::PhantomData, mem::ManuallyDrop, ptr::NonNull};
use kernel::{
    bindings,
    error::from_result,
    ffi::{c_int, c_uint, c_void},
    prelude::*,
};

/// The `struct address_space_operations` of the inodes that carry a `T`.
pub(super) struct AddressSpaceOperations<T>(PhantomData<T>);

impl<T: InodeData> AddressSpaceOperations<T> {
    /// Memory is all there is behind the page cache: nothing is read in, nothing is written back.
    pub(super) const TABLE: bindings::address_space_operations =
        bindings::address_space_operations {
            dirty_folio: Some(bindings::noop_dirty_folio),
            write_begin: Some(Self::write_begin),
            write_end: Some(Self::write_end),
            release_folio: Some(Self::release_folio),
            free_folio: Some(Self::free_folio),
            migrate_folio: Some(bindings::filemap_migrate_folio),
            // Lets files be opened with O_DIRECT, as on tmpfs; it is never called.
            direct_IO: Some(bindings::noop_direct_IO),
            ..pin_init::zeroed()
        };

    /// Finds the folio that the next bytes of a write go to.
    ///
    /// The kernel copies the bytes while the folio is locked. Migration copies a folio first and
    /// freezes it afterwards (`__migrate_folio()`, `mm/migrate.c`); the lock is what keeps it from
    /// losing what is written in between.
    ///
    /// # Safety
    ///
    /// Called by `generic_perform_write()` for a page cache with this table, whose inode is locked.
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
            let folio = T::write_begin(&guard, pos.try_into()?, len as usize)?;
            // SAFETY: The caller takes the folio there, with its lock and reference.
            unsafe { *foliop = folio.into_raw().as_ptr() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `generic_perform_write()` with the folio of [`Self::write_begin`], to which `copied`
    /// bytes were copied.
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
            // SAFETY: The lock and the reference were handed out by `write_begin`.
            drop(unsafe { LockedFolio::from_raw(folio) });
        }
        if copied > 0 {
            // SAFETY: The caller's promise.
            let guard = unsafe { Self::guard(mapping) };
            guard.grow_to(pos as u64 + u64::from(copied));
        }
        // CAST: At most a folio.
        copied as c_int
    }

    /// # Safety
    ///
    /// `mapping` has this table, and its inode is locked for `'a`.
    unsafe fn guard<'a>(mapping: *mut bindings::address_space) -> ManuallyDrop<InodeGuard<'a, T>> {
        // SAFETY: The host of a page cache with this table is an inode that carries a `T`.
        let inode = unsafe { &*(*mapping).host.cast::<Inode<T>>() };
        // SAFETY: The caller's promise. The lock is not ours to release.
        ManuallyDrop::new(unsafe { InodeGuard::assume_locked(inode) })
    }

    /// Says whether a folio may be split, for in a page cache of large folios it is asked before that.
    ///
    /// A split drops what is past the end of the file from the page cache itself: `free_folio` never
    /// hears of it, and the statistics of dirty pages, which do not count folios of ours, are told
    /// that some are clean. So a folio that reaches past the end stays as it is.
    ///
    /// # Safety
    ///
    /// Called by the kernel for a valid folio of a page cache of ours, locked.
    unsafe extern "C" fn release_folio(folio: *mut bindings::folio, _: bindings::gfp_t) -> bool {
        // SAFETY: The caller holds a reference, and the lock keeps the folio in its page cache.
        unsafe { helpers::mmap_pool_folio_ends_in_file(folio) }
    }

    /// # Safety
    ///
    /// Called by the kernel for a valid folio that has just left the page cache.
    unsafe extern "C" fn free_folio(folio: *mut bindings::folio) {
        // SAFETY: The caller holds a reference. The bytes were initialised before the folio
        // entered the page cache.
        T::pages_removed(unsafe { &*folio.cast::<Folio>() }.nr_pages());
    }
}

/// Lets the kernel copy `iov` to the inode of `kiocb`, folio by folio.
///
/// Returns how many bytes were copied.
///
/// # Safety
///
/// Both are valid. The page cache of the file has [`AddressSpaceOperations`], and its inode is locked.
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
