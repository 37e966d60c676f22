// SPDX-License-Identifier: GPL-2.0

//! Reads, writes, `lseek`, `fallocate` and `PREFAULT` on a pool.

use super::{
    fault::Bounds,
    pages,
    Pool, //
};
use crate::{
    fs::inode::{
        Inode,
        InodeGuard, //
    },
    mm::{
        cond_resched,
        fatal_signal_pending,
        folio::{
            copy_zeroes_to_iter,
            LockedFolio, //
        }, //
    },
    uapi, //
};
use core::ops::Range;
use kernel::{
    iov::IovIterDest,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::Relaxed, //
};

impl Inode<Pool> {
    /// Copies from byte `pos` of the pool until `iov` is full or the pool ends. A hole reads as
    /// zeroes and allocates nothing.
    ///
    /// Returns the number of bytes copied: 0 at or past the end.
    ///
    /// # Context
    ///
    /// May sleep and may fault.
    ///
    /// # Errors
    ///
    /// Only if no byte was copied:
    /// - `ENODEV`: the pool was revoked.
    /// - `EIO`: a hardware memory error.
    /// - `EFAULT`: `iov` cannot be written.
    #[inline]
    pub(crate) fn read(&self, pos: u64, iov: &mut IovIterDest<'_>) -> Result<usize> {
        self.check_alive()?;
        let mut done = 0;
        while !iov.is_empty() {
            let Some(chunk) = Chunk::at(pos + done as u64, iov.len(), self.len_bytes()) else {
                break;
            };
            let (wanted, copied) = match self.page_cache().folio(chunk.pgoff()) {
                Some(folio) => match folio.part(chunk.pos, chunk.len) {
                    Ok(part) => (part.len(), part.copy_to_iter(iov)),
                    Err(_) if done > 0 => break,
                    Err(error) => return Err(error),
                },
                None if !self.is_hole(chunk.pgoff()) => continue,
                None => {
                    let len = chunk.within_page();
                    (len, copy_zeroes_to_iter(len, iov))
                }
            };
            done += copied;
            if copied < wanted {
                return if done > 0 { Ok(done) } else { Err(EFAULT) };
            }
        }
        if done == 0 {
            // A revoked pool has size 0, but no end of file.
            self.check_alive()?;
        }
        Ok(done)
    }

    /// Returns whether page `pgoff`, which the page cache did not hold, is a hole. Truncation
    /// changes the size and the page cache at different times; the invalidate lock makes this see
    /// both or neither.
    fn is_hole(&self, pgoff: usize) -> bool {
        let _guard = self.page_cache().invalidate_lock_shared();
        pgoff < self.nr_pages() && self.page_cache().next_page(pgoff, pgoff + 1).is_none()
    }
}

impl InodeGuard<'_, Pool> {
    /// Returns how many of `len` bytes from byte `pos` may be written: at least one.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool is sealed against writing; or it is sealed against growing and `pos` is
    ///   at or past its end.
    /// - `ENOSPC`: `pos` is at or past the end of the default pool; or the strategy keeps pages and
    ///   the limit for all pools does not allow those before `pos`.
    #[inline(always)]
    pub(super) fn check_write(&self, pos: u64, len: usize) -> Result<usize> {
        self.check_alive()?;
        let seals = self.data().seals.load(Relaxed);
        if seals & uapi::SEAL_WRITE != 0 {
            return Err(EPERM);
        }
        let len_bytes = self.len_bytes();
        let (end, error) = if self.is_default() {
            (len_bytes, ENOSPC)
        } else if seals & uapi::SEAL_GROW != 0 {
            (len_bytes, EPERM)
        } else {
            (i64::MAX as u64, ENOSPC)
        };
        let Some(chunk) = Chunk::at(pos, len, end) else {
            // A revoked pool has size 0, but no end of file.
            self.check_alive()?;
            return Err(error);
        };
        if pos > len_bytes {
            self.fill_up_to(pos)?;
        }
        Ok(chunk.len)
    }

    /// Returns the folio that holds byte `pos`, locked, for a write of `len` bytes.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `ENOSPC`: the limit for all pools is reached.
    /// - `ENOMEM`: no memory, or the memory cgroup is at its limit.
    /// - `EIO`: a hardware memory error.
    #[inline]
    pub(super) fn write_begin(&self, pos: u64, len: usize) -> Result<LockedFolio> {
        let pgoff = (pos >> PAGE_SHIFT) as usize;
        // Only `revoke()` could remove the page now, and it waits for the folio's lock.
        let folio = match self.lock_folio(pgoff) {
            Some(folio) => folio,
            None => self.folio_for_write(pgoff, pos + len as u64)?,
        };
        folio.check_intact()?;
        Ok(folio)
    }

    /// The slow path of [`Self::write_begin`]: the page cache does not hold the page.
    #[inline(never)]
    fn folio_for_write(&self, pgoff: usize, end: u64) -> Result<LockedFolio> {
        let bounds = Bounds::up_to(self.len_bytes().max(end));
        Ok(self.get_folio(pgoff, || bounds)?.0)
    }
}

