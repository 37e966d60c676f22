// SPDX-License-Identifier: GPL-2.0

//! Page-fault handlers that return folios of a page cache.
//!
//! A driver implements [`VmOperations`] and calls [`install`] from its `mmap` file operation. The
//! handler then resolves the page faults of that VMA.
//!
//! This is for drivers whose pages are in a page cache: those of an inode, as here. Other kinds of
//! handlers are not supported yet: ones that return a page outside of a page cache (`vmf->page`
//! without a lock), and ones that insert a page or a PFN themselves (`vmf_insert_page()`,
//! `vmf_insert_pfn()`, `VM_FAULT_NOPAGE`).
//!
//! The types rule out these mistakes:
//!
//! - `VM_FAULT_NOPAGE` without an inserted page makes the task fault for ever. Here a handler
//!   succeeds only with a folio, and [`VmFault::insert_huge`] maps a huge one.
//! - A huge mapping must not hide the permissions of single pages: a private write needs a copy, and
//!   userfaultfd or a guard region may protect some of the pages. [`VmFault::may_map_huge`] lets
//!   only those faults through that need none of this.
//! - An errno is not a `vm_fault_t`. [`FaultError`] is the only error type. It converts from
//!   [`Error`] by the rule of `vmf_error()`.
//! - A folio that is truncated during the fault leaves a stale page-table entry. Truncation waits
//!   for the lock of a [`LockedFolio`], which is held until the core has mapped the folio.
//! - A folio of another page cache, or of another index, must not be mapped. [`VmFault::finish`]
//!   checks both before the core gets the folio.
//! - A [`VmFault`] cannot outlive the call.
//! - A handler runs only for VMAs that [`install`] has set up.
//!
//! C headers: `struct vm_operations_struct` and `struct vm_fault` of `include/linux/mm.h`.

