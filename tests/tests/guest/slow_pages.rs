// SPDX-License-Identifier: MIT OR GPL-2.0

//! A process writes to a pool from a page that is missing. It may wait for ever, but other
//! processes must not.

use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use mmap_pool::{Pool, Seals};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::observe::{checked, last_errno};
use mmap_pool_tests::slow_page::SlowPage;
use mmap_pool_tests::subject::{page_size, size};
use mmap_pool_tests::{fail, Failure};
use rustix::fs::{fallocate, ftruncate, memfd_create, FallocateFlags, MemfdFlags};

/// The time limit of an operation that does not wait: many times of what it needs.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn revoking_a_pool_does_not_wait_for_the_page_of_a_stranger() {
    let _module = fresh_module();
    let pool = created();
    let writer = hanging_writer(&pool).unwrap();
    let revoker = Child::fork(|_| {
        pool.revoke()?;
        Ok("revoked".into())
    })
    .unwrap();
    let is_done = revoker.has_ended_within(PATIENCE).unwrap();
    let is_revoked = pool.info().unwrap().is_revoked();
    let nr_pages = pool.info().unwrap().nr_resident_pages;
    end(writer);
    let answer = revoker.finish();
    assert!(is_done && is_revoked, "REVOKE has waited for the writer");
    assert_eq!(nr_pages, 0);
    assert_eq!(answer.unwrap(), "revoked");
    assert_eq!(pool.info().unwrap().nr_resident_pages, 0);
}

/// The operations that wait for a writer.
type Operation = fn(&Pool) -> Result<(), Failure>;

const OPERATIONS: [(&str, Operation); 7] = [
    ("RESIZE", |pool| Ok(pool.resize(page_size() as u64)?)),
    ("PUNCH", |pool| Ok(pool.punch(0, page_size() as u64)?)),
    ("SEAL", |pool| Ok(pool.seal(Seals::SHRINK)?)),
    ("ftruncate", |pool| Ok(ftruncate(pool, page_size() as u64)?)),
    ("fallocate", |pool| {
        Ok(fallocate(
            pool,
            FallocateFlags::empty(),
            0,
            page_size() as u64,
        )?)
    }),
    ("fallocate PUNCH_HOLE", |pool| {
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(pool, punch, 0, page_size() as u64)?)
    }),
    ("write", |pool| {
        Ok(pool.write_all_at(b"beside", page_size() as u64)?)
    }),
];

#[test]
fn who_waits_for_the_page_of_a_stranger_can_be_killed() {
    let _module = fresh_module();
    let mut immortal = Vec::new();
    for (name, operation) in OPERATIONS {
        let pool = created();
        let writer = hanging_writer(&pool).unwrap();
        if !can_be_killed(|| operation(&pool)).unwrap()(writer) {
            immortal.push(name);
        }
    }
    assert_eq!(immortal, [""; 0], "SIGKILL does not end them");
}

#[test]
fn a_memfd_that_is_written_from_a_slow_page_can_be_given_up() {
    let memfd: OwnedFd = memfd_create("slow", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&memfd, size() as u64).unwrap();
    let writer = hanging_writer(&memfd).unwrap();
    let waits = can_be_killed(|| Ok(ftruncate(&memfd, page_size() as u64)?)).unwrap();
    assert!(waits(writer));
}

/// Starts a process that runs `operation`, and kills it while it waits for a writer. Returns a
/// function that ends the writer, and tells whether SIGKILL or the operation ended the process
/// before.
fn can_be_killed(
    operation: impl FnOnce() -> Result<(), Failure>,
) -> Result<impl FnOnce(Child) -> bool, Failure> {
    let mut waiter = Child::fork(|link| {
        link.say("begins")?;
        operation()?;
        Ok("done".into())
    })?;
    waiter.link.hear()?;
    let mut is_over = false;
    // It may wait in a way that other signals end, too.
    while !is_over && waiter.state()? == 'R' {
        is_over = waiter.has_ended_within(Duration::from_millis(10))?;
    }
    is_over = is_over || waiter.has_ended_within(Duration::from_millis(200))?;
    if !is_over {
        waiter.kill()?;
        is_over = waiter.has_ended_within(PATIENCE)?;
    }
    Ok(move |writer| {
        // First, or the other one would not end.
        end(writer);
        drop(waiter);
        is_over
    })
}

/// Starts a process that writes to `file` from a missing page.
fn hanging_writer(file: &(impl AsRawFd + Sync)) -> Result<Child, Failure> {
    let mut writer = Child::fork(|link| {
        let slow = SlowPage::new()?;
        thread::scope(|scope| {
            scope.spawn(|| {
                slow.wait_until_touched()?;
                link.say("hangs")
            });
            let fd = file.as_raw_fd();
            // SAFETY: The kernel reads the page, or waits for it.
            let written = unsafe { libc::pwrite(fd, slow.as_ptr().cast(), page_size(), 0) };
            if checked(written as i64).is_err() {
                fail!("write: {}", last_errno());
            }
            Ok("the page has come".into())
        })
    })?;
    let said = writer.link.hear()?;
    if said != "hangs" {
        fail!("{said}");
    }
    Ok(writer)
}

fn end(writer: Child) {
    writer.kill().unwrap();
    let status = writer.wait().unwrap();
    assert_eq!(
        status.terminating_signal(),
        Some(libc::SIGKILL),
        "the writer does not hang"
    );
}

/// A pool with all of its pages.
fn created() -> Pool {
    let pool = Pool::create().size_bytes(size() as u64).create().unwrap();
    pool.prefault(0, size() as u64).unwrap();
    pool
}
