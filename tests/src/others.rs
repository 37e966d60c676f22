// SPDX-License-Identifier: MIT OR GPL-2.0

//! Memory of others: what the kernel gives to someone else, and takes back.

use std::fs::File;
use std::io::Write;

use mmap_pool::Mapping;
use rustix::mm::MapFlags;
use rustix::pipe::{pipe_with, PipeFlags};
use rustix::thread::{sched_setaffinity, CpuSet};

use crate::subject::{anonymous, page_size};
use crate::Failure;

/// As long as a word.
const MARK: &[u8; 8] = b"another!";
fn pipe_bytes() -> usize {
    16 * page_size()
}

const NR_PIPES: usize = 64;
const ANONYMOUS_BYTES: usize = 8 << 20;

/// Pages of the kernel and of programs, full of marks. They are free again when this is dropped.
#[derive(Debug)]
pub struct Others {
    _pipes: Vec<(File, File)>,
    _anonymous: Mapping,
}

impl Others {
    /// Lets others allocate 12 MiB, on one processor: see [`stay`].
    ///
    /// # Errors
    ///
    /// The errno of a call.
    pub fn new() -> Result<Self, Failure> {
        stay()?;
        let marks = MARK.repeat(pipe_bytes() / MARK.len());
        let mut pipes = Vec::new();
        for _ in 0..NR_PIPES {
            let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            let (from, mut to) = (File::from(from), File::from(to));
            // The kernel makes pipes smaller for a user that has many.
            let _ = to.write(&marks)?;
            pipes.push((from, to));
        }
        let anonymous = anonymous(ANONYMOUS_BYTES, MapFlags::PRIVATE)?;
        for offset in (0..ANONYMOUS_BYTES).step_by(marks.len()) {
            anonymous.write_at(&marks, offset)?;
        }
        Ok(Self {
            _pipes: pipes,
            _anonymous: anonymous,
        })
    }
}

/// Keeps the calling thread on the processor where it is. The kernel has free pages for each
/// processor, so what a thread frees is allocated on the same one first.
///
/// # Errors
///
/// The errno of the call.
pub fn stay() -> Result<(), Failure> {
    stay_on(rustix::thread::sched_getcpu())
}

/// Keeps the calling thread on a processor.
///
/// # Errors
///
/// The errno of the call.
pub fn stay_on(processor: usize) -> Result<(), Failure> {
    let mut processors = CpuSet::new();
    processors.set(processor);
    Ok(sched_setaffinity(None, &processors)?)
}

/// Whether there is a mark in these bytes.
#[must_use]
pub fn has_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK)
}
