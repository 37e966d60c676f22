// SPDX-License-Identifier: MIT OR GPL-2.0

//! Shared mappings of an object on a disk: a pool with the disk behind it, and the disk itself.
//!
//! [`memory`](super::memory) tries the same with private mappings.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mmap_pool::MappingBuilder;

use super::memory::{how_it_ended, MIB};
use crate::cgroup::Cgroup;
use crate::child::Child;
use crate::needs::Needs;
use crate::observe::{put_word, word_in_file};
use crate::scenario::Who::Node;
use crate::scenario::{row, Oracle, Scenario};
use crate::subject::{page_size, Subject};
use crate::{fail, Answer};

/// The memory that the processes may use together.
const LIMIT: usize = 16 * MIB;

pub(crate) const fn one_process_writes_more_than_there_is() -> Scenario {
    row(
        "16 MiB for the cgroup; shared mapping, write 30 MiB",
        "done, at the limit, all written",
    )
    .without(Node)
    .beside(Oracle::Device)
    .needs(Needs::MORE)
    .test(|subject| write(subject, "table-a-shared-one", 1, 30 * MIB))
}

pub(crate) const fn two_processes_write_more_than_there_is() -> Scenario {
    row(
        "16 MiB for the cgroup; two processes write 15 MiB each",
        "done done, at the limit, all written",
    )
    .without(Node)
    .beside(Oracle::Device)
    .needs(Needs::MORE)
    .test(|subject| write(subject, "table-a-shared-two", 2, 15 * MIB))
}

/// Processes in one cgroup write `len` bytes each, of a shared mapping.
fn write(subject: &Subject, name: &str, nr_processes: usize, len: usize) -> Answer {
    // Another word each time: the disk keeps the former one.
    static NR_WRITTEN: AtomicU32 = AtomicU32::new(1);
    let word = format!("new {}", NR_WRITTEN.fetch_add(1, Relaxed));

    let all = nr_processes * len;
    let mapping = MappingBuilder::shared().len(all).map(&subject.file()?)?;
    let cgroup = Cgroup::new(name)?;
    cgroup.limit(LIMIT as u64)?;
    let mut children = Vec::new();
    for start in (0..all).step_by(len) {
        let (mapping, cgroup, word) = (&mapping, &cgroup, &word);
        children.push(Child::fork(move |_| {
            cgroup.enter()?;
            for offset in (start..start + len).step_by(page_size()) {
                put_word(mapping, offset, word)?;
            }
            Ok(String::new())
        })?);
    }
    let mut ended = Vec::new();
    for child in children {
        ended.push(how_it_ended(child.wait()?));
    }
    let limit = match cgroup.nr_times_full()? {
        0 => "below the limit",
        _ => "at the limit",
    };
    let file = subject.file()?;
    for offset in (0..all).step_by(page_size()) {
        if word_in_file(&file, offset)? != word {
            fail!("the page at {offset:#x} is not written");
        }
    }
    Ok(format!("{}, {limit}, all written", ended.join(" ")))
}
