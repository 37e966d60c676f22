// SPDX-License-Identifier: GPL-2.0

//! Operations on a mapping: a driver's page-fault handler.
//!
//! A driver implements [`VmOperations`] and calls [`install`] from its `mmap` file operation. From
//! then on the handler resolves the faults of that VMA.
//!
//! What the types rule out:
//!
//! - A handler that claims to have mapped a page itself, but has not (`VM_FAULT_NOPAGE` without an
//!   insertion), makes the task fault for ever. The only success here is a folio to map.
//! - An errno is not a `vm_fault_t`. [`FaultError`] is the only error, and converts from
//!   [`Error`] in one place, by the rule of `vmf_error()`.
//! - A folio that is truncated while its fault is under way would leave a stale page-table entry.
//!   A [`LockedFolio`] cannot be truncated until the core has mapped it.
//! - A [`VmFault`] cannot outlive the call, and a handler runs on VMAs that were set up by
//!   [`install`] alone.
//!
//! C headers: `struct vm_operations_struct` and `struct vm_fault` of `include/linux/mm.h`.

use super::{fatal_signal_pending, folio::LockedFolio};
use crate::helpers;
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::to_result,
    ffi::{c_int, c_ulong},
    fs::{File, LocalFile},
    mm::virt::{flags, VmaNew},
    page::PAGE_SHIFT,
    prelude::*,
    types::NotThreadSafe,
};

/// An object that files give access to, and that can be mapped through them.
///
/// # Safety
///
/// For one file, `of_file` must always give the same answer, from the end of its `open` on.
pub(crate) unsafe trait FileObject: Sync {
    /// Returns the object behind `file`, or `None` if `file` belongs to somebody else.
    fn of_file(file: &LocalFile) -> Option<&Self>;
}

/// The operations of a driver on its mappings.
///
/// C: `struct vm_operations_struct`, `include/linux/mm.h`.
pub(crate) trait VmOperations {
    /// What the VMAs map.
    type Object: FileObject;

    /// Whether a read fault also maps the resident neighbours of the page, from the page cache
    /// behind the file. It is also what lets the core call [`fault`](Self::fault) under the VMA
    /// lock (`vmf_can_call_fault()`, `mm/memory.c`).
    ///
    /// C: `vm_operations_struct::map_pages` is `filemap_map_pages()`.
    const FAULT_AROUND: bool;

    /// Returns the folio that holds page `vmf.pgoff()` of `object`, locked, for the core to map.
    ///
    /// # Context
    ///
    /// Process context, may sleep. Holds `mmap_lock` for read or the VMA lock.
    ///
    /// C: `vm_operations_struct::fault`.
    fn fault(object: &Self::Object, vmf: &VmFault<'_>) -> Result<LockedFolio, FaultError>;
}

/// Makes `T` handle the page faults of a VMA that is being set up.
///
/// # Errors
///
/// - `EINVAL`: the VMA does not map a `T::Object`, or is marked as one without ordinary pages
///   (`VM_PFNMAP`, `VM_MIXEDMAP`).
/// - `EOVERFLOW`: the VMA reaches beyond what a file offset can say. The core checks that for
///   regular files, and lets devices do as they like (`file_mmap_ok()`, `mm/mmap.c`).
pub(crate) fn install<T: VmOperations>(vma: &VmaNew) -> Result {
    if vma.flags() & (flags::PFNMAP | flags::MIXEDMAP) != 0 {
        return Err(EINVAL);
    }
    // SAFETY: In an `mmap` file operation `vm_file` is the file being mapped. The VMA holds a
    // reference to it, and `mmap` is called outside of any `fdget_pos` section.
    let file = unsafe { File::from_raw_file((*vma.as_ptr()).vm_file) };
    T::Object::of_file(file).ok_or(EINVAL)?;
    // SAFETY: The VMA is being set up, so nobody else accesses it.
    let pgoff = unsafe { (*vma.as_ptr()).vm_pgoff };
    if pgoff > (bindings::loff_t::MAX as usize - (vma.end() - vma.start())) >> PAGE_SHIFT {
        return Err(EOVERFLOW);
    }
    // SAFETY: The VMA is being set up, so nobody else accesses it. The table is static, and its
    // functions fit any VMA whose file has a `T::Object`: this one does, as checked above.
    unsafe { (*vma.as_ptr()).vm_ops = &VmOperationsVTable::<T>::TABLE };
    Ok(())
}

/// Maps pages into a VMA that is being set up, from its start on, so that they need no fault later:
/// as many as fit and the object has, which is `nr_pages`. `folio` is asked for each that it has not
/// returned yet.
///
/// The VMA becomes one with `VM_MIXEDMAP`, which never merges with others. An object that is mapped
/// like this must never have a folio as large as a huge page: a later fault would map it by one entry,
/// and when the core splits such an entry in such a VMA, it takes what is behind it for memory without
/// a reference count, and drops neither reference nor `mapcount` (`vma_is_special_huge()`,
/// `mm/huge_memory.c`).
///
/// Nobody can find such a VMA before it is complete, not even a truncation. So this is for objects
/// that never lose a page.
///
/// # Context
///
/// May sleep. Holds `mmap_lock` for write.
///
/// # Errors
///
/// Those of `folio`, and:
/// - `EINVAL`: a folio is as large as a huge page.
/// - `ENOMEM`: no memory for page tables.
///
/// C: `vm_insert_pages()`, `include/linux/mm.h`.
pub(crate) fn map_now(
    vma: &VmaNew,
    nr_pages: usize,
    mut folio: impl FnMut(usize) -> Result<LockedFolio>,
) -> Result {
    const BATCH: usize = 32;

    // SAFETY: The VMA is being set up, so nobody else accesses it.
    let pgoff = unsafe { (*vma.as_ptr()).vm_pgoff };
    let nr_pages = nr_pages
        .saturating_sub(pgoff)
        .min((vma.end() - vma.start()) >> PAGE_SHIFT);
    let vma = vma.set_mixedmap();
    let mut done = 0;
    while done < nr_pages {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let folio = folio(pgoff + done)?;
        if folio.is_pmd_mappable() {
            return Err(EINVAL);
        }
        let first = folio.nr_pages() - (folio.end() - (pgoff + done));
        let mut batch = [core::ptr::null_mut(); BATCH];
        let mut nr_batch = 0;
        for (slot, n) in batch.iter_mut().zip(first..folio.nr_pages()) {
            if done + nr_batch == nr_pages {
                break;
            }
            // SAFETY: The folio is valid and has more than `n` pages.
            *slot = unsafe { helpers::mmap_pool_folio_page(folio.as_ptr(), n) };
            nr_batch += 1;
        }
        let address = vma.start() + (done << PAGE_SHIFT);
        let mut nr_left = nr_batch as c_ulong;
        // SAFETY: The VMA has `VM_MIXEDMAP` and nothing is mapped there yet; the array has as many
        // pages, valid since the folio is, of which the page table gets references of its own.
        to_result(unsafe {
            bindings::vm_insert_pages(vma.as_ptr(), address, batch.as_mut_ptr(), &mut nr_left)
        })?;
        done += nr_batch;
    }
    Ok(())
}

/// A page fault under way.
///
/// # Invariants
///
/// `0` points to a `struct vm_fault` that is valid for `'a`, of a VMA that was set up by
/// [`install`]. `mmap_lock` or the VMA lock is held for `'a`.
pub(crate) struct VmFault<'a>(
    *mut bindings::vm_fault,
    PhantomData<&'a bindings::vm_fault>,
    NotThreadSafe,
);

