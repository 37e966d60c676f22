// SPDX-License-Identifier: GPL-2.0

//! A backed pool: an inode whose page cache holds parts of a file or of a block device.
//!
//! The kernel reads pages in, marks them as dirty, writes them back and drops them when memory is
//! short, as it does for any file (`fs/backed.rs`). So such a pool can be larger than memory. This
//! file: seals, revocation, and which pages were written.
//!
//! # Locks
//!
//! In the order of locking:
//!
//! 1. the inode's lock: writers;
//! 2. `mmap_lock` or a VMA lock: page faults;
//! 3. the invalidate lock of the page cache;
//! 4. the lock of a folio;
//! 5. the locks of the backing object, which workers take while they read or write it.
//!
//! A task that holds a lock of the backing object may fault on a page of the pool: `write(2)` to the
//! object, from a mapping. So no task waits for a lock of the object while it holds the invalidate
//! lock or a folio's lock. It waits for a folio, where it can be killed. A fault takes neither the
//! lock of an inode nor that of writeback, so `fallocate` may hold both.
//!
//! The lock of writeback comes after the inode's. Writeback takes it shared before it locks a folio. Who
//! makes a hole takes it exclusively, and then the locks of the object, and after them, those of folios.

use crate::{
    fs::{
        backed::BackedData,
        backing::Backing,
        inode::{
            Inode,
            InodeData,
            InodeGuard, //
        },
        pseudo::FileSystemType, //
    },
    mm::{
        cond_resched,
        fatal_signal_pending,
        vm_ops::{
            BackedVmOperations,
            FaultError, //
        }, //
    },
    pool::TOTALS,
    totals::CountedPool,
    uapi, //
};
use core::ops::Range;
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    }, //
};

static FILE_SYSTEM_TYPE: FileSystemType<BackedPool> =
    FileSystemType::new_backed(c"mmap_pool_backed");

/// The driver's data in the inode of a backed pool.
#[pin_data]
pub(crate) struct BackedPool {
    _counted: CountedPool<'static>,
    name: [u8; uapi::NAME_LEN],
    /// `uapi::SEAL_` bits. Changed under the inode's lock.
    seals: Atomic<u32>,
    /// Set before the pool is written back for the last time.
    is_closed: Atomic<bool>,
    /// The pages that were written since the last question.
    written: Option<PageSet>,
}

impl InodeData for BackedPool {
    /// "MPbk".
    const MAGIC: u32 = 0x4d50_626b;

    fn file_system_type() -> &'static FileSystemType<Self> {
        &FILE_SYSTEM_TYPE
    }

    /// The size is that of the backing object.
    fn resize(pool: &InodeGuard<'_, Self>, len_bytes: u64) -> Result {
        pool.check_alive()?;
        if len_bytes == pool.len_bytes() {
            Ok(())
        } else {
            Err(EPERM)
        }
    }

    fn check_write(pool: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<usize> {
        pool.check_alive()?;
        if pool.is_write_sealed() {
            return Err(EPERM);
        }
        match pool.len_bytes().checked_sub(pos) {
            None | Some(0) => Err(ENOSPC),
            Some(left) => Ok(len.min(left.try_into().unwrap_or(usize::MAX))),
        }
    }

    fn nr_blocks(pool: &Inode<Self>) -> u64 {
        pool.backing().nr_blocks()
    }
}

impl BackedData for BackedPool {
    /// A folio becomes writable as a whole, and only its pages are to be reported.
    fn has_single_pages(&self) -> bool {
        self.written.is_some()
    }

    fn check_alive(pool: &Inode<Self>) -> Result {
        pool.check_alive()
    }

    fn dirtied(pool: &Inode<Self>, pages: Range<usize>) {
        if let Some(written) = &pool.data().written {
            pages.for_each(|page| written.set(page));
        }
    }
}

/// The operations on mappings of a backed pool.
pub(crate) struct BackedPoolVmOps;

impl BackedVmOperations for BackedPoolVmOps {
    type Object = Inode<BackedPool>;

    fn page_mkwrite(pool: &Inode<BackedPool>) -> Result<(), FaultError> {
        Ok(pool.check_alive()?)
    }
}

