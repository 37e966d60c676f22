// SPDX-License-Identifier: GPL-2.0

//! A pool: memory made of folios that appear when they are first needed.
//!
//! A pool is an inode. Its folios are the inode's page cache, so there is no other table of them:
//! page `pgoff` of the pool is page `pgoff` of the page cache, and a page that is not there is a
//! hole that reads as zeroes.
//!
//! # Locks
//!
//! In the order in which they are taken: the inode's lock (writers, changes of the size),
//! `mmap_lock` or a VMA lock (whoever faults), the page cache's invalidate lock (exclusive for who
//! takes pages away, shared for who adds one), the lock of one folio. No lock but the inode's is
//! held while bytes are copied from or to userspace, since that may fault on a page of this very
//! pool.

#![forbid(unsafe_code)]

use crate::{
    fs::{
        inode::{Inode, InodeData, InodeGuard},
        pseudo::{FileSystemType, InternalMount, SharedMount},
    },
    mm::{
        fatal_signal_pending,
        folio::{copy_zeroes_to_iter, LockedFolio, NewFolio},
        mapping::MappingOwner,
        totalram_pages,
    },
    strategy::Strategy,
    totals::{Charge, Totals},
    uapi,
};
use core::ops::Range;
use kernel::{
    iov::{IovIterDest, IovIterSource},
    page::{PAGE_SHIFT, PAGE_SIZE},
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
    },
};

static FILE_SYSTEM_TYPE: FileSystemType<Pool> = FileSystemType::new(c"mmap_pool");

/// What all pools hold together.
pub(crate) static TOTALS: Totals = Totals::new();

/// The part of a pool that is not the inode's.
pub(crate) struct Pool {
    kind: Kind,
    strategy: Strategy,
    /// `uapi::SEAL_` bits. Changed under the inode's lock.
    seals: Atomic<u32>,
    /// Changed under the inode's lock.
    is_revoked: Atomic<bool>,
    nr_faults: Atomic<u64>,
    nr_allocated_pages: Atomic<u64>,
}

enum Kind {
    /// The pool of the device node: a write past its end finds no space, as on a block device.
    Default,
    /// A pool with files of its own: a write past its end makes it larger, as with any file.
    Created {
        name: CString,
        /// The inode's file system exists as long as its pool.
        _mount: SharedMount<Pool>,
    },
}

impl InodeData for Pool {
    /// "MPol".
    const MAGIC: u32 = 0x4d50_6f6c;

    fn file_system_type() -> &'static FileSystemType<Self> {
        &FILE_SYSTEM_TYPE
    }

    fn resize(pool: &InodeGuard<'_, Self>, len_bytes: u64) -> Result {
        pool.resize(len_bytes)
    }
}

impl MappingOwner for Pool {
    fn pages_removed(nr_pages: usize) {
        TOTALS.uncharge(nr_pages);
    }
}

impl Pool {
    fn new(kind: Kind, strategy: Strategy) -> Self {
        TOTALS.pool_created();
        Self {
            kind,
            strategy,
            seals: Atomic::new(0),
            is_revoked: Atomic::new(false),
            nr_faults: Atomic::new(0),
            nr_allocated_pages: Atomic::new(0),
        }
    }

    /// Returns the largest size of the default pool: the machine's memory, in whole MiB.
    pub(crate) fn max_default_len_bytes() -> u64 {
        ((totalram_pages() as u64) << PAGE_SHIFT) & !((1 << 20) - 1)
    }

    /// Creates the pool of the device node, without a single page.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory for its inode.
    pub(crate) fn new_default(
        mount: &InternalMount<Self>,
        len_bytes: u64,
        strategy: Strategy,
    ) -> Result<ARef<Inode<Self>>> {
        Inode::new(mount, len_bytes, Self::new(Kind::Default, strategy))
    }

    /// Creates a pool of its own, without a single page.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: more bytes than a file can have.
    /// - `ENOMEM`: no memory for its inode.
    pub(crate) fn new_created(
        name: CString,
        len_bytes: u64,
        strategy: Strategy,
    ) -> Result<ARef<Inode<Self>>> {
        let mount = SharedMount::new()?;
        let kind = Kind::Created {
            name,
            _mount: SharedMount::new()?,
        };
        Inode::new(&mount, len_bytes, Self::new(kind, strategy))
    }

