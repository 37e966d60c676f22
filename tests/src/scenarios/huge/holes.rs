// SPDX-License-Identifier: MIT OR GPL-2.0

//! Huge pages with a hole in them, or with the end of the object in them.

use mmap_pool::MappingBuilder;
use rustix::fs::{ftruncate, seek, SeekFrom};
use rustix::pipe::pipe;

use super::super::pins::{splice_word, word_of_pipe};
use super::{advise, huge_pages, list_of_words, nr_huge, Object, HUGE};
use crate::fail;
use crate::machine::Feature;
use crate::observe::{put_word, word, word_in_file};
use crate::scenario::Who::Node;
use crate::scenario::{row, Scenario, Who};
use crate::signal::{touch, Access};
use crate::subject::page_size;

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn the_last_pages_come_in_smaller_pieces() -> Scenario {
    row(
        "a huge page and 5 more: touch all, touch past the end",
        "512 resident, then 517; past the end SIGBUS BUS_ADRERR at +0x205000",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::huge(subject, HUGE + 5 * page_size())?;
        let mapping = object.map(MappingBuilder::shared().len(HUGE + 8 * page_size()))?;
        put_word(&mapping, 0, "first")?;
        let first = object.nr_resident_pages()?;
        for number in 0..5 {
            put_word(&mapping, HUGE + number * page_size(), "last")?;
        }
        let past = touch(mapping.as_ptr(), HUGE + 5 * page_size(), Access::Write)?;
        Ok(format!(
            "{first} resident, then {}; past the end {past}",
            object.nr_resident_pages()?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_hole_in_the_middle_frees_its_pages() -> Scenario {
    row(
        "punch pages 7 to 9 of 2 huge pages",
        "1 huge; 1021 resident; hole from page 7 to 10; pages 6 7 9 10 1006 0 0 1010",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, 2 * HUGE)?;
        let mapping = object.map_and_touch()?;
        let huge_before = nr_huge(&mapping)?;
        object.punch(7 * page_size(), 3 * page_size())?;
        let resident = object.nr_resident_pages()?;
        let hole = seek(&object.file, SeekFrom::Hole(0))? / page_size() as u64;
        let data =
            seek(&object.file, SeekFrom::Data(hole * page_size() as u64))? / page_size() as u64;
        Ok(format!(
            "{huge_before} huge; {resident} resident; hole from page {hole} to {data}; \
             pages 6 7 9 10 {}",
            list_of_words(&mapping, &[6, 7, 9, 10])?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_hole_across_two_frees_its_pages() -> Scenario {
    row(
        "punch across 3 huge pages, not at page boundaries",
        "1021 resident; first page 1510 0, last page 0 ZZZZZZZZ",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, 3 * HUGE)?;
        let mapping = object.map_and_touch()?;
        // Not whole pages at either end.
        object.punch(HUGE - 2 * page_size() + 8, HUGE + 4 * page_size())?;
        let first = huge_pages() - 2;
        let last = 2 * huge_pages() + 2;
        Ok(format!(
            "{} resident; first page {} {}, last page {} {}",
            object.nr_resident_pages()?,
            word(&mapping, first * page_size())?,
            word(&mapping, first * page_size() + 8)?,
            word(&mapping, last * page_size())?,
            word(&mapping, last * page_size() + 8)?,
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn shrinking_into_the_middle_frees_the_rest() -> Scenario {
    row(
        "shrink 2 huge pages to 8 pages and 8 bytes, grow again",
        "9 resident; page 9 SIGBUS BUS_ADRERR at +0x9000, private SIGBUS BUS_ADRERR at \
         +0x9000; larger again: pages 7 8 9 1007 1008 0, rest of page 8 0",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, 2 * HUGE)?;
        let mapping = object.map(MappingBuilder::shared())?;
        let private = object.map(MappingBuilder::private())?;
        put_word(&private, 9 * page_size(), "mine")?;
        ftruncate(&object.file, (8 * page_size() + 8) as u64)?;
        let resident = object.nr_resident_pages()?;
        let past = touch(mapping.as_ptr(), 9 * page_size(), Access::Read)?;
        let copy = touch(private.as_ptr(), 9 * page_size(), Access::Read)?;
        ftruncate(&object.file, 2 * HUGE as u64)?;
        Ok(format!(
            "{resident} resident; page 9 {past}, private {copy}; \
             larger again: pages 7 8 9 {}, rest of page 8 {}",
            list_of_words(&mapping, &[7, 8, 9])?,
            word(&mapping, 8 * page_size() + 8)?
        ))
    })
}

pub(crate) const fn guard_regions_outlive_what_they_cover() -> Scenario {
    row(
        "MADV_GUARD_INSTALL on pages 6 and 8 of 10, shrink to 5, grow again",
        "pages 5 6 7 8: ok, SIGSEGV SEGV_MAPERR at +0x6000, ok, SIGSEGV SEGV_MAPERR at \
         +0x8000",
    )
    .without(Node)
    .test(|subject| {
        const GUARD_INSTALL: i32 = 102;
        let object = Object::filled(subject, 10 * page_size())?;
        let mapping = object.map(MappingBuilder::shared())?;
        for pages in [6..7, 8..9] {
            let installed = advise(&mapping, pages, GUARD_INSTALL);
            if installed != "ok" {
                fail!("MADV_GUARD_INSTALL: {installed}");
            }
        }
        // Maps what lies between.
        list_of_words(&mapping, &[0, 5, 7, 9])?;
        ftruncate(&object.file, 5 * page_size() as u64)?;
        ftruncate(&object.file, 10 * page_size() as u64)?;
        let touched =
            [5, 6, 7, 8].map(|page| touch(mapping.as_ptr(), page * page_size(), Access::Read));
        let touched = touched.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(format!("pages 5 6 7 8: {}", touched.join(", ")))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_pinned_one_stays_whole_when_punched() -> Scenario {
    row(
        "page 0 of a huge page in a pipe: punch pages 7 to 9",
        "512 resident; pages 0 6 7 9 10 1000 1006 0 0 1010; then new; pipe 1000; unpinned: \
         509 resident",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, HUGE)?;
        let mapping = object.map(MappingBuilder::shared())?;
        let (from, to) = pipe()?;
        splice_word(&mapping, &to)?;
        object.punch(7 * page_size(), 3 * page_size())?;
        let pinned = object.nr_resident_pages()?;
        let words = list_of_words(&mapping, &[0, 6, 7, 9, 10])?;
        put_word(&mapping, 7 * page_size(), "new")?;
        let new = word_in_file(&object.file, 7 * page_size())?;
        let pipe = word_of_pipe(from)?;
        object.punch(7 * page_size(), 3 * page_size())?;
        Ok(format!(
            "{pinned} resident; pages 0 6 7 9 10 {words}; then {new}; pipe {pipe}; \
             unpinned: {} resident",
            object.nr_resident_pages()?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_page_of_a_pinned_one_stays_in_the_object() -> Scenario {
    row(
        "page 0 of a huge page in a pipe: punch it, write it anew",
        "0, then new; pipe new; 512 resident",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, HUGE)?;
        let mapping = object.map(MappingBuilder::shared())?;
        let (from, to) = pipe()?;
        splice_word(&mapping, &to)?;
        object.punch(0, page_size())?;
        let zero = word(&mapping, 0)?;
        put_word(&mapping, 0, "new")?;
        Ok(format!(
            "{zero}, then {}; pipe {}; {} resident",
            word_in_file(&object.file, 0)?,
            word_of_pipe(from)?,
            object.nr_resident_pages()?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_pinned_one_ends_where_the_object_does() -> Scenario {
    row(
        "page 0 of 2 huge pages in a pipe: shrink to 8 pages, then 4, grow again",
        "page 8 SIGBUS BUS_ADRERR at +0x8000; pipe 1000; page 4 SIGBUS BUS_ADRERR at \
         +0x4000; larger again: pages 0 3 4 8 511 512 1000 1003 0 0 0 0; size 0: 0 resident",
    )
    .without(Node)
    .but(
        Who::Oracle,
        "page 8 ok; pipe 1000; page 4 SIGBUS BUS_ADRERR at +0x4000; larger again: pages 0 3 \
         4 8 511 512 1000 1003 0 0 0 0; size 0: 0 resident",
    )
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, 2 * HUGE)?;
        let mapping = object.map(MappingBuilder::shared())?;
        let (from, to) = pipe()?;
        splice_word(&mapping, &to)?;
        ftruncate(&object.file, 8 * page_size() as u64)?;
        let past = touch(mapping.as_ptr(), 8 * page_size(), Access::Read)?;
        // Not pinned any more, and smaller still.
        let pipe = word_of_pipe(from)?;
        ftruncate(&object.file, 4 * page_size() as u64)?;
        let further = touch(mapping.as_ptr(), 4 * page_size(), Access::Read)?;
        ftruncate(&object.file, 2 * HUGE as u64)?;
        let words = list_of_words(&mapping, &[0, 3, 4, 8, 511, 512])?;
        ftruncate(&object.file, 0)?;
        Ok(format!(
            "page 8 {past}; pipe {pipe}; page 4 {further}; \
             larger again: pages 0 3 4 8 511 512 {words}; size 0: {} resident",
            object.nr_resident_pages()?
        ))
    })
}
