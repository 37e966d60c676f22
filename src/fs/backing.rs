// SPDX-License-Identifier: GPL-2.0

//! The object behind a backed inode: a regular file or a block device, and the I/O on it.
//!
//! The object is opened again, privately. The file of the user has a position, flags and errors of
//! its own.
//!
//! # Who waits for what
//!
//! - A write runs in a worker of the object's own queue. It does not run in the task that asks for
//!   it: `generic_write_checks()` applies the `RLIMIT_FSIZE` of the running task, and a task in
//!   `fsync` may have a small one.
//! - A read starts in the task that needs the folio, with `IOCB_NOWAIT`. If it would block, or ends
//!   early, a worker continues it. The task waits for the folio, where it can be killed. A task
//!   that writes to the object with `write(2)`, from a mapping of the pool, holds the object's lock
//!   and needs a folio of the pool. With a blocking read it would wait for itself for ever.
//!
//! C header: `include/linux/fs.h`.

use super::{
    falloc,
    not_supported, //
};
use crate::helpers;
use core::{
    marker::PhantomData,
    mem::{
        offset_of,
        replace, //
    },
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_int,
        c_long,
        c_uint,
        c_void, //
    },
    fs::LocalFile,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// The inodes of regular files that back a pool, by their address. The kernel has such claims for
/// block devices.
#[pin_data]
pub(crate) struct Claims {
    #[pin]
    inodes: Mutex<KVec<usize>>,
}

impl Claims {
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                inodes <- new_mutex!(KVec::new()),
            }),
            GFP_KERNEL,
        )
    }
}

/// A claim on an inode: it backs one pool only.
struct Claim {
    claims: Arc<Claims>,
    inode: usize,
}

impl Claim {
    /// # Errors
    ///
    /// - `EBUSY`: the inode is claimed.
    /// - `ENOMEM`: no memory.
    fn new(claims: &Arc<Claims>, inode: *const bindings::inode) -> Result<Self> {
        let inode = inode.addr();
        let mut inodes = claims.inodes.lock();
        if inodes.contains(&inode) {
            return Err(EBUSY);
        }
        inodes.push(inode, GFP_KERNEL)?;
        Ok(Self {
            claims: claims.clone(),
            inode,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut inodes = self.claims.inodes.lock();
        inodes.retain(|inode| *inode != self.inode);
    }
}

/// An open file of the backing object. No user has it.
///
/// # Invariants
///
/// Owns a reference to a file that is open for reading, and that can be read with `read_iter`.
struct PrivateFile(NonNull<bindings::file>);

impl PrivateFile {
    /// Opens the regular file behind `file` again.
    ///
    /// C: `dentry_open()`, `fs/open.c`.
    fn reopen(file: &LocalFile, is_writable: bool) -> Result<Self> {
        let access = if is_writable {
            bindings::O_RDWR
        } else {
            bindings::O_RDONLY
        };
        let flags = (access | bindings::O_LARGEFILE | bindings::O_NOATIME) as c_int;
        let open = |flags| {
            // SAFETY: The file is open, so its path is valid. The credentials are those of the
            // running task.
            let file = unsafe {
                bindings::dentry_open(
                    &raw const (*file.as_ptr()).__bindgen_anon_1.f_path,
                    flags,
                    helpers::mmap_pool_current_cred(),
                )
            };
            from_err_ptr(file)
        };
        let file = match open(flags | bindings::O_DIRECT as c_int) {
            // The file system has no direct I/O.
            Err(error) if error == EINVAL => open(flags)?,
            file => file?,
        };
        // INVARIANT: The file was opened above.
        let file = NonNull::new(file).map(Self).ok_or(ENOMEM)?;
        // SAFETY: The file is open.
        if unsafe { helpers::mmap_pool_file_is_filled_on_access(file.as_ptr()) } {
            return Err(not_supported());
        }
        // SAFETY: The file is not shared yet. What workers do with it concerns no watcher.
        unsafe { helpers::mmap_pool_file_set_unwatched(file.as_ptr()) };
        Ok(file)
    }

    /// Opens the block device behind `file` again, exclusively. The queue is its holder.
    ///
    /// C: `bdev_file_open_by_dev()`, `block/bdev.c`.
    fn reopen_device(file: &LocalFile, is_writable: bool, queue: &Queue) -> Result<Self> {
        let holder = queue.0.as_ptr().cast();
        // SAFETY: The file is open. The address of the holder is only compared, and no other pool
        // has this one.
        let file = unsafe { helpers::mmap_pool_bdev_open(file.as_ptr(), is_writable, holder) };
        // INVARIANT: The file was opened above.
        NonNull::new(from_err_ptr(file)?).map(Self).ok_or(ENOMEM)
    }

    fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }

    fn len_bytes(&self) -> u64 {
        // SAFETY: The inode of an open file is valid.
        let len_bytes = unsafe { helpers::mmap_pool_i_size_read(self.inode()) };
        // CAST: A size is never negative.
        len_bytes as u64
    }

    /// Returns the inode of the object: for a block device, not that of the node.
    fn inode(&self) -> *mut bindings::inode {
        // SAFETY: The file is open.
        unsafe { (*(*self.as_ptr()).f_mapping).host }
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariants a reference is owned.
        unsafe { helpers::mmap_pool_close_backing(self.as_ptr()) };
    }
}

/// The workers of one backing object.
///
/// # Invariants
///
/// Owns a workqueue that runs while memory is short.
struct Queue(NonNull<bindings::workqueue_struct>);

impl Queue {
    /// Creates a queue with at most `max_active` workers. 0 stands for the kernel's default.
    ///
    /// C: `alloc_workqueue()` with `WQ_MEM_RECLAIM`.
    fn new(max_active: c_int) -> Result<Self> {
        // SAFETY: The function has no preconditions.
        let queue = unsafe { helpers::mmap_pool_alloc_workqueue(max_active) };
        // INVARIANT: The queue was allocated above.
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the queue is owned. This waits for its work.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// Memory for writes to one backing object, for the time when there is no other. So memory can be
/// freed by writing it back. Reads do not use it: a task that reads may hold a lock of the object
/// that the writes wait for.
///
/// # Invariants
///
/// Owns a `mempool_t` with elements of [`Io::SIZE_BYTES`].
struct IoMemory(NonNull<c_void>);

impl IoMemory {
    /// C: `mempool_create_kmalloc_pool()`.
    fn new() -> Result<Self> {
        // SAFETY: The function has no preconditions.
        let memory = unsafe { helpers::mmap_pool_mempool_create(Io::SIZE_BYTES) };
        // INVARIANT: The pool was allocated above.
        NonNull::new(memory).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for IoMemory {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the memory is owned. No I/O is left.
        unsafe { helpers::mmap_pool_mempool_destroy(self.0.as_ptr()) };
    }
}

/// A lock that those who write pages back take shared, and who makes a hole takes exclusively.
///
/// # Invariants
///
/// Owns an initialised semaphore.
struct WritebackLock(Pin<KBox<Opaque<bindings::rw_semaphore>>>);

impl WritebackLock {
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    fn new() -> Result<Self> {
        // SAFETY: The function initialises the semaphore. It is pinned.
        let init = Opaque::ffi_init(|lock| unsafe { helpers::mmap_pool_init_rwsem(lock) });
        // INVARIANT: The semaphore is initialised above.
        Ok(Self(KBox::pin_init(init, GFP_KERNEL)?))
    }
}

/// While this exists, pages may be written back to the object, and nobody makes a hole in it.
pub(super) struct WritebackGuard<'a>(&'a Backing, NotThreadSafe);

impl Drop for WritebackGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The guard was created with the lock held shared.
        unsafe { bindings::up_read(self.0.writeback.0.get()) };
    }
}

/// While this exists, no writeback begins.
pub(super) struct NoWritebackGuard<'a>(&'a Backing, NotThreadSafe);

