// SPDX-License-Identifier: MIT OR GPL-2.0

//! `mmap-pool-fuzz`: see `--help`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use mmap_pool_fuzz::disturb::{self, Hand};
use mmap_pool_fuzz::generate::{generate, Theme};
use mmap_pool_fuzz::model::{Home, Kind};
use mmap_pool_fuzz::op::Sequence;
use mmap_pool_fuzz::{oracle, race, storage, world};
use mmap_pool_tests::Failure;

const HELP: &str = "\
usage: mmap-pool-fuzz [OPTION]…

Does random operations on pools of /dev/mmap_pool. Runs in a guest.

  --mode oracle    do one operation at a time, and predict every answer (default)
  --mode race      do many operations at the same time, and predict nothing
  --mode kernel    as oracle, mostly reads and writes, while the kernel acts on the
                   pages; fails if no page has moved
  --disturb        let the kernel act on the pages in the other modes, too
  --acts NAMES     acts of the kernel (default: all that this kernel has)
  --seed S         seed of the first sequence; the next has S + 1 (default: 1)
  --ops N          number of operations to do (default: 1000000)
  --seconds T      end after T seconds in any case
  --length L       operations of a sequence (default: 200; mode kernel: 2000)
  --on KINDS       kinds of objects, with commas between them: node, created, memfd,
                   a strategy of created pools, such as huge, or a backed pool:
                   device, device-tracked, ext4, ext4-tracked (default: all, and
                   those on ext4 only if the guest has a disk of programs)
  --replay FILE    do the operations in FILE, and no random ones
  --print          print the sequence of the seed, and do nothing
";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Oracle,
    Race,
    Kernel,
}

struct Options {
    mode: Mode,
    plan: oracle::Plan,
    is_disturbed: bool,
    acts: Vec<usize>,
    replay: Option<PathBuf>,
    is_print: bool,
}

fn options(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        mode: Mode::Oracle,
        plan: oracle::Plan {
            seed: 1,
            nr_ops: 1_000_000,
            limit: None,
            length: 200,
            theme: Theme::Calls,
            kinds: Vec::new(),
        },
        is_disturbed: false,
        acts: disturb::all_acts(),
        replay: None,
        is_print: false,
    };
    let mut length = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("mode") => {
                options.mode = match &*parser.value()?.string()? {
                    "oracle" => Mode::Oracle,
                    "race" => Mode::Race,
                    "kernel" => Mode::Kernel,
                    other => return Err(format!("no such mode: {other}").into()),
                }
            }
            Long("seed") => options.plan.seed = parser.value()?.parse()?,
            Long("ops") => options.plan.nr_ops = parser.value()?.parse()?,
            Long("seconds") => {
                options.plan.limit = Some(Duration::from_secs(parser.value()?.parse()?));
            }
            Long("length") => length = Some(parser.value()?.parse()?),
            Long("disturb") => options.is_disturbed = true,
            Long("acts") => options.acts = disturb::acts(&parser.value()?.string()?)?,
            Long("on") => {
                options.plan.kinds = parser
                    .value()?
                    .string()?
                    .split(',')
                    .map(str::parse)
                    .collect::<Result<_, _>>()?;
            }
            Long("replay") => options.replay = Some(parser.value()?.into()),
            Long("print") => options.is_print = true,
            Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.plan.kinds.is_empty() {
        options.plan.kinds = Kind::all();
        let kinds = &mut options.plan.kinds;
        kinds.retain(|kind| kind.behind().is_none_or(storage::can_make));
    }
    if options.mode == Mode::Kernel {
        options.is_disturbed = true;
        options.plan.theme = Theme::Bytes;
        // Most acts of the kernel need time.
        options.plan.length = 2000;
    }
    options.plan.length = length.unwrap_or(options.plan.length);
    Ok(Some(options))
}

