// SPDX-License-Identifier: MIT OR GPL-2.0

//! Swap, in a file on the disk. Private copies are swapped out and in. The pages of a pool stay in
//! memory.

use std::ffi::CString;
use std::fs;
use std::process::Command;

use mmap_pool::Mapping;
use mmap_pool_tests::module::EmptyPool;
use mmap_pool_tests::observe::{checked, page_table, put_word, word, PageEntry};
use mmap_pool_tests::scenario::Oracle;
use mmap_pool_tests::subject::{page_size, Subject};
use mmap_pool_tests::{Answer, Failure};

use crate::given::DISK;

const PAGES: usize = 64;

#[test]
fn private_copies_go_out_and_come_back() {
    let expected = "64 out, all come back, read() old";
    for who in ["node", "created", "memfd"] {
        assert_eq!(ask(who, private).unwrap(), expected, "{who}");
    }
}

#[test]
fn the_pages_of_a_pool_stay() {
    for who in ["node", "created"] {
        assert_eq!(
            ask(who, shared).unwrap(),
            "0 KiB out, all come back",
            "{who}"
        );
    }
    // There was room for them.
    assert_eq!(ask("memfd", shared).unwrap(), "256 KiB out, all come back");
}

fn private(subject: &Subject) -> Answer {
    subject.put_word(0, "old")?;
    let mapping = subject.private()?;
    write_and_page_out(&mapping)?;
    let entries = page_table(&mapping)?;
    let nr_out = entries
        .iter()
        .filter(|entry| PageEntry::is_swapped(**entry));
    Ok(format!(
        "{} out, {}, read() {}",
        nr_out.count(),
        look(&mapping)?,
        subject.word(0)?
    ))
}

fn shared(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    write_and_page_out(&mapping)?;
    let swaps = fs::read_to_string("/proc/swaps")?;
    // Name, kind, size, used.
    let used = swaps
        .lines()
        .last()
        .and_then(|line| line.split_whitespace().nth(3));
    Ok(format!(
        "{} KiB out, {}",
        used.unwrap_or("?"),
        look(&mapping)?
    ))
}

fn write_and_page_out(mapping: &Mapping) -> Result<(), Failure> {
    for page in 0..PAGES {
        put_word(mapping, page * page_size(), &format!("page {page}"))?;
    }
    // New pages wait in a list of the processor that they were touched on, and `madvise()` empties
    // that of its own alone (`madvise_cold_or_pageout_pte_range()`, mm/madvise.c). This empties all.
    fs::write("/proc/sys/vm/compact_memory", "1")?;
    // SAFETY: The range is the mapping's.
    checked(unsafe {
        libc::madvise(
            mapping.as_ptr().cast(),
            PAGES * page_size(),
            libc::MADV_PAGEOUT,
        )
    })?;
    Ok(())
}

fn look(mapping: &Mapping) -> Answer {
    for page in 0..PAGES {
        let found = word(mapping, page * page_size())?;
        if found != format!("page {page}") {
            return Ok(format!("page {page} is {found}"));
        }
    }
    Ok("all come back".into())
}

fn ask(who: &str, question: fn(&Subject) -> Answer) -> Answer {
    let module = EmptyPool::new()?;
    let swap = Swap::new()?;
    let subject = match who {
        "node" => Subject::node(),
        "created" => Subject::created()?,
        _ => Subject::oracle(Oracle::Memfd)?,
    };
    let answer = question(&subject);
    drop((subject, swap));
    module.release()?;
    answer
}

/// A file that the kernel swaps to.
struct Swap(CString);

impl Swap {
    fn new() -> Result<Self, Failure> {
        let path = format!("{DISK}/swap");
        fs::write(&path, vec![0; 8 << 20])?;
        let made = Command::new("mkswap").arg(&path).output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        let path = CString::new(path)?;
        // SAFETY: The path ends with a zero byte.
        checked(unsafe { libc::swapon(path.as_ptr(), 0) })?;
        Ok(Self(path))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // SAFETY: The path ends with a zero byte.
        unsafe { libc::swapoff(self.0.as_ptr()) };
        let _ = fs::remove_file(self.0.to_string_lossy().as_ref());
    }
}
