// SPDX-License-Identifier: GPL-2.0

//! Files of an inode: those opened through a device node, and those of the inode itself. Both have
//! nearly the same table of operations.
//!
//! [`kernel::miscdevice`] makes most of the table. This module adds the rest.
//!
//! C header: `struct file_operations`, `include/linux/fs.h`.

use super::{
    address_space::perform_write,
    backed::{
        self,
        BackedData, //
    },
    inode::{
        Inode,
        InodeData,
        InodeGuard,
        MemoryData, //
    },
    pseudo::Mount,
    this_module, //
};
use crate::{
    helpers,
    mm::vm_ops::FileObject, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::{
        c_int,
        c_long, //
    },
    fs::{
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
        MiscDeviceOptions, //
    },
    prelude::*,
    sync::aref::ARef,
    types::ForeignOwnable, //
};

/// The operations on the files of an `Inode<Data>`, beyond those of [`MiscDevice`].
///
/// [`Inode::of_file`] finds the inode of a file in all operations. So a file has no private data.
///
/// [`Inode::of_file`]: FileObject::of_file
pub(crate) trait InodeFile: MiscDevice<Ptr = ()> {
    /// The data of the inode.
    type Data: InodeData;

    /// Returns the first byte of data at or after byte `offset`, or with `is_hole`, of a hole.
    ///
    /// C: `SEEK_DATA` and `SEEK_HOLE` of `file_operations::llseek`.
    fn seek(inode: &Inode<Self::Data>, offset: u64, is_hole: bool) -> Result<u64>;

    /// Allocates or frees `len_bytes` bytes from byte `offset`. `mode` is that of `fallocate(2)`.
    ///
    /// C: `file_operations::fallocate`.
    fn fallocate(
        inode: &InodeGuard<'_, Self::Data>,
        mode: u32,
        offset: u64,
        len_bytes: u64,
    ) -> Result;
}

/// The two `struct file_operations` of an [`InodeFile`], which differ in `open` and `release`.
pub(super) struct FileOperations<T>(PhantomData<T>);

impl<T: InodeFile> FileOperations<T> {
    /// The operations that [`MiscDevice`] provides for `T`.
    pub(super) const MISC: &'static bindings::file_operations = {
        let misc = MiscDeviceOptions { name: c"" }.into_raw::<T>();
        // SAFETY: `into_raw()` sets `fops` to a static table.
        unsafe { &*misc.fops }
    };

    /// The common part of both tables.
    pub(super) const COMMON: bindings::file_operations = bindings::file_operations {
        // An open file keeps the module loaded.
        owner: this_module(),
        llseek: Some(Self::llseek),
        fsync: Some(bindings::noop_fsync),
        // Aligns mappings to huge pages. `mremap()` of several VMAs at once also requires this very
        // function (`vma_multi_allowed()`, `mm/mremap.c`).
        #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
        get_unmapped_area: Some(bindings::thp_get_unmapped_area),
        splice_read: Some(bindings::copy_splice_read),
        splice_write: Some(bindings::iter_file_splice_write),
        ..*Self::MISC
    };

    /// The operations on files of the inode itself. The inode keeps the module loaded, so there is
    /// no owner.
    const REGULAR: bindings::file_operations = bindings::file_operations {
        owner: core::ptr::null_mut(),
        open: Some(bindings::generic_file_open),
        fallocate: Some(Self::fallocate),
        setlease: Some(helpers::mmap_pool_setlease),
        ..Self::COMMON
    };

    /// # Safety
    ///
    /// Called by the VFS for an open file with one of these tables.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        const SEEK_DATA: c_int = bindings::SEEK_DATA as c_int;
        const SEEK_HOLE: c_int = bindings::SEEK_HOLE as c_int;

        if whence != SEEK_DATA && whence != SEEK_HOLE {
            // SAFETY: The VFS passes valid arguments.
            return unsafe { bindings::generic_file_llseek(file, offset, whence) };
        }
        // SAFETY: The file is open for the call. The only `fdget_pos` section of this thread is the
        // one of this call, and in it only this function changes the position.
        let rust_file = unsafe { File::from_raw_file(file) };
        let seek = || {
            let inode = Inode::<T::Data>::of_file(rust_file).ok_or(ENODEV)?;
            let offset = offset.try_into().map_err(|_| ENXIO)?;
            let found = T::seek(inode, offset, whence == SEEK_HOLE)?;
            Ok::<_, Error>(bindings::loff_t::try_from(found)?)
        };
        match seek() {
            // SAFETY: As above.
            Ok(found) => unsafe { bindings::vfs_setpos(file, found, bindings::loff_t::MAX) },
            Err(error) => error.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// Called by the VFS for an open file with one of these tables. It has checked that the range
    /// is within a file's bounds.
    unsafe extern "C" fn fallocate(
        file: *mut bindings::file,
        mode: c_int,
        offset: bindings::loff_t,
        len_bytes: bindings::loff_t,
    ) -> c_long {
        // SAFETY: The file is open for the call, outside of any `fdget_pos` section.
        let rust_file = unsafe { File::from_raw_file(file) };
        let fallocate = || {
            let guard = Inode::<T::Data>::of_file(rust_file).ok_or(ENODEV)?.lock()?;
            T::fallocate(
                &guard,
                mode as u32,
                offset.try_into()?,
                len_bytes.try_into()?,
            )?;
            // The change is made. An error of a security module comes too late.
            let _ = written(rust_file, &guard);
            Ok::<_, Error>(())
        };
        match fallocate() {
            Ok(()) => 0,
            Err(error) => error.to_errno() as c_long,
        }
    }
}

