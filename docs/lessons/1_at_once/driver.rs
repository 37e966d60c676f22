// SPDX-License-Identifier: GPL-2.0

//! Lesson 1: a device of 256 pages. `mmap` maps all of them at once.

use kernel::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::virt::{
        flags,
        VmaNew, //
    },
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*, //
};

module! {
    type: LessonModule,
    name: "lesson1",
    authors: ["The mmap_pool authors"],
    description: "Lesson 1: all pages at once",
    license: "GPL v2",
}

const NR_PAGES: usize = 256;

kernel::sync::global_lock! {
    // SAFETY: `LessonModule::init` initialises it before the device exists.
    unsafe(uninit) static PAGES: Mutex<KVec<Page>> = KVec::new();
}

struct Lesson;

#[vtable]
impl MiscDevice for Lesson {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn mmap((): (), _file: &File, vma: &VmaNew) -> Result {
        let nr_pages = (vma.end() - vma.start()) / PAGE_SIZE;
        if vma.flags() & flags::MAYSHARE == 0 || nr_pages > NR_PAGES {
            return Err(EINVAL);
        }
        // The area has ordinary pages that the driver inserts.
        let area = vma.set_mixedmap();
        let mut pages = PAGES.lock();
        for i in 0..nr_pages {
            if i == pages.len() {
                pages.push(Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?, GFP_KERNEL)?;
            }
            // The page-table entry gets a reference to the page of its own.
            area.vm_insert_page(vma.start() + i * PAGE_SIZE, &pages[i])?;
        }
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
            device <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"lesson1" }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for LessonModule {
    fn drop(self: Pin<&mut Self>) {
        // An open file keeps the module loaded, so nothing is mapped any more. A static is never
        // dropped: free its pages here.
        *PAGES.lock() = KVec::new();
    }
}
