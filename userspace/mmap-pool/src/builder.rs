// SPDX-License-Identifier: MIT OR GPL-2.0

//! How a mapping is made.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::mm::{mmap, MapFlags};

use crate::error::{Error, Operation};
use crate::mapping::Mapping;
use crate::{Pool, Protection, Result};

/// Something to map whose size is known: a [`Pool`], or any file.
pub trait Mappable: AsFd {
    /// Bytes from the start to the end of what can be mapped.
    ///
    /// # Errors
    ///
    /// What `fstat(2)` or, for a pool, the device answers.
    fn size_bytes(&self) -> Result<u64>;
}

impl Mappable for Pool {
    fn size_bytes(&self) -> Result<u64> {
        Ok(self.info()?.size_bytes)
    }
}

macro_rules! files_are_mappable {
    ($($file:ty),*) => {$(
        impl Mappable for $file {
            fn size_bytes(&self) -> Result<u64> {
                let stat = rustix::fs::fstat(self).map_err(Error::system(Operation::Size))?;
                Ok(u64::try_from(stat.st_size).unwrap_or(0))
            }
        }
    )*};
}

files_are_mappable!(File, OwnedFd, BorrowedFd<'_>);

/// Describes a mapping before it is made.
///
/// Whether writes are shared has no default; everything else has: reading and writing, from the
/// start to the end of the object, pages made when they are first touched.
///
/// ```no_run
/// use mmap_pool::{MappingBuilder, Pool};
///
/// let pool = Pool::open()?;
/// let header = MappingBuilder::shared().len(4096).locked().map(&pool)?;
/// let scratch = MappingBuilder::private().offset(4096).map(&pool)?;
/// # Ok::<(), mmap_pool::Error>(())
/// ```
///
/// Any other file can be mapped too:
///
/// ```
/// use mmap_pool::{MappingBuilder, Protection};
///
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let mapping = MappingBuilder::private().protection(Protection::READ).map(&file)?;
/// let mut magic = [0; 4];
/// mapping.read_at(0, &mut magic)?;
/// assert_eq!(&magic, b"\x7fELF");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "nothing is mapped before `map`"]
pub struct MappingBuilder {
    flags: MapFlags,
    protection: Protection,
    offset: u64,
    len: Option<usize>,
}

impl MappingBuilder {
    const fn new(sharing: MapFlags) -> Self {
        Self {
            flags: sharing,
            protection: Protection::READ_WRITE,
            offset: 0,
            len: None,
        }
    }

    /// `MAP_SHARED`: writes reach the pool and everyone who maps it.
    ///
    /// ```
    /// let builder = mmap_pool::MappingBuilder::shared();
    /// ```
    pub const fn shared() -> Self {
        Self::new(MapFlags::SHARED)
    }

    /// `MAP_PRIVATE`: the first write to a page copies it for this process; until then the page
    /// follows the pool.
    ///
    /// ```
    /// let builder = mmap_pool::MappingBuilder::private();
    /// ```
    pub const fn private() -> Self {
        Self::new(MapFlags::PRIVATE)
    }

    /// What the mapping allows; reading and writing unless said otherwise.
    pub fn protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// Where in the object the mapping starts: a multiple of the page size.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Bytes to map, from the offset to the object's end unless said otherwise. May reach past the
    /// end, and need not be a multiple of the page size: the last page is mapped whole.
    pub fn len(mut self, len: usize) -> Self {
        self.len = Some(len);
        self
    }

    /// `MAP_POPULATE`: faults all pages in at once. What fails to populate is left for later.
    pub fn populate(mut self) -> Self {
        self.flags |= MapFlags::POPULATE;
        self
    }

    /// `MAP_LOCKED`: faults all pages in at once and keeps them. The kernel does not say when that
    /// failed; [`Mapping::lock`] does.
    pub fn locked(mut self) -> Self {
        self.flags |= MapFlags::LOCKED;
        self
    }

    /// `MAP_NORESERVE`: sets no memory aside for the copies a private mapping may need.
    pub fn no_reserve(mut self) -> Self {
        self.flags |= MapFlags::NORESERVE;
        self
    }

    /// Makes the mapping.
    ///
    /// ```no_run
    /// use mmap_pool::{MappingBuilder, Pool};
    ///
    /// let mapping = MappingBuilder::shared().map(&Pool::open()?)?;
    /// assert_eq!(mapping.len() as u64, Pool::open()?.info()?.size_bytes);
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EACCES`: the object is not open for reading, or not for writing and the mapping is shared
    ///   and writable.
    /// - `EINVAL`: the offset is not a multiple of the page size, or nothing is left to map there.
    /// - `EOVERFLOW`: offset and length together are beyond any file.
    /// - `ENOMEM`: the address space or the number of mappings is exhausted.
    /// - `EAGAIN`: locking was asked for and exceeds `RLIMIT_MEMLOCK`.
    /// - `EPERM`: the pool is sealed against writing, and the mapping is shared and writable.
    /// - `ENODEV`: the file cannot be mapped, or the pool was revoked.
    /// - `ENOSPC`: the pool has [`Strategy::Eager`](crate::Strategy::Eager), and the limit for all
    ///   pools does not allow for all of the range.
    pub fn map(self, object: &impl Mappable) -> Result<Mapping> {
        let len = match self.len {
            Some(len) => len,
            None => remaining_len(object.size_bytes()?, self.offset),
        };
        let flags = self.flags;
        let prot = self.protection.for_mmap();
        // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
        let start = unsafe { mmap(ptr::null_mut(), len, prot, flags, object, self.offset) }
            .map_err(Error::system(Operation::Map))?;
        // SAFETY: The range was mapped just now and nobody else knows it.
        Ok(unsafe { Mapping::from_raw_parts(start.cast(), len, self.protection) })
    }
}

/// Bytes between `offset` and the end; 0, which no mapping can have, if there are none.
fn remaining_len(size: u64, offset: u64) -> usize {
    usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{ftruncate, memfd_create, MemfdFlags};
    use rustix::io::Errno;

    const PAGE_LEN: usize = 4096;

    fn memfd(pages: usize) -> OwnedFd {
        let memfd = memfd_create("builder", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memfd, (pages * PAGE_LEN) as u64).unwrap();
        memfd
    }

    #[test]
    fn the_default_length_reaches_from_the_offset_to_the_end() {
        assert_eq!(remaining_len(8192, 0), 8192);
        assert_eq!(remaining_len(8192, 4096), 4096);
        assert_eq!(remaining_len(8192, 8192), 0);
        assert_eq!(remaining_len(8192, u64::MAX), 0);

        let memfd = memfd(3);
        assert_eq!(
            MappingBuilder::shared().map(&memfd).unwrap().len(),
            3 * PAGE_LEN
        );
        let rest = MappingBuilder::shared()
            .offset(PAGE_LEN as u64)
            .map(&memfd)
            .unwrap();
        assert_eq!(rest.len(), 2 * PAGE_LEN);
    }

    #[test]
    fn nothing_left_to_map_is_einval() {
        let memfd = memfd(1);
        let error = MappingBuilder::shared()
            .offset(PAGE_LEN as u64)
            .map(&memfd)
            .unwrap_err();
        assert_eq!(
            error,
            Error::System {
                operation: Operation::Map,
                errno: Errno::INVAL
            }
        );
    }

    #[test]
    fn the_last_setting_wins() {
        let builder = MappingBuilder::private().len(1).len(2).offset(8).offset(16);
        assert_eq!((builder.len, builder.offset), (Some(2), 16));
    }

    #[test]
    fn flags_add_up() {
        let builder = MappingBuilder::private().populate().locked().no_reserve();
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE | MapFlags::LOCKED | MapFlags::NORESERVE;
        assert_eq!(builder.flags, flags);
    }

    #[test]
    fn the_offset_chooses_the_page() {
        let memfd = memfd(2);
        rustix::io::pwrite(&memfd, b"second", PAGE_LEN as u64).unwrap();
        let second = MappingBuilder::shared()
            .offset(PAGE_LEN as u64)
            .map(&memfd)
            .unwrap();
        let mut bytes = [0; 6];
        second.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"second");
    }
}