impl BackedPool {
    /// Returns the data of a pool that `backing` is behind.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory to track so many pages.
    pub(crate) fn new(
        backing: &Backing,
        name: [u8; uapi::NAME_LEN],
        is_tracked: bool,
    ) -> Result<impl PinInit<Self, Error>> {
        let mut seals = uapi::SEAL_SHRINK | uapi::SEAL_GROW;
        if !backing.is_writable() {
            seals |= uapi::SEAL_WRITE;
        }
        let written = if is_tracked {
            let nr_pages = backing.len_bytes().div_ceil(PAGE_SIZE as u64);
            Some(PageSet::new(nr_pages.try_into()?)?)
        } else {
            None
        };
        Ok(try_pin_init!(Self {
            _counted: TOTALS.count_pool(),
            name,
            seals: Atomic::new(seals),
            is_closed: Atomic::new(false),
            written,
        }))
    }
}

impl Inode<BackedPool> {
    /// Returns the name given to `CREATE`.
    pub(crate) fn name(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.data().name).unwrap_or(c"")
    }

    /// Checks that the pool was not revoked.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    pub(crate) fn check_alive(&self) -> Result {
        if self.data().is_closed.load(Relaxed) {
            Err(ENODEV)
        } else {
            Ok(())
        }
    }

    /// Returns whether the pool is sealed against writing.
    pub(crate) fn is_write_sealed(&self) -> bool {
        self.data().seals.load(Relaxed) & uapi::SEAL_WRITE != 0
    }

    /// Describes the pool.
    pub(crate) fn info(&self) -> uapi::Info {
        let mut flags = uapi::FLAG_BACKED;
        if self.check_alive().is_err() {
            flags |= uapi::FLAG_REVOKED;
        }
        uapi::Info {
            size_bytes: self.len_bytes(),
            nr_resident_pages: self.page_cache().nr_pages() as u64,
            page_size_bytes: PAGE_SIZE as u32,
            abi_version: uapi::ABI_VERSION,
            seals: self.data().seals.load(Relaxed),
            flags,
            ..uapi::Info::default()
        }
    }

    /// Describes the backing object.
    pub(crate) fn describe_backing(&self) -> uapi::Backing {
        let (nr_dirty_pages, nr_writeback_pages) = self.nr_unwritten_pages();
        let counts = self.backing().counts();
        uapi::Backing {
            nr_dirty_pages: nr_dirty_pages as u64,
            nr_writeback_pages: nr_writeback_pages as u64,
            nr_read_bytes: counts.nr_read_bytes,
            nr_written_bytes: counts.nr_written_bytes,
            nr_writes: counts.nr_writes,
            nr_errors: counts.nr_errors,
            reserved: [0; 2],
        }
    }

    /// Revokes the pool: writes back what is dirty, and then every later access fails with `ENODEV`
    /// or `SIGBUS`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked before.
    /// - `EIO` and others: the error of a write-back. The pool is revoked all the same.
    pub(crate) fn revoke_pool(&self) -> Result {
        if self.data().is_closed.xchg(true, Full) {
            return Err(ENODEV);
        }
        // From here on no hole is made, and no page becomes dirty. Pages that are writable in a
        // mapping are dirty, and the write-back makes them read-only.
        self.wait_for_holes();
        let written = self.write_back();
        // Nor does a read begin. Wait for those that have begun before the invalidate lock is taken:
        // they may wait for a task that holds a lock of the object and faults on a page of the pool.
        self.page_cache().wait_for_folios();
        self.revoke();
        written
    }

    /// Calls `answer` with the words that tell which pages of a range were written since the last
    /// question, 64 pages each, and forgets what it has accepted.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `ENOTTY`: the pool does not track writes.
    /// - `EINVAL`: the range is empty, not inside the pool, or does not begin at a page.
    /// - `EINTR`: the task is being killed.
    /// - Otherwise the errors of `answer`.
    pub(crate) fn take_written(
        &self,
        offset: u64,
        len_bytes: u64,
        mut answer: impl FnMut(u64) -> Result,
    ) -> Result {
        let written = self.data().written.as_ref().ok_or(ENOTTY)?;
        self.check_alive()?;
        let end = offset.checked_add(len_bytes).ok_or(EINVAL)?;
        if len_bytes == 0 || end > self.len_bytes() || offset % PAGE_SIZE as u64 != 0 {
            return Err(EINVAL);
        }
        let end = end.div_ceil(PAGE_SIZE as u64) as usize;
        let mut start = (offset >> PAGE_SHIFT) as usize;
        while start < end {
            let pages = start..end.min(start + u64::BITS as usize);
            let mut word = 0;
            let result = pages.clone().try_for_each(|page| {
                if !written.take(page) {
                    return Ok(());
                }
                word |= 1 << (page - start);
                // A store before the protection is in this answer. One after it faults, and is in
                // the next. So is the page if a store may come without a fault.
                if !self.protect(page)? {
                    written.set(page);
                }
                Ok(())
            });
            if let Err(error) = result.and_then(|()| answer(word)) {
                pages
                    .filter(|page| word >> (page - start) & 1 != 0)
                    .for_each(|page| written.set(page));
                return Err(error);
            }
            start = pages.end;
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            cond_resched();
        }
        Ok(())
    }
}

