// SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT

//! Userspace interface of `/dev/mmap_pool`: ioctl numbers and structures.
//!
//! The module and the userspace library both compile this file, so it uses only `core`.
//! `include/uapi/linux/mmap_pool.h` defines the same interface for C. A test compares the two.
//!
//! No structure contains padding or pointers, so 32-bit programs use the same structures. Members
//! called `reserved` are zero in answers, and must be zero in arguments, else the request fails
//! with `EINVAL`. If the argument does not point to accessible memory, the request fails with
//! `EFAULT`. If the number is unknown, it fails with `ENOTTY`. If the pool was revoked, a
//! request that uses its memory fails with `ENODEV`; `INFO`, `STAT` and `CREATE` do not.

#[cfg(CONFIG_RUST)]
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// Defines the structures of the interface. Userspace also gets a list of them, [`STRUCTURES`], to
/// compare other descriptions of the interface with.
macro_rules! structures {
    ($(
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $($(#[$field_attribute:meta])* pub $field:ident: $type:ty,)*
        }
    )*) => {
        $(
            $(#[$attribute])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[cfg_attr(CONFIG_RUST, derive(FromBytes, Immutable, IntoBytes))]
            pub struct $name {
                $($(#[$field_attribute])* pub $field: $type,)*
            }
        )*

        /// Name, size and alignment of each structure; name, offset and size of each field.
        #[cfg(not(CONFIG_RUST))]
        #[doc(hidden)]
        #[allow(clippy::type_complexity)]
        pub const STRUCTURES: &[(&str, usize, usize, &[(&str, usize, usize)])] = &[$((
            stringify!($name),
            core::mem::size_of::<$name>(),
            core::mem::align_of::<$name>(),
            &[$((
                stringify!($field),
                core::mem::offset_of!($name, $field),
                core::mem::size_of::<$type>(),
            )),*],
        )),*];
    };
}

/// Defines the constants of the interface, and likewise [`CONSTANTS`].
macro_rules! constants {
    ($($(#[$attribute:meta])* pub const $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$attribute])* pub const $name: $type = $value;)*

        /// Name and value of each constant.
        #[cfg(not(CONFIG_RUST))]
        #[doc(hidden)]
        pub const CONSTANTS: &[(&str, u64)] = &[$((stringify!($name), $name as u64)),*];
    };
}

structures! {
    /// Size and statistics of a pool, the answer to [`INFO`].
    ///
    /// C: `struct mmap_pool_info`.
    #[derive(Default)]
    pub struct Info {
        /// Size of the pool: the bytes that can be mapped and read.
        pub size_bytes: u64,
        /// Pages that hold memory now.
        pub nr_resident_pages: u64,
        /// Page faults that the pool has resolved or refused since it was created, without those
        /// that the kernel served from resident neighbours (fault-around).
        pub nr_faults: u64,
        /// Pages allocated since the pool was created.
        pub nr_allocated_pages: u64,
        /// Size of a page.
        pub page_size_bytes: u32,
        /// [`ABI_VERSION`] of the module.
        pub abi_version: u32,
        /// `SEAL_` bits of the seals that were added.
        pub seals: u32,
        /// `FLAG_` bits.
        pub flags: u32,
        /// A [`Strategy`], as its number.
        pub strategy: u32,
        /// Zero.
        pub reserved: [u32; 3],
    }

    /// Description of the pool that [`CREATE`] creates.
    ///
    /// C: `struct mmap_pool_create`.
    pub struct Create {
        /// Size of the pool, any number of bytes. Zero with [`CREATE_BACKED`].
        pub size_bytes: u64,
        /// `CREATE_` bits.
        pub flags: u32,
        /// A [`Strategy`], as its number. Zero with [`CREATE_BACKED`].
        pub strategy: u32,
        /// Descriptor of the backing object with [`CREATE_BACKED`], else zero.
        pub backing_fd: u32,
        /// Zero.
        pub reserved: u32,
        /// Name of the pool in `/proc`; ends with a zero byte.
        pub name: [u8; NAME_LEN],
    }

    /// New size for [`RESIZE`].
    ///
    /// C: `struct mmap_pool_resize`.
    #[derive(Default)]
    pub struct Resize {
        /// Size in bytes; for the default pool, a multiple of the page size.
        pub size_bytes: u64,
        /// Zero.
        pub reserved: u64,
    }

    /// Byte range for [`PUNCH`] and [`PREFAULT`].
    ///
    /// C: `struct mmap_pool_range`.
    #[derive(Default)]
    pub struct Range {
        /// First byte.
        pub offset_bytes: u64,
        /// Number of bytes, not zero.
        pub len_bytes: u64,
    }

    /// Question of [`DIRTY`].
    ///
    /// C: `struct mmap_pool_dirty`.
    #[derive(Default)]
    pub struct Dirty {
        /// First byte, a multiple of the page size.
        pub offset_bytes: u64,
        /// Number of bytes, not zero. The last page may be a part.
        pub len_bytes: u64,
        /// Address of the answer, 8 bytes for each 64 pages: bit `i` of word `w` says whether page
        /// `64 * w + i` of the range was written.
        pub words_address: u64,
        /// Zero.
        pub reserved: u64,
    }

    /// State of a backed pool, the answer to [`BACKING`].
    ///
    /// C: `struct mmap_pool_backing`.
    #[derive(Default)]
    pub struct Backing {
        /// Pages that must be written back.
        pub nr_dirty_pages: u64,
        /// Pages that are being written back.
        pub nr_writeback_pages: u64,
        /// Bytes read from the backing object since the pool was created.
        pub nr_read_bytes: u64,
        /// Bytes written to the backing object since the pool was created.
        pub nr_written_bytes: u64,
        /// Writes to the backing object since the pool was created.
        pub nr_writes: u64,
        /// Reads and writes of the backing object that failed since the pool was created.
        pub nr_errors: u64,
        /// Zero.
        pub reserved: [u64; 2],
    }

    /// Seals that [`SEAL`] adds.
    ///
    /// C: `struct mmap_pool_seal`.
    #[derive(Default)]
    pub struct Seal {
        /// `SEAL_` bits.
        pub seals: u32,
        /// Zero.
        pub reserved: u32,
    }

    /// Statistics of all pools together, the answer to [`STAT`].
    ///
    /// C: `struct mmap_pool_stat`.
    #[derive(Default)]
    pub struct Stat {
        /// Number of pools, with the default pool.
        pub nr_pools: u64,
        /// Pages of all pools that hold memory now.
        pub nr_resident_pages: u64,
        /// Most pages that all pools together can hold: module parameter `limit_mb`.
        pub nr_limit_pages: u64,
        /// Number of times that this limit refused a page.
        pub nr_refused_pages: u64,
        /// Zeroed pages in the reserve. They are in no pool yet, so
        /// [`nr_resident_pages`](Self::nr_resident_pages) and the limit do not count them.
        pub nr_reserve_pages: u64,
        /// Pages that came from the reserve, since the module was loaded.
        pub nr_reserve_hits: u64,
        /// Pages that were zeroed when they were needed, since the module was loaded.
        pub nr_reserve_misses: u64,
        /// Zero.
        pub reserved: u64,
    }
}

impl Default for Create {
    fn default() -> Self {
        Self {
            size_bytes: 0,
            flags: 0,
            strategy: Strategy::Auto as u32,
            backing_fd: 0,
            reserved: 0,
            name: [0; NAME_LEN],
        }
    }
}

/// When a pool allocates its pages, and how many at once. It is chosen when the pool is created.
///
/// `write`, `fallocate` and [`PREFAULT`] allocate as page faults do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum Strategy {
    /// A page fault that continues a run of resident pages allocates as many pages as the run has,
    /// up to 2 MiB at once. Any other page fault allocates only the touched page. So a sequential walk
    /// gets 1, 1, 2, 4, 8, … pages at a time.
    #[default]
    Auto = 0,
    /// A page fault allocates and maps the aligned 64 KiB that contain the touched page.
    Around = 1,
    /// The pool allocates the largest blocks that fit and are available, up to 2 MiB at once. With
    /// pages of 4 KiB, a single page-table entry maps that much.
    Huge = 2,
    /// The pool allocates all its pages when it is created or grows, so touching it never allocates
    /// memory. Such a pool never gives pages back. It has [`SEAL_SHRINK`] from the start, and
    /// making a hole in it or revoking it fails with `EPERM`.
    Eager = 3,
    /// A page fault allocates only the touched page.
    Page = 4,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 5] = [
        Self::Auto,
        Self::Around,
        Self::Huge,
        Self::Eager,
        Self::Page,
    ];

    /// Returns the strategy with this number, or `None` if this version does not know it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|&strategy| strategy as u32 == number)
    }

    /// Returns the name of the strategy, in lower case. C: `MMAP_POOL_STRATEGY_`, and the name in
    /// upper case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Around => "around",
            Self::Huge => "huge",
            Self::Eager => "eager",
            Self::Page => "page",
        }
    }
}

constants! {
    /// Version of this interface, reported in [`Info::abi_version`].
    pub const ABI_VERSION: u32 = 1;

    /// Type byte of every ioctl of the device.
    pub const IOC_MAGIC: u8 = 0xBC;

    /// Length of [`Create::name`] in bytes, with the terminating zero.
    pub const NAME_LEN: usize = 64;

    /// No more seals can be added. The bits are those of `F_ADD_SEALS`.
    pub const SEAL_SEAL: u32 = 0x1;
    /// The pool cannot shrink.
    pub const SEAL_SHRINK: u32 = 0x2;
    /// The pool cannot grow.
    pub const SEAL_GROW: u32 = 0x4;
    /// The pool cannot be written to. It has no writable shared mappings.
    pub const SEAL_WRITE: u32 = 0x8;

    /// The pool is a cache of a regular file or a block device.
    pub const CREATE_BACKED: u32 = 0x1;
    /// Storage for the whole pool is allocated when it is created.
    pub const CREATE_PREALLOCATE: u32 = 0x2;
    /// [`DIRTY`] tells which pages were written.
    pub const CREATE_TRACK: u32 = 0x4;
    /// The pool cannot be written to. It has [`SEAL_WRITE`] from the start.
    pub const CREATE_READ_ONLY: u32 = 0x8;

    /// The pool of the device node.
    pub const FLAG_DEFAULT: u32 = 0x1;
    /// The pool was revoked.
    pub const FLAG_REVOKED: u32 = 0x2;
    /// The pool has a backing object.
    pub const FLAG_BACKED: u32 = 0x4;

    /// Describes the pool behind a descriptor.
    ///
    /// The descriptor may be open for reading, for writing, or for both. The request works on a
    /// revoked pool as well.
    ///
    /// C: `MMAP_POOL_INFO`.
    pub const INFO: u32 = ioc::<Info>(DIR_READ, 0x00);

    /// Creates a pool and returns a new descriptor for it.
    ///
    /// Needs the node `/dev/mmap_pool`, open for writing. A descriptor of a created pool cannot
    /// create more pools. The new descriptor is open for reading and writing, and has `O_CLOEXEC`
    /// set. It refers to a regular file: `fstat`, `ftruncate` and `fallocate` work on it, and
    /// `/proc/self/fd/N` opens it again. The pool exists as long as a descriptor or a mapping of it
    /// exists.
    ///
    /// With [`CREATE_BACKED`] the pool is a cache of the object behind `backing_fd`, and has its
    /// size. Its pages are read in when they are touched. The kernel writes them back when they are
    /// dirty for a while, when memory is short, and for `msync` and `fsync`. The pool has
    /// [`SEAL_SHRINK`] and [`SEAL_GROW`] from the start. The object must not be written in another
    /// way while the pool exists. The pool opens the object again for itself, so `backing_fd` can be
    /// closed. With [`CREATE_READ_ONLY`] the new descriptor is open for reading only.
    ///
    /// # Errors
    ///
    /// - `EBADF`: the node is not open for writing, or `backing_fd` is not open.
    /// - `ENOTTY`: the descriptor is one of a created pool.
    /// - `EINVAL`: a flag is unknown or does not fit the others, the strategy is unknown, the name
    ///   has no zero byte, or the size is larger than a file can be; the backing object is empty, or
    ///   is neither a regular file nor a block device.
    /// - `EACCES`: `backing_fd` is not open for reading, or without [`CREATE_READ_ONLY`] not for
    ///   writing, or the file can only be appended to.
    /// - `EBUSY`: the object backs a pool already, or the device is in use, for example mounted.
    /// - `EOPNOTSUPP`: the file is not on a file system on a block device, or a program fills it when
    ///   it is read (`FAN_PRE_ACCESS`), or it is to be preallocated, and its file system cannot do that.
    /// - `EPERM`, `ETXTBSY`, `EROFS`: the file is immutable, used for swapping, or on a read-only
    ///   file system.
    /// - `EFBIG`: the size is larger than `RLIMIT_FSIZE`; the process also gets `SIGXFSZ`.
    /// - `ENOSPC`: the pool has [`Strategy::Eager`], and all pools together have reached their
    ///   limit; or no storage is left to preallocate.
    /// - `EINTR`: a signal kills the task.
    /// - `EMFILE`, `ENFILE`: too many open files.
    /// - `ENOMEM`: out of memory.
    ///
    /// C: `MMAP_POOL_CREATE`.
    pub const CREATE: u32 = ioc::<Create>(DIR_WRITE, 0x01);

    /// Changes the size of the pool.
    ///
    /// Needs a descriptor that is open for writing. A smaller size frees the pages past the new
    /// end. Private copies of these pages are freed as well. Touching a mapping past the new end is
    /// `SIGBUS`.
    ///
    /// # Errors
    ///
    /// - `EBADF`: the descriptor is not open for writing.
    /// - `EPERM`: a seal forbids the change, or the pool is the default pool and the task does not
    ///   have `CAP_SYS_ADMIN`.
    /// - `ENOSPC`: the pool has [`Strategy::Eager`], and all pools together have reached their
    ///   limit.
    /// - `EFBIG`: the new size is larger than the old one and than `RLIMIT_FSIZE`; the process also
    ///   gets `SIGXFSZ`.
    /// - `EINTR`: a signal kills the task.
    /// - `EINVAL`: the size is larger than a file can be. For the default pool, also: the size is
    ///   zero, not a multiple of the page size, or larger than the machine's memory.
    ///
    /// C: `MMAP_POOL_RESIZE`.
    pub const RESIZE: u32 = ioc::<Resize>(DIR_WRITE, 0x02);

    /// Makes a hole: frees whole pages, zeroes parts of pages.
    ///
    /// Needs a descriptor that is open for writing. Private copies stay.
    ///
    /// # Errors
    ///
    /// - `EBADF`: the descriptor is not open for writing.
    /// - `EPERM`: the pool is sealed against writing, or has [`Strategy::Eager`].
    /// - `EINVAL`: the range is empty, or ends past the largest size of a file.
    /// - `EOPNOTSUPP`: the backing object of the pool cannot.
    /// - `EINTR`: a signal kills the task.
    /// - `EIO` and others: the backing object has failed; each byte of the range has its old value
    ///   or is zero.
    ///
    /// C: `MMAP_POOL_PUNCH`.
    pub const PUNCH: u32 = ioc::<Range>(DIR_WRITE, 0x03);

    /// Allocates the pages of a range that have no memory yet.
    ///
    /// Needs a descriptor that is open for writing. The strategy of the pool decides how many pages
    /// are allocated at a time, so the pages may extend beyond the range. After an error, some of
    /// the pages may be allocated.
    ///
    /// # Errors
    ///
    /// - `EBADF`: the descriptor is not open for writing.
    /// - `EINVAL`: the range is empty or not inside the pool.
    /// - `ENOSPC`: all pools together have reached their limit.
    /// - `ENOMEM`: out of memory.
    /// - `EINTR`: a signal kills the task.
    /// - `ENOTTY`: the pool has a backing object.
    ///
    /// C: `MMAP_POOL_PREFAULT`.
    pub const PREFAULT: u32 = ioc::<Range>(DIR_WRITE, 0x04);

    /// Adds seals permanently.
    ///
    /// Needs a descriptor that is open for writing. Before a pool with a backing object is sealed
    /// against writing, its dirty pages are written back.
    ///
    /// # Errors
    ///
    /// - `EBADF`: the descriptor is not open for writing.
    /// - `EPERM`: the pool has [`SEAL_SEAL`], or it is the default pool and the task does not have
    ///   `CAP_SYS_ADMIN`.
    /// - `EBUSY`: [`SEAL_WRITE`] was asked for, and a writable shared mapping exists.
    /// - `EINVAL`: a seal is unknown.
    /// - `EIO`, `ENOSPC`: the dirty pages could not be written back, and no seal was added.
    ///
    /// C: `MMAP_POOL_SEAL`.
    pub const SEAL: u32 = ioc::<Seal>(DIR_WRITE, 0x05);

    /// Revokes the pool.
    ///
    /// The task must own the pool. The descriptor may be open for reading, for writing, or for
    /// both. The request frees the pool's memory. From then on, touching a mapping of the pool is
    /// `SIGBUS`, and reading, writing and mapping the pool fail with `ENODEV`. The request does not
    /// wait for other calls on the pool.
    ///
    /// For a pool with a backing object, the request first writes back the dirty pages, and waits for
    /// that.
    ///
    /// # Errors
    ///
    /// - `EPERM`: the task does not own the pool and does not have `CAP_FOWNER`, the pool is the
    ///   default pool and the task does not have `CAP_SYS_ADMIN`, or the pool has
    ///   [`Strategy::Eager`].
    /// - `ENODEV`: the pool was revoked before.
    /// - `EIO`, `ENOSPC`: the dirty pages could not be written back, and the pool is revoked all the
    ///   same.
    ///
    /// C: `MMAP_POOL_REVOKE`.
    pub const REVOKE: u32 = ioc::<()>(DIR_NONE, 0x06);

    /// Describes all pools together.
    ///
    /// Needs the node `/dev/mmap_pool`, open for reading, for writing, or for both.
    ///
    /// # Errors
    ///
    /// - `ENOTTY`: the descriptor is one of a created pool.
    ///
    /// C: `MMAP_POOL_STAT`.
    pub const STAT: u32 = ioc::<Stat>(DIR_READ, 0x07);

    /// Tells which pages of a range were written since the last question, by any mapping or call of
    /// any process, and forgets it.
    ///
    /// Needs a descriptor that is open for reading, of a pool with [`CREATE_TRACK`]. A page that is
    /// written during the request is in this answer, in the next, or in both; so is a page that is
    /// pinned, for example by direct I/O. After an error, what the words before the error say is
    /// forgotten.
    ///
    /// # Errors
    ///
    /// - `ENOTTY`: the pool has no [`CREATE_TRACK`].
    /// - `EBADF`: the descriptor is not open for reading.
    /// - `EINVAL`: the range is empty, not inside the pool, or does not begin at a page.
    /// - `EINTR`: a signal kills the task.
    ///
    /// C: `MMAP_POOL_DIRTY`.
    pub const DIRTY: u32 = ioc::<Dirty>(DIR_WRITE, 0x08);

    /// Describes the backing object of a pool and what waits to be written to it.
    ///
    /// The descriptor may be open for reading, for writing, or for both.
    ///
    /// # Errors
    ///
    /// - `ENOTTY`: the pool has no backing object.
    ///
    /// C: `MMAP_POOL_BACKING`.
    pub const BACKING: u32 = ioc::<Backing>(DIR_READ, 0x09);
}

const DIR_NONE: u32 = 0;
const DIR_WRITE: u32 = 1;
const DIR_READ: u32 = 2;

/// `_IOC()` of `<linux/ioctl.h>`, for every architecture that uses `asm-generic/ioctl.h`.
const fn ioc<T>(dir: u32, nr: u8) -> u32 {
    let size = core::mem::size_of::<T>();
    assert!(size < 1 << 14);
    dir << 30 | (size as u32) << 16 | (IOC_MAGIC as u32) << 8 | nr as u32
}
