// SPDX-License-Identifier: MIT OR GPL-2.0

//! Backed pools: on a block device, and on files of ext4 and XFS.
//!
//! needs: `disk programs scratch=1G insmod=loop insmod=xfs insmod=dm-mod insmod=dm-log-writes insmod=dm-delay timeout=900`

mod access;
mod bytes;
mod errors;
mod gone;
mod holes;
mod ioctl;
mod large;
mod programs;
mod reclaim;
mod replay;
mod store;
mod throttle;
mod trace;
mod written;

macro_rules! as_tests {
    ($($group:ident: $title:literal { $($name:ident;)* })*) => {
        $(as_module! { $group $($name)* })*
    };
}

macro_rules! as_module {
    (backed $($name:ident)*) => {
        // Without it, a cgroup at its limit waits for each write: minutes on a slow kernel.
        /// needs: `config=CONFIG_CGROUP_WRITEBACK`
        mod backed {
            $(
                #[test]
                fn $name() {
                    mmap_pool_tests::scenario::check(concat!("backed::", stringify!($name)));
                }
            )*
        }
    };
    // These need no disk: `guest`.
    ($group:ident $($name:ident)*) => {};
}

mmap_pool_tests::catalogue!(as_tests);

/// Makes a test of each function for each kind of object: `device::…`, `ext4::…`, `xfs::…`.
macro_rules! on_each {
    ($($name:ident;)*) => {
        mod device {
            $(
                #[test]
                fn $name() {
                    crate::store::Store::device(super::$name);
                }
            )*
        }
        crate::on_files! { $($name;)* }
    };
}
use on_each;

/// The same for files: `ext4::…`, `xfs::…`.
macro_rules! on_files {
    ($($name:ident;)*) => {
        mod ext4 {
            $(
                #[test]
                fn $name() {
                    crate::store::Store::ext4(super::$name);
                }
            )*
        }
        /// needs: `config=CONFIG_XFS_FS`
        mod xfs {
            $(
                #[test]
                fn $name() {
                    crate::store::Store::xfs(super::$name);
                }
            )*
        }
    };
}
use on_files;