impl Drop for NoWritebackGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The guard was created with the lock held exclusively.
        unsafe { bindings::up_write(self.0.writeback.0.get()) };
    }
}

impl NoWritebackGuard<'_> {
    /// Zeroes `len_bytes` bytes of the object from byte `offset` on. With `is_hole`, their storage is
    /// freed.
    ///
    /// # Context
    ///
    /// May sleep. Pages of these bytes are not under writeback.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: the object cannot, or only for larger blocks. No byte has changed.
    /// - `EIO` and others: each byte has its old value or is zero.
    ///
    /// C: `vfs_fallocate()`.
    pub(super) fn zero(&self, offset: u64, len_bytes: u64, is_hole: bool) -> Result {
        let (start, end) = (offset.try_into()?, (offset + len_bytes - 1).try_into()?);
        let file = self.0.file.as_ptr();
        // A device drops the dirty pages of its own page cache before it fails (`blkdev_fallocate()`).
        // SAFETY: The file is open.
        to_result(unsafe {
            bindings::filemap_write_and_wait_range((*file).f_mapping, start, end)
        })?;
        let what = if is_hole {
            falloc::PUNCH_HOLE
        } else {
            falloc::ZERO_RANGE
        };
        let zeroed = self
            .0
            .fallocate(what | falloc::KEEP_SIZE, offset, len_bytes);
        match zeroed {
            Err(error) if error == EINVAL => Err(not_supported()),
            zeroed => zeroed,
        }
    }
}

/// The object behind a backed inode.
///
/// # Invariants
///
/// `nr_running` reads and writes point to this. It is not moved or dropped before they have ended.
pub(crate) struct Backing {
    /// Reads have a queue of their own, so they do not wait for writes that the object delays.
    reads: Queue,
    writes: Queue,
    memory: IoMemory,
    file: PrivateFile,
    len_bytes: u64,
    is_device: bool,
    is_writable: bool,
    is_direct: bool,
    /// Whether a read can be told not to wait for locks.
    is_nowait: bool,
    /// Held while the object is flushed. An error of which no file of the pool knows yet, as a
    /// negative errno, or 0.
    flush: Pin<KBox<Mutex<c_int>>>,
    writeback: WritebackLock,
    nr_running: Atomic<u64>,
    nr_writing: Atomic<u64>,
    nr_read_bytes: Atomic<u64>,
    nr_written_bytes: Atomic<u64>,
    nr_writes: Atomic<u64>,
    nr_errors: Atomic<u64>,
    _claim: Option<Claim>,
}

// SAFETY: The queue, the memory and the file have locks of their own.
unsafe impl Send for Backing {}
// SAFETY: As above.
unsafe impl Sync for Backing {}