use super::{
    folio::{
        pmd_order,
        LockedFolio, //
    },
    policy::MemPolicy, //
};
use crate::helpers;
use core::{
    marker::PhantomData,
    ops::Range, //
};
use kernel::{
    bindings,
    ffi::{
        c_int,
        c_uint, //
    },
    fs::{
        File,
        LocalFile, //
    },
    mm::virt::{
        flags,
        VmaNew, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    types::NotThreadSafe,
    warn_on, //
};
#[cfg(CONFIG_NUMA)]
use kernel::{
    error::from_result,
    mm::virt::VmaRef, //
};

/// An object that can be mapped through its files.
///
/// # Safety
///
/// `of_file` must always return the same object for a file, from the end of its `open` on.
pub(crate) unsafe trait FileObject: Sync {
    /// Returns the object behind `file`, or `None` if `file` is not a file of such an object.
    fn of_file(file: &LocalFile) -> Option<&Self>;
}

/// The operations of a driver on its mappings.
///
/// C: `struct vm_operations_struct`, `include/linux/mm.h`.
pub(crate) trait VmOperations {
    /// The object that the VMAs map.
    type Object: FileObject;

    /// Whether a read fault also maps the pages around the page that the page cache holds. With it,
    /// the core also calls [`fault`](Self::fault) under the VMA lock (`vmf_can_call_fault()`,
    /// `mm/memory.c`).
    ///
    /// C: `vm_operations_struct::map_pages` is `filemap_map_pages()`.
    const FAULT_AROUND: bool;

    /// Returns the folio that holds page `vmf.pgoff()` of `object`, locked. The core maps and
    /// unlocks it.
    ///
    /// # Context
    ///
    /// Process context, may sleep. The core holds `mmap_lock` for read, or the VMA lock.
    ///
    /// C: `vm_operations_struct::fault`.
    fn fault(object: &Self::Object, vmf: &VmFault<'_>) -> Result<LockedFolio, FaultError>;

    /// Whether the core calls [`huge_fault`](Self::huge_fault).
    const HUGE_FAULT: bool = false;

    /// Returns the huge folio that holds page `vmf.pgoff()` of `object`, locked, or `None` to fall
    /// back to [`fault`](Self::fault). A single PMD entry then maps all of the folio.
    ///
    /// Called before `fault`, if no page of the huge page is mapped and the VMA could map all of
    /// them. Without it the core maps the huge folio that `fault` returns, too. But first it
    /// allocates a page table, which it does not need (`__do_fault()`, `mm/memory.c`).
    ///
    /// # Context
    ///
    /// As [`fault`](Self::fault).
    ///
    /// C: `vm_operations_struct::huge_fault`.
    fn huge_fault(_object: &Self::Object, _vmf: &VmFault<'_>) -> Option<LockedFolio> {
        None
    }

    /// Whether userfaultfd may protect the pages of a mapping: from writes
    /// (`UFFDIO_REGISTER_MODE_WP`), or from all accesses (`_RWP`). The core handles the faults of such
    /// pages.
    ///
    /// The other modes (`_MISSING`, `_MINOR`) are always refused: only `handle_userfault()` could
    /// report their faults, and it is not exported.
    ///
    /// C: `vm_operations_struct::uffd_ops`.
    #[cfg_attr(not(CONFIG_USERFAULTFD), allow(dead_code))]
    const USERFAULTFD: bool = false;

    /// Sets the memory policy for later allocations of `pages` of `object`. Without `policy`, that
    /// of the task decides.
    ///
    /// Called for `mbind()` on a shared mapping. The policy of a private mapping is for its private
    /// copies, which the core allocates.
    ///
    /// # Context
    ///
    /// May sleep. The core holds `mmap_lock` for write.
    ///
    /// C: `vm_operations_struct::set_policy`.
    #[cfg_attr(not(CONFIG_NUMA), allow(dead_code))]
    fn set_policy(object: &Self::Object, pages: Range<usize>, policy: Option<MemPolicy>) -> Result;
}

/// The operations of a driver on its mappings of backed inodes. The kernel's own functions read the
/// pages in.
///
/// C: `struct vm_operations_struct`, `include/linux/mm.h`.
pub(crate) trait BackedVmOperations {
    /// The object that the VMAs map.
    type Object: FileObject;

    /// Checks whether a page of `object` may become writable in a mapping. Its folio is locked and
    /// dirty, so the kernel writes it back.
    ///
    /// # Context
    ///
    /// Process context, may sleep. The core holds `mmap_lock` for read, or the VMA lock.
    ///
    /// C: `vm_operations_struct::page_mkwrite`.
    fn page_mkwrite(object: &Self::Object) -> Result<(), FaultError>;
}

/// Makes `T` handle the page faults of a VMA that is being set up.
///
/// # Errors
///
/// - `EINVAL`: the VMA does not map a `T::Object`, or has a flag for memory without ordinary pages
///   (`VM_PFNMAP`, `VM_MIXEDMAP`).
/// - `EOVERFLOW`: the end of the VMA is not a valid file offset. The core checks this for regular
///   files only (`file_mmap_ok()`, `mm/mmap.c`).
pub(crate) fn install<T: VmOperations>(vma: &VmaNew) -> Result {
    // SAFETY: The functions of the table fit every VMA whose file has a `T::Object`.
    unsafe { install_table::<T::Object>(vma, &VmOperationsVTable::<T>::TABLE) }
}

/// As [`install`], for a mapping of a backed inode.
pub(crate) fn install_backed<T: BackedVmOperations>(vma: &VmaNew) -> Result {
    // SAFETY: As above.
    unsafe { install_table::<T::Object>(vma, &BackedVTable::<T>::TABLE) }
}

/// # Safety
///
/// The functions of `table` fit every VMA whose file has an `O`.
unsafe fn install_table<O: FileObject>(
    vma: &VmaNew,
    table: &'static bindings::vm_operations_struct,
) -> Result {
    if vma.flags() & (flags::PFNMAP | flags::MIXEDMAP) != 0 {
        return Err(EINVAL);
    }
    // SAFETY: In an `mmap` file operation `vm_file` is the mapped file, and the VMA holds a
    // reference to it. `mmap` is called outside of any `fdget_pos` section.
    let file = unsafe { File::from_raw_file((*vma.as_ptr()).vm_file) };
    O::of_file(file).ok_or(EINVAL)?;
    // SAFETY: The VMA is being set up and not shared yet.
    let pgoff = unsafe { (*vma.as_ptr()).vm_pgoff };
    if pgoff > (bindings::loff_t::MAX as usize - (vma.end() - vma.start())) >> PAGE_SHIFT {
        return Err(EOVERFLOW);
    }
    // SAFETY: The VMA is being set up and not shared yet. Its file has an `O`, so the table fits.
    unsafe { (*vma.as_ptr()).vm_ops = table };
    Ok(())
}

/// A page fault that is being handled.
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
    /// Returns the index of the faulting page in the object.
    pub(crate) fn pgoff(&self) -> usize {
        // SAFETY: The pointer is valid by the type invariants. The core does not change the field
        // while a handler runs.
        unsafe { (*self.0).__bindgen_anon_1.pgoff }
    }

    /// Returns the mapped file.
    fn file(&self) -> &'a File {
        // SAFETY: By the type invariants the VMA is valid and locked for `'a`, and it holds a
        // reference to its file. A fault inside a `fdget_pos` section does not use the file
        // position.
        unsafe { File::from_raw_file((*(*self.0).__bindgen_anon_1.vma).vm_file) }
    }

    /// Returns whether a PMD entry may resolve this fault.
    ///
    /// Not if the core has found an entry there already. That is a huge page without write access
    /// (`wp_huge_pmd()`, `mm/memory.c`), which userfaultfd may have protected.
    fn may_map_huge(&self) -> bool {
        // SAFETY: The pointer is valid by the type invariants, and the VMA is locked.
        unsafe { helpers::mmap_pool_vmf_may_map_huge(self.0) }
    }

    /// Maps all of `folio`, or falls back.
    ///
    /// Falls back for a folio that is not huge, or that has a hardware memory error: then the other
    /// pages stay accessible. A folio that does not hold the page is a bug of the handler: warns,
    /// and falls back.
    ///
    /// # Safety
    ///
    /// The core has called `huge_fault` with this fault.
    unsafe fn insert_huge(self, folio: LockedFolio) -> bindings::vm_fault_t {
        if warn_on!(self.page_of(&folio).is_null()) {
            return bindings::vm_fault_reason_VM_FAULT_FALLBACK;
        }
        // SAFETY: The caller's promise. The folio is in the page cache of the file, and holds the
        // page. The lock keeps it there until it is mapped.
        let ret = unsafe { helpers::mmap_pool_vmf_insert_huge(self.0, folio.as_ptr()) };
        // Not under the lock of the folio, as in `fault_dirty_shared_page()`, `mm/memory.c`.
        drop(folio);
        // SAFETY: The pointer is valid by the type invariants, and the VMA is locked.
        unsafe { helpers::mmap_pool_vmf_update_time(self.0) };
        ret
    }

    /// Returns the faulting page, or null if `folio` does not hold it.
    fn page_of(&self, folio: &LockedFolio) -> *mut bindings::page {
        // SAFETY: The file is valid, and `f_mapping` does not change while it is open.
        let mapping = unsafe { (*self.file().as_ptr()).f_mapping };
        // SAFETY: The lock keeps the folio in its page cache.
        unsafe { helpers::mmap_pool_folio_mapping_page(folio.as_ptr(), mapping, self.pgoff()) }
    }

    /// Passes `folio` to the core, with its lock and its reference.
    ///
    /// A folio that does not hold the page is a bug of the handler: warns, and sends `SIGBUS`.
    fn finish(self, folio: LockedFolio) -> bindings::vm_fault_t {
        let page = self.page_of(&folio);
        if warn_on!(page.is_null()) {
            return FaultError::Sigbus.into_vm_fault();
        }
        // The core takes over the reference and the lock.
        let _ = folio.into_raw();
        // SAFETY: The pointer is valid by the type invariants. The handler sets the field.
        unsafe { (*self.0).page = page };
        bindings::vm_fault_reason_VM_FAULT_LOCKED
    }
}

