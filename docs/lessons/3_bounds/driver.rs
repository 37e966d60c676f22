// SPDX-License-Identifier: GPL-2.0

//! Lesson 3: where a page is, and where the device ends, also when it becomes smaller.

use core::ptr::from_ref;
use kernel::{
    bindings,
    fs::File,
    ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::virt::{
        flags,
        VmaNew,
        VmaRef, //
    },
    page::Page,
    prelude::*, //
};

module! {
    type: LessonModule,
    name: "lesson3",
    authors: ["The mmap_pool authors"],
    description: "Lesson 3: bounds",
    license: "GPL v2",
}

const NR_PAGES: usize = 256;

/// Changes the size. The argument is the number of pages.
const RESIZE: u32 = ioctl::_IO(b'L' as u32, 1);

/// The first `end` of them are those of the device.
struct Pages {
    end: usize,
    all: [Option<Page>; NR_PAGES],
}

kernel::sync::global_lock! {
    // SAFETY: `LessonModule::init` initialises it before the device exists.
    unsafe(uninit) static PAGES: Mutex<Pages> =
        Pages { end: NR_PAGES, all: [const { None }; NR_PAGES] };
}

const VM_OPS: bindings::vm_operations_struct = bindings::vm_operations_struct {
    fault: Some(fault),
    ..pin_init::zeroed()
};

/// # Safety
///
/// Called by the core for an area with [`VM_OPS`]. `vmf` is valid, and `mmap_lock` is held for read.
unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: The caller's promise. The lock keeps the area as it is during the call.
    let (vma, address, pgoff) = unsafe {
        let vmf = &(*vmf).__bindgen_anon_1;
        (VmaRef::from_raw(vmf.vma), vmf.address, vmf.pgoff)
    };
    match map_page(vma, address, pgoff) {
        // The handler has mapped the page itself. EBUSY: another thread was faster.
        Ok(()) | Err(EBUSY) => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        Err(ENOMEM) => bindings::vm_fault_reason_VM_FAULT_OOM,
        Err(_) => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
    }
}

/// Holds the lock until the page is mapped, so that `resize` finds the mapping.
fn map_page(vma: &VmaRef, address: usize, pgoff: usize) -> Result {
    let mut pages = PAGES.lock();
    let end = pages.end;
    let page = pages.all[..end].get_mut(pgoff).ok_or(ENXIO)?;
    if page.is_none() {
        *page = Some(Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?);
    }
    let page = page.as_ref().ok_or(ENOMEM)?;
    let area = vma.as_mixedmap_vma().ok_or(EINVAL)?;
    area.vm_insert_page(address, page)
}

fn resize(file: &File, nr_pages: usize) -> Result {
    let mut pages = PAGES.lock();
    let freed = pages.all.get_mut(nr_pages..).ok_or(EFBIG)?;
    freed.fill_with(|| None);
    pages.end = nr_pages;
    // SAFETY: The file is open, and its `f_mapping` has all areas of the device. 0: to the end.
    unsafe { bindings::unmap_mapping_pages((*file.as_ptr()).f_mapping, nr_pages, 0, true) };
    Ok(())
}

struct Lesson;

#[vtable]
impl MiscDevice for Lesson {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn mmap((): (), _file: &File, vma: &VmaNew) -> Result {
        if vma.flags() & flags::MAYSHARE == 0 {
            return Err(EINVAL);
        }
        // SAFETY: The area is being set up and not shared yet.
        let pgoff = unsafe { (*vma.as_ptr()).vm_pgoff };
        // The core checks this for regular files only.
        if pgoff > (i64::MAX as usize - (vma.end() - vma.start())) >> kernel::page::PAGE_SHIFT {
            return Err(EOVERFLOW);
        }
        vma.set_mixedmap();
        // SAFETY: The area is being set up and not shared yet. It has the flag that `fault` needs.
        unsafe { (*vma.as_ptr()).vm_ops = from_ref(&VM_OPS) };
        Ok(())
    }

    fn ioctl((): (), file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            RESIZE => resize(file, arg).map(|()| 0),
            _ => Err(ENOTTY),
        }
    }
}

#[pin_data(PinnedDrop)]
struct LessonModule {
    #[pin]
    device: MiscDeviceRegistration<Lesson>,
}

impl kernel::InPlaceModule for LessonModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: This runs once.
        unsafe { PAGES.init() };
        try_pin_init!(Self {
            device <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"lesson3" }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for LessonModule {
    fn drop(self: Pin<&mut Self>) {
        // Nothing is mapped any more: an open file keeps the module loaded.
        PAGES.lock().all = [const { None }; NR_PAGES];
    }
}
