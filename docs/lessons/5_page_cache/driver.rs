// SPDX-License-Identifier: GPL-2.0

//! Lesson 5: the pages are folios in the page cache of an inode. `unsafe` is in the wrappers only.

#![deny(unsafe_code)]

#[path = "../shared.rs"]
mod shared;

use shared::*;

module! {
    type: LessonModule,
    name: "lesson5",
    authors: ["The mmap_pool authors"],
    description: "Lesson 5: the page cache",
    license: "GPL v2",
}

static FILE_SYSTEM_TYPE: FileSystemType<Memory> = FileSystemType::new(c"lesson5");

/// The driver's data in the inode: nothing. The pages are in its page cache.
struct Memory;

impl InodeData for Memory {
    const MAGIC: u32 = 0x4c65_7335;

    fn file_system_type() -> &'static FileSystemType<Self> {
        &FILE_SYSTEM_TYPE
    }

    fn resize(_memory: &InodeGuard<'_, Self>, _len_bytes: u64) -> Result {
        Err(EPERM)
    }

    fn check_write(memory: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<usize> {
        match memory.len_bytes().saturating_sub(pos) {
            0 => Err(ENOSPC),
            left => Ok(len.min(left as usize)),
        }
    }

    fn nr_blocks(memory: &Inode<Self>) -> u64 {
        (memory.page_cache().nr_pages() as u64) << (PAGE_SHIFT - 9)
    }
}

impl MemoryData for Memory {
    fn max_order(&self) -> u32 {
        0
    }

    fn write_begin(memory: &InodeGuard<'_, Self>, pos: u64, _len: usize) -> Result<LockedFolio> {
        memory.get_folio((pos >> PAGE_SHIFT) as usize)
    }

    fn pages_removed(_nr_pages: usize) {}
}

impl Inode<Memory> {
    /// Returns the folio that holds page `pgoff`, locked. Allocates it if there is none.
    fn get_folio(&self, pgoff: usize) -> Result<LockedFolio> {
        loop {
            if let Some(folio) = self.page_cache().lock_folio(pgoff) {
                return Ok(folio);
            }
            if pgoff as u64 >= self.len_bytes() >> PAGE_SHIFT {
                return Err(ENXIO);
            }
            let new = NewFolio::zeroed(self.page_cache().gfp_mask(), 0)?;
            match self.page_cache().add_folio(new, pgoff) {
                // Lost the race: use the folio that is there now.
                Err(EEXIST) => {}
                result => return result,
            }
        }
    }
}

struct LessonVmOps;

impl VmOperations for LessonVmOps {
    type Object = Inode<Memory>;

    const FAULT_AROUND: bool = true;

    fn fault(memory: &Inode<Memory>, vmf: &VmFault<'_>) -> Result<LockedFolio, FaultError> {
        Ok(memory.get_folio(vmf.pgoff())?)
    }

    fn set_policy(_: &Inode<Memory>, _pages: Range<usize>, _policy: Option<MemPolicy>) -> Result {
        Ok(())
    }
}

struct Lesson;

impl InodeFile for Lesson {
    type Data = Memory;

    fn seek(_memory: &Inode<Memory>, _offset: u64, _is_hole: bool) -> Result<u64> {
        Err(EINVAL)
    }

    fn fallocate(_: &InodeGuard<'_, Memory>, _mode: u32, _offset: u64, _len: u64) -> Result {
        Err(EPERM)
    }
}

#[vtable]
impl MiscDevice for Lesson {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn mmap((): (), _file: &File, vma: &VmaNew) -> Result {
        vm_ops::install::<LessonVmOps>(vma)
    }

    fn read_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        shared::read::<Memory>(&mut kiocb, iov)
    }

    fn write_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        fs::file::write::<Self>(&mut kiocb, iov)
    }
}

/// Fields are dropped in order: the node is gone before the mount.
#[pin_data]
struct LessonModule {
    #[pin]
    device: Registration<Lesson>,
    mount: InternalMount<Memory>,
}

impl kernel::InPlaceModule for LessonModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            mount: InternalMount::new()?,
            device <- {
                let memory = Inode::new(mount, Ok::<_, Error>(Memory))?;
                memory.lock()?.set_len(1 << 20)?;
                Registration::new(MiscDeviceOptions { name: c"lesson5" }, memory)
            },
        })
    }
}
