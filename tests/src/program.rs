// SPDX-License-Identifier: MIT OR GPL-2.0

//! How programs from Debian are started: on the disk `/disk`, with a pool whose descriptor they inherit.

use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{kill_process, Pid, Signal};
use rustix::system::uname;

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

/// Bytes of memory of the machine that [`boots_in`] starts.
pub const MACHINE_LEN: usize = 256 << 20;

/// Boots the kernel of this guest in a machine whose memory is the pool at `path`, until it has found its
/// memory. Returns texts that it has left there: its version, as it unpacked itself, and its log.
///
/// # Panics
///
/// It does not come so far.
#[must_use]
pub fn boots_in(pool: &impl AsRawFd, path: &str) -> [String; 2] {
    // By this message the kernel has unpacked itself, and built page tables.
    const FAR_ENOUGH: &str = "NX (Execute Disable) protection";
    const COMMAND_LINE: &str = "console=ttyS0 earlyprintk=ttyS0 nokaslr panic=-1";

    let memory = format!("memory-backend-file,id=pool,size={MACHINE_LEN},share=on,mem-path={path}");
    let mut machine = program("qemu-system-x86_64", pool)
        .args("-nodefaults -no-user-config -display none -no-reboot -serial stdio".split(' '))
        .args("-machine microvm,rtc=on,memory-backend=pool -accel tcg -cpu max".split(' '))
        .args(["-m", "256M", "-object", &memory])
        .args(["-kernel", &compiled("kernel"), "-append", COMMAND_LINE])
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the guest has `timeout`");
    let mut said = String::new();
    let output = machine.stdout.take().expect("it is a pipe");
    for line in BufReader::new(output).split(b'\n') {
        said += &String::from_utf8_lossy(&line.expect("a pipe can be read"));
        said.push('\n');
        if said.contains(FAR_ENOUGH) {
            break;
        }
    }
    // `timeout` hands it on.
    kill_process(Pid::from_child(&machine), Signal::TERM).expect("it is this process's child");
    machine.wait().expect("it is this process's child");
    let release = uname().release().to_string_lossy().into_owned();
    let banner = format!("Linux version {release}");
    assert!(
        said.contains(&banner) && said.contains(FAR_ENOUGH),
        "{said}"
    );
    [banner, format!("Command line: {COMMAND_LINE}")]
}
