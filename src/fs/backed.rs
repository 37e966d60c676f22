// SPDX-License-Identifier: GPL-2.0

//! Backed inodes: the page cache holds parts of a [`Backing`], and the kernel writes back what
//! changes.
//!
//! Each backed inode has a super block of its own. So it has its own `backing_dev_info`: its dirty
//! pages are written back and throttled apart from those of others, and `syncfs` concerns it alone.
//! The file owns the mount, and the mount owns the super block. The last close writes back what is
//! dirty, evicts the inode, and closes the backing object.
//!
//! [`Inode::new_backed`] is the only way to make such an inode. It cannot go wrong like this:
//!
//! - The kernel never writes back an inode from `alloc_anon_inode()`, or one that is not in the hash
//!   table (`__mark_inode_dirty()`, `fs/fs-writeback.c`).
//! - If the link count is zero, the last `iput()` discards dirty pages (`iput_final()`,
//!   `fs/inode.c`).
//!
//! C headers: `include/linux/fs.h`, `include/linux/writeback.h`.

use super::{
    backing::{
        Backing,
        Run, //
    },
    file::{
        FileOperations,
        InodeFile, //
    },
    inode::{
        Inode,
        InodeData,
        InodeGuard, //
    },
    not_supported,
    pseudo::Mount, //
};
use crate::{
    helpers,
    mm::{
        fatal_signal_pending,
        folio::{
            Folio,
            LockedFolio, //
        }, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    fs::File,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// The driver's data in an inode with a [`Backing`].
pub(crate) trait BackedData: InodeData {
    /// Returns whether the page cache has single pages only.
    fn has_single_pages(&self) -> bool;

    /// Checks whether the page cache may be read and written.
    ///
    /// The kernel calls this before it reads a folio, with the folio locked before it writes to it,
    /// and, after it marked the folio as dirty, before it makes the folio writable in a mapping. So a
    /// driver that first lets this fail, and then writes back, finds all that was written.
    fn check_alive(inode: &Inode<Self>) -> Result;

    /// Called when `pages` become dirty, and when they have become zero.
    ///
    /// # Context
    ///
    /// The caller may hold the lock of a page table. Must not sleep.
    ///
    /// C: `address_space_operations::dirty_folio`.
    fn dirtied(inode: &Inode<Self>, pages: Range<usize>);
}

/// A mount whose super block owns a backing.
///
/// # Invariants
///
/// Owns a reference to the mount. `s_fs_info` of its super block points to a [`Backing`].
struct BackedMount<T: BackedData>(NonNull<bindings::vfsmount>, PhantomData<T>);

impl<T: BackedData> BackedMount<T> {
    fn new(backing: Backing) -> Result<Self> {
        let backing = KBox::into_raw(KBox::new(backing, GFP_KERNEL)?);
        let fs_type = T::file_system_type().as_ptr();
        let mut is_taken = false;
        // SAFETY: The type is static and complete.
        let mnt = unsafe { helpers::mmap_pool_mount_with(fs_type, backing.cast(), &mut is_taken) };
        if !is_taken {
            // SAFETY: No super block has the box.
            drop(unsafe { KBox::from_raw(backing) });
        }
        let mnt = NonNull::new(from_err_ptr(mnt)?).ok_or(ENOMEM)?;
        // INVARIANT: The super block has the box, and the caller the mount's only reference.
        let mount = Self(mnt, PhantomData);
        // SAFETY: The mount is valid, and so is its super block.
        to_result(unsafe { helpers::mmap_pool_set_up_bdi((*mnt.as_ptr()).mnt_sb) })?;
        Ok(mount)
    }

    fn as_mount(&self) -> &Mount<T> {
        // SAFETY: By the type invariants the mount is valid, and one of this type.
        unsafe { Mount::from_raw(self.0) }
    }
}

impl<T: BackedData> Drop for BackedMount<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants a reference is owned.
        unsafe { bindings::mntput(self.0.as_ptr()) };
    }
}

