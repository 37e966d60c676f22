// SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT

//! Userspace interface of `/dev/mmap_pool`: ioctl numbers and structures.
//!
//! The module and the userspace library both compile this file, so it uses nothing but `core`.
//! `include/uapi/linux/mmap_pool.h` states the same for C; a test compares the two.
//!
//! No structure has padding or pointers, so 32-bit programs use the same ones. Members called
//! `reserved` are zero in answers and must be zero in arguments, else `EINVAL`. An argument that
//! does not point to accessible memory is `EFAULT`, an unknown number `ENOTTY`, and a pool that
//! was revoked `ENODEV`.

#[cfg(CONFIG_RUST)]
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// Version of this interface, reported in [`Info::abi_version`].
pub const ABI_VERSION: u32 = 1;

/// Type byte of every ioctl of the device.
pub const IOC_MAGIC: u8 = 0xBC;

/// Bytes of [`Create::name`], the terminating zero included.
pub const NAME_LEN: usize = 64;

/// Size and statistics of a pool, the answer to [`INFO`].
///
/// C: `struct mmap_pool_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(CONFIG_RUST, derive(FromBytes, Immutable, IntoBytes))]
pub struct Info {
    /// Bytes that can be mapped and read.
    pub size_bytes: u64,
    /// Pages that hold memory now.
    pub nr_resident_pages: u64,
    /// Page faults the pool has resolved or refused since it was made. Faults served from
    /// resident neighbours (fault-around) are not among them.
    pub nr_faults: u64,
    /// Pages allocated since the pool was made.
    pub nr_allocated_pages: u64,
    /// Size of a page.
    pub page_size_bytes: u32,
    /// [`ABI_VERSION`] of the module.
    pub abi_version: u32,
    /// The `SEAL_` bits that were added.
    pub seals: u32,
    /// `FLAG_` bits.
    pub flags: u32,
    /// One of the `STRATEGY_` constants.
    pub strategy: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// The new pool that [`CREATE`] is to make.
///
/// C: `struct mmap_pool_create`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(CONFIG_RUST, derive(FromBytes, Immutable, IntoBytes))]
pub struct Create {
    /// Size of the pool, any number of bytes.
    pub size_bytes: u64,
    /// Zero.
    pub flags: u32,
    /// One of the `STRATEGY_` constants.
    pub strategy: u32,
    /// What `/proc` calls the pool; ends with a zero byte.
    pub name: [u8; NAME_LEN],
}

/// The new size for [`RESIZE`].
///
/// C: `struct mmap_pool_resize`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(CONFIG_RUST, derive(FromBytes, Immutable, IntoBytes))]
pub struct Resize {
    /// Size in bytes; of the default pool, a multiple of the page size.
    pub size_bytes: u64,
    /// Zero.
    pub reserved: u64,
}

/// The bytes that [`PUNCH`] and [`PREFAULT`] are about.
///
/// C: `struct mmap_pool_range`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(CONFIG_RUST, derive(FromBytes, Immutable, IntoBytes))]
pub struct Range {
    /// First byte.
    pub offset_bytes: u64,
    /// Number of bytes, not zero.
    pub len_bytes: u64,
}

/// The seals that [`SEAL`] is to add.
///
/// C: `struct mmap_pool_seal`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(CONFIG_RUST, derive(FromBytes, Immutable, IntoBytes))]
pub struct Seal {
    /// `SEAL_` bits.
    pub seals: u32,
    /// Zero.
    pub reserved: u32,
}

/// Statistics of all pools together, the answer to [`STAT`].
///
/// C: `struct mmap_pool_stat`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(CONFIG_RUST, derive(FromBytes, Immutable, IntoBytes))]
pub struct Stat {
    /// Pools that exist, the default pool included.
    pub nr_pools: u64,
    /// Pages of all pools that hold memory now.
    pub nr_resident_pages: u64,
    /// The most pages that all pools together may hold: module parameter `limit_mb`.
    pub nr_limit_pages: u64,
    /// Times that a page was refused because of that limit.
    pub nr_refused_pages: u64,
    /// Zeroed pages that wait in the reserve to enter a pool. They are in no pool, so
    /// [`nr_resident_pages`](Self::nr_resident_pages) and the limit do not count them.
    pub nr_reserve_pages: u64,
    /// Pages that came from the reserve, since the module was loaded.
    pub nr_reserve_hits: u64,
    /// Pages that had to be zeroed when they were needed, since the module was loaded.
    pub nr_reserve_misses: u64,
    /// Zero.
    pub reserved: u64,
}

impl Default for Create {
    fn default() -> Self {
        Self {
            size_bytes: 0,
            flags: 0,
            strategy: STRATEGY_PAGE,
            name: [0; NAME_LEN],
        }
    }
}

/// No more seals can be added. The bits are those of `F_ADD_SEALS`.
pub const SEAL_SEAL: u32 = 0x1;
/// The pool cannot shrink.
pub const SEAL_SHRINK: u32 = 0x2;
/// The pool cannot grow.
pub const SEAL_GROW: u32 = 0x4;
/// The pool cannot be written to, nor mapped shared and writable.
pub const SEAL_WRITE: u32 = 0x8;

/// The pool is the one that the device node opens.
pub const FLAG_DEFAULT: u32 = 0x1;
/// The pool was revoked.
pub const FLAG_REVOKED: u32 = 0x2;

/// A page fault allocates the page that was touched, no other.
pub const STRATEGY_PAGE: u32 = 0;
/// A page fault allocates and maps the aligned 64 KiB around the page that was touched.
pub const STRATEGY_AROUND: u32 = 1;
/// Memory comes in the largest pieces there are, up to a huge page (2 MiB on x86-64), which a
/// single entry of the page table maps.
pub const STRATEGY_HUGE: u32 = 2;
/// All of the pool is allocated when it is created or grows, so that touching it never allocates. In
/// return nothing is ever taken away: the pool has [`SEAL_SHRINK`] from the start, and making a hole or
/// revoking it is `EPERM`.
pub const STRATEGY_EAGER: u32 = 3;

/// Describes the pool behind a descriptor, which may be open for anything. The pool may be revoked.
///
/// C: `MMAP_POOL_INFO`.
pub const INFO: u32 = ioc::<Info>(DIR_READ, 0x00);

/// Creates a pool and returns a new descriptor for it, open for reading and writing, `O_CLOEXEC`.
///
/// The request is for the node `/dev/mmap_pool`, open for writing: a process that was handed a pool gets
/// no others by it. The new descriptor is one of a regular file: `fstat`, `ftruncate`, `fallocate` work
/// on it, and `/proc/self/fd/N` opens it again. The pool lives as long as a descriptor or a mapping of it.
///
/// # Errors
///
/// - `EBADF`: the node is not open for writing.
/// - `ENOTTY`: the descriptor is one of a created pool.
/// - `EINVAL`: flags that are not zero, an unknown strategy, a name that does not end, a size
///   beyond a file's bounds.
/// - `EFBIG`: the size is past `RLIMIT_FSIZE`; the process gets `SIGXFSZ`.
/// - `ENOSPC`: the pool has [`STRATEGY_EAGER`], and the limit for all pools is reached.
/// - `EINTR`: the task is being killed.
/// - `EMFILE`, `ENFILE`: too many open files.
/// - `ENOMEM`: no memory.
///
/// C: `MMAP_POOL_CREATE`.
pub const CREATE: u32 = ioc::<Create>(DIR_WRITE, 0x01);

/// Changes the size of the pool. What lies past a smaller size goes: pages, mappings of them
/// (`SIGBUS`), private copies.
///
/// # Errors
///
/// - `EBADF`: the descriptor is not open for writing.
/// - `EPERM`: a seal forbids it; the default pool, without `CAP_SYS_ADMIN`.
/// - `ENOSPC`: the pool has [`STRATEGY_EAGER`], and the limit for all pools is reached.
/// - `EFBIG`: the pool is to grow past `RLIMIT_FSIZE`; the process gets `SIGXFSZ`.
/// - `EINTR`: the task is being killed.
/// - `EINVAL`: the size is beyond a file's bounds; for the default pool, not one that `size_mb`
///   allows, in pages.
///
/// C: `MMAP_POOL_RESIZE`.
pub const RESIZE: u32 = ioc::<Resize>(DIR_WRITE, 0x02);

/// Makes a hole: frees whole pages, zeroes parts of pages. Private copies stay.
///
/// # Errors
///
/// - `EBADF`: the descriptor is not open for writing.
/// - `EPERM`: the pool is sealed against writing, or has [`STRATEGY_EAGER`].
/// - `EINVAL`: the range is empty or reaches beyond a file's bounds.
///
/// C: `MMAP_POOL_PUNCH`.
pub const PUNCH: u32 = ioc::<Range>(DIR_WRITE, 0x03);

/// Allocates the pages of a range that have no memory yet, in the pieces of the pool's strategy, which
/// may reach beyond the range. After an error some may have it.
///
/// # Errors
///
/// - `EBADF`: the descriptor is not open for writing.
/// - `EINVAL`: the range is empty or not within the pool.
/// - `ENOSPC`: the limit for all pools is reached.
/// - `ENOMEM`: no memory.
/// - `EINTR`: the task is being killed.
///
/// C: `MMAP_POOL_PREFAULT`.
pub const PREFAULT: u32 = ioc::<Range>(DIR_WRITE, 0x04);

/// Adds seals, for good.
///
/// # Errors
///
/// - `EBADF`: the descriptor is not open for writing.
/// - `EPERM`: [`SEAL_SEAL`] was added before; the default pool, without `CAP_SYS_ADMIN`.
/// - `EBUSY`: [`SEAL_WRITE`], and there is a shared mapping that can be written to.
/// - `EINVAL`: an unknown seal.
///
/// C: `MMAP_POOL_SEAL`.
pub const SEAL: u32 = ioc::<Seal>(DIR_WRITE, 0x05);

/// Revokes the pool: its memory is freed, touching a mapping of it is `SIGBUS` from then on, reading,
/// writing and mapping it is `ENODEV`. It waits for no other call on the pool. The descriptor may be
/// open for anything.
///
/// # Errors
///
/// - `EPERM`: neither the pool's owner nor `CAP_SYS_ADMIN`; the default pool, without
///   `CAP_SYS_ADMIN`; a pool with [`STRATEGY_EAGER`].
///
/// C: `MMAP_POOL_REVOKE`.
pub const REVOKE: u32 = ioc::<()>(DIR_NONE, 0x06);

/// Describes all pools together. The request is for the node `/dev/mmap_pool`, open for anything.
///
/// # Errors
///
/// - `ENOTTY`: the descriptor is one of a created pool.
///
/// C: `MMAP_POOL_STAT`.
pub const STAT: u32 = ioc::<Stat>(DIR_READ, 0x07);

const DIR_NONE: u32 = 0;
const DIR_WRITE: u32 = 1;
const DIR_READ: u32 = 2;

/// `_IOC()` of `<linux/ioctl.h>` as on every architecture that uses `asm-generic/ioctl.h`.
const fn ioc<T>(dir: u32, nr: u8) -> u32 {
    let size = core::mem::size_of::<T>();
    assert!(size < 1 << 14);
    dir << 30 | (size as u32) << 16 | (IOC_MAGIC as u32) << 8 | nr as u32
}
