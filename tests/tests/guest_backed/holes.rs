// SPDX-License-Identifier: MIT OR GPL-2.0

//! Holes in a pool, and in the object behind it.

use std::fs::{self, File};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mmap_pool::{Advice, Errno, Mapping, Pool, Seals};
use mmap_pool_tests::machine::HUGE;
use mmap_pool_tests::module::fresh_module;
use rustix::fs::{fallocate, seek, FallocateFlags, SeekFrom};

use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use crate::errors::freeze;
use crate::gone::dmsetup;
use crate::on_each;
use crate::store::{backed, builder, drop_caches, map, on_disk, page, page_size, Store, DEVICE};

on_each! {
    a_hole_is_zero_in_the_pool_and_in_the_object;
    each_way_to_make_a_hole_makes_one;
    a_range_can_be_zeroed;
    writeback_does_not_fill_a_hole;
    a_hole_is_told_to_those_who_track_writes;
    holes_are_refused_where_writes_are;
    a_hole_takes_nothing_beside_it;
    holes_beside_those_who_collapse_pages_end;
}

const NR_PAGES: usize = 64;
const PUNCH: FallocateFlags = FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE);

/// A full pool whose second half is dirty, and what it contains.
fn full(store: &Store) -> (Pool, Mapping, Vec<u8>) {
    let pool = backed(&store.object(NR_PAGES * page_size()));
    let mapping = map(&pool, NR_PAGES * page_size());
    let bytes: Vec<u8> = (0..NR_PAGES).flat_map(|number| page(number, 1)).collect();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    mapping.write_at(first, 0).unwrap();
    mapping.flush().unwrap();
    mapping.write_at(second, first.len()).unwrap();
    (pool, mapping, bytes)
}

/// Compares all that can be read with `bytes`: the mapping, the pool, and after a sync, the object.
fn check(store: &Store, pool: &Pool, mapping: &Mapping, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    mapping.read_at(&mut read, 0).unwrap();
    assert_eq!(first_difference(&read, bytes), None, "mapped");
    pool.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(first_difference(&read, bytes), None, "read");
    pool.sync().unwrap();
    let stored = store.stored(0, bytes.len());
    assert_eq!(first_difference(&stored, bytes), None, "stored");
    let read = read_in_again(mapping, bytes.len());
    assert_eq!(first_difference(&read, bytes), None, "mapped again");
}

