// SPDX-License-Identifier: MIT OR GPL-2.0

//! Draws the figures of `docs/pictures/` in this guest, and prints them: before each a line with the
//! name of its file.

use std::process::ExitCode;

use mmap_pool_tests::pictures;

fn main() -> ExitCode {
    for (name, draw) in pictures::ALL {
        match draw() {
            Ok(figure) => print!("file {name}\n{figure}"),
            Err(failure) => {
                eprintln!("{name}: {failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
