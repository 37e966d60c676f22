// SPDX-License-Identifier: MIT OR GPL-2.0

//! A task that writes faster than its device.

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use mmap_pool::Pool;
use mmap_pool_tests::module::fresh_module;

use crate::gone::dmsetup;
use crate::store::{backed, map, page, page_size, DEVICE};

const MIB: usize = 1 << 20;
/// The kernel may keep so many bytes that are not written yet.
const LIMIT: usize = 16 * MIB;
const SLOW: usize = 96 * MIB;
const FAST: usize = 8 * MIB;

/// The limit, until it is dropped.
struct Limit {
    ratios: [String; 2],
}

impl Limit {
    const RATIOS: [&str; 2] = [
        "/proc/sys/vm/dirty_ratio",
        "/proc/sys/vm/dirty_background_ratio",
    ];

    fn new() -> Self {
        let ratios = Self::RATIOS.map(|path| fs::read_to_string(path).unwrap());
        // These replace the ratios.
        fs::write("/proc/sys/vm/dirty_bytes", LIMIT.to_string()).unwrap();
        let background = (LIMIT / 2).to_string();
        fs::write("/proc/sys/vm/dirty_background_bytes", background).unwrap();
        Self { ratios }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        for (path, ratio) in Self::RATIOS.iter().zip(&self.ratios) {
            fs::write(path, ratio).unwrap();
        }
    }
}

/// Parts of the disk: one that answers late, and one that does not.
struct Parts;

impl Parts {
    fn new() -> Self {
        let sectors = |len: usize| len / 512;
        let slow = format!("0 {} delay {DEVICE} 0 20", sectors(SLOW));
        dmsetup(&["create", "slow", "--table", &slow]);
        let fast = format!("0 {} linear {DEVICE} {}", sectors(FAST), sectors(SLOW));
        dmsetup(&["create", "fast", "--table", &fast]);
        Self
    }

    fn open(name: &str) -> File {
        let path = format!("/dev/mapper/{name}");
        let options = &mut File::options();
        options.read(true).write(true).open(path).unwrap()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        dmsetup(&["remove", "slow"]);
        dmsetup(&["remove", "fast"]);
    }
}

/// Bytes of memory that no device has yet.
fn unwritten() -> usize {
    let counts = fs::read_to_string("/proc/vmstat").unwrap();
    let count = |name| {
        let line = counts.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<usize>().unwrap()
    };
    (count("nr_dirty ") + count("nr_writeback ")) * page_size()
}

fn fill(pool: &Pool, len: usize, pattern: u64) {
    let mapping = map(pool, len);
    for number in 0..len / page_size() {
        let bytes = page(number, pattern);
        mapping.write_at(&bytes, number * page_size()).unwrap();
    }
}

/// One task writes to the slow part until another has written to the fast part.
///
/// needs: `config=CONFIG_DM_DELAY`
#[test]
fn a_task_that_is_faster_than_its_device_waits_and_others_write() {
    let _module = fresh_module();
    let _parts = Parts::new();
    let _limit = Limit::new();
    let (slow, fast) = (backed(&Parts::open("slow")), backed(&Parts::open("fast")));
    let (is_fast_done, is_slow_done) = (AtomicBool::new(false), AtomicBool::new(false));
    let most = thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1.. {
                fill(&slow, SLOW, round);
                if is_fast_done.load(Relaxed) {
                    break;
                }
            }
            is_slow_done.store(true, Relaxed);
        });
        scope.spawn(|| {
            for round in 1..=4 {
                fill(&fast, FAST, round);
                fast.sync().unwrap();
            }
            is_fast_done.store(true, Relaxed);
        });
        let mut most = 0;
        while !is_slow_done.load(Relaxed) {
            most = most.max(unwritten());
            thread::sleep(Duration::from_millis(1));
        }
        most
    });
    // The kernel looks again after some hundred pages of a task.
    assert!(most > LIMIT / 4, "{most} bytes at most");
    assert!(most <= 2 * LIMIT, "{most} bytes at most");
    assert_eq!((slow.sync(), fast.sync()), (Ok(()), Ok(())));
}