/// What a backing has done since it was opened.
pub(crate) struct Counts {
    pub(crate) nr_read_bytes: u64,
    pub(crate) nr_written_bytes: u64,
    pub(crate) nr_writes: u64,
    pub(crate) nr_errors: u64,
}

impl Backing {
    /// Opens the object behind `file` again, and claims it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EACCES`: `file` is not open for reading, or, with `is_writable`, not for writing, or it
    ///   can only be appended to.
    /// - `EPERM`: the object is immutable.
    /// - `ETXTBSY`: the object is a swap file, or a program that is being executed.
    /// - `EINVAL`: the object is neither a regular file nor a block device, or it is empty.
    /// - `EOPNOTSUPP`: it is a file of a file system that is not on a block device of this machine, or
    ///   a program fills it when it is read (`FAN_PRE_ACCESS`).
    /// - `EBUSY`: the object backs a pool already, or the device is mounted.
    /// - `EROFS`: the file system is read-only.
    /// - `ENOMEM`, `ENFILE`: no memory, or too many open files.
    pub(crate) fn open(claims: &Arc<Claims>, file: &LocalFile, is_writable: bool) -> Result<Self> {
        // SAFETY: An open file has an inode.
        let inode = unsafe { (*file.as_ptr()).f_inode };
        // SAFETY: The file is open.
        to_result(unsafe { helpers::mmap_pool_check_backing(file.as_ptr(), is_writable) })?;
        // SAFETY: The inode is valid.
        let mode = u32::from(unsafe { (*inode).i_mode });
        let is_device = mode & bindings::S_IFMT == bindings::S_IFBLK;
        let reads = Queue::new(0)?;
        let (claim, file) = if is_device {
            (None, PrivateFile::reopen_device(file, is_writable, &reads)?)
        } else {
            let claim = Claim::new(claims, inode)?;
            (Some(claim), PrivateFile::reopen(file, is_writable)?)
        };
        // SAFETY: The file is open.
        let is_direct = is_device || unsafe { (*file.as_ptr()).f_flags } & bindings::O_DIRECT != 0;
        // SAFETY: The file is open.
        let is_nowait = unsafe { helpers::mmap_pool_file_has_nowait(file.as_ptr()) };
        let backing = Self {
            reads,
            writes: Queue::new(Io::MAX_WRITERS)?,
            memory: IoMemory::new()?,
            len_bytes: file.len_bytes(),
            file,
            is_device,
            is_writable,
            is_direct,
            is_nowait,
            flush: KBox::pin_init(new_mutex!(0), GFP_KERNEL)?,
            writeback: WritebackLock::new()?,
            nr_running: Atomic::new(0),
            nr_writing: Atomic::new(0),
            nr_read_bytes: Atomic::new(0),
            nr_written_bytes: Atomic::new(0),
            nr_writes: Atomic::new(0),
            nr_errors: Atomic::new(0),
            _claim: claim,
        };
        if backing.len_bytes == 0 {
            return Err(EINVAL);
        }
        Ok(backing)
    }

    /// Returns the size that the object had when it was opened, in bytes.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Returns whether the object is a device that was taken away. It has no bytes then: reads of it
    /// end early, and writes to it fail with `ENOSPC`.
    fn is_gone(&self) -> bool {
        self.is_device && self.file.len_bytes() < self.len_bytes
    }

    /// Returns the storage that the object uses, in units of 512 bytes.
    ///
    /// Some file systems count in their own inode, not in `i_blocks`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `vfs_getattr_nosec()`.
    pub(crate) fn nr_blocks(&self) -> u64 {
        if self.is_device {
            return self.len_bytes() >> 9;
        }
        let mut stat: bindings::kstat = pin_init::zeroed();
        // SAFETY: The path of an open file is valid.
        let ret = unsafe {
            bindings::vfs_getattr_nosec(
                &raw const (*self.file.as_ptr()).__bindgen_anon_1.f_path,
                &mut stat,
                bindings::STATX_BLOCKS,
                0,
            )
        };
        if ret == 0 {
            stat.blocks
        } else {
            0
        }
    }

