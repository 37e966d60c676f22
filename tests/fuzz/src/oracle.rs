// SPDX-License-Identifier: MIT OR GPL-2.0

//! Sequence after sequence, each compared with the model.

use std::fmt;
use std::time::{Duration, Instant};

use mmap_pool_tests::Failure;

use crate::generate::generate;
use crate::model::Kind;
use crate::op::Sequence;
use crate::shrink::shrink;
use crate::sys::stay_on_one_processor;
use crate::world::{run, Difference};

/// How long to go on, and with what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of the first sequence; the next ones follow.
    pub seed: u64,
    /// Operations to do at least, on all kinds together.
    pub nr_ops: u64,
    /// When to end even so.
    pub limit: Option<Duration>,
    /// Operations of a sequence.
    pub length: usize,
    /// What every sequence runs on.
    pub kinds: Vec<Kind>,
}

/// What was found out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Sequences that were begun.
    pub nr_sequences: u64,
    /// Operations that were compared.
    pub nr_ops: u64,
    /// The first difference, if there is one.
    pub found: Option<Found>,
}

/// A difference, as short as it can be.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed of its sequence.
    pub seed: u64,
    /// What is left of the sequence.
    pub sequence: Sequence,
    /// What differs then.
    pub difference: Difference,
}

/// A file for the corpus.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Seed {}.", self.seed)?;
        for line in self.difference.to_string().lines() {
            writeln!(f, "# {line}")?;
        }
        write!(f, "{}", self.sequence)
    }
}

/// Carries a plan out, until the first difference. Calls `progress` now and then.
///
/// # Errors
///
/// A sequence could not begin.
pub fn carry_out(plan: &Plan, mut progress: impl FnMut(&Report)) -> Result<Report, Failure> {
    const PAUSE: Duration = Duration::from_secs(10);

    stay_on_one_processor();
    let start = Instant::now();
    let mut last = start;
    let mut report = Report::default();
    while report.nr_ops < plan.nr_ops && plan.limit.is_none_or(|limit| start.elapsed() < limit) {
        let seed = plan.seed.wrapping_add(report.nr_sequences);
        let sequence = generate(seed, plan.length);
        report.nr_sequences += 1;
        for &kind in &plan.kinds {
            let outcome = run(kind, &sequence)?;
            report.nr_ops += outcome.nr_ops;
            if let Some(difference) = outcome.difference {
                report.found = Some(shorten(kind, seed, &sequence, difference));
                return Ok(report);
            }
        }
        if last.elapsed() > PAUSE {
            last = Instant::now();
            progress(&report);
        }
    }
    Ok(report)
}

/// Makes a failing sequence as short as it can be.
fn shorten(kind: Kind, seed: u64, sequence: &Sequence, mut difference: Difference) -> Found {
    let sequence = shrink(sequence, |candidate| {
        let found = run(kind, candidate)
            .ok()
            .and_then(|outcome| outcome.difference);
        let fails = found.is_some();
        difference = found.unwrap_or_else(|| difference.clone());
        fails
    });
    Found {
        seed,
        sequence,
        difference,
    }
}
