// SPDX-License-Identifier: MIT OR GPL-2.0

//! An open pool.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::ioctl::{ioctl, Getter, Ioctl, NoArg, Opcode, Setter};

use crate::error::{Error, Operation};
use crate::{uapi, Backing, Info, PoolBuilder, Result, Seals, Stat};

/// Path of the device node. Opening it opens the default pool.
pub const DEFAULT_PATH: &str = "/dev/mmap_pool";

/// An open pool.
///
/// It can be read, written and seeked like a file. Reading stops at the pool's end. Writing past the
/// end makes a created pool larger. The size of the default pool is fixed: writing at or past its end
/// fails with `ENOSPC`. [`MappingBuilder`](crate::MappingBuilder) maps a pool.
#[derive(Debug)]
pub struct Pool {
    file: File,
}

/// Options for opening a pool. The default is both reading and writing.
///
/// ```no_run
/// use mmap_pool::OpenOptions;
///
/// let pool = OpenOptions::new().write(false).open()?;
/// assert!(pool.write_all_at(b"no", 0).is_err());
/// # Ok::<(), mmap_pool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    is_readable: bool,
    is_writable: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Returns the default options: reading and writing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            is_readable: true,
            is_writable: true,
        }
    }

    /// Sets whether to open for reading. Every mapping needs it.
    #[must_use]
    pub const fn read(mut self, is_readable: bool) -> Self {
        self.is_readable = is_readable;
        self
    }

    /// Sets whether to open for writing. Writable shared mappings need it.
    #[must_use]
    pub const fn write(mut self, is_writable: bool) -> Self {
        self.is_writable = is_writable;
        self
    }

    /// Opens the default pool, at [`DEFAULT_PATH`].
    ///
    /// # Errors
    ///
    /// Those of [`Pool::open`], and `EINVAL` if the options are neither reading nor writing.
    pub fn open(self) -> Result<Pool> {
        self.open_path(DEFAULT_PATH)
    }

    /// Opens the pool at `path`.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`].
    pub fn open_path(self, path: impl AsRef<Path>) -> Result<Pool> {
        let path = path.as_ref();
        let file = File::options()
            .read(self.is_readable)
            .write(self.is_writable)
            .open(path)
            .map_err(|error| Error::Open {
                path: path.into(),
                errno: Errno::from_io_error(&error).unwrap_or(Errno::INVAL),
            })?;
        Pool::try_from(file).map_err(|error| match error {
            Error::NotAPool { .. } => Error::NotAPool {
                path: Some(path.into()),
            },
            error => error,
        })
    }
}

impl Pool {
    /// Opens the default pool for reading and writing.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::open()?;
    /// println!("{} bytes", pool.info()?.size_bytes);
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `ENOENT`, `ENXIO`, `ENODEV`: the device does not exist, because the module is not loaded.
    /// - `EACCES`: the mode of the node does not allow it.
    /// - `ENOTTY`: the file is not a pool.
    pub fn open() -> Result<Self> {
        OpenOptions::new().open()
    }