/// What the object has, if nothing is dirty: reads the first `len` bytes in again.
fn read_in_again(mapping: &Mapping, len: usize) -> Vec<u8> {
    mapping.advise(Advice::DontNeed).unwrap();
    drop_caches();
    let mut bytes = vec![0; len];
    mapping.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// The page and the byte in it.
fn first_difference(left: &[u8], right: &[u8]) -> Option<(usize, usize)> {
    let offset = (0..right.len()).find(|&index| left.get(index) != Some(&right[index]))?;
    Some((offset / page_size(), offset % page_size()))
}

fn bytes_of(pages: Range<usize>) -> Range<usize> {
    pages.start * page_size()..pages.end * page_size()
}

fn punch(pool: &impl AsFd, range: &Range<usize>) -> Result<(), Errno> {
    fallocate(pool.as_fd(), PUNCH, range.start as u64, range.len() as u64)
}

fn a_hole_is_zero_in_the_pool_and_in_the_object(store: &Store) {
    let (pool, mapping, mut bytes) = full(store);
    let end = NR_PAGES * page_size();
    for range in [
        // Written back, dirty, and both.
        bytes_of(4..6),
        bytes_of(40..42),
        bytes_of(30..34),
        // Parts of pages.
        10 * page_size() + 100..13 * page_size() + 50,
        44 * page_size() + 5..45 * page_size() + 7,
        20 * page_size() + 1..20 * page_size() + 2,
        50 * page_size() + 512..50 * page_size() + 1024,
        // The end.
        end - 100..end,
    ] {
        punch(&pool, &range).unwrap();
        bytes[range.clone()].fill(0);
        let mut read = vec![0; bytes.len()];
        mapping.read_at(&mut read, 0).unwrap();
        assert_eq!(first_difference(&read, &bytes), None, "{range:?}");
    }
    check(store, &pool, &mapping, &bytes);
    // What is written into a hole is data again.
    mapping.write_at(b"new", 40 * page_size() + 9).unwrap();
    bytes[40 * page_size() + 9..][..3].copy_from_slice(b"new");
    check(store, &pool, &mapping, &bytes);
    let len = pool.info().unwrap().size_bytes;
    // Past the end there is nothing.
    fallocate(pool.as_fd(), PUNCH, len, 4096).unwrap();
    fallocate(pool.as_fd(), PUNCH, len - page_size() as u64, 1 << 50).unwrap();
    assert_eq!(pool.info().unwrap().size_bytes, len);
    assert_eq!(fallocate(pool.as_fd(), PUNCH, 0, 0), Err(Errno::INVAL));
}

fn each_way_to_make_a_hole_makes_one(store: &Store) {
    let (pool, mapping, mut bytes) = full(store);
    let blocks = |file: &File| file.metadata().unwrap().blocks();
    pool.sync().unwrap();
    let before = blocks(pool.as_file());
    let page_len = page_size() as u64;
    fallocate(pool.as_fd(), PUNCH, 2 * page_len, 4 * page_len).unwrap();
    pool.punch(10 * page_len, 4 * page_len).unwrap();
    // SAFETY: The range is mapped, and only this thread uses it.
    let removed = unsafe {
        let address = mapping.as_ptr().add(20 * page_size());
        libc::madvise(address.cast(), 4 * page_size(), libc::MADV_REMOVE)
    };
    assert_eq!(removed, 0);
    for pages in [2..6, 10..14, 20..24] {
        bytes[bytes_of(pages)].fill(0);
    }
    check(store, &pool, &mapping, &bytes);
    if store.has_files() {
        assert_eq!(blocks(pool.as_file()), before - 12 * page_len / 512);
        let hole = seek(pool.as_fd(), SeekFrom::Hole(0));
        let data = seek(pool.as_fd(), SeekFrom::Data(10 * page_len));
        assert_eq!((hole, data), (Ok(2 * page_len), Ok(14 * page_len)));
    }
}

fn a_range_can_be_zeroed(store: &Store) {
    let (pool, mapping, mut bytes) = full(store);
    pool.sync().unwrap();
    let before = pool.as_file().metadata().unwrap().blocks();
    let (zero, keep) = (FallocateFlags::ZERO_RANGE, FallocateFlags::KEEP_SIZE);
    let page_len = page_size() as u64;
    fallocate(pool.as_fd(), zero, 3 * page_len + 1, 4 * page_len).unwrap();
    bytes[3 * page_size() + 1..=7 * page_size()].fill(0);
    fallocate(pool.as_fd(), zero | keep, 60 * page_len, 4 * page_len).unwrap();
    bytes[bytes_of(60..64)].fill(0);
    check(store, &pool, &mapping, &bytes);
    assert_eq!(pool.as_file().metadata().unwrap().blocks(), before);
    let len = pool.info().unwrap().size_bytes;
    for mode in [zero, zero | keep] {
        let past = fallocate(pool.as_fd(), mode, len - page_len, page_len + 1);
        assert_eq!(past, Err(Errno::PERM));
    }
    for mode in [FallocateFlags::COLLAPSE_RANGE, FallocateFlags::INSERT_RANGE] {
        let refused = fallocate(pool.as_fd(), mode, 0, page_len);
        assert_eq!(refused, Err(Errno::OPNOTSUPP));
    }
    check(store, &pool, &mapping, &bytes);
}

/// Pages are dirtied and written back all the time, also while a hole is made. Their first word may come
/// from later stores, but all others are zero.
fn writeback_does_not_fill_a_hole(store: &Store) {
    const NR_PAGES: usize = 256;
    const NR_ROUNDS: u8 = 10;
    let pool = backed(&store.object(NR_PAGES * page_size()));
    let mapping = map(&pool, NR_PAGES * page_size());
    for round in 1..=NR_ROUNDS {
        mapping
            .write_at(&vec![round; NR_PAGES * page_size()], 0)
            .unwrap();
        let is_over = AtomicBool::new(false);
        let repeat = |what: &dyn Fn()| {
            while !is_over.load(Ordering::Acquire) {
                what();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                repeat(&|| {
                    for number in 0..NR_PAGES {
                        mapping.write_at(&[round; 8], number * page_size()).unwrap();
                    }
                });
            });
            scope.spawn(|| repeat(&|| pool.sync().unwrap()));
            scope.spawn(|| repeat(&|| pool.as_file().sync_data().unwrap()));
            punch(&pool, &(0..NR_PAGES * page_size())).unwrap();
            is_over.store(true, Ordering::Release);
        });
        pool.sync().unwrap();
        let read = read_in_again(&mapping, NR_PAGES * page_size());
        let stored = store.stored(0, read.len());
        let zeroes = vec![0; page_size() - 8];
        for (what, bytes) in [("mapped", read), ("stored", stored)] {
            let old = bytes
                .chunks(page_size())
                .position(|page| page[8..] != zeroes);
            assert_eq!(old, None, "round {round}: {what}");
        }
    }
}

