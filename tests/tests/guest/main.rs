// SPDX-License-Identifier: MIT OR GPL-2.0

//! The guest's tests: every scenario of the catalogue, and what only the pool has.
//!
//! They need a guest with the module in `/lib/modules`, and load it anew for each test.

mod calls;
mod counters;
mod created;
mod files;
mod ioctl;
mod killed;
mod library;
mod loading;
mod marks;
mod page;
mod parameters;
mod pinned;
mod poison;
mod races;
mod rights;
mod shortage;
mod slow_pages;
mod strategies;
mod survival;
mod trace;
mod undo;

macro_rules! as_tests {
    ($($group:ident {
        $($row:literal $name:ident: $tried:literal
            => $oracle:ident, $expected:literal $(, $who:ident: $other:tt)*;)*
    })*) => {
        $(mod $group {
            $(
                #[test]
                fn $name() {
                    mmap_pool_tests::scenario::check(
                        concat!(stringify!($group), "::", stringify!($name))
                    );
                }
            )*
        })*
    };
}

mmap_pool_tests::catalogue!(as_tests);
