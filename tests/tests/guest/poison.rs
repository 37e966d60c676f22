// SPDX-License-Identifier: MIT OR GPL-2.0

//! Frames that break: in a pool that maps all of its pages at once, and in the reserve.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mmap_pool::{Mapping, MappingBuilder, Pool, Strategy};
use mmap_pool_tests::child::in_child;
use mmap_pool_tests::console::Quiet;
use mmap_pool_tests::frames;
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::observe::{checked, page_table, put_word, verdict, word};
use mmap_pool_tests::signal::{touch, Access};
use mmap_pool_tests::subject::PAGE;
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};

const HUGE: usize = 2 << 20;
const RESERVE_MB: usize = 8;

#[test]
fn a_broken_page_of_an_eager_pool_is_lost_for_later_mappings_too() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let [memfd, eager] = memfd_and_eager().map(|file| {
        let map = || map(&file);
        let first = map();
        put_word(&first, 0, "broken").unwrap();
        put_word(&first, PAGE, "whole").unwrap();
        // The language's own handler takes the signal as one about its stack.
        in_child(|| Ok(verdict(&break_page(&first)))).unwrap();
        // The later one before the first: a fault on the page takes it from all mappings.
        let [second, first] = [map(), first].map(|mapping| {
            let touched = touch(mapping.as_ptr(), 8, Access::Read).unwrap();
            format!("{touched}, beside it {}", word(&mapping, PAGE).unwrap())
        });
        format!("{second}; {first}")
    });
    let lost = "SIGBUS BUS_MCEERR_AR at +0x8, beside it whole";
    assert_eq!(memfd, format!("{lost}; {lost}"));
    assert_eq!(eager, memfd);
    module.unload().unwrap();
}

#[test]
fn a_mapping_of_an_eager_pool_is_an_ordinary_one() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let [memfd, eager] = memfd_and_eager().map(|file| {
        let mapping = map(&file);
        vm_flags(&mapping)
    });
    assert_eq!(eager, memfd);
    module.unload().unwrap();
}

fn map(file: &OwnedFd) -> Mapping {
    // SAFETY: A pool or memfd, which is memory.
    unsafe { MappingBuilder::shared().len(4 * PAGE).map_file(file) }.unwrap()
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

/// Breaks frames of the reserve that a pool of this strategy would get, and then looks at new pools.
fn no_broken_frame_enters_a_pool(strategy: Strategy) {
    let module = FreshModule::load(&format!("size_mb=1 reserve_mb={RESERVE_MB}")).unwrap();
    wait_for_full_reserve();
    let quiet = Quiet::new().unwrap();
    let mut broken = of_reserve(strategy, &frames::all().unwrap());
    broken.truncate(64);
    // Half of the reserve is for huge pages, a quarter for windows, a quarter for single pages.
    let least = match strategy {
        Strategy::Page => 64,
        Strategy::Around => RESERVE_MB * 4,
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
        let mut page = [0xff; PAGE];
        for offset in (0..len as u64).step_by(PAGE) {
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
    module.unload().unwrap();
}

/// Frames of the reserve for pools of this strategy: the last one of each folio. Only the reserve has
/// folios that are filled and that nobody uses.
fn of_reserve(strategy: Strategy, frames: &[frames::Flags]) -> Vec<usize> {
    let nr_pages = match strategy {
        Strategy::Page => 1,
        Strategy::Around => 16,
        _ => HUGE / PAGE,
    };
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

fn wait_for_full_reserve() {
    let pool = Pool::open().unwrap();
    for _ in 0..6000 {
        if pool.stat().unwrap().nr_reserve_pages == (RESERVE_MB << 8) as u64 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the reserve does not fill up: {:?}", pool.stat());
}

/// A memfd and a pool of four pages.
fn memfd_and_eager() -> [OwnedFd; 2] {
    let eager = Pool::create()
        .strategy(Strategy::Eager)
        .size_bytes(4 * PAGE as u64)
        .create()
        .unwrap();
    let memfd = memfd_create("eager", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&memfd, 4 * PAGE as u64).unwrap();
    [memfd, eager.into()]
}

/// Tells the kernel that the frame of the mapping's first page is broken.
fn break_page(mapping: &Mapping) -> Result<(), mmap_pool::Errno> {
    let start = mapping.as_ptr().cast();
    // SAFETY: The page belongs to the mapping.
    checked(unsafe { libc::madvise(start, PAGE, libc::MADV_HWPOISON) }).map(drop)
}

/// `VmFlags` of the mapping, as in `proc_pid_smaps(5)`.
fn vm_flags(mapping: &Mapping) -> String {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let begins = format!("{:x}-", mapping.as_ptr().addr());
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&begins));
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
    flags.unwrap().trim().into()
}
