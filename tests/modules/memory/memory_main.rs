// SPDX-License-Identifier: GPL-2.0

//! `/dev/memory`: a device of one MiB that can be mapped, read and written. It is the smallest driver
//! on these wrappers. Copy it, together with `mm`, `fs` and `helpers`, to begin your own.

#![deny(unsafe_code)]

// Most of the wrappers are for larger drivers.
#[allow(dead_code)]
mod fs;
#[allow(dead_code)]
mod helpers;
#[allow(dead_code)]
mod mm;

use core::ops::Range;
use fs::{
    chardev::Registration,
    file::{
        self,
        InodeFile, //
    },
    inode::{
        Inode,
        InodeData,
        InodeGuard,
        MemoryData, //
    },
    pseudo::{
        FileSystemType,
        InternalMount, //
    },
};
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::virt::VmaNew,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};
use mm::{
    folio::{
        copy_zeroes_to_iter,
        LockedFolio,
        NewFolio, //
    },
    policy::MemPolicy,
    vm_ops::{
        self,
        FaultError,
        FileObject,
        VmFault,
        VmOperations, //
    },
};

module! {
    type: MemoryModule,
    name: "memory",
    authors: ["The mmap_pool authors"],
    description: "The smallest driver whose memory can be mapped",
    license: "GPL v2",
}

const LEN_BYTES: u64 = 1 << 20;

static FILE_SYSTEM_TYPE: FileSystemType<Memory> = FileSystemType::new(c"memory");

/// The data of the inode: nothing. The pages are in its page cache.
struct Memory;

impl InodeData for Memory {
    const MAGIC: u32 = 0x6d65_6d6f;

    fn file_system_type() -> &'static FileSystemType<Self> {
        &FILE_SYSTEM_TYPE
    }

    fn resize(_inode: &InodeGuard<'_, Self>, _len_bytes: u64) -> Result {
        Err(EPERM)
    }

    fn check_write(inode: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<usize> {
        match inode.len_bytes().saturating_sub(pos) {
            0 => Err(ENOSPC),
            left => Ok(len.min(left as usize)),
        }
    }

    fn nr_blocks(inode: &Inode<Self>) -> u64 {
        (inode.page_cache().nr_pages() as u64) << (PAGE_SHIFT - 9)
    }
}

impl MemoryData for Memory {
    fn max_order(&self) -> u32 {
        0
    }

    fn write_begin(inode: &InodeGuard<'_, Self>, pos: u64, _len: usize) -> Result<LockedFolio> {
        inode.get_folio((pos >> PAGE_SHIFT) as usize)
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
                Err(error) if error == EEXIST => {}
                result => return result,
            }
        }
    }
}

struct MemoryVmOps;

impl VmOperations for MemoryVmOps {
    type Object = Inode<Memory>;

    const FAULT_AROUND: bool = true;

    fn fault(memory: &Inode<Memory>, vmf: &VmFault<'_>) -> Result<LockedFolio, FaultError> {
        Ok(memory.get_folio(vmf.pgoff())?)
    }

    fn set_policy(_: &Inode<Memory>, _pages: Range<usize>, _policy: Option<MemPolicy>) -> Result {
        Ok(())
    }
}

struct MemoryFile;

impl InodeFile for MemoryFile {
    type Data = Memory;

    fn seek(_memory: &Inode<Memory>, _offset: u64, _is_hole: bool) -> Result<u64> {
        Err(EINVAL)
    }

    fn fallocate(_: &InodeGuard<'_, Memory>, _mode: u32, _offset: u64, _len: u64) -> Result {
        Err(EPERM)
    }
}

#[vtable]
impl MiscDevice for MemoryFile {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn mmap((): (), _file: &File, vma: &VmaNew) -> Result {
        vm_ops::install::<MemoryVmOps>(vma)
    }

    fn read_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let memory = Inode::<Memory>::of_file(file::of_kiocb(&kiocb)).ok_or(ENODEV)?;
        let start: u64 = kiocb.ki_pos().try_into()?;
        let mut pos = start;
        while !iov.is_empty() && pos < memory.len_bytes() {
            let left = PAGE_SIZE - pos as usize % PAGE_SIZE;
            let copied = match memory.page_cache().folio((pos >> PAGE_SHIFT) as usize) {
                Some(folio) => folio.part(pos, left)?.copy_to_iter(iov),
                None => copy_zeroes_to_iter(left, iov),
            };
            match copied {
                0 if pos == start => return Err(EFAULT),
                0 => break,
                _ => pos += copied as u64,
            }
        }
        *kiocb.ki_pos_mut() = pos.try_into()?;
        Ok((pos - start) as usize)
    }

    fn write_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        file::write::<Self>(&mut kiocb, iov)
    }
}

/// Fields are dropped in order: the node is gone before the mount.
#[pin_data]
struct MemoryModule {
    #[pin]
    device: Registration<MemoryFile>,
    mount: InternalMount<Memory>,
}

impl kernel::InPlaceModule for MemoryModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            mount: InternalMount::new()?,
            device <- {
                let memory = Inode::new(mount, Ok::<_, Error>(Memory))?;
                memory.lock()?.set_len(LEN_BYTES)?;
                Registration::new(MiscDeviceOptions { name: c"memory" }, memory)
            },
        })
    }
}
