// SPDX-License-Identifier: GPL-2.0

//! A pool: memory of a fixed size, made of folios that appear when they are first needed.
//!
//! A pool is an inode. Its folios are the inode's page cache, so there is no other table of them:
//! page `pgoff` of the pool is page `pgoff` of the page cache, and a page that is not there is a
//! hole that reads as zeroes.
//!
//! # Locks
//!
//! In the order in which they are taken: the inode's lock (writers), `mmap_lock` or a VMA lock
//! (taken by whoever faults), the lock of one folio. No lock but the inode's is held while bytes
//! are copied from or to userspace, since that may fault on a page of this very pool.

#![forbid(unsafe_code)]

use crate::{
    fs::pseudo::{FileSystemType, Inode, InodeData, Mount},
    mm::{
        folio::{copy_zeroes_to_iter, LockedFolio, NewFolio},
        totalram_pages,
    },
    uapi,
};
use core::borrow::Borrow;
use kernel::{
    iov::{IovIterDest, IovIterSource},
    page::{PAGE_SHIFT, PAGE_SIZE},
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
    },
};

static FILE_SYSTEM_TYPE: FileSystemType<Pool> = FileSystemType::new(c"mmap_pool");

/// The part of a pool that is not the inode's.
pub(crate) struct Pool {
    nr_faults: Atomic<u64>,
    nr_allocated_pages: Atomic<u64>,
}

impl InodeData for Pool {
    /// "MPol".
    const MAGIC: u32 = 0x4d50_6f6c;

    fn file_system_type() -> &'static FileSystemType<Self> {
        &FILE_SYSTEM_TYPE
    }
}

impl Pool {
    /// Creates a pool without a single page.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory for its inode.
    pub(crate) fn new(mount: &Mount<Self>, size: Size) -> Result<ARef<Inode<Self>>> {
        mount.new_inode(
            size.bytes(),
            Self {
                nr_faults: Atomic::new(0),
                nr_allocated_pages: Atomic::new(0),
            },
        )
    }
}

/// The size of a pool: a number of MiB that the machine could hold.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    mib: u64,
}

impl Size {
    /// Checks a size in MiB: the value of a parameter, a `&u64` up to Linux 7.2 and a `u64` since.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `mib` is zero, or more than [`Size::max_mib`].
    pub(crate) fn from_mib(mib: impl Borrow<u64>) -> Result<Self> {
        let mib = *mib.borrow();
        if (1..=Self::max_mib()).contains(&mib) {
            Ok(Self { mib })
        } else {
            Err(EINVAL)
        }
    }

    /// Returns the largest size allowed, in MiB: the memory of the machine.
    pub(crate) fn max_mib() -> u64 {
        totalram_pages() as u64 >> (20 - PAGE_SHIFT)
    }

    fn bytes(self) -> u64 {
        self.mib << 20
    }
}

impl Inode<Pool> {
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
        self.locked_folio(pgoff)
    }

    /// Returns the folio that holds page `pgoff`, allocated if there is none, locked.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: the page is past the pool's end.
    /// - `ENOMEM`: no memory, or the memory cgroup is at its limit.
    fn locked_folio(&self, pgoff: usize) -> Result<LockedFolio> {
        if pgoff >= self.nr_pages() {
            return Err(ENXIO);
        }
        loop {
            if let Some(folio) = self.mapping().lock_folio(pgoff) {
                return Ok(folio);
            }
            let new = NewFolio::zeroed(self.mapping().gfp_mask())?;
            match self.mapping().add_folio(new, pgoff) {
                Ok(folio) => {
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
    /// - `EFAULT`: not one byte could be copied.
    pub(crate) fn read(&self, pos: u64, iov: &mut IovIterDest<'_>) -> Result<usize> {
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

    /// Copies `iov` to byte `pos` of the pool, until `iov` is empty or the pool ends. Other writers
    /// wait; readers and mappings do not.
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
    /// - `ENOSPC`: `pos` is at or past the pool's end.
    /// - `ENOMEM`: no memory, or the memory cgroup is at its limit.
    /// - `EFAULT`: `iov` cannot be read.
    pub(crate) fn write(&self, pos: u64, iov: &mut IovIterSource<'_>) -> Result<usize> {
        if iov.is_empty() {
            return Ok(0);
        }
        let _guard = self.lock();
        let mut done = 0;
        let mut error = ENOSPC;
        while let Some(chunk) = Chunk::at(pos + done as u64, iov.len(), self.len_bytes()) {
            let folio = match self.locked_folio(chunk.pgoff) {
                Ok(folio) => folio.unlock(),
                Err(e) => {
                    error = e;
                    break;
                }
            };
            let copied = folio.copy_from_iter(chunk.offset, chunk.len, iov);
            done += copied;
            if copied < chunk.len {
                error = EFAULT;
                break;
            }
        }
        if done > 0 {
            Ok(done)
        } else {
            Err(error)
        }
    }

    /// Describes the pool.
    pub(crate) fn info(&self) -> uapi::Info {
        uapi::Info {
            size_bytes: self.len_bytes(),
            nr_resident_pages: self.mapping().nr_pages() as u64,
            nr_faults: self.data().nr_faults.load(Relaxed),
            nr_allocated_pages: self.data().nr_allocated_pages.load(Relaxed),
            page_size_bytes: PAGE_SIZE as u32,
            abi_version: uapi::ABI_VERSION,
            reserved: [0; 3],
        }
    }

    fn nr_pages(&self) -> usize {
        (self.len_bytes() >> PAGE_SHIFT) as usize
    }
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
