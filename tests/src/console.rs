// SPDX-License-Identifier: MIT OR GPL-2.0

//! The kernel's console.

use std::fs;

use crate::Failure;

const IGNORES_LEVEL: &str = "/sys/module/printk/parameters/ignore_loglevel";
const LEVELS: &str = "/proc/sys/kernel/printk";

/// Limits the console to warnings and errors, because printing is slow in an emulator. The old
/// level comes back when this is dropped.
#[derive(Debug)]
pub struct Quiet {
    ignores_level: String,
    levels: String,
}

impl Quiet {
    /// # Errors
    ///
    /// The errno of the kernel.
    pub fn new() -> Result<Self, Failure> {
        let quiet = Self {
            ignores_level: fs::read_to_string(IGNORES_LEVEL)?,
            levels: fs::read_to_string(LEVELS)?,
        };
        fs::write(LEVELS, "5")?;
        fs::write(IGNORES_LEVEL, "N")?;
        Ok(quiet)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = fs::write(IGNORES_LEVEL, &self.ignores_level);
        let _ = fs::write(LEVELS, &self.levels);
    }
}