impl Inode<Pool> {
    /// Returns the first byte of data at or after byte `offset`, or with `is_hole`, of a hole. The
    /// end of the pool counts as a hole.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: no data follows, or `offset` is at or past the end.
    /// - `EINTR`: the task is being killed.
    pub(crate) fn seek(&self, offset: u64, is_hole: bool) -> Result<u64> {
        let len_bytes = self.len_bytes();
        if offset >= len_bytes {
            return Err(ENXIO);
        }
        let end = self.nr_pages();
        let start = (offset >> PAGE_SHIFT) as usize;
        let found = if is_hole {
            let mut pgoff = start;
            while pgoff < end && self.page_cache().next_page(pgoff, pgoff + 1).is_some() {
                if fatal_signal_pending() {
                    return Err(EINTR);
                }
                cond_resched();
                pgoff += 1;
            }
            pgoff
        } else {
            self.page_cache().next_page(start, end).ok_or(ENXIO)?
        };
        Ok(((found as u64) << PAGE_SHIFT).clamp(offset, len_bytes))
    }

    /// Allocates the missing pages of the `len_bytes` bytes from byte `offset`. After a failure the
    /// pages allocated so far stay, as with `MADV_POPULATE_READ`.
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
    /// - Otherwise as [`Self::get_folio`].
    pub(crate) fn prefault(&self, offset: u64, len_bytes: u64) -> Result {
        self.check_alive()?;
        let end = offset.checked_add(len_bytes).ok_or(EINVAL)?;
        if len_bytes == 0 || end > self.len_bytes() {
            // A revoked pool has size 0, but `EINVAL` would be wrong.
            self.check_alive()?;
            return Err(EINVAL);
        }
        self.allocate(pages(offset, end), || self.bounds(), |_| ())
            .map_err(|error| {
                // `ENXIO` means that the pool shrank or was revoked after the check.
                if error != ENXIO {
                    error
                } else if self.is_revoked() {
                    ENODEV
                } else {
                    EINVAL
                }
            })
    }

    /// Allocates the missing pages of `pages`, within `bounds()`. Calls `added` for each new folio.
    fn allocate(
        &self,
        pages: Range<usize>,
        bounds: impl Fn() -> Bounds,
        mut added: impl FnMut(&LockedFolio),
    ) -> Result {
        let mut pgoff = pages.start;
        while pgoff < pages.end {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let (folio, is_new) = self.get_folio(pgoff, &bounds)?;
            if is_new {
                added(&folio);
            }
            pgoff = folio.end();
        }
        Ok(())
    }
}

