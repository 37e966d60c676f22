// SPDX-License-Identifier: MIT OR GPL-2.0

//! Mapped memory and the operations on it.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::slice;

use rustix::mm::{self, MremapFlags, MsyncFlags};
use rustix::param::page_size;

use crate::access::{self, Word};
use crate::error::{Error, Operation};
use crate::{Atomic, Protection, Result};

/// A range of mapped memory. Dropping it unmaps the range.
///
/// A [`MappingBuilder`](crate::MappingBuilder) makes it. Other processes can write the memory at any
/// moment, so safe code cannot get a `&[u8]` of it; see
/// [memory that other processes write](crate#memory-that-other-processes-write). All accessors take
/// `&self`, and several threads can use them at the same time.
///
/// # Invariants
///
/// `base` is the start of a page. The `head + len` bytes from there are mapped, and belong only to this
/// object. Each of their pages allows at least `protection`. All references to them borrow the object.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    /// Hidden bytes at the start of the first page, before the offset that the caller asked for.
    head: usize,
    len: usize,
    protection: Protection,
}

// SAFETY: Mapped memory belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: Rust does not see the accesses to the memory through `&Mapping`.
unsafe impl Sync for Mapping {}

/// Advice to the kernel: how a program will use the memory, or what the kernel should do with it now.
///
/// `madvise(2)` describes each advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// The program uses the memory in no particular order.
    Normal,
    /// The program uses the memory in random order.
    Random,
    /// The program uses the memory from low to high addresses.
    Sequential,
    /// The program uses the memory soon.
    WillNeed,
    /// The program does not use the memory soon. The kernel unmaps the pages. Private copies are lost:
    /// a private mapping shows the bytes of the pool again.
    DontNeed,
    /// The program does not use the memory for a while. The kernel rather frees these pages than
    /// others, if they can be read in again. Nothing is lost.
    Cold,
    /// As [`Cold`](Self::Cold), and the kernel frees the pages now. It writes nothing back for it: a
    /// dirty page of a backed pool stays.
    PageOut,
    /// The kernel faults the pages in now, as for reading.
    PopulateRead,
    /// The kernel faults the pages in now, as for writing.
    PopulateWrite,
    /// The kernel may use huge pages.
    HugePage,
    /// The kernel should not use huge pages.
    NoHugePage,
}

impl Mapping {
    /// Takes ownership of a range that other code mapped.
    ///
    /// ```
    /// use mmap_pool::{Mapping, Protection};
    /// use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};
    ///
    /// let (len, protection) = (4096, ProtFlags::READ | ProtFlags::WRITE);
    /// // SAFETY: The kernel chooses a range that is not in use.
    /// let start = unsafe {
    ///     mmap_anonymous(std::ptr::null_mut(), len, protection, MapFlags::PRIVATE)
    /// }?;
    /// // SAFETY: The range was mapped just now, with this protection.
    /// let mapping = unsafe { Mapping::from_raw_parts(start.cast(), len, Protection::READ_WRITE) };
    /// mapping.write_at(b"mine", 0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    ///
    /// - `mmap(2)` returned `start` for `len` bytes with `protection`, and the whole range is still
    ///   mapped like that.
    /// - No other code refers to the range or unmaps it.
    ///
    /// # Panics
    ///
    /// If `start` is null.
    #[must_use]
    pub unsafe fn from_raw_parts(start: *mut u8, len: usize, protection: Protection) -> Self {
        let base = NonNull::new(start).expect("a mapping cannot start at address 0");
        Self {
            base,
            head: 0,
            len,
            protection,
        }
    }

    /// Hides the first `head` bytes. `head` is smaller than a page.
    pub(crate) fn without_head(mut self, head: usize) -> Self {
        self.head = head;
        self.len -= head;
        self
    }

