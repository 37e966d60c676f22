// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pools that allocate their pages in windows, or all at once.

use mmap_pool::{MappingBuilder, Pool, Strategy};
use rustix::fs::ftruncate;

use super::{advise, Object, HUGE};
use crate::child::Child;
use crate::machine::Feature;
use crate::observe::{
    list, mincore, nr_minor_faults, present, put_word, symbol, verdict, word, word_in_file,
};
use crate::scenario::Who::Node;
use crate::scenario::{row, Scenario, Who};
use crate::signal::{touch, Access};
use crate::subject::page_size;

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_window_is_allocated_and_mapped_together() -> Scenario {
    row(
        "windows of 64 KiB: write pages 20 and 31",
        "1 fault, 16 resident; in the page table 16 to 31; mincore 16",
    )
    .without(Node)
    .without(Who::Oracle)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::new(subject, Strategy::Around, 64 * page_size())?;
        let first = object.map(MappingBuilder::shared())?;
        let window = [16, 31].map(|page| first.as_ptr().addr() + page * page_size());
        // A fault maps pages of one page table alone (`finish_fault()`, mm/memory.c). A window that
        // crosses its end does not cross it in a mapping beside the first.
        let mapping = if window[0] / HUGE == window[1] / HUGE {
            first
        } else {
            object.map(MappingBuilder::shared())?
        };
        let before = nr_minor_faults();
        put_word(&mapping, 20 * page_size(), "here")?;
        put_word(&mapping, 31 * page_size(), "there")?;
        let nr_faults = nr_minor_faults() - before;
        let present = present(&mapping)?;
        Ok(format!(
            "{nr_faults} fault, {} resident; in the page table {} to {}; mincore {}",
            object.nr_resident_pages()?,
            present.first().unwrap_or(&0),
            present.last().unwrap_or(&0),
            mincore(&mapping)?.len()
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_window_at_the_end_is_smaller() -> Scenario {
    row(
        "windows of 64 KiB, 21 pages: write pages 17 and 20",
        "mincore 16 17 18 19 20; past the end SIGBUS BUS_ADRERR at +0x15000",
    )
    .without(Node)
    .without(Who::Oracle)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::new(subject, Strategy::Around, 21 * page_size())?;
        let mapping = object.map(MappingBuilder::shared().len(32 * page_size()))?;
        put_word(&mapping, 17 * page_size(), "here")?;
        put_word(&mapping, 20 * page_size(), "last")?;
        Ok(format!(
            "mincore {}; past the end {}",
            list(&mincore(&mapping)?),
            touch(mapping.as_ptr(), 21 * page_size(), Access::Write)?
        ))
    })
}

pub(crate) const fn eager_mappings_never_fault() -> Scenario {
    row(
        "eager: map 64 pages with MAP_POPULATE, then write each",
        "64 resident when created; 64 in the page table; then 0 faults",
    )
    .without(Node)
    .but(
        Who::Oracle,
        "0 resident when created; 64 in the page table; then 0 faults",
    )
    .test(|subject| {
        let object = Object::new(subject, Strategy::Eager, 64 * page_size())?;
        let resident = object.nr_resident_pages()?;
        let mapping = object.map(MappingBuilder::shared().populate())?;
        let present = present(&mapping)?.len();
        let before = nr_minor_faults();
        for number in 0..64 {
            put_word(&mapping, number * page_size(), "here")?;
        }
        Ok(format!(
            "{resident} resident when created; {present} in the page table; then {} faults",
            nr_minor_faults() - before
        ))
    })
}

pub(crate) const fn lazy_mappings_fault_for_each_page() -> Scenario {
    row(
        "lazy: map 64 pages, then write each",
        "0 resident, 0 in the page table; then 64 faults",
    )
    .without(Node)
    .test(|subject| {
        let object = Object::new(subject, Strategy::Page, 64 * page_size())?;
        let mapping = object.map(MappingBuilder::shared())?;
        let present = present(&mapping)?.len();
        let resident = object.nr_resident_pages()?;
        let before = nr_minor_faults();
        for number in 0..64 {
            put_word(&mapping, number * page_size(), "here")?;
        }
        Ok(format!(
            "{resident} resident, {present} in the page table; then {} faults",
            nr_minor_faults() - before
        ))
    })
}

pub(crate) const fn eager_mappings_are_memory_like_any_other() -> Scenario {
    row(
        "eager: offset, private copy, MADV_DONTNEED, fork, past the end",
        "object shared, private shared; page 9 0, private mine; child shared; past the end \
         SIGBUS BUS_ADRERR at +0x38000",
    )
    .without(Node)
    .test(|subject| {
        let object = Object::new(subject, Strategy::Eager, 64 * page_size())?;
        let shared = object.map(
            MappingBuilder::shared()
                .offset(8 * page_size() as u64)
                .len(60 * page_size()),
        )?;
        let private = object.map(MappingBuilder::private())?;
        put_word(&shared, 0, "shared")?;
        put_word(&private, 9 * page_size(), "mine")?;
        advise(&shared, 0..1, libc::MADV_DONTNEED);
        let child = Child::fork(|_| word(&shared, 0))?;
        Ok(format!(
            "object {}, private {}; page 9 {}, private {}; child {}; past the end {}",
            word_in_file(&object.file, 8 * page_size())?,
            word(&private, 8 * page_size())?,
            word_in_file(&object.file, 9 * page_size())?,
            word(&private, 9 * page_size())?,
            child.finish()?,
            touch(shared.as_ptr(), 56 * page_size(), Access::Read)?
        ))
    })
}

pub(crate) const fn eager_pools_keep_their_pages() -> Scenario {
    row(
        "eager: shrink, punch, MADV_REMOVE, grow, revoke",
        "shrink EPERM, punch EPERM, MADV_REMOVE EPERM, grow ok, revoke EPERM; 65 resident",
    )
    .without(Node)
    .without(Who::Oracle)
    .test(|subject| {
        let object = Object::new(subject, Strategy::Eager, 64 * page_size())?;
        let mapping = object.map(MappingBuilder::shared())?;
        let shrunk = ftruncate(&object.file, 32 * page_size() as u64);
        let punched = object.punch_errno(0, page_size());
        let removed = advise(&mapping, 0..64, libc::MADV_REMOVE);
        let grown = ftruncate(&object.file, 65 * page_size() as u64);
        let revoked = match Pool::try_from(object.file.try_clone()?)?.revoke() {
            Ok(()) => "ok".into(),
            Err(error) => symbol(error.errno()),
        };
        Ok(format!(
            "shrink {}, punch {}, MADV_REMOVE {removed}, grow {}, revoke {revoked}; {} resident",
            verdict(&shrunk),
            verdict(&punched),
            verdict(&grown),
            object.nr_resident_pages()?
        ))
    })
}
