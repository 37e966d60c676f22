// SPDX-License-Identifier: MIT OR GPL-2.0

//! Objects that cannot be written or read.

use std::fs::{self, File};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use mmap_pool::{Advice, Errno, Mapping, Pool};
use mmap_pool_tests::failures::NoMemory;
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::others::Others;
use rustix::fs::{fallocate, statvfs, FallocateFlags};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};
use rustix::pipe::{pipe_with, PipeFlags};

use crate::on_files;
use crate::store::{backed, builder, drop_caches, map, page, page_size, Store};

on_files! {
    a_full_file_system_is_told_late_and_not_with_storage;
    a_smaller_file_reads_as_zeroes_and_grows_again;
    a_small_file_size_limit_of_the_one_who_syncs_loses_nothing;
    a_task_that_waits_for_itself_can_be_killed;
    a_page_that_cannot_be_written_takes_no_other_with_it;
    a_page_without_storage_leaves_the_others_theirs;
    those_who_sync_each_others_neighbours_end;
    no_sync_of_all_hides_an_error;
    a_frozen_file_system_delays_a_bounded_number_of_writes;
    a_pool_itself_cannot_be_frozen;
    revoking_beside_a_write_to_the_object_ends;
}

/// A block device whose storage is full after 1 MiB: a loop device on a file of a small tmpfs.
struct Small {
    device: PathBuf,
    _module: FreshModule,
}

const FOLDER: &str = "/run/small";
const LEN: usize = 4 << 20;
const FREEZE: libc::Ioctl = 0xc004_5877_u32 as libc::Ioctl;
const THAW: libc::Ioctl = 0xc004_5878_u32 as libc::Ioctl;

