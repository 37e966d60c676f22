// SPDX-License-Identifier: MIT OR GPL-2.0

//! Programs that copy and compare files: dd, cmp, cp, sha256sum.

use std::fs;

use crate::given::{run, try_run, Given, DISK};
use crate::on_both;

on_both! {
    16 dd_copies_a_program_in_and_out;
    16 cmp_finds_the_byte_that_differs;
    16 sparse_dd_leaves_holes;
    16 sha256sum_is_that_of_the_file;
}

/// Some megabytes that are no multiple of a page.
const FILE: &str = "/usr/bin/fio";

fn dd_copies_a_program_in_and_out(given: &Given) {
    let file = fs::read(format!("{DISK}{FILE}")).unwrap();
    copy_in(given);
    let mut found = vec![0; file.len()];
    given.pool.read_exact_at(&mut found, 0).unwrap();
    assert!(found == file, "other bytes");

    run(given
        .program("dd")
        .args([&format!("if={}", given.path), "of=/tmp/out", "bs=3000"])
        .args(["iflag=count_bytes", &format!("count={}", file.len())]));
    run(given.program("cmp").args([FILE, "/tmp/out"]));
    fs::remove_file("/tmp/out").unwrap();
}

fn cmp_finds_the_byte_that_differs(given: &Given) {
    copy_in(given);
    let len = fs::metadata(format!("{DISK}{FILE}"))
        .unwrap()
        .len()
        .to_string();
    let mut cmp = given.program("cmp");
    cmp.args(["-n", &len, FILE, given.path]);
    run(&mut cmp);
    let mut byte = [0];
    given.pool.read_exact_at(&mut byte, 12345).unwrap();
    given.pool.write_all_at(&[!byte[0]], 12345).unwrap();
    let (status, said) = try_run(&mut cmp);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(" 12346,"), "{said}");
}

fn sparse_dd_leaves_holes(given: &Given) {
    fs::write(
        "/tmp/sparse",
        [vec![1; 4096], vec![0; 1 << 20], vec![2; 4096]].concat(),
    )
    .unwrap();
    run(given
        .program("dd")
        .args(["if=/tmp/sparse", &format!("of={}", given.path)])
        .args(["bs=4096", "conv=sparse,notrunc"]));
    assert_eq!(given.pool.info().unwrap().nr_resident_pages, 2);
    run(given
        .program("cmp")
        .args(["-n", "1056768", "/tmp/sparse", given.path]));
    fs::remove_file("/tmp/sparse").unwrap();
}

fn sha256sum_is_that_of_the_file(given: &Given) {
    copy_in(given);
    let len = fs::metadata(format!("{DISK}{FILE}")).unwrap().len();
    let sum = |command: &str| run(given.program("sh").args(["-c", command]));
    assert_eq!(
        sum(&format!("head -c {len} {} | sha256sum", given.path)),
        sum(&format!("sha256sum <{FILE}"))
    );
}

fn copy_in(given: &Given) {
    run(given
        .program("dd")
        .args([&format!("if={FILE}"), &format!("of={}", given.path)])
        .args(["bs=64k", "conv=notrunc"]));
}
