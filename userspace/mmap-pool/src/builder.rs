// SPDX-License-Identifier: MIT OR GPL-2.0

//! How a mapping is made.

use std::os::fd::AsFd;
use std::ptr;

use rustix::mm::{mmap, MapFlags};
use rustix::param::page_size;

use crate::error::{Error, Operation};
use crate::mapping::Mapping;
use crate::{Errno, Pool, Protection, Result};

/// Something that safe code may map: a [`Pool`].
///
/// [`MappingBuilder::map_file`] maps any other file, and the caller vouches for it. A type whose
/// files are all safe to map can implement this trait instead.
///
/// # Safety
///
/// A mapping of the object is memory and nothing else:
/// - Whatever bytes are written there, no kernel, device or other program takes them for more than
///   data. The rings of `io_uring` are not like that: the kernel writes to addresses that it
///   reads there.
/// - Reading and writing it has no other effect. The registers of a device are not like that.
pub unsafe trait Mappable: AsFd {
    /// Bytes from the start to the end of what can be mapped.
    ///
    /// # Errors
    ///
    /// What `fstat(2)` or, for a pool, the device answers.
    fn size_bytes(&self) -> Result<u64>;
}

// SAFETY: The pages of a pool are memory that belongs to the pool, and hold what its users write.
unsafe impl Mappable for Pool {
    fn size_bytes(&self) -> Result<u64> {
        Ok(self.info()?.size_bytes)
    }
}

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

    /// Where in the object the mapping starts, any number of bytes. Pages are mapped whole, so one
    /// that begins before the offset is mapped too, and hidden.
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
    /// - `EINVAL`: nothing is left to map at the offset, or the length is 0.
    /// - `EOVERFLOW`: offset and length together are beyond any file.
    /// - `ENOMEM`: the address space or the number of mappings is exhausted.
    /// - `EAGAIN`: locking was asked for and exceeds `RLIMIT_MEMLOCK`.
    /// - `EPERM`: the pool is sealed against writing, and the mapping is shared and writable.
    /// - `ENODEV`: the file cannot be mapped, or the pool was revoked.
    pub fn map(self, object: &impl Mappable) -> Result<Mapping> {
        self.map_fd(object, || object.size_bytes())
    }

    /// Makes a mapping of any file that can be mapped.
    ///
    /// ```
    /// use mmap_pool::{MappingBuilder, Protection};
    ///
    /// let file = std::fs::File::open("/proc/self/exe")?;
    /// let builder = MappingBuilder::private().protection(Protection::READ);
    /// // SAFETY: An executable file is bytes, and cannot be written through this mapping.
    /// let mapping = unsafe { builder.map_file(&file) }?;
    /// let mut magic = [0; 4];
    /// mapping.read_at(0, &mut magic)?;
    /// assert_eq!(&magic, b"\x7fELF");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The file is as the trait [`Mappable`] demands. What others do to it, like writing it or making
    /// it smaller, is up to them: the accessors of a [`Mapping`] are made for that.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map), and what `fstat(2)` answers if no length was given.
    pub unsafe fn map_file(self, file: &impl AsFd) -> Result<Mapping> {
        self.map_fd(file, || {
            let stat = rustix::fs::fstat(file).map_err(Error::system(Operation::Size))?;
            Ok(u64::try_from(stat.st_size).unwrap_or(0))
        })
    }

    /// The object is as [`Mappable`] demands.
    fn map_fd(self, object: &impl AsFd, size: impl FnOnce() -> Result<u64>) -> Result<Mapping> {
        let len = match self.len {
            Some(len) => len,
            None => remaining_len(size()?, self.offset),
        };
        let refused = |errno| Error::System {
            operation: Operation::Map,
            errno,
        };
        if len == 0 {
            return Err(refused(Errno::INVAL));
        }
        let (page_offset, head) = split(self.offset);
        let mapped_len = head.checked_add(len).ok_or(refused(Errno::NOMEM))?;
        let prot = self.protection.for_mmap();
        let flags = self.flags;
        // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                mapped_len,
                prot,
                flags,
                object,
                page_offset,
            )
        }
        .map_err(refused)?;
        // SAFETY: The range was mapped just now and nobody else knows it.
        let mapping = unsafe { Mapping::from_raw_parts(start.cast(), mapped_len, self.protection) };
        Ok(mapping.without_head(head))
    }
}

