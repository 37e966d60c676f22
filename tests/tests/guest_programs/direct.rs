// SPDX-License-Identifier: MIT OR GPL-2.0

//! `O_DIRECT`: a disk reads and writes the pages of a mapping, which are pinned meanwhile.
//!
//! Each answer must be the same on the device node, on a created pool, and on a memfd.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use mmap_pool::{Mapping, MappingBuilder, Protection};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::EmptyPool;
use mmap_pool_tests::observe::{checked, count, put_word, word, word_in_file};
use mmap_pool_tests::scenario::Oracle;
use mmap_pool_tests::subject::{page_size, size, Subject, PAGES};
use mmap_pool_tests::{Answer, Failure};

use crate::given::DISK;

#[test]
fn a_disk_reads_into_untouched_pages() {
    check(
        "1048576; word 0, word 255; 256 resident",
        |subject, disk| {
            let mapping = subject.shared()?;
            let read = disk.read(&mapping, 0, size(), 0)?;
            Ok(format!(
                "{read}; {}, {}; {} resident",
                subject.word(0)?,
                subject.word(size() - page_size())?,
                subject.nr_resident_pages()?
            ))
        },
    );
}

#[test]
fn a_disk_writes_what_a_mapping_holds() {
    check(
        "16384: word 0, mine; 1 page without memory is 0",
        |subject, disk| {
            let mapping = subject.shared()?;
            for (page, text) in [(0, "word 0"), (1, "mine"), (2, "more")] {
                put_word(&mapping, page * page_size(), text)?;
            }
            let written = disk.write(&mapping, 0, 4 * page_size(), 8 * page_size())?;
            Ok(format!(
                "{written}: {}, {}; 1 page without memory is {}",
                disk.word(8 * page_size())?,
                disk.word(9 * page_size())?,
                disk.word(11 * page_size())?
            ))
        },
    );
}

#[test]
fn a_disk_reads_into_a_private_copy() {
    check("8192; mine word 1, theirs old", |subject, disk| {
        subject.put_word(page_size(), "old")?;
        let mapping = subject.private()?;
        let read = disk.read(&mapping, 0, 2 * page_size(), 0)?;
        Ok(format!(
            "{read}; mine {}, theirs {}",
            word(&mapping, page_size())?,
            subject.word(page_size())?
        ))
    });
}

#[test]
fn a_part_of_a_page_is_read_in_place() {
    check("512; before, word 0, after", |subject, disk| {
        let mapping = subject.shared()?;
        for (offset, text) in [(0, "before"), (512, "old"), (1024, "after")] {
            put_word(&mapping, offset, text)?;
        }
        let read = disk.read(&mapping, 512, 512, 0)?;
        Ok(format!(
            "{read}; {}, {}, {}",
            word(&mapping, 0)?,
            word(&mapping, 512)?,
            word(&mapping, 1024)?
        ))
    });
}

#[test]
fn a_disk_does_not_read_into_a_read_only_mapping() {
    check("EFAULT; old", |subject, disk| {
        subject.put_word(0, "old")?;
        let mapping = subject.map(MappingBuilder::shared().protection(Protection::READ))?;
        let read = disk.read(&mapping, 0, page_size(), 0)?;
        Ok(format!("{read}; {}", subject.word(0)?))
    });
}

#[test]
fn nothing_is_transferred_past_the_end_of_the_object() {
    check(
        "read EFAULT, write EFAULT, up to it 8192 8192",
        |subject, disk| {
            let mapping = subject.shared()?;
            subject.resize((size() - 2 * page_size()) as u64)?;
            let at = size() - 4 * page_size();
            Ok(format!(
                "read {}, write {}, up to it {} {}",
                disk.read(&mapping, at, 4 * page_size(), 0)?,
                disk.write(&mapping, at, 4 * page_size(), 0)?,
                disk.read(&mapping, at, 2 * page_size(), 0)?,
                disk.write(&mapping, at, 2 * page_size(), 0)?
            ))
        },
    );
}

#[test]
fn pages_that_are_punched_while_a_disk_reads_are_no_others() {
    check("every page is a word of the disk or 0", |subject, disk| {
        let mapping = subject.shared()?;
        let puncher = Child::fork(|_| loop {
            subject.punch(0, size() as u64)?;
        })?;
        for _ in 0..50 {
            disk.read(&mapping, 0, size(), 0)?;
        }
        puncher.kill()?;
        puncher.wait()?;
        for page in 0..PAGES {
            let found = word(&mapping, page * page_size())?;
            if found != "0" && found != format!("word {page}") {
                return Ok(format!("page {page} is {found}"));
            }
        }
        Ok("every page is a word of the disk or 0".into())
    });
}

#[test]
fn a_child_made_while_pages_are_copies_does_not_get_what_is_read() {
    check("mine word 0, the child's old", |subject, disk| {
        let mapping = subject.private()?;
        put_word(&mapping, 0, "old")?;
        let mut child = Child::fork(|link| {
            link.hear()?;
            word(&mapping, 0)
        })?;
        disk.read(&mapping, 0, page_size(), 0)?;
        child.link.say("look")?;
        Ok(format!(
            "mine {}, the child's {}",
            word(&mapping, 0)?,
            child.finish()?
        ))
    });
}

/// What the node, a created pool and a memfd must answer.
fn check(expected: &str, ask: fn(&Subject, &Disk) -> Answer) {
    let module = EmptyPool::new().unwrap();
    let disk = Disk::new().unwrap();
    let subjects: [fn() -> Result<Subject, Failure>; 3] = [
        || Ok(Subject::node()),
        Subject::created,
        || Subject::oracle(Oracle::Memfd),
    ];
    for (who, make) in ["node", "created", "memfd"].into_iter().zip(subjects) {
        let subject = make().unwrap();
        let answer = ask(&subject, &disk).unwrap();
        assert_eq!(answer, expected, "{who}");
    }
    module.release().unwrap();
}

/// A file on a real file system on a virtual disk, of [`size`] bytes, opened with `O_DIRECT`. Each
/// page begins with `word` and its number.
struct Disk {
    file: File,
    path: String,
}

impl Disk {
    fn new() -> Result<Self, Failure> {
        let path = format!("{DISK}/direct");
        let mut bytes = vec![0; size()];
        for (number, page) in bytes.chunks_mut(page_size()).enumerate() {
            let text = format!("word {number}");
            page[..text.len()].copy_from_slice(text.as_bytes());
        }
        fs::write(&path, bytes)?;
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path)?;
        file.sync_all()?;
        Ok(Self { file, path })
    }

    /// `pread(2)` into the mapping: the count or the errno.
    fn read(&self, mapping: &Mapping, at: usize, len: usize, offset: usize) -> Answer {
        let to = mapping.as_ptr().wrapping_add(at).cast();
        let offset = i64::try_from(offset)?;
        // SAFETY: The kernel writes into the mapping, which others may write as well.
        let read = unsafe { libc::pread(self.file.as_raw_fd(), to, len, offset) };
        Ok(count(&checked(read)))
    }

    /// `pwrite(2)` from the mapping: the count or the errno.
    fn write(&self, mapping: &Mapping, at: usize, len: usize, offset: usize) -> Answer {
        let from = mapping.as_ptr().wrapping_add(at).cast();
        let offset = i64::try_from(offset)?;
        // SAFETY: The kernel reads the mapping.
        let written = unsafe { libc::pwrite(self.file.as_raw_fd(), from, len, offset) };
        Ok(count(&checked(written)))
    }

    /// The word at `offset`, read through the page cache.
    fn word(&self, offset: usize) -> Answer {
        word_in_file(&File::open(&self.path)?, offset)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