    /// Opens the pool at `path` for reading and writing.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::open_path("/dev/mmap_pool")?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Pool::open`].
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open_path(path)
    }

    /// Returns the current size and statistics. The pool can be open for reading, for writing, or for
    /// both.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::open()?;
    /// let info = pool.info()?;
    /// println!("{} of {} pages hold memory",
    ///     info.nr_resident_pages, info.size_bytes / u64::from(info.page_size_bytes));
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `ENOTTY`: the file is not a pool.
    pub fn info(&self) -> Result<Info> {
        // SAFETY: For this request number, the kernel writes one `Info`, a struct of integers.
        let request = unsafe { Getter::<{ uapi::INFO as Opcode }, uapi::Info>::new() };
        // SAFETY: The request number contains the size of the argument, for any driver.
        unsafe { ioctl(&self.file, request) }
            .map(Info::from)
            .map_err(|errno| match errno {
                Errno::NOTTY | Errno::INVAL => Error::NotAPool { path: None },
                errno => Error::System {
                    operation: Operation::Info,
                    errno,
                },
            })
    }

    /// Returns the seals that were added so far.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::info`].
    pub fn seals(&self) -> Result<Seals> {
        Ok(Seals::from_bits(self.info()?.seals))
    }

    /// Returns a builder that creates a new pool.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::create().name("frames").size_bytes(1 << 20).create()?;
    /// assert_eq!(pool.info()?.size_bytes, 1 << 20);
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    pub fn create<'a>() -> PoolBuilder<'a> {
        PoolBuilder::new()
    }

    /// Changes the size. A smaller size frees the pages past the new end. Private copies of these pages
    /// are freed as well. Touching a mapping past the new end is `SIGBUS`.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::create().size_bytes(4096).create()?;
    /// pool.resize(1 << 20)?;
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EBADF`: the pool is not open for writing.
    /// - `EPERM`: a seal forbids the change, or the pool is the default pool and the task does not have
    ///   `CAP_SYS_ADMIN`.
    /// - `ENOSPC`: the pool has [`Strategy::Eager`](crate::Strategy::Eager), and all pools together have
    ///   reached their limit.
    /// - `EFBIG`: the new size is larger than the old one and than `RLIMIT_FSIZE`; the process also gets
    ///   `SIGXFSZ`.
    /// - `EINTR`: a signal kills the task.
    /// - `EINVAL`: the size is larger than a file can be. For the default pool, also: the size is zero,
    ///   not a multiple of the page size, or larger than the machine's memory.
    /// - `ENODEV`: the pool was revoked.
    pub fn resize(&self, size_bytes: u64) -> Result<()> {
        let argument = uapi::Resize {
            size_bytes,
            reserved: 0,
        };
        self.set::<{ uapi::RESIZE as Opcode }, _>(Operation::Resize, argument)
    }

    /// Makes a hole: frees whole pages, zeroes parts of pages. Private copies stay.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::create().size_bytes(1 << 20).create()?;
    /// pool.write_all_at(b"secret", 8192)?;
    /// pool.punch(8192, 4096)?;
    /// assert_eq!(pool.info()?.nr_resident_pages, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EBADF`: the pool is not open for writing.
    /// - `EPERM`: the pool is sealed against writing, or has
    ///   [`Strategy::Eager`](crate::Strategy::Eager).
    /// - `EINVAL`: the range is empty, or ends past the largest size of a file.
    /// - `ENODEV`: the pool was revoked.
    /// - `EOPNOTSUPP`: the backing object of the pool cannot.
    /// - `EIO` and others: the backing object has failed; each byte of the range has its old value or
    ///   is zero.
    pub fn punch(&self, offset: u64, len: u64) -> Result<()> {
        let argument = uapi::Range {
            offset_bytes: offset,
            len_bytes: len,
        };
        self.set::<{ uapi::PUNCH as Opcode }, _>(Operation::Punch, argument)
    }

    /// Allocates the pages of a range that have no memory yet. Touching them later cannot fail for lack
    /// of memory. After an error, some of the pages may be allocated.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::create().size_bytes(1 << 20).create()?;
    /// pool.prefault(0, 1 << 20)?;
    /// assert_eq!(pool.info()?.nr_resident_pages, 256);
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EBADF`: the pool is not open for writing.
    /// - `EINVAL`: the range is empty or not inside the pool.
    /// - `ENOSPC`: all pools together have reached their limit.
    /// - `ENOMEM`: out of memory.
    /// - `EINTR`: a signal kills the task.
    /// - `ENODEV`: the pool was revoked.
    pub fn prefault(&self, offset: u64, len: u64) -> Result<()> {
        let argument = uapi::Range {
            offset_bytes: offset,
            len_bytes: len,
        };
        self.set::<{ uapi::PREFAULT as Opcode }, _>(Operation::Prefault, argument)
    }

    /// Adds seals permanently.
    ///
    /// ```no_run
    /// use mmap_pool::{Pool, Seals};
    ///
    /// let pool = Pool::create().size_bytes(4096).create()?;
    /// pool.seal(Seals::SHRINK | Seals::SEAL)?;
    /// assert!(pool.resize(0).is_err());
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EBADF`: the pool is not open for writing.
    /// - `EPERM`: the pool has [`Seals::SEAL`], or it is the default pool and the task does not have
    ///   `CAP_SYS_ADMIN`.
    /// - `EBUSY`: [`Seals::WRITE`] was asked for, and a writable shared mapping exists.
    /// - `EINVAL`: a seal is unknown.
    /// - `ENODEV`: the pool was revoked.
    pub fn seal(&self, seals: Seals) -> Result<()> {
        let argument = uapi::Seal {
            seals: seals.bits(),
            reserved: 0,
        };
        self.set::<{ uapi::SEAL as Opcode }, _>(Operation::Seal, argument)
    }

    /// Revokes the pool. The kernel frees its memory. From then on, touching a mapping of the pool is
    /// `SIGBUS`, and reading, writing and mapping the pool fail with `ENODEV`.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::create().size_bytes(4096).create()?;
    /// pool.revoke()?;
    /// assert!(pool.info()?.is_revoked());
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EPERM`: the task does not own the pool and does not have `CAP_FOWNER`, the pool is the default
    ///   pool and the task does not have `CAP_SYS_ADMIN`, or the pool has
    ///   [`Strategy::Eager`](crate::Strategy::Eager).
    /// - `ENODEV`: the pool was revoked before.
    pub fn revoke(&self) -> Result<()> {
        // SAFETY: This request number has no argument.
        let request = unsafe { NoArg::<{ uapi::REVOKE as Opcode }>::new() };
        self.request(Operation::Revoke, request)
    }

    /// Writes back the dirty pages of a backed pool, and waits until they are durable. Other pools
    /// have nothing to write back.
    ///
    /// # Errors
    ///
    /// - `EIO`, `ENOSPC` and others: the backing object could not be written. Each descriptor reports
    ///   an error once.
    ///
    /// C: `fsync(2)`.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.file).map_err(Error::system(Operation::Sync))
    }

    /// Describes the backing object of the pool, and the pages that wait to be written to it.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: the pool has no backing object.
    pub fn backing(&self) -> Result<Backing> {
        // SAFETY: For this request number, the kernel writes one `Backing`, a struct of integers.
        let request = unsafe { Getter::<{ uapi::BACKING as Opcode }, uapi::Backing>::new() };
        self.request(Operation::Backing, request).map(Backing::from)
    }

    /// Returns which pages of a range were written since the last call, in ascending order, and forgets
    /// it. It counts writes by any mapping and any call of any process. A page that is written during
    /// the call is in this answer, in the next, or in both.
    ///
    /// ```no_run
    /// # let file = std::fs::File::open("data")?;
    /// let pool = mmap_pool::Pool::create().backing(&file).track_writes().create()?;
    /// pool.write_all_at(b"new", 3 * 4096)?;
    /// assert_eq!(pool.take_written(0, 1 << 20)?, [3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `ENOTTY`: the pool was not created with
    ///   [`track_writes`](crate::PoolBuilder::track_writes).
    /// - `EBADF`: the pool is not open for reading.
    /// - `EINVAL`: the range is empty, not inside the pool, or does not begin at a page.
    /// - `ENODEV`: the pool was revoked.
    pub fn take_written(&self, offset: u64, len: u64) -> Result<Vec<u64>> {
        let page_size_bytes = u64::from(self.info()?.page_size_bytes);
        let nr_words = len.div_ceil(page_size_bytes).div_ceil(64);
        // A range that is longer than the pool is refused anyway.
        let nr_words = nr_words.min(self.info()?.size_bytes.div_ceil(64 * page_size_bytes));
        let mut words = vec![
            0_u64;
            nr_words.try_into().map_err(|_| Error::System {
                operation: Operation::Dirty,
                errno: Errno::NOMEM,
            })?
        ];
        let argument = uapi::Dirty {
            offset_bytes: offset,
            len_bytes: len,
            words_address: words.as_mut_ptr().expose_provenance() as u64,
            reserved: 0,
        };
        self.set::<{ uapi::DIRTY as Opcode }, _>(Operation::Dirty, argument)?;
        let first = offset / page_size_bytes;
        Ok((0..)
            .zip(words)
            .flat_map(|(index, word)| {
                (0..64)
                    .filter(move |bit| (word >> bit) & 1 != 0)
                    .map(move |bit| first + 64 * index + bit)
            })
            .collect())
    }

    /// Returns statistics of all pools together. `self` must be the device node. It can be open for
    /// reading, for writing, or for both.
    ///
    /// ```no_run
    /// let stat = mmap_pool::Pool::open()?.stat()?;
    /// println!("{} pools hold {} of at most {} pages",
    ///     stat.nr_pools, stat.nr_resident_pages, stat.nr_limit_pages);
    /// # Ok::<(), mmap_pool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `ENOTTY`: `self` is a created pool, and not the device node.
    pub fn stat(&self) -> Result<Stat> {
        // SAFETY: For this request number, the kernel writes one `Stat`, a struct of integers.
        let request = unsafe { Getter::<{ uapi::STAT as Opcode }, uapi::Stat>::new() };
        self.request(Operation::Stat, request).map(Stat::from)
    }

    fn set<const NUMBER: Opcode, T>(&self, operation: Operation, argument: T) -> Result<()> {
        // SAFETY: `self` is a pool. The callers pass the struct that belongs to the request number. The
        // kernel only reads it.
        let request = unsafe { Setter::<NUMBER, T>::new(argument) };
        self.request(operation, request)
    }

    pub(crate) fn request<T: Ioctl>(&self, operation: Operation, request: T) -> Result<T::Output> {
        // SAFETY: `self` is a pool, and the request has the argument that belongs to its number.
        unsafe { ioctl(&self.file, request) }.map_err(Error::system(operation))
    }

    /// Reads at `offset` without moving the file position.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::open()?;
    /// let mut bytes = [0; 16];
    /// let len = pool.read_at(&mut bytes, 4096)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EBADF`: the pool is not open for reading.
    /// - `ENODEV`: the pool was revoked.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    /// Reads at `offset` until `bytes` is full.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] at the pool's end, and those of [`Pool::read_at`].
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Writes at `offset` without moving the file position.
    ///
    /// ```no_run
    /// let pool = mmap_pool::Pool::open()?;
    /// let len = pool.write_at(b"seen by every mapping", 4096)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EBADF`: the pool is not open for writing.
    /// - `ENOSPC`: `offset` is at or past the end of the default pool, or all pools together have
    ///   reached their limit.
    /// - `EPERM`: a seal forbids the write.
    /// - `ENODEV`: the pool was revoked.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::write_at`]. The bytes that fit are written all the same.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// `fsync(2)`.
    ///
    /// # Errors
    ///
    /// `EIO`: the pages could not be written back. A pool has no place to write to, so there the call
    /// always succeeds.
    pub fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Returns the open file, for all other operations of files.
    #[must_use]
    pub fn as_file(&self) -> &File {
        &self.file
    }
}

