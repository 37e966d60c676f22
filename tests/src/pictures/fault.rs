// SPDX-License-Identifier: MIT OR GPL-2.0

//! One fault: the functions that it calls, and the instructions that each takes.
//!
//! A guest with `qemu/run --icount` counts an instruction as a nanosecond. The tracer costs
//! instructions, too. So the calls are recorded once with all functions, and then each function is
//! timed alone. What is left of the tracer's work is the time of a function that does nothing, and is
//! subtracted.

use std::fmt::Write;
use std::fs::File;
use std::time::Instant;

use mmap_pool::{Mapping, MappingBuilder, Pool, Strategy};
use rustix::fs::{memfd_create, MemfdFlags};

use super::figure::{pixels, Figure, LINE, WIDTH};
use super::{pool, read};
use crate::observe::full_reserve;
use crate::trace::Trace;
use crate::{fail, Failure};

/// What is recorded, if the kernel has it.
const FUNCTIONS: [&str; 15] = [
    "lock_vma_under_rcu",
    "handle_mm_fault",
    "do_fault",
    "filemap_map_pages",
    "__do_fault",
    "__filemap_get_folio_mpol",
    "filemap_add_folio",
    "__mem_cgroup_charge",
    "folio_add_lru",
    "folio_mark_dirty",
    "finish_fault",
    "set_pte_range",
    "folio_add_file_rmap_ptes",
    "folio_unlock",
    "count_memcg_events",
];
/// A function that only returns: the `fsync` of a memfd.
const NOTHING: &str = "noop_fsync";
/// How often each is timed.
const NR_TIMES: usize = 5;
/// The pages between two touches. More than fault-around maps.
const APART: usize = 64;

/// One call of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function.
    pub name: String,
    /// How many recorded functions are around it.
    pub depth: usize,
    /// How long it takes: in a guest that counts them, the number of instructions.
    pub nanoseconds: u64,
}

/// A read of a page that the pool does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// How long the whole read takes without the tracer.
    pub nanoseconds: u64,
    /// What is subtracted from the time of each call: the work of the tracer.
    pub tracer: u64,
}

/// Records and times the fault.
///
/// # Errors
///
/// The kernel has no function-graph tracer, or the errno of a pool.
pub fn look() -> Result<Fault, Failure> {
    full_reserve(8)?;
    let mut known = Vec::new();
    for function in FUNCTIONS {
        if Trace::knows(function)? {
            known.push(function);
        }
    }
    let (_pool, mapping) = new()?;
    let trace = Trace::record(&known, |turn| read(&mapping, turn * APART))?;
    let mut calls = Vec::new();
    // The depths of the functions that are shown around a call. Helpers of the module are not shown.
    let mut around = Vec::new();
    for call in trace.calls() {
        if known.contains(&&*call.name) {
            around.retain(|depth| *depth < call.depth);
            calls.push(Call {
                name: call.name.clone(),
                depth: around.len(),
                nanoseconds: 0,
            });
            around.push(call.depth);
        }
    }
    let tracer = tracer()?;
    for function in known {
        let mine = calls.iter_mut().filter(|call| call.name == function);
        let mine: Vec<&mut Call> = mine.collect();
        if mine.is_empty() {
            continue;
        }
        let (_pool, mapping) = new()?;
        let times = Trace::nanoseconds(function, |turn| {
            let turns = if turn == 0 { 0..=0 } else { 1..=NR_TIMES };
            turns
                .into_iter()
                .try_for_each(|turn| read(&mapping, turn * APART))
        })?;
        if times.len() != NR_TIMES * mine.len() {
            fail!("{function}: {} calls in {NR_TIMES} faults", times.len());
        }
        for (number, call) in mine.into_iter().enumerate() {
            let of_this = times.iter().skip(number).step_by(times.len() / NR_TIMES);
            call.nanoseconds = median(of_this.copied().collect()).saturating_sub(tracer);
        }
    }
    Ok(Fault {
        calls,
        nanoseconds: whole()?,
        tracer,
    })
}

