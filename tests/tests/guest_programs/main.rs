// SPDX-License-Identifier: MIT OR GPL-2.0

//! Real programs on pools: on the device node, and on a created pool whose descriptor they inherit.
//!
//! The programs come from Debian, on the disk `/disk`, or are compiled for these tests, in
//! `/programs`.
//!
//! needs: `disk programs mem=2048M timeout=1800`

mod compat;
mod direct;
mod examples;
mod files;
mod fio;
mod given;
mod machine;
mod memmap2;
mod memory;
mod python;
mod selftests;
mod sqlite;
mod swap;

/// Makes two tests of each function, `node::…` and `created::…`, on pools of so many MiB.
macro_rules! on_both {
    ($($size_mb:literal $name:ident;)*) => {
        mod node {
            $(
                #[test]
                fn $name() {
                    crate::given::Given::node($size_mb, super::$name);
                }
            )*
        }
        mod created {
            $(
                #[test]
                fn $name() {
                    crate::given::Given::created($size_mb, super::$name);
                }
            )*
        }
    };
}
use on_both;
