// SPDX-License-Identifier: MIT OR GPL-2.0

//! `mmap-pool-ktap PROGRAM ARGUMENT…` runs a test program and prints its results as KTAP, the format
//! of the kernel's own tests (`Documentation/dev-tools/ktap.rst`). A line appears as soon as the test
//! begins or ends, so the last lines are known if the machine dies. The status is that of PROGRAM.
//!
//! The program's test harness reports in JSON, which is unstable in Rust 1.85.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::time::{clock_gettime, ClockId};

mod convert;

use convert::Converter;

/// The seconds since boot, as in the kernel's log.
fn now() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    std::time::Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
    .as_secs_f64()
}

fn run(mut words: impl Iterator<Item = std::ffi::OsString>) -> Result<u8, String> {
    let program = words
        .next()
        .ok_or("usage: mmap-pool-ktap PROGRAM ARGUMENT…")?;
    let (from, to) = rustix::pipe::pipe().map_err(|error| format!("pipe: {error}"))?;
    let errors = to.try_clone().map_err(|error| format!("dup: {error}"))?;
    let mut child = Command::new(&program)
        .args(words)
        .args([
            "--format",
            "json",
            "--report-time",
            "-Z",
            "unstable-options",
        ])
        .env("RUSTC_BOOTSTRAP", "1")
        .stdout(Stdio::from(to))
        .stderr(Stdio::from(errors))
        .spawn()
        .map_err(|error| format!("{}: {error}", program.to_string_lossy()))?;
    let mut converter = Converter::new(std::io::stdout());
    let said = |error| format!("cannot write the results: {error}");
    for line in BufReader::new(std::fs::File::from(from)).split(b'\n') {
        let line = line.map_err(|error| format!("cannot read the results: {error}"))?;
        converter
            .line(&String::from_utf8_lossy(&line), now())
            .map_err(said)?;
    }
    let status = child.wait().map_err(|error| format!("wait: {error}"))?;
    converter.end(&status.to_string()).map_err(said)?;
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("mmap-pool-ktap: {error}");
            125.into()
        }
    }
}
