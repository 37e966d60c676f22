// SPDX-License-Identifier: GPL-2.0

//! Lesson 6: files that become larger and smaller while they are mapped. A fault and a truncation
//! agree by two locks.

#![deny(unsafe_code)]

#[path = "../shared.rs"]
mod shared;

use shared::*;

module! {
    type: LessonModule,
    name: "lesson6",
    authors: ["The mmap_pool authors"],
    description: "Lesson 6: truncation",
    license: "GPL v2",
}

/// Makes a new file, which is empty, and returns a descriptor of it.
const CREATE: u32 = ioctl::_IO(b'L' as u32, 3);

static FILE_SYSTEM_TYPE: FileSystemType<Memory> = FileSystemType::new(c"lesson6");

/// The driver's data in the inode: nothing. The pages are in its page cache.
struct Memory;

impl InodeData for Memory {
    /// That of the pools, so that `mmap-conformance` knows it as memory.
    const MAGIC: u32 = 0x4d50_6f6c;

    fn file_system_type() -> &'static FileSystemType<Self> {
        &FILE_SYSTEM_TYPE
    }

    fn resize(memory: &InodeGuard<'_, Self>, len_bytes: u64) -> Result {
        memory.check_new_len(len_bytes)?;
        // Takes the invalidate lock, sets the size, unmaps the pages past it, and removes each
        // folio under its lock.
        memory.set_len(len_bytes)
    }

    fn check_write(_memory: &InodeGuard<'_, Self>, _pos: u64, len: usize) -> Result<usize> {
        Ok(len)
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
        // The file may grow. The inode's lock keeps others from changing the size.
        memory.get_folio((pos >> PAGE_SHIFT) as usize, || usize::MAX)
    }

    fn pages_removed(_nr_pages: usize) {}
}

impl Inode<Memory> {
    /// Returns the end of the file, in pages.
    fn end(&self) -> usize {
        self.len_bytes().div_ceil(PAGE_SIZE as u64) as usize
    }

    /// Returns the folio that holds page `pgoff`, locked, if the page is before `end()`. Allocates it
    /// if there is none.
    fn get_folio(&self, pgoff: usize, end: impl Fn() -> usize) -> Result<LockedFolio> {
        loop {
            if let Some(folio) = self.page_cache().lock_folio(pgoff) {
                // A truncation sets the size first. It waits for the folio's lock to remove it.
                return if pgoff < end() { Ok(folio) } else { Err(ENXIO) };
            }
            let new = NewFolio::zeroed(self.page_cache().gfp_mask(), 0)?;
            // No truncation between the check and the new folio.
            let _guard = self.page_cache().invalidate_lock_shared();
            if pgoff >= end() {
                return Err(ENXIO);
            }
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
        Ok(memory.get_folio(vmf.pgoff(), || memory.end())?)
    }

    fn set_policy(_: &Inode<Memory>, _pages: Range<usize>, _policy: Option<MemPolicy>) -> Result {
        Ok(())
    }
}

struct Lesson;

impl InodeFile for Lesson {
    type Data = Memory;

    fn seek(memory: &Inode<Memory>, offset: u64, is_hole: bool) -> Result<u64> {
        shared::seek(memory, offset, is_hole)
    }

    fn fallocate(memory: &InodeGuard<'_, Memory>, mode: u32, offset: u64, len: u64) -> Result {
        if mode != PUNCH_HOLE | KEEP_SIZE {
            return Err(Error::from_errno(-(bindings::EOPNOTSUPP as i32)));
        }
        memory.punch(offset, len)
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

    fn ioctl((): (), file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        if cmd != CREATE {
            return Err(ENOTTY);
        }
        let node = Inode::<Memory>::of_file(file).ok_or(ENODEV)?;
        let memory = Ok::<_, Error>(Memory);
        shared::descriptor_of(fs::file::create::<Self>(node.mount(), memory, c"lesson6")?)
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
                Registration::new(MiscDeviceOptions { name: c"lesson6" }, memory)
            },
        })
    }
}