    /// Returns whether the object was opened for writing.
    pub(crate) fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Returns what the object has read and written.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            nr_read_bytes: self.nr_read_bytes.load(Relaxed),
            nr_written_bytes: self.nr_written_bytes.load(Relaxed),
            nr_writes: self.nr_writes.load(Relaxed),
            nr_errors: self.nr_errors.load(Relaxed),
        }
    }

    /// Makes what was written to the object durable, and calls `report` with an error.
    ///
    /// The private file reports an error once. So this keeps other callers out until all files of
    /// the pool know of it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `vfs_fsync_range()`.
    pub(super) fn flush(
        &self,
        start: i64,
        end: i64,
        is_datasync: bool,
        report: impl FnOnce(c_int),
    ) {
        let mut pending = self.flush.lock();
        let error = self.flush_file(start, end, is_datasync);
        let error = if error == 0 { *pending } else { error };
        *pending = 0;
        if error != 0 {
            report(error);
        }
    }

    /// As [`Self::flush`], for a caller that knows no file of the pool. The next flush reports the
    /// error.
    pub(super) fn flush_all(&self) -> c_int {
        let mut pending = self.flush.lock();
        let error = self.flush_file(0, bindings::loff_t::MAX, false);
        if error != 0 {
            *pending = error;
        }
        error
    }

    fn flush_file(&self, start: i64, end: i64, is_datasync: bool) -> c_int {
        // SAFETY: The file is open.
        unsafe { bindings::vfs_fsync_range(self.file.as_ptr(), start, end, is_datasync.into()) }
    }

    /// Allocates storage for `len_bytes` bytes from byte `offset`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: the object cannot.
    /// - `ENOSPC`: the file system is full.
    ///
    /// C: `vfs_fallocate()` with `FALLOC_FL_KEEP_SIZE`.
    pub(crate) fn allocate(&self, offset: u64, len_bytes: u64) -> Result {
        if self.is_device {
            // All its storage is there.
            return Ok(());
        }
        self.fallocate(falloc::KEEP_SIZE, offset, len_bytes)
    }

    fn fallocate(&self, mode: u32, offset: u64, len_bytes: u64) -> Result {
        // CAST: A few low bits.
        let mode = mode as c_int;
        let (offset, len_bytes) = (offset.try_into()?, len_bytes.try_into()?);
        let file = self.file.as_ptr();
        // SAFETY: The file is open.
        to_result(unsafe { helpers::mmap_pool_fallocate_as_opener(file, mode, offset, len_bytes) })
    }

    /// Keeps holes out. `None` says that one is being made, and that the caller does not wait.
    ///
    /// # Context
    ///
    /// May sleep. If it `waits`, the caller holds neither the invalidate lock nor the lock of a folio.
    /// Writeback that does not wait for the end of writes may come with locked folios
    /// (`collapse_file()`, `mm/khugepaged.c`).
    pub(super) fn allow_writeback(&self, waits: bool) -> Option<WritebackGuard<'_>> {
        let lock = self.writeback.0.get();
        if waits {
            // SAFETY: The semaphore is initialised.
            unsafe { bindings::down_read(lock) };
        // SAFETY: As above.
        } else if unsafe { bindings::down_read_trylock(lock) } == 0 {
            return None;
        }
        Some(WritebackGuard(self, NotThreadSafe))
    }

    /// Waits until nobody begins to write back.
    ///
    /// # Context
    ///
    /// May sleep. The caller holds neither the invalidate lock nor the lock of a folio.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the task is being killed.
    pub(super) fn deny_writeback(&self) -> Result<NoWritebackGuard<'_>> {
        // SAFETY: The semaphore is initialised.
        to_result(unsafe { bindings::down_write_killable(self.writeback.0.get()) })?;
        Ok(NoWritebackGuard(self, NotThreadSafe))
    }

    /// Returns the first byte of data at or after byte `offset`, or with `is_hole`, of a hole.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// C: `vfs_llseek()`.
    pub(super) fn seek(&self, offset: u64, is_hole: bool) -> Result<u64> {
        if offset >= self.len_bytes {
            return Err(ENXIO);
        }
        if self.is_device {
            return Ok(if is_hole { self.len_bytes } else { offset });
        }
        let whence = if is_hole {
            bindings::SEEK_HOLE
        } else {
            bindings::SEEK_DATA
        };
        // The seek changes the position of the file, which is not used otherwise.
        let _guard = self.flush.lock();
        // SAFETY: The file is open.
        let found = unsafe {
            bindings::vfs_llseek(self.file.as_ptr(), offset.try_into()?, whence as c_int)
        };
        let found = u64::try_from(found).map_err(|_| Error::from_errno(found as c_int))?;
        Ok(found.min(self.len_bytes))
    }

    /// Makes a super block and a page cache follow the settings of the object: read-ahead, and
    /// whether a folio must not change while it is written.
    ///
    /// # Safety
    ///
    /// Both are valid and not shared yet.
    pub(super) unsafe fn tune(
        &self,
        sb: *mut bindings::super_block,
        mapping: *mut bindings::address_space,
    ) {
        // SAFETY: The caller's promise. The file is open.
        unsafe { helpers::mmap_pool_follow_backing(sb, mapping, self.file.as_ptr()) };
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        // The last use of `self` by a read or a write is the decrement of this count.
        // SAFETY: The count is valid, and the caller may sleep.
        unsafe { helpers::mmap_pool_wait_for_zero(self.nr_running.as_ptr()) };
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the object into locked folios. The end unlocks them.
    Read,
    /// From folios under writeback to the object. The end ends their writeback.
    Write,
}

/// How much of an I/O is transferred at a time. A transfer of more parts has one result for all: one
/// bad page would take the others with it (`iomap_dio_complete()`, `fs/iomap/direct-io.c`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All that is left.
    All,
    /// A part, because a transfer of all has failed.
    Part,
    /// As above. The part before has failed. So the rest may be transferred at once again.
    PartAfterFailure,
}

