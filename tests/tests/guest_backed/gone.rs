// SPDX-License-Identifier: MIT OR GPL-2.0

//! Disks that do not answer, that fail, and that are taken away.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{symlink, FileExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use mmap_pool::{Advice, Errno, Mapping, Pool};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::signal::{touch, Access};

use crate::on_each;
use crate::store::{backed, drop_caches, map, on_disk, page, page_size, Store, DEVICE};

on_each! {
    a_disk_that_is_taken_away_is_told;
}

const NR_PAGES: usize = 256;
/// Pages that are in memory.
const RESIDENT: usize = 0;
const DIRTY: std::ops::Range<usize> = 10..20;
/// A page that is not in memory.
const ABSENT: usize = 200;

/// A pool with a second open file.
struct World {
    pool: Pool,
    again: Pool,
    mapping: Mapping,
}

impl World {
    /// Fills the object, reads one page of it and stores to others.
    fn new(object: &File) -> Self {
        for number in 0..NR_PAGES {
            let offset = (number * page_size()) as u64;
            object.write_all_at(&page(number, 1), offset).unwrap();
        }
        object.sync_all().unwrap();
        let pool = backed(object);
        let again = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/self/fd/{}", pool.as_raw_fd()))
            .unwrap();
        let again = Pool::try_from(OwnedFd::from(again)).unwrap();
        let mapping = map(&pool, NR_PAGES * page_size());
        // No page is read ahead.
        mapping.advise(Advice::Random).unwrap();
        let world = Self {
            pool,
            again,
            mapping,
        };
        world.check(RESIDENT, 1);
        for number in DIRTY {
            world.store(number, 2);
        }
        world
    }

    fn store(&self, number: usize, pattern: u64) {
        let bytes = page(number, pattern);
        self.mapping.write_at(&bytes, number * page_size()).unwrap();
    }

    fn check(&self, number: usize, pattern: u64) {
        let mut bytes = vec![0; page_size()];
        self.mapping
            .read_at(&mut bytes, number * page_size())
            .unwrap();
        assert!(bytes == page(number, pattern), "page {number}");
    }

    /// Checks that the object fails: reads of absent pages, and each descriptor once or more often.
    fn check_failing(&self) {
        assert_eq!(errno(&self.pool), Errno::IO);
        assert_eq!(errno(&self.again), Errno::IO);
        assert!(self.pool.backing().unwrap().nr_errors > 0);
        let start = self.mapping.as_ptr();
        let seen = touch(start, ABSENT * page_size(), Access::Read).unwrap();
        assert_eq!(
            seen,
            format!("SIGBUS BUS_ADRERR at +{:#x}", ABSENT * page_size())
        );
        let seen = touch(start, ABSENT * page_size(), Access::Write).unwrap();
        assert_eq!(
            seen,
            format!("SIGBUS BUS_ADRERR at +{:#x}", ABSENT * page_size())
        );
        let error = self.pool.read_at(&mut [0], (ABSENT * page_size()) as u64);
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::EIO));
        // A write of a part of a page reads the rest.
        let error = self.pool.write_at(b"new", (ABSENT * page_size()) as u64);
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::EIO));
        // What is in memory stays.
        self.check(RESIDENT, 1);
        for number in DIRTY {
            self.check(number, 2);
        }
    }
}

fn errno(pool: &Pool) -> Errno {
    pool.sync().unwrap_err().errno()
}

/// The disk is a PCI device. [`find_disk`] brings it back.
fn take_disk_away() {
    let path = fs::canonicalize(DEVICE).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let device = fs::canonicalize(format!("/sys/block/{name}/device")).unwrap();
    fs::write(device.parent().unwrap().join("remove"), "1").unwrap();
    assert!(!Path::new(DEVICE).exists());
}

/// Finds the disk again. Nothing uses the former one.
pub fn find_disk() {
    if Path::new(DEVICE).exists() {
        return;
    }
    fs::write("/sys/bus/pci/rescan", "1").unwrap();
    let disks = || fs::read_dir("/sys/block").unwrap().map(Result::unwrap);
    let disk = disks().find(|disk| {
        fs::read_to_string(disk.path().join("serial")).is_ok_and(|serial| serial == "scratch")
    });
    fs::remove_file(DEVICE).unwrap();
    symlink(disk.unwrap().file_name(), DEVICE).unwrap();
}

fn a_disk_that_is_taken_away_is_told(store: &Store) {
    let world = World::new(&store.object(NR_PAGES * page_size()));
    take_disk_away();
    world.check_failing();
    // Stores to pages in memory go on, and their task can be killed.
    let mut child = Child::fork(|link| loop {
        world.store(RESIDENT, 1);
        let _ = world.mapping.flush();
        let _ = link.say("stored");
    })
    .unwrap();
    child.link.hear().unwrap();
    kill(child);
}

fn kill(child: Child) {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.terminating_signal(), Some(libc::SIGKILL));
}

/// A device of the device mapper on the disk.
struct Mapped {
    _module: FreshModule,
}

impl Mapped {
    const NAME: &str = "mapped";
    const NR_SECTORS: usize = 64 << 11;

    fn new() -> Self {
        let module = fresh_module();
        dmsetup(&["create", Self::NAME, "--table", &Self::table(true)]);
        Self { _module: module }
    }

    fn table(is_working: bool) -> String {
        let target = if is_working {
            format!("linear {DEVICE} 0")
        } else {
            "error".into()
        };
        format!("0 {} {target}", Self::NR_SECTORS)
    }

    fn open() -> File {
        let path = format!("/dev/mapper/{}", Self::NAME);
        let options = &mut File::options();
        options.read(true).write(true).open(path).unwrap()
    }

