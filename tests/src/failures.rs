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

/// Makes allocations of the current thread fail, and those of the kernel's workers that have no
/// processor of their own: `kmalloc()` and similar functions. Ends when this is dropped.
///
/// A worker that starts later is spared.
#[derive(Debug)]
pub struct NoMemory {
    thread: File,
}

impl NoMemory {
    /// Lets every `interval`th allocation fail.
    ///
    /// # Errors
    ///
    /// The kernel has no fault injection.
    pub fn new(interval: u32) -> Result<Self, Failure> {
        for (setting, value) in SETTINGS {
            fs::write(format!("/sys/kernel/debug/{setting}"), value)?;
        }
        let mut options = File::options();
        let thread = options.write(true).open("/proc/thread-self/make-it-fail")?;
        let failing = Self { thread };
        Self::set("task-filter", "Y")?;
        Self::set("interval", &interval.to_string())?;
        Self::set("times", "-1")?;
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            // A process may end at any time.
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            if name.starts_with("kworker/u") {
                let _ = fs::write(path.join("make-it-fail"), "1");
            }
        }
        Self::set("probability", "100")?;
        failing.thread.write_all_at(b"1", 0)?;
        Ok(failing)
    }

    fn set(setting: &str, value: &str) -> Result<(), Failure> {
        Ok(fs::write(
            format!("/sys/kernel/debug/failslab/{setting}"),
            value,
        )?)
    }
}

impl Drop for NoMemory {
    fn drop(&mut self) {
        let _ = self.thread.write_all_at(b"0", 0);
        for (setting, value) in [
            ("probability", "0"),
            ("task-filter", "N"),
            ("interval", "1"),
            ("times", "1"),
        ] {
            let _ = Self::set(setting, value);
        }
    }
}

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
