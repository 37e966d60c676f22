// SPDX-License-Identifier: MIT OR GPL-2.0

//! Backed pools: on a block device, and on a file of ext4.
//!
//! needs: `disk programs scratch=1G insmod=loop timeout=900`

mod access;
mod bytes;
mod errors;
mod ioctl;
mod large;
mod programs;
mod reclaim;
mod store;
mod trace;
mod written;

/// Makes a test of each function for each kind of object: `device::…`, `ext4::…`.
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
        mod ext4 {
            $(
                #[test]
                fn $name() {
                    crate::store::Store::ext4(super::$name);
                }
            )*
        }
    };
}
use on_each;
