// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pools that are larger than memory.

use std::fs;

use mmap_pool::{Advice, Mapping, Pool};

use crate::on_each;
use crate::store::{backed, map, page, page_size, Store};

on_each! {
    four_times_memory_in_order;
    four_times_memory_at_random;
    two_processes_fill_nearly_all_memory_each;
}

/// What the process may use.
const MEMORY: usize = 16 << 20;
fn nr_pages() -> usize {
    4 * MEMORY / page_size()
}

fn four_times_memory_in_order(store: &Store) {
    keeps_all(store, Advice::Normal, 0..nr_pages());
}

fn four_times_memory_at_random(store: &Store) {
    // Every sixteenth page. An odd number times all residues of a power of two is all of them, in
    // another order.
    let nr = nr_pages() / 16;
    let pages = (0..nr).map(|number| number.wrapping_mul(0x9e37_79b1) % nr * 16);
    keeps_all(store, Advice::Random, pages);
}

/// With private memory, one of the two is killed (`memory::` in `guest`).
fn two_processes_fill_nearly_all_memory_each(store: &Store) {
    let nr_pages = MEMORY / page_size() * 15 / 16;
    let object = store.object(2 * nr_pages * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 2 * nr_pages * page_size());
    {
        let _group = Group::new();
        let children = [0, nr_pages].map(|first| {
            // SAFETY: The child stores to the mapping and ends.
            match unsafe { libc::fork() } {
                0 => {
                    let is_done = (first..first + nr_pages).all(|number| {
                        mapping
                            .write_at(&page(number, 1), number * page_size())
                            .is_ok()
                    });
                    // SAFETY: It ends.
                    unsafe { libc::_exit(i32::from(!is_done)) }
                }
                child => child,
            }
        });
        for child in children {
            let mut status = -1;
            // SAFETY: The child is ours.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
        }
        let events = fs::read_to_string(Group::file("memory.events")).unwrap();
        assert!(events.contains("oom_kill 0"), "{events}");
    }
    mapping.flush().unwrap();
    for number in 0..2 * nr_pages {
        let stored = store.stored(number * page_size(), page_size());
        assert!(stored == page(number, 1), "page {number}");
    }
}

/// The memory cgroup of this process, until it is dropped.
struct Group;

impl Group {
    const FOLDER: &str = "/sys/fs/cgroup/small";

    fn new() -> Self {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory").unwrap();
        fs::create_dir_all(Self::FOLDER).unwrap();
        fs::write(Self::file("memory.max"), MEMORY.to_string()).unwrap();
        fs::write(Self::file("cgroup.procs"), "0").unwrap();
        Self
    }

    fn file(name: &str) -> String {
        format!("{}/{name}", Self::FOLDER)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::write("/sys/fs/cgroup/cgroup.procs", "0").unwrap();
        fs::remove_dir(Self::FOLDER).unwrap();
    }
}

/// Writes pages of an object through a mapping, and compares the object and the pool with what was
/// written.
fn keeps_all(store: &Store, advice: Advice, pages: impl Iterator<Item = usize> + Clone) {
    let len = nr_pages() * page_size();
    let object = store.object(len);
    let _group = Group::new();
    let whole = |pool: &Pool| -> Mapping {
        let mapping = map(pool, len);
        mapping.advise(advice).unwrap();
        mapping
    };
    {
        let pool = backed(&object);
        let mapping = whole(&pool);
        for number in pages.clone() {
            mapping
                .write_at(&page(number, 1), number * page_size())
                .unwrap();
        }
        mapping.flush().unwrap();
        let counts = pool.backing().unwrap();
        assert_eq!((counts.nr_dirty_pages, counts.nr_errors), (0, 0));
        if advice == Advice::Normal {
            let average = counts.nr_written_bytes / counts.nr_writes;
            assert!(
                average >= 128 << 10,
                "the writes have {average} bytes on average"
            );
        }
    }
    for number in pages.clone() {
        let stored = store.stored(number * page_size(), page_size());
        assert!(stored == page(number, 1), "page {number} of the object");
    }
    let pool = backed(&object);
    let mapping = whole(&pool);
    let mut bytes = vec![0; page_size()];
    for number in pages {
        mapping.read_at(&mut bytes, number * page_size()).unwrap();
        assert!(bytes == page(number, 1), "page {number} of the pool");
    }
    let events = fs::read_to_string(Group::file("memory.events")).unwrap();
    assert!(events.contains("oom_kill 0"), "{events}");
}
