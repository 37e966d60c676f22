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
//! - A folio of another page cache, or of another place in this one, is not mapped: it is looked at
//!   before the core gets it.
//! - A [`VmFault`] cannot outlive the call, and a handler runs on VMAs that were set up by
//!   [`install`] alone.
//!
//! C headers: `struct vm_operations_struct` and `struct vm_fault` of `include/linux/mm.h`.

use super::{folio::LockedFolio, policy::MemPolicy};
use crate::helpers;
use core::{marker::PhantomData, ops::Range};
use kernel::{
    bindings,
    ffi::c_int,
    fs::{File, LocalFile},
    mm::virt::{flags, VmaNew},
    page::PAGE_SHIFT,
    prelude::*,
    types::NotThreadSafe,
    warn_on,
};
#[cfg(CONFIG_NUMA)]
use kernel::{error::from_result, mm::virt::VmaRef};

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

    /// Makes `policy` decide from which nodes the pages of `object` come that `pages`, in pages from its
    /// start, get from now on. Without one, the policy of the task decides.
    ///
    /// A shared mapping was given it, by `mbind()`. The policy of a private mapping concerns its copies
    /// alone, which the core makes.
    ///
    /// # Context
    ///
    /// May sleep. Holds `mmap_lock` for write.
    ///
    /// C: `vm_operations_struct::set_policy`.
    #[cfg_attr(not(CONFIG_NUMA), allow(dead_code))]
    fn set_policy(object: &Self::Object, pages: Range<usize>, policy: Option<MemPolicy>) -> Result;
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
    ///
    /// A folio that does not hold the page is a mistake of the handler. It is not mapped.
    fn finish(self, folio: LockedFolio) -> bindings::vm_fault_t {
        // SAFETY: The file is valid, and its page cache never changes while it is open.
        let mapping = unsafe { (*self.file().as_ptr()).f_mapping };
        // SAFETY: The lock keeps the folio in its page cache.
        let page =
            unsafe { helpers::mmap_pool_folio_mapping_page(folio.as_ptr(), mapping, self.pgoff()) };
        if warn_on!(page.is_null()) {
            return FaultError::Sigbus.into_vm_fault();
        }
        // The reference and the lock now belong to the core.
        let _ = folio.into_raw();
        // SAFETY: The pointer is valid by the type invariants; the field is ours to set.
        unsafe { (*self.0).page = page };
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
        #[cfg(CONFIG_NUMA)]
        set_policy: Some(Self::set_policy),
        ..pin_init::zeroed()
    };

    /// There is no `get_policy`: it would have to return a `struct mempolicy`, and a module can neither
    /// make nor free one. So `get_mempolicy()` tells what was set on the mapping that it asks about.
    ///
    /// # Safety
    ///
    /// Called by the core for a VMA that was set up by [`install`], with `mmap_lock` held for write.
    /// `policy` is valid or null.
    #[cfg(CONFIG_NUMA)]
    unsafe extern "C" fn set_policy(
        vma: *mut bindings::vm_area_struct,
        policy: *mut bindings::mempolicy,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The caller's promise.
            let vma = unsafe { VmaRef::from_raw(vma) };
            if vma.flags() & flags::MAYSHARE == 0 {
                return Ok(0);
            }
            // SAFETY: The VMA holds a reference to its file. Nothing here touches the file position.
            let file = unsafe { File::from_raw_file((*vma.as_ptr()).vm_file) };
            let object = T::Object::of_file(file).ok_or(EINVAL)?;
            // SAFETY: The VMA is valid, and `mmap_lock` keeps it as it is.
            let start = unsafe { (*vma.as_ptr()).vm_pgoff };
            let pages = start..start + ((vma.end() - vma.start()) >> PAGE_SHIFT);
            let policy = (!policy.is_null()).then(|| {
                // SAFETY: The caller's promise.
                unsafe { MemPolicy::copy_of(policy.cast_const()) }
            });
            T::set_policy(object, pages, policy)?;
            Ok(0)
        })
    }

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
