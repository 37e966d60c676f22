// SPDX-License-Identifier: MIT OR GPL-2.0

//! Memory cgroups.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{fail, Failure};

/// A new memory cgroup. It is removed when this is dropped.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// The kernel has no memory cgroups, or a cgroup has this name.
    pub fn new(name: &str) -> Result<Self, Failure> {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")?;
        let path = Path::new("/sys/fs/cgroup").join(name);
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Sets the limit in bytes.
    ///
    /// # Errors
    ///
    /// The errno of the kernel.
    pub fn limit(&self, bytes: u64) -> Result<(), Failure> {
        Ok(fs::write(self.path.join("memory.max"), bytes.to_string())?)
    }

    /// Forbids its processes the memory of all NUMA nodes but this one.
    ///
    /// # Errors
    ///
    /// The errno of the kernel.
    pub fn allow_node(&self, node: usize) -> Result<(), Failure> {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset")?;
        Ok(fs::write(self.path.join("cpuset.mems"), node.to_string())?)
    }

    /// Moves the running process into it.
    ///
    /// # Errors
    ///
    /// The errno of the kernel.
    pub fn enter(&self) -> Result<(), Failure> {
        Ok(fs::write(self.path.join("cgroup.procs"), "0")?)
    }

    /// Bytes of page cache that are charged to it.
    ///
    /// # Errors
    ///
    /// The kernel has no such number.
    pub fn file_bytes(&self) -> Result<u64, Failure> {
        self.number("memory.stat", "file")
    }

    /// Bytes of slab memory that are charged to it.
    ///
    /// # Errors
    ///
    /// The kernel has no such number.
    pub fn slab_bytes(&self) -> Result<u64, Failure> {
        self.number("memory.stat", "slab")
    }

    /// How often an allocation reached the limit and the kernel could reclaim nothing.
    ///
    /// # Errors
    ///
    /// The kernel has no such number.
    pub fn nr_ooms(&self) -> Result<u64, Failure> {
        self.number("memory.events", "oom")
    }

    /// How often the limit was reached.
    ///
    /// # Errors
    ///
    /// The kernel has no such number.
    pub fn nr_times_full(&self) -> Result<u64, Failure> {
        self.number("memory.events", "max")
    }

    /// How many processes the OOM killer ended because of the limit.
    ///
    /// # Errors
    ///
    /// The kernel has no such number.
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
