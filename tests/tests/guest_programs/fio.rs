// SPDX-License-Identifier: MIT OR GPL-2.0

//! fio writes blocks with checksums at random places, reads them and compares.

use std::fs;
use std::process::Command;
use std::thread;

use crate::given::{run, try_run, Given, DISK};
use crate::on_both;

on_both! {
    8 psync_reads_what_it_wrote;
    8 pvsync_reads_what_it_wrote;
    8 io_uring_reads_what_it_wrote;
    8 io_uring_with_fixed_buffers_reads_what_it_wrote;
    8 mmap_reads_what_it_wrote;
    8 mmap_reads_what_psync_wrote;
    8 psync_reads_what_mmap_wrote;
    8 io_uring_reads_what_mmap_wrote;
    8 mmap_reads_what_io_uring_wrote;
    8 a_byte_that_changed_is_found;
}

fn psync_reads_what_it_wrote(given: &Given) {
    run(&mut fio(given, "psync"));
}

fn pvsync_reads_what_it_wrote(given: &Given) {
    run(&mut fio(given, "pvsync"));
}

fn io_uring_reads_what_it_wrote(given: &Given) {
    run(fio(given, "io_uring").arg("--iodepth=8"));
}

fn io_uring_with_fixed_buffers_reads_what_it_wrote(given: &Given) {
    run(fio(given, "io_uring").args(["--iodepth=8", "--fixedbufs=1", "--registerfiles=1"]));
}

fn mmap_reads_what_it_wrote(given: &Given) {
    run(&mut fio(given, "mmap"));
}

fn mmap_reads_what_psync_wrote(given: &Given) {
    write_and_read(given, "psync", "mmap");
}

fn psync_reads_what_mmap_wrote(given: &Given) {
    write_and_read(given, "mmap", "psync");
}

fn io_uring_reads_what_mmap_wrote(given: &Given) {
    write_and_read(given, "mmap", "io_uring");
}

fn mmap_reads_what_io_uring_wrote(given: &Given) {
    write_and_read(given, "io_uring", "mmap");
}

fn a_byte_that_changed_is_found(given: &Given) {
    run(fio(given, "psync").arg("--do_verify=0"));
    let at = 5 * 4096 + 1000;
    let mut byte = [0];
    given.pool.read_exact_at(&mut byte, at).unwrap();
    given.pool.write_all_at(&[!byte[0]], at).unwrap();
    let (status, said) = try_run(fio(given, "mmap").arg("--verify_only=1"));
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("verify failed at"), "{said}");
}

/// fio does not heed `--offset` on devices, and with its mmap engine on nothing.
#[test]
fn two_processes_read_what_each_wrote_to_a_created_pool() {
    Given::created(8, |given| {
        thread::scope(|scope| {
            for (engine, half) in [("psync", "--offset=0"), ("io_uring", "--offset=4M")] {
                scope.spawn(move || run(fio(given, engine).args([half, "--size=4M"])));
            }
        });
        assert_eq!(given.pool.info().unwrap().nr_resident_pages, 8 * 256);
    });
}

/// The other way round: a file on a disk is read and written past the page cache, and the buffers
/// are memory of the pool. fio gives what it maps its size with `ftruncate`, so not the node.
#[test]
fn buffers_in_a_created_pool_take_direct_io() {
    for options in [
        "--ioengine=psync",
        "--ioengine=libaio",
        "--ioengine=io_uring",
        "--ioengine=io_uring --fixedbufs=1",
    ] {
        Given::created(1, |given| {
            run(given
                .program("fio")
                .args(["--direct=1", "--iodepth=8", "--filename=/blocks"])
                .arg(format!("--mem=mmapshared:{}", given.path))
                .args(options.split(' '))
                .args(OPTIONS));
            assert!(given.pool.info().unwrap().nr_resident_pages > 0);
        });
    }
    fs::remove_file(format!("{DISK}/blocks")).unwrap();
}

fn write_and_read(given: &Given, writer: &str, reader: &str) {
    run(fio(given, writer).arg("--do_verify=0"));
    run(fio(given, reader).arg("--verify_only=1"));
    assert_eq!(given.pool.info().unwrap().nr_resident_pages, 8 * 256);
}

/// Every block once, in an order that is the same in each run.
const OPTIONS: [&str; 8] = [
    "--name=blocks",
    "--rw=randwrite",
    "--bs=4k",
    "--size=8M",
    "--verify=crc32c",
    "--verify_fatal=1",
    "--verify_state_save=0",
    "--randrepeat=1",
];

fn fio(given: &Given, engine: &str) -> Command {
    let mut command = given.program("fio");
    command
        .arg(format!("--filename={}", given.path))
        .arg(format!("--ioengine={engine}"))
        .arg("--allow_file_create=0")
        .args(OPTIONS);
    command
}
