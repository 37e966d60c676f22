// SPDX-License-Identifier: MIT OR GPL-2.0

//! Measures the cost of `/dev/mmap_pool` in instructions, and compares it with the kernel's own
//! objects.
//!
//! The commands `measure` and `profile-work` run in a guest. The others read the output of these.
//! `row.rs` lists the rows and targets. `measure.rs` and `processors.rs` measure the rows.
//! `profile.rs` counts the instructions of each function. `report.rs` and `chart.rs` show the
//! results.

#![allow(
    clippy::cast_precision_loss,
    reason = "figures are far below 2^52, and approximate"
)]
#![cfg_attr(test, allow(clippy::float_cmp, reason = "exact figures are compared"))]

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
use row::Guest;

/// Any error.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The first character of a line with figures, in the output of a guest.
const KEPT: char = '{';

#[derive(Parser)]
#[command(
    name = "mmap-pool-bench",
    about = "Measures the cost of /dev/mmap_pool in instructions"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// In a guest: measure the rows, and print progress and figures
    Measure {
        /// Use sizes so small that the figures mean nothing
        #[arg(long)]
        quick: bool,
        /// Measure only this row; may be repeated
        #[arg(long)]
        row: Vec<String>,
        /// Measure the rows of this guest
        #[arg(long)]
        guest: Guest,
    },
    /// Read a guest's output from standard input, keep the figures, print the rest
    Collect {
        /// The file to write the figures to
        out: PathBuf,
    },
    /// Judge the figures; write bench.json, report.html, results.md and the charts
    Report {
        #[command(flatten)]
        environment: Environment,
        /// The folder to write to
        #[arg(long)]
        out: PathBuf,
        /// Fail if a target is missed
        #[arg(long)]
        strict: bool,
        /// Files written by `collect`
        #[arg(required = true)]
        parts: Vec<PathBuf>,
    },
    /// In a guest under the plugin: do the profiled work, print the kernel's symbols in one line
    ProfileWork,
    /// Print the instructions of each function as tables
    Profile {
        /// The counts written by the plugin
        counts: PathBuf,
        /// The symbols written by `collect`
        symbols: PathBuf,
    },
    /// Print the figures that changed between two results
    Compare {
        /// The old bench.json
        old: PathBuf,
        /// The new bench.json
        new: PathBuf,
        /// The largest change in per cent that is not printed
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
        Command::Measure { quick, row, guest } => guest::measure(quick, guest, &row)?,
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