/// The operations on super blocks of backed inodes.
pub(super) struct SuperOperations<T>(PhantomData<T>);

impl<T: BackedData> SuperOperations<T> {
    pub(super) const TABLE: bindings::super_operations = bindings::super_operations {
        statfs: Some(bindings::simple_statfs),
        evict_inode: Some(Self::evict),
        sync_fs: Some(Self::sync_fs),
        freeze_super: Some(helpers::mmap_pool_freeze_super),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by the VFS for a super block of this type.
    unsafe extern "C" fn sync_fs(sb: *mut bindings::super_block, wait: c_int) -> c_int {
        // SAFETY: `s_fs_info` is null or the backing, which exists as long as the super block.
        match unsafe { (*sb).s_fs_info.cast::<Backing>().as_ref() } {
            Some(backing) if wait != 0 => backing.flush_all(),
            _ => 0,
        }
    }

    /// Writes back what could not be written for want of memory, and is dirty still. The kernel writes
    /// once, and drops the rest (`generic_shutdown_super()`, `fs/super.c`).
    ///
    /// # Safety
    ///
    /// Called by the VFS for an inode of this type without references.
    unsafe extern "C" fn evict(inode: *mut bindings::inode) {
        const RETRY_MS: c_uint = 100;

        // SAFETY: The caller's promise. The page cache is valid. `s_fs_info` is the backing, if there
        // is a page.
        unsafe {
            let mapping = &raw mut (*inode).i_data;
            while helpers::mmap_pool_count_tagged(mapping, false) > 0 {
                let backing = &*(*(*inode).i_sb).s_fs_info.cast::<Backing>();
                let nr_errors = backing.counts().nr_errors;
                bindings::filemap_write_and_wait_range(mapping, 0, bindings::loff_t::MAX);
                if backing.counts().nr_errors == nr_errors {
                    break;
                }
                bindings::msleep(RETRY_MS);
            }
            super::inode::evict::<T>(inode);
        }
    }

    /// # Safety
    ///
    /// Called by the VFS for a super block of this type that nothing uses any more.
    pub(super) unsafe extern "C" fn kill_sb(sb: *mut bindings::super_block) {
        // SAFETY: The caller's promise.
        let backing = unsafe { (*sb).s_fs_info }.cast::<Backing>();
        // SAFETY: The caller's promise. This writes back and evicts the inode.
        unsafe { bindings::kill_anon_super(sb) };
        if !backing.is_null() {
            // SAFETY: `BackedMount::new()` has stored a box, and no inode is left.
            drop(unsafe { KBox::from_raw(backing) });
        }
    }
}

impl<T: BackedData> Inode<T> {
    /// Creates the only inode of a mount: a regular file of the size of its backing, owned by the
    /// running task.
    ///
    /// C: `new_inode()`.
    fn new_backed(mount: &BackedMount<T>, data: impl PinInit<T, Error>) -> Result<ARef<Self>> {
        Self::with_inode(mount.as_mount(), data, None, |sb, data| {
            // SAFETY: The super block is valid.
            let inode = NonNull::new(unsafe { bindings::new_inode(sb) }).ok_or(ENOMEM)?;
            // SAFETY: The inode is not shared yet. The super block has a backing.
            unsafe {
                let backing = &*(*sb).s_fs_info.cast::<Backing>();
                let inode = inode.as_ptr();
                let mapping = (*inode).i_mapping;
                (*inode).i_ino = bindings::get_next_ino().into();
                bindings::inode_init_owner(
                    &raw mut bindings::nop_mnt_idmap,
                    inode,
                    core::ptr::null(),
                    (bindings::S_IFREG | bindings::S_IRUSR | bindings::S_IWUSR)
                        as bindings::umode_t,
                );
                bindings::simple_inode_init_ts(inode);
                helpers::mmap_pool_i_size_write(inode, backing.len_bytes().try_into()?);
                (*mapping).a_ops = &BackedOperations::<T>::TABLE;
                if !data.has_single_pages() {
                    helpers::mmap_pool_mapping_set_large_folios(mapping);
                }
                backing.tune(sb, mapping);
                helpers::mmap_pool_insert_inode_hash(inode);
            }
            Ok(inode)
        })
    }