/// The start of the page that `offset` lies in, and the bytes from there to `offset`.
fn split(offset: u64) -> (u64, usize) {
    // Widening: no machine has more than 64 bits.
    let head = offset % page_size() as u64;
    // Fewer than a page, which is a `usize`.
    (offset - head, usize::try_from(head).unwrap_or(0))
}

/// Bytes between `offset` and the end; 0, which no mapping can have, if there are none.
fn remaining_len(size: u64, offset: u64) -> usize {
    usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{memfd, Memfd, PAGE_LEN};

    #[test]
    fn the_default_length_reaches_from_the_offset_to_the_end() {
        assert_eq!(remaining_len(8192, 0), 8192);
        assert_eq!(remaining_len(8192, 4096), 4096);
        assert_eq!(remaining_len(8192, 8192), 0);
        assert_eq!(remaining_len(8192, u64::MAX), 0);

        let memfd = memfd(3);
        let len_from = |offset: usize| {
            let builder = MappingBuilder::shared().offset(offset as u64);
            builder.map(&memfd).unwrap().len()
        };
        assert_eq!(len_from(0), 3 * PAGE_LEN);
        assert_eq!(len_from(PAGE_LEN), 2 * PAGE_LEN);
        assert_eq!(len_from(PAGE_LEN + 1), 2 * PAGE_LEN - 1);
        assert_eq!(len_from(3 * PAGE_LEN - 1), 1);
    }

    #[test]
    fn nothing_left_to_map_is_einval() {
        let memfd = memfd(1);
        for builder in [
            MappingBuilder::shared().offset(PAGE_LEN as u64),
            MappingBuilder::shared().offset(PAGE_LEN as u64 + 1),
            MappingBuilder::shared().offset(1).len(0),
        ] {
            assert_eq!(
                builder.map(&memfd).unwrap_err(),
                Error::System {
                    operation: Operation::Map,
                    errno: Errno::INVAL
                }
            );
        }
    }

    #[test]
    fn a_length_beyond_the_address_space_is_enomem() {
        let builder = MappingBuilder::shared().offset(1).len(usize::MAX);
        let error = builder.map(&memfd(1)).unwrap_err();
        assert_eq!(error.errno(), Errno::NOMEM);
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
    fn any_offset_is_where_the_mapping_begins() {
        let memfd: Memfd = memfd(3);
        for offset in [
            0,
            1,
            5,
            PAGE_LEN - 1,
            PAGE_LEN,
            PAGE_LEN + 7,
            2 * PAGE_LEN - 1,
        ] {
            memfd.write(b"begin", offset);
            let builder = MappingBuilder::shared().offset(offset as u64).len(6);
            let mapping = builder.map(&memfd).unwrap();
            let mut bytes = [0; 5];
            mapping.read_at(0, &mut bytes).unwrap();
            assert_eq!(&bytes, b"begin", "at {offset}");
            assert_eq!(mapping.len(), 6);
            assert_eq!(mapping.as_ptr().addr() % PAGE_LEN, offset % PAGE_LEN);
            mapping.write_at(5, b"!").unwrap();
            assert_eq!(&memfd.read::<6>(offset), b"begin!", "at {offset}");
            assert!(mapping.write_at(6, b"!").is_err());
            mapping.unmap().unwrap();
        }
    }

    #[test]
    fn any_file_can_be_mapped_by_a_caller_that_vouches_for_it() {
        let memfd = memfd(2);
        memfd.write(b"second", PAGE_LEN);
        let builder = MappingBuilder::shared().offset(PAGE_LEN as u64);
        // SAFETY: A memfd is memory.
        let second = unsafe { builder.map_file(&memfd) }.unwrap();
        assert_eq!(second.len(), PAGE_LEN);
        let mut bytes = [0; 6];
        second.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"second");
    }
}
