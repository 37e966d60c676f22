// SPDX-License-Identifier: MIT OR GPL-2.0

//! The objects behind the pools of the tests.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::gone::find_disk;
use mmap_pool::{Errno, Mapping, MappingBuilder, Pool, PoolBuilder};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

pub use mmap_pool_tests::machine::page_size;
pub const DEVICE: &str = "/dev/scratch";
const FOLDER: &str = "/run/store";

/// A place for objects of a kind, and the module.
pub struct Store {
    _module: FreshModule,
    folder: Option<PathBuf>,
}

impl Store {
    /// Runs a test on the block device.
    pub fn device(test: fn(&Self)) {
        test(&Self {
            _module: fresh_module(),
            folder: None,
        });
    }

    /// Runs a test on a new ext4.
    pub fn ext4(test: fn(&Self)) {
        let lazy = "lazy_itable_init=0,lazy_journal_init=0";
        Self::file_system(
            "ext4",
            &["mke2fs", "-q", "-F", "-t", "ext4", "-E", lazy],
            test,
        );
    }

    /// Runs a test on a new XFS.
    pub fn xfs(test: fn(&Self)) {
        Self::file_system("xfs", &["mkfs.xfs", "-q", "-f"], test);
    }

    fn file_system(name: &str, make: &[&str], test: fn(&Self)) {
        on_disk(&[make, &[DEVICE]].concat());
        fs::create_dir_all(FOLDER).unwrap();
        mount(DEVICE, FOLDER, name, MountFlags::empty(), None).unwrap();
        test(&Self {
            _module: fresh_module(),
            folder: Some(FOLDER.into()),
        });
    }

    /// Returns whether the object is a file, with a size of its own.
    pub fn has_files(&self) -> bool {
        self.folder.is_some()
    }

    /// The path of the object.
    pub fn path(&self) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.join("object"),
            None => DEVICE.into(),
        }
    }

    /// Opens an object of at least `len` zero bytes.
    pub fn object(&self, len: usize) -> File {
        let file = File::options()
            .read(true)
            .write(true)
            .create(self.has_files())
            .open(self.path())
            .unwrap();
        if self.has_files() {
            file.set_len(0).unwrap();
            file.set_len(len as u64).unwrap();
        } else {
            let zeroes = vec![0; 1 << 20];
            for offset in (0..len).step_by(zeroes.len()) {
                let part = &zeroes[..zeroes.len().min(len - offset)];
                file.write_all_at(part, offset as u64).unwrap();
            }
            file.sync_all().unwrap();
        }
        file
    }

    /// Reads bytes of the object past every cache.
    pub fn stored(&self, offset: usize, len: usize) -> Vec<u8> {
        stored(&self.path(), offset, len)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let mut done = Ok(());
            // A worker of a loop device may still close a file of it.
            for _ in 0..500 {
                done = unmount(folder, UnmountFlags::empty());
                if done != Err(Errno::BUSY) {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            assert!(done.is_ok() || thread::panicking(), "{done:?}");
        }
        find_disk();
    }
}

/// Runs an administrator's program of the disk, and returns its output.
pub fn on_disk(command: &[&str]) -> String {
    let output = Command::new("chroot")
        .args(["/disk", "/usr/bin/env", "PATH=/usr/sbin:/usr/bin"])
        .args(command)
        .output()
        .expect("chroot is there");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Reads whole pages of a file past every cache.
fn stored(path: &Path, offset: usize, len: usize) -> Vec<u8> {
    assert_eq!((offset % page_size(), len % page_size()), (0, 0));
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
        .unwrap();
    let mut bytes = vec![0; len + page_size()];
    let start = bytes.as_ptr().align_offset(page_size());
    let done = file.read_at(&mut bytes[start..start + len], offset as u64);
    let done = done.unwrap();
    bytes.drain(..start);
    bytes.truncate(done);
    bytes
}

/// Lets the kernel drop clean pages that nothing maps.
pub fn drop_caches() {
    fs::write("/proc/sys/vm/drop_caches", "1").unwrap();
}

/// Creates a pool with `object` behind it.
pub fn backed(object: &impl AsFd) -> Pool {
    builder(object).create().unwrap()
}

pub fn builder(object: &impl AsFd) -> PoolBuilder<'_> {
    Pool::create().name("backed").backing(object)
}

/// Maps the first `len` bytes of a pool.
pub fn map(pool: &Pool, len: usize) -> Mapping {
    MappingBuilder::shared().len(len).map(pool).unwrap()
}

/// The content of page `number` in pattern `pattern`.
pub fn page(number: usize, pattern: u64) -> Vec<u8> {
    let mut page = vec![0; page_size()];
    let mut state = (pattern << 40) | (number as u64 + 1);
    for word in page.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    page
}