    /// Returns the object behind the page cache.
    pub(crate) fn backing(&self) -> &Backing {
        // SAFETY: A backed inode is made by `new_backed()` only, on a super block with a backing,
        // which outlives its inodes.
        unsafe { &*(*(*self.as_ptr()).i_sb).s_fs_info.cast() }
    }

    /// Writes back the dirty pages, and waits for it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// The error of a write since the last question.
    ///
    /// C: `filemap_write_and_wait()`.
    pub(crate) fn write_back(&self) -> Result {
        // SAFETY: The page cache is valid.
        to_result(unsafe {
            bindings::filemap_write_and_wait_range(
                self.page_cache().as_ptr(),
                0,
                bindings::loff_t::MAX,
            )
        })
    }

    /// Waits until nobody makes a hole.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn wait_for_holes(&self) {
        drop(self.backing().allow_writeback(true));
    }

    /// Returns the first byte of data at or after byte `offset`, or with `is_hole`, of a hole.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn seek_backing(&self, offset: u64, is_hole: bool) -> Result<u64> {
        // The object does not know what was not written yet.
        self.write_back()?;
        self.backing().seek(offset, is_hole)
    }

    /// Returns how many pages are dirty, and how many are being written back.
    pub(crate) fn nr_unwritten_pages(&self) -> (usize, usize) {
        let mapping = self.page_cache().as_ptr();
        // SAFETY: The page cache is valid.
        unsafe {
            (
                helpers::mmap_pool_count_tagged(mapping, false),
                helpers::mmap_pool_count_tagged(mapping, true),
            )
        }
    }

    /// Makes the next store to a mapping of page `pgoff` a page fault. Returns false if a store may
    /// come without one, because the page is pinned: by direct I/O, or for another process.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the task is being killed.
    ///
    /// C: `folio_mkclean()`, `folio_maybe_dma_pinned()`.
    pub(crate) fn protect(&self, pgoff: usize) -> Result<bool> {
        let folio = self.page_cache().lock_folio_killable(pgoff)?;
        Ok(folio.is_none_or(|folio| folio.protect()))
    }
}

