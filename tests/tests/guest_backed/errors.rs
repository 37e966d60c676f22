// SPDX-License-Identifier: MIT OR GPL-2.0

//! Objects that cannot be written or read.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use mmap_pool::{Errno, Pool};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use crate::store::{backed, builder, map, page, Store, PAGE};

/// A block device whose storage is full after 1 MiB: a loop device on a file of a small tmpfs.
struct Small {
    device: PathBuf,
    _module: FreshModule,
}

const FOLDER: &str = "/run/small";
const LEN: usize = 4 << 20;

impl Small {
    fn new() -> Self {
        fs::create_dir_all(FOLDER).unwrap();
        mount("small", FOLDER, "tmpfs", MountFlags::empty(), Some(c"size=1m")).unwrap();
        let file = File::create(format!("{FOLDER}/file")).unwrap();
        file.set_len(LEN as u64).unwrap();
        let output = losetup(&["-f"]);
        let device = PathBuf::from(output.trim());
        losetup(&[device.to_str().unwrap(), &format!("{FOLDER}/file")]);
        Self {
            device,
            _module: fresh_module(),
        }
    }

    fn open(&self) -> File {
        let options = &mut File::options();
        options.read(true).write(true).open(&self.device).unwrap()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        losetup(&["-d", self.device.to_str().unwrap()]);
        // A worker of the loop device closes the file.
        while unmount(FOLDER, UnmountFlags::empty()) == Err(Errno::BUSY) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn losetup(arguments: &[&str]) -> String {
    let output = Command::new("losetup").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_descriptor_is_told_once() {
    let small = Small::new();
    let pool = backed(&small.open());
    let again = File::options()
        .read(true)
        .write(true)
        .open(format!("/proc/self/fd/{}", pool.as_raw_fd()))
        .unwrap();
    let again = Pool::try_from(OwnedFd::from(again)).unwrap();
    let mapping = map(&pool, LEN);
    for number in 0..LEN / PAGE {
        mapping.write_at(&page(number, 1), number * PAGE).unwrap();
    }
    assert_eq!(pool.sync().unwrap_err().errno(), Errno::NOSPC);
    assert_eq!(pool.sync(), Ok(()));
    assert_eq!(again.sync().unwrap_err().errno(), Errno::NOSPC);
    assert_eq!(again.sync(), Ok(()));
    assert!(pool.backing().unwrap().nr_errors > 0);
    // Opened after the error.
    let later = File::open(format!("/proc/self/fd/{}", pool.as_raw_fd())).unwrap();
    later.sync_all().unwrap();
}

#[test]
fn a_mapping_and_a_synchronous_write_are_told() {
    let small = Small::new();
    let pool = backed(&small.open());
    let mapping = map(&pool, LEN);
    for number in 0..LEN / PAGE {
        mapping.write_at(&page(number, 1), number * PAGE).unwrap();
    }
    assert_eq!(mapping.flush().unwrap_err().errno(), Errno::NOSPC);
    let synchronous = File::options()
        .write(true)
        .custom_flags(libc::O_DSYNC)
        .open(format!("/proc/self/fd/{}", pool.as_raw_fd()))
        .unwrap();
    // This page has storage, unless it was among those that failed.
    let error = (0..LEN / PAGE)
        .rev()
        .find_map(|number| {
            let bytes = page(number, 2);
            synchronous.write_at(&bytes, (number * PAGE) as u64).err()
        })
        .unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
}

#[test]
fn a_full_file_system_is_told_late_and_not_with_storage() {
    Store::ext4(|store| {
        let fill = |free: u64| {
            let path = store.path().with_file_name("fill");
            let stat = rustix::fs::statvfs(store.path().parent().unwrap()).unwrap();
            let len = (stat.f_bavail * stat.f_frsize).checked_sub(free).unwrap();
            let file = File::create(&path).unwrap();
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len).unwrap();
        };
        let object = store.object(64 << 20);
        {
            let pool = builder(&object).preallocate().create().unwrap();
            fill(2 << 20);
            let mapping = map(&pool, 64 << 20);
            for number in 0..(64 << 20) / PAGE {
                mapping.write_at(&page(number, 1), number * PAGE).unwrap();
            }
            mapping.flush().unwrap();
        }
        fs::remove_file(store.path().with_file_name("fill")).unwrap();
        let object = store.object(64 << 20);
        fill(2 << 20);
        assert_eq!(
            builder(&object).preallocate().create().unwrap_err().errno(),
            Errno::NOSPC
        );
        let object = store.object(64 << 20);
        let pool = backed(&object);
        let mapping = map(&pool, 64 << 20);
        for number in 0..(64 << 20) / PAGE {
            mapping.write_at(&page(number, 1), number * PAGE).unwrap();
        }
        assert_eq!(mapping.flush().unwrap_err().errno(), Errno::NOSPC);
        assert_eq!(pool.sync(), Ok(()));
    });
}

#[test]
fn a_smaller_file_reads_as_zeroes_and_grows_again() {
    Store::ext4(|store| {
        let object = store.object(64 * PAGE);
        object.write_all_at(&[1; 64 * PAGE], 0).unwrap();
        object.sync_all().unwrap();
        let pool = backed(&object);
        object.set_len(10 * PAGE as u64 + 100).unwrap();
        let mapping = map(&pool, 64 * PAGE);
        let mut bytes = [2; PAGE];
        mapping.read_at(&mut bytes, 9 * PAGE).unwrap();
        assert_eq!(bytes, [1; PAGE]);
        mapping.read_at(&mut bytes, 10 * PAGE).unwrap();
        assert_eq!(bytes[..100], [1; 100]);
        assert_eq!(bytes[100..], [0; PAGE - 100]);
        mapping.read_at(&mut bytes, 40 * PAGE).unwrap();
        assert_eq!(bytes, [0; PAGE]);
        mapping.write_at(&page(30, 1), 30 * PAGE).unwrap();
        mapping.flush().unwrap();
        assert!(object.metadata().unwrap().len() >= 31 * PAGE as u64);
        assert_eq!(store.stored(30 * PAGE, PAGE), page(30, 1));
    });
}

/// The limit of a process does not stop the write-back of what others wrote.
#[test]
fn a_small_file_size_limit_of_the_one_who_syncs_loses_nothing() {
    Store::ext4(|store| {
        let object = store.object(64 * PAGE);
        let pool = backed(&object);
        let mapping = map(&pool, 64 * PAGE);
        mapping.write_at(&page(50, 1), 50 * PAGE).unwrap();
        let limit = libc::rlimit {
            rlim_cur: PAGE as u64,
            rlim_max: libc::RLIM_INFINITY,
        };
        let all = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: The arguments are valid.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) };
        let synced = pool.sync();
        // SAFETY: As above.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &all) };
        assert_eq!(synced, Ok(()));
        assert_eq!(store.stored(50 * PAGE, PAGE), page(50, 1));
    });
}

/// A direct write that makes the object larger holds its lock. The bytes come from a page of the
/// pool that is not there, and reading it needs the lock as well. The task waits for itself, but
/// it can be killed.
#[test]
fn a_task_that_waits_for_itself_can_be_killed() {
    Store::ext4(|store| {
        let object = store.object(64 * PAGE);
        let pool = backed(&object);
        let mapping = map(&pool, 64 * PAGE);
        let direct = File::options()
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(store.path())
            .unwrap();
        // SAFETY: The child makes system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: The mapping is valid.
            unsafe {
                libc::pwrite(
                    direct.as_raw_fd(),
                    mapping.as_ptr().cast(),
                    8 * PAGE,
                    64 * PAGE as i64,
                );
                libc::_exit(0);
            }
        }
        // Either it waits or it has ended: both are right.
        thread::sleep(Duration::from_millis(300));
        // SAFETY: The child is ours.
        unsafe { libc::kill(child, libc::SIGKILL) };
        let mut status = 0;
        // SAFETY: As above.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        // The pool works.
        mapping.write_at(&page(1, 1), PAGE).unwrap();
        mapping.flush().unwrap();
        assert_eq!(store.stored(PAGE, PAGE), page(1, 1));
    });
}