/// A read or write of neighbouring folios. A part of it is a page, or for a read, a folio: its folio
/// has one result for all its pages.
///
/// # Invariants
///
/// The first `nr_vecs` elements after this describe `len_bytes` bytes, from byte `pos` on.
#[repr(C)]
struct Io {
    /// The first field: the completion gets a pointer to it.
    kiocb: bindings::kiocb,
    /// That of `kiocb`. A worker uses another, because `read()` may not have returned yet.
    iter: bindings::iov_iter,
    work: bindings::work_struct,
    backing: *const Backing,
    mapping: *mut bindings::address_space,
    direction: Direction,
    is_direct: bool,
    is_pooled: bool,
    extent: Extent,
    /// The folios that know the result, and their bytes.
    nr_ended: usize,
    ended_bytes: usize,
    /// The error of a part of the next folio, as a negative errno, or 0.
    error: c_int,
    failed_bytes: usize,
    /// The one who starts a read, and its completion.
    nr_refs: Atomic<u64>,
    pos: bindings::loff_t,
    len_bytes: usize,
    done_bytes: usize,
    nr_vecs: usize,
    max_vecs: usize,
    vecs: [bindings::bio_vec; 0],
}

impl Io {
    /// The size of an element of [`Backing::memory`].
    const SIZE_BYTES: usize = 8192;
    /// How many folios an I/O can have.
    const MAX_VECS: usize =
        (Self::SIZE_BYTES - offset_of!(Self, vecs)) / size_of::<bindings::bio_vec>();
    /// The most bytes of an I/O.
    const MAX_LEN_BYTES: usize = 8 << 20;
    /// The most writes that run at a time, and that exist. Each has a worker and some memory.
    const MAX_WRITERS: c_int = 16;
    const MAX_WRITES: u64 = 64;
    /// How often an I/O is repeated that failed for want of memory, and after how long.
    const NR_RETRIES: u32 = 20;
    const RETRY_MS: c_uint = 50;
}

/// A read or write that is being put together. It starts when this is dropped.
///
/// # Invariants
///
/// Owns a valid [`Io`]. Its folios are locked, for a read, or under writeback.
pub(super) struct Run<'a> {
    io: NonNull<Io>,
    _backing: PhantomData<&'a Backing>,
}

impl<'a> Run<'a> {
    /// Begins a read of at most `nr_folios` folios. Returns `None` if there is no memory.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Safety
    ///
    /// `mapping` is the page cache that `backing` is behind, and `backing` is not moved or dropped
    /// before the I/O has ended.
    pub(super) unsafe fn read(
        backing: &'a Backing,
        mapping: *mut bindings::address_space,
        nr_folios: usize,
    ) -> Option<Self> {
        let max_vecs = nr_folios.clamp(1, Io::MAX_VECS);
        let size_bytes = offset_of!(Io, vecs) + max_vecs * size_of::<bindings::bio_vec>();
        // SAFETY: The function has no preconditions.
        let io = unsafe { helpers::mmap_pool_io_alloc_read(size_bytes) };
        // SAFETY: The memory is new, and large enough. The caller's promise.
        unsafe { Self::new(backing, mapping, Direction::Read, io, max_vecs, false) }
    }

    /// Begins a write. `None` says that the object has too many, or that there is no memory.
    ///
    /// # Context
    ///
    /// May sleep, but does not wait for another write.
    ///
    /// # Safety
    ///
    /// As [`Self::read`].
    pub(super) unsafe fn try_write(
        backing: &'a Backing,
        mapping: *mut bindings::address_space,
    ) -> Option<Self> {
        let count = backing.nr_writing.as_ptr();
        // SAFETY: The count is valid.
        if !unsafe { helpers::mmap_pool_increment_below(count, Io::MAX_WRITES) } {
            return None;
        }
        // SAFETY: The caller's promise. The count was incremented above.
        let run = unsafe { Self::write_counted(backing, mapping, false) };
        if run.is_none() {
            // SAFETY: As above.
            unsafe { helpers::mmap_pool_decrement_and_wake(count) };
        }
        run
    }

    /// Begins a write. Waits until the object has not too many, and until there is memory.
    ///
    /// Other writes have to end for that. So the caller has none that did not start, and no folio
    /// that another one may wait for.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Safety
    ///
    /// As [`Self::read`].
    pub(super) unsafe fn write(
        backing: &'a Backing,
        mapping: *mut bindings::address_space,
    ) -> Self {
        // SAFETY: The count is valid.
        unsafe {
            helpers::mmap_pool_wait_and_increment(backing.nr_writing.as_ptr(), Io::MAX_WRITES);
        }
        loop {
            // SAFETY: The caller's promise. The count was incremented above.
            if let Some(run) = unsafe { Self::write_counted(backing, mapping, true) } {
                return run;
            }
        }
    }

    /// # Safety
    ///
    /// As [`Self::read`]. `nr_writing` counts the write.
    unsafe fn write_counted(
        backing: &'a Backing,
        mapping: *mut bindings::address_space,
        waits: bool,
    ) -> Option<Self> {
        let memory = backing.memory.0.as_ptr();
        let mut is_pooled = false;
        // SAFETY: The memory is valid, and its elements have this size.
        let io = unsafe {
            helpers::mmap_pool_io_alloc_write(memory, Io::SIZE_BYTES, waits, &mut is_pooled)
        };
        // SAFETY: The memory is new, and large enough. The caller's promise.
        unsafe {
            Self::new(
                backing,
                mapping,
                Direction::Write,
                io,
                Io::MAX_VECS,
                is_pooled,
            )
        }
    }

