// SPDX-License-Identifier: MIT OR GPL-2.0

//! A call that allocates pages and then fails: what becomes of the pages.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use mmap_pool::{Errno, Mapping, MappingBuilder, Pool, Strategy};
use mmap_pool_tests::cgroup::Cgroup;
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::observe::{
    checked, mincore, nr_minor_faults, present, put_word, put_word_in_file, totals, verdict, word,
    word_in_file,
};
use mmap_pool_tests::subject::{page_size, Object};
use mmap_pool_tests::Failure;
use rustix::fs::{fallocate, fstat, ftruncate, FallocateFlags};
use rustix::mm::{madvise, Advice};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use crate::strategies::{pool, HUGE, LAZY};

const MIB: u64 = 1 << 20;
const NONE: FallocateFlags = FallocateFlags::empty();
const KEEP: FallocateFlags = FallocateFlags::KEEP_SIZE;

/// The offsets of pages that exist before, in bytes.
fn old() -> [u64; 3] {
    let page = page_size() as u64;
    [0, 300 * 4096 / page * page, 3 * MIB + 5 * page]
}

/// Calls that need 8 MiB, of which some pages exist or fit: in a hole, past the end, and both.
fn calls() -> [(FallocateFlags, u64, u64); 5] {
    let odd = 2 * MIB + 3 * page_size() as u64;
    [
        (NONE, 0, 8 * MIB),
        (NONE, 4 * MIB, 8 * MIB),
        (NONE, odd, 8 * MIB),
        (KEEP, 4 * MIB, 8 * MIB),
        (KEEP, odd, 8 * MIB),
    ]
}

#[test]
fn a_fallocate_without_room_gives_back_what_it_allocated() {
    for strategy in Strategy::ALL {
        let module = FreshModule::load("size_mb=1 limit_mb=9 reserve_mb=0").unwrap();
        // As much as the tmpfs has, and 1 MiB for the default pool.
        let other = Pool::create().size_bytes(2 * MIB).create().unwrap();
        other.prefault(0, 2 * MIB).unwrap();
        let made = pool(strategy, usize::try_from(4 * MIB).unwrap());
        let tmpfs = Tmpfs::new(8 * MIB).unwrap();
        let taken = tmpfs.file("taken").unwrap();
        fallocate(&taken, NONE, 0, 2 * MIB).unwrap();
        let file = tmpfs.file("file").unwrap();
        file.set_len(4 * MIB).unwrap();
        if strategy == Strategy::Eager {
            fallocate(&file, NONE, 0, 4 * MIB).unwrap();
        }
        for (flags, offset, len) in calls() {
            let what = format!("{strategy:?}, {flags:?} {offset}+{len}");
            let answers = [made.as_file(), &file].map(|file| {
                put_old_words(file);
                let before = nr_resident(file);
                let answer = verdict(&fallocate(file, flags, offset, len));
                assert_eq!(nr_resident(file), before, "{what}");
                assert_eq!(file.metadata().unwrap().len(), 4 * MIB, "{what}");
                assert!(has_old_words(file), "{what}");
                answer
            });
            assert_eq!(answers, ["ENOSPC", "ENOSPC"], "{what}");
        }
        // All the room is there for others.
        let room = totals().unwrap();
        let room = (room.nr_limit_pages - room.nr_resident_pages) * page_size() as u64;
        let rest = Pool::create().size_bytes(room).create().unwrap();
        rest.prefault(0, room).unwrap();
        drop((other, rest, made));
        module.unload().unwrap();
    }
}

#[test]
fn an_eager_pool_that_cannot_grow_gives_back_what_it_allocated() {
    let _module = FreshModule::load("size_mb=1 limit_mb=8 reserve_mb=0").unwrap();
    let pool = pool(Strategy::Eager, HUGE);
    put_old_words_before(pool.as_file(), HUGE as u64);
    let before = totals().unwrap().nr_resident_pages;
    let larger = 16 * MIB;
    let errno = |error: mmap_pool::Error| error.errno();
    let refused = |name: &str, answer: Result<(), Errno>| {
        assert_eq!(answer, Err(Errno::NOSPC), "{name}");
        assert_eq!(totals().unwrap().nr_resident_pages, before, "{name}");
        assert_eq!(pool.info().unwrap().size_bytes, HUGE as u64, "{name}");
    };
    refused("ftruncate", ftruncate(&pool, larger));
    refused("RESIZE", pool.resize(larger).map_err(errno));
    let written = rustix::io::pwrite(&pool, b"far away", larger);
    refused("pwrite", written.map(drop));
    let create = Pool::create().strategy(Strategy::Eager);
    let created = create.size_bytes(larger).create();
    refused("CREATE", created.map(drop).map_err(errno));
    assert_eq!(totals().unwrap().nr_pools, 2);
    pool.resize(4 * MIB).unwrap();
}