impl<T: InodeFile> FileOperations<T>
where
    T::Data: BackedData,
{
    /// The operations on files of a backed inode, whose super block keeps the module loaded.
    pub(super) const BACKED: bindings::file_operations = bindings::file_operations {
        fsync: Some(backed::fsync::<T::Data>),
        splice_read: Some(backed::splice_read::<T::Data>),
        ..Self::REGULAR
    };
}

/// Creates an empty inode, and returns a file of it that is open for reading and writing. `/proc`
/// shows the file as `name`.
///
/// # Errors
///
/// - `ENFILE`: too many open files.
/// - `ENODEV`: the module is being unloaded.
/// - `ENOMEM`: no memory.
/// - Otherwise the errors of `data`.
pub(crate) fn create<T: InodeFile>(
    mount: &Mount<T::Data>,
    data: impl PinInit<T::Data, Error>,
    name: &CStr,
) -> Result<ARef<File>>
where
    T::Data: MemoryData,
{
    let inode = Inode::new_for_files(mount, data)?;
    open(
        inode,
        mount,
        name,
        bindings::O_RDWR,
        &FileOperations::<T>::REGULAR,
    )
}

/// Returns the first file of a new inode, open with `access`.
///
/// C: `alloc_file_pseudo()`, `include/linux/file.h`.
pub(super) fn open<T: InodeData>(
    inode: ARef<Inode<T>>,
    mount: &Mount<T>,
    name: &CStr,
    access: u32,
    operations: &'static bindings::file_operations,
) -> Result<ARef<File>> {
    // SAFETY: The inode is not shared yet. The table is static and fits it.
    unsafe { (*inode.as_ptr()).__bindgen_anon_3.i_fop = operations };
    // SAFETY: The inode and its mount are valid. The name is copied.
    let file = unsafe {
        bindings::alloc_file_pseudo(
            inode.as_ptr(),
            mount.as_ptr(),
            name.as_char_ptr(),
            (access | bindings::O_LARGEFILE) as c_int,
            operations,
        )
    };
    let file = NonNull::new(from_err_ptr(file)?).ok_or(ENOMEM)?;
    // SAFETY: The file is not shared yet.
    unsafe { helpers::mmap_pool_file_set_up(file.as_ptr()) };
    // The file takes over the reference to the inode. It has its own reference to the mount.
    let _ = ARef::into_raw(inode);
    // SAFETY: The reference to the inode came with one to the mount. The file keeps the mount.
    unsafe { bindings::mntput(mount.as_ptr()) };
    // SAFETY: A new file has one reference, and is in no descriptor table.
    Ok(unsafe { ARef::from_raw(file.cast()) })
}

