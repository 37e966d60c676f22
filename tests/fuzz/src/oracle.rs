// SPDX-License-Identifier: MIT OR GPL-2.0

//! Runs one sequence after the other, and compares each with the model.
//!
//! On a kernel with KCOV, every second sequence is a mutation of sequences that reached new code.

use std::fmt;
use std::time::{Duration, Instant};

use mmap_pool_tests::Failure;

use crate::coverage::Coverage;
use crate::disturb::Hand;
use crate::generate::{generate, Theme};
use crate::model::{Home, Kind};
use crate::mutate::{mutate, Kept};
use crate::op::Sequence;
use crate::page_size;
use crate::shrink::shrink;
use crate::sys::stay_on_one_processor;
use crate::world::{run, Difference};

/// The length and content of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of the first sequence; the next ones follow.
    pub seed: u64,
    /// The least number of operations to do, on all kinds together.
    pub nr_ops: u64,
    /// The time after which the run ends in any case.
    pub limit: Option<Duration>,
    /// Operations of a sequence.
    pub length: usize,
    /// The mix of operations.
    pub theme: Theme,
    /// The kinds of objects that every sequence runs on.
    pub kinds: Vec<Kind>,
}

/// The results of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Sequences begun.
    pub nr_sequences: u64,
    /// Operations compared.
    pub nr_ops: u64,
    /// The coverage, on a kernel with KCOV.
    pub reached: Option<Reached>,
    /// The first difference, if there is one.
    pub found: Option<Found>,
}

/// The coverage of the module's code.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    /// Blocks of code reached.
    pub nr_blocks: usize,
    /// Steps from one block to the next.
    pub nr_edges: usize,
    /// Sequences that were the first to reach some edge.
    pub nr_kept: usize,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} blocks and {} edges reached, {} sequences kept",
            self.nr_blocks, self.nr_edges, self.nr_kept
        )
    }
}

/// A difference, and how to get it again.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed of its sequence.
    pub seed: u64,
    /// The difference.
    pub difference: Difference,
    /// The operations that lead to it.
    pub story: Story,
}

/// The operations that lead to a difference.
#[derive(Clone, Debug)]
pub enum Story {
    /// The shortest sequence found that leads to it.
    Sequence(Sequence),
    /// The number of operations of the seed up to it, and the last acts of the hand. The seed does not
    /// decide when the hand acts, so the sequence is not shortened.
    Disturbed(u64, String),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page_kib = page_size() >> 10;
        writeln!(f, "# Seed {}, pages of {page_kib} KiB.", self.seed)?;
        for line in self.difference.to_string().lines() {
            writeln!(f, "# {line}")?;
        }
        match &self.story {
            Story::Sequence(sequence) => {
                writeln!(f, "# A regression test, for tests/fuzz/corpus:")?;
                write!(f, "{sequence}")
            }
            Story::Disturbed(nr_ops, acts) => {
                write!(
                    f,
                    "# Operation {nr_ops} of the seed. The last acts: {acts}."
                )
            }
        }
    }
}

/// Carries out a plan up to the first difference. `hand` acts meanwhile. Calls `progress` every ten
/// seconds.
///
/// # Errors
///
/// A sequence cannot begin.
pub fn carry_out(
    plan: &Plan,
    hand: Option<&Hand>,
    mut progress: impl FnMut(&Report),
) -> Result<Report, Failure> {
    const PAUSE: Duration = Duration::from_secs(10);

    stay_on_one_processor();
    let start = Instant::now();
    let mut last = start;
    let mut report = Report::default();
    let mut coverage = Coverage::open()?;
    // Each home has its own sequences.
    let mut homes = Home::ALL.map(|home| {
        let mut kinds = plan.kinds.clone();
        kinds.retain(|kind| kind.home() == home);
        let kept: Vec<Kept> = Vec::new();
        (home, kinds, kept)
    });
    while report.nr_ops < plan.nr_ops && plan.limit.is_none_or(|limit| start.elapsed() < limit) {
        let seed = plan.seed.wrapping_add(report.nr_sequences);
        let is_mutation = report.nr_sequences % 2 == 1;
        report.nr_sequences += 1;
        for (home, kinds, kept) in &mut homes {
            if kinds.is_empty() {
                continue;
            }
            let mut new = if is_mutation && !kept.is_empty() {
                mutate(seed, kept, plan.length)
            } else {
                Kept {
                    sequence: generate(plan.theme, *home, seed, plan.length),
                    scale: plan.theme.scale(seed),
                    home: *home,
                }
            };
            let mut nr_reaching = None;
            for &kind in &*kinds {
                let outcome = run(kind, &new.sequence, coverage.as_mut(), hand)?;
                report.nr_ops += outcome.nr_ops;
                if let Some(difference) = outcome.difference {
                    report.found = Some(match hand {
                        None => shorten(kind, seed, &new.sequence, difference),
                        Some(hand) => Found {
                            seed,
                            difference,
                            story: Story::Disturbed(outcome.nr_ops + 1, hand.last_acts()),
                        },
                    });
                    return Ok(report);
                }
                nr_reaching = nr_reaching.max(outcome.nr_reaching);
            }
            if let Some(nr_ops) = nr_reaching {
                new.sequence.ops.truncate(nr_ops);
                kept.push(new);
            }
        }
        if let Some(coverage) = &coverage {
            let (nr_blocks, nr_edges) = coverage.counts();
            if nr_blocks == 0 {
                return Err("the kernel has KCOV, but the module was built without it".into());
            }
            report.reached = Some(Reached {
                nr_blocks,
                nr_edges,
                nr_kept: homes.iter().map(|(_, _, kept)| kept.len()).sum(),
            });
        }
        if last.elapsed() > PAUSE {
            last = Instant::now();
            progress(&report);
        }
    }
    Ok(report)
}

/// Shortens a failing sequence.
fn shorten(kind: Kind, seed: u64, sequence: &Sequence, mut difference: Difference) -> Found {
    let sequence = shrink(sequence, |candidate| {
        let found = run(kind, candidate, None, None)
            .ok()
            .and_then(|outcome| outcome.difference);
        let fails = found.is_some();
        difference = found.unwrap_or_else(|| difference.clone());
        fails
    });
    Found {
        seed,
        difference,
        story: Story::Sequence(sequence),
    }
}
