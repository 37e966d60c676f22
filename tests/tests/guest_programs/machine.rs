// SPDX-License-Identifier: MIT OR GPL-2.0

//! QEMU boots a machine whose memory is a pool.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{kill_process, Pid, Signal};
use rustix::system::uname;

use crate::given::{compiled, run, Given};
use crate::on_both;

on_both! {
    256 a_guest_boots_in_it;
}

/// By this message the kernel has unpacked itself, built page tables and found its memory.
const FAR_ENOUGH: &str = "NX (Execute Disable) protection";

fn a_guest_boots_in_it(given: &Given) {
    let memory = format!(
        "memory-backend-file,id=pool,size=256M,share=on,mem-path={}",
        given.path
    );
    let mut machine = given
        .program("qemu-system-x86_64")
        .args("-nodefaults -no-user-config -display none -no-reboot -serial stdio".split(' '))
        .args("-machine microvm,rtc=on,memory-backend=pool -accel tcg -cpu max".split(' '))
        .args(["-m", "256M", "-object", &memory])
        .args(["-kernel", &compiled("kernel"), "-append"])
        .arg("console=ttyS0 earlyprintk=ttyS0 nokaslr panic=-1")
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    for line in BufReader::new(machine.stdout.take().unwrap()).split(b'\n') {
        said += &String::from_utf8_lossy(&line.unwrap());
        said.push('\n');
        if said.contains(FAR_ENOUGH) {
            break;
        }
    }
    // `timeout` hands it on.
    kill_process(Pid::from_child(&machine), Signal::TERM).unwrap();
    machine.wait().unwrap();
    let release = uname().release().to_string_lossy().into_owned();
    let banner = format!("Linux version {release}");
    assert!(
        said.contains(&banner) && said.contains(FAR_ENOUGH),
        "{said}"
    );

    // What the machine wrote is in the pool: its kernel as it unpacked it, and its log.
    for text in [
        banner.as_str(),
        "Command line: console=ttyS0 earlyprintk=ttyS0",
    ] {
        run(given
            .program("grep")
            .args(["-a", "-q", "-F", text, given.path]));
    }
    let info = given.pool.info().unwrap();
    assert!(info.nr_resident_pages > 1024, "{info:?}");
}