    /// # Safety
    ///
    /// As [`Self::read`]. `io` is null, or new memory for an [`Io`] of `max_vecs` elements.
    unsafe fn new(
        backing: &'a Backing,
        mapping: *mut bindings::address_space,
        direction: Direction,
        io: *mut c_void,
        max_vecs: usize,
        is_pooled: bool,
    ) -> Option<Self> {
        let io = NonNull::new(io.cast::<Io>())?;
        // SAFETY: The caller's promise. Zeroes are valid for the C structures.
        unsafe {
            io.write(Io {
                kiocb: pin_init::zeroed(),
                iter: bindings::iov_iter::default(),
                work: pin_init::zeroed(),
                backing,
                mapping,
                direction,
                is_direct: backing.is_direct,
                is_pooled,
                extent: Extent::All,
                nr_ended: 0,
                ended_bytes: 0,
                error: 0,
                failed_bytes: 0,
                nr_refs: Atomic::new(1),
                pos: 0,
                len_bytes: 0,
                done_bytes: 0,
                nr_vecs: 0,
                max_vecs,
                vecs: [],
            });
        }
        backing.nr_running.add(1, Relaxed);
        Some(Self {
            io,
            _backing: PhantomData,
        })
    }
}

impl Run<'_> {
    /// Adds a folio whose first `len_bytes` bytes belong to byte `pos` and later. Returns false if
    /// it does not fit: it is no neighbour, or the I/O is full.
    ///
    /// # Safety
    ///
    /// The I/O gets the lock of the folio, or for a write, ends its writeback.
    pub(super) unsafe fn push(
        &mut self,
        folio: NonNull<bindings::folio>,
        pos: bindings::loff_t,
        len_bytes: usize,
    ) -> bool {
        // SAFETY: By the type invariants the I/O is valid and has one owner.
        let io = unsafe { self.io.as_mut() };
        if io.nr_vecs == 0 {
            io.pos = pos;
        } else if io.nr_vecs == io.max_vecs
            || io.len_bytes + len_bytes > Io::MAX_LEN_BYTES
            // A part of a page cannot be written directly, so it is written alone.
            || len_bytes % PAGE_SIZE != 0
            // CAST: At most `MAX_LEN_BYTES`.
            || io.pos + io.len_bytes as bindings::loff_t != pos
        {
            return false;
        }
        // SAFETY: There is memory for `max_vecs` elements.
        unsafe {
            Io::vec(self.io.as_ptr(), io.nr_vecs).write(bindings::bio_vec {
                // The first member of a folio is its first page.
                bv_page: folio.as_ptr().cast(),
                // CAST: At most the size of a folio.
                bv_len: len_bytes as c_uint,
                bv_offset: 0,
            });
        }
        io.nr_vecs += 1;
        io.len_bytes += len_bytes;
        true
    }
}

/// Starts the I/O. Its end unlocks the folios, or ends their writeback.
///
/// # Context
///
/// May sleep, but does not wait for the object's locks.
impl Drop for Run<'_> {
    fn drop(&mut self) {
        let io = self.io.as_ptr();
        // SAFETY: By the type invariants the I/O is valid, and it has one owner. The backing exists
        // until the I/O has ended.
        unsafe {
            if (*io).nr_vecs == 0 {
                // It was not needed.
                Io::put(io);
                return;
            }
            helpers::mmap_pool_init_work(&raw mut (*io).work, Some(Io::work));
            match (*io).direction {
                Direction::Read if (*(*io).backing).is_nowait => Io::read(io),
                _ => Io::enqueue(io),
            }
        }
    }
}

impl Io {
    /// Returns a pointer to an element after the structure.
    ///
    /// # Safety
    ///
    /// `io` is valid, and `index` less than its `max_vecs`.
    unsafe fn vec(io: *mut Self, index: usize) -> *mut bindings::bio_vec {
        // SAFETY: The caller's promise.
        unsafe { (&raw mut (*io).vecs).cast::<bindings::bio_vec>().add(index) }
    }

    /// # Safety
    ///
    /// `io` is valid, and no other function uses it.
    unsafe fn enqueue(io: *mut Self) {
        // SAFETY: The caller's promise. The backing exists until the I/O has ended.
        unsafe {
            let queue = match (*io).direction {
                Direction::Read => &(*(*io).backing).reads,
                Direction::Write => &(*(*io).backing).writes,
            };
            helpers::mmap_pool_queue_work(queue.0.as_ptr(), &raw mut (*io).work);
        }
    }

    /// Begins to read without waiting for a lock of the object. A worker does the rest.
    ///
    /// # Safety
    ///
    /// `io` is valid, and no other function uses it.
    unsafe fn read(io: *mut Self) {
        // SAFETY: The caller's promise. File operations may use the `kiocb` after its completion
        // was called, until they return (`ext4_dio_read_iter()`). So this function has a reference
        // of its own.
        unsafe {
            (*io).nr_refs.store(2, Relaxed);
            let file = (*(*io).backing).file.as_ptr();
            helpers::mmap_pool_init_kiocb(
                &raw mut (*io).kiocb,
                file,
                (*io).pos,
                (*io).is_direct,
                Some(Self::completed),
            );
            (*io).iter = Self::iter(io, (*io).len_bytes);
            let ret =
                helpers::mmap_pool_read_as_opener(file, &raw mut (*io).kiocb, &raw mut (*io).iter);
            if ret != -(bindings::EIOCBQUEUED as isize) {
                Self::completed(&raw mut (*io).kiocb, ret as c_long);
            }
            Self::put(io);
        }
    }