    fn is_sealed(&self, seal: u32) -> bool {
        self.seals.load(Relaxed) & seal != 0
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        TOTALS.pool_dropped();
    }
}

impl Inode<Pool> {
    /// Returns whether this is the pool of the device node.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self.data().kind, Kind::Default)
    }

    /// Returns the name that the pool was created with.
    pub(crate) fn name(&self) -> &CStr {
        match &self.data().kind {
            Kind::Default => c"",
            Kind::Created { name, .. } => name,
        }
    }

    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    pub(crate) fn check_alive(&self) -> Result {
        if self.data().is_revoked.load(Relaxed) {
            Err(ENODEV)
        } else {
            Ok(())
        }
    }

    /// Returns whether the pool is sealed against writing.
    pub(crate) fn is_write_sealed(&self) -> bool {
        self.data().is_sealed(uapi::SEAL_WRITE)
    }

    /// Resolves a fault on page `pgoff`: returns its folio, allocated if there is none, locked.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// As [`Self::locked_folio`].
    pub(crate) fn fault(&self, pgoff: usize) -> Result<LockedFolio> {
        self.data().nr_faults.add(1, Relaxed);
        self.locked_folio(pgoff, || self.nr_pages())
    }

    /// Returns the folio that holds page `pgoff`, allocated if there is none, locked. The page has
    /// to be below `end()`, which is asked anew whenever that may have changed.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: the page is at or past the end.
    /// - `ENOSPC`: the limit for all pools is reached.
    /// - `ENOMEM`: no memory, or the memory cgroup is at its limit.
    fn locked_folio(&self, pgoff: usize, end: impl Fn() -> usize) -> Result<LockedFolio> {
        let check = || if pgoff < end() { Ok(()) } else { Err(ENXIO) };
        loop {
            check()?;
            if let Some(folio) = self.mapping().lock_folio(pgoff) {
                // A folio that is locked cannot be truncated, but may have been about to be.
                return check().map(|()| folio);
            }
            let charge = TOTALS.charge()?;
            let new = NewFolio::zeroed(self.mapping().gfp_mask())?;
            let _guard = self.mapping().invalidate_lock_shared();
            check()?;
            match self.mapping().add_folio(new, pgoff) {
                Ok(folio) => {
                    // From here on `pages_removed()` gives it back.
                    Charge::keep(charge);
                    self.data().nr_allocated_pages.add(1, Relaxed);
                    return Ok(folio);
                }
                // Somebody else was faster: take theirs.
                Err(error) if error == EEXIST => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Copies from byte `pos` of the pool until `iov` is full or the pool ends. Reading a hole
    /// allocates nothing.
    ///
    /// Returns how many bytes were copied, 0 at or past the end.
    ///
    /// # Context
    ///
    /// May sleep and may fault.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EFAULT`: not one byte could be copied.
    pub(crate) fn read(&self, pos: u64, iov: &mut IovIterDest<'_>) -> Result<usize> {
        self.check_alive()?;
        let mut done = 0;
        while let Some(chunk) = Chunk::at(pos + done as u64, iov.len(), self.len_bytes()) {
            let copied = match self.mapping().folio(chunk.pgoff) {
                Some(folio) => folio.copy_to_iter(chunk.offset, chunk.len, iov),
                None => copy_zeroes_to_iter(chunk.len, iov),
            };
            done += copied;
            if copied < chunk.len {
                return if done > 0 { Ok(done) } else { Err(EFAULT) };
            }
        }
        Ok(done)
    }

    /// Allocates the pages of the `len_bytes` bytes from byte `offset` that have none.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EINVAL`: the range is empty or not within the pool.
    /// - `EINTR`: the task is being killed.
    /// - Otherwise as [`Self::locked_folio`].
    pub(crate) fn prefault(&self, offset: u64, len_bytes: u64) -> Result {
        self.check_alive()?;
        let end = offset.checked_add(len_bytes).ok_or(EINVAL)?;
        if len_bytes == 0 || end > self.len_bytes() {
            return Err(EINVAL);
        }
        self.allocate(pages(offset, end), || self.nr_pages())
    }

    fn allocate(&self, pages: Range<usize>, end: impl Fn() -> usize) -> Result {
        for pgoff in pages {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            self.locked_folio(pgoff, &end)?;
        }
        Ok(())
    }

    /// Returns the first byte of data (or of a hole, if `is_hole`) at or after byte `offset`. The
    /// end of the pool counts as a hole.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: there is none, or `offset` is at or past the end.
    pub(crate) fn seek(&self, offset: u64, is_hole: bool) -> Result<u64> {
        let len_bytes = self.len_bytes();
        if offset >= len_bytes {
            return Err(ENXIO);
        }
        let end = self.nr_pages();
        let start = (offset >> PAGE_SHIFT) as usize;
        let found = if is_hole {
            (start..end)
                .find(|&pgoff| self.mapping().next_page(pgoff, pgoff + 1).is_none())
                .unwrap_or(end)
        } else {
            self.mapping().next_page(start, end).ok_or(ENXIO)?
        };
        Ok(((found as u64) << PAGE_SHIFT).clamp(offset, len_bytes))
    }

    /// Describes the pool.
    pub(crate) fn info(&self) -> uapi::Info {
        let mut flags = 0;
        if self.is_default() {
            flags |= uapi::FLAG_DEFAULT;
        }
        if self.check_alive().is_err() {
            flags |= uapi::FLAG_REVOKED;
        }
        uapi::Info {
            size_bytes: self.len_bytes(),
            nr_resident_pages: self.mapping().nr_pages() as u64,
            nr_faults: self.data().nr_faults.load(Relaxed),
            nr_allocated_pages: self.data().nr_allocated_pages.load(Relaxed),
            page_size_bytes: PAGE_SIZE as u32,
            abi_version: uapi::ABI_VERSION,
            seals: self.data().seals.load(Relaxed),
            flags,
            strategy: self.data().strategy as u32,
            reserved: [0; 3],
        }
    }

    fn nr_pages(&self) -> usize {
        pages(0, self.len_bytes()).end
    }
}

impl InodeGuard<'_, Pool> {
    /// Copies `iov` to byte `pos` of the pool, until `iov` is empty. Readers and mappings do not
    /// wait for it.
    ///
    /// Returns how many bytes were copied.
    ///
    /// # Context
    ///
    /// May sleep and may fault.
    ///
    /// # Errors
    ///
    /// Only if not one byte was copied:
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: a seal forbids it.
    /// - `ENOSPC`: `pos` is at or past the end of the default pool, or the limit for all pools is
    ///   reached.
    /// - `ENOMEM`: no memory, or the memory cgroup is at its limit.
    /// - `EFAULT`: `iov` cannot be read.
    /// - `EINTR`: the task is being killed.
    pub(crate) fn write(&self, pos: u64, iov: &mut IovIterSource<'_>) -> Result<usize> {
        // None of this changes while the lock is held.
        self.check_alive()?;
        if self.is_write_sealed() {
            return Err(EPERM);
        }
        let end = pos.saturating_add(iov.len() as u64);
        if end > self.len_bytes() && !self.is_default() && self.data().is_sealed(uapi::SEAL_GROW) {
            // As for memfd: not even the part before the end.
            return Err(EPERM);
        }
        let mut done = 0;
        while !iov.is_empty() {
            match self.write_chunk(pos + done as u64, iov) {
                Ok(copied) => done += copied,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// As [`Self::write`], within a page.
    fn write_chunk(&self, pos: u64, iov: &mut IovIterSource<'_>) -> Result<usize> {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let end = if self.is_default() {
            self.len_bytes()
        } else {
            i64::MAX as u64
        };
        let chunk = Chunk::at(pos, iov.len(), end).ok_or(ENOSPC)?;
        let grows = pos + chunk.len as u64 > self.len_bytes();
        let folio = self.locked_folio(chunk.pgoff, || usize::MAX)?.unlock();
        let copied = folio.copy_from_iter(chunk.offset, chunk.len, iov);
        if grows && copied > 0 {
            self.grow_to(self.len_bytes().max(pos + copied as u64));
        }
        if copied < chunk.len {
            // The page may be past the end, where nobody would ever find it.
            self.set_len(self.len_bytes())?;
        }
        if copied > 0 {
            Ok(copied)
        } else {
            Err(EFAULT)
        }
    }

    /// Changes the size.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: a seal forbids it.
    /// - `EINVAL`: more bytes than a file can have.
    pub(crate) fn resize(&self, len_bytes: u64) -> Result {
        self.check_alive()?;
        let forbidden = match len_bytes.cmp(&self.len_bytes()) {
            core::cmp::Ordering::Less => uapi::SEAL_SHRINK,
            core::cmp::Ordering::Equal => 0,
            core::cmp::Ordering::Greater => uapi::SEAL_GROW,
        };
        if self.data().is_sealed(forbidden) {
            return Err(EPERM);
        }
        self.set_len(len_bytes)
    }

    /// Makes a hole of `len_bytes` bytes from byte `offset`.
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
    pub(crate) fn punch_hole(&self, offset: u64, len_bytes: u64) -> Result {
        self.check_alive()?;
        if self.is_write_sealed() {
            return Err(EPERM);
        }
        self.punch(offset, len_bytes)
    }

    /// Allocates the pages of the `len_bytes` bytes from byte `offset` that have none, past the
    /// end too. Makes the pool that large, unless `keeps_size`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool is sealed against growing, and would.
    /// - `EFBIG`: the process may not have files that large.
    /// - `EINTR`: the task is being killed.
    /// - Otherwise as [`Inode::locked_folio`].
    pub(crate) fn fallocate(&self, offset: u64, len_bytes: u64, keeps_size: bool) -> Result {
        let end = self.check_fallocate(offset, len_bytes)?;
        self.allocate(pages(offset, end), || usize::MAX)?;
        if end > self.len_bytes() && !keeps_size {
            self.grow_to(end);
        }
        Ok(())
    }

    /// Returns the end of what [`Self::fallocate`] is to allocate, if that is allowed.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool is sealed against growing, and would.
    /// - `EFBIG`: the process may not have files that large.
    pub(crate) fn check_fallocate(&self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.check_alive()?;
        let end = offset.checked_add(len_bytes).ok_or(EFBIG)?;
        self.check_new_len(end)?;
        if end > self.len_bytes() && self.data().is_sealed(uapi::SEAL_GROW) {
            return Err(EPERM);
        }
        Ok(end)
    }

    /// Adds `seals`, for good.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EINVAL`: an unknown seal.
    /// - `EPERM`: the pool is sealed against seals.
    /// - `EBUSY`: a seal against writing, and there is a shared mapping that can be written to.
    pub(crate) fn seal(&self, seals: u32) -> Result {
        const ALL: u32 = uapi::SEAL_SEAL | uapi::SEAL_SHRINK | uapi::SEAL_GROW | uapi::SEAL_WRITE;

        self.check_alive()?;
        if seals & !ALL != 0 {
            return Err(EINVAL);
        }
        if self.data().is_sealed(uapi::SEAL_SEAL) {
            return Err(EPERM);
        }
        let _guard = if seals & uapi::SEAL_WRITE != 0 {
            Some(self.mapping().deny_writable()?)
        } else {
            None
        };
        let old = self.data().seals.load(Relaxed);
        self.data().seals.store(old | seals, Relaxed);
        Ok(())
    }

    /// Takes the pool away from everybody.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: it was revoked before.
    pub(crate) fn revoke(&self) -> Result {
        self.check_alive()?;
        self.data().is_revoked.store(true, Relaxed);
        // With no page left below the end, faults need no other check.
        self.set_len(0)
    }
}

/// Returns the pages that the bytes from `start` to `end` lie in.
fn pages(start: u64, end: u64) -> Range<usize> {
    let end = end.div_ceil(PAGE_SIZE as u64);
    (start >> PAGE_SHIFT) as usize..end as usize
}

/// The next piece of a copy: bytes of a single page.
struct Chunk {
    pgoff: usize,
    /// In bytes, from the start of the page.
    offset: usize,
    /// In bytes, never 0.
    len: usize,
}

impl Chunk {
    /// Returns what can be copied at byte `pos` if `wanted` bytes are left to copy and the pool has
    /// `end` bytes, or `None` if that is nothing.
    fn at(pos: u64, wanted: usize, end: u64) -> Option<Self> {
        let left = end.checked_sub(pos)?;
        let offset = pos as usize % PAGE_SIZE;
        let len = wanted
            .min(PAGE_SIZE - offset)
            .min(left.try_into().unwrap_or(usize::MAX));
        (len > 0).then_some(Self {
            pgoff: (pos >> PAGE_SHIFT) as usize,
            offset,
            len,
        })
    }
}
