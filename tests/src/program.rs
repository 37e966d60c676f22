// SPDX-License-Identifier: MIT OR GPL-2.0

//! How programs from Debian are started: on the disk `/disk`, with a pool whose descriptor they inherit.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Where the disk with the programs is mounted.
pub const DISK: &str = "/disk";

/// The number at which a program finds the descriptor of the pool.
const INHERITED: i32 = 200;

/// The path by which a program opens the pool.
pub const INHERITED_PATH: &str = "/proc/self/fd/200";

/// `program`, one of those on the disk or [`compiled`], which inherits the descriptor of `pool`.
#[must_use]
pub fn program(program: &str, pool: &impl AsRawFd) -> Command {
    let fd = pool.as_raw_fd();
    // A program that hangs is not to take all the others with it.
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "900", program]);
    command.stdin(Stdio::null());
    // SAFETY: Between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            rustix::process::chroot(DISK)?;
            rustix::process::chdir("/")?;
            // Unlike `fd`, the copy is not closed by exec.
            match libc::dup2(fd, INHERITED) {
                INHERITED => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
    command
}

/// The path, seen from the disk, of a program that is compiled for these tests.
#[must_use]
pub fn compiled(program: &str) -> String {
    format!("/guest/programs/{program}")
}

/// Runs the program, and returns its output.
///
/// # Panics
///
/// The program fails.
pub fn run(command: &mut Command) -> String {
    let (status, said) = try_run(command);
    let program = command.get_args().nth(3);
    assert_eq!(status, Some(0), "{program:?} said:\n{said}");
    said
}

/// Runs the program and returns its status and its output.
///
/// # Panics
///
/// The program cannot be started.
pub fn try_run(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the guest has `timeout`");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
