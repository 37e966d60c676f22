// SPDX-License-Identifier: MIT OR GPL-2.0

//! Real programs on backed pools.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::on_each;
use crate::store::{backed, Store};

on_each! {
    fio_reads_what_another_engine_wrote;
}

const LEN: usize = 2 << 20;
/// The number at which a program finds the descriptor of the pool.
const INHERITED: i32 = 200;

/// One engine writes all blocks with checksums, another reads and compares them, and a third does so
/// after the pool was closed.
fn fio_reads_what_another_engine_wrote(store: &Store) {
    let object = store.object(LEN);
    for [writer, reader, later] in [
        ["mmap", "io_uring", "psync"],
        ["libaio", "mmap", "io_uring"],
    ] {
        {
            let pool = backed(&object);
            let fd = pool.as_raw_fd();
            fio(fd, writer, &["--do_verify=0", "--end_fsync=1"]);
            fio(fd, reader, &["--verify_only=1"]);
        }
        let pool = backed(&object);
        fio(pool.as_raw_fd(), later, &["--verify_only=1"]);
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
