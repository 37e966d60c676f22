// SPDX-License-Identifier: MIT OR GPL-2.0

//! Mapped memory and what can be done with it.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicU8};

use rustix::mm::{self, MsyncFlags};

use crate::copy;
use crate::error::{Error, Operation};
use crate::{Protection, Result};

/// A range of mapped memory, unmapped when dropped.
///
/// Made by a [`MappingBuilder`](crate::MappingBuilder). Others may write the memory at any moment,
/// so there is no way to a `&[u8]`; see the [crate's page](crate#memory-that-others-write). All
/// accessors take `&self` and may be used from many threads at once.
///
/// # Invariants
///
/// `len` bytes from `start` are mapped with `protection` and belong to this object alone. Nothing
/// refers to them except atomics, which borrow the object.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    protection: Protection,
}

// SAFETY: Mapped memory belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: What `&Mapping` does to the memory is atomic.
unsafe impl Sync for Mapping {}

/// How the memory of a mapping is going to be used, or what is to be done with it now.
///
/// `madvise(2)` describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// No particular pattern.
    Normal,
    /// In random order.
    Random,
    /// From low to high addresses.
    Sequential,
    /// Soon.
    WillNeed,
    /// Not soon: gives the pages up. Those of a private mapping go back to what the pool holds.
    DontNeed,
    /// Faults pages in now, as reading would.
    PopulateRead,
    /// Faults pages in now, as writing would.
    PopulateWrite,
    /// Large pages are welcome.
    HugePage,
    /// Large pages are not welcome.
    NoHugePage,
}

impl Mapping {
    /// Adopts a range that was mapped by other means.
    ///
    /// ```
    /// use mmap_pool::{Mapping, Protection};
    /// use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};
    ///
    /// let (len, protection) = (4096, ProtFlags::READ | ProtFlags::WRITE);
    /// // SAFETY: Nothing uses a range that the kernel chooses.
    /// let start = unsafe {
    ///     mmap_anonymous(std::ptr::null_mut(), len, protection, MapFlags::PRIVATE)
    /// }?;
    /// // SAFETY: The range was mapped just now, with this protection.
    /// let mapping = unsafe { Mapping::from_raw_parts(start.cast(), len, Protection::READ_WRITE) };
    /// mapping.write_at(0, b"mine")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    ///
    /// - `start` is what `mmap(2)` returned for `len` bytes with `protection`, and all of the range
    ///   is still mapped so.
    /// - Nothing else refers to the range, or will unmap it.
    ///
    /// # Panics
    ///
    /// If `start` is null.
    #[must_use]
    pub unsafe fn from_raw_parts(start: *mut u8, len: usize, protection: Protection) -> Self {
        let start = NonNull::new(start).expect("a mapping does not start at address 0");
        Self {
            start,
            len,
            protection,
        }
    }

    /// The first byte of the mapping.
    ///
    /// Dereferencing it is up to the caller: others may write the memory at any moment, pages past
    /// the object's end raise `SIGBUS`, and the range is gone with the `Mapping`.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Bytes of the mapping, as asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a mapping has at least one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the mapping allows.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Copies from the mapping, starting `offset` bytes into it, until `bytes` is full.
    ///
    /// ```no_run
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    /// let mut bytes = [0; 16];
    /// mapping.read_at(4096, &mut bytes)?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::OutOfBounds`]: the bytes are not all inside the mapping.
    /// - [`Error::Protected`]: the mapping cannot be read.
    pub fn read_at(&self, offset: usize, bytes: &mut [u8]) -> Result<()> {
        let from = self.check(offset, bytes.len(), Protection::READ)?;
        // SAFETY: `check` says that the bytes are mapped and readable.
        unsafe { copy::read(from, bytes) };
        Ok(())
    }

