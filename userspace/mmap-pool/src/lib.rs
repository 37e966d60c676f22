// SPDX-License-Identifier: MIT OR GPL-2.0

//! Safe access to `/dev/mmap_pool`, a Linux device whose memory processes map and share.
//!
//! Open the default pool, map it, and read and write it:
//!
//! ```no_run
//! use mmap_pool::{MappingBuilder, Pool};
//!
//! let pool = Pool::open()?;
//! let mapping = MappingBuilder::shared().len(8192).map(&pool)?;
//! mapping.write_at(b"every process that maps this page sees these bytes", 4096)?;
//!
//! let mut bytes = [0; 5];
//! pool.read_exact_at(&mut bytes, 4096)?;
//! assert_eq!(&bytes, b"every");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Create a new pool. It starts empty. Other programs see it as a regular file. The kernel frees it
//! when its last descriptor and its last mapping are gone:
//!
//! ```no_run
//! use mmap_pool::{MappingBuilder, Pool, Seals};
//!
//! let frames = Pool::create().name("frames").size_bytes(1 << 20).create()?;
//! let mapping = MappingBuilder::shared().map(&frames)?;
//! // Now the size is fixed. A process that gets the descriptor can rely on it.
//! frames.seal(Seals::SHRINK | Seals::GROW)?;
//! # Ok::<(), mmap_pool::Error>(())
//! ```
//!
//! A pool can be a cache of a file or a block device, see [`PoolBuilder::backing`]. Then it can be
//! larger than memory, and [`Mapping::flush`] and [`Pool::sync`] make its bytes durable.
//!
//! # Memory that other processes write
//!
//! Any process that has the pool can change a mapped byte at any moment. A `&[u8]` promises the
//! compiler that its bytes do not change. So safe code cannot get a `&[u8]` from a [`Mapping`]. This
//! includes private mappings: a private page follows the pool until the first write to it. Safe code
//! uses:
//!
//! - [`Mapping::read_at`], [`Mapping::write_at`] and [`Mapping::fill`], which copy. If another process
//!   writes the bytes at the same time, the copy can be a mixture of old and new bytes. Nothing worse
//!   can happen.
//! - [`Mapping::atomic_u32`] and similar functions. They return an atomic integer, which can be used
//!   while the mapping is borrowed, for example in a lock or a counter.
//!
//! For other uses there are the pointer [`Mapping::as_ptr`] and the unsafe function
//! [`Mapping::slice`].
//!
//! # The memory model
//!
//! Several threads can use one mapping at the same time, on the same bytes, with any of these
//! accessors. With Rust's own accesses this would be a data race: copies are not atomic, and atomic
//! accesses of different sizes must not overlap without ordering. So the accessors are inline
//! assembly. To the compiler, each is like a `pread(2)` or `pwrite(2)` on the pool: code outside the
//! program reads or writes the bytes while the caller waits. Then the rules of the processor apply, and
//! they define the result of every race.
//!
//! These guarantees hold:
//!
//! - An access reads each byte once or writes each byte once, and touches no other byte.
//! - An access of 1, 2, 4 or 8 bytes at an aligned address is a single access, in every accessor. A
//!   longer copy consists of several accesses, in unspecified order.
//! - The operations of an [`Atomic`] order other accesses at least as strongly as those of `std`.
//!
//! These limits apply:
//!
//! - A copy does not order other accesses. To pass bytes to another thread or process, write the bytes,
//!   then store to an [`Atomic`] with [`Release`](std::sync::atomic::Ordering::Release). The other side
//!   loads the `Atomic` with [`Acquire`](std::sync::atomic::Ordering::Acquire) before it reads the
//!   bytes.
//! - The compiler sees accesses through [`Mapping::slice`] and [`Mapping::as_ptr`]. Rust's rules apply
//!   to them.
//! - The assembly is written for `x86_64` and `aarch64`. On other processors, and in Miri, the accessors
//!   use the atomics of `std`. There, the program must order overlapping accesses of different sizes.
//!
//! # Signals
//!
//! A mapping can reach past the end of the pool. Touching a page there raises `SIGBUS`. So does
//! touching a page when the pools have reached their limit or the machine is out of memory, or when
//! the backing object of the pool cannot be read. The accessors do not catch the signal. Touching
//! memory inside the pool and inside the mapping raises no signal otherwise, unless the pool shrinks
//! or is revoked.

#![deny(missing_docs)]

mod access;
mod atomic;
mod builder;
mod create;
mod error;
#[cfg(feature = "vm-memory")]
mod guest_region;
mod info;
mod mapping;
mod pool;
mod protection;
mod seals;

/// The interface between the device and userspace: ioctl numbers and structures.
///
/// The kernel module defines this interface, and it follows the module's version. A member called
/// `reserved` can get a name and a meaning in any version of this crate.
#[allow(
    clippy::cast_lossless,
    clippy::cast_possible_truncation,
    clippy::precedence,
    reason = "the kernel's lints apply to this file"
)]
pub mod uapi;

pub use atomic::Atomic;
pub use builder::{Mappable, MappingBuilder};
pub use create::PoolBuilder;
pub use error::{Error, Operation};
#[cfg(feature = "vm-memory")]
pub use guest_region::GuestRegion;
pub use info::{Backing, Info, Stat};
pub use mapping::{Advice, Mapping};
pub use pool::{OpenOptions, Pool, DEFAULT_PATH};
pub use protection::Protection;
pub use seals::Seals;
pub use uapi::Strategy;

/// An error number of the kernel, as in `errno(3)`.
///
/// This is the type of `rustix` 1, so it can be compared with errors of that crate. A new major version
/// of `rustix` leads to a new major version of this crate.
pub use rustix::io::Errno;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    //! Functions that the tests of several modules use.

    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use rustix::fs::{fstat, ftruncate, memfd_create, MemfdFlags};
    use rustix::io::{pread, pwrite};

    use crate::{Mappable, Result};

    pub(crate) const PAGE_LEN: usize = 4096;

    /// An anonymous file in memory.
    pub(crate) struct Memfd(OwnedFd);

    pub(crate) fn memfd(pages: usize) -> Memfd {
        let memfd = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memfd, (pages * PAGE_LEN) as u64).unwrap();
        Memfd(memfd)
    }

    impl Memfd {
        pub(crate) fn write(&self, bytes: &[u8], offset: usize) {
            assert_eq!(pwrite(self, bytes, offset as u64), Ok(bytes.len()));
        }

        pub(crate) fn read<const LEN: usize>(&self, offset: usize) -> [u8; LEN] {
            let mut bytes = [0; LEN];
            assert_eq!(pread(self, &mut bytes, offset as u64), Ok(LEN));
            bytes
        }
    }

    impl AsFd for Memfd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    // SAFETY: A memfd is plain memory.
    unsafe impl Mappable for Memfd {
        fn size_bytes(&self) -> Result<u64> {
            Ok(u64::try_from(fstat(self).unwrap().st_size).unwrap())
        }
    }
}
