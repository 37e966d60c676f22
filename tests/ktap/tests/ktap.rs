// SPDX-License-Identifier: MIT OR GPL-2.0

//! The program, with a shell in the place of a test program.

use std::process::{Command, Output};

fn ktap(script: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmap-pool-ktap"))
        .args(["sh", "-c", script, "sh"])
        .output()
        .unwrap()
}

#[test]
fn the_program_is_asked_for_events() {
    let run = ktap(r#"echo "$RUSTC_BOOTSTRAP $*""#);
    assert_eq!(
        String::from_utf8(run.stdout).unwrap(),
        "# 1 --format json --report-time -Z unstable-options\n"
    );
}

#[test]
fn errors_are_comments_in_their_place() {
    let run = ktap("echo one; echo two >&2; printf three");
    assert_eq!(
        String::from_utf8(run.stdout).unwrap(),
        "# one\n# two\n# three\n"
    );
    assert!(run.stderr.is_empty());
}

#[test]
fn the_status_is_that_of_the_program() {
    assert_eq!(ktap("exit 101").status.code(), Some(101));
    assert_eq!(ktap("kill -SEGV $$").status.code(), Some(139));
    let missing = Command::new(env!("CARGO_BIN_EXE_mmap-pool-ktap"))
        .arg("/nonexistent")
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(125));
}
