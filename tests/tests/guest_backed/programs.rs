// SPDX-License-Identifier: MIT OR GPL-2.0

//! Real programs on backed pools.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::on_each;
use crate::store::{backed, Store};

on_each! {
    fio_reads_what_each_engine_wrote;
}

const LEN: usize = 2 << 20;
/// The number at which a program finds the descriptor of the pool.
const INHERITED: i32 = 200;

/// Each engine writes all blocks with checksums, and each engine reads and compares them.
fn fio_reads_what_each_engine_wrote(store: &Store) {
    const ENGINES: [&str; 4] = ["psync", "mmap", "libaio", "io_uring"];
    let object = store.object(LEN);
    for (round, writer) in ENGINES.into_iter().enumerate() {
        {
            let pool = backed(&object);
            fio(
                pool.as_raw_fd(),
                writer,
                &["--do_verify=0", "--end_fsync=1"],
            );
            fio(
                pool.as_raw_fd(),
                ENGINES[(round + 1) % 4],
                &["--verify_only=1"],
            );
        }
        // From the object, after the last close.
        let pool = backed(&object);
        fio(
            pool.as_raw_fd(),
            ENGINES[(round + 2) % 4],
            &["--verify_only=1"],
        );
    }
}

/// Runs fio, which comes from the disk, on the pool with this descriptor.
fn fio(fd: i32, engine: &str, options: &[&str]) {
    let mut command = Command::new("fio");
    command
        .args([
            "--name=blocks",
            "--rw=randwrite",
            "--bs=4k",
            "--verify=crc32c",
        ])
        .args(["--randseed=1", "--iodepth=4", "--group_reporting"])
        .arg(format!("--size={LEN}"))
        .arg(format!("--filename=/proc/self/fd/{INHERITED}"))
        .arg(format!("--ioengine={engine}"))
        .args(options);
    // SAFETY: Between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            rustix::process::chroot("/disk")?;
            rustix::process::chdir("/")?;
            // Unlike `fd`, the copy is not closed by exec.
            match libc::dup2(fd, INHERITED) {
                INHERITED => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{engine} {options:?}: {output:?}");
}
