// SPDX-License-Identifier: MIT OR GPL-2.0

//! Marks of `inotify(7)` on the files of pools: a mark holds the inode, and no file of it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use mmap_pool::Pool;
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::subject::PAGE;
use mmap_pool_tests::{Answer, Failure};
use rustix::fs::inotify::{add_watch, init, remove_watch, CreateFlags, WatchFlags};
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};

/// Each time there is another order of the two.
const NR_ROUNDS: usize = 3000;

/// Seconds that all rounds may take: many times of what they need.
const PATIENCE: Duration = Duration::from_secs(200);

#[test]
fn a_mark_that_goes_while_the_only_created_pool_is_closed_hangs_nobody() {
    let module = FreshModule::load("size_mb=1").unwrap();
    for (name, make) in [("memfd", memfd as fn() -> _), ("pool", pool)] {
        let mut child = Child::fork(|link| {
            link.say("begins")?;
            remove_marks_beside_closing(make)
        })
        .unwrap();
        child.link.hear().unwrap();
        if !child.has_ended_within(PATIENCE).unwrap() {
            let state = child.state().unwrap();
            // Nothing ends it.
            std::mem::forget(child);
            panic!("{name}: a process hangs in state {state}");
        }
        child.finish().unwrap();
    }
    module.unload().unwrap();
}

#[test]
fn a_mark_holds_the_inode_and_not_the_module() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let marks = init(CreateFlags::CLOEXEC).unwrap();
    let pool = pool().unwrap();
    add_watch(&marks, path(&pool), WatchFlags::DELETE_SELF).unwrap();
    drop(pool);
    drop(marks);
    assert_eq!(Pool::open().unwrap().stat().unwrap().nr_pools, 1);
    module.unload().unwrap();
}

/// Marks a new file, then closes it while another thread removes the mark, again and again.
fn remove_marks_beside_closing(make: fn() -> Result<OwnedFd, Failure>) -> Answer {
    let marks = init(CreateFlags::CLOEXEC)?;
    thread::scope(|scope| {
        let (to_closer, files) = channel::<OwnedFd>();
        let (to_remover, closed) = channel();
        scope.spawn(move || {
            for file in files {
                drop(file);
                let _ = to_remover.send(());
            }
        });
        for round in 0..NR_ROUNDS {
            let file = make()?;
            let mark = add_watch(&marks, path(&file), WatchFlags::DELETE_SELF)?;
            to_closer.send(file)?;
            // Not always at the same moment.
            for _ in 0..round % 100 {
                std::hint::spin_loop();
            }
            remove_watch(&marks, mark)?;
            closed.recv()?;
        }
        Ok("done".into())
    })
}

fn pool() -> Result<OwnedFd, Failure> {
    Ok(Pool::create().size_bytes(PAGE as u64).create()?.into())
}

fn memfd() -> Result<OwnedFd, Failure> {
    let memfd = memfd_create("marks", MemfdFlags::CLOEXEC)?;
    ftruncate(&memfd, PAGE as u64)?;
    Ok(memfd)
}

fn path(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
