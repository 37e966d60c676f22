// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pages are allocated when they are touched, or on request.

use std::fs;
use std::os::unix::fs::FileExt;

use mmap_pool::{Mapping, MappingBuilder, Protection};

use crate::child::in_child;
use crate::machine::Feature;
use crate::needs::Needs;
use crate::observe::{list, mincore, page_table, present, put_word, word};
use crate::others::{has_mark, Others};
use crate::scenario::{row, Scenario};
use crate::subject::{page_size, size, Subject};
use crate::Answer;

pub(crate) const fn mapping_allocates_nothing() -> Scenario {
    row("map all of it, touch nothing", "0 resident").test(|subject| {
        let _shared = subject.shared()?;
        let _private = subject.private()?;
        resident(subject)
    })
}

pub(crate) const fn touching_allocates_exactly_the_touched_pages() -> Scenario {
    row(
        "read page 1, write page 5, read page 6",
        "3 resident; mincore 1 5 6; page table 1 5 6",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        word(&mapping, page_size())?;
        put_word(&mapping, 5 * page_size(), "five")?;
        word(&mapping, 6 * page_size())?;
        Ok(format!(
            "{}; mincore {}; page table {}",
            resident(subject)?,
            list(&mincore(&mapping)?),
            list(&present(&mapping)?)
        ))
    })
}

pub(crate) const fn touching_resident_pages_allocates_nothing() -> Scenario {
    row(
        "touch 3 pages through a second mapping",
        "3 resident before, 3 after; same frames",
    )
    .test(|subject| {
        let first = subject.shared()?;
        let touched = [1, 5, 200];
        let touch = |mapping: &Mapping| {
            touched
                .iter()
                .try_for_each(|page| word(mapping, page * page_size()).map(drop))
        };
        touch(&first)?;
        let before = subject.nr_resident_pages()?;
        let second = subject.shared()?;
        touch(&second)?;
        let (ours, theirs) = (page_table(&first)?, page_table(&second)?);
        let is_same = touched
            .into_iter()
            .all(|page| ours[page].is_present() && ours[page].frame() == theirs[page].frame());
        let frames = if is_same && ours[1].frame() != 0 {
            "same frames"
        } else {
            "other frames"
        };
        Ok(format!(
            "{before} resident before, {} after; {frames}",
            subject.nr_resident_pages()?
        ))
    })
}

pub(crate) const fn reading_a_private_mapping_allocates_the_page() -> Scenario {
    row("read a page of a private mapping", "1 resident").test(|subject| {
        let mapping = subject.private()?;
        word(&mapping, 3 * page_size())?;
        resident(subject)
    })
}

pub(crate) const fn a_page_is_zero_when_first_seen() -> Scenario {
    row(
        "look at every byte before anyone wrote",
        "mapping all zero, read() all zero",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let mut bytes = vec![0xff; size()];
        mapping.read_at(&mut bytes, 0)?;
        let seen = zero(&bytes);
        bytes.fill(0xff);
        subject.read_exact_at(&mut bytes, 0)?;
        Ok(format!("mapping {seen}, read() {}", zero(&bytes)))
    })
}

pub(crate) const fn a_page_has_nothing_of_another() -> Scenario {
    row(
        "others fill memory with marks and free it, then look at every byte",
        "no mark",
    )
    .test(|subject| {
        in_child(|| {
            drop(Others::new()?);
            let mapping = subject.map(MappingBuilder::shared().protection(Protection::READ))?;
            let mut bytes = vec![0; mapping.len()];
            mapping.read_at(&mut bytes, 0)?;
            let found = if has_mark(&bytes) {
                "a mark"
            } else {
                "no mark"
            };
            Ok(found.into())
        })
    })
}

pub(crate) const fn write_allocates_the_pages_it_writes() -> Scenario {
    row("write(2) two bytes across a page boundary", "2 resident")
        .needs(Needs::CALLS)
        .test(|subject| {
            subject
                .file()?
                .write_all_at(b"ab", (7 * page_size() - 1) as u64)?;
            resident(subject)
        })
}