    /// Returns the address of the first byte.
    ///
    /// A caller that dereferences it must consider: other processes can write the memory at any moment,
    /// touching a page past the object's end raises `SIGBUS`, and dropping the `Mapping` unmaps the
    /// range. If other code changes the protection of the range, it must restore the protection before
    /// an accessor touches the range.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr().wrapping_add(self.head)
    }

    /// Returns the length in bytes, as the caller asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns `false`: a mapping has at least one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the accesses that all pages of the mapping allow.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Fills `bytes` with a copy of the mapping's bytes from `offset` on.
    ///
    /// ```no_run
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    /// let mut bytes = [0; 16];
    /// mapping.read_at(&mut bytes, 4096)?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::OutOfBounds`]: some of the bytes are outside the mapping.
    /// - [`Error::Protected`]: the mapping does not allow reading.
    pub fn read_at(&self, bytes: &mut [u8], offset: usize) -> Result<()> {
        let from = self.check(offset, bytes.len(), Protection::READ)?;
        // SAFETY: `check` confirms that the bytes are mapped and readable.
        unsafe { access::read(from, bytes) };
        Ok(())
    }

    /// Copies all of `bytes` into the mapping, from `offset` on.
    ///
    /// ```no_run
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    /// mapping.write_at(b"seen by all", 4096)?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::OutOfBounds`]: some of the bytes are outside the mapping.
    /// - [`Error::Protected`]: the mapping does not allow writing.
    pub fn write_at(&self, bytes: &[u8], offset: usize) -> Result<()> {
        let to = self.check(offset, bytes.len(), Protection::WRITE)?;
        // SAFETY: `check` confirms that the bytes are mapped and writable.
        unsafe { access::write(bytes, to) };
        Ok(())
    }

    /// Sets `len` bytes of the mapping to `byte`, from `offset` on.
    ///
    /// ```no_run
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    /// mapping.fill(4096, 4096, 0xff)?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`write_at`](Self::write_at).
    pub fn fill(&self, offset: usize, len: usize, byte: u8) -> Result<()> {
        let to = self.check(offset, len, Protection::WRITE)?;
        // SAFETY: `check` confirms that the bytes are mapped and writable.
        unsafe { access::fill(to, len, byte) };
        Ok(())
    }

    /// Returns the byte at `offset` as an atomic integer.
    ///
    /// # Errors
    ///
    /// Those of [`atomic_u32`](Self::atomic_u32).
    pub fn atomic_u8(&self, offset: usize) -> Result<Atomic<'_, u8>> {
        self.atomic(offset)
    }

    /// Returns the 16-bit integer at `offset` as an atomic integer.
    ///
    /// # Errors
    ///
    /// Those of [`atomic_u32`](Self::atomic_u32).
    pub fn atomic_u16(&self, offset: usize) -> Result<Atomic<'_, u16>> {
        self.atomic(offset)
    }

    /// Returns the 32-bit integer at `offset` as an atomic integer. It borrows the mapping.
    ///
    /// In a shared mapping, all processes access the same integer. So it can be a lock or a counter.
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
    /// - [`Error::Misaligned`]: the integer's address is not a multiple of its size.
    /// - [`Error::OutOfBounds`]: the integer is not inside the mapping.
    /// - [`Error::Protected`]: the mapping does not allow both reading and writing.
    pub fn atomic_u32(&self, offset: usize) -> Result<Atomic<'_, u32>> {
        self.atomic(offset)
    }

    /// Returns the 64-bit integer at `offset` as an atomic integer.
    ///
    /// # Errors
    ///
    /// Those of [`atomic_u32`](Self::atomic_u32).
    pub fn atomic_u64(&self, offset: usize) -> Result<Atomic<'_, u64>> {
        self.atomic(offset)
    }

    fn atomic<T: Word>(&self, offset: usize) -> Result<Atomic<'_, T>> {
        let at = self.check(offset, size_of::<T>(), Protection::READ_WRITE)?;
        if at.addr() % size_of::<T>() != 0 {
            return Err(Error::Misaligned {
                offset,
                align: size_of::<T>(),
            });
        }
        // SAFETY: The address is aligned, and `check` confirms that the bytes are mapped for reading
        // and writing. They stay so while `self` is borrowed: unmapping, moving or protecting them
        // needs `self` by value or `&mut self`.
        Ok(unsafe { Atomic::new(at.cast()) })
    }

    /// Returns `len` bytes at `offset` as a slice.
    ///
    /// ```
    /// use mmap_pool::{MappingBuilder, Protection};
    ///
    /// let file = std::fs::File::open("/proc/self/exe")?;
    /// let builder = MappingBuilder::private().protection(Protection::READ);
    /// // SAFETY: The file is plain bytes, and this program's linker wrote them.
    /// let mapping = unsafe { builder.map_file(&file) }?;
    /// // SAFETY: As above, and the file is longer than that.
    /// assert_eq!(unsafe { mapping.slice(0, 4) }?, b"\x7fELF");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    ///
    /// While the slice exists:
    /// - No code writes these bytes. This includes other processes, other mappings, and the accessors
    ///   of this mapping.
    /// - The bytes are inside the object, and it does not shrink and is not revoked.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](Self::read_at).
    pub unsafe fn slice(&self, offset: usize, len: usize) -> Result<&[u8]> {
        let start = self.check(offset, len, Protection::READ)?;
        // SAFETY: `check` confirms that the bytes are mapped and readable. They stay so while `self`
        // is borrowed. The caller guarantees the rest.
        Ok(unsafe { slice::from_raw_parts(start, len) })
    }

    /// Returns `len` bytes at `offset` as a mutable slice.
    ///
    /// # Safety
    ///
    /// As for [`slice`](Self::slice). In addition, no other code reads the bytes.
    ///
    /// # Errors
    ///
    /// - [`Error::OutOfBounds`]: some of the bytes are outside the mapping.
    /// - [`Error::Protected`]: the mapping does not allow both reading and writing.
    pub unsafe fn slice_mut(&mut self, offset: usize, len: usize) -> Result<&mut [u8]> {
        let start = self.check(offset, len, Protection::READ_WRITE)?;
        // SAFETY: As in `slice`, and `self` is borrowed mutably.
        Ok(unsafe { slice::from_raw_parts_mut(start, len) })
    }

    /// Changes the accesses that the mapping allows.
    ///
    /// ```no_run
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mut mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    /// use mmap_pool::Protection;
    ///
    /// mapping.protect(Protection::READ)?;
    /// assert!(mapping.write_at(b"no", 0).is_err());
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EACCES`: the mapping is shared, and the object is not open for these accesses.
    /// - `ENOMEM`: the process has too many mappings.
    ///
    /// After an error, some pages can have the new protection and others the old one. The accessors
    /// then do only the accesses that both allow.
    pub fn protect(&mut self, protection: Protection) -> Result<()> {
        let old = self.protection;
        self.protection = old & protection;
        let flags = protection.for_mprotect();
        // SAFETY: The range belongs to this object. With `&mut self`, no reference to it exists.
        unsafe { mm::mprotect(self.raw(), self.mapped_len(), flags) }
            .map_err(Error::system(Operation::Protect))?;
        self.protection = protection;
        Ok(())
    }

    /// Changes the mapping's length. The memory may move to another address.
    ///
    /// A longer mapping shows the bytes that follow in the object. Touching bytes past the object's end
    /// is `SIGBUS`.
    ///
    /// ```no_run
    /// use mmap_pool::{MappingBuilder, Pool};
    ///
    /// let pool = Pool::create().size_bytes(4096).create()?;
    /// let mut mapping = MappingBuilder::shared().map(&pool)?;
    /// pool.resize(8192)?;
    /// mapping.remap(8192)?;
    /// mapping.write_at(b"new", 8000)?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the new length is 0, or larger than any address space.
    /// - `ENOMEM`: no address space is left, or the process has too many mappings.
    /// - `EAGAIN`: the mapping is locked, and the new length exceeds `RLIMIT_MEMLOCK`.
    /// - `EFAULT`: the mapping is to grow, and its pages have different protections or come from
    ///   different objects.
    pub fn remap(&mut self, len: usize) -> Result<()> {
        let new_len = match len {
            0 => 0,
            len => self.head.saturating_add(len),
        };
        let (old_len, may_move) = (self.mapped_len(), MremapFlags::MAYMOVE);
        // SAFETY: The range belongs to this object. With `&mut self`, no reference to it exists.
        let base = unsafe { mm::mremap(self.raw(), old_len, new_len, may_move) }
            .map_err(Error::system(Operation::Remap))?;
        // SAFETY: The kernel moves a mapping to address 0 only if the caller asks for it.
        self.base = unsafe { NonNull::new_unchecked(base.cast()) };
        self.len = len;
        Ok(())
    }

    /// Faults all pages in and keeps them in memory.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: the mapping reaches past the object's end, the machine is out of memory, or
    ///   `RLIMIT_MEMLOCK` is exceeded.
    /// - `EPERM`: `RLIMIT_MEMLOCK` is 0.
    /// - `EAGAIN`: some pages could not be locked.
    pub fn lock(&self) -> Result<()> {
        // SAFETY: The range belongs to this object, and locking does not change its bytes.
        unsafe { mm::mlock(self.raw(), self.mapped_len()) }.map_err(Error::system(Operation::Lock))
    }

    /// Undoes [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// `ENOMEM`: the process has too many mappings.
    pub fn unlock(&self) -> Result<()> {
        // SAFETY: As in `lock`.
        unsafe { mm::munlock(self.raw(), self.mapped_len()) }
            .map_err(Error::system(Operation::Unlock))
    }

    /// Writes the dirty pages of a backed pool back to its backing object, and waits until they are
    /// durable. A pool in memory has no place to write to, so there it does nothing.
    ///
    /// # Errors
    ///
    /// `EIO`, `ENOSPC` and others: the pages could not be written. Each descriptor reports an error
    /// once.
    pub fn flush(&self) -> Result<()> {
        self.flush_range(0, self.len)
    }

    /// Like [`flush`](Self::flush), for the pages of `len` bytes at `offset`.
    ///
    /// ```no_run
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    /// mapping.write_at(b"kept", 5000)?;
    /// mapping.flush_range(5000, 4)?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::OutOfBounds`]: some of the bytes are outside the mapping.
    /// - `EIO`: the pages could not be written.
    pub fn flush_range(&self, offset: usize, len: usize) -> Result<()> {
        let start = self.check(offset, len, Protection::NONE)?;
        let within_page = start.addr() % page_size();
        let page = start.wrapping_sub(within_page);
        // SAFETY: As in `lock`.
        unsafe { mm::msync(page.cast(), within_page + len, MsyncFlags::SYNC) }
            .map_err(Error::system(Operation::Flush))
    }

    /// Gives the kernel advice about the whole mapping.
    ///
    /// # Errors
    ///
    /// Those of `madvise(2)` for this advice.
    pub fn advise(&self, advice: Advice) -> Result<()> {
        self.madvise(self.base.as_ptr(), self.mapped_len(), advice)
    }

    /// Like [`advise`](Self::advise), for `len` bytes at `offset`. A page must begin at `offset`. The
    /// advice applies to all of the last page.
    ///
    /// ```no_run
    /// use mmap_pool::Advice;
    /// # let pool = mmap_pool::Pool::open()?;
    /// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
    ///
    /// mapping.advise_range(Advice::PopulateWrite, 8192, 4096)?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::OutOfBounds`]: some of the bytes are outside the mapping.
    /// - `EINVAL`: no page begins at `offset`.
    /// - Those of `madvise(2)` for this advice.
    pub fn advise_range(&self, advice: Advice, offset: usize, len: usize) -> Result<()> {
        let start = self.check(offset, len, Protection::NONE)?;
        self.madvise(start, len, advice)
    }

    /// Gives the kernel advice about a part of the mapping, `len` bytes from `start` on.
    #[expect(clippy::unused_self, reason = "the range belongs to `self`")]
    fn madvise(&self, start: *mut u8, len: usize, advice: Advice) -> Result<()> {
        let advice = match advice {
            Advice::Normal => mm::Advice::Normal,
            Advice::Random => mm::Advice::Random,
            Advice::Sequential => mm::Advice::Sequential,
            Advice::WillNeed => mm::Advice::WillNeed,
            Advice::DontNeed => mm::Advice::LinuxDontNeed,
            Advice::Cold => mm::Advice::LinuxCold,
            Advice::PageOut => mm::Advice::LinuxPageOut,
            Advice::PopulateRead => mm::Advice::LinuxPopulateRead,
            Advice::PopulateWrite => mm::Advice::LinuxPopulateWrite,
            Advice::HugePage => mm::Advice::LinuxHugepage,
            Advice::NoHugePage => mm::Advice::LinuxNoHugepage,
        };
        // SAFETY: The range belongs to this object. `DontNeed` can change its bytes, as other
        // processes can.
        unsafe { mm::madvise(start.cast(), len, advice) }.map_err(Error::system(Operation::Advise))
    }

    /// Unmaps the memory, like dropping it, and reports errors.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: the kernel had merged the range with its neighbours, and the process has too many
    /// mappings to split it.
    pub fn unmap(self) -> Result<()> {
        let mapping = std::mem::ManuallyDrop::new(self);
        // SAFETY: The range belongs to this object, and the object is not used any more.
        unsafe { mm::munmap(mapping.raw(), mapping.mapped_len()) }
            .map_err(Error::system(Operation::Unmap))
    }

    fn raw(&self) -> *mut c_void {
        self.base.as_ptr().cast()
    }

    /// Returns the length of the mapped range, with the hidden bytes.
    fn mapped_len(&self) -> usize {
        self.head + self.len
    }

    /// Returns the address of `len` bytes at `offset`, if they are inside the mapping and it allows
    /// `needed`.
    pub(crate) fn check(&self, offset: usize, len: usize, needed: Protection) -> Result<*mut u8> {
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
        Ok(self.as_ptr().wrapping_add(offset))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The range belongs to this object, and the object is not used any more. After a
        // failure the range stays mapped, which is safe.
        let _ = unsafe { mm::munmap(self.raw(), self.mapped_len()) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::tests::{memfd, PAGE_LEN};
    use crate::{Errno, MappingBuilder};

    const LEN: usize = 2 * PAGE_LEN;

    #[test]
    fn shared_writes_reach_the_file_and_private_ones_do_not() {
        let memfd = memfd(2);
        let shared = MappingBuilder::shared().map(&memfd).unwrap();
        let private = MappingBuilder::private().map(&memfd).unwrap();
        shared.write_at(b"over the edge", 4090).unwrap();
        private.write_at(b"mine", 0).unwrap();

        assert_eq!(&memfd.read(4090), b"over the edge");
        let mut bytes = [0; 13];
        private.read_at(&mut bytes, 4090).unwrap();
        assert_eq!(&bytes[..6], b"over t");
        assert_eq!(memfd.read(0), [0; 13]);
    }

    #[test]
    fn accesses_outside_are_refused() {
        let mapping = MappingBuilder::shared().map(&memfd(2)).unwrap();
        assert!(mapping.write_at(b"1", LEN - 1).is_ok());
        assert!(mapping.write_at(b"", LEN).is_ok());
        for (offset, len) in [(LEN - 1, 2), (LEN, 1), (usize::MAX, 1), (1, LEN)] {
            let error = Error::OutOfBounds {
                offset,
                len,
                mapping_len: LEN,
            };
            let refused = Err(error.clone());
            assert_eq!(mapping.read_at(&mut vec![0; len], offset), refused);
            assert_eq!(mapping.write_at(&vec![0; len], offset), refused);
            assert_eq!(mapping.fill(offset, len, 0), refused);
            assert_eq!(mapping.flush_range(offset, len), refused);
            assert_eq!(mapping.advise_range(Advice::Normal, offset, len), refused);
            // SAFETY: No other code uses the memory.
            assert_eq!(unsafe { mapping.slice(offset, len) }, Err(error));
        }
        assert_eq!(mapping.atomic_u64(LEN).unwrap_err().errno(), Errno::FAULT);
    }

    #[test]
    fn the_length_need_not_be_whole_pages() {
        let mapping = MappingBuilder::shared().len(5).map(&memfd(2)).unwrap();
        assert_eq!(mapping.len(), 5);
        assert!(mapping.write_at(b"12345", 0).is_ok());
        assert!(mapping.write_at(b"123456", 0).is_err());
    }

    #[test]
    fn a_read_only_mapping_refuses_writes_and_atomics() {
        let memfd = memfd(2);
        let mut mapping = MappingBuilder::shared()
            .protection(Protection::READ)
            .map(&memfd)
            .unwrap();
        let errno = |result: Result<()>| result.unwrap_err().errno();
        assert_eq!(errno(mapping.write_at(b"no", 0)), Errno::ACCESS);
        assert_eq!(errno(mapping.fill(0, 1, 0)), Errno::ACCESS);
        assert_eq!(errno(mapping.atomic_u32(0).map(drop)), Errno::ACCESS);
        // SAFETY: No other code uses the memory.
        let refused = unsafe { mapping.slice_mut(0, 1) }.map(drop);
        assert_eq!(errno(refused), Errno::ACCESS);

        mapping.protect(Protection::READ_WRITE).unwrap();
        mapping.write_at(b"yes", 0).unwrap();
        mapping.protect(Protection::NONE).unwrap();
        assert_eq!(errno(mapping.read_at(&mut [0], 0)), Errno::ACCESS);
    }

    #[test]
    fn a_protection_that_only_some_pages_got_allows_what_both_allow() {
        // Map two pages. The second one is of a file that is not open for writing.
        let (one, other) = (memfd(2), memfd(1));
        let path = format!("/proc/self/fd/{}", other.as_fd().as_raw_fd());
        let other = std::fs::File::open(path).unwrap();
        let builder = MappingBuilder::shared().protection(Protection::READ);
        let mut mapping = builder.map(&one).unwrap();
        let second = mapping.as_ptr().wrapping_add(PAGE_LEN);
        let (prot, flags) = (
            mm::ProtFlags::READ,
            mm::MapFlags::SHARED | mm::MapFlags::FIXED,
        );
        // SAFETY: The range belongs to the mapping, and no reference to it exists.
        unsafe { mm::mmap(second.cast(), PAGE_LEN, prot, flags, &other, 0) }.unwrap();

        let error = mapping.protect(Protection::READ_WRITE).unwrap_err();
        assert_eq!(error.errno(), Errno::ACCESS);
        assert_eq!(mapping.protection(), Protection::READ);
        assert!(mapping.write_at(b"no", PAGE_LEN).is_err());

        // Now the first page allows writing, and maybe not reading.
        mapping.protect(Protection::WRITE).unwrap_err();
        assert_eq!(mapping.protection(), Protection::NONE);
        assert!(mapping.read_at(&mut [0], 0).is_err());
        mapping.protect(Protection::READ).unwrap();
        mapping.read_at(&mut [0], 0).unwrap();
    }

    #[test]
    fn atomics_are_the_memory_itself() {
        let memfd = memfd(2);
        let mapping = MappingBuilder::shared().map(&memfd).unwrap();
        let order = Ordering::Relaxed;
        mapping.atomic_u32(4).unwrap().store(0x0102_0304, order);
        mapping.atomic_u64(8).unwrap().store(7, order);
        mapping.atomic_u16(2).unwrap().store(0x0506, order);
        mapping.atomic_u8(1).unwrap().store(9, order);
        let bytes: [u8; 16] = memfd.read(0);
        assert_eq!(bytes[..2], [0, 9]);
        assert_eq!(bytes[2..4], 0x0506_u16.to_ne_bytes());
        assert_eq!(bytes[4..8], 0x0102_0304_u32.to_ne_bytes());
        assert_eq!(bytes[8..], 7_u64.to_ne_bytes());
    }

    #[test]
    fn an_atomic_is_aligned_in_memory_not_in_the_mapping() {
        let memfd = memfd(1);
        let mapping = MappingBuilder::shared().offset(2).map(&memfd).unwrap();
        mapping.atomic_u32(2).unwrap().store(1, Ordering::Relaxed);
        assert_eq!(memfd.read(4), 1_u32.to_ne_bytes());
        for offset in [0, 1, 3, 4] {
            let error = mapping.atomic_u32(offset).unwrap_err();
            assert_eq!(error, Error::Misaligned { offset, align: 4 });
        }
        assert!(mapping.atomic_u16(1).is_err());
        assert!(mapping.atomic_u8(1).is_ok());
    }

    #[test]
    fn giving_a_private_page_up_shows_the_file_again() {
        let memfd = memfd(2);
        memfd.write(b"file", 0);
        memfd.write(b"file", PAGE_LEN);
        let mapping = MappingBuilder::private().map(&memfd).unwrap();
        let read = |offset| {
            let mut bytes = [0; 4];
            mapping.read_at(&mut bytes, offset).unwrap();
            bytes
        };
        mapping.write_at(b"mine", 0).unwrap();
        mapping.write_at(b"mine", PAGE_LEN).unwrap();
        mapping.advise_range(Advice::DontNeed, PAGE_LEN, 1).unwrap();
        assert_eq!((&read(0), &read(PAGE_LEN)), (b"mine", b"file"));
        mapping.advise(Advice::DontNeed).unwrap();
        assert_eq!(&read(0), b"file");
    }

    #[test]
    fn advice_on_a_part_begins_at_a_page() {
        let memfd = memfd(2);
        let mapping = MappingBuilder::private().offset(100).map(&memfd).unwrap();
        let advise = |offset| mapping.advise_range(Advice::WillNeed, offset, 10);
        assert_eq!(advise(0).unwrap_err().errno(), Errno::INVAL);
        assert_eq!(advise(PAGE_LEN - 100), Ok(()));
        // The mapping as a whole begins at a page.
        mapping.advise(Advice::WillNeed).unwrap();
    }

    #[test]
    fn any_part_can_be_flushed() {
        let memfd = memfd(2);
        let mapping = MappingBuilder::shared().offset(100).map(&memfd).unwrap();
        for (offset, len) in [(0, 1), (1, LEN - 101), (PAGE_LEN, 0), (LEN - 101, 1)] {
            assert_eq!(mapping.flush_range(offset, len), Ok(()));
        }
    }

    #[test]
    fn filling_sets_the_range_and_nothing_else() {
        let memfd = memfd(1);
        let mapping = MappingBuilder::shared().offset(3).map(&memfd).unwrap();
        mapping.fill(2, 200, 0xab).unwrap();
        let bytes: [u8; 300] = memfd.read(0);
        assert_eq!(bytes[..5], [0; 5]);
        assert_eq!(bytes[5..205], [0xab; 200]);
        assert_eq!(bytes[205..], [0; 95]);
    }

    #[test]
    fn a_slice_is_the_memory_itself() {
        let memfd = memfd(1);
        memfd.write(b"file", 10);
        let mut mapping = MappingBuilder::shared().offset(8).map(&memfd).unwrap();
        // SAFETY: No other code uses the memory.
        assert_eq!(unsafe { mapping.slice(2, 4) }, Ok(&b"file"[..]));
        // SAFETY: As above.
        let slice = unsafe { mapping.slice_mut(2, 4) }.unwrap();
        slice.copy_from_slice(b"mine");
        assert_eq!(&memfd.read(10), b"mine");
    }

    #[test]
    fn a_longer_mapping_shows_more_of_the_file() {
        let memfd = memfd(4);
        memfd.write(b"first", 100);
        memfd.write(b"last", 4 * PAGE_LEN - 4);
        let builder = MappingBuilder::shared().offset(100).len(5);
        let mut mapping = builder.map(&memfd).unwrap();
        mapping.remap(4 * PAGE_LEN - 100).unwrap();
        assert_eq!(mapping.len(), 4 * PAGE_LEN - 100);
        let mut bytes = [0; 5];
        mapping.read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"first");
        mapping.read_at(&mut bytes, 4 * PAGE_LEN - 105).unwrap();
        assert_eq!(&bytes, b"\0last");

        mapping.remap(5).unwrap();
        assert_eq!(mapping.len(), 5);
        assert!(mapping.read_at(&mut bytes, 1).is_err());
        mapping.read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"first");
    }

    #[test]
    fn a_refused_length_changes_nothing() {
        let mut mapping = MappingBuilder::shared().map(&memfd(2)).unwrap();
        let start = mapping.as_ptr();
        for len in [0, 1 << 62, usize::MAX] {
            let refused = Error::System {
                operation: Operation::Remap,
                errno: Errno::INVAL,
            };
            assert_eq!(mapping.remap(len), Err(refused));
        }
        assert_eq!((mapping.len(), mapping.as_ptr()), (LEN, start));
        mapping.write_at(b"1", LEN - 1).unwrap();
    }

    #[test]
    fn locking_flushing_and_unmapping_work() {
        let mapping = MappingBuilder::shared().map(&memfd(2)).unwrap();
        mapping.lock().unwrap();
        mapping.unlock().unwrap();
        mapping.flush().unwrap();
        mapping.unmap().unwrap();
    }
}