impl<'a> VmFault<'a> {
    /// Returns the page of the object that is wanted: an offset in pages from its start.
    pub(crate) fn pgoff(&self) -> usize {
        // SAFETY: The pointer is valid by the type invariants, and the core does not write to the
        // field while a handler runs.
        unsafe { (*self.0).__bindgen_anon_1.pgoff }
    }

    /// Returns the file that is mapped.
    fn file(&self) -> &'a File {
        // SAFETY: By the type invariants the VMA is valid and locked for `'a`; it holds a
        // reference to its file. A fault from within a `fdget_pos` section does not touch the
        // file position.
        unsafe { File::from_raw_file((*(*self.0).__bindgen_anon_1.vma).vm_file) }
    }

    /// Hands `folio` to the core, which maps it, unlocks it, and keeps its reference.
    fn finish(self, folio: LockedFolio) -> bindings::vm_fault_t {
        let pgoff = self.pgoff();
        let folio = folio.into_raw();
        // SAFETY: `folio` is valid; a page within it is picked whatever `pgoff` is.
        let page = unsafe { helpers::mmap_pool_folio_file_page(folio.as_ptr(), pgoff) };
        // SAFETY: The pointer is valid by the type invariants; the field is ours to set.
        unsafe { (*self.0).page = page };
        // The reference and the lock of `into_raw()` now belong to the core.
        bindings::vm_fault_reason_VM_FAULT_LOCKED
    }
}

/// Why a page fault could not be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultError {
    /// There is no such page: the task gets `SIGBUS`, or the system call `EFAULT`.
    Sigbus,
    /// Out of memory: the task retries, or the OOM killer picks one.
    Oom,
    /// The page is lost to a hardware error: `SIGBUS` with `BUS_MCEERR_AR`.
    HwPoison,
}

impl From<Error> for FaultError {
    /// C: `vmf_error()`, `include/linux/mm.h`.
    fn from(error: Error) -> Self {
        const ENOMEM: c_int = bindings::ENOMEM as c_int;
        const EHWPOISON: c_int = bindings::EHWPOISON as c_int;

        match -error.to_errno() {
            ENOMEM => Self::Oom,
            EHWPOISON => Self::HwPoison,
            _ => Self::Sigbus,
        }
    }
}

impl FaultError {
    fn into_vm_fault(self) -> bindings::vm_fault_t {
        match self {
            Self::Sigbus => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
            Self::Oom => bindings::vm_fault_reason_VM_FAULT_OOM,
            Self::HwPoison => bindings::vm_fault_reason_VM_FAULT_HWPOISON,
        }
    }
}

/// The `struct vm_operations_struct` of a [`VmOperations`].
struct VmOperationsVTable<T>(PhantomData<T>);

impl<T: VmOperations> VmOperationsVTable<T> {
    // No `open` and no `close`: a VMA holds a reference to its file, which is all there is to keep,
    // and VMAs with a `close` operation never merge.
    const TABLE: bindings::vm_operations_struct = bindings::vm_operations_struct {
        fault: Some(Self::fault),
        map_pages: if T::FAULT_AROUND {
            Some(bindings::filemap_map_pages)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by the core for a VMA that was set up by [`install`].
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // INVARIANT: The core keeps `vmf` and one of the locks for the call.
        let vmf = VmFault(vmf, PhantomData, NotThreadSafe);
        let Some(object) = T::Object::of_file(vmf.file()) else {
            // `install()` has seen the object, and the answer never changes.
            return FaultError::Sigbus.into_vm_fault();
        };
        match T::fault(object, &vmf) {
            Ok(folio) => vmf.finish(folio),
            Err(error) => error.into_vm_fault(),
        }
    }
}