impl<T: BackedData> InodeGuard<'_, T> {
    /// How many pages are zeroed while nobody may write back.
    const NR_PAGES: usize = (256 << 20) / PAGE_SIZE;

    /// Zeroes the bytes from `start` to `end`. The object zeroes whole pages, and with `is_hole` frees
    /// their storage. Parts of pages are zeroed in the page cache.
    ///
    /// The object is zeroed before the pages are removed, so nothing is lost if it cannot be. From then
    /// on no page is read with old bytes, and until the pages are removed, none is written back. So the
    /// invalidate lock is not needed. It must not be held: the object, and the read of a page that is to
    /// be removed, may wait for a task that faults on a page of this inode.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: the object cannot. No byte has changed.
    /// - `EINTR`: the task is being killed. `EIO` and others: the object has failed. Each byte has its
    ///   old value or is zero.
    /// - Otherwise the errors of [`BackedData::check_alive`].
    pub(crate) fn zero(&self, start: u64, end: u64, is_hole: bool) -> Result {
        const PAGE_LEN: u64 = PAGE_SIZE as u64;

        let end = end.min(self.len_bytes());
        if start >= end {
            return Ok(());
        }
        let first = start.next_multiple_of(PAGE_LEN).min(end);
        // The last page of an inode may have less bytes.
        let last = if end == self.len_bytes() {
            end
        } else {
            first.max(end - end % PAGE_LEN)
        };
        let mut pgoff = first.div_ceil(PAGE_LEN) as usize;
        let end_page = last.div_ceil(PAGE_LEN) as usize;
        while pgoff < end_page {
            let pages = pgoff..end_page.min(pgoff + Self::NR_PAGES);
            pgoff = pages.end;
            self.zero_pages(pages, is_hole)?;
        }
        self.zero_part(start, first)?;
        self.zero_part(last, end)
    }

    /// As [`Self::zero`], for whole pages.
    fn zero_pages(&self, pages: Range<usize>, is_hole: bool) -> Result {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let no_writeback = self.backing().deny_writeback()?;
        T::check_alive(self)?;
        let start = (pages.start as u64) << PAGE_SHIFT;
        let len_bytes = self.len_bytes().min((pages.end as u64) << PAGE_SHIFT) - start;
        let (first, last) = (start.try_into()?, (start + len_bytes - 1).try_into()?);
        let mapping = self.page_cache().as_ptr();
        // SAFETY: The page cache is valid.
        unsafe { bindings::filemap_fdatawait_range_keep_errors(mapping, first, last) };
        let zeroed = no_writeback.zero(start, len_bytes, is_hole);
        match zeroed {
            Ok(()) => self.page_cache().remove_zeroed(pages.clone()),
            Err(error) if error == not_supported() => return zeroed,
            // The object may have zeroed some of them.
            Err(_) => self.page_cache().remove_clean(pages.clone()),
        }
        T::dirtied(self, pages);
        zeroed
    }

    /// As [`Self::zero`], for bytes of one page, or none.
    fn zero_part(&self, start: u64, end: u64) -> Result {
        if start == end {
            return Ok(());
        }
        let (pos, len_bytes) = (start.try_into()?, (end - start) as usize);
        // SAFETY: The page cache is one of a backed inode with a `T`, which is locked.
        let folio = unsafe {
            BackedOperations::<T>::folio_to_write(self.page_cache().as_ptr(), pos, len_bytes)
        }?;
        folio.zero(start..end);
        folio.mark_dirty();
        T::check_alive(self)
    }
}

/// Creates an inode that is backed by `backing`, and returns a file of it. `/proc` shows the file
/// as `name`.
///
/// # Errors
///
/// - `ENFILE`: too many open files.
/// - `ENOMEM`: no memory.
/// - Otherwise the errors of `data`.
///
/// C: `alloc_file_pseudo()`, `include/linux/file.h`.
pub(crate) fn create<T: InodeFile>(
    backing: Backing,
    data: impl PinInit<T::Data, Error>,
    name: &CStr,
) -> Result<ARef<File>>
where
    T::Data: BackedData,
{
    let access = if backing.is_writable() {
        bindings::O_RDWR
    } else {
        bindings::O_RDONLY
    };
    let mount = BackedMount::new(backing)?;
    let inode = Inode::new_backed(&mount, data)?;
    super::file::open::<T::Data>(
        inode,
        mount.as_mount(),
        name,
        access,
        &FileOperations::<T>::BACKED,
    )
}

/// Makes the changes of `file` in a range durable, as `fsync` does.
///
/// # Safety
///
/// Called by the VFS for a file of a backed inode with a `T`.
pub(super) unsafe extern "C" fn fsync<T: BackedData>(
    file: *mut bindings::file,
    start: bindings::loff_t,
    end: bindings::loff_t,
    datasync: c_int,
) -> c_int {
    // SAFETY: The caller's promise.
    unsafe {
        let mapping = (*file).f_mapping;
        let inode = &*(*mapping).host.cast::<Inode<T>>();
        let written = bindings::file_write_and_wait_range(file, start, end);
        // Even after an error: other bytes were written.
        inode.backing().flush(start, end, datasync != 0, |error| {
            helpers::mmap_pool_mapping_set_error(mapping, error);
        });
        // Each open file reports an error once.
        let flushed = bindings::file_check_and_advance_wb_err(file);
        if written != 0 {
            written
        } else {
            flushed
        }
    }
}

