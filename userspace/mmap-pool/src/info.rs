// SPDX-License-Identifier: MIT OR GPL-2.0

//! What the device tells about pools.

use crate::{uapi, Strategy};

/// Makes of a structure of the interface one that can get more fields.
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
    /// Size and statistics of a pool, the answer of [`Pool::info`](crate::Pool::info).
    Info {
        /// Bytes that can be mapped and read.
        size_bytes: u64,
        /// Pages that hold memory now.
        nr_resident_pages: u64,
        /// Page faults the pool has resolved or refused since it was made. Faults served from
        /// resident neighbours (fault-around) are not among them.
        nr_faults: u64,
        /// Pages allocated since the pool was made.
        nr_allocated_pages: u64,
        /// Size of a page.
        page_size_bytes: u32,
        /// [`ABI_VERSION`](uapi::ABI_VERSION) of the module.
        abi_version: u32,
        /// The bits of the seals that were added; [`Pool::seals`](crate::Pool::seals) names them.
        seals: u32,
        /// The `FLAG_` bits of [`uapi`]; [`is_default`](Self::is_default) and
        /// [`is_revoked`](Self::is_revoked) name them.
        flags: u32,
        /// One of the `STRATEGY_` constants of [`uapi`]; [`strategy`](Self::strategy) names it.
        strategy: u32,
    }
}

answer! {
    /// Statistics of all pools together, the answer of [`Pool::stat`](crate::Pool::stat).
    Stat {
        /// Pools that exist, the default pool included.
        nr_pools: u64,
        /// Pages of all pools that hold memory now.
        nr_resident_pages: u64,
        /// The most pages that all pools together may hold: module parameter `limit_mb`.
        nr_limit_pages: u64,
        /// Times that a page was refused because of that limit.
        nr_refused_pages: u64,
        /// Zeroed pages that wait in the reserve to enter a pool. They are in no pool, so
        /// [`nr_resident_pages`](Self::nr_resident_pages) and the limit do not count them.
        nr_reserve_pages: u64,
        /// Pages that came from the reserve, since the module was loaded.
        nr_reserve_hits: u64,
        /// Pages that had to be zeroed when they were needed, since the module was loaded.
        nr_reserve_misses: u64,
    }
}

impl Info {
    /// Whether it is the pool that the device node opens.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.flags & uapi::FLAG_DEFAULT != 0
    }

    /// Whether [`Pool::revoke`](crate::Pool::revoke) took the pool away.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.flags & uapi::FLAG_REVOKED != 0
    }

    /// When the pool gets its pages, unless this version does not know the strategy.
    #[must_use]
    pub fn strategy(&self) -> Option<Strategy> {
        Strategy::from_number(self.strategy)
    }
}
