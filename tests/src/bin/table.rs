// SPDX-License-Identifier: MIT OR GPL-2.0

//! Runs every scenario and prints what was tried, what the pools and the kernel's own object
//! answered, and whether they are right. Ends with status 0 only if all are.
//!
//! With `--markdown` it runs nothing, and prints the right answers as `docs/semantics.md` has them.

use std::process::ExitCode;

use mmap_pool_tests::catalogue::SCENARIOS;
use mmap_pool_tests::page;
use mmap_pool_tests::scenario::{words, Report, Scenario};

/// Widths of the columns: row, what was tried, who was asked, the answer, verdict.
const WIDTHS: [usize; 5] = [3, 38, 8, 46, 5];

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--markdown") => {
            print!("{}", page::tables());
            return ExitCode::SUCCESS;
        }
        Some(_) => {
            eprintln!("usage: mmap-pool-table [--markdown]");
            return ExitCode::from(2);
        }
    }
    print_row(["", "tried", "asked", "answer", ""]);
    print_row(
        WIDTHS
            .map(|width| "-".repeat(width))
            .each_ref()
            .map(String::as_str),
    );

    let mut nr_bad = 0;
    for scenario in SCENARIOS {
        let is_good = match scenario.run() {
            Ok(report) => {
                print_report(scenario, &report);
                scenario.is_good(&report)
            }
            Err(failure) => {
                let failure = format!("not tried: {failure}");
                print_row([scenario.row, scenario.tried, "", &failure, "WRONG"]);
                false
            }
        };
        nr_bad += usize::from(!is_good);
    }

    let nr_all = SCENARIOS.len();
    println!();
    if nr_bad == 0 {
        println!("all {nr_all} scenarios are right");
        ExitCode::SUCCESS
    } else {
        println!("{nr_bad} of {nr_all} scenarios are wrong");
        ExitCode::FAILURE
    }
}

/// Prints each answer once, with those who gave it.
fn print_report(scenario: &Scenario, report: &Report) {
    let mut groups: Vec<(String, String, bool)> = Vec::new();
    for (who, answer) in &report.answers {
        let (name, text) = (scenario.name_of(*who), words(answer));
        let is_right = scenario.is_right(*who, answer);
        match groups
            .iter_mut()
            .find(|group| (&group.1, group.2) == (&text, is_right))
        {
            Some((names, ..)) => *names += &format!(" {name}"),
            None => groups.push((name, text, is_right)),
        }
    }
    if let Err(failure) = &report.cleaned_up {
        groups.push(("after".into(), failure.to_string(), false));
    }
    let (mut row, mut tried) = (scenario.row, scenario.tried);
    for (names, text, is_right) in groups {
        let verdict = if is_right { "ok" } else { "WRONG" };
        print_row([row, tried, &names, &text, verdict]);
        (row, tried) = ("", "");
    }
}

/// Prints the cells side by side, each broken between words to fit its column.
fn print_row(cells: [&str; 5]) {
    let mut columns = [const { Vec::new() }; 5];
    for (column, (cell, width)) in columns.iter_mut().zip(cells.into_iter().zip(WIDTHS)) {
        *column = broken(cell, width);
    }
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let mut text = String::new();
        for (column, width) in columns.iter().zip(WIDTHS) {
            let cell = column.get(line).map_or("", String::as_str);
            text.push_str(&format!("{cell:width$}  "));
        }
        println!("{}", text.trim_end());
    }
}

/// The text in lines of at most `width` letters, longer words aside.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}
