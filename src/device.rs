// SPDX-License-Identifier: GPL-2.0

//! File operations and ioctls of pools, with their permission checks. A file is opened through
//! `/dev/mmap_pool`, or returned by `MMAP_POOL_CREATE`.

mod backed;

use crate::{
    fs::{
        chardev,
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
        is_admin,
        not_supported, //
    },
    mm::vm_ops::{
        self,
        FileObject, //
    },
    pool::{
        Pool,
        PoolVmOps,
        TOTALS, //
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
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::virt::{
        flags as vm_flags,
        VmaNew, //
    },
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::{
        BStr,
        CString, //
    },
    sync::aref::ARef,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

pub(crate) type Registration = chardev::Registration<PoolFile>;

/// Creates the device node, whose files are files of `pool`.
pub(crate) fn register(pool: ARef<Inode<Pool>>) -> impl PinInit<Registration, Error> {
    let options = MiscDeviceOptions { name: c"mmap_pool" };
    Registration::new(options, pool)
}

/// An open file of a pool.
pub(crate) struct PoolFile;

impl PoolFile {
    /// Returns the pool behind `file`.
    fn pool(file: &LocalFile) -> Result<&Inode<Pool>> {
        Inode::of_file(file).ok_or(ENODEV)
    }
}

impl InodeFile for PoolFile {
    type Data = Pool;

    fn seek(pool: &Inode<Pool>, offset: u64, is_hole: bool) -> Result<u64> {
        pool.seek(offset, is_hole)
    }

    fn fallocate(pool: &InodeGuard<'_, Pool>, mode: u32, offset: u64, len_bytes: u64) -> Result {
        let keeps_size = mode & falloc::KEEP_SIZE != 0;
        match mode & !falloc::KEEP_SIZE {
            0 => pool.fallocate(offset, len_bytes, keeps_size),
            falloc::PUNCH_HOLE => pool.punch_hole(offset, len_bytes),
            falloc::ZERO_RANGE => {
                pool.check_fallocate(offset, len_bytes)?;
                pool.punch_hole(offset, len_bytes)?;
                pool.fallocate(offset, len_bytes, keeps_size)
            }
            _ => Err(not_supported()),
        }
    }
}

#[vtable]
impl MiscDevice for PoolFile {
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
        vm_ops::install::<PoolVmOps>(vma)
    }

    #[inline]
    fn read_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let file = file::of_kiocb(&kiocb);
        let done = Self::pool(file)?.read(kiocb.ki_pos().try_into()?, iov)?;
        *kiocb.ki_pos_mut() += done as i64;
        file::accessed(file);
        Ok(done)
    }

    #[inline]
    fn write_iter(mut kiocb: Kiocb<'_, ()>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        file::write::<Self>(&mut kiocb, iov)
    }

    fn ioctl((): (), file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let pool = Self::pool(file)?;
        match cmd {
            uapi::INFO => answer(arg, &pool.info()),
            uapi::STAT => {
                check_node(pool)?;
                let mut stat = TOTALS.stat();
                pool.reserve().describe(&mut stat);
                answer(arg, &stat)
            }
            uapi::CREATE => {
                check_node(pool)?;
                let create: uapi::Create = argument(arg)?;
                check_writable(file)?;
                check_reserved(create.reserved == 0)?;
                if create.flags & uapi::CREATE_BACKED != 0 {
                    backed::create(pool.claims().ok_or(ENOTTY)?, &create)
                } else {
                    create_beside(pool, &create)
                }
            }
            uapi::RESIZE => {
                let resize: uapi::Resize = argument(arg)?;
                check_reserved(resize.reserved == 0)?;
                check_writable(file)?;
                check_may_disturb(pool)?;
                if pool.is_default() {
                    check_default_len(resize.size_bytes)?;
                }
                change(file, pool, file::notify_resized, |pool| {
                    resize_to(pool, resize.size_bytes)
                })
            }
            uapi::PUNCH => {
                let range: uapi::Range = argument(arg)?;
                check_writable(file)?;
                change(file, pool, file::notify_written, |pool| {
                    pool.punch_hole(range.offset_bytes, range.len_bytes)
                })
            }
            uapi::PREFAULT => {
                let range: uapi::Range = argument(arg)?;
                check_writable(file)?;
                pool.prefault(range.offset_bytes, range.len_bytes)?;
                Ok(0)
            }
            uapi::SEAL => {
                let seal: uapi::Seal = argument(arg)?;
                check_reserved(seal.reserved == 0)?;
                check_writable(file)?;
                check_may_disturb(pool)?;
                pool.lock()?.seal(seal.seals)?;
                Ok(0)
            }
            uapi::REVOKE => {
                check_may_disturb(pool)?;
                if !pool.is_owner_or_capable() {
                    return Err(EPERM);
                }
                pool.revoke_pool()?;
                Ok(0)
            }
            _ => Err(ENOTTY),
        }
    }

    fn show_fdinfo((): (), m: &SeqFile, file: &File) {
        let Ok(pool) = Self::pool(file) else {
            return;
        };
        let info = pool.info();
        // Bytes that are not printable are escaped.
        seq_print!(
            m,
            "pool-name:\t{}\n",
            BStr::from_bytes(pool.name().to_bytes())
        );
        seq_print!(m, "pool-size-bytes:\t{}\n", info.size_bytes);
        seq_print!(m, "pool-resident-pages:\t{}\n", info.nr_resident_pages);
        seq_print!(m, "pool-seals:\t{:#x}\n", info.seals);
        for (name, count) in pool.fault_counts() {
            seq_print!(m, "pool-{}:\t{}\n", name, count);
        }
    }
}

