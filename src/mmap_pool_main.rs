// SPDX-License-Identifier: GPL-2.0

//! `/dev/mmap_pool`: a character device whose memory can be mapped.
//!
//! The layers, from policy to mechanism; each knows only those below it:
//!
//! - [`device`]: file operations and ioctls; who may do what.
//! - [`pool`]: which folio belongs where.
//! - [`mm`]: safe `vm_operations_struct`, folios, the page cache.
//! - [`fs`]: safe inodes of a pseudo file system, character devices backed by one.
//!
//! `unsafe` exists in [`mm`] and [`fs`] only. A fault goes through `mm/vm_ops.rs`, `device.rs`
//! (`PoolVmOps`) and `pool.rs` (`Inode<Pool>::fault`), in this order.

mod device;
mod fs;
mod helpers;
mod mm;
mod pool;
pub mod uapi;

use kernel::prelude::*;

module! {
    type: MmapPool,
    name: "mmap_pool",
    authors: ["The mmap_pool authors"],
    description: "Memory pool behind a character device, for mmap",
    license: "GPL v2",
    params: {
        size_mb: u64 {
            default: 64,
            description: "Size of the default pool in MiB, from 1 to the machine's memory (default 64); pages are allocated when first touched",
        },
    },
}

/// The loaded module: the device node and the file system its pool lives on.
///
/// Fields are dropped in order: nobody can open the node any more when the mount goes.
#[pin_data]
struct MmapPool {
    #[pin]
    device: device::Registration,
    mount: fs::pseudo::Mount<pool::Pool>,
}

impl kernel::InPlaceModule for MmapPool {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            mount: fs::pseudo::Mount::new()?,
            device <- {
                let size_mb = module_parameters::size_mb.value();
                let pool = pool::Pool::new(mount, pool::Size::from_mib(size_mb).inspect_err(|_| {
                    pr_err!(
                        "size_mb={} refused: the pool's size must be from 1 to {} MiB, the memory of this machine\n",
                        size_mb,
                        pool::Size::max_mib(),
                    )
                })?)?;
                device::register(pool)
            },
        })
    }
}