/// A process that the OOM killer spares is alone in a cgroup at its limit.
#[test]
fn a_fallocate_without_memory_gives_back_what_it_allocated() {
    for strategy in Strategy::ALL {
        let module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
        let cgroup = Cgroup::new("undo").unwrap();
        cgroup.limit(6 * MIB).unwrap();
        let pool = pool(strategy, usize::try_from(4 * MIB).unwrap());
        put_old_words(pool.as_file());
        let before = nr_resident(pool.as_file());
        let child = Child::fork(|_| {
            fs::write("/proc/self/oom_score_adj", "-1000")?;
            cgroup.enter()?;
            let mut answers = Vec::new();
            for (flags, offset, len) in calls() {
                answers.push(verdict(&fallocate(&pool, flags, offset, 4 * len)));
                answers.push(nr_resident(pool.as_file()).to_string());
            }
            if strategy == Strategy::Eager {
                answers.push(verdict(&ftruncate(&pool, 32 * MIB)));
                answers.push(nr_resident(pool.as_file()).to_string());
            }
            Ok(answers.join(" "))
        });
        let answers = child.unwrap().finish().unwrap();
        let nr_calls = calls().len() + usize::from(strategy == Strategy::Eager);
        let expected = vec![format!("ENOMEM {before}"); nr_calls].join(" ");
        assert_eq!(answers, expected, "{strategy:?}");
        assert!(has_old_words(pool.as_file()));
        drop(pool);
        module.unload().unwrap();
    }
}

#[test]
fn a_fallocate_whose_caller_is_killed_gives_back_what_it_allocated() {
    for (strategy, flags) in [
        (Strategy::Page, NONE),
        (Strategy::Page, KEEP),
        (Strategy::Around, NONE),
    ] {
        let module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
        let pool = pool(strategy, usize::try_from(4 * MIB).unwrap());
        put_old_words(pool.as_file());
        let before = nr_resident(pool.as_file());
        let child = Child::fork(|_| Ok(verdict(&fallocate(&pool, flags, 0, 384 * MIB)))).unwrap();
        while nr_resident(pool.as_file()) < before + 1000 {
            thread::yield_now();
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.terminating_signal(), Some(libc::SIGKILL));
        assert_eq!(nr_resident(pool.as_file()), before, "{strategy:?}");
        assert_eq!(pool.info().unwrap().size_bytes, 4 * MIB);
        assert!(has_old_words(pool.as_file()));
        drop(pool);
        module.unload().unwrap();
    }
}

/// As on tmpfs: each page is a fault of its own.
#[test]
fn prefaulting_and_populating_keep_what_they_got() {
    for strategy in LAZY {
        let module = FreshModule::load("size_mb=1 limit_mb=8 reserve_mb=0").unwrap();
        let limit = 8 * MIB / page_size() as u64;
        let pool = pool(strategy, usize::try_from(16 * MIB).unwrap());
        let prefaulted = pool.prefault(0, 16 * MIB).unwrap_err();
        assert_eq!(prefaulted.errno(), Errno::NOSPC);
        assert_eq!(nr_resident(pool.as_file()), limit, "{strategy:?}");
        let tmpfs = Tmpfs::new(8 * MIB).unwrap();
        let file = tmpfs.file("file").unwrap();
        file.set_len(16 * MIB).unwrap();
        pool.punch(0, 16 * MIB).unwrap();
        for file in [pool.as_file(), &file] {
            // SAFETY: Pools and files of tmpfs are memory.
            let object = unsafe { Object::new(file.try_clone().unwrap()) };
            let mapping = MappingBuilder::shared().map(&object).unwrap();
            assert_eq!(populate(&mapping), Err(Errno::FAULT));
            assert_eq!(nr_resident(file), limit, "{strategy:?}");
        }
        drop((file, tmpfs, pool));
        module.unload().unwrap();
    }
}

