// SPDX-License-Identifier: MIT OR GPL-2.0

//! Memory cgroups.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{fail, Failure};

/// A memory cgroup of its own, removed at the end.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// The kernel has no memory cgroups, or one of this name is there.
    pub fn new(name: &str) -> Result<Self, Failure> {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")?;
        let path = Path::new("/sys/fs/cgroup").join(name);
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Sets the most that it may hold.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn limit(&self, bytes: u64) -> Result<(), Failure> {
        Ok(fs::write(self.path.join("memory.max"), bytes.to_string())?)
    }

    /// Moves the running process into it.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn enter(&self) -> Result<(), Failure> {
        Ok(fs::write(self.path.join("cgroup.procs"), "0")?)
    }

    /// Bytes of page cache that are charged to it.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn file_bytes(&self) -> Result<u64, Failure> {
        self.number("memory.stat", "file")
    }

    /// Bytes of small objects of the kernel that are charged to it.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn slab_bytes(&self) -> Result<u64, Failure> {
        self.number("memory.stat", "slab")
    }

    /// How often something had to wait or to fail because it was at its limit, and nothing could be
    /// reclaimed.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn nr_ooms(&self) -> Result<u64, Failure> {
        self.number("memory.events", "oom")
    }

    /// How many processes had to be killed because it was at its limit.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn nr_killed(&self) -> Result<u64, Failure> {
        self.number("memory.events", "oom_kill")
    }

    fn number(&self, file: &str, name: &str) -> Result<u64, Failure> {
        let text = fs::read_to_string(self.path.join(file))?;
        for line in text.lines() {
            if let Some((found, number)) = line.split_once(' ') {
                if found == name {
                    return Ok(number.parse()?);
                }
            }
        }
        fail!("{file} has no {name}")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}
