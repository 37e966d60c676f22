// SPDX-License-Identifier: GPL-2.0

//! Lesson 2: `mmap` maps nothing. The first touch of a page is a fault, and the handler maps the page.

use core::ptr::from_ref;
use kernel::{
    bindings,
    fs::File,
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
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*, //
};

module! {
    type: LessonModule,
    name: "lesson2",
    authors: ["The mmap_pool authors"],
    description: "Lesson 2: a page fault",
    license: "GPL v2",
}

const NR_PAGES: usize = 256;

kernel::sync::global_lock! {
    // SAFETY: `LessonModule::init` initialises it before the device exists.
    unsafe(uninit) static PAGES: Mutex<[Option<Page>; NR_PAGES]> = [const { None }; NR_PAGES];
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
    let (vma, address) = unsafe {
        let vmf = &(*vmf).__bindgen_anon_1;
        (VmaRef::from_raw(vmf.vma), vmf.address)
    };
    match map_page(vma, address) {
        // The handler has mapped the page itself. EBUSY: another thread was faster.
        Ok(()) | Err(EBUSY) => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        Err(ENOMEM) => bindings::vm_fault_reason_VM_FAULT_OOM,
        Err(_) => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
    }
}

fn map_page(vma: &VmaRef, address: usize) -> Result {
    let mut pages = PAGES.lock();
    let page = pages
        .get_mut((address - vma.start()) / PAGE_SIZE)
        .ok_or(EINVAL)?;
    if page.is_none() {
        *page = Some(Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?);
    }
    let page = page.as_ref().ok_or(ENOMEM)?;
    let area = vma.as_mixedmap_vma().ok_or(EINVAL)?;
    area.vm_insert_page(address, page)
}

struct Lesson;

#[vtable]
impl MiscDevice for Lesson {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn mmap((): (), _file: &File, vma: &VmaNew) -> Result {
        if vma.flags() & flags::MAYSHARE == 0 || vma.end() - vma.start() > NR_PAGES * PAGE_SIZE {
            return Err(EINVAL);
        }
        vma.set_mixedmap();
        // SAFETY: The area is being set up and not shared yet. It has the flag that `fault` needs.
        unsafe { (*vma.as_ptr()).vm_ops = from_ref(&VM_OPS) };
        Ok(())
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
            device <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"lesson2" }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for LessonModule {
    fn drop(self: Pin<&mut Self>) {
        // Nothing is mapped any more: an open file keeps the module loaded.
        *PAGES.lock() = [const { None }; NR_PAGES];
    }
}