/// The open mode of a file.
pub(crate) trait FileExt {
    /// Returns whether the file was opened for reading.
    fn is_readable(&self) -> bool;

    /// Returns whether the file was opened for writing.
    fn is_writable(&self) -> bool;
}

impl FileExt for LocalFile {
    fn is_readable(&self) -> bool {
        self.flags() & bindings::O_ACCMODE != kernel::fs::file::flags::O_WRONLY
    }

    fn is_writable(&self) -> bool {
        self.flags() & bindings::O_ACCMODE != kernel::fs::file::flags::O_RDONLY
    }
}

/// Writes `iov` to the file of `kiocb` at its position, and advances the position.
///
/// Holds the inode's lock: other writers and changes of the size wait, readers and page faults do
/// not.
///
/// Returns the number of bytes written.
///
/// # Context
///
/// May sleep and may fault.
///
/// # Errors
///
/// Only if no byte was written:
/// - `ENODEV`: the file is not a file of such an inode.
/// - `EFBIG`: the position is past `RLIMIT_FSIZE` or past the limit of the file system.
/// - `EFAULT`: `iov` cannot be read.
/// - `EINTR`: the task is being killed.
/// - Otherwise the errors of [`InodeData::check_write`] and [`MemoryData::write_begin`].
///
/// C: `generic_file_write_iter()`, `mm/filemap.c`.
#[inline]
pub(crate) fn write<T: InodeFile>(
    kiocb: &mut Kiocb<'_, ()>,
    iov: &mut IovIterSource<'_>,
) -> Result<usize>
where
    T::Data: MemoryData,
{
    let guard = Inode::<T::Data>::of_file(of_kiocb(kiocb))
        .ok_or(ENODEV)?
        .lock()?;
    let allowed = check_write(kiocb, iov, &guard)?;
    if allowed == 0 {
        return Ok(0);
    }
    // SAFETY: Both pointers are valid. Every inode with a `T::Data` has the required operations,
    // and this one is locked.
    let written = unsafe { perform_write(kiocb.as_raw(), iov.as_raw()) };
    if written != Ok(allowed) {
        // A large folio that reaches past the end stays: it cannot be split there.
        guard.remove_past_end();
    }
    written
}

/// As [`write`], for a backed inode. With `O_DSYNC` the bytes are durable when it returns.
///
/// # Errors
///
/// As [`write`], and those of a write to the backing object.
///
/// C: `generic_file_write_iter()`, `mm/filemap.c`.
pub(crate) fn write_backed<T: InodeFile>(
    kiocb: &mut Kiocb<'_, ()>,
    iov: &mut IovIterSource<'_>,
) -> Result<usize>
where
    T::Data: BackedData,
{
    let guard = Inode::<T::Data>::of_file(of_kiocb(kiocb))
        .ok_or(ENODEV)?
        .lock()?;
    if check_write(kiocb, iov, &guard)? == 0 {
        return Ok(0);
    }
    // SAFETY: Both pointers are valid. Every inode with a `T::Data` has the required operations,
    // and this one is locked.
    let written = unsafe { perform_write(kiocb.as_raw(), iov.as_raw()) }?;
    drop(guard);
    // SAFETY: The `kiocb` is valid, and its position is after the bytes that were written.
    let ret = unsafe { helpers::mmap_pool_write_sync(kiocb.as_raw(), written as isize) };
    usize::try_from(ret).map_err(|_| Error::from_errno(ret as c_int))
}

