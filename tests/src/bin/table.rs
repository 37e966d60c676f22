// SPDX-License-Identifier: MIT OR GPL-2.0

//! Runs every scenario and prints what was tried, what the pool and the kernel's own object
//! answered, and whether both are right. Ends with status 0 only if all are.

use std::process::ExitCode;

use mmap_pool_tests::catalogue::SCENARIOS;
use mmap_pool_tests::scenario::words;

/// Widths of the columns: row, what was tried, the pool's answer, oracle, its answer, verdict.
const WIDTHS: [usize; 6] = [3, 31, 28, 6, 28, 5];

fn main() -> ExitCode {
    print_row(["", "tried", "mmap_pool", "oracle", "its answer", ""]);
    print_row(
        WIDTHS
            .map(|width| "-".repeat(width))
            .each_ref()
            .map(String::as_str),
    );

    let mut nr_bad = 0;
    for scenario in SCENARIOS {
        let oracle = scenario.oracle.to_string();
        let (pool, answer, is_good) = match scenario.run() {
            Ok(report) => {
                let is_good = scenario.is_good(&report);
                let mut pool = words(&report.pool);
                if let Err(failure) = report.unloaded {
                    pool = format!("{pool}; {failure}");
                }
                (pool, words(&report.oracle), is_good)
            }
            Err(failure) => (format!("not tried: {failure}"), String::new(), false),
        };
        let verdict = if is_good { "ok" } else { "WRONG" };
        print_row([
            scenario.row,
            scenario.tried,
            &pool,
            &oracle,
            &answer,
            verdict,
        ]);
        if !is_good {
            println!("    {}: expected {}", scenario.name, scenario.expected);
            nr_bad += 1;
        }
    }

    let nr_all = SCENARIOS.len();
    println!();
    if nr_bad == 0 {
        println!("all {nr_all} answers are right, and the same from the pool and from the kernel");
        ExitCode::SUCCESS
    } else {
        println!("{nr_bad} of {nr_all} answers are wrong");
        ExitCode::FAILURE
    }
}

/// Prints the cells side by side, each broken between words to fit its column.
fn print_row(cells: [&str; 6]) {
    let mut columns = [const { Vec::new() }; 6];
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
