// SPDX-License-Identifier: MIT OR GPL-2.0

//! `userfaultfd(2)`: a program learns of each access to a protected page, for example to take a
//! snapshot of memory that is in use.

use std::ffi::c_ulong;
use std::fs::File;
use std::os::fd::AsRawFd;

use mmap_pool::Mapping;
use rustix::mm::MapFlags;

use crate::child::in_child;
use crate::observe::{checked, list, put_word, put_word_in_file, verdict, word};
use crate::scenario::Who::{Created, Node};
use crate::scenario::{row, Scenario};
use crate::subject::{anonymous, page_size, size, Subject};
use crate::uffd::{Fault, Fill, Uffd, FEATURE_RWP, MINOR, MISSING, RWP, WP, WP_ASYNC};
use crate::{Answer, Failure};

pub(crate) const fn modes_of_registration() -> Scenario {
    row(
        "UFFDIO_REGISTER: missing, write-protect, minor, read-write-protect",
        "ok ok ok ok",
    )
    .but(Node, "EINVAL ok EINVAL ok")
    .but(Created, "EINVAL ok EINVAL ok")
    .test(|subject| {
        let uffd = Uffd::new(FEATURE_RWP)?;
        let mapping = subject.shared()?;
        // A page for each, because a kernel need not add one mode to another.
        let modes = [(0, MISSING), (1, WP), (2, MINOR), (3, RWP)].map(|(page, mode)| {
            let bytes = page * page_size()..(page + 1) * page_size();
            verdict(&uffd.register(&mapping, bytes, mode))
        });
        Ok(modes.join(" "))
    })
}

/// For the kernel it is enough that the mapping is registered, in whatever mode.
pub(crate) const fn filling_pages_that_are_registered_for_writes() -> Scenario {
    row(
        "UFFDIO_COPY, _ZEROPAGE, _CONTINUE into holes, registered for writes",
        "ok ok EFAULT; 9 copied, 10 0",
    )
    .but(Node, "ENOMEM ENOMEM EINVAL; 9 0, 10 0")
    .but(Created, "ENOMEM ENOMEM EINVAL; 9 0, 10 0")
    .test(|subject| {
        let (uffd, mapping) = registered(subject, 0, WP)?;
        let source = anonymous(page_size(), MapFlags::PRIVATE)?;
        put_word(&source, 0, "copied")?;
        let fills = [Fill::Copy(&source), Fill::Zeroes, Fill::PageCache];
        let mut verdicts = Vec::new();
        for (number, fill) in fills.iter().enumerate() {
            let start = (9 + number) * page_size();
            verdicts.push(verdict(&uffd.fill(
                &mapping,
                start..start + page_size(),
                fill,
            )));
        }
        Ok(format!(
            "{}; 9 {}, 10 {}",
            verdicts.join(" "),
            word(&mapping, 9 * page_size())?,
            word(&mapping, 10 * page_size())?
        ))
    })
}

pub(crate) const fn a_write_to_a_protected_page_waits_and_is_told() -> Scenario {
    row(
        "protect pages 1 to 3 from writes, write pages 0 and 2",
        "page 2 told 0x3: old; then 0 free, 1 old, 2 new",
    )
    .test(|subject| {
        let (uffd, mapping) = registered(subject, 0, WP)?;
        uffd.write_protect(&mapping, page_size()..4 * page_size(), true)?;
        let told = told(&uffd, &mapping, || {
            put_word(&mapping, 0, "free")?;
            put_word(&mapping, 2 * page_size(), "new")
        })?;
        Ok(format!(
            "{told}; then 0 {}, 1 {}, 2 {}",
            word(&mapping, 0)?,
            word(&mapping, page_size())?,
            word(&mapping, 2 * page_size())?
        ))
    })
}

pub(crate) const fn a_protected_hole_is_told_of_its_first_write() -> Scenario {
    row(
        "protect a page that was never touched, write it",
        "page 9 told 0x3: 0; then 9 new",
    )
    .test(|subject| {
        let (uffd, mapping) = registered(subject, 0, WP)?;
        uffd.write_protect(&mapping, 9 * page_size()..10 * page_size(), true)?;
        let told = told(&uffd, &mapping, || {
            put_word(&mapping, 9 * page_size(), "new")
        })?;
        Ok(format!(
            "{told}; then 9 {}",
            word(&mapping, 9 * page_size())?
        ))
    })
}

pub(crate) const fn pagemap_scan_finds_what_was_written() -> Scenario {
    row(
        "UFFD_FEATURE_WP_ASYNC: write pages 2 and 5, PAGEMAP_SCAN",
        "nothing told; written 2 5",
    )
    .test(|subject| {
        let (uffd, mapping) = registered(subject, WP_ASYNC, WP)?;
        uffd.write_protect(&mapping, 0..8 * page_size(), true)?;
        let told = told(&uffd, &mapping, || {
            put_word(&mapping, 2 * page_size(), "new")?;
            put_word(&mapping, 5 * page_size(), "new")
        })?;
        Ok(format!("{told}; written {}", written(&mapping, 8)?))
    })
}

pub(crate) const fn write_passes_by_a_protected_page() -> Scenario {
    row(
        "write(2) to a page that is protected from writes",
        "nothing told; mapping new",
    )
    .test(|subject| {
        let (uffd, mapping) = registered(subject, 0, WP)?;
        uffd.write_protect(&mapping, 0..4 * page_size(), true)?;
        let file: File = subject.file()?.into();
        let told = told(&uffd, &mapping, || {
            put_word_in_file(&file, 2 * page_size(), "new")
        })?;
        Ok(format!(
            "{told}; mapping {}",
            word(&mapping, 2 * page_size())?
        ))
    })
}