fn a_hole_is_told_to_those_who_track_writes(store: &Store) {
    let object = store.object(NR_PAGES * page_size());
    let pool = builder(&object).track_writes().create().unwrap();
    let len = (NR_PAGES * page_size()) as u64;
    assert!(pool.take_written(0, len).unwrap().is_empty());
    punch(&pool, &(4 * page_size() + 5..8 * page_size() + 9)).unwrap();
    assert_eq!(pool.take_written(0, len).unwrap(), [4, 5, 6, 7, 8]);
    let zero = FallocateFlags::ZERO_RANGE;
    fallocate(pool.as_fd(), zero, len - 4096, 4096).unwrap();
    let last = (len - 4096) / page_size() as u64;
    assert_eq!(pool.take_written(0, len).unwrap(), [last]);
    assert!(pool.take_written(0, len).unwrap().is_empty());
}

fn holes_are_refused_where_writes_are(store: &Store) {
    let (pool, mapping, bytes) = full(store);
    let path = format!("/proc/self/fd/{}", pool.as_raw_fd());
    let for_reading = File::open(path).unwrap();
    let range = bytes_of(0..4);
    assert_eq!(punch(&for_reading, &range), Err(Errno::BADF));
    check(store, &pool, &mapping, &bytes);
    drop(mapping);
    pool.seal(Seals::WRITE).unwrap();
    assert_eq!(punch(&pool, &range), Err(Errno::PERM));
    let error = pool.punch(0, page_size() as u64).unwrap_err();
    assert_eq!(error.errno(), Errno::PERM);
    assert_eq!(
        first_difference(&store.stored(0, bytes.len()), &bytes),
        None
    );
    pool.revoke().unwrap();
    assert_eq!(punch(&pool, &range), Err(Errno::NODEV));
}

/// Those who store beside a hole, while pages are read in, with others at once, and written back.
fn a_hole_takes_nothing_beside_it(store: &Store) {
    const NR_ROUNDS: usize = 200;
    let (start, end) = (21 * page_size(), 43 * page_size());
    let pool = backed(&store.object(NR_PAGES * page_size()));
    let mapping = map(&pool, NR_PAGES * page_size());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for offset in [start - page_size(), end] {
            let (mapping, is_over) = (&mapping, &is_over);
            scope.spawn(move || {
                let mut count = 0_u64;
                while !is_over.load(Ordering::Acquire) {
                    let mut found = [0; 8];
                    mapping.read_at(&mut found, offset).unwrap();
                    assert_eq!(u64::from_le_bytes(found), count, "byte {offset}");
                    count += 1;
                    mapping.write_at(&count.to_le_bytes(), offset).unwrap();
                }
            });
        }
        for round in 0..NR_ROUNDS {
            if round % 8 == 0 {
                pool.sync().unwrap();
                drop_caches();
            }
            mapping.read_at(&mut [0; 8], 30 * page_size()).unwrap();
            punch(&pool, &(start..end)).unwrap();
        }
        is_over.store(true, Ordering::Release);
    });
}

/// Who collapses pages has locked some of them when it asks for others to be written back.
fn holes_beside_those_who_collapse_pages_end(store: &Store) {
    const NR_ROUNDS: usize = 100;
    let len = 2 * HUGE;
    let pool = backed(&store.object(len));
    // Aligned, so that a huge page fits.
    let mapping = map(&pool, len);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                // SAFETY: The range is mapped. The advice changes no byte.
                unsafe { libc::madvise(mapping.as_ptr().cast(), len, libc::MADV_COLLAPSE) };
            }
        });
        for round in 0..NR_ROUNDS {
            mapping.read_at(&mut vec![0; len], 0).unwrap();
            let dirty = (round % 7 + 1) * len / 8;
            mapping.write_at(b"dirty", dirty).unwrap();
            punch(&pool, &(len / 4..len / 2 + page_size())).unwrap();
        }
        is_over.store(true, Ordering::Release);
    });
}