/// Runs the fuzzer, and returns whether it found no fault.
fn run(options: &Options) -> Result<bool, Failure> {
    if options.is_print {
        let plan = &options.plan;
        for home in Home::ALL {
            if plan.kinds.iter().any(|kind| kind.home() == home) {
                let sequence = generate(plan.theme, home, plan.seed, plan.length);
                print!("# {home}\n{sequence}");
            }
        }
        return Ok(true);
    }
    let hand = if options.is_disturbed {
        Some(Hand::start(options.plan.seed, &options.acts)?)
    } else {
        None
    };
    let is_well = begin(options, hand.as_ref());
    if let Some(hand) = &hand {
        print!("{hand}");
        if options.mode == Mode::Kernel && hand.nr_moved_pages() == 0 {
            println!("no page has moved: the run proves nothing");
            return is_well.and(Ok(false));
        }
    }
    is_well
}

fn begin(options: &Options, hand: Option<&Hand>) -> Result<bool, Failure> {
    if let Some(file) = &options.replay {
        let sequence: Sequence = std::fs::read_to_string(file)?.parse()?;
        return replay(&options.plan.kinds, &sequence, hand);
    }
    match options.mode {
        Mode::Oracle | Mode::Kernel => with_oracle(&options.plan, hand),
        Mode::Race => in_a_race(&options.plan, hand),
    }
}

fn replay(kinds: &[Kind], sequence: &Sequence, hand: Option<&Hand>) -> Result<bool, Failure> {
    let mut is_well = true;
    for &kind in kinds {
        let outcome = world::run(kind, sequence, None, hand)?;
        match outcome.difference {
            None => println!("{kind}: {} operations, 0 differences", outcome.nr_ops),
            Some(difference) => {
                println!("{difference}");
                is_well = false;
            }
        }
    }
    Ok(is_well)
}

/// Operations per second so far.
fn rate(nr_ops: u64, start: Instant) -> u64 {
    nr_ops / start.elapsed().as_secs().max(1)
}

fn reached(report: &oracle::Report) -> String {
    let reached = report.reached;
    reached.map_or(String::new(), |reached| format!(", {reached}"))
}

fn with_oracle(plan: &oracle::Plan, hand: Option<&Hand>) -> Result<bool, Failure> {
    let start = Instant::now();
    let report = oracle::carry_out(plan, hand, |report| {
        println!(
            "{} operations, {} a second, next seed {}{}",
            report.nr_ops,
            rate(report.nr_ops, start),
            plan.seed.wrapping_add(report.nr_sequences),
            reached(report)
        );
    })?;
    if let Some(found) = &report.found {
        println!("{found}");
    }
    println!(
        "{} operations, {} a second, {} sequences of {} from seed {}, {} differences{}",
        report.nr_ops,
        rate(report.nr_ops, start),
        report.nr_sequences,
        plan.length,
        plan.seed,
        u8::from(report.found.is_some()),
        reached(&report)
    );
    if report.reached.is_none() {
        println!("not guided by coverage: this kernel has no KCOV");
    }
    Ok(report.found.is_none())
}

fn in_a_race(plan: &oracle::Plan, hand: Option<&Hand>) -> Result<bool, Failure> {
    let start = Instant::now();
    let race = race::Plan {
        seed: plan.seed,
        nr_ops: plan.nr_ops,
        limit: plan.limit,
        kinds: plan.kinds.clone(),
    };
    let nr_ops = race::carry_out(&race, hand, |nr_ops| {
        println!("{nr_ops} operations, {} a second", rate(nr_ops, start));
    })?;
    println!(
        "{nr_ops} operations at once, {} a second, from seed {}, every page given back",
        rate(nr_ops, start),
        plan.seed
    );
    Ok(true)
}

fn main() -> ExitCode {
    let done = options(std::env::args_os().skip(1)).and_then(|options| match options {
        None => {
            print!("{HELP}");
            Ok(true)
        }
        Some(options) => run(&options),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("mmap-pool-fuzz: {failure}");
            ExitCode::from(2)
        }
    }
}
