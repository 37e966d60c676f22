// SPDX-License-Identifier: GPL-2.0

//! Files: what `kernel::fs` and `kernel::miscdevice` do not offer yet.

pub(crate) mod chardev;
pub(crate) mod file;
pub(crate) mod inode;
pub(crate) mod pseudo;

use kernel::{bindings, ffi::c_int};

/// Returns whether the running task has `CAP_SYS_ADMIN`, and notes that it used it.
///
/// C: `capable()`.
pub(crate) fn is_admin() -> bool {
    // SAFETY: The function has no preconditions.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) }
}

/// Returns this module's `THIS_MODULE`, in a constant on every supported kernel.
const fn this_module() -> *mut bindings::module {
    #[cfg(MODULE)]
    {
        extern "C" {
            // Only its address is used.
            static __this_module: u8;
        }
        (&raw const __this_module).cast_mut().cast()
    }
    #[cfg(not(MODULE))]
    core::ptr::null_mut()
}