/// The error of a page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultError {
    /// There is no such page. The task gets `SIGBUS`; a system call fails with `EFAULT`.
    Sigbus,
    /// Out of memory. The core invokes the OOM killer and repeats the fault.
    Oom,
    /// A hardware memory error. The task gets `SIGBUS` with `BUS_MCEERR_AR`.
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
    // No `open` and no `close`: the VMA keeps its file, and the file keeps the object. The core
    // does not merge VMAs with a `close` operation.
    const TABLE: bindings::vm_operations_struct = bindings::vm_operations_struct {
        fault: Some(Self::fault),
        map_pages: if T::FAULT_AROUND {
            Some(bindings::filemap_map_pages)
        } else {
            None
        },
        huge_fault: if T::HUGE_FAULT {
            Some(Self::huge_fault)
        } else {
            None
        },
        #[cfg(CONFIG_USERFAULTFD)]
        uffd_ops: if T::USERFAULTFD {
            &raw const helpers::mmap_pool_uffd_ops
        } else {
            core::ptr::null()
        },
        #[cfg(CONFIG_NUMA)]
        set_policy: Some(Self::set_policy),
        ..pin_init::zeroed()
    };

    /// There is no `get_policy`: it has to return a `struct mempolicy`, which a module cannot
    /// allocate. So `get_mempolicy()` returns the policy that was set on the same mapping.
    ///
    /// # Safety
    ///
    /// Called by the core for a VMA that was set up by [`install`], with `mmap_lock` held for
    /// write. `policy` is valid or null.
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
            // SAFETY: The VMA holds a reference to its file. The file position is not used.
            let file = unsafe { File::from_raw_file((*vma.as_ptr()).vm_file) };
            let object = T::Object::of_file(file).ok_or(EINVAL)?;
            // SAFETY: The VMA is valid, and `mmap_lock` prevents changes.
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
        // INVARIANT: The core keeps `vmf` valid and holds one of the locks during the call.
        let vmf = VmFault(vmf, PhantomData, NotThreadSafe);
        let Some(object) = T::Object::of_file(vmf.file()) else {
            // Not reached: `install()` found the object, and `of_file()` never changes its answer.
            return FaultError::Sigbus.into_vm_fault();
        };
        match T::fault(object, &vmf) {
            Ok(folio) => vmf.finish(folio),
            Err(error) => error.into_vm_fault(),
        }
    }

    /// # Safety
    ///
    /// Called by the core for a VMA that was set up by [`install`].
    unsafe extern "C" fn huge_fault(
        vmf: *mut bindings::vm_fault,
        order: c_uint,
    ) -> bindings::vm_fault_t {
        // INVARIANT: The core keeps `vmf` valid and holds one of the locks during the call.
        let vmf = VmFault(vmf, PhantomData, NotThreadSafe);
        // The core asks for larger orders, too.
        if order == pmd_order() && vmf.may_map_huge() {
            let object = T::Object::of_file(vmf.file());
            if let Some(folio) = object.and_then(|object| T::huge_fault(object, &vmf)) {
                // SAFETY: The core has called this function with `vmf`.
                return unsafe { vmf.insert_huge(folio) };
            }
        }
        bindings::vm_fault_reason_VM_FAULT_FALLBACK
    }
}

