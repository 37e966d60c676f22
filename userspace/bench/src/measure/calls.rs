// SPDX-License-Identifier: MIT OR GPL-2.0

//! The cost of system calls.

use std::path::Path;

use rustix::fs::{open, Mode, OFlags};
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use rustix::process::{waitpid, WaitOptions};
use rustix::time::ClockId;

use super::cost::{cost_of, now, per};
use crate::subject::{page_size, Object};
use crate::Failure;

/// Calls of one sample. With so many, a tick of the kernel's timer does not show. Fewer calls of many
/// bytes take as long.
pub const NR_CALLS: usize = 2048;
/// Forks of one sample.
const NR_FORKS: usize = 32;

/// Instructions of one call of `len` bytes, the mean of many. `call` gets the number of the call.
pub fn calls(
    len: usize,
    mut call: impl FnMut(usize) -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let nr_calls = NR_CALLS.min((NR_CALLS * page_size()) / len);
    let ((), cost) = cost_of(|| (0..nr_calls).try_for_each(&mut call))?;
    Ok(per(cost, nr_calls))
}

/// The offset of a call. The offsets cycle through the first MiB of the object.
pub fn offset_in(object: &Object, turn: usize) -> u64 {
    const STEP: usize = 64 << 10;
    let nr_steps = object.len().min(1 << 20) / STEP;
    (turn % nr_steps * STEP) as u64
}

/// `open`, `mmap` of one page, `munmap`, `close`.
pub fn open_map_close(path: &Path) -> Result<(), Failure> {
    let file = open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: Without MAP_FIXED the kernel chooses an unused range.
    let start = unsafe {
        mmap(
            std::ptr::null_mut(),
            page_size(),
            protection,
            MapFlags::SHARED,
            &file,
            0,
        )
    }?;
    // SAFETY: The range has just been mapped, and nothing else uses it.
    Ok(unsafe { munmap(start, page_size()) }?)
}

/// Instructions of a fork, of all processes together: the child does a part of the work.
pub fn forks() -> Result<f64, Failure> {
    let before = now(ClockId::Monotonic);
    for _ in 0..NR_FORKS {
        fork_and_wait()?;
    }
    Ok(per(now(ClockId::Monotonic) - before, NR_FORKS))
}

fn fork_and_wait() -> Result<(), Failure> {
    // SAFETY: The process has one thread. The child exits at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: Exits the child without running exit handlers.
        unsafe { libc::_exit(0) };
    }
    let child = rustix::process::Pid::from_raw(child).ok_or("fork failed")?;
    waitpid(Some(child), WaitOptions::empty())?;
    Ok(())
}