    /// Takes the result of [`Self::read`].
    ///
    /// # Context
    ///
    /// Any, also that of an interrupt.
    ///
    /// # Safety
    ///
    /// `kiocb` belongs to a read, which has ended. The caller gives up a reference.
    unsafe extern "C" fn completed(kiocb: *mut bindings::kiocb, ret: c_long) {
        let io = kiocb.cast::<Self>();
        // SAFETY: The caller's promise: the `kiocb` is the first field.
        unsafe {
            (*io).done_bytes = usize::try_from(ret).unwrap_or(0);
            if (*io).done_bytes == (*io).len_bytes {
                Self::end(io);
                Self::put(io);
            } else {
                Self::enqueue(io);
            }
        }
    }

    /// Returns an iterator over the bytes before byte `end` that are not done.
    ///
    /// # Safety
    ///
    /// `io` is valid. The iterator is not used after its end.
    unsafe fn iter(io: *mut Self, end: usize) -> bindings::iov_iter {
        let mut iter = bindings::iov_iter::default();
        // SAFETY: The caller's promise.
        unsafe {
            let direction = match (*io).direction {
                Direction::Read => bindings::ITER_DEST,
                Direction::Write => bindings::ITER_SOURCE,
            };
            bindings::iov_iter_bvec(&mut iter, direction, Self::vec(io, 0), (*io).nr_vecs, end);
            bindings::iov_iter_advance(&mut iter, (*io).done_bytes);
        }
        iter
    }

    /// Does the rest, in a worker.
    ///
    /// # Safety
    ///
    /// `work` belongs to an I/O whose reference the queue gives up.
    unsafe extern "C" fn work(work: *mut bindings::work_struct) {
        // SAFETY: The caller's promise.
        let io = unsafe { work.byte_sub(offset_of!(Self, work)) }.cast::<Self>();
        // SAFETY: No other function uses the I/O now, but for the end of `read()`, which uses its
        // `kiocb`, iterator and reference only.
        unsafe {
            let (mut flags, mut nr_retries) = (0, 0);
            let file = (*(*io).backing).file.as_ptr();
            let credentials = helpers::mmap_pool_begin_io(file, &mut flags);
            while let Err(error) = Self::transfer(io, &mut nr_retries) {
                let end = Self::end_of_part(io);
                if (*io).extent == Extent::All && end < (*io).len_bytes {
                    // A part has failed, and nobody says which one.
                    (*io).extent = Extent::Part;
                } else {
                    Self::fail(io, end, error);
                    (*io).extent = Extent::PartAfterFailure;
                }
            }
            helpers::mmap_pool_end_io(credentials, flags);
            Self::end(io);
            Self::put(io);
        }
    }