pub(crate) const fn reading_a_hole_allocates_nothing() -> Scenario {
    row(
        "read(2) all of it before anyone wrote",
        "all zero, 0 resident",
    )
    .test(|subject| {
        let mut bytes = vec![0xff; size()];
        subject.read_exact_at(&mut bytes, 0)?;
        Ok(format!("{}, {}", zero(&bytes), resident(subject)?))
    })
}

pub(crate) const fn pages_outlive_the_mapping() -> Scenario {
    row("touch 2 pages, unmap, close", "2 resident").test(|subject| {
        let mapping = subject.shared()?;
        word(&mapping, 0)?;
        put_word(&mapping, 9 * page_size(), "nine")?;
        mapping.unmap()?;
        resident(subject)
    })
}

pub(crate) const fn populate_makes_every_page_resident_at_once() -> Scenario {
    row(
        "map with MAP_POPULATE, touch nothing",
        "256 resident, 256 in the page table",
    )
    .test(|subject| {
        let mapping = subject.map(MappingBuilder::shared().populate())?;
        everywhere(subject, &mapping)
    })
}

pub(crate) const fn populating_a_private_mapping_copies_every_page() -> Scenario {
    row(
        "the same, MAP_PRIVATE",
        "256 resident, 256 in the page table, 256 copies",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        let mapping = subject.map(MappingBuilder::private().populate())?;
        let nr_copies = page_table(&mapping)?
            .iter()
            .filter(|entry| !entry.is_of_file())
            .count();
        Ok(format!(
            "{}, {nr_copies} copies",
            everywhere(subject, &mapping)?
        ))
    })
}

pub(crate) const fn a_locked_mapping_is_resident_at_once() -> Scenario {
    row(
        "map with MAP_LOCKED, touch nothing",
        "256 resident, 256 in the page table",
    )
    .test(|subject| {
        let mapping = subject.map(MappingBuilder::shared().locked())?;
        everywhere(subject, &mapping)
    })
}

pub(crate) const fn mlock_makes_pages_resident() -> Scenario {
    row(
        "mlock() after mapping",
        "0 resident, then 256 resident, 256 in the page table",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let before = resident(subject)?;
        mapping.lock()?;
        Ok(format!("{before}, then {}", everywhere(subject, &mapping)?))
    })
}

/// needs: `config=CONFIG_MEM_SOFT_DIRTY`
pub(crate) const fn pagemap_tells_what_was_written_since() -> Scenario {
    row(
        "soft-dirty: clear, write page 2 shared and 3 privately",
        "cleared all, then 2 and 3",
    )
    .on(Feature::SoftDirty)
    .test(|subject| {
        const CLEAR_SOFT_DIRTY: &str = "4";
        let (shared, private) = (subject.shared()?, subject.private()?);
        // In a process of its own, since it concerns all of one.
        in_child(|| {
            for page in 0..4 {
                put_word(&shared, page * page_size(), "before")?;
                put_word(&private, page * page_size(), "before")?;
            }
            fs::write("/proc/self/clear_refs", CLEAR_SOFT_DIRTY)?;
            let soft_dirty = |mapping| -> Answer {
                let entries = page_table(mapping)?;
                let pages = (0..4).filter(|&page| entries[page].is_soft_dirty());
                Ok(list(&pages.collect::<Vec<_>>()))
            };
            let before = format!("{}{}", soft_dirty(&shared)?, soft_dirty(&private)?);
            put_word(&shared, 2 * page_size(), "after")?;
            word(&shared, page_size())?;
            put_word(&private, 3 * page_size(), "after")?;
            word(&private, page_size())?;
            Ok(format!(
                "cleared {}, then {} and {}",
                if before.is_empty() { "all" } else { &before },
                soft_dirty(&shared)?,
                soft_dirty(&private)?
            ))
        })
    })
}

fn resident(subject: &Subject) -> Answer {
    Ok(format!("{} resident", subject.nr_resident_pages()?))
}

fn everywhere(subject: &Subject, mapping: &Mapping) -> Answer {
    Ok(format!(
        "{}, {} in the page table",
        resident(subject)?,
        present(mapping)?.len()
    ))
}

fn zero(bytes: &[u8]) -> &'static str {
    if bytes.iter().all(|&byte| byte == 0) {
        "all zero"
    } else {
        "not zero"
    }
}
