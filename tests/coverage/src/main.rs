// SPDX-License-Identifier: MIT OR GPL-2.0

//! Lists the functions and lines of `src/` that no guest has run.
//!
//! QEMU's plugin `qemu/plugin/reached.c` records the executed blocks of instructions in the address
//! range of modules. The module's line table maps these instructions to source lines.

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

/// Any error.
type Failure = Box<dyn Error>;

const USAGE: &str = "usage: mmap-pool-coverage MODULE TOP EXPLANATIONS.md REACHED…";

/// Returns whether each line is reached or explained.
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