pub(crate) const fn a_child_is_not_registered() -> Scenario {
    row(
        "the same pages in a child after fork, and then in the parent",
        "child ok; page 2 told 0x3: child; then 2 new",
    )
    .test(|subject| {
        let (uffd, mapping) = registered(subject, 0, WP)?;
        uffd.write_protect(&mapping, 0..4 * page_size(), true)?;
        let child = in_child(|| {
            put_word(&mapping, 2 * page_size(), "child")?;
            Ok("ok".into())
        })?;
        let told = told(&uffd, &mapping, || {
            put_word(&mapping, 2 * page_size(), "new")
        })?;
        Ok(format!(
            "child {child}; {told}; then 2 {}",
            word(&mapping, 2 * page_size())?
        ))
    })
}

pub(crate) const fn a_part_can_be_unmapped_while_registered() -> Scenario {
    row(
        "unmap the second half of a registered mapping, write page 2",
        "page 2 told 0x3: old; file new",
    )
    .test(|subject| {
        let (uffd, mut mapping) = registered(subject, 0, WP)?;
        uffd.write_protect(&mapping, 0..size(), true)?;
        mapping.remap(size() / 2)?;
        let told = told(&uffd, &mapping, || {
            put_word(&mapping, 2 * page_size(), "new")
        })?;
        Ok(format!("{told}; file {}", subject.word(2 * page_size())?))
    })
}

pub(crate) const fn a_read_of_a_protected_page_waits_and_is_told() -> Scenario {
    row(
        "protect pages 1 to 3 from reads too, read pages 0 and 2",
        "page 2 told 0x8: read old old",
    )
    .test(|subject| {
        let (uffd, mapping) = registered(subject, FEATURE_RWP, RWP)?;
        uffd.protect(&mapping, page_size()..4 * page_size(), true)?;
        let mut told = Vec::new();
        let words = uffd.during(
            || Ok::<_, Failure>([word(&mapping, 0)?, word(&mapping, 2 * page_size())?]),
            |fault| {
                told.push(describe(&mapping, fault));
                resolve(uffd.protect(&mapping, 0..size(), false));
            },
        )??;
        Ok(format!("{}: read {}", told.join(", "), words.join(" ")))
    })
}

/// A shared mapping whose first pages say `old`, registered for faults of a mode.
fn registered(subject: &Subject, features: u64, mode: u64) -> Result<(Uffd, Mapping), Failure> {
    let uffd = Uffd::new(features)?;
    let mapping = subject.shared()?;
    for page in 0..8 {
        put_word(&mapping, page * page_size(), "old")?;
    }
    uffd.register(&mapping, 0..mapping.len(), mode)?;
    Ok((uffd, mapping))
}

/// The faults that `act` causes, and what the page holds meanwhile. Then its write is permitted.
fn told(
    uffd: &Uffd,
    mapping: &Mapping,
    act: impl FnOnce() -> Result<(), Failure> + Send,
) -> Answer {
    let mut told = Vec::new();
    uffd.during(act, |fault| {
        let offset = fault.address - mapping.as_ptr().addr();
        let held = word(mapping, offset).unwrap_or_else(|failure| failure.to_string());
        told.push(format!("{}: {held}", describe(mapping, fault)));
        let page = offset / page_size() * page_size();
        resolve(uffd.write_protect(mapping, page..page + page_size(), false));
    })??;
    Ok(match &told[..] {
        [] => "nothing told".into(),
        told => told.join(", "),
    })
}

/// A task that is not woken would wait for ever.
fn resolve(result: Result<(), mmap_pool::Errno>) {
    assert_eq!(result, Ok(()), "the task waits for ever");
}

fn describe(mapping: &Mapping, fault: Fault) -> String {
    let page = (fault.address - mapping.as_ptr().addr()) / page_size();
    format!("page {page} told {:#x}", fault.flags)
}

/// Numbers of those of the first pages that were written since they were protected.
fn written(mapping: &Mapping, nr_pages: usize) -> Answer {
    /// `PAGEMAP_SCAN`, with a `struct pm_scan_arg`.
    const SCAN: c_ulong = 0xc060_6610;
    const PAGE_IS_WRITTEN: u64 = 1 << 1;

    let pagemap = File::open("/proc/self/pagemap")?;
    let start = mapping.as_ptr().addr();
    // Start, end and categories of each range.
    let mut ranges = [[0_u64; 3]; 8];
    let mut argument = [
        96,
        0,
        start as u64,
        (start + nr_pages * page_size()) as u64,
        0,
        ranges.as_mut_ptr().addr() as u64,
        ranges.len() as u64,
        0,
        0,
        PAGE_IS_WRITTEN,
        0,
        PAGE_IS_WRITTEN,
    ];
    let argument = argument.as_mut_ptr();
    // SAFETY: The kernel reads and writes the argument, and writes the ranges that it names.
    let nr_ranges = checked(unsafe { libc::ioctl(pagemap.as_raw_fd(), SCAN, argument) })?;
    let mut pages = Vec::new();
    for [first, end, _] in &ranges[..usize::try_from(nr_ranges)?] {
        let number =
            |address: u64| Ok::<_, Failure>((usize::try_from(address)? - start) / page_size());
        pages.extend(number(*first)?..number(*end)?);
    }
    Ok(list(&pages))
}