/// The `struct vm_operations_struct` of a [`BackedVmOperations`].
struct BackedVTable<T>(PhantomData<T>);

impl<T: BackedVmOperations> BackedVTable<T> {
    const TABLE: bindings::vm_operations_struct = bindings::vm_operations_struct {
        fault: Some(bindings::filemap_fault),
        map_pages: Some(bindings::filemap_map_pages),
        page_mkwrite: Some(Self::page_mkwrite),
        ..pin_init::zeroed()
    };

    /// Marks a folio as dirty, and tells the driver.
    ///
    /// The core calls this before a page of a shared mapping becomes writable: at the first store,
    /// and at the first store after the page was written back (`folio_clear_dirty_for_io()`,
    /// `mm/page-writeback.c`, protects it again). If the driver refuses, the folio stays dirty with
    /// its old content.
    ///
    /// # Safety
    ///
    /// Called by the core for a VMA that was set up by [`install_backed`].
    unsafe extern "C" fn page_mkwrite(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: The caller's promise.
        let ret = unsafe { helpers::mmap_pool_page_mkwrite(vmf) };
        if ret & bindings::vm_fault_reason_VM_FAULT_LOCKED == 0 {
            return ret;
        }
        // SAFETY: The VMA is valid during the call, and it holds a reference to its file.
        let file = unsafe { File::from_raw_file((*(*vmf).__bindgen_anon_1.vma).vm_file) };
        let result = T::Object::of_file(file)
            .ok_or(FaultError::Sigbus)
            .and_then(T::page_mkwrite);
        match result {
            Ok(()) => ret,
            Err(error) => {
                // SAFETY: The caller holds a reference to the page. Its folio was locked above.
                unsafe { bindings::folio_unlock(helpers::mmap_pool_page_folio((*vmf).page)) };
                error.into_vm_fault()
            }
        }
    }
}
