// SPDX-License-Identifier: MIT OR GPL-2.0

//! Every write and flush of a disk is logged, and the log is replayed. The kernel logs a write when a
//! flush follows it. So the log has what a disk keeps that loses all it may lose in a power failure.
//!
//! C: `drivers/md/dm-log-writes.c`.

use std::fs::{self, File};
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mmap_pool::Pool;
use mmap_pool_tests::module::fresh_module;
use rustix::io::{pwritev2, ReadWriteFlags};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use crate::gone::dmsetup;
use crate::store::{backed, map, on_disk, page_size, DEVICE};

const NR_PAGES: usize = 64;
/// How many numbers are written and acknowledged.
const NR_NUMBERS: u64 = 96;

const DATA: &str = "/dev/mapper/data";
const LOG: &str = "/dev/mapper/log";
const LOGGED: &str = "/dev/mapper/logged";
const DATA_BYTES: usize = 64 << 20;
const LOG_BYTES: usize = 512 << 20;
const SECTOR: usize = 512;
const FOLDER: &str = "/run/replay";

/// The device `logged`: two parts of the disk have its data and the log.
struct Logged {
    /// The data before anything was logged.
    image: Vec<u8>,
}

impl Logged {
    fn new(make: &[&str]) -> Self {
        let table = |len, start| format!("0 {} linear {DEVICE} {}", len / SECTOR, start / SECTOR);
        dmsetup(&["create", "data", "--table", &table(DATA_BYTES, 0)]);
        dmsetup(&["create", "log", "--table", &table(LOG_BYTES, DATA_BYTES)]);
        let data = File::options().read(true).write(true).open(DATA).unwrap();
        data.write_all_at(&vec![0; DATA_BYTES], 0).unwrap();
        data.sync_all().unwrap();
        if !make.is_empty() {
            on_disk(&[make, &[DATA]].concat());
        }
        let mut image = vec![0; DATA_BYTES];
        data.read_exact_at(&mut image, 0).unwrap();
        drop(data);
        let logged = format!("0 {} log-writes {DATA} {LOG}", DATA_BYTES / SECTOR);
        dmsetup(&["create", "logged", "--table", &logged]);
        Self { image }
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        if Path::new(LOGGED).exists() {
            dmsetup(&["remove", "logged"]);
        }
        dmsetup(&["remove", "data"]);
        dmsetup(&["remove", "log"]);
    }
}

enum Entry {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    Discard {
        offset: usize,
        len: usize,
    },
    /// The word of a `mark`.
    Mark(String),
}

fn read_log() -> Vec<Entry> {
    const DISCARD: u64 = 4;
    const MARK: u64 = 8;
    const MAGIC: u64 = 0x6a_7366_7773_6872;

    let log = File::open(LOG).unwrap();
    let mut offset = 0;
    let mut take = |len: usize| {
        let mut bytes = vec![0; len];
        log.read_exact_at(&mut bytes, offset).unwrap();
        offset += len as u64;
        bytes
    };
    let number = |bytes: &[u8], index: usize| {
        u64::from_le_bytes(bytes[8 * index..8 * index + 8].try_into().unwrap())
    };
    let head = take(SECTOR);
    assert_eq!((number(&head, 0), number(&head, 1)), (MAGIC, 1));
    let sector_bytes = usize::try_from(number(&head, 3) & 0xffff_ffff).unwrap();
    assert_eq!(sector_bytes, SECTOR);
    let mut entries = Vec::new();
    for _ in 0..number(&head, 2) {
        let entry = take(SECTOR);
        let size = |index| usize::try_from(number(&entry, index)).unwrap();
        let (offset, len, flags) = (size(0) * SECTOR, size(1) * SECTOR, number(&entry, 2));
        entries.push(if flags & MARK != 0 {
            let word = &entry[32..32 + size(3)];
            Entry::Mark(String::from_utf8_lossy(word).into_owned())
        } else if flags & DISCARD != 0 {
            Entry::Discard { offset, len }
        } else {
            let bytes = take(len);
            Entry::Write { offset, bytes }
        });
    }
    entries
}

/// The page of a number.
fn page_of(number: u64) -> usize {
    usize::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]) % NR_PAGES
}