/// Moves bytes of a backed inode to a pipe.
///
/// # Safety
///
/// Called by the VFS for a file of a backed inode with a `T`.
///
/// C: `filemap_splice_read()`.
pub(super) unsafe extern "C" fn splice_read<T: BackedData>(
    file: *mut bindings::file,
    pos: *mut bindings::loff_t,
    pipe: *mut bindings::pipe_inode_info,
    len: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: The caller's promise.
    unsafe {
        let inode = &*(*(*file).f_mapping).host.cast::<Inode<T>>();
        match T::check_alive(inode) {
            Ok(()) => bindings::filemap_splice_read(file, pos, pipe, len, flags),
            Err(error) => error.to_errno() as isize,
        }
    }
}

/// The `struct address_space_operations` of backed inodes with a `T`.
struct BackedOperations<T>(PhantomData<T>);

impl<T: BackedData> BackedOperations<T> {
    const TABLE: bindings::address_space_operations = bindings::address_space_operations {
        read_folio: Some(Self::read_folio),
        readahead: Some(Self::readahead),
        writepages: Some(Self::writepages),
        dirty_folio: Some(Self::dirty_folio),
        write_begin: Some(Self::write_begin),
        write_end: Some(Self::write_end),
        migrate_folio: Some(bindings::filemap_migrate_folio),
        error_remove_folio: Some(bindings::generic_error_remove_folio),
        // Allows `open()` with `O_DIRECT`. It is never called: `read` and `write` use the page
        // cache.
        direct_IO: Some(bindings::noop_direct_IO),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `mapping` has this table. The inode exists for `'a`.
    unsafe fn inode<'a>(mapping: *mut bindings::address_space) -> &'a Inode<T> {
        // SAFETY: The host of a page cache with this table is an inode with a `T`.
        unsafe { &*(*mapping).host.cast() }
    }

    /// # Safety
    ///
    /// Called by the kernel for a folio of a page cache with this table.
    unsafe extern "C" fn dirty_folio(
        mapping: *mut bindings::address_space,
        folio: *mut bindings::folio,
    ) -> bool {
        // SAFETY: The caller's promise. The folio stays in its page cache during the call.
        unsafe {
            let start = helpers::mmap_pool_folio_index(folio);
            let end = start + helpers::mmap_pool_folio_nr_pages(folio);
            T::dirtied(Self::inode(mapping), start..end);
            bindings::filemap_dirty_folio(mapping, folio)
        }
    }

    /// Reads a folio, and unlocks it.
    ///
    /// # Safety
    ///
    /// Called by the kernel for a locked folio of a page cache with this table.
    unsafe extern "C" fn read_folio(
        _file: *mut bindings::file,
        folio: *mut bindings::folio,
    ) -> c_int {
        if let Some(folio) = NonNull::new(folio) {
            // SAFETY: The caller's promise. The lock keeps the folio in its page cache.
            unsafe {
                let mapping = (*folio.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.mapping;
                if let Err(error) = T::check_alive(Self::inode(mapping)) {
                    bindings::folio_unlock(folio.as_ptr());
                    return error.to_errno();
                }
                let Some(mut run) = Self::inode(mapping).read_run(1) else {
                    bindings::folio_unlock(folio.as_ptr());
                    return ENOMEM.to_errno();
                };
                run.push(
                    folio,
                    helpers::mmap_pool_folio_pos(folio.as_ptr()),
                    helpers::mmap_pool_folio_size(folio.as_ptr()),
                );
            }
        }
        0
    }

    /// # Safety
    ///
    /// Called by the kernel for a page cache with this table.
    unsafe extern "C" fn readahead(ractl: *mut bindings::readahead_control) {
        // SAFETY: The caller's promise. The folios are locked and in the page cache.
        unsafe {
            let inode = Self::inode((*ractl).mapping);
            let is_alive = T::check_alive(inode).is_ok();
            let mut nr_left = (*ractl)._nr_pages as usize;
            let mut run: Option<Run<'_>> = None;
            while let Some(folio) = NonNull::new(helpers::mmap_pool_readahead_folio(ractl)) {
                if !is_alive {
                    bindings::folio_unlock(folio.as_ptr());
                    continue;
                }
                let pos = helpers::mmap_pool_folio_pos(folio.as_ptr());
                let len_bytes = helpers::mmap_pool_folio_size(folio.as_ptr());
                if !run
                    .as_mut()
                    .is_some_and(|run| run.push(folio, pos, len_bytes))
                {
                    // This starts the run before.
                    run = inode.read_run(nr_left);
                    match &mut run {
                        // An empty run takes any folio.
                        Some(run) => _ = run.push(folio, pos, len_bytes),
                        // Without memory, the page is read when it is needed.
                        None => bindings::folio_unlock(folio.as_ptr()),
                    }
                }
                nr_left = nr_left.saturating_sub(len_bytes >> PAGE_SHIFT);
            }
        }
    }

    /// Writes dirty folios to the backing object.
    ///
    /// A folio is unlocked before a neighbour is added, and a write starts with no folio locked. So
    /// writeback never waits for the object while a task waits for a folio lock.
    ///
    /// A folio under writeback has a place in a write already, and whoever waits for a place has
    /// started all its writes. Otherwise tasks could wait for each other: `writeback_iter()` waits for
    /// folios that another task has put under writeback.
    ///
    /// # Safety
    ///
    /// Called by the kernel for a page cache with this table.
    unsafe extern "C" fn writepages(
        mapping: *mut bindings::address_space,
        wbc: *mut bindings::writeback_control,
    ) -> c_int {
        // SAFETY: The caller's promise. `writeback_iter()` returns locked folios that are not dirty
        // any more.
        unsafe {
            let inode = Self::inode(mapping);
            let is_sync = (*wbc).sync_mode == bindings::writeback_sync_modes_WB_SYNC_ALL;
            let Some(_guard) = inode.backing().allow_writeback(is_sync) else {
                // The pages stay dirty. The kernel tries again.
                return 0;
            };
            let mut error = 0;
            let mut run: Option<Run<'_>> = None;
            let mut next: Option<Run<'_>> = None;
            let mut folio = core::ptr::null_mut();
            loop {
                let mut place = match next.take().or_else(|| inode.try_write_run()) {
                    Some(place) => place,
                    None => {
                        drop(run.take());
                        inode.write_run()
                    }
                };
                folio = bindings::writeback_iter(mapping, wbc, folio, &mut error);
                let Some(folio) = NonNull::new(folio) else {
                    break;
                };
                let pos = helpers::mmap_pool_folio_pos(folio.as_ptr());
                let size_bytes = helpers::mmap_pool_folio_size(folio.as_ptr());
                let left = inode.len_bytes().saturating_sub(pos as u64);
                let len_bytes = size_bytes.min(left.try_into().unwrap_or(usize::MAX));
                if len_bytes == 0 {
                    bindings::folio_unlock(folio.as_ptr());
                    next = Some(place);
                    continue;
                }
                // A mapping may have stored past the end.
                helpers::mmap_pool_folio_zero(folio.as_ptr(), len_bytes, size_bytes - len_bytes);
                helpers::mmap_pool_folio_start_writeback(folio.as_ptr());
                bindings::folio_unlock(folio.as_ptr());
                if run
                    .as_mut()
                    .is_some_and(|run| run.push(folio, pos, len_bytes))
                {
                    next = Some(place);
                } else {
                    // An empty run takes any folio. The run before starts.
                    place.push(folio, pos, len_bytes);
                    run = Some(place);
                }
            }
            error
        }
    }

    /// # Safety
    ///
    /// Called by `generic_perform_write()` for a page cache with this table. The inode is locked.
    unsafe extern "C" fn write_begin(
        _kiocb: *const bindings::kiocb,
        mapping: *mut bindings::address_space,
        pos: bindings::loff_t,
        len: c_uint,
        foliop: *mut *mut bindings::folio,
        _fsdata: *mut *mut c_void,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The caller's promise.
            let folio = unsafe { Self::folio_to_write(mapping, pos, len as usize) }?;
            // SAFETY: `foliop` is valid. The caller takes over the lock and the reference.
            unsafe { *foliop = folio.into_raw().as_ptr() };
            Ok(0)
        })
    }

