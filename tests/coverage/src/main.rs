// SPDX-License-Identifier: MIT OR GPL-2.0

//! Which functions and lines of `src/` no guest has run.
//!
//! `qemu/plugin/reached.c` notes the blocks of instructions that were executed where the kernel puts
//! modules; the module's own line table says what lines they are.

mod module;
mod place;
mod report;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use module::Module;
use place::Block;
use report::{Explained, Report};

/// Anything that went wrong.
type Failure = Box<dyn Error>;

const USAGE: &str = "usage: mmap-pool-coverage MODULE TOP EXPLANATIONS.md REACHED…";

/// Whether each line is reached or explained.
fn run(arguments: &[String]) -> Result<bool, Failure> {
    let [module, top, explained, guests @ ..] = arguments else {
        return Err(USAGE.into());
    };
    let module = Module::read(Path::new(module))?;
    let mut reached = BTreeSet::new();
    for guest in guests {
        let text = fs::read_to_string(guest)?;
        let blocks: Vec<Block> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
        reached.append(&mut place::reached(&module.texts, &blocks));
    }
    if reached.is_empty() {
        return Err("no guest has run this module".into());
    }
    let explained = Explained::read(&fs::read_to_string(explained)?)?;
    let report = Report::new(Path::new(top), &module.rows, &reached)?;
    print!("{}", report.text(&explained));
    Ok(report.is_explained(&explained))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("mmap-pool-coverage: {failure}");
            ExitCode::from(2)
        }
    }
}
