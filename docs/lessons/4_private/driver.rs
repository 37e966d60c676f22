// SPDX-License-Identifier: GPL-2.0

//! Lesson 4: private mappings. The handler returns the page, and the core maps it or copies it.

// Most of the functions are for the wrappers.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/helpers.rs"]
mod helpers;

use core::{
    ptr::from_ref,
    sync::atomic::{
        AtomicUsize,
        Ordering::Relaxed, //
    }, //
};
use kernel::{
    bindings,
    fs::File,
    ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::virt::VmaNew,
    page::{
        Page,
        PAGE_SHIFT, //
    },
    prelude::*, //
};

module! {
    type: LessonModule,
    name: "lesson4",
    authors: ["The mmap_pool authors"],
    description: "Lesson 4: private mappings",
    license: "GPL v2",
}

const NR_PAGES: usize = 256;

/// Returns how often the handler has run.
const COUNT: u32 = ioctl::_IO(b'L' as u32, 2);
static NR_FAULTS: AtomicUsize = AtomicUsize::new(0);

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
    NR_FAULTS.fetch_add(1, Relaxed);
    // SAFETY: The caller's promise. The core does not change the field while a handler runs.
    let pgoff = unsafe { (*vmf).__bindgen_anon_1.pgoff };
    match get_page(pgoff) {
        Ok(page) => {
            // SAFETY: The caller's promise. The reference goes to the core with the page.
            unsafe { (*vmf).page = page };
            0
        }
        Err(ENOMEM) => bindings::vm_fault_reason_VM_FAULT_OOM,
        Err(_) => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
    }
}

/// Returns page `pgoff`, with a reference for the caller.
fn get_page(pgoff: usize) -> Result<*mut bindings::page> {
    let mut pages = PAGES.lock();
    let page = pages.get_mut(pgoff).ok_or(ENXIO)?;
    if page.is_none() {
        *page = Some(Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?);
    }
    let page = page.as_ref().ok_or(ENOMEM)?.as_ptr();
    // SAFETY: The array has a reference to the page, and the lock keeps it there. A single page is a
    // folio.
    unsafe { helpers::mmap_pool_folio_get(page.cast()) };
    Ok(page)
}

struct Lesson;

#[vtable]
impl MiscDevice for Lesson {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn mmap((): (), _file: &File, vma: &VmaNew) -> Result {
        // SAFETY: The area is being set up and not shared yet.
        let pgoff = unsafe { (*vma.as_ptr()).vm_pgoff };
        // The core checks this for regular files only.
        if pgoff > (i64::MAX as usize - (vma.end() - vma.start())) >> PAGE_SHIFT {
            return Err(EOVERFLOW);
        }
        // SAFETY: As above. `fault` needs nothing of an area.
        unsafe { (*vma.as_ptr()).vm_ops = from_ref(&VM_OPS) };
        Ok(())
    }

    fn ioctl((): (), _file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        match cmd {
            COUNT => Ok(NR_FAULTS.load(Relaxed) as isize),
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
            device <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"lesson4" }),
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
