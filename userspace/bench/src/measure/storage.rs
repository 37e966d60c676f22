// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pages of a disk: read in, written back, and dropped when memory is short. Most of that work is done by
//! other threads, so all of them count.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use mmap_pool::Mapping;
use rustix::fs::sync;
use rustix::process::nice;
use rustix::time::ClockId;

use super::cost::{now, per_page};
use super::scale::Scale;
use crate::subject::{Object, Subject};
use crate::Failure;

/// Bytes that the samples of one size touch together. A larger size has one sample.
const TOUCHED: usize = 1 << 30;

/// Takes the samples of `work` on a mapping of the first `len` bytes, none of whose pages are in memory.
/// Large sizes have fewer samples.
pub fn samples(
    subject: Subject,
    len: usize,
    scale: Scale,
    work: fn(&Mapping) -> Result<(), Failure>,
) -> Result<Vec<f64>, Failure> {
    let nr_samples = (TOUCHED / len).clamp(1, scale.nr_samples);
    let sample = |_| {
        drop_caches()?;
        let object = Object::new(subject, len)?;
        let mapping = object.shared()?;
        let cost = cost_of_all(|| work(&mapping))?;
        Ok(per_page(cost, &object))
    };
    (0..nr_samples).map(sample).collect()
}

fn drop_caches() -> Result<(), Failure> {
    sync();
    Ok(fs::write("/proc/sys/vm/drop_caches", "1")?)
}

/// Counts the instructions that the processor executes until `work` has ended, but for those of a thread
/// that turns around when nothing else runs. The guest has one processor.
fn cost_of_all(work: impl FnOnce() -> Result<(), Failure>) -> Result<u64, Failure> {
    const LOWEST: i32 = 19;
    const NR_TURNS: u64 = 1 << 20;

    let (turns, has_ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let begin = now(ClockId::Monotonic);
    turn(&turns, &has_ended, NR_TURNS);
    let cost_of_turns = now(ClockId::Monotonic) - begin;
    thread::scope(|scope| {
        scope.spawn(|| {
            // A weight of 15 beside 1024 of other threads.
            let _ = nice(LOWEST);
            turn(&turns, &has_ended, u64::MAX);
        });
        let (begin, turns_before) = (now(ClockId::Monotonic), turns.load(Relaxed));
        let result = work();
        let elapsed = now(ClockId::Monotonic) - begin;
        let nr_turns = turns.load(Relaxed) - turns_before;
        has_ended.store(true, Relaxed);
        result?;
        Ok(elapsed.saturating_sub(nr_turns * cost_of_turns / NR_TURNS))
    })
}

/// Counts turns up to `end`, or until `has_ended`. A clock of the thread would count interrupts, too.
#[inline(never)]
fn turn(turns: &AtomicU64, has_ended: &AtomicBool, end: u64) {
    let mut nr_turns = turns.load(Relaxed);
    while nr_turns < end && !has_ended.load(Relaxed) {
        nr_turns += 1;
        turns.store(nr_turns, Relaxed);
    }
}