    /// Reads or writes the bytes that are not done, and waits for it.
    ///
    /// # Errors
    ///
    /// The error of the next byte that is not done.
    ///
    /// # Safety
    ///
    /// As in [`Self::work`].
    unsafe fn transfer(io: *mut Self, nr_retries: &mut u32) -> Result {
        let mut kiocb: bindings::kiocb = pin_init::zeroed();
        // SAFETY: The caller's promise. The backing exists until the I/O has ended.
        unsafe {
            let file = (*(*io).backing).file.as_ptr();
            while (*io).done_bytes < (*io).len_bytes {
                let end = match (*io).extent {
                    Extent::All => (*io).len_bytes,
                    Extent::Part | Extent::PartAfterFailure => Self::end_of_part(io),
                };
                // The rest of a transfer may begin within a block.
                let is_direct =
                    (*io).is_direct && (*io).done_bytes % PAGE_SIZE == 0 && end % PAGE_SIZE == 0;
                // CAST: At most `MAX_LEN_BYTES`.
                let pos = (*io).pos + (*io).done_bytes as bindings::loff_t;
                helpers::mmap_pool_init_kiocb(&mut kiocb, file, pos, is_direct, None);
                let mut iter = Self::iter(io, end);
                let ret = match (*io).direction {
                    Direction::Read => bindings::vfs_iocb_iter_read(file, &mut kiocb, &mut iter),
                    Direction::Write => bindings::vfs_iocb_iter_write(file, &mut kiocb, &mut iter),
                };
                if ret > 0 {
                    (*io).done_bytes += ret as usize;
                    if (*io).extent == Extent::PartAfterFailure {
                        (*io).extent = Extent::All;
                    }
                    continue;
                }
                if ret <= 0 && (*(*io).backing).is_gone() {
                    return Err(EIO);
                }
                if ret == 0 {
                    if (*io).direction == Direction::Write {
                        return Err(EIO);
                    }
                    // The object has become smaller.
                    Self::zero_rest(io);
                    (*io).done_bytes = (*io).len_bytes;
                    break;
                }
                match Error::from_errno(ret as c_int) {
                    // The block size of the device is larger than a page, or the like.
                    error if error == EINVAL && is_direct => (*io).is_direct = false,
                    error
                        if [ENOMEM, EAGAIN].contains(&error) && *nr_retries < Self::NR_RETRIES =>
                    {
                        *nr_retries += 1;
                        bindings::msleep(Self::RETRY_MS);
                    }
                    error => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Fills the bytes that are not done with zeroes.
    ///
    /// # Safety
    ///
    /// `io` is a read, its folios that are not done are locked.
    unsafe fn zero_rest(io: *mut Self) {
        // SAFETY: The caller's promise.
        unsafe {
            let mut start = 0;
            for index in 0..(*io).nr_vecs {
                let vec = Self::vec(io, index).read();
                let end = start + vec.bv_len as usize;
                let from = (*io).done_bytes.clamp(start, end);
                if from < end {
                    helpers::mmap_pool_folio_zero(vec.bv_page.cast(), from - start, end - from);
                }
                start = end;
            }
        }
    }

    /// Returns the end of the part with the next byte that is not done.
    ///
    /// # Safety
    ///
    /// `io` is valid, and a byte is not done.
    unsafe fn end_of_part(io: *mut Self) -> usize {
        // SAFETY: The caller's promise.
        unsafe {
            if (*io).direction == Direction::Write {
                let end = ((*io).done_bytes / PAGE_SIZE + 1) * PAGE_SIZE;
                return end.min((*io).len_bytes);
            }
            let (mut index, mut end) = ((*io).nr_ended, (*io).ended_bytes);
            while end <= (*io).done_bytes {
                end += (*Self::vec(io, index)).bv_len as usize;
                index += 1;
            }
            end
        }
    }

    /// Leaves out the bytes before `end` that are not done. Tells the folios before them that they are
    /// done.
    ///
    /// # Safety
    ///
    /// `io` is valid, and `end` is that of the part with the next byte that is not done.
    unsafe fn fail(io: *mut Self, end: usize, error: Error) {
        // SAFETY: The caller's promise.
        unsafe {
            Self::end_before(io, (*io).done_bytes);
            if (*io).error == 0 {
                (*(*io).backing).nr_errors.add(1, Relaxed);
                (*io).error = error.to_errno();
            }
            (*io).failed_bytes += end - (*io).done_bytes;
            (*io).done_bytes = end;
        }
    }

    /// Tells all folios that do not know a result yet that they are done.
    ///
    /// # Safety
    ///
    /// `io` is valid and has ended.
    unsafe fn end(io: *mut Self) {
        // SAFETY: The caller's promise. The backing exists until the last reference is put.
        unsafe {
            let backing = &*(*io).backing;
            let len_bytes = ((*io).len_bytes - (*io).failed_bytes) as u64;
            match (*io).direction {
                Direction::Read => backing.nr_read_bytes.add(len_bytes, Relaxed),
                Direction::Write => {
                    backing.nr_written_bytes.add(len_bytes, Relaxed);
                    backing.nr_writes.add(1, Relaxed);
                }
            }
            Self::end_before(io, usize::MAX);
        }
    }

    /// Tells the folios that end at or before byte `end` that they are done.
    ///
    /// # Safety
    ///
    /// `io` is valid, and the bytes are done.
    unsafe fn end_before(io: *mut Self, end: usize) {
        // SAFETY: The caller's promise.
        unsafe {
            loop {
                let (index, start) = ((*io).nr_ended, (*io).ended_bytes);
                if index == (*io).nr_vecs || start + (*Self::vec(io, index)).bv_len as usize > end {
                    break;
                }
                Self::end_folio(io);
            }
        }
    }

    /// Tells the first folio that does not know a result yet. A read unlocks it, a write ends its
    /// writeback.
    ///
    /// # Safety
    ///
    /// `io` is valid, and there is such a folio.
    unsafe fn end_folio(io: *mut Self) {
        // SAFETY: The caller's promise.
        unsafe {
            let vec = Self::vec(io, (*io).nr_ended).read();
            let folio = vec.bv_page.cast::<bindings::folio>();
            (*io).nr_ended += 1;
            (*io).ended_bytes += vec.bv_len as usize;
            let error = replace(&mut (*io).error, 0);
            match (*io).direction {
                Direction::Read => bindings::folio_end_read(folio, error == 0),
                Direction::Write => {
                    if error != 0 {
                        helpers::mmap_pool_mapping_set_error((*io).mapping, error);
                    }
                    if error == ENOMEM.to_errno() {
                        // `fsync` fails. The bytes are written later.
                        bindings::filemap_dirty_folio((*io).mapping, folio);
                    }
                    bindings::folio_end_writeback(folio);
                }
            }
        }
    }

    /// Gives up a reference. The last frees the I/O.
    ///
    /// # Safety
    ///
    /// `io` is valid, and the caller owns a reference.
    unsafe fn put(io: *mut Self) {
        // SAFETY: The caller's promise.
        unsafe {
            if (*io).nr_refs.fetch_sub(1, Full) > 1 {
                return;
            }
            let (backing, direction) = ((*io).backing, (*io).direction);
            helpers::mmap_pool_io_free((*backing).memory.0.as_ptr(), io.cast(), (*io).is_pooled);
            if direction == Direction::Write {
                helpers::mmap_pool_decrement_and_wake((*backing).nr_writing.as_ptr());
            }
            // From here on the backing may be dropped.
            helpers::mmap_pool_decrement_and_wake((*backing).nr_running.as_ptr());
        }
    }
}