/// A pool is revoked while the object waits with a hole. Later there is none.
#[test]
fn revoking_waits_for_a_hole() {
    Store::ext4(|store| {
        let (pool, mapping, bytes) = full(store);
        pool.sync().unwrap();
        let folder = File::open(store.path().parent().unwrap()).unwrap();
        freeze(&folder, true);
        thread::scope(|scope| {
            let hole = scope.spawn(|| punch(&pool, &bytes_of(0..NR_PAGES)));
            thread::sleep(Duration::from_millis(500));
            let revoked = scope.spawn(|| pool.revoke());
            thread::sleep(Duration::from_millis(500));
            let (had_hole, was_revoked) = (hole.is_finished(), revoked.is_finished());
            freeze(&folder, false);
            assert_eq!((had_hole, was_revoked), (false, false));
            assert_eq!(
                (hole.join().unwrap(), revoked.join().unwrap()),
                (Ok(()), Ok(()))
            );
        });
        drop(mapping);
        assert_eq!(store.stored(0, bytes.len()), vec![0; bytes.len()]);
    });
}

/// A file system on a device that writes late.
struct Late(&'static Path);

impl Late {
    const DEVICE: &'static str = "/dev/mapper/late";

    fn new() -> Self {
        let nr_sectors = (64 << 20) / 512;
        let table = format!("0 {nr_sectors} delay {DEVICE} 0 0 {DEVICE} 0 200");
        dmsetup(&["create", "late", "--table", &table]);
        on_disk(&["mke2fs", "-q", "-F", "-t", "ext4", Self::DEVICE]);
        let folder = Path::new("/run/late");
        fs::create_dir_all(folder).unwrap();
        mount(Self::DEVICE, folder, "ext4", MountFlags::empty(), None).unwrap();
        Self(folder)
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let done = unmount(self.0, UnmountFlags::empty());
        assert!(done.is_ok() || thread::panicking(), "{done:?}");
        dmsetup(&["remove", "late"]);
    }
}

/// More writes than the object has workers. Those in the queue would come after the hole.
///
/// needs: `config=CONFIG_DM_DELAY`
#[test]
fn a_hole_waits_for_writes_that_have_begun() {
    const NR_PAGES: usize = 128;
    let _module = fresh_module();
    let late = Late::new();
    let object = late.0.join("object");
    fs::write(&object, vec![1; NR_PAGES * page_size()]).unwrap();
    let object = File::options().read(true).write(true).open(object).unwrap();
    object.sync_all().unwrap();
    let pool = backed(&object);
    let mapping = map(&pool, NR_PAGES * page_size());
    for number in (0..NR_PAGES).step_by(2) {
        mapping.write_at(&[2], number * page_size()).unwrap();
    }
    // SAFETY: The function uses no memory.
    let begun = unsafe {
        let flags = libc::SYNC_FILE_RANGE_WRITE;
        libc::sync_file_range(pool.as_raw_fd(), 0, 0, flags)
    };
    assert_eq!(begun, 0);
    assert!(pool.backing().unwrap().nr_writeback_pages > 16);
    punch(&pool, &bytes_of(0..NR_PAGES)).unwrap();
    pool.sync().unwrap();
    let read = read_in_again(&mapping, NR_PAGES * page_size());
    assert_eq!(first_difference(&read, &vec![0; read.len()]), None);
    drop((pool, mapping, object));
}

/// A device that cannot make holes says so, and keeps what was written. Its last bytes are part of a page, so
/// they are in its own page cache.
///
/// needs: `config=CONFIG_DM_DELAY`
#[test]
fn what_is_written_to_a_device_without_holes_stays() {
    let _module = fresh_module();
    let len = 8 * page_size() + 512;
    let table = format!("0 {} delay {DEVICE} 0 0", len / 512);
    dmsetup(&["create", "whole", "--table", &table]);
    {
        let object = File::options()
            .read(true)
            .write(true)
            .open("/dev/mapper/whole")
            .unwrap();
        let pool = backed(&object);
        let mapping = map(&pool, len);
        let bytes = vec![7; len];
        mapping.write_at(&bytes, 0).unwrap();
        // SAFETY: The function uses no memory.
        let written = unsafe { libc::sync_file_range(pool.as_raw_fd(), 0, 0, 7) };
        assert_eq!(written, 0);
        assert_eq!(punch(&pool, &(0..len)), Err(Errno::OPNOTSUPP));
        drop_caches();
        let mut read = vec![0; len];
        pool.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(first_difference(&read, &bytes), None);
    }
    dmsetup(&["remove", "whole"]);
}