impl InodeGuard<'_, Pool> {
    /// Allocates the missing pages of `pages`, within `bounds`: all or none. A failure frees the
    /// new pages, except those that another task has used meanwhile.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the task is being killed.
    /// - Otherwise as [`Inode::get_folio`].
    ///
    /// C: `shmem_fallocate()`, `mm/shmem.c`.
    pub(super) fn allocate_all(&self, pages: Range<usize>, bounds: Bounds) -> Result {
        // The range of the new folios. A large folio may reach beyond `pages`, and may be split
        // before the end of this call, so the range counts pages rather than folios.
        let mut added = 0..0;
        let note = |folio: &LockedFolio| {
            folio.set_unused();
            if added.is_empty() {
                added.start = folio.end() - folio.nr_pages();
            }
            added.end = folio.end();
        };
        let result = self.allocate(pages, || bounds, note);
        match result {
            Ok(()) => self.page_cache().use_folios(added),
            Err(_) => self.page_cache().remove_unused_folios(added),
        }
        result
    }

    /// Allocates the missing pages of the `len_bytes` bytes from byte `offset`, also past the end.
    /// Grows the pool to the end of the range, unless `keeps_size`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool would grow, and is sealed against it.
    /// - `EFBIG`: the end is past `RLIMIT_FSIZE`.
    /// - Otherwise as [`Self::allocate_all`].
    pub(crate) fn fallocate(&self, offset: u64, len_bytes: u64, keeps_size: bool) -> Result {
        let end = self.check_fallocate(offset, len_bytes)?;
        let len_bytes = self.len_bytes();
        if keeps_size {
            return self.allocate_all(pages(offset, end), Bounds::up_to(len_bytes));
        }
        // A pool that keeps its pages must not get a hole before `offset`.
        let start = if self.data().strategy.keeps_pages() {
            offset.min(len_bytes)
        } else {
            offset
        };
        self.allocate_all(pages(start, end), Bounds::up_to(end.max(len_bytes)))?;
        self.grow_to(end);
        Ok(())
    }

    /// Checks the arguments of [`Self::fallocate`], and returns the end of the range in bytes.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: the pool would grow, and is sealed against it.
    /// - `EFBIG`: the end is past `RLIMIT_FSIZE`.
    pub(crate) fn check_fallocate(&self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.check_alive()?;
        let end = offset.checked_add(len_bytes).ok_or(EFBIG)?;
        self.check_new_len(end)?;
        if end > self.len_bytes() && self.data().is_sealed(uapi::SEAL_GROW) {
            return Err(EPERM);
        }
        Ok(end)
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
    /// - `EPERM`: the pool is sealed against writing, or keeps its pages.
    /// - `EINVAL`: the range is empty or reaches beyond a file's bounds.
    pub(crate) fn punch_hole(&self, offset: u64, len_bytes: u64) -> Result {
        self.check_alive()?;
        if self.is_write_sealed() || self.data().strategy.keeps_pages() {
            return Err(EPERM);
        }
        self.punch(offset, len_bytes)
    }
}

/// The next bytes to copy.
struct Chunk {
    /// In bytes, from the start of the pool.
    pos: u64,
    /// In bytes, never 0.
    len: usize,
}

impl Chunk {
    /// Returns the bytes from `pos` on, at most `wanted` and none at or past `end`, or `None` if
    /// there are none.
    fn at(pos: u64, wanted: usize, end: u64) -> Option<Self> {
        let left = end.checked_sub(pos)?;
        let len = wanted.min(left.try_into().unwrap_or(usize::MAX));
        (len > 0).then_some(Self { pos, len })
    }

    fn pgoff(&self) -> usize {
        (self.pos >> PAGE_SHIFT) as usize
    }

    /// Returns how many of the bytes are in the first page.
    fn within_page(&self) -> usize {
        self.len.min(PAGE_SIZE - self.pos as usize % PAGE_SIZE)
    }
}

#[kunit_tests(mmap_pool_copy)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_ends_with_the_pool_or_the_request() {
        assert_eq!(Chunk::at(100, 50, 1000).map(|chunk| chunk.len), Some(50));
        assert_eq!(Chunk::at(100, 5000, 1000).map(|chunk| chunk.len), Some(900));
        assert_eq!(
            Chunk::at(999, usize::MAX, 1000).map(|chunk| chunk.len),
            Some(1)
        );
    }

    #[test]
    fn at_and_past_the_end_there_is_no_chunk() {
        assert!(Chunk::at(1000, 1, 1000).is_none());
        assert!(Chunk::at(u64::MAX, 1, 1000).is_none());
        assert!(Chunk::at(0, 0, 1000).is_none());
        assert!(Chunk::at(0, 1, 0).is_none());
    }

    #[test]
    fn a_chunk_knows_its_page() {
        let page = PAGE_SIZE as u64;
        let chunk = Chunk::at(3 * page + 1, 2, 4 * page);
        assert_eq!(chunk.map(|chunk| chunk.pgoff()), Some(3));
    }
}
