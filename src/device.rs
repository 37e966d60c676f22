// SPDX-License-Identifier: GPL-2.0

//! The device node `/dev/mmap_pool`: file operations and ioctls on the default pool.

#![forbid(unsafe_code)]

use crate::{
    fs::{
        chardev::{self, InodeDevice},
        pseudo::Inode,
    },
    mm::{
        folio::LockedFolio,
        vm_ops::{self, FaultError, FileObject, VmFault, VmOperations},
    },
    pool::Pool,
    uapi,
};
use kernel::{
    fs::{File, Kiocb},
    iov::{IovIterDest, IovIterSource},
    miscdevice::{MiscDevice, MiscDeviceOptions, MiscDeviceRegistration},
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::aref::ARef,
    uaccess::{UserPtr, UserSlice},
};

pub(crate) type Registration = chardev::Registration<PoolFile>;

/// Creates the device node, which opens `pool`.
pub(crate) fn register(pool: ARef<Inode<Pool>>) -> impl PinInit<Registration, Error> {
    let options = MiscDeviceOptions { name: c"mmap_pool" };
    Registration::new(options, pool)
}

/// An open file of the device.
pub(crate) struct PoolFile {
    pool: ARef<Inode<Pool>>,
}

impl InodeDevice for PoolFile {
    type Data = Pool;
}

#[vtable]
impl MiscDevice for PoolFile {
    type Ptr = KBox<Self>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let pool = Inode::of_file(file).ok_or(ENODEV)?.into();
        Ok(KBox::new(Self { pool }, GFP_KERNEL)?)
    }

    fn mmap(_this: &Self, _file: &File, vma: &VmaNew) -> Result {
        vm_ops::install::<PoolVmOps>(vma)
    }

    fn read_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let done = kiocb.file().pool.read(kiocb.ki_pos().try_into()?, iov)?;
        *kiocb.ki_pos_mut() += done as i64;
        Ok(done)
    }

    fn write_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let done = kiocb.file().pool.write(kiocb.ki_pos().try_into()?, iov)?;
        *kiocb.ki_pos_mut() += done as i64;
        Ok(done)
    }

    fn ioctl(this: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            uapi::INFO => {
                let info = this.pool.info();
                UserSlice::new(UserPtr::from_addr(arg), size_of_val(&info))
                    .writer()
                    .write_slice(info.as_bytes())?;
                Ok(0)
            }
            _ => Err(ENOTTY),
        }
    }

    fn show_fdinfo(this: &Self, m: &SeqFile, _file: &File) {
        let info = this.pool.info();
        seq_print!(m, "pool-size-bytes:\t{}\n", info.size_bytes);
        seq_print!(m, "pool-resident-pages:\t{}\n", info.nr_resident_pages);
    }
}

/// The page faults of a mapped pool.
struct PoolVmOps;

impl VmOperations for PoolVmOps {
    type Object = Inode<Pool>;

    const FAULT_AROUND: bool = true;

    fn fault(pool: &Inode<Pool>, vmf: &VmFault<'_>) -> Result<LockedFolio, FaultError> {
        Ok(pool.fault(vmf.pgoff())?)
    }
}