    /// Returns a locked folio for a write. It is up to date, or the write replaces all of it.
    ///
    /// # Context
    ///
    /// May sleep. A task that waits for the object can be killed.
    ///
    /// # Safety
    ///
    /// As [`Self::write_begin`].
    unsafe fn folio_to_write(
        mapping: *mut bindings::address_space,
        pos: bindings::loff_t,
        len: usize,
    ) -> Result<LockedFolio> {
        loop {
            // SAFETY: The caller's promise.
            let folio = unsafe { helpers::mmap_pool_filemap_write_folio(mapping, pos, len) };
            let folio = NonNull::new(from_err_ptr(folio)?).ok_or(ENOMEM)?;
            // SAFETY: The folio is locked, and the caller owns the reference.
            let folio = unsafe { LockedFolio::from_raw(folio) };
            // SAFETY: The page cache has this table.
            T::check_alive(unsafe { Self::inode(mapping) })?;
            let is_replaced = pos == folio.pos() && len >= folio.len_bytes();
            if is_replaced || folio.is_uptodate() {
                return Ok(folio);
            }
            let folio = folio.into_raw();
            // SAFETY: The lock and the reference are ours. The end of the read unlocks the folio.
            let (error, folio) = unsafe {
                (
                    Self::read_folio(core::ptr::null_mut(), folio.as_ptr()),
                    ARef::<Folio>::from_raw(folio.cast()),
                )
            };
            to_result(error)?;
            folio.wait_for_read()?;
        }
    }