/// Pages are hidden from fault-around as long as `fallocate` may fail.
#[test]
fn fallocated_pages_are_in_memory_and_mapped_sixteen_at_once() {
    let _module = fresh_module();
    for (strategy, flags) in [
        (Strategy::Page, NONE),
        (Strategy::Around, NONE),
        (Strategy::Page, KEEP),
        (Strategy::Eager, NONE),
    ] {
        let pool = pool(strategy, 64 * page_size());
        fallocate(&pool, flags, 0, 96 * page_size() as u64).unwrap();
        pool.resize(96 * page_size() as u64).unwrap();
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let resident = mincore(&mapping).unwrap().len();
        assert_eq!(resident, 96, "{strategy:?} {flags:?}");
        let before = nr_minor_faults();
        for page in 0..96 {
            word(&mapping, page * page_size()).unwrap();
        }
        let nr_faults = nr_minor_faults() - before;
        // One for each aligned 16 pages of the address space, which may begin before the mapping, or for
        // more of a large folio.
        assert!(nr_faults <= 7, "{strategy:?} {flags:?}: {nr_faults}");
        assert_eq!(present(&mapping).unwrap().len(), 96);
    }
    let pool = pool(Strategy::Huge, 2 * HUGE);
    fallocate(&pool, NONE, 0, 2 * HUGE as u64).unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let before = nr_minor_faults();
    word(&mapping, 7 * page_size()).unwrap();
    word(&mapping, HUGE + 7 * page_size()).unwrap();
    assert_eq!(nr_minor_faults() - before, 2);
    assert_eq!(present(&mapping).unwrap().len(), 2 * HUGE / page_size());
}

/// How often the other process fails while this one writes.
const NR_FAILURES: u32 = 100;

#[test]
fn what_is_written_beside_a_failing_fallocate_is_never_lost() {
    for strategy in LAZY {
        let module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
        let cgroup = Cgroup::new("failing").unwrap();
        cgroup.limit(4 * MIB).unwrap();
        let len = usize::try_from(4 * MIB).unwrap();
        let pool = pool(strategy, len);
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let has_ended = AtomicBool::new(false);
        let mut child = Child::fork(|link| {
            fs::write("/proc/self/oom_score_adj", "-1000")?;
            cgroup.enter()?;
            link.hear()?;
            for _ in 0..NR_FAILURES {
                let answer = fallocate(&pool, NONE, 0, 16 * MIB);
                if answer != Err(Errno::NOMEM) {
                    return Err(verdict(&answer).into());
                }
            }
            Ok(String::new())
        })
        .unwrap();
        child.link.say("go").unwrap();
        let (nr_rounds, nr_words) = thread::scope(|scope| {
            let writer = scope.spawn(|| write_until(&has_ended, &pool, &mapping));
            let answer = child.finish();
            has_ended.store(true, Relaxed);
            let counts = writer.join().unwrap();
            answer.unwrap();
            counts
        });
        println!("{strategy:?}: {NR_FAILURES} failures, {nr_rounds} rounds, {nr_words} words");
        assert!(nr_rounds > 10);
        pool.punch(0, 4 * MIB).unwrap();
        assert_eq!(nr_resident(pool.as_file()), 0);
        drop((mapping, pool));
        module.unload().unwrap();
    }
}

