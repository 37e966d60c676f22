// SPDX-License-Identifier: MIT OR GPL-2.0

//! Broken frames, in pools of each strategy and in the reserve.

use std::ffi::c_int;
use std::fs;
use std::os::fd::OwnedFd;
use std::ptr;

use mmap_pool::{Errno, Mapping, MappingBuilder, Pool, Strategy};
use mmap_pool_tests::child::{in_child, Child, Link};
use mmap_pool_tests::console::Quiet;
use mmap_pool_tests::frames;
use mmap_pool_tests::machine::folio_pages;
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::observe::{checked, full_reserve, page_table, put_word, verdict, word};
use mmap_pool_tests::scenarios::huge::Setting;
use mmap_pool_tests::signal::{touch, Access};
use mmap_pool_tests::subject::page_size;
use mmap_pool_tests::Answer;
use rustix::fs::{fallocate, ftruncate, memfd_create, FallocateFlags, MemfdFlags};

use crate::strategies::{pool, HUGE};

const RESERVE_MB: usize = 8;

/// The table of `docs/semantics.md`: each way to use a page that has broken, alone.
#[test]
fn a_broken_page_is_lost_until_it_leaves_the_pool_with_every_strategy() {
    let _module = fresh_module();
    let lost = "SIGBUS BUS_MCEERR_AR at +0x8";
    let stays = format!("ok, then {lost}");
    let kept = format!("EPERM, then {lost}");
    let uses: [(Use, &str, &str); 10] = [
        (load, lost, lost),
        (store, lost, lost),
        (map_later, lost, lost),
        (map_later_privately, lost, lost),
        (read, "EIO", "EIO"),
        (write, "EIO", "EIO"),
        (allocate, &stays, &stays),
        (grow, &stays, &stays),
        (punch, "ok, then ok", &kept),
        (shrink_and_grow, "ok, then ok", &kept),
    ];
    for (attempt, (use_page, expected, of_eager)) in uses.into_iter().enumerate() {
        for (name, file) in memfd_and_pools() {
            let mapping = map(&file);
            for page in [0, 1, HUGE / page_size() - 1] {
                put_word(&mapping, page * page_size(), "there").unwrap();
            }
            // The language's own handler takes the signal as one about its stack.
            in_child(|| Ok(verdict(&break_page(&mapping)))).unwrap();
            let expected = if name == "Eager" { of_eager } else { expected };
            let answer = use_page(&file, &mapping);
            assert_eq!(answer, expected, "use {attempt} of {name}");
            for page in [1, HUGE / page_size() - 1] {
                let beside = touch(mapping.as_ptr(), page * page_size(), Access::Read).unwrap();
                assert_eq!(beside, "ok", "beside it: use {attempt} of {name}");
            }
        }
    }
}

/// Uses the first page of the file, and of its mapping.
type Use = fn(&OwnedFd, &Mapping) -> String;

fn load(_: &OwnedFd, mapping: &Mapping) -> String {
    touch(mapping.as_ptr(), 8, Access::Read).unwrap()
}

fn store(_: &OwnedFd, mapping: &Mapping) -> String {
    touch(mapping.as_ptr(), 8, Access::Write).unwrap()
}

fn map_later(file: &OwnedFd, _: &Mapping) -> String {
    load(file, &map(file))
}

fn map_later_privately(file: &OwnedFd, _: &Mapping) -> String {
    // SAFETY: As in `map`.
    let mapping = unsafe { MappingBuilder::private().len(HUGE).map_file(file) };
    store(file, &mapping.unwrap())
}

fn read(file: &OwnedFd, _: &Mapping) -> String {
    verdict(&rustix::io::pread(file, &mut [0; 8][..], 0))
}

fn write(file: &OwnedFd, _: &Mapping) -> String {
    verdict(&rustix::io::pwrite(file, b"new", 0))
}

fn allocate(file: &OwnedFd, mapping: &Mapping) -> String {
    then_load(
        fallocate(file, FallocateFlags::empty(), 0, page_size() as u64),
        file,
        mapping,
    )
}

fn grow(file: &OwnedFd, mapping: &Mapping) -> String {
    then_load(ftruncate(file, 2 * HUGE as u64), file, mapping)
}