    /// Delays everything.
    fn suspend() {
        dmsetup(&["suspend", "--noflush", "--nolockfs", Self::NAME]);
    }

    fn resume() {
        dmsetup(&["resume", Self::NAME]);
    }

    /// Lets every read and write fail, or work again.
    fn set_working(is_working: bool) {
        Self::suspend();
        dmsetup(&["load", Self::NAME, "--table", &Self::table(is_working)]);
        Self::resume();
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        Self::resume();
        dmsetup(&["remove", Self::NAME]);
    }
}

pub fn dmsetup(arguments: &[&str]) {
    // Nothing here makes device nodes but the program.
    on_disk(&[&["DM_DISABLE_UDEV=1", "dmsetup"], arguments].concat());
}

/// needs: `config=CONFIG_BLK_DEV_DM`
#[test]
fn each_descriptor_is_told_of_a_device_that_fails_for_a_while() {
    let _mapped = Mapped::new();
    let world = World::new(&Mapped::open());
    Mapped::set_working(false);
    world.check_failing();
    Mapped::set_working(true);
    // Both were told.
    assert_eq!(world.pool.sync(), Ok(()));
    assert_eq!(world.again.sync(), Ok(()));
    world.check(ABSENT, 1);
    // The pages are clean, as in other file systems, until they are written again.
    for number in DIRTY {
        world.store(number, 3);
    }
    world.mapping.flush().unwrap();
    drop(world);
    let device = Mapped::open();
    for number in 0..NR_PAGES {
        let mut bytes = vec![0; page_size()];
        device
            .read_exact_at(&mut bytes, (number * page_size()) as u64)
            .unwrap();
        let pattern = if DIRTY.contains(&number) { 3 } else { 1 };
        assert!(bytes == page(number, pattern), "page {number}");
    }
}

/// needs: `config=CONFIG_BLK_DEV_DM`
#[test]
fn a_task_that_waits_for_a_device_can_be_killed() {
    let _mapped = Mapped::new();
    let world = World::new(&Mapped::open());
    Mapped::suspend();
    let offset = ABSENT * page_size();
    let accesses: [fn(&World, usize) -> bool; 4] = [
        |world, offset| world.mapping.read_at(&mut [0], offset).is_ok(),
        |world, offset| world.mapping.write_at(&[0], offset).is_ok(),
        |world, offset| world.pool.read_at(&mut [0], offset as u64).is_ok(),
        |world, offset| world.pool.write_at(&[0], offset as u64).is_ok(),
    ];
    for access in accesses {
        let child = Child::fork(|_| Ok(access(&world, offset).to_string())).unwrap();
        wait_for_waiting(&child);
        kill(child);
    }
    Mapped::resume();
    assert_eq!(world.pool.sync(), Ok(()));
    world.check(ABSENT, 1);
}

/// Waits until `child` waits for the disk.
fn wait_for_waiting(child: &Child) {
    loop {
        match child.state().unwrap() {
            'D' => return,
            state => assert_ne!(state, 'Z', "it does not wait"),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whoever writes a page back again holds its lock, and waits for the first time.
///
/// needs: `config=CONFIG_BLK_DEV_DM`
#[test]
fn a_task_that_stores_to_a_page_that_is_written_back_twice_can_be_killed() {
    let _mapped = Mapped::new();
    let world = World::new(&Mapped::open());
    let offset = RESIDENT * page_size();
    assert_eq!(world.pool.sync(), Ok(()));
    let mut storing = Child::fork(|link| {
        world.mapping.read_at(&mut [0], offset)?;
        link.say("loaded")?;
        link.hear()?;
        world.mapping.write_at(&[0], offset)?;
        Ok("stored".into())
    })
    .unwrap();
    storing.link.hear().unwrap();
    Mapped::suspend();
    world.store(RESIDENT, 2);
    // SAFETY: The arguments are valid.
    let begun =
        unsafe { libc::sync_file_range(world.pool.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    assert_eq!(begun, 0);
    world.store(RESIDENT, 3);
    let syncing = Child::fork(|_| Ok(world.mapping.flush().is_ok().to_string())).unwrap();
    wait_for_waiting(&syncing);
    storing.link.say("store").unwrap();
    wait_for_waiting(&storing);
    kill(storing);
    Mapped::resume();
    assert_eq!(syncing.finish().unwrap(), "true");
    world.check(RESIDENT, 3);
}

/// needs: `config=CONFIG_BLK_DEV_DM`
#[test]
fn a_task_that_asks_what_was_written_can_be_killed() {
    let _mapped = Mapped::new();
    let device = Mapped::open();
    let pool = Pool::create()
        .backing(&device)
        .track_writes()
        .create()
        .unwrap();
    let mapping = map(&pool, NR_PAGES * page_size());
    mapping.write_at(b"new", ABSENT * page_size()).unwrap();
    assert_eq!(pool.sync(), Ok(()));
    // A page that is mapped stays.
    drop(mapping);
    drop_caches();
    let mapping = map(&pool, NR_PAGES * page_size());
    Mapped::suspend();
    let offset = ABSENT * page_size();
    let reading = Child::fork(|_| {
        let read = mapping.read_at(&mut [0], offset);
        Ok(read.is_ok().to_string())
    })
    .unwrap();
    wait_for_waiting(&reading);
    let written = || pool.take_written(offset as u64, page_size() as u64);
    let asking = Child::fork(|_| Ok(written().is_ok().to_string())).unwrap();
    wait_for_waiting(&asking);
    kill(asking);
    Mapped::resume();
    assert_eq!(reading.finish().unwrap(), "true");
    // The answer was not given.
    assert_eq!(written().unwrap(), [ABSENT as u64]);
}