/// Reads from the file of `kiocb`, a backed inode, at its position, and advances the position.
///
/// # Context
///
/// May sleep and may fault.
///
/// # Errors
///
/// - `EIO`: the backing object cannot be read.
/// - `EFAULT`: `iov` cannot be written.
///
/// C: `filemap_read()`.
pub(crate) fn read_backed(kiocb: &mut Kiocb<'_, ()>, iov: &mut IovIterDest<'_>) -> Result<usize> {
    // SAFETY: Both pointers are valid. Each page cache can be read.
    let ret = unsafe { bindings::filemap_read(kiocb.as_raw(), iov.as_raw(), 0) };
    usize::try_from(ret).map_err(|_| Error::from_errno(ret as c_int))
}

/// Checks a write to a locked inode, and clips it. Returns how many bytes may be written.
#[inline]
fn check_write<T: InodeData>(
    kiocb: &mut Kiocb<'_, ()>,
    iov: &mut IovIterSource<'_>,
    guard: &InodeGuard<'_, T>,
) -> Result<usize> {
    // SAFETY: Both pointers are valid, and the inode of the file is locked.
    let len = unsafe { bindings::generic_write_checks(kiocb.as_raw(), iov.as_raw()) };
    let len = usize::try_from(len).map_err(|_| Error::from_errno(len as c_int))?;
    if len == 0 {
        return Ok(0);
    }
    written(of_kiocb(kiocb), guard)?;
    let allowed = T::check_write(guard, kiocb.ki_pos().try_into()?, len)?;
    if allowed < len {
        // SAFETY: `iov` is valid.
        unsafe { helpers::mmap_pool_iov_iter_truncate(iov.as_raw(), allowed as u64) };
    }
    Ok(allowed)
}

/// Updates the times of `file` for a write, and removes the set-user-ID and set-group-ID bits of
/// its inode, which is locked.
///
/// Does nothing for a device node: its times are of no use, and its file system may be read-only.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// - `EPERM` and others: a security module forbids the change of the mode.
///
/// C: `file_modified()`, `fs/inode.c`.
#[inline]
pub(crate) fn written<T: InodeData>(file: &LocalFile, _guard: &InodeGuard<'_, T>) -> Result {
    // SAFETY: The file is open.
    let mode = u32::from(unsafe { (*(*file.as_ptr()).f_inode).i_mode });
    if mode & bindings::S_IFMT == bindings::S_IFREG {
        // SAFETY: The file is open, and its inode is locked.
        let ret = unsafe { bindings::file_modified(file.as_ptr()) };
        // Checked here, because the compiler does not inline `to_result()`.
        if ret != 0 {
            return Err(Error::from_errno(ret));
        }
    }
    Ok(())
}

/// Notifies the watchers of `file` of a write that the VFS does not see.
///
/// # Context
///
/// May sleep. Holds no lock of the inode.
///
/// C: `fsnotify_modify()`, `include/linux/fsnotify.h`.
pub(crate) fn notify_written(file: &LocalFile) {
    // SAFETY: The file is open.
    unsafe { helpers::mmap_pool_fsnotify_modify(file.as_ptr()) };
}

/// Notifies the watchers of the inode of `file` of a change of its size that the VFS does not see.
/// This includes files made by [`create`], for which the VFS suppresses other events.
///
/// # Context
///
/// May sleep. Holds no lock of the inode.
///
/// C: `fsnotify_change()`, `include/linux/fsnotify.h`, as `ftruncate()` calls it.
pub(crate) fn notify_resized(file: &LocalFile) {
    // SAFETY: An open file has a dentry.
    unsafe { helpers::mmap_pool_fsnotify_resize(file.as_ptr()) };
}

/// Returns the file of `kiocb`.
pub(crate) fn of_kiocb<'a, T: ForeignOwnable>(kiocb: &Kiocb<'a, T>) -> &'a LocalFile {
    // SAFETY: The file of a `kiocb` is open.
    unsafe { LocalFile::from_raw_file((*kiocb.as_raw()).ki_filp) }
}

/// Updates the access time of `file`.
///
/// C: `file_accessed()`.
pub(crate) fn accessed(file: &LocalFile) {
    // SAFETY: The file is open.
    unsafe { helpers::mmap_pool_file_accessed(file.as_ptr()) };
}
