// SPDX-License-Identifier: MIT OR GPL-2.0

//! Marks of `inotify(7)` on the files of pools: a mark holds the inode, but not a file.

use std::hint;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{
    AtomicI32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::thread;
use std::time::Duration;

use mmap_pool::{Atomic, Errno, Pool};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::scenario::Oracle;
use mmap_pool_tests::subject::{page_size, Subject};
use mmap_pool_tests::{Answer, Failure};
use rustix::fs::inotify::{add_watch, init, remove_watch, CreateFlags, WatchFlags};
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};

/// Each round has another order of the two.
const NR_ROUNDS: u32 = 2000;

/// How long a round may take: many times of what it needs.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_mark_that_goes_while_the_only_created_pool_is_closed_hangs_nobody() {
    let _module = fresh_module();
    let shared = Subject::oracle(Oracle::Anonymous)
        .unwrap()
        .shared()
        .unwrap();
    let round = shared.atomic_u32(0).unwrap();
    for (name, make) in [("memfd", memfd as fn() -> _), ("pool", pool)] {
        let child = Child::fork(|_| remove_marks_beside_closing(make, round)).unwrap();
        let mut before = u32::MAX;
        while !child.has_ended_within(PATIENCE).unwrap() {
            let now = round.load(Relaxed);
            if now == before {
                // Nothing ends it.
                std::mem::forget(child);
                panic!("{name}: a process hangs in round {now}");
            }
            before = now;
        }
        child.finish().unwrap();
    }
}

#[test]
fn a_mark_holds_the_inode_and_not_the_module() {
    let _module = fresh_module();
    let marks = init(CreateFlags::CLOEXEC).unwrap();
    let pool = pool().unwrap();
    add_watch(&marks, path(&pool), WatchFlags::DELETE_SELF).unwrap();
    drop(pool);
    drop(marks);
    assert_eq!(Pool::open().unwrap().stat().unwrap().nr_pools, 1);
}

/// Marks a new file, then closes it while another thread removes the mark, again and again.
fn remove_marks_beside_closing(
    make: fn() -> Result<OwnedFd, Failure>,
    current_round: Atomic<'_, u32>,
) -> Answer {
    /// The errno of the other thread if the mark is gone.
    const NONE: i32 = -1;
    const END: i32 = -2;

    let marks = init(CreateFlags::CLOEXEC)?;
    let next = AtomicI32::new(NONE);
    thread::scope(|scope| {
        let remover = scope.spawn(|| {
            for round in 0.. {
                let mark = loop {
                    match next.load(Acquire) {
                        NONE => hint::spin_loop(),
                        mark => break mark,
                    }
                };
                if mark == END {
                    break;
                }
                wait_a_moment(round);
                // A mark goes with the file's last name, and these have none.
                match remove_watch(&marks, mark) {
                    Ok(()) | Err(Errno::INVAL) => next.store(NONE, Release),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for round in 0..NR_ROUNDS {
            current_round.store(round, Relaxed);
            let file = make()?;
            let mark = add_watch(&marks, path(&file), WatchFlags::DELETE_SELF)?;
            next.store(mark, Release);
            wait_a_moment(round / 16);
            drop(file);
            while next.load(Acquire) != NONE && !remover.is_finished() {
                hint::spin_loop();
            }
        }
        next.store(END, Release);
        Ok("done".into())
    })
}

/// One of 16 short times.
fn wait_a_moment(round: u32) {
    for _ in 0..round % 16 * 40 {
        hint::spin_loop();
    }
}

fn pool() -> Result<OwnedFd, Failure> {
    Ok(Pool::create()
        .size_bytes(page_size() as u64)
        .create()?
        .into())
}

fn memfd() -> Result<OwnedFd, Failure> {
    let memfd = memfd_create("marks", MemfdFlags::CLOEXEC)?;
    ftruncate(&memfd, page_size() as u64)?;
    Ok(memfd)
}

fn path(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
