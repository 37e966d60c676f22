// SPDX-License-Identifier: GPL-2.0

//! Lesson 8: a page cache in front of a disk. Pages are read in when they are touched, become dirty when
//! they are written, and are written back later, or by `msync`.

#![deny(unsafe_code)]

#[path = "../shared.rs"]
mod shared;

use shared::*;

module! {
    type: LessonModule,
    name: "lesson8",
    authors: ["The mmap_pool authors"],
    description: "Lesson 8: a backing file",
    license: "GPL v2",
}

/// Returns a descriptor of a new file. The argument is a descriptor of the disk, or of a file on a disk,
/// that it is a cache of.
const BACK: u32 = ioctl::_IO(b'L' as u32, 4);

static FILE_SYSTEM_TYPE: FileSystemType<Cache> = FileSystemType::new_backed(c"lesson8");

/// The driver's data in the inode of a file: nothing.
struct Cache;

impl InodeData for Cache {
    const MAGIC: u32 = 0x4c65_7338;

    fn file_system_type() -> &'static FileSystemType<Self> {
        &FILE_SYSTEM_TYPE
    }

    /// The size is that of the disk.
    fn resize(_cache: &InodeGuard<'_, Self>, _len_bytes: u64) -> Result {
        Err(EPERM)
    }

    fn check_write(cache: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<usize> {
        match cache.len_bytes().saturating_sub(pos) {
            0 => Err(ENOSPC),
            left => Ok(len.min(left as usize)),
        }
    }

    fn nr_blocks(cache: &Inode<Self>) -> u64 {
        cache.backing().nr_blocks()
    }
}

impl BackedData for Cache {
    fn has_single_pages(&self) -> bool {
        false
    }

    /// This driver takes nothing away.
    fn check_alive(_cache: &Inode<Self>) -> Result {
        Ok(())
    }

    fn dirtied(_cache: &Inode<Self>, _pages: Range<usize>) {}
}

struct LessonVmOps;

/// The kernel's own `filemap_fault()` reads a missing page in.
impl BackedVmOperations for LessonVmOps {
    type Object = Inode<Cache>;

    /// Before the first store to a clean page. The wrapper has marked the folio as dirty.
    fn page_mkwrite(_cache: &Inode<Cache>) -> Result<(), FaultError> {
        Ok(())
    }
}

/// A file of a cache.
struct CacheFile;

impl InodeFile for CacheFile {
    type Data = Cache;

    fn seek(cache: &Inode<Cache>, offset: u64, is_hole: bool) -> Result<u64> {
        cache.seek_backing(offset, is_hole)
    }

    fn fallocate(_: &InodeGuard<'_, Cache>, _mode: u32, _offset: u64, _len: u64) -> Result {
        Err(Error::from_errno(-(bindings::EOPNOTSUPP as i32)))
    }
}

#[vtable]
impl MiscDevice for CacheFile {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn mmap((): (), _file: &File, vma: &VmaNew) -> Result {
        vm_ops::install_backed::<LessonVmOps>(vma)
    }

    fn read_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        fs::file::read_backed(&mut kiocb, iov)
    }

    fn write_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        fs::file::write_backed::<Self>(&mut kiocb, iov)
    }
}

/// The node. It only makes files.
struct Lesson;

#[vtable]
impl MiscDevice for Lesson {
    /// The files that this open of the node has backed. A disk is claimed by the kernel.
    type Ptr = Arc<Claims>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Claims>> {
        Claims::new()
    }

    fn ioctl(claims: ArcBorrow<'_, Claims>, _: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != BACK {
            return Err(ENOTTY);
        }
        let backing = Backing::open(&claims.into(), &*LocalFile::fget(arg.try_into()?)?, true)?;
        let cache = Ok::<_, Error>(Cache);
        shared::descriptor_of(fs::backed::create::<CacheFile>(backing, cache, c"lesson8")?)
    }
}

#[pin_data]
struct LessonModule {
    #[pin]
    device: MiscDeviceRegistration<Lesson>,
}

impl kernel::InPlaceModule for LessonModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            device <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"lesson8" }),
        })
    }
}
