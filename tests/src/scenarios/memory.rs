// SPDX-License-Identifier: MIT OR GPL-2.0

//! Memory that runs out, and memory that breaks.

use std::thread;
use std::time::Duration;

use mmap_pool::{Mapping, MappingBuilder};
use rustix::process::WaitStatus;

use crate::cgroup::Cgroup;
use crate::child::{in_child, Child};
use crate::needs::Needs;
use crate::observe::{checked, count, page_table, put_word, put_word_in_file, verdict, word};
use crate::scenario::Who::{Created, Node};
use crate::scenario::{row, Scenario};
use crate::signal::{touch, Access};
use crate::subject::{page_size, Subject};
use crate::{Answer, Failure};

pub(super) const MIB: usize = 1 << 20;

/// A cgroup limits the memory. The object's own pages exist before, so only copies count.
pub(crate) const fn one_process_copies_more_than_there_is() -> Scenario {
    row(
        "32 MiB for the cgroup; private mapping with NORESERVE, copy 60 MiB",
        "killed, object old",
    )
    .test(|subject| {
        let mapping = large(subject, 60 * MIB)?;
        let cgroup = Cgroup::new("table-a-one")?;
        cgroup.limit(32 * MIB as u64)?;
        let child = Child::fork(|_| {
            cgroup.enter()?;
            write_every_page(&mapping)
        })?;
        let ended = how_it_ended(child.wait()?);
        Ok(format!("{ended}, object {}", subject.word(0)?))
    })
}

pub(crate) const fn two_processes_copy_more_than_there_is() -> Scenario {
    row(
        "32 MiB for the cgroup; two processes copy 28 MiB each",
        "one or both killed, object old",
    )
    .test(|subject| {
        let mapping = large(subject, 28 * MIB)?;
        let cgroup = Cgroup::new("table-a-two")?;
        cgroup.limit(32 * MIB as u64)?;
        let mut children = Vec::new();
        for _ in 0..2 {
            children.push(Child::fork(|link| {
                cgroup.enter()?;
                write_every_page(&mapping)?;
                // Keeps what it has until the other one is done or dead.
                link.say("written")?;
                link.hear()
            })?);
        }
        while cgroup.nr_killed()? == 0 {
            thread::sleep(Duration::from_millis(10));
        }
        let mut nr_killed = 0;
        for mut child in children {
            // A killed child neither reads nor writes.
            let _ = child.link.hear();
            let _ = child.link.say("end");
            nr_killed += usize::from(how_it_ended(child.wait()?) == "killed");
        }
        // The kernel may kill the second one before it has all that the first one leaves.
        let ended = ["none", "one or both", "one or both"][nr_killed];
        Ok(format!("{ended} killed, object {}", subject.word(0)?))
    })
}

pub(crate) const fn a_broken_page_is_lost_for_those_who_use_it() -> Scenario {
    row(
        "MADV_HWPOISON page 0 of two; then punch it",
        "ok; SIGBUS BUS_MCEERR_AR at +0x8, read() EIO, write() EIO; beside it whole; punched \
         0",
    )
    .but(
        Node,
        "EBUSY; SIGBUS BUS_MCEERR_AR at +0x8, read() EIO, write() EIO; beside it whole; \
         punched 0",
    )
    .but(
        Created,
        "EBUSY; SIGBUS BUS_MCEERR_AR at +0x8, read() EIO, write() EIO; beside it whole; \
         punched 0",
    )
    .needs(Needs::LOSSES)
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 0, "broken")?;
        put_word(&mapping, page_size(), "whole")?;
        let breaker = in_child(|| {
            // The language's own handler takes the first signal as one about its stack.
            Ok(verdict(&advise(&mapping, 0, libc::MADV_HWPOISON)))
        })?;
        let file = subject.file()?;
        let mut bytes = [0; 8];
        let read = rustix::io::pread(&file, &mut bytes[..], 0);
        let write = rustix::io::pwrite(&file, b"new", 0);
        let touched = touch(mapping.as_ptr(), 8, Access::Read)?;
        let beside = word(&mapping, page_size())?;
        subject.punch(0, page_size() as u64)?;
        Ok(format!(
            "{breaker}; {touched}, read() {}, write() {}; beside it {beside}; punched {}",
            verdict(&read),
            verdict(&write),
            subject.word(0)?,
        ))
    })
}

pub(crate) const fn a_transfer_ends_before_a_broken_page() -> Scenario {
    row(
        "MADV_HWPOISON page 2 of three: read, write all three",
        "8192 8192",
    )
    .needs(Needs::LOSSES)
    .test(|subject| {
        let broken = 2;
        let mapping = subject.shared()?;
        for page in 0..=broken {
            put_word(&mapping, page * page_size(), "there")?;
        }
        in_child(|| Ok(verdict(&advise(&mapping, broken, libc::MADV_HWPOISON))))?;
        let file = subject.file()?;
        let mut bytes = vec![0; 3 * page_size()];
        let read = rustix::io::pread(&file, &mut bytes[..], 0);
        let written = rustix::io::pwrite(&file, &bytes, 0);
        subject.punch((broken * page_size()) as u64, page_size() as u64)?;
        Ok(format!("{} {}", count(&read), count(&written)))
    })
}

pub(crate) const fn a_failing_page_is_moved_away() -> Scenario {
    row(
        "MADV_SOFT_OFFLINE a written page",
        "ok, kept, another frame",
    )
    .needs(Needs::LOSSES)
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 0, "kept")?;
        let frame = |mapping: &Mapping| page_table(mapping).map(|entries| entries[0].frame());
        let before = frame(&mapping)?;
        let moved = verdict(&advise(&mapping, 0, MADV_SOFT_OFFLINE));
        let kept = word(&mapping, 0)?;
        let is_same = before == frame(&mapping)?;
        Ok(format!(
            "{moved}, {kept}, {}",
            if is_same {
                "same frame"
            } else {
                "another frame"
            }
        ))
    })
}

const MADV_SOFT_OFFLINE: i32 = 101;

/// Makes the subject this large with all pages resident, and maps it privately without a
/// reservation.
fn large(subject: &Subject, len: usize) -> Result<Mapping, Failure> {
    subject.resize(len as u64)?;
    let file = subject.file()?;
    for offset in (0..len).step_by(page_size()) {
        put_word_in_file(&file, offset, "old")?;
    }
    let mapping = MappingBuilder::private().len(len).no_reserve().map(&file)?;
    Ok(mapping)
}

fn write_every_page(mapping: &Mapping) -> Answer {
    for offset in (0..mapping.len()).step_by(page_size()) {
        put_word(mapping, offset, "mine")?;
    }
    Ok(String::new())
}

pub(super) fn how_it_ended(status: WaitStatus) -> String {
    match status.terminating_signal() {
        Some(libc::SIGKILL) => "killed".into(),
        Some(libc::SIGBUS) => "SIGBUS".into(),
        Some(signal) => format!("signal {signal}"),
        None if status.exit_status() == Some(0) => "done".into(),
        None => format!("{status:?}"),
    }
}

fn advise(mapping: &Mapping, page: usize, advice: i32) -> Result<(), mmap_pool::Errno> {
    let start = mapping.as_ptr().wrapping_add(page * page_size());
    // SAFETY: The page belongs to the mapping.
    checked(unsafe { libc::madvise(start.cast(), page_size(), advice) }).map(drop)
}