/// A set of pages. Any task may change it.
struct PageSet(KVVec<Atomic<u64>>);

impl PageSet {
    /// Creates a set that can hold pages below `nr_pages`.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory, or more than 2 GiB of it.
    fn new(nr_pages: usize) -> Result<Self> {
        let nr_words = nr_pages.div_ceil(u64::BITS as usize);
        // The allocator warns of more.
        if nr_words > i32::MAX as usize / size_of::<u64>() {
            return Err(ENOMEM);
        }
        let mut words = KVVec::with_capacity(nr_words, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..nr_words {
            words.push(Atomic::new(0), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self(words))
    }

    fn word(&self, page: usize) -> Option<(&Atomic<u64>, u64)> {
        let word = self.0.get(page / u64::BITS as usize)?;
        Some((word, 1 << (page % u64::BITS as usize)))
    }

    /// Adds a page.
    fn set(&self, page: usize) {
        let Some((word, bit)) = self.word(page) else {
            return;
        };
        let mut before = word.load(Relaxed);
        while before & bit == 0 {
            match word.cmpxchg(before, before | bit, Full) {
                Ok(_) => break,
                Err(now) => before = now,
            }
        }
    }

    /// Removes a page, and returns whether it was there. If it was, all earlier and later accesses
    /// are ordered.
    fn take(&self, page: usize) -> bool {
        let Some((word, bit)) = self.word(page) else {
            return false;
        };
        let mut before = word.load(Relaxed);
        while before & bit != 0 {
            match word.cmpxchg(before, before & !bit, Full) {
                Ok(_) => return true,
                Err(now) => before = now,
            }
        }
        false
    }
}

impl InodeGuard<'_, BackedPool> {
    /// Adds `seals`. Seals are never removed. What is dirty is written back before the pool is
    /// sealed against writing.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EINVAL`: an unknown seal.
    /// - `EPERM`: the pool is sealed against more seals.
    /// - `EBUSY`: a seal against writing, while a writable shared mapping exists.
    /// - `EIO` and others: the write-back failed.
    pub(crate) fn seal(&self, seals: u32) -> Result {
        const ALL: u32 = uapi::SEAL_SEAL | uapi::SEAL_SHRINK | uapi::SEAL_GROW | uapi::SEAL_WRITE;

        self.check_alive()?;
        if seals & !ALL != 0 {
            return Err(EINVAL);
        }
        let old = self.data().seals.load(Relaxed);
        if old & uapi::SEAL_SEAL != 0 {
            return Err(EPERM);
        }
        let _guard = if seals & uapi::SEAL_WRITE != 0 {
            let guard = self.page_cache().deny_writable()?;
            self.write_back()?;
            Some(guard)
        } else {
            None
        };
        self.data().seals.store(old | seals, Relaxed);
        Ok(())
    }
    /// Checks that storage for bytes before `end` may change.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool is sealed against writing, or has less bytes.
    pub(crate) fn check_storage(&self, end: u64) -> Result {
        self.check_alive()?;
        if self.is_write_sealed() || end > self.len_bytes() {
            return Err(EPERM);
        }
        Ok(())
    }

    /// Makes a hole of `len_bytes` bytes from byte `offset`, in the pool and in the object.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool is sealed against writing.
    /// - `EINVAL`: the range is empty or reaches beyond a file's bounds.
    /// - Otherwise the errors of [`Self::zero`].
    pub(crate) fn punch_hole(&self, offset: u64, len_bytes: u64) -> Result {
        let end = offset.checked_add(len_bytes).ok_or(EINVAL)?;
        if len_bytes == 0 || i64::try_from(end).is_err() {
            return Err(EINVAL);
        }
        self.check_storage(end.min(self.len_bytes()))?;
        self.zero(offset, end, true)
    }
}
