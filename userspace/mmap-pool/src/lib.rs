// SPDX-License-Identifier: MIT OR GPL-2.0

//! Safe access to `/dev/mmap_pool`: open the pool or create one, map it shared or private, read and
//! write it.
//!
//! ```no_run
//! use mmap_pool::{MappingBuilder, Pool};
//!
//! let pool = Pool::open()?;
//! let mapping = MappingBuilder::shared().len(8192).map(&pool)?;
//! mapping.write_at(4096, b"every process that maps this page sees these bytes")?;
//!
//! let mut bytes = [0; 5];
//! pool.read_exact_at(&mut bytes, 4096)?;
//! assert_eq!(&bytes, b"every");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A pool of one's own starts empty, is a regular file to every other program, and is gone with its
//! last descriptor and mapping:
//!
//! ```no_run
//! use mmap_pool::{MappingBuilder, Pool, Seals};
//!
//! let frames = Pool::create().name("frames").size_bytes(1 << 20).create()?;
//! let mapping = MappingBuilder::shared().map(&frames)?;
//! // Whoever gets the descriptor can rely on its size.
//! frames.seal(Seals::SHRINK | Seals::GROW)?;
//! # Ok::<(), mmap_pool::Error>(())
//! ```
//!
//! # Memory that others write
//!
//! Any process that has the pool can change a mapped byte at any moment. A `&[u8]` promises the
//! compiler that nobody does. So safe code gets none from a [`Mapping`], private mappings included:
//! their pages follow the pool until the first write to each. It gets:
//!
//! - [`Mapping::read_at`], [`Mapping::write_at`] and [`Mapping::fill`], which copy. A concurrent
//!   writer can make the bytes a mixture of old and new, and nothing worse.
//! - [`Mapping::atomic_u32`] and its relatives, which lend an atomic integer for as long as the memory
//!   is mapped, to build locks and counters on.
//! - [`Mapping::as_ptr`] and the unsafe [`Mapping::slice`] are the ways out, for code that knows more.
//!
//! # The memory model
//!
//! Several threads may use one mapping at once, on the same bytes, in any mixture of these
//! accessors. For Rust that would be a data race if the accesses were Rust's own: copies are not
//! atomic, and atomic accesses of different sizes may not overlap unless something orders them. They
//! are inline assembly instead. To the compiler each is what `pread(2)` or `pwrite(2)` on the pool
//! would be: something outside the program reads or writes the bytes while the caller waits. What the
//! processor does is what counts, and that knows no undefined races.
//!
//! What holds:
//!
//! - An access reads each byte once and writes each byte once, and touches no other byte.
//! - An access of 1, 2, 4 or 8 bytes at an aligned address is one access, in each accessor. Longer
//!   copies are made of pieces in no order that is promised.
//! - The operations of an [`Atomic`] order other accesses as `std`'s do, or more.
//!
//! What does not:
//!
//! - A copy orders nothing. To hand bytes to another thread or process, write them, then store to an
//!   [`Atomic`] with [`Release`](std::sync::atomic::Ordering::Release), and have the other side load
//!   it with [`Acquire`](std::sync::atomic::Ordering::Acquire) before it reads them.
//! - References and pointers that code makes with [`Mapping::slice`] or [`Mapping::as_ptr`] are seen
//!   by the compiler, and Rust's rules apply to what is done with them.
//! - There is assembly for `x86_64` and `aarch64`. On other processors, and in Miri, the accessors are
//!   made of `std`'s atomics. There accesses of different sizes that overlap must be ordered by the
//!   program.
//!
//! # Signals
//!
//! A mapping may reach past the end of what it maps. Touching a page there raises `SIGBUS`, as it
//! does when the pools or the machine have no memory left for a page; the accessors do not catch it.
//! Memory that is inside the pool and inside the mapping raises nothing, unless somebody makes the
//! pool smaller or revokes it.

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
mod strategy;

/// The interface between the device and userspace: ioctl numbers and structures.
///
/// It is the kernel's, and follows the module's version: what is called `reserved` here may get a
/// name and a meaning in any version of this crate.
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
pub use info::{Info, Stat};
pub use mapping::{Advice, Mapping};
pub use pool::{OpenOptions, Pool, DEFAULT_PATH};
pub use protection::Protection;
pub use seals::Seals;
pub use strategy::Strategy;

/// An error number of the kernel, as in `errno(3)`.
///
/// It is the one of `rustix` 1, so that it compares with what that crate answers. A new major version
/// of `rustix` means a new one of this crate.
pub use rustix::io::Errno;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    //! What the tests of several modules share.

    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use rustix::fs::{fstat, ftruncate, memfd_create, MemfdFlags};
    use rustix::io::{pread, pwrite};

    use crate::{Mappable, Result};

    pub(crate) const PAGE_LEN: usize = 4096;

    /// A file of memory.
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

    // SAFETY: A memfd is memory.
    unsafe impl Mappable for Memfd {
        fn size_bytes(&self) -> Result<u64> {
            Ok(u64::try_from(fstat(self).unwrap().st_size).unwrap())
        }
    }
}
