// SPDX-License-Identifier: MIT OR GPL-2.0

//! Real programs, none of them ours, at work on pools: on the device node, and on a created pool
//! whose descriptor they inherit.
//!
//! They need a guest with the disk that `qemu/programs/disk` makes, mounted on `/disk`, and with
//! what `qemu/programs/compile` compiles, in `/programs`.

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

/// Makes of each function two tests, `node::…` and `created::…`: on pools of so many MiB.
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
