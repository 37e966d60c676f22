// SPDX-License-Identifier: GPL-2.0

//! Files and inodes: wrappers that `kernel::fs` and `kernel::miscdevice` lack.

#![allow(unsafe_code)]

pub(crate) mod address_space;
pub(crate) mod backed;
pub(crate) mod backing;
pub(crate) mod chardev;
pub(crate) mod file;
pub(crate) mod inode;
pub(crate) mod pseudo;

use kernel::{
    bindings,
    ffi::c_int,
    prelude::*, //
};

/// Modes of `fallocate(2)`.
///
/// C header: `include/uapi/linux/falloc.h`.
pub(crate) mod falloc {
    pub(crate) const KEEP_SIZE: u32 = 0x01;
    pub(crate) const PUNCH_HOLE: u32 = 0x02;
    pub(crate) const ZERO_RANGE: u32 = 0x10;
}

/// Returns `EOPNOTSUPP`, which [`kernel::error::code`] lacks.
pub(crate) fn not_supported() -> Error {
    Error::from_errno(-(bindings::EOPNOTSUPP as c_int))
}

/// Returns whether the running task has `CAP_SYS_ADMIN`, and marks it as used.
///
/// C: `capable()`.
pub(crate) fn is_admin() -> bool {
    // SAFETY: The function has no preconditions.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) }
}

/// A reference to this module, which keeps it loaded.
///
/// The code that drops the reference is code of the module. So the last reference may be dropped
/// only where the unload waits for that code. [`pseudo::InternalMount`] does so for the one of an
/// inode.
struct ModuleRef(());

impl ModuleRef {
    /// # Errors
    ///
    /// - `ENODEV`: the module is being unloaded.
    ///
    /// C: `try_module_get()`, `include/linux/module.h`.
    fn new() -> Result<Self> {
        // SAFETY: The module is valid as long as its code runs.
        if unsafe { bindings::try_module_get(this_module()) } {
            Ok(Self(()))
        } else {
            Err(ENODEV)
        }
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: The reference was taken in `new`.
        unsafe { bindings::module_put(this_module()) };
    }
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