/// Fills a page with each number, makes it durable, and marks the log with it.
fn write_numbers(pool: &Pool) {
    let mapping = map(pool, NR_PAGES * page_size());
    for number in 1..=NR_NUMBERS {
        let offset = page_of(number) * page_size();
        let bytes = number.to_le_bytes().repeat(page_size() / 8);
        if number % 4 == 3 {
            let slices = [IoSlice::new(&bytes)];
            let written = pwritev2(pool, &slices, offset as u64, ReadWriteFlags::DSYNC);
            assert_eq!(written, Ok(page_size()));
        } else {
            mapping.write_at(&bytes, offset).unwrap();
            match number % 4 {
                0 => mapping.flush_range(offset, page_size()).unwrap(),
                1 => pool.sync().unwrap(),
                _ => pool.as_file().sync_data().unwrap(),
            }
        }
        dmsetup(&["message", "logged", "0", "mark", &number.to_string()]);
    }
}

/// Checks that `object` has each number up to `last`, or a later one.
fn check(object: &[u8], last: u64) {
    let mut expected = [0; NR_PAGES];
    for number in 1..=last {
        expected[page_of(number)] = number;
    }
    for (page, &least) in object.chunks_exact(page_size()).zip(&expected) {
        for word in page.chunks_exact(8) {
            let number = u64::from_le_bytes(word.try_into().unwrap());
            assert!(
                number >= least,
                "{number}, but {least} of {last} was acknowledged"
            );
        }
    }
}

/// Replays the log, and calls `check` with the disk after each mark.
fn replay(logged: &mut Logged, mut check: impl FnMut(&[u8], u64)) {
    let mut last = 0;
    dmsetup(&["remove", "logged"]);
    for entry in read_log() {
        match entry {
            Entry::Write { offset, bytes } => {
                logged.image[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            Entry::Discard { offset, len } => logged.image[offset..offset + len].fill(0),
            Entry::Mark(word) => {
                // The kernel sets one at the end.
                if let Ok(number) = word.parse() {
                    last = number;
                    check(&logged.image, last);
                }
            }
        }
    }
    assert_eq!(last, NR_NUMBERS);
}

fn open(path: &Path) -> File {
    let options = &mut File::options();
    options.read(true).write(true).open(path).unwrap()
}

/// needs: `config=CONFIG_DM_LOG_WRITES`
#[test]
fn a_disk_has_what_was_acknowledged_after_each_flush() {
    let _module = fresh_module();
    let mut logged = Logged::new(&[]);
    write_numbers(&backed(&open(Path::new(LOGGED))));
    replay(&mut logged, check);
}

/// needs: `config=CONFIG_DM_LOG_WRITES`
#[test]
fn a_file_of_ext4_has_what_was_acknowledged_after_each_flush() {
    on_file_system("ext4", &["mke2fs", "-q", "-F", "-t", "ext4"]);
}

/// needs: `config=CONFIG_DM_LOG_WRITES config=CONFIG_XFS_FS`
#[test]
fn a_file_of_xfs_has_what_was_acknowledged_after_each_flush() {
    // XFS supports no file system that is so small, but makes one.
    on_file_system("xfs", &["mkfs.xfs", "-q", "-f", "--unsupported"]);
}

/// The file system reads its journal when it is mounted.
fn on_file_system(name: &str, make: &[&str]) {
    let _module = fresh_module();
    let mut logged = Logged::new(make);
    fs::create_dir_all(FOLDER).unwrap();
    let path = PathBuf::from(FOLDER).join("object");
    mount(LOGGED, FOLDER, name, MountFlags::empty(), None).unwrap();
    {
        let object = File::create_new(&path).unwrap();
        object.set_len((NR_PAGES * page_size()) as u64).unwrap();
        object.sync_all().unwrap();
        write_numbers(&backed(&open(&path)));
    }
    unmount(FOLDER, UnmountFlags::empty()).unwrap();
    replay(&mut logged, |image, last| {
        if last % 8 != 0 {
            return;
        }
        let data = open(Path::new(DATA));
        data.write_all_at(image, 0).unwrap();
        data.sync_all().unwrap();
        drop(data);
        mount(DATA, FOLDER, name, MountFlags::empty(), None).unwrap();
        let object = fs::read(&path).unwrap();
        unmount(FOLDER, UnmountFlags::empty()).unwrap();
        check(&object, last);
    });
}
