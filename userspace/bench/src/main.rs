// SPDX-License-Identifier: MIT OR GPL-2.0

//! What `/dev/mmap_pool` costs beside the kernel's own objects, in instructions.
//!
//! One program: `measure` runs in a guest, everything else on what it printed. `row.rs` lists what
//! is measured and what is to be reached, `measure.rs` and `processors.rs` do it, `report.rs` and
//! `chart.rs` show it.

#![allow(
    clippy::cast_precision_loss,
    reason = "figures are far below 2^52, and approximate"
)]
#![cfg_attr(test, allow(clippy::float_cmp, reason = "what is compared is exact"))]

mod chart;
mod compare;
mod guest;
mod marks;
mod measure;
mod processors;
mod profile;
mod report;
mod results;
mod row;
mod stats;
mod subject;
mod verdict;

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use results::{Environment, Measured, Results, FORMAT};

/// Why something could not be measured or shown.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What lines that are to be kept begin with, among those that a guest prints.
const KEPT: char = '{';

#[derive(Parser)]
#[command(name = "mmap-pool-bench", about = "What /dev/mmap_pool costs")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// In a guest: measure, say what is being measured, print the figures of each row and subject
    Measure {
        /// Sizes so small that the figures mean nothing
        #[arg(long)]
        quick: bool,
        /// Only the row of that name; may be repeated
        #[arg(long)]
        row: Vec<String>,
        /// What several processors do, rather than what counts in instructions
        #[arg(long)]
        processors: bool,
    },
    /// Of what a guest has printed, here on standard input, keep the figures, show the rest
    Collect {
        /// The file to write
        out: PathBuf,
    },
    /// Judge what guests measured; write bench.json, report.html, results.md and the charts
    Report {
        #[command(flatten)]
        environment: Environment,
        /// The folder to write to
        #[arg(long)]
        out: PathBuf,
        /// Fail if a target is missed
        #[arg(long)]
        strict: bool,
        /// What was collected
        #[arg(required = true)]
        parts: Vec<PathBuf>,
    },
    /// In a guest under the plugin: do what is to be profiled, print the kernel's symbols in one line
    ProfileWork,
    /// Show which functions the instructions of each phase are in
    Profile {
        /// What the plugin counted
        counts: PathBuf,
        /// The symbols that were collected
        symbols: PathBuf,
    },
    /// Show what moved between two results
    Compare {
        /// A bench.json
        old: PathBuf,
        /// Another
        new: PathBuf,
        /// Per cent below which nothing has moved
        #[arg(long, default_value_t = 2.0)]
        threshold: f64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("mmap-pool-bench: {failure}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Measure {
            quick,
            row,
            processors,
        } => guest::measure(quick, processors, &row)?,
        Command::Collect { out } => {
            let mut kept = fs::File::create(out)?;
            for line in io::stdin().lock().lines() {
                let line = line?;
                if line.starts_with(KEPT) {
                    writeln!(kept, "{line}")?;
                } else {
                    println!("{line}");
                }
            }
        }
        Command::Report {
            environment,
            out,
            strict,
            parts,
        } => {
            let mut measured: Option<Measured> = None;
            for part in parts {
                for line in fs::read_to_string(part)?.lines() {
                    let part: Measured = serde_json::from_str(line)?;
                    measured = Some(match measured {
                        None => part,
                        Some(measured) => measured.join(part)?,
                    });
                }
            }
            let results = Results {
                format: FORMAT,
                environment,
                measured: measured.ok_or("nothing was collected")?,
            };
            results.measured.check_complete()?;
            report::write(&results, &out)?;
            let nr_missed = report::print(&results);
            if strict && nr_missed > 0 {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::ProfileWork => println!("{}", serde_json::to_string(&profile::run()?)?),
        Command::Profile { counts, symbols } => {
            let symbols = serde_json::from_str(&fs::read_to_string(symbols)?)?;
            print!(
                "{}",
                profile::tables(&fs::read_to_string(counts)?, &symbols)?
            );
        }
        Command::Compare {
            old,
            new,
            threshold,
        } => report::print_moves(
            &Results::read(&old)?,
            &Results::read(&new)?,
            threshold / 100.0,
        )?,
    }
    Ok(ExitCode::SUCCESS)
}
