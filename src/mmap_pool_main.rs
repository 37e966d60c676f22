// SPDX-License-Identifier: GPL-2.0

//! `/dev/mmap_pool`: a character device whose memory can be mapped.
//!
//! The layers, from policy to mechanism. A layer uses the layers below it only:
//!
//! - [`device`]: file operations and ioctls, and their permission checks.
//! - [`backed`]: pools that a file or a block device backs: seals, which pages were written.
//! - [`pool`]: page faults (`pool/fault.rs`), reads and writes (`pool/io.rs`), memory policies.
//!   [`strategy`]: how large the folios of a pool are. [`totals`]: the limit for all pools.
//!   [`reserve`]: folios that are zeroed in advance.
//! - [`fs`]: safe wrappers of the inodes of a pseudo file system, of their files, and of character
//!   devices backed by an inode. `fs/backed.rs`: inodes whose page cache holds parts of an object,
//!   `fs/backing.rs`.
//! - [`mm`]: safe wrappers of `vm_operations_struct`, of folios and of the page cache.
//!
//! Only [`mm`] and [`fs`] contain `unsafe`. A page fault enters at `mm/vm_ops.rs`; `pool/fault.rs`
//! tells its story and handles it.

// Only `mm.rs` and `fs.rs` allow it again, for their folders. The other folders forbid it below, so
// that they cannot allow it again. `tests/lint/unsafe` checks both.
#![deny(unsafe_code)]

#[forbid(unsafe_code)]
mod backed;
#[forbid(unsafe_code)]
mod device;
mod fs;
mod helpers;
mod mm;
#[forbid(unsafe_code)]
mod pool;
#[forbid(unsafe_code)]
mod reserve;
#[forbid(unsafe_code)]
mod strategy;
#[forbid(unsafe_code)]
mod totals;
pub mod uapi;

use core::borrow::Borrow;
use kernel::{
    page::PAGE_SHIFT,
    prelude::*,
    sync::Arc,
    warn_on, //
};
use reserve::{
    Reserve,
    Upkeep, //
};
use uapi::Strategy;

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
        strategy: u32 {
            default: 0,
            description: "How the default pool gets its pages: 0 as many as were touched in a row (default), 1 in windows of 64 KiB, 2 in huge pages, 3 all of it, at once, 4 each when touched",
        },
        limit_mb: u64 {
            default: 0,
            description: "Most MiB that all pools together may hold, at most the machine's memory (default 0: half of it, or size_mb if that is more)",
        },
        reserve_mb: u64 {
            default: 16,
            description: "MiB to keep zeroed in advance, for all pools together, at most the machine's memory (default 16); 0 for none",
        },
        reserve_max_mb: u64 {
            default: 0,
            description: "Most MiB to keep zeroed in advance while pools need more, from reserve_mb to the machine's memory (default 0: four times reserve_mb)",
        },
    },
}

/// The loaded module: the device node and the file system its pool lives on.
///
/// Fields are dropped in order: the node is gone before the mount.
#[pin_data]
struct MmapPool {
    #[pin]
    device: device::Registration,
    upkeep: Upkeep,
    reserve: Arc<Reserve>,
    mount: fs::pseudo::InternalMount<pool::Pool>,
    _audit: Audit,
}

/// Checks at unload that no pool and no page is left. Dropped last.
struct Audit;

impl Drop for Audit {
    fn drop(&mut self) {
        warn_on!(!pool::TOTALS.is_empty());
    }
}

impl kernel::InPlaceModule for MmapPool {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _audit: Audit,
            mount: fs::pseudo::InternalMount::new()?,
            reserve: {
                let least = check_mib("reserve_mb", module_parameters::reserve_mb.value(), 0)?;
                let most = module_parameters::reserve_max_mb.value();
                let most = match check_mib("reserve_max_mb", most, 0)? {
                    0 => pool::Pool::max_default_len_bytes().min(4 * least),
                    most => most,
                };
                if most < least {
                    pr_err!("reserve_max_mb refused: it must not be less than reserve_mb\n");
                    Err(EINVAL)?
                }
                Reserve::new(least..=most)?
            },
            upkeep: Upkeep::new(reserve)?,
            device <- {
                let size = check_mib("size_mb", module_parameters::size_mb.value(), 1)?;
                let strategy = check_strategy(module_parameters::strategy.value())?;
                let limit = match check_mib("limit_mb", module_parameters::limit_mb.value(), 0)? {
                    0 => size.max(pool::Pool::max_default_len_bytes() / 2),
                    limit => limit,
                };
                pool::TOTALS.set_limit(limit >> PAGE_SHIFT);
                let claims = fs::backing::Claims::new()?;
                device::register(pool::Pool::new_default(
                    mount,
                    size,
                    strategy,
                    reserve.clone(),
                    claims,
                )?)
            },
        })
    }
}

/// Returns the value of the parameter `strategy`.
///
/// # Errors
///
/// - `EINVAL`: there is no such strategy; the kernel log says so.
fn check_strategy(number: impl Borrow<u32>) -> Result<Strategy> {
    let number = *number.borrow();
    Strategy::from_number(number).ok_or_else(|| {
        let max = Strategy::ALL.len() - 1;
        pr_err!("strategy={number} refused: it must be from 0 to {max}\n");
        EINVAL
    })
}

/// Returns the value in bytes of a parameter in MiB.
///
/// The value of a parameter is a reference up to Linux 7.2 and a copy since.
///
/// # Errors
///
/// - `EINVAL`: it is not from `min` to the machine's memory; the kernel log says so.
fn check_mib(name: &str, mib: impl Borrow<u64>, min: u64) -> Result<u64> {
    let mib = *mib.borrow();
    let max = pool::Pool::max_default_len_bytes() >> 20;
    if (min..=max).contains(&mib) {
        Ok(mib << 20)
    } else {
        pr_err!("{name}={mib} refused: it must be from {min} to {max}, the memory of this machine in MiB\n");
        Err(EINVAL)
    }
}
