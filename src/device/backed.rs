// SPDX-License-Identifier: GPL-2.0

//! File operations and ioctls of backed pools.

use super::{
    answer,
    argument,
    change,
    check_reserved,
    check_writable,
    deny_writes,
    path, //
};
use crate::{
    backed::{
        BackedPool,
        BackedPoolVmOps, //
    },
    fs::{
        backed,
        backing::{
            Backing,
            Claims, //
        },
        falloc,
        file::{
            self,
            FileExt,
            InodeFile, //
        },
        inode::{
            Inode,
            InodeData,
            InodeGuard, //
        },
        not_supported, //
    },
    mm::vm_ops::{
        self,
        FileObject, //
    },
    uapi, //
};
use kernel::{
    fs::{
        file::{
            flags,
            FileDescriptorReservation, //
        },
        File,
        Kiocb,
        LocalFile, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::BStr,
    sync::Arc,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// An open file of a backed pool.
pub(super) struct BackedFile;

impl BackedFile {
    /// Returns the pool behind `file`.
    fn pool(file: &LocalFile) -> Result<&Inode<BackedPool>> {
        Inode::of_file(file).ok_or(ENODEV)
    }
}

impl InodeFile for BackedFile {
    type Data = BackedPool;

    fn seek(pool: &Inode<BackedPool>, offset: u64, is_hole: bool) -> Result<u64> {
        pool.check_alive()?;
        pool.seek_backing(offset, is_hole)
    }

    fn fallocate(
        pool: &InodeGuard<'_, BackedPool>,
        mode: u32,
        offset: u64,
        len_bytes: u64,
    ) -> Result {
        let end = offset.checked_add(len_bytes).ok_or(EFBIG)?;
        match mode & !falloc::KEEP_SIZE {
            0 => {
                pool.check_storage(end)?;
                pool.backing().allocate(offset, len_bytes)
            }
            falloc::PUNCH_HOLE => pool.punch_hole(offset, len_bytes),
            falloc::ZERO_RANGE => {
                pool.check_storage(end)?;
                pool.zero(offset, end, false)
            }
            _ => Err(not_supported()),
        }
    }
}

#[vtable]
impl MiscDevice for BackedFile {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn mmap((): (), file: &File, vma: &VmaNew) -> Result {
        let pool = Self::pool(file)?;
        pool.check_alive()?;
        if pool.is_write_sealed() {
            deny_writes(vma)?;
        }
        file::accessed(file);
        vm_ops::install_backed::<BackedPoolVmOps>(vma)
    }

    fn read_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        Self::pool(file::of_kiocb(&kiocb))?.check_alive()?;
        file::read_backed(&mut kiocb, iov)
    }

    fn write_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        file::write_backed::<Self>(&mut kiocb, iov)
    }

    fn ioctl((): (), file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let pool = Self::pool(file)?;
        match cmd {
            uapi::INFO => answer(arg, &pool.info()),
            uapi::BACKING => answer(arg, &pool.describe_backing()),
            uapi::RESIZE => {
                let resize: uapi::Resize = argument(arg)?;
                check_reserved(resize.reserved == 0)?;
                check_writable(file)?;
                BackedPool::resize(&pool.lock()?, resize.size_bytes)?;
                Ok(0)
            }
            uapi::PUNCH => {
                let range: uapi::Range = argument(arg)?;
                check_writable(file)?;
                change(file, pool, file::notify_written, |pool| {
                    pool.punch_hole(range.offset_bytes, range.len_bytes)
                })
            }
            uapi::SEAL => {
                let seal: uapi::Seal = argument(arg)?;
                check_reserved(seal.reserved == 0)?;
                check_writable(file)?;
                pool.lock()?.seal(seal.seals)?;
                Ok(0)
            }
            uapi::REVOKE => {
                if !pool.is_owner_or_capable() {
                    return Err(EPERM);
                }
                pool.revoke_pool()?;
                Ok(0)
            }
            uapi::DIRTY => {
                let dirty: uapi::Dirty = argument(arg)?;
                check_reserved(dirty.reserved == 0)?;
                if !file.is_readable() {
                    return Err(EBADF);
                }
                let mut address = dirty.words_address.try_into()?;
                pool.take_written(dirty.offset_bytes, dirty.len_bytes, |word| {
                    UserSlice::new(UserPtr::from_addr(address), size_of::<u64>())
                        .writer()
                        .write(&word)?;
                    address = address.wrapping_add(size_of::<u64>());
                    Ok(())
                })?;
                Ok(0)
            }
            _ => Err(ENOTTY),
        }
    }

    fn show_fdinfo((): (), m: &SeqFile, file: &File) {
        let Ok(pool) = Self::pool(file) else {
            return;
        };
        let (info, backing) = (pool.info(), pool.describe_backing());
        // Bytes that are not printable are escaped.
        seq_print!(
            m,
            "pool-name:\t{}\n",
            BStr::from_bytes(pool.name().to_bytes())
        );
        seq_print!(m, "pool-size-bytes:\t{}\n", info.size_bytes);
        seq_print!(m, "pool-resident-pages:\t{}\n", info.nr_resident_pages);
        seq_print!(m, "pool-dirty-pages:\t{}\n", backing.nr_dirty_pages);
        seq_print!(m, "pool-writeback-pages:\t{}\n", backing.nr_writeback_pages);
        seq_print!(m, "pool-errors:\t{}\n", backing.nr_errors);
        seq_print!(m, "pool-seals:\t{:#x}\n", info.seals);
    }
}

/// Creates a backed pool, and returns a new descriptor for it.
pub(super) fn create(claims: &Arc<Claims>, create: &uapi::Create) -> Result<isize> {
    const ALL: u32 = uapi::CREATE_BACKED
        | uapi::CREATE_PREALLOCATE
        | uapi::CREATE_TRACK
        | uapi::CREATE_READ_ONLY;

    let has = |flag| create.flags & flag != 0;
    check_reserved(create.flags & !ALL == 0 && create.size_bytes == 0 && create.strategy == 0)?;
    check_reserved(!has(uapi::CREATE_READ_ONLY) || !has(uapi::CREATE_PREALLOCATE))?;
    let path = path(create)?;

    let backing = {
        let file = LocalFile::fget(create.backing_fd)?;
        Backing::open(claims, &file, !has(uapi::CREATE_READ_ONLY))?
    };
    if has(uapi::CREATE_PREALLOCATE) {
        backing.allocate(0, backing.len_bytes())?;
    }
    let pool = BackedPool::new(&backing, create.name, has(uapi::CREATE_TRACK))?;
    let fd = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
    let file = backed::create::<BackedFile>(backing, pool, &path)?;
    let number = fd.reserved_fd();
    fd.fd_install(file);
    Ok(number as isize)
}