fn punch(file: &OwnedFd, mapping: &Mapping) -> String {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    then_load(fallocate(file, flags, 0, page_size() as u64), file, mapping)
}

fn shrink_and_grow(file: &OwnedFd, mapping: &Mapping) -> String {
    let answer = ftruncate(file, 0).and_then(|()| ftruncate(file, HUGE as u64));
    then_load(answer, file, mapping)
}

fn then_load(answer: Result<(), Errno>, file: &OwnedFd, mapping: &Mapping) -> String {
    format!("{}, then {}", verdict(&answer), load(file, mapping))
}

/// A process that asks for it is told of a broken page before it uses the page. To take a page of a
/// large folio, the kernel splits the folio first, and then the page is not mapped any more
/// (`unmap_folio()`, `mm/huge_memory.c`).
#[test]
fn a_process_is_told_at_once_of_a_page_that_is_no_part_of_a_large_folio() {
    let _module = fresh_module();
    let _quiet = Quiet::new().unwrap();
    let early = ["BUS_MCEERR_AO", "nothing"];
    assert_eq!(told_at_once(&memfd()), early);
    let _setting = Setting::new("shmem_enabled").unwrap();
    for (name, file) in memfd_and_pools() {
        let expected = match name.as_str() {
            "Page" | "Auto" => early,
            _ => ["nothing"; 2],
        };
        assert_eq!(told_at_once(&file), expected, "{name}");
    }
}

/// Breaks the first page of the file. Returns the SIGBUS of two processes that map it: one asks for
/// an early signal, the other does not.
fn told_at_once(file: &OwnedFd) -> [String; 2] {
    let mapping = map(file);
    put_word(&mapping, 0, "there").unwrap();
    let frame = page_table(&mapping).unwrap()[0].frame();
    let mut waiting = [libc::PR_MCE_KILL_EARLY, libc::PR_MCE_KILL_LATE].map(|policy| {
        let mut child = Child::fork(|link| signal_at_once(link, &mapping, policy)).unwrap();
        assert_eq!(child.link.hear().unwrap(), "waiting");
        child
    });
    frames::break_frame(usize::try_from(frame).unwrap()).unwrap();
    waiting.each_mut().map(|child| {
        child.link.say("broken").unwrap();
        child.link.hear().unwrap()
    })
}

/// The SIGBUS that a process with this policy has when the page is broken.
fn signal_at_once(link: &mut Link, mapping: &Mapping, policy: c_int) -> Answer {
    // Into the page table, which a child inherits empty.
    word(mapping, 0)?;
    // SAFETY: Plain requests, and all zeros is a set of signals and a time.
    let (set, now) = unsafe {
        checked(libc::prctl(
            libc::PR_MCE_KILL,
            libc::PR_MCE_KILL_SET,
            policy,
            0,
            0,
        ))?;
        let mut set = std::mem::zeroed();
        libc::sigaddset(&mut set, libc::SIGBUS);
        checked(libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut()))?;
        (set, std::mem::zeroed())
    };
    link.say("waiting")?;
    link.hear()?;
    // SAFETY: All zeros is a `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: The kernel reads the set and the time, and fills `info`.
    let signal = checked(unsafe { libc::sigtimedwait(&set, &mut info, &now) });
    Ok(match (signal, info.si_code) {
        (Err(Errno::AGAIN), _) => "nothing".into(),
        (Ok(_), libc::BUS_MCEERR_AO) => "BUS_MCEERR_AO".into(),
        (signal, code) => format!("{signal:?} with code {code}"),
    })
}

#[test]
fn a_mapping_is_an_ordinary_one_with_every_strategy() {
    let _module = fresh_module();
    let flags: Vec<_> = memfd_and_pools()
        .into_iter()
        .map(|(_, file)| vm_flags(&map(&file)))
        .collect();
    assert_eq!(
        flags[1..],
        [&flags[0]; Strategy::ALL.len()].map(String::clone)
    );
}

fn map(file: &OwnedFd) -> Mapping {
    // SAFETY: A pool or memfd, which is memory.
    unsafe { MappingBuilder::shared().len(HUGE).map_file(file) }.unwrap()
}

#[test]
fn a_single_page_that_broke_in_the_reserve_enters_no_pool() {
    no_broken_frame_enters_a_pool(Strategy::Page);
}