/// How long the tracer itself takes within the time of a function.
fn tracer() -> Result<u64, Failure> {
    let memfd = File::from(memfd_create("nothing", MemfdFlags::empty())?);
    let times = Trace::nanoseconds(NOTHING, |_| {
        (0..NR_TIMES).try_for_each(|_| Ok(memfd.sync_all()?))
    })?;
    if times.len() != NR_TIMES {
        fail!("{NOTHING}: {} calls instead of {NR_TIMES}", times.len());
    }
    Ok(median(times))
}

fn new() -> Result<(Pool, Mapping), Failure> {
    let pool = pool(Strategy::Auto, APART * (NR_TIMES + 1))?;
    let mapping = MappingBuilder::shared().map(&pool)?;
    Ok((pool, mapping))
}

/// How long a read of a new page takes, less that of a page that is mapped.
fn whole() -> Result<u64, Failure> {
    let (_pool, mapping) = new()?;
    read(&mapping, 0)?;
    let mut times = Vec::new();
    for turn in 1..=NR_TIMES {
        let [fault, no_fault] = [(); 2].map(|()| {
            let start = Instant::now();
            let result = read(&mapping, turn * APART);
            result.map(|()| start.elapsed().as_nanos())
        });
        times.push(u64::try_from(fault?.saturating_sub(no_fault?))?);
    }
    Ok(median(times))
}

fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Where the bars begin.
const LEFT: usize = 330;

/// Draws the fault.
#[must_use]
pub fn draw(fault: &Fault) -> String {
    let mut description = format!(
        "A read of a page that a pool does not have yet, with a full reserve: {} instructions. The functions in the order \
         of their calls, each with the instructions that it takes together with those it calls: ",
        fault.nanoseconds
    );
    for call in &fault.calls {
        let _ = write!(description, "{} {}, ", call.name, call.nanoseconds);
    }
    let mut figure = Figure::new(
        "One fault, function by function",
        &format!("{}.", description.trim_end_matches(", ")),
    );
    figure.legend(&[
        ("empty", "the whole read"),
        ("mapped", "a function of the kernel"),
        ("cached", "calls the driver: PoolVmOps::fault"),
    ]);
    let scale = pixels(WIDTH - LEFT - 8) / time(fault.nanoseconds);
    let row = |figure: &mut Figure, depth, name: &str, nanoseconds: u64, begin, class| {
        let width = (time(nanoseconds) * scale).max(1.0);
        figure.text(8 + 12 * depth, "", name);
        figure.number(LEFT - 10, &nanoseconds.to_string());
        let words = format!("{name}: {nanoseconds} instructions");
        figure.cell(begin, width, class, &words);
        figure.y += LINE;
        begin + width
    };
    let whole = "the whole read";
    row(
        &mut figure,
        0,
        whole,
        fault.nanoseconds,
        pixels(LEFT),
        "empty",
    );
    // For each depth, where the next call begins: behind those that its caller has called before.
    let mut next = vec![pixels(LEFT)];
    for call in &fault.calls {
        next.truncate(call.depth + 1);
        let begin = next[next.len() - 1];
        let class = match &*call.name {
            "__do_fault" => "cached",
            _ => "mapped",
        };
        let end = row(
            &mut figure,
            call.depth + 1,
            &call.name,
            call.nanoseconds,
            begin,
            class,
        );
        next.pop();
        next.extend([end, begin]);
    }
    let subtracted = format!(
        "The work of the tracer, {} instructions for each function, is subtracted.",
        fault.tracer
    );
    figure.text(8, "faint", &subtracted);
    figure.y += LINE;
    figure.text(
        8,
        "faint",
        "A bar begins where the one before it ends. To the right of the calls under it, a bar is the function's own work.",
    );
    figure.y += LINE;
    figure.finish()
}

fn time(nanoseconds: u64) -> f64 {
    pixels(usize::try_from(nanoseconds).unwrap_or(usize::MAX)).max(1.0)
}
