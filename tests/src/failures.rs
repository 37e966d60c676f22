// SPDX-License-Identifier: MIT OR GPL-2.0

//! Letting the kernel fail where it could: allocations, and copies from and to userspace.
//!
//! Needs a kernel with what `qemu/config/failures` lists.
//!
//! C: `lib/fault-inject.c`, `Documentation/fault-injection/fault-injection.rst`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::Failure;

/// Which allocations take part: all, even if they could have waited for memory. Nothing is printed
/// of those that fail.
const SETTINGS: &[(&str, &str)] = &[
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
    ("fail_usercopy/verbose", "0"),
];

/// Lets something fail that the thread asks of the kernel which made this.
#[derive(Debug)]
pub struct Switch {
    fail_nth: File,
}

impl Switch {
    /// # Errors
    ///
    /// The kernel has nothing that could be made to fail.
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

    /// Does `operation`, lets the `nth` thing fail in it that can, from 1, and returns its answer and
    /// whether there were so many.
    ///
    /// # Errors
    ///
    /// It could not be asked for.
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
