// SPDX-License-Identifier: MIT OR GPL-2.0

//! Fault injection: allocations fail, and so do copies from and to userspace.
//!
//! The kernel needs the options in `qemu/config/failures`.
//!
//! C: `lib/fault-inject.c`, `Documentation/fault-injection/fault-injection.rst`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::Failure;

/// Every allocation can fail, also one that may wait for memory. The kernel prints nothing about a
/// failure.
const SETTINGS: &[(&str, &str)] = &[
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
    ("fail_usercopy/verbose", "0"),
];

/// Makes calls of the current thread fail in the kernel.
#[derive(Debug)]
pub struct Switch {
    fail_nth: File,
}

impl Switch {
    /// # Errors
    ///
    /// The kernel has no fault injection.
    pub fn new() -> Result<Self, Failure> {
        for (setting, value) in SETTINGS {
            fs::write(format!("/sys/kernel/debug/{setting}"), value)?;
        }
        let mut options = File::options();
        let fail_nth = options
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")?;
        Ok(Self { fail_nth })
    }

    /// Runs `operation` with a failure in the `nth` place, counted from 1. Returns the answer, and
    /// whether `operation` has so many places.
    ///
    /// # Errors
    ///
    /// The kernel does not accept the number.
    pub fn fail_nth<T>(
        &self,
        nth: u32,
        operation: impl FnOnce() -> T,
    ) -> Result<(T, bool), Failure> {
        let mut left = [0; 16];
        self.fail_nth.write_all_at(nth.to_string().as_bytes(), 0)?;
        let answer = operation();
        // If the operation had fewer of them, these calls may be what fails.
        let has_failed = match self.fail_nth.read_at(&mut left, 0) {
            Ok(len) => left[..len].starts_with(b"0\n"),
            Err(_) => false,
        };
        let _ = self.fail_nth.write_at(b"0", 0);
        Ok((answer, has_failed))
    }
}