impl Small {
    fn new() -> Self {
        fs::create_dir_all(FOLDER).unwrap();
        mount(
            "small",
            FOLDER,
            "tmpfs",
            MountFlags::empty(),
            Some(c"size=1m"),
        )
        .unwrap();
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

/// Stores to each of these pages.
fn store_all(mapping: &Mapping, pages: Range<usize>) {
    for number in pages {
        mapping
            .write_at(&page(number, 1), number * page_size())
            .unwrap();
    }
}

/// The pages of which the object does not have what [`store_all`] has stored.
fn lost(store: &Store, pages: Range<usize>) -> Vec<usize> {
    let is_lost =
        |&number: &usize| store.stored(number * page_size(), page_size()) != page(number, 1);
    pages.filter(is_lost).collect()
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
    store_all(&mapping, 0..LEN / page_size());
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
    store_all(&mapping, 0..LEN / page_size());
    assert_eq!(mapping.flush().unwrap_err().errno(), Errno::NOSPC);
    let synchronous = File::options()
        .write(true)
        .custom_flags(libc::O_DSYNC)
        .open(format!("/proc/self/fd/{}", pool.as_raw_fd()))
        .unwrap();
    // This page has storage, unless it was among those that failed.
    let error = (0..LEN / page_size())
        .rev()
        .find_map(|number| {
            let bytes = page(number, 2);
            synchronous
                .write_at(&bytes, (number * page_size()) as u64)
                .err()
        })
        .unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
}

fn a_full_file_system_is_told_late_and_not_with_storage(store: &Store) {
    let nr_free_bytes = || {
        let stat = statvfs(store.path().parent().unwrap()).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    let fill = |free: u64| {
        let path = store.path().with_file_name("fill");
        let len = nr_free_bytes().checked_sub(free).unwrap();
        let file = File::create(&path).unwrap();
        fallocate(&file, FallocateFlags::empty(), 0, len).unwrap();
    };
    let nr_free_at_first = nr_free_bytes();
    let object = store.object(64 << 20);
    {
        let pool = builder(&object).preallocate().create().unwrap();
        fill(2 << 20);
        let mapping = map(&pool, 64 << 20);
        store_all(&mapping, 0..(64 << 20) / page_size());
        mapping.flush().unwrap();
    }
    fs::remove_file(store.path().with_file_name("fill")).unwrap();
    let object = store.object(64 << 20);
    // XFS frees the space of both later.
    while nr_free_bytes() + (1 << 20) < nr_free_at_first {
        thread::sleep(Duration::from_millis(10));
    }
    fill(2 << 20);
    assert_eq!(
        builder(&object).preallocate().create().unwrap_err().errno(),
        Errno::NOSPC
    );
    let object = store.object(64 << 20);
    let pool = backed(&object);
    let mapping = map(&pool, 64 << 20);
    store_all(&mapping, 0..(64 << 20) / page_size());
    assert_eq!(mapping.flush().unwrap_err().errno(), Errno::NOSPC);
    assert_eq!(pool.sync(), Ok(()));
}

fn a_smaller_file_reads_as_zeroes_and_grows_again(store: &Store) {
    let object = store.object(64 * page_size());
    object.write_all_at(&vec![1; 64 * page_size()], 0).unwrap();
    object.sync_all().unwrap();
    let pool = backed(&object);
    object.set_len(10 * page_size() as u64 + 100).unwrap();
    let mapping = map(&pool, 64 * page_size());
    // Each page gets memory of its own, which was that of others before.
    mapping.advise(Advice::Random).unwrap();
    drop(Others::new().unwrap());
    let mut bytes = vec![2; page_size()];
    mapping.read_at(&mut bytes, 9 * page_size()).unwrap();
    assert_eq!(bytes, vec![1; page_size()]);
    mapping.read_at(&mut bytes, 10 * page_size()).unwrap();
    assert_eq!(bytes[..100], [1; 100]);
    assert_eq!(bytes[100..], vec![0; page_size() - 100]);
    for number in 11..64 {
        mapping.read_at(&mut bytes, number * page_size()).unwrap();
        assert!(bytes == vec![0; page_size()], "page {number}");
    }
    mapping.write_at(&page(30, 1), 30 * page_size()).unwrap();
    mapping.flush().unwrap();
    assert!(object.metadata().unwrap().len() >= 31 * page_size() as u64);
    assert_eq!(store.stored(30 * page_size(), page_size()), page(30, 1));
}

/// The limit of a process does not stop the write-back of what others wrote.
fn a_small_file_size_limit_of_the_one_who_syncs_loses_nothing(store: &Store) {
    let object = store.object(64 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 64 * page_size());
    mapping.write_at(&page(50, 1), 50 * page_size()).unwrap();
    let limit = libc::rlimit {
        rlim_cur: page_size() as u64,
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
    assert_eq!(store.stored(50 * page_size(), page_size()), page(50, 1));
}

/// A direct write that makes the object larger holds its lock. The bytes come from a page of the
/// pool that is not there, and reading it needs the lock as well. The task waits for itself, but
/// it can be killed.
fn a_task_that_waits_for_itself_can_be_killed(store: &Store) {
    let object = store.object(64 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 64 * page_size());
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
                8 * page_size(),
                libc::off_t::try_from(64 * page_size()).unwrap(),
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
    mapping.write_at(&page(1, 1), page_size()).unwrap();
    mapping.flush().unwrap();
    assert_eq!(store.stored(page_size(), page_size()), page(1, 1));
}

/// Fills the file system of `store`, and returns the file that does.
fn filler(store: &Store) -> File {
    let file = File::create(store.path().with_file_name("fill")).unwrap();
    let mut offset = 0;
    for len in [64 << 20, 1 << 20, 64 << 10, 4 << 10] {
        while fallocate(&file, FallocateFlags::empty(), offset, len).is_ok() {
            offset += len;
        }
    }
    file.sync_all().unwrap();
    file
}

fn a_page_that_cannot_be_written_takes_no_other_with_it(store: &Store) {
    let object = store.object(64 * page_size());
    for number in (0..64).filter(|number| *number != 5) {
        let offset = number * page_size() as u64;
        object.write_all_at(&vec![1; page_size()], offset).unwrap();
    }
    object.sync_all().unwrap();
    let _filler = filler(store);
    let pool = backed(&object);
    let mapping = map(&pool, 64 * page_size());
    store_all(&mapping, 0..64);
    assert_eq!(pool.sync().unwrap_err().errno(), Errno::NOSPC);
    assert_eq!(lost(store, 0..64), [5]);
    assert!(pool.backing().unwrap().nr_errors > 0);
}

/// A file system forgets what a direct write has stored where nothing was written before, if a part of the
/// write fails.
fn a_page_without_storage_leaves_the_others_theirs(store: &Store) {
    const WITHOUT: usize = 60;

    let object = store.object(64 * page_size());
    for pages in [0..WITHOUT, WITHOUT + 1..64] {
        let (start, len) = (pages.start * page_size(), pages.len() * page_size());
        fallocate(&object, FallocateFlags::empty(), start as u64, len as u64).unwrap();
    }
    object.sync_all().unwrap();
    let _filler = filler(store);
    let pool = backed(&object);
    let mapping = map(&pool, 64 * page_size());
    store_all(&mapping, 0..64);
    assert_eq!(pool.sync().unwrap_err().errno(), Errno::NOSPC);
    drop((mapping, pool));
    assert_eq!(lost(store, 0..64), [WITHOUT]);
}

/// So many tasks write back that each has to wait until another one has done so, and each range begins with
/// the last page of another.
fn those_who_sync_each_others_neighbours_end(store: &Store) {
    /// More than may write at a time.
    const NR_BEFORE: usize = 80;
    const NR: usize = 200;

    let object = store.object(2 * (NR + NR_BEFORE + 1) * page_size());
    object.sync_all().unwrap();
    let pool = backed(&object);
    let mapping = map(&pool, 2 * (NR + NR_BEFORE + 1) * page_size());
    mapping.advise(Advice::Random).unwrap();
    let place = |number: usize| 2 * number * page_size();
    for number in 0..=NR + NR_BEFORE {
        mapping.write_at(b"new", place(number)).unwrap();
    }
    let nr_waiting = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let is_waiting = |task: &PathBuf| {
            let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.contains(") D ")
        };
        tasks
            .filter(|task| is_waiting(&task.as_ref().unwrap().path()))
            .count()
    };
    let folder = File::open(store.path().parent().unwrap()).unwrap();
    freeze(&folder, true);
    thread::scope(|scope| {
        for number in NR + 1..=NR + NR_BEFORE {
            let mapping = &mapping;
            scope.spawn(move || mapping.flush_range(place(number), page_size()).unwrap());
        }
        while nr_waiting() < NR_BEFORE {
            thread::sleep(Duration::from_millis(1));
        }
        // The last one to wait goes on first.
        for (nr_more, number) in (0..NR).rev().enumerate() {
            let mapping = &mapping;
            let len = place(1) + page_size();
            scope.spawn(move || mapping.flush_range(place(number), len).unwrap());
            while nr_waiting() < NR_BEFORE + nr_more + 1 {
                thread::sleep(Duration::from_millis(1));
            }
            mapping.write_at(b"newer", place(number)).unwrap();
        }
        freeze(&folder, false);
    });
    assert_eq!(pool.sync(), Ok(()));
    for number in 0..NR {
        assert!(store
            .stored(place(number), page_size())
            .starts_with(b"newer"));
    }
}

/// `sync(2)` of another process flushes the object as well.
fn no_sync_of_all_hides_an_error(store: &Store) {
    // The last part of a page is written through the page cache of the loop device, so only a
    // flush can fail.
    let lower = store.object((8 << 20) + 512);
    let _filler = filler(store);
    let device = losetup(&["-f"]);
    let device = device.trim();
    losetup(&[device, store.path().to_str().unwrap()]);
    drop(lower);
    {
        let node = File::options().read(true).write(true).open(device).unwrap();
        let pool = backed(&node);
        drop(node);
        let mapping = map(&pool, (8 << 20) + page_size());
        for is_all in [false, true, false] {
            mapping.write_at(b"new", 8 << 20).unwrap();
            // SAFETY: The arguments are valid.
            unsafe { libc::sync_file_range(pool.as_raw_fd(), 0, 0, 7) };
            if is_all {
                rustix::fs::sync();
            }
            assert!(pool.sync().is_err(), "{is_all}");
        }
    }
    losetup(&["-d", device]);
}

/// Blocks that ext4 keeps for root.
#[test]
fn a_user_gets_no_block_of_root_through_a_pool() {
    Store::ext4(|store| {
        drop(store.object(16 << 20));
        let all = fs::Permissions::from_mode(0o666);
        fs::set_permissions(store.path(), all.clone()).unwrap();
        fs::set_permissions("/dev/mmap_pool", all).unwrap();
        let folder = store.path().parent().unwrap().to_owned();
        let stat = statvfs(&folder).unwrap();
        let file = File::create(folder.join("fill")).unwrap();
        let len = (stat.f_bavail - 8) * stat.f_frsize;
        fallocate(&file, FallocateFlags::empty(), 0, len).unwrap();
        let path = store.path();
        let synced = thread::spawn(move || {
            // SAFETY: Of this thread alone.
            let set = unsafe { libc::syscall(libc::SYS_setresuid, 1000, 1000, 1000) };
            assert_eq!(set, 0);
            let object = File::options().read(true).write(true).open(path).unwrap();
            let pool = backed(&object);
            let mapping = map(&pool, 16 << 20);
            for number in 0..1024 {
                mapping.write_at(b"new", number * page_size()).unwrap();
            }
            pool.sync()
        });
        let synced = synced.join().unwrap();
        assert_eq!(synced.unwrap_err().errno(), Errno::NOSPC);
    });
}

/// Freezes a file system, or thaws it.
pub fn freeze(folder: &File, is_frozen: bool) {
    let request = if is_frozen { FREEZE } else { THAW };
    // SAFETY: The request has no argument.
    assert_eq!(unsafe { libc::ioctl(folder.as_raw_fd(), request, 0) }, 0);
}

fn a_frozen_file_system_delays_a_bounded_number_of_writes(store: &Store) {
    let nr = 512;
    let object = store.object(2 * nr * page_size());
    object.sync_all().unwrap();
    let pool = backed(&object);
    let mapping = map(&pool, 2 * nr * page_size());
    mapping.advise(Advice::Random).unwrap();
    for number in 0..nr {
        mapping.write_at(b"new", 2 * number * page_size()).unwrap();
    }
    let folder = File::open(store.path().parent().unwrap()).unwrap();
    freeze(&folder, true);
    thread::scope(|scope| {
        let sync = scope.spawn(|| pool.sync());
        // Until the writes wait.
        while pool.backing().unwrap().nr_writeback_pages < 16 {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(500));
        let waiting = pool.backing().unwrap().nr_writeback_pages;
        assert!(waiting <= 80, "{waiting} pages");
        // Reads go on, because they need no write access.
        mapping.read_at(&mut [0; 8], page_size()).unwrap();
        freeze(&folder, false);
        assert_eq!(sync.join().unwrap(), Ok(()));
    });
}

/// A pool that is frozen could be closed, and nobody could thaw it.
fn a_pool_itself_cannot_be_frozen(store: &Store) {
    let pool = backed(&store.object(page_size()));
    // SAFETY: The requests have no argument.
    let (frozen, thawed) = unsafe {
        (
            libc::ioctl(pool.as_raw_fd(), FREEZE, 0),
            libc::ioctl(pool.as_raw_fd(), THAW, 0),
        )
    };
    assert_eq!((frozen, thawed), (-1, -1));
}

/// One thread writes to the object from pages of the pool, another waits for pages that need the
/// lock that the first one holds. Revoking waits for neither while it keeps them from going on.
fn revoking_beside_a_write_to_the_object_ends(store: &Store) {
    const LOCKED: usize = 64;
    for _ in 0..10 {
        let object = store.object(4096 * page_size());
        object
            .write_all_at(&vec![1; 4096 * page_size()], 0)
            .unwrap();
        object.sync_all().unwrap();
        let pool = backed(&object);
        let source = map(&pool, LOCKED * page_size());
        source.lock().unwrap();
        let others = map(&pool, 4096 * page_size());
        others.advise(Advice::Random).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| loop {
                let address = source.as_ptr().cast();
                let (fd, len) = (object.as_raw_fd(), LOCKED * page_size());
                // SAFETY: The kernel checks the address.
                let written = unsafe { libc::pwrite(fd, address, len, 0) };
                if usize::try_from(written) != Ok(len) {
                    break;
                }
            });
            scope.spawn(|| {
                let (_from, to) = pipe_with(PipeFlags::NONBLOCK).unwrap();
                for number in LOCKED.. {
                    let number = number.wrapping_mul(0x9e37_79b1) % (4096 - LOCKED) + LOCKED;
                    let address = others.as_ptr().wrapping_add(number * page_size()).cast();
                    // SAFETY: The kernel checks the address.
                    if unsafe { libc::write(to.as_raw_fd(), address, 1) } != 1 {
                        break;
                    }
                    if number % 64 == 0 {
                        drop_caches();
                    }
                }
            });
            thread::sleep(Duration::from_millis(50));
            pool.revoke().unwrap();
        });
    }
}

