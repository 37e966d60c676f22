// SPDX-License-Identifier: MIT OR GPL-2.0

//! Tries every scenario, and prints what the pools and the kernel's own object answered.
//!
//! The status is 0 if all answers are right, 1 if not. The guest prints `--records`; on the host
//! the program makes the overview, the whole table and the page of them.

use std::io::Write;
use std::process::ExitCode;
use std::{env, fs, io};

use mmap_pool_tests::catalogue::scenarios;
use mmap_pool_tests::report::{self, Report};
use mmap_pool_tests::{page, table};

const USAGE: &str = "usage: mmap-pool-table [--overview | --whole | --html | --records] [RECORDS]
       mmap-pool-table --markdown

Tries every scenario in this guest, or reads RECORDS, the output of an earlier run. Prints one screen
(the default), the whole table as text or as HTML, or the records. --markdown tries nothing: it
prints the right answers as docs/semantics.md has them.";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).peekable();
    let form = arguments.next_if(|word| word.starts_with("--"));
    let form = form.as_deref().unwrap_or("--overview");
    let render: fn(&[Report]) -> String = match form {
        "--overview" => table::overview,
        "--whole" => table::whole,
        "--html" => table::page,
        "--records" => |_| String::new(),
        "--markdown" => {
            print!("{}", page::tables());
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let reports = match arguments.next() {
        Some(path) => match fs::read(&path) {
            Ok(output) => {
                let (reports, others) = report::read(&String::from_utf8_lossy(&output));
                if form == "--overview" {
                    for line in others {
                        println!("{line}");
                    }
                }
                reports
            }
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::from(2);
            }
        },
        None => scenarios()
            .map(|scenario| {
                let report = scenario.run();
                if form == "--records" {
                    print!("{}", report.records());
                    let _ = io::stdout().flush();
                }
                report
            })
            .collect(),
    };
    print!("{}", render(&reports));
    if table::are_all_right(&reports) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
