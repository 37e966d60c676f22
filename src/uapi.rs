// SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT

//! Userspace interface of `/dev/mmap_pool`: ioctl numbers and structures.
//!
//! The module and the userspace library both compile this file, so it uses nothing but `core`.
//! `include/uapi/linux/mmap_pool.h` states the same for C; a test compares the two.

/// Version of this interface, reported in [`Info::abi_version`].
pub const ABI_VERSION: u32 = 1;

/// Type byte of every ioctl of the device.
pub const IOC_MAGIC: u8 = 0xBC;

/// Size and statistics of a pool, the answer to [`INFO`].
///
/// C: `struct mmap_pool_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    CONFIG_RUST,
    derive(zerocopy_derive::Immutable, zerocopy_derive::IntoBytes)
)]
pub struct Info {
    /// Bytes that can be mapped and read; a multiple of the page size.
    pub size_bytes: u64,
    /// Pages that hold memory now.
    pub nr_resident_pages: u64,
    /// Page faults the pool has resolved or refused since it was made. Faults served from resident
    /// neighbours (fault-around) are not among them.
    pub nr_faults: u64,
    /// Pages allocated since the pool was made.
    pub nr_allocated_pages: u64,
    /// Size of a page.
    pub page_size_bytes: u32,
    /// [`ABI_VERSION`] of the module.
    pub abi_version: u32,
    /// Zero.
    pub reserved: [u64; 3],
}

/// Describes the pool behind a descriptor. Works whatever the descriptor was opened for.
///
/// # Errors
///
/// - `EFAULT`: the argument does not point to writable memory.
///
/// C: `MMAP_POOL_INFO`.
pub const INFO: u32 = ioc_read::<Info>(0x00);

/// `_IOR()` of `<linux/ioctl.h>` as on every architecture that uses `asm-generic/ioctl.h`.
const fn ioc_read<T>(nr: u8) -> u32 {
    const DIR_READ: u32 = 2;
    let size = core::mem::size_of::<T>();
    assert!(size < 1 << 14);
    DIR_READ << 30 | (size as u32) << 16 | (IOC_MAGIC as u32) << 8 | nr as u32
}
