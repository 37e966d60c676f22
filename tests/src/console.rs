// SPDX-License-Identifier: MIT OR GPL-2.0

//! The kernel's console.

use std::fs;

use crate::Failure;

const IGNORES_LEVEL: &str = "/sys/module/printk/parameters/ignore_loglevel";
const LEVELS: &str = "/proc/sys/kernel/printk";

/// The console shows warnings and errors, and leaves out the rest: an emulated machine takes long to
/// print. Put back as it was at the end.
#[derive(Debug)]
pub struct Quiet {
    ignores_level: String,
    levels: String,
}

impl Quiet {
    /// # Errors
    ///
    /// What the kernel answers.
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
