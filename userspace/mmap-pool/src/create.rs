// SPDX-License-Identifier: MIT OR GPL-2.0

//! Creating a pool.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};

use crate::error::{Error, Operation};
use crate::{uapi, Pool, Result, Strategy};

/// Describes a pool that [`create`](Self::create) creates.
///
/// By default, the pool has size 0, no name, and [`Strategy::Auto`].
///
/// Only this process can use the new pool, until another process gets its descriptor: a child inherits
/// it, a socket passes it, or a process of the same user opens `/proc/PID/fd/N`. The pool is a regular
/// file, so every program that maps files can use it. The kernel frees the pool when its last descriptor
/// and its last mapping are gone.
///
/// ```no_run
/// use mmap_pool::{MappingBuilder, Pool};
///
/// let pool = Pool::create().name("frames").size_bytes(1 << 20).create()?;
/// let mapping = MappingBuilder::shared().map(&pool)?;
/// // The operations of files work on it.
/// pool.as_file().set_len(2 << 20)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "only `create` creates the pool"]
pub struct PoolBuilder<'a> {
    name: &'a str,
    size_bytes: u64,
    strategy: Strategy,
    backing: Option<BorrowedFd<'a>>,
    flags: u32,
}

impl<'a> PoolBuilder<'a> {
    pub(crate) const fn new() -> Self {
        Self {
            name: "",
            size_bytes: 0,
            strategy: Strategy::Auto,
            backing: None,
            flags: 0,
        }
    }

    /// Name of the pool in `/proc/PID/maps` and `/proc/PID/fd`, where `mmap_pool:` stands before it.
    /// Several pools can have the same name.
    pub fn name(mut self, name: &'a str) -> Self {
        self.name = name;
        self
    }

    /// Size of the pool, any number of bytes. Only [`Strategy::Eager`] allocates memory for it at once.
    pub fn size_bytes(mut self, size_bytes: u64) -> Self {
        self.size_bytes = size_bytes;
        self
    }

