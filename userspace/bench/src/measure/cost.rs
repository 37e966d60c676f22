// SPDX-License-Identifier: MIT OR GPL-2.0

//! Clocks, and the cost of a piece of work in instructions.

use std::thread;
use std::time::Duration;

use rustix::time::{clock_gettime, ClockId};

use crate::marks;
use crate::subject::Object;
use crate::Failure;

/// Counts the instructions that this thread executes in `work`. A profile counts the same work.
pub fn cost_of<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, u64), Failure> {
    let before = now(ClockId::ThreadCPUTime);
    marks::begin();
    let result = work()?;
    marks::end();
    Ok((result, now(ClockId::ThreadCPUTime) - before))
}

/// Waits until the kernel has finished its work after boot, so that it does not disturb this thread.
pub fn wait_until_alone() {
    const WINDOW_NS: u64 = 100_000_000;
    loop {
        let (begin, own_begin) = (now(ClockId::Monotonic), now(ClockId::ThreadCPUTime));
        while now(ClockId::Monotonic) - begin < WINDOW_NS {}
        let elapsed = now(ClockId::Monotonic) - begin;
        let others = elapsed.saturating_sub(now(ClockId::ThreadCPUTime) - own_begin);
        if others * 100 < elapsed {
            return;
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Reads a clock: nanoseconds, which are instructions in the guest.
pub fn now(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// The cost per page of the object.
pub fn per_page(cost: u64, object: &Object) -> f64 {
    per(cost, object.nr_pages())
}

/// The cost per one of `count`.
pub fn per(cost: u64, count: usize) -> f64 {
    cost as f64 / count as f64
}