/// A pool whose pages 8 to 23 are dirty.
fn pool_with_dirty_pages(store: &Store) -> (Pool, Mapping) {
    let object = store.object(64 * page_size());
    object.write_all_at(&vec![1; 64 * page_size()], 0).unwrap();
    object.sync_all().unwrap();
    let pool = backed(&object);
    let mapping = map(&pool, 64 * page_size());
    store_all(&mapping, 8..24);
    (pool, mapping)
}

/// A file system needs memory to write.
///
/// needs: `config=CONFIG_FAULT_INJECTION`
#[test]
fn what_cannot_be_written_for_want_of_memory_is_written_later() {
    Store::ext4(|store| {
        let (pool, _mapping) = pool_with_dirty_pages(store);
        let synced = {
            let _no_memory = NoMemory::new(1).unwrap();
            pool.sync()
        };
        assert_eq!(synced.unwrap_err().errno(), Errno::NOMEM);
        assert!(pool.backing().unwrap().nr_dirty_pages > 0);
        assert_eq!(pool.sync(), Ok(()));
        assert_eq!(pool.backing().unwrap().nr_dirty_pages, 0);
        assert!(lost(store, 8..24).is_empty());
    });
}

/// The kernel writes back once when a pool is closed, and then drops what is dirty.
///
/// needs: `config=CONFIG_FAULT_INJECTION`
#[test]
fn what_is_dirty_at_the_end_is_written_when_there_is_memory() {
    Store::ext4(|store| {
        let (pool, mapping) = pool_with_dirty_pages(store);
        let no_memory = Mutex::new(None);
        thread::scope(|scope| {
            scope.spawn(|| {
                while no_memory.lock().unwrap().is_none() {
                    thread::sleep(Duration::from_millis(10));
                }
                // Longer than a write is tried again.
                thread::sleep(Duration::from_secs(4));
                drop(no_memory.lock().unwrap().take());
            });
            // This thread's allocations fail, too.
            *no_memory.lock().unwrap() = Some(NoMemory::new(1).unwrap());
            drop((mapping, pool));
        });
        assert!(lost(store, 8..24).is_empty());
    });
}
