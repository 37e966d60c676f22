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
//! Any process with the device open can change a mapped byte at any moment. A `&[u8]` promises the
//! compiler that nobody does, so a [`Mapping`] never hands one out, for private mappings neither:
//! their pages follow the pool until the first write to each. What it offers instead:
//!
//! - [`Mapping::read_at`] and [`Mapping::write_at`] copy, atomically word by word, so that a
//!   concurrent writer can make the bytes a mixture of old and new, and nothing worse;
//! - [`Mapping::atomic_u32`] and its relatives lend an atomic integer for as long as the memory is
//!   mapped, to build locks and counters on;
//! - [`Mapping::as_ptr`] is the way out, for code that knows more.
//!
//! # Signals
//!
//! A mapping may reach past the end of what it maps. Touching a page there raises `SIGBUS`, as it
//! does when the pools or the machine have no memory left for a page; the accessors do not catch it.
//! Memory that is inside the pool and inside the mapping raises nothing, unless somebody makes the
//! pool smaller or revokes it.

#![deny(missing_docs)]

mod builder;
mod copy;
mod create;
mod error;
mod mapping;
mod pool;
mod protection;
mod seals;
mod strategy;

/// The interface between the device and userspace: ioctl numbers and structures.
#[path = "../../../src/uapi.rs"]
#[allow(
    clippy::cast_lossless,
    clippy::cast_possible_truncation,
    clippy::precedence,
    reason = "the kernel's lints apply to this file"
)]
pub mod uapi;

pub use builder::{Mappable, MappingBuilder};
pub use create::PoolBuilder;
pub use error::{Error, Operation};
pub use mapping::{Advice, Mapping};
pub use pool::{OpenOptions, Pool, DEFAULT_PATH};
pub use protection::Protection;
pub use seals::Seals;
pub use strategy::Strategy;
pub use uapi::{Info, Stat};

/// An error number of the kernel, as in `errno(3)`.
pub use rustix::io::Errno;

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