    /// When the pool allocates its pages, and how many at a time.
    ///
    /// ```
    /// use mmap_pool::{Pool, Strategy};
    ///
    /// let builder = Pool::create().size_bytes(64 << 20).strategy(Strategy::Huge);
    /// ```
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Makes the pool a cache of a regular file or a block device, `object`, with its size. Size and
    /// strategy of this builder must not be set.
    ///
    /// The kernel reads pages in when they are touched, and writes them back later.
    /// [`Pool::sync`](crate::Pool::sync) and [`Mapping::flush`](crate::Mapping::flush) write them
    /// back now. So the pool can be larger than memory. The pool keeps the object open itself. Nothing
    /// else must write to the object while the pool exists.
    ///
    /// ```no_run
    /// use mmap_pool::{MappingBuilder, Pool};
    ///
    /// let file = std::fs::File::options().read(true).write(true).open("data")?;
    /// let pool = Pool::create().backing(&file).create()?;
    /// let mapping = MappingBuilder::shared().map(&pool)?;
    /// mapping.write_at(b"kept", 0)?;
    /// mapping.flush()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backing(mut self, object: &'a impl AsFd) -> Self {
        self.backing = Some(object.as_fd());
        self.flags |= uapi::CREATE_BACKED;
        self
    }

    /// Allocates storage for the whole backing file now. Without it, a file with holes can run out of
    /// space when a page is written back, and only `flush` and `sync` tell.
    pub fn preallocate(mut self) -> Self {
        self.flags |= uapi::CREATE_PREALLOCATE;
        self
    }

    /// Lets [`Pool::take_written`](crate::Pool::take_written) tell which pages of a backed pool were
    /// written.
    pub fn track_writes(mut self) -> Self {
        self.flags |= uapi::CREATE_TRACK;
        self
    }

    /// Opens the backing object for reading only. The pool has
    /// [`Seals::WRITE`](crate::Seals::WRITE) from the start.
    pub fn read_only(mut self) -> Self {
        self.flags |= uapi::CREATE_READ_ONLY;
        self
    }

    /// Opens the device node and creates the pool through it.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::open`] and [`create_through`](Self::create_through).
    pub fn create(self) -> Result<Pool> {
        self.create_through(&Pool::open()?)
    }

    /// Creates the pool through a device node that is already open. The new pool is independent of the
    /// node's pool.
    ///
    /// ```no_run
    /// use mmap_pool::Pool;
    ///
    /// let node = Pool::open()?;
    /// let first = Pool::create().size_bytes(4096).create_through(&node)?;
    /// let second = Pool::create().size_bytes(4096).create_through(&node)?;
    /// first.write_all_at(b"not in the second", 0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::BadName`]: the name contains a zero byte or is too long.
    /// - `EBADF`: the node is not open for writing.
    /// - `ENOTTY`: `node` is a created pool, and not the device node.
    /// - `EINVAL`: the size is larger than a file can be, or an option does not fit the others. The
    ///   backing object is empty, or is neither a regular file nor a block device.
    /// - `EACCES`: the backing object is not open for reading, or without
    ///   [`read_only`](Self::read_only) not for writing, or can only be appended to.
    /// - `EBUSY`: the object backs a pool already, or the device is mounted.
    /// - `EOPNOTSUPP`: the file is not on a file system on a block device, or a program fills it when
    ///   it is read (`FAN_PRE_ACCESS`), or its file system cannot allocate in advance.
    /// - `EPERM`, `ETXTBSY`, `EROFS`: the file is immutable, used for swapping or being executed, or on
    ///   a read-only file system.
    /// - `EFBIG`: the size is larger than `RLIMIT_FSIZE`; the process also gets `SIGXFSZ`.
    /// - `ENOSPC`: the pool has [`Strategy::Eager`], and all pools together have reached their limit.
    /// - `EINTR`: a signal kills the task.
    /// - `EMFILE`, `ENFILE`: too many open files.
    /// - `ENOMEM`: out of memory.
    pub fn create_through(self, node: &Pool) -> Result<Pool> {
        let request = Create(uapi::Create {
            size_bytes: self.size_bytes,
            strategy: self.strategy as u32,
            flags: self.flags,
            // A descriptor is never negative.
            backing_fd: self.backing.map_or(0, |fd| fd.as_raw_fd().unsigned_abs()),
            name: self.padded_name()?,
            ..uapi::Create::default()
        });
        Pool::try_from(node.request(Operation::Create, request)?)
    }

    fn padded_name(&self) -> Result<[u8; uapi::NAME_LEN]> {
        let bytes = self.name.as_bytes();
        // One byte is left for the zero at the end.
        if bytes.len() >= uapi::NAME_LEN || bytes.contains(&0) {
            return Err(Error::BadName {
                name: self.name.into(),
            });
        }
        let mut name = [0; uapi::NAME_LEN];
        name[..bytes.len()].copy_from_slice(bytes);
        Ok(name)
    }
}

/// The `MMAP_POOL_CREATE` ioctl. It returns a descriptor.
struct Create(uapi::Create);

// SAFETY: The request number belongs to `uapi::Create`. The kernel only reads the struct.
unsafe impl Ioctl for Create {
    type Output = OwnedFd;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        uapi::CREATE as Opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(fd: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
        // SAFETY: On success, the device returns a new descriptor. No other code owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;

    #[test]
    fn the_longest_name_leaves_room_for_its_end() {
        let longest = "n".repeat(uapi::NAME_LEN - 1);
        let padded = PoolBuilder::new().name(&longest).padded_name().unwrap();
        assert_eq!(
            padded.iter().position(|&byte| byte == 0),
            Some(uapi::NAME_LEN - 1)
        );
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["n".repeat(uapi::NAME_LEN), "in\0side".into()] {
            let error = PoolBuilder::new().name(&name).padded_name().unwrap_err();
            assert_eq!(error.errno(), Errno::INVAL);
            assert_eq!(error, Error::BadName { name });
        }
    }
}
