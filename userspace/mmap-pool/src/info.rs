// SPDX-License-Identifier: MIT OR GPL-2.0

//! Descriptions of pools.

use crate::{uapi, Strategy};

/// Defines a copy of an interface structure that can get more fields in later versions.
macro_rules! answer {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl From<uapi::$name> for $name {
            fn from(answer: uapi::$name) -> Self {
                let uapi::$name { $($field,)* reserved: _ } = answer;
                Self { $($field,)* }
            }
        }
    };
}

answer! {
    /// Size and statistics of a pool. [`Pool::info`](crate::Pool::info) returns them.
    Info {
        /// Size of the pool: the bytes that can be mapped and read.
        size_bytes: u64,
        /// Pages that hold memory now.
        nr_resident_pages: u64,
        /// Page faults that the pool has resolved or refused since it was created, without those that
        /// the kernel served from resident neighbours (fault-around).
        nr_faults: u64,
        /// Pages allocated since the pool was created.
        nr_allocated_pages: u64,
        /// Size of a page.
        page_size_bytes: u32,
        /// [`ABI_VERSION`](uapi::ABI_VERSION) of the module.
        abi_version: u32,
        /// Bits of the seals that were added. [`Pool::seals`](crate::Pool::seals) decodes them.
        seals: u32,
        /// `FLAG_` bits of [`uapi`]. [`is_default`](Self::is_default) and
        /// [`is_revoked`](Self::is_revoked) decode them.
        flags: u32,
        /// The number of the strategy. [`strategy`](Self::strategy) decodes it.
        strategy: u32,
    }
}

answer! {
    /// Statistics of all pools together. [`Pool::stat`](crate::Pool::stat) returns them.
    Stat {
        /// Number of pools, with the default pool.
        nr_pools: u64,
        /// Pages of all pools that hold memory now.
        nr_resident_pages: u64,
        /// Most pages that all pools together can hold: module parameter `limit_mb`.
        nr_limit_pages: u64,
        /// Number of times that this limit refused a page.
        nr_refused_pages: u64,
        /// Zeroed pages in the reserve. They are in no pool yet, so
        /// [`nr_resident_pages`](Self::nr_resident_pages) and the limit do not count them.
        nr_reserve_pages: u64,
        /// Pages that came from the reserve, since the module was loaded.
        nr_reserve_hits: u64,
        /// Pages that were zeroed when they were needed, since the module was loaded.
        nr_reserve_misses: u64,
    }
}

answer! {
    /// State of a backed pool. [`Pool::backing`](crate::Pool::backing) returns it.
    Backing {
        /// Pages that must be written back.
        nr_dirty_pages: u64,
        /// Pages that are being written back.
        nr_writeback_pages: u64,
        /// Bytes read from the backing object since the pool was created.
        nr_read_bytes: u64,
        /// Bytes written to the backing object since the pool was created.
        nr_written_bytes: u64,
        /// Writes to the backing object since the pool was created.
        nr_writes: u64,
        /// Reads and writes of the backing object that failed since the pool was created.
        nr_errors: u64,
    }
}

impl Info {
    /// Returns whether this is the pool of the device node.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.flags & uapi::FLAG_DEFAULT != 0
    }

    /// Returns whether the pool has a backing object, see
    /// [`PoolBuilder::backing`](crate::PoolBuilder::backing).
    #[must_use]
    pub fn is_backed(&self) -> bool {
        self.flags & uapi::FLAG_BACKED != 0
    }

    /// Returns whether the pool was revoked, see [`Pool::revoke`](crate::Pool::revoke).
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.flags & uapi::FLAG_REVOKED != 0
    }

    /// Returns the pool's strategy, or `None` if this version does not know it.
    #[must_use]
    pub fn strategy(&self) -> Option<Strategy> {
        Strategy::from_number(self.strategy)
    }
}