/// Creates a pool that shares the reserve of `node`, and returns a new descriptor for it.
fn create_beside(node: &Inode<Pool>, create: &uapi::Create) -> Result<isize> {
    check_reserved(create.flags == 0 && create.backing_fd == 0)?;
    let strategy = uapi::Strategy::from_number(create.strategy).ok_or(EINVAL)?;
    let path = path(create)?;
    let pool = Pool::created(create.name, strategy, node.reserve().clone());

    let fd = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
    let file = file::create::<PoolFile>(node.mount(), pool, &path)?;
    resize_to(&PoolFile::pool(&file)?.lock()?, create.size_bytes)?;
    let number = fd.reserved_fd();
    fd.fd_install(file);
    Ok(number as isize)
}

/// Returns the name of the pool's file in `/proc`.
fn path(create: &uapi::Create) -> Result<CString> {
    let name = CStr::from_bytes_until_nul(&create.name).map_err(|_| EINVAL)?;
    CString::try_from_fmt(fmt!("mmap_pool:{}", BStr::from_bytes(name.to_bytes())))
}

/// Refuses a shared mapping that is writable, and a later `mprotect()` to one.
fn deny_writes(vma: &VmaNew) -> Result {
    if vma.flags() & vm_flags::SHARED != 0 {
        vma.try_clear_maywrite().map_err(|_| EPERM)?;
    }
    Ok(())
}

/// Runs `what` on `pool`, as the system call does that the ioctl stands for: takes the inode's
/// lock, updates the times of the file, and calls `notify` for its watchers.
fn change<T: InodeData>(
    file: &LocalFile,
    pool: &Inode<T>,
    notify: impl FnOnce(&LocalFile),
    what: impl FnOnce(&InodeGuard<'_, T>) -> Result,
) -> Result<isize> {
    let guard = pool.lock()?;
    what(&guard)?;
    // The change is made. An error of a security module comes too late.
    let _ = file::written(file, &guard);
    drop(guard);
    notify(file);
    Ok(0)
}

/// Changes the size of `pool`, within the resource limits of the process.
fn resize_to(pool: &InodeGuard<'_, Pool>, len_bytes: u64) -> Result {
    pool.check_alive()?;
    pool.check_new_len(len_bytes)?;
    pool.resize(len_bytes)
}

/// Reads the argument of an ioctl.
fn argument<T: FromBytes + IntoBytes>(arg: usize) -> Result<T> {
    let mut value = T::new_zeroed();
    UserSlice::new(UserPtr::from_addr(arg), size_of::<T>())
        .reader()
        .read_slice(value.as_mut_bytes())?;
    Ok(value)
}

/// Writes the answer of an ioctl.
fn answer<T: IntoBytes + Immutable>(arg: usize, value: &T) -> Result<isize> {
    UserSlice::new(UserPtr::from_addr(arg), size_of::<T>())
        .writer()
        .write_slice(value.as_bytes())?;
    Ok(0)
}

fn check_reserved(is_zero: bool) -> Result {
    if is_zero {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Checks that `pool` is the default pool. Requests that concern all pools need a file of the node,
/// so a process that received a single pool cannot make them.
fn check_node(pool: &Inode<Pool>) -> Result {
    if pool.is_default() {
        Ok(())
    } else {
        Err(ENOTTY)
    }
}

fn check_writable(file: &File) -> Result {
    if file.is_writable() {
        Ok(())
    } else {
        Err(EBADF)
    }
}

/// Checks whether the running task may disturb other users of `pool`. The owner of a created pool
/// chose its users; the default pool needs `CAP_SYS_ADMIN`.
fn check_may_disturb(pool: &Inode<Pool>) -> Result {
    if !pool.is_default() || is_admin() {
        Ok(())
    } else {
        Err(EPERM)
    }
}

/// Checks a new size for the default pool: whole pages, up to the machine's memory.
fn check_default_len(len_bytes: u64) -> Result {
    if (PAGE_SIZE as u64..=Pool::max_default_len_bytes()).contains(&len_bytes)
        && len_bytes % PAGE_SIZE as u64 == 0
    {
        Ok(())
    } else {
        Err(EINVAL)
    }
}