/// Writes a count into pages here and there, reads each back at once, and all of them again before the
/// next round makes holes of them. Returns the number of rounds, and of words.
fn write_until(has_ended: &AtomicBool, pool: &Pool, mapping: &Mapping) -> (u32, u32) {
    let nr_pages = mapping.len() / page_size();
    let (mut nr_rounds, mut count) = (0, 0_u32);
    while !has_ended.load(Relaxed) {
        let first = count;
        // All different: the steps have no divisor in common with the number of pages.
        let place = |count: u32| (count as usize * 379 % nr_pages) * page_size() + 8;
        for _ in 0..128 {
            let text = count.to_string();
            // A write waits for the call under way, a mapping does not.
            if count % 64 == 63 {
                put_word_in_file(pool.as_file(), place(count), &text).unwrap();
            } else {
                put_word(mapping, place(count), &text).unwrap();
            }
            assert_eq!(word(mapping, place(count)).unwrap(), text);
            assert_eq!(word_in_file(pool.as_file(), place(count)).unwrap(), text);
            count += 1;
        }
        for count in first..count {
            assert_eq!(word(mapping, place(count)).unwrap(), count.to_string());
            assert_eq!(
                word_in_file(pool.as_file(), place(count)).unwrap(),
                count.to_string()
            );
        }
        pool.punch(0, mapping.len() as u64).unwrap();
        nr_rounds += 1;
    }
    (nr_rounds, count)
}

/// Pages cannot leave an eager pool: pages past its end would stay for ever.
#[test]
fn touching_pages_past_the_end_keeps_none_of_a_failing_growth() {
    for strategy in [Strategy::Page, Strategy::Eager] {
        let module = FreshModule::load("size_mb=1 limit_mb=24 reserve_mb=0").unwrap();
        let pool = pool(strategy, page_size());
        put_word_in_file(pool.as_file(), 0, "ours").unwrap();
        let len = usize::try_from(20 * MIB).unwrap();
        let mapping = MappingBuilder::shared().len(len).map(&pool).unwrap();
        let has_ended = AtomicBool::new(false);
        let nr_refused = thread::scope(|scope| {
            let toucher = scope.spawn(|| {
                let (_from, to) = rustix::pipe::pipe().unwrap();
                let mut nr_refused = 0_u64;
                while !has_ended.load(Relaxed) {
                    for page in (1..len / page_size()).step_by(7) {
                        // The kernel's own access is EFAULT where a program's is SIGBUS.
                        let byte = mapping.as_ptr().wrapping_add(page * page_size());
                        assert_eq!(send_byte(&to, byte), Err(Errno::FAULT));
                        nr_refused += 1;
                    }
                }
                nr_refused
            });
            for _ in 0..20 {
                let grown = fallocate(&pool, NONE, page_size() as u64, 64 * MIB);
                assert_eq!(grown, Err(Errno::NOSPC));
            }
            has_ended.store(true, Relaxed);
            toucher.join().unwrap()
        });
        println!("{strategy:?}: {nr_refused} touches");
        assert_eq!(nr_resident(pool.as_file()), 1, "{strategy:?}");
        drop((mapping, pool));
        module.unload().unwrap();
    }
}

fn send_byte(to: &OwnedFd, byte: *const u8) -> Result<(), Errno> {
    // SAFETY: The kernel reads the byte, or refuses to.
    checked(unsafe { libc::write(to.as_raw_fd(), byte.cast(), 1) }).map(drop)
}

/// A tmpfs with a size.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn new(size: u64) -> Result<Self, Failure> {
        let folder = PathBuf::from(format!("/tmp/undo-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let options = CString::new(format!("size={size}"))?;
        mount(
            "undo",
            &folder,
            "tmpfs",
            MountFlags::empty(),
            Some(options.as_c_str()),
        )?;
        Ok(Self(folder))
    }

    fn file(&self, name: &str) -> Result<File, Failure> {
        let mut options = File::options();
        let options = options.read(true).write(true).create_new(true);
        Ok(options.open(self.0.join(name))?)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

fn nr_resident(file: &File) -> u64 {
    let blocks = fstat(file).unwrap().st_blocks;
    u64::try_from(blocks).unwrap() * 512 / page_size() as u64
}

fn put_old_words(file: &File) {
    put_old_words_before(file, 4 * MIB);
}

fn put_old_words_before(file: &File, end: u64) {
    for place in old().into_iter().filter(|&place| place < end) {
        file.write_all_at(b"old word", place).unwrap();
    }
}

fn has_old_words(file: &File) -> bool {
    old().iter().all(|&place| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, place).unwrap();
        &bytes == b"old word"
    })
}

fn populate(mapping: &Mapping) -> Result<(), Errno> {
    // SAFETY: Populating changes no bytes.
    unsafe {
        madvise(
            mapping.as_ptr().cast(),
            mapping.len(),
            Advice::LinuxPopulateWrite,
        )
    }
}