#[test]
fn a_window_that_broke_in_the_reserve_enters_no_pool() {
    no_broken_frame_enters_a_pool(Strategy::Around);
}

#[test]
fn a_huge_page_that_broke_in_the_reserve_enters_no_pool() {
    no_broken_frame_enters_a_pool(Strategy::Huge);
}

/// Breaks frames of the reserve for pools of this strategy, and then checks new pools.
fn no_broken_frame_enters_a_pool(strategy: Strategy) {
    let _module = FreshModule::load(&format!("size_mb=1 reserve_mb={RESERVE_MB}")).unwrap();
    full_reserve(RESERVE_MB as u64).unwrap();
    let quiet = Quiet::new().unwrap();
    let mut broken = of_reserve(strategy, &frames::all().unwrap());
    broken.truncate(64);
    // Half of the reserve is for huge pages, a quarter for single pages. The orders in between have
    // half as many folios as there are huge pages.
    let least = match strategy {
        Strategy::Page => 64,
        Strategy::Around => RESERVE_MB / 8,
        _ => RESERVE_MB / 4,
    };
    assert!(broken.len() >= least, "{} frames were found", broken.len());
    for &frame in &broken {
        frames::break_frame(frame).unwrap();
        assert!(frames::flags(frame).unwrap().is_broken(), "{frame:#x}");
    }
    drop(quiet);

    for round in 0..3 {
        let len = 2 * (RESERVE_MB << 20);
        let pool = Pool::create().strategy(strategy).size_bytes(len as u64);
        let pool = pool.create().unwrap();
        pool.prefault(0, len as u64).unwrap();
        let mut page = vec![0xff; page_size()];
        for offset in (0..len as u64).step_by(page_size()) {
            let read = pool.read_exact_at(&mut page, offset);
            assert!(read.is_ok(), "round {round}, byte {offset:#x}: {read:?}");
            assert!(page.iter().all(|&byte| byte == 0));
        }
        let mapping = MappingBuilder::shared().populate().map(&pool).unwrap();
        for entry in page_table(&mapping).unwrap() {
            assert!(entry.is_present(), "round {round}: a page cannot be mapped");
            let frame = usize::try_from(entry.frame()).unwrap();
            assert!(!frames::flags(frame).unwrap().is_broken(), "{frame:#x}");
        }
    }
}

/// Frames of the reserve for pools of this strategy: the last one of each folio. Only the reserve
/// has unused folios that are up to date.
fn of_reserve(strategy: Strategy, frames: &[frames::Flags]) -> Vec<usize> {
    let nr_pages = folio_pages(strategy);
    let is_of_reserve = |first: usize| {
        let nr_tails = frames[first + 1..]
            .iter()
            .take_while(|flags| flags.is_tail());
        match nr_pages {
            1 => frames[first].is_unused_page(),
            _ => frames[first].is_first_of_unused_folio() && nr_tails.count() == nr_pages - 1,
        }
    };
    (0..frames.len())
        .filter(|&first| is_of_reserve(first))
        .map(|first| first + nr_pages - 1)
        .collect()
}

fn memfd() -> OwnedFd {
    let memfd = memfd_create("broken", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&memfd, HUGE as u64).unwrap();
    memfd
}

/// A memfd and a pool of each strategy, of one huge page, with their names.
fn memfd_and_pools() -> Vec<(String, OwnedFd)> {
    let mut files = vec![("memfd".into(), memfd())];
    for strategy in Strategy::ALL {
        files.push((format!("{strategy:?}"), pool(strategy, HUGE).into()));
    }
    files
}

/// Tells the kernel that the frame of the mapping's first page is broken.
fn break_page(mapping: &Mapping) -> Result<(), Errno> {
    let start = mapping.as_ptr().cast();
    // SAFETY: The page belongs to the mapping.
    checked(unsafe { libc::madvise(start, page_size(), libc::MADV_HWPOISON) }).map(drop)
}

/// `VmFlags` of the mapping, as in `proc_pid_smaps(5)`.
fn vm_flags(mapping: &Mapping) -> String {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let begins = format!("{:x}-", mapping.as_ptr().addr());
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&begins));
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
    flags.unwrap().trim().into()
}
