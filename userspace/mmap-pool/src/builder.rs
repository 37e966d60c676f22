// SPDX-License-Identifier: MIT OR GPL-2.0

//! Creating a mapping.

use std::os::fd::AsFd;
use std::ptr;

use rustix::mm::{mmap, MapFlags};
use rustix::param::page_size;

use crate::error::{Error, Operation};
use crate::mapping::Mapping;
use crate::{Errno, Pool, Protection, Result};

/// An object that safe code can map, such as a [`Pool`].
///
/// [`MappingBuilder::map_file`] is unsafe and maps any file. If all files of a type are safe to map,
/// the type can implement this trait instead.
///
/// # Safety
///
/// A mapping of the object must be plain memory:
/// - The kernel, devices and other programs treat its bytes as data only. The rings of `io_uring`
///   violate this: the kernel reads addresses there and writes to them.
/// - Reading and writing it has no other effects. The registers of a device violate this.
pub unsafe trait Mappable: AsFd {
    /// Size of the object, in bytes.
    ///
    /// # Errors
    ///
    /// Those of `fstat(2)` or, for a pool, of the device.
    fn size_bytes(&self) -> Result<u64>;
}

// SAFETY: The pages of a pool are plain memory that belongs to the pool.
unsafe impl Mappable for Pool {
    fn size_bytes(&self) -> Result<u64> {
        Ok(self.info()?.size_bytes)
    }
}

/// Describes a mapping that [`map`](Self::map) makes.
///
/// Begin with [`shared`](Self::shared) or [`private`](Self::private). By default, the mapping can be
/// read and written, covers the whole object, and gets its pages when they are first touched.
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
#[must_use = "only `map` makes the mapping"]
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

    /// `MAP_SHARED`: writes change the pool, and all other mappings of it see them.
    ///
    /// ```
    /// let builder = mmap_pool::MappingBuilder::shared();
    /// ```
    pub const fn shared() -> Self {
        Self::new(MapFlags::SHARED)
    }

    /// `MAP_PRIVATE`: the first write to a page copies the page for this process. Until then, the
    /// page follows the pool.
    ///
    /// ```
    /// let builder = mmap_pool::MappingBuilder::private();
    /// ```
    pub const fn private() -> Self {
        Self::new(MapFlags::PRIVATE)
    }

    /// The accesses that the mapping allows. The default is reading and writing.
    pub fn protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// Offset in the object where the mapping begins, any number of bytes. The kernel maps whole
    /// pages. The bytes of the first page before the offset are mapped too, but hidden.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Length of the mapping, any number of bytes. The default reaches to the object's end. The
    /// mapping may reach past the end. The kernel maps all of the last page.
    pub fn len(mut self, len: usize) -> Self {
        self.len = Some(len);
        self
    }

    /// `MAP_POPULATE`: faults all pages in at once. A page that cannot be faulted in now is faulted in
    /// when it is touched.
    pub fn populate(mut self) -> Self {
        self.flags |= MapFlags::POPULATE;
        self
    }

    /// `MAP_LOCKED`: faults all pages in at once and keeps them in memory. The kernel does not report
    /// a failure. [`Mapping::lock`] does.
    pub fn locked(mut self) -> Self {
        self.flags |= MapFlags::LOCKED;
        self
    }

    /// `MAP_NORESERVE`: does not reserve memory for the copies that a private mapping may need.
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
    /// - `EACCES`: the object is not open for reading. Or it is not open for writing, and the mapping
    ///   is shared and writable.
    /// - `EINVAL`: the length is 0, or no length was given and the offset is not below the object's end.
    /// - `EOVERFLOW`: offset and length together are larger than a file can be.
    /// - `ENOMEM`: no address space is left, or the process has too many mappings.
    /// - `EAGAIN`: the mapping is to be locked, and exceeds `RLIMIT_MEMLOCK`.
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
    /// mapping.read_at(&mut magic, 0)?;
    /// assert_eq!(&magic, b"\x7fELF");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The file fulfils the requirements of the trait [`Mappable`]. Other processes may write the file
    /// or make it smaller: the accessors of a [`Mapping`] are safe then.
    ///
    /// # Errors
    ///
    /// Those of [`map`](Self::map), and those of `fstat(2)` if no length was given.
    pub unsafe fn map_file(self, file: &impl AsFd) -> Result<Mapping> {
        self.map_fd(file, || {
            let stat = rustix::fs::fstat(file).map_err(Error::system(Operation::Size))?;
            Ok(u64::try_from(stat.st_size).unwrap_or(0))
        })
    }

    /// Maps `object`, which fulfils the requirements of [`Mappable`].
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
        // SAFETY: Without MAP_FIXED, the kernel chooses a range that is not in use.
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
        // SAFETY: The range was mapped just now. No other code refers to it.
        let mapping = unsafe { Mapping::from_raw_parts(start.cast(), mapped_len, self.protection) };
        Ok(mapping.without_head(head))
    }
}

/// Splits `offset` into the start of its page and the number of bytes from there.
fn split(offset: u64) -> (u64, usize) {
    // The cast only widens: a `usize` has at most 64 bits.
    let head = offset % page_size() as u64;
    // `head` is smaller than a page, so it fits.
    (offset - head, usize::try_from(head).unwrap_or(0))
}

/// Returns the number of bytes from `offset` to the end, 0 if there are none.
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
            mapping.read_at(&mut bytes, 0).unwrap();
            assert_eq!(&bytes, b"begin", "at {offset}");
            assert_eq!(mapping.len(), 6);
            assert_eq!(mapping.as_ptr().addr() % PAGE_LEN, offset % PAGE_LEN);
            mapping.write_at(b"!", 5).unwrap();
            assert_eq!(&memfd.read::<6>(offset), b"begin!", "at {offset}");
            assert!(mapping.write_at(b"!", 6).is_err());
            mapping.unmap().unwrap();
        }
    }

    #[test]
    fn any_file_can_be_mapped_by_a_caller_that_vouches_for_it() {
        let memfd = memfd(2);
        memfd.write(b"second", PAGE_LEN);
        let builder = MappingBuilder::shared().offset(PAGE_LEN as u64);
        // SAFETY: A memfd is plain memory.
        let second = unsafe { builder.map_file(&memfd) }.unwrap();
        assert_eq!(second.len(), PAGE_LEN);
        let mut bytes = [0; 6];
        second.read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"second");
    }
}
