// SPDX-License-Identifier: GPL-2.0

//! What the drivers of lessons 5 to 8 share: the wrappers, the names that they use, and what has
//! nothing to do with `mmap`.

#![allow(unused_imports, dead_code)]

// The wrappers. Most of them are for larger drivers.
#[path = "../../src"]
mod mmap_pool {
    pub(crate) mod fs;
    pub(crate) mod helpers;
    pub(crate) mod mm;
}

pub(crate) use core::ops::Range;
pub(crate) use kernel::{
    bindings,
    fs::{
        file::{
            flags,
            FileDescriptorReservation, //
        },
        File,
        Kiocb,
        LocalFile, //
    },
    ioctl,
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
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    }, //
};
pub(crate) use mmap_pool::{
    fs::{
        self,
        backed::BackedData,
        backing::{
            Backing,
            Claims, //
        },
        chardev::Registration,
        file::InodeFile,
        inode::{
            Inode,
            InodeData,
            InodeGuard,
            MemoryData, //
        },
        pseudo::{
            FileSystemType,
            InternalMount, //
        }, //
    },
    helpers,
    mm::{
        self,
        fatal_signal_pending,
        folio::{
            copy_zeroes_to_iter,
            pmd_order,
            LockedFolio,
            NewFolio, //
        },
        policy::MemPolicy,
        vm_ops::{
            self,
            BackedVmOperations,
            FaultError,
            FileObject,
            VmFault,
            VmOperations, //
        }, //
    }, //
};

/// Modes of `fallocate`.
pub(crate) const KEEP_SIZE: u32 = 0x01;
pub(crate) const PUNCH_HOLE: u32 = 0x02;

/// `read(2)`: copies from the folios that mappings show. A page that is not there is zeros.
pub(crate) fn read<T: MemoryData>(
    kiocb: &mut Kiocb<'_, ()>,
    iov: &mut IovIterDest<'_>,
) -> Result<usize> {
    let memory = Inode::<T>::of_file(fs::file::of_kiocb(kiocb)).ok_or(ENODEV)?;
    let start: u64 = kiocb.ki_pos().try_into()?;
    let mut pos = start;
    let len_bytes = memory.len_bytes();
    while !iov.is_empty() && pos < len_bytes {
        let left = (len_bytes - pos) as usize;
        let copied = match memory.page_cache().folio((pos >> PAGE_SHIFT) as usize) {
            Some(folio) => folio.part(pos, left)?.copy_to_iter(iov),
            None => copy_zeroes_to_iter(left.min(PAGE_SIZE - pos as usize % PAGE_SIZE), iov),
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

/// `SEEK_DATA` and `SEEK_HOLE`: the first page from `offset` on that is there, or that is not.
pub(crate) fn seek<T: MemoryData>(memory: &Inode<T>, offset: u64, is_hole: bool) -> Result<u64> {
    let len_bytes = memory.len_bytes();
    if offset >= len_bytes {
        return Err(ENXIO);
    }
    let start = (offset >> PAGE_SHIFT) as usize;
    let end = len_bytes.div_ceil(PAGE_SIZE as u64) as usize;
    let next = |pgoff, end| memory.page_cache().next_page(pgoff, end);
    let found = if is_hole {
        (start..end).find(|&pgoff| next(pgoff, pgoff + 1).is_none())
    } else {
        Some(next(start, end).ok_or(ENXIO)?)
    };
    Ok(((found.unwrap_or(end) as u64) << PAGE_SHIFT).clamp(offset, len_bytes))
}

/// Returns a new descriptor of `file`.
pub(crate) fn descriptor_of(file: ARef<File>) -> Result<isize> {
    let fd = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
    let number = fd.reserved_fd();
    fd.fd_install(file);
    Ok(number as isize)
}