    /// # Safety
    ///
    /// Called by `generic_perform_write()` with the folio of [`Self::write_begin`], after it copied
    /// `copied` bytes.
    unsafe extern "C" fn write_end(
        _kiocb: *const bindings::kiocb,
        mapping: *mut bindings::address_space,
        _pos: bindings::loff_t,
        len: c_uint,
        copied: c_uint,
        folio: *mut bindings::folio,
        _fsdata: *mut c_void,
    ) -> c_int {
        from_result(|| {
            let folio = NonNull::new(folio).ok_or(EIO)?;
            // SAFETY: `write_begin` passed the lock and the reference to the caller, which returns
            // them.
            let folio = unsafe { LockedFolio::from_raw(folio) };
            if copied == 0 {
                // The source is not in memory. Nothing was written.
                return Ok(0);
            }
            if !folio.is_uptodate() {
                if copied < len {
                    // The rest of the folio has no content.
                    return Ok(0);
                }
                folio.set_uptodate();
            }
            folio.mark_dirty();
            // SAFETY: The caller's promise.
            T::check_alive(unsafe { Self::inode(mapping) })?;
            // CAST: At most the size of a folio.
            Ok(copied as c_int)
        })
    }
}

impl<T: BackedData> Inode<T> {
    /// # Safety
    ///
    /// The inode exists until the I/O has ended: its folios are locked.
    unsafe fn read_run(&self, nr_folios: usize) -> Option<Run<'_>> {
        // SAFETY: The super block keeps the backing, and waits for its inodes.
        unsafe { Run::read(self.backing(), self.page_cache().as_ptr(), nr_folios) }
    }

    /// # Safety
    ///
    /// The inode exists until the I/O has ended: its folios are under writeback.
    unsafe fn try_write_run(&self) -> Option<Run<'_>> {
        // SAFETY: As in `read_run()`.
        unsafe { Run::try_write(self.backing(), self.page_cache().as_ptr()) }
    }

    /// # Safety
    ///
    /// As [`Self::try_write_run`].
    unsafe fn write_run(&self) -> Run<'_> {
        // SAFETY: As in `read_run()`.
        unsafe { Run::write(self.backing(), self.page_cache().as_ptr()) }
    }
}