/// Takes ownership of an open file, if it is a pool.
impl TryFrom<File> for Pool {
    type Error = Error;

    fn try_from(file: File) -> Result<Self> {
        let pool = Self { file };
        pool.info()?;
        Ok(pool)
    }
}

/// Takes ownership of a descriptor, if it is one of a pool.
impl TryFrom<OwnedFd> for Pool {
    type Error = Error;

    fn try_from(fd: OwnedFd) -> Result<Self> {
        File::from(fd).try_into()
    }
}

impl From<Pool> for File {
    fn from(pool: Pool) -> Self {
        pool.file
    }
}

impl From<Pool> for OwnedFd {
    fn from(pool: Pool) -> Self {
        pool.file.into()
    }
}

impl AsFd for Pool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Pool {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Read for &Pool {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(bytes)
    }
}

impl Read for Pool {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Write for &Pool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.file).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Pool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &Pool {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&self.file).seek(position)
    }
}

impl Seek for Pool {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_pool_is_refused() {
        let error = Pool::open_path("/dev/null").unwrap_err();
        assert_eq!(
            error,
            Error::NotAPool {
                path: Some("/dev/null".into())
            }
        );
        assert_eq!(error.to_string(), "/dev/null is not a pool of mmap_pool");
        assert_eq!(error.errno(), Errno::NOTTY);
    }

    #[test]
    fn opening_for_nothing_is_einval() {
        let error = OpenOptions::new()
            .read(false)
            .write(false)
            .open_path("/dev/null")
            .unwrap_err();
        assert_eq!(error.errno(), Errno::INVAL);
    }
}
