// SPDX-License-Identifier: MIT OR GPL-2.0

//! The tests of the device: every scenario of the catalogue, and what only pools have.
//!
//! The module is in `/lib/modules` of the guest. Most tests load it for themselves.
//!
//! needs: `smp=2 timeout=900`

mod calls;
mod counters;
mod created;
mod files;
mod huge_faults;
mod ioctl;
mod killed;
mod library;
mod loading;
mod marks;
mod page;
mod parameters;
mod pictures;
mod pinned;
mod poison;
mod races;
mod rights;
mod shortage;
mod slow_pages;
mod strategies;
mod survival;
mod table;
mod trace;
mod undo;

macro_rules! as_tests {
    ($($group:ident: $title:literal { $($name:ident;)* })*) => {
        $(as_module! { $group $($name)* })*
    };
}

macro_rules! as_module {
    // These need a disk: `guest_backed`.
    (backed $($name:ident)*) => {};
    (userfaultfd $($name:ident)*) => {
        // Two of them protect pages from all accesses.
        /// needs: `config=CONFIG_USERFAULTFD_RWP`
        mod userfaultfd {
            checks! { userfaultfd $($name)* }
        }
    };
    ($group:ident $($name:ident)*) => {
        mod $group {
            checks! { $group $($name)* }
        }
    };
}

macro_rules! checks {
    ($group:ident $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                mmap_pool_tests::scenario::check(
                    concat!(stringify!($group), "::", stringify!($name))
                );
            }
        )*
    };
}

mmap_pool_tests::catalogue!(as_tests);