    /// Copies all of `bytes` into the mapping, starting `offset` bytes into it.
    ///
    /// ```no_run
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    /// mapping.write_at(4096, b"seen by all")?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::OutOfBounds`]: the bytes are not all inside the mapping.
    /// - [`Error::Protected`]: the mapping cannot be written.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let to = self.check(offset, bytes.len(), Protection::WRITE)?;
        // SAFETY: `check` says that the bytes are mapped and writable.
        unsafe { copy::write(bytes, to) };
        Ok(())
    }

    /// Lends the byte at `offset`.
    ///
    /// # Errors
    ///
    /// As [`atomic_u32`](Self::atomic_u32).
    pub fn atomic_u8(&self, offset: usize) -> Result<&AtomicU8> {
        let at = self.check_atomic(offset, 1)?;
        // SAFETY: `check_atomic` says that the byte is mapped for reading and writing, and only
        // atomics refer to it. It stays so while `self` is borrowed: unmapping and changing the
        // protection need it whole.
        Ok(unsafe { AtomicU8::from_ptr(at) })
    }

    /// Lends the 32-bit integer at `offset`, for as long as the mapping is borrowed.
    ///
    /// In a shared mapping it is the same integer for every process: what a lock or a counter needs.
    ///
    /// ```no_run
    /// use std::sync::atomic::Ordering;
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    ///
    /// let arrivals = mapping.atomic_u32(0)?;
    /// println!("{} came before", arrivals.fetch_add(1, Ordering::Relaxed));
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::Misaligned`]: `offset` is not a multiple of the integer's size.
    /// - [`Error::OutOfBounds`]: the integer is not inside the mapping.
    /// - [`Error::Protected`]: the mapping cannot be both read and written.
    pub fn atomic_u32(&self, offset: usize) -> Result<&AtomicU32> {
        let at = self.check_atomic(offset, 4)?;
        // SAFETY: As in `atomic_u8`; the mapping starts at a page and `offset` is aligned.
        Ok(unsafe { AtomicU32::from_ptr(at.cast()) })
    }

    /// Lends the 64-bit integer at `offset`.
    ///
    /// # Errors
    ///
    /// As [`atomic_u32`](Self::atomic_u32).
    pub fn atomic_u64(&self, offset: usize) -> Result<&AtomicU64> {
        let at = self.check_atomic(offset, 8)?;
        // SAFETY: As in `atomic_u8`; the mapping starts at a page and `offset` is aligned.
        Ok(unsafe { AtomicU64::from_ptr(at.cast()) })
    }

    /// Changes what the mapping allows.
    ///
    /// ```no_run
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mut mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    /// use mmap_pool::Protection;
    ///
    /// mapping.protect(Protection::READ)?;
    /// assert!(mapping.write_at(0, b"no").is_err());
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EACCES`: the object was not opened for what is asked, and the mapping is shared.
    /// - `ENOMEM`: the number of mappings is exhausted.
    pub fn protect(&mut self, protection: Protection) -> Result<()> {
        let flags = protection.for_mprotect();
        // SAFETY: The range is this object's own, and `&mut self` says that nothing is lent.
        unsafe { mm::mprotect(self.raw(), self.len, flags) }
            .map_err(Error::system(Operation::Protect))?;
        self.protection = protection;
        Ok(())
    }

    /// Faults all pages in and keeps them in memory.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: the mapping reaches past the object's end, memory is exhausted, or
    ///   `RLIMIT_MEMLOCK` is.
    /// - `EPERM`: `RLIMIT_MEMLOCK` is 0.
    /// - `EAGAIN`: some pages could not be locked.
    pub fn lock(&self) -> Result<()> {
        // SAFETY: The range is this object's own, and locking changes no byte.
        unsafe { mm::mlock(self.raw(), self.len) }.map_err(Error::system(Operation::Lock))
    }

    /// Takes [`lock`](Self::lock) back.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: the number of mappings is exhausted.
    pub fn unlock(&self) -> Result<()> {
        // SAFETY: As in `lock`.
        unsafe { mm::munlock(self.raw(), self.len) }.map_err(Error::system(Operation::Unlock))
    }

    /// Writes dirty pages back, where the object has somewhere to write them, and waits for it.
    ///
    /// # Errors
    ///
    /// `EIO`: they could not be written.
    pub fn flush(&self) -> Result<()> {
        // SAFETY: As in `lock`.
        unsafe { mm::msync(self.raw(), self.len, MsyncFlags::SYNC) }
            .map_err(Error::system(Operation::Flush))
    }

    /// Tells the kernel how the memory will be used, or what to do with it now.
    ///
    /// # Errors
    ///
    /// What `madvise(2)` has for this advice.
    pub fn advise(&self, advice: Advice) -> Result<()> {
        let advice = match advice {
            Advice::Normal => mm::Advice::Normal,
            Advice::Random => mm::Advice::Random,
            Advice::Sequential => mm::Advice::Sequential,
            Advice::WillNeed => mm::Advice::WillNeed,
            Advice::DontNeed => mm::Advice::LinuxDontNeed,
            Advice::PopulateRead => mm::Advice::LinuxPopulateRead,
            Advice::PopulateWrite => mm::Advice::LinuxPopulateWrite,
            Advice::HugePage => mm::Advice::LinuxHugepage,
            Advice::NoHugePage => mm::Advice::LinuxNoHugepage,
        };
        // SAFETY: The range is this object's own. `DontNeed` can change its bytes, which others may
        // do as well.
        unsafe { mm::madvise(self.raw(), self.len, advice) }
            .map_err(Error::system(Operation::Advise))
    }

    /// Unmaps the memory, as dropping does, and tells whether it worked.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: the range was merged with others and splitting it exceeds the number of mappings.
    pub fn unmap(self) -> Result<()> {
        let mapping = std::mem::ManuallyDrop::new(self);
        // SAFETY: The range is this object's own, and it is not used after this.
        unsafe { mm::munmap(mapping.raw(), mapping.len) }.map_err(Error::system(Operation::Unmap))
    }

    fn raw(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }

    /// The address of `len` bytes at `offset`, if they are inside the mapping and it allows
    /// `needed`.
    fn check(&self, offset: usize, len: usize, needed: Protection) -> Result<*mut u8> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Error::OutOfBounds {
                offset,
                len,
                mapping_len: self.len,
            });
        }
        if !self.protection.contains(needed) {
            return Err(Error::Protected {
                needed,
                actual: self.protection,
            });
        }
        Ok(self.start.as_ptr().wrapping_add(offset))
    }

    fn check_atomic(&self, offset: usize, align: usize) -> Result<*mut u8> {
        if offset % align != 0 {
            return Err(Error::Misaligned { offset, align });
        }
        self.check(offset, align, Protection::READ_WRITE)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The range is this object's own, and this is its end. A failure leaves it mapped,
        // which harms nobody.
        let _ = unsafe { mm::munmap(self.raw(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::MappingBuilder;
    use rustix::fs::{ftruncate, memfd_create, MemfdFlags};
    use rustix::io::{pread, pwrite, Errno};

    const LEN: usize = 8192;

    fn memfd() -> OwnedFd {
        let memfd = memfd_create("mapping", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memfd, LEN as u64).unwrap();
        memfd
    }

    #[test]
    fn shared_writes_reach_the_file_and_private_ones_do_not() {
        let memfd = memfd();
        let shared = MappingBuilder::shared().map(&memfd).unwrap();
        let private = MappingBuilder::private().map(&memfd).unwrap();
        shared.write_at(4090, b"over the edge").unwrap();
        private.write_at(0, b"mine").unwrap();

        let mut bytes = [0; 13];
        pread(&memfd, &mut bytes, 4090).unwrap();
        assert_eq!(&bytes, b"over the edge");
        private.read_at(4090, &mut bytes).unwrap();
        assert_eq!(&bytes[..6], b"over t");
        pread(&memfd, &mut bytes, 0).unwrap();
        assert_eq!(bytes, [0; 13]);
    }

    #[test]
    fn accesses_outside_are_refused() {
        let mapping = MappingBuilder::shared().map(&memfd()).unwrap();
        assert!(mapping.write_at(LEN - 1, b"1").is_ok());
        assert!(mapping.write_at(LEN, b"").is_ok());
        for (offset, len) in [(LEN - 1, 2), (LEN, 1), (usize::MAX, 1), (1, LEN)] {
            let error = Error::OutOfBounds {
                offset,
                len,
                mapping_len: LEN,
            };
            assert_eq!(
                mapping.read_at(offset, &mut vec![0; len]),
                Err(error.clone())
            );
            assert_eq!(mapping.write_at(offset, &vec![0; len]), Err(error));
        }
        assert_eq!(mapping.atomic_u64(LEN).unwrap_err().errno(), Errno::FAULT);
    }

    #[test]
    fn the_length_need_not_be_whole_pages() {
        let mapping = MappingBuilder::shared().len(5).map(&memfd()).unwrap();
        assert_eq!(mapping.len(), 5);
        assert!(mapping.write_at(0, b"12345").is_ok());
        assert!(mapping.write_at(0, b"123456").is_err());
    }

    #[test]
    fn a_read_only_mapping_refuses_writes_and_atomics() {
        let memfd = memfd();
        let mut mapping = MappingBuilder::shared()
            .protection(Protection::READ)
            .map(&memfd)
            .unwrap();
        assert_eq!(
            mapping.write_at(0, b"no").unwrap_err().errno(),
            Errno::ACCESS
        );
        assert_eq!(mapping.atomic_u32(0).unwrap_err().errno(), Errno::ACCESS);

        mapping.protect(Protection::READ_WRITE).unwrap();
        mapping.write_at(0, b"yes").unwrap();
        mapping.protect(Protection::NONE).unwrap();
        assert_eq!(
            mapping.read_at(0, &mut [0]).unwrap_err().errno(),
            Errno::ACCESS
        );
    }

    #[test]
    fn atomics_are_the_memory_itself() {
        let memfd = memfd();
        let mapping = MappingBuilder::shared().map(&memfd).unwrap();
        mapping
            .atomic_u32(4)
            .unwrap()
            .store(0x0102_0304, Ordering::Relaxed);
        mapping.atomic_u64(8).unwrap().store(7, Ordering::Relaxed);
        mapping.atomic_u8(1).unwrap().store(9, Ordering::Relaxed);
        let mut bytes = [0; 16];
        pread(&memfd, &mut bytes, 0).unwrap();
        assert_eq!(bytes[1], 9);
        assert_eq!(bytes[4..8], 0x0102_0304_u32.to_ne_bytes());
        assert_eq!(bytes[8..], 7_u64.to_ne_bytes());
        assert_eq!(
            mapping.atomic_u32(2).unwrap_err(),
            Error::Misaligned {
                offset: 2,
                align: 4
            }
        );
    }

    #[test]
    fn giving_a_private_page_up_shows_the_file_again() {
        let memfd = memfd();
        pwrite(&memfd, b"file", 0).unwrap();
        let mapping = MappingBuilder::private().map(&memfd).unwrap();
        mapping.write_at(0, b"mine").unwrap();
        mapping.advise(Advice::DontNeed).unwrap();
        let mut bytes = [0; 4];
        mapping.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"file");
    }

    #[test]
    fn locking_flushing_and_unmapping_work() {
        let mapping = MappingBuilder::shared().map(&memfd()).unwrap();
        mapping.lock().unwrap();
        mapping.unlock().unwrap();
        mapping.flush().unwrap();
        mapping.unmap().unwrap();
    }
}
