// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pages appear when they are touched, or when it is asked for.

use std::fs;
use std::os::unix::fs::FileExt;

use mmap_pool::{Mapping, MappingBuilder};

use crate::child::in_child;
use crate::observe::{list, mincore, page_table, present, put_word, word};
use crate::subject::{Subject, PAGE, SIZE};
use crate::Answer;

pub fn mapping_allocates_nothing(subject: &Subject) -> Answer {
    let _shared = subject.shared()?;
    let _private = subject.private()?;
    resident(subject)
}

pub fn touching_allocates_exactly_the_touched_pages(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    word(&mapping, PAGE)?;
    put_word(&mapping, 5 * PAGE, "five")?;
    word(&mapping, 6 * PAGE)?;
    Ok(format!(
        "{}; mincore {}; page table {}",
        resident(subject)?,
        list(&mincore(&mapping)?),
        list(&present(&mapping)?)
    ))
}

pub fn touching_resident_pages_allocates_nothing(subject: &Subject) -> Answer {
    let first = subject.shared()?;
    let touched = [1, 5, 200];
    let touch = |mapping: &Mapping| {
        touched
            .iter()
            .try_for_each(|page| word(mapping, page * PAGE).map(drop))
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
}

pub fn reading_a_private_mapping_allocates_the_page(subject: &Subject) -> Answer {
    let mapping = subject.private()?;
    word(&mapping, 3 * PAGE)?;
    resident(subject)
}

pub fn a_page_is_zero_when_first_seen(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    let mut bytes = vec![0xff; SIZE];
    mapping.read_at(0, &mut bytes)?;
    let seen = zero(&bytes);
    bytes.fill(0xff);
    subject.file()?.read_exact_at(&mut bytes, 0)?;
    Ok(format!("mapping {seen}, read() {}", zero(&bytes)))
}

pub fn write_allocates_the_pages_it_writes(subject: &Subject) -> Answer {
    subject.file()?.write_all_at(b"ab", (7 * PAGE - 1) as u64)?;
    resident(subject)
}

pub fn reading_a_hole_allocates_nothing(subject: &Subject) -> Answer {
    let mut bytes = vec![0xff; SIZE];
    subject.file()?.read_exact_at(&mut bytes, 0)?;
    Ok(format!("{}, {}", zero(&bytes), resident(subject)?))
}

pub fn pages_outlive_the_mapping(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    word(&mapping, 0)?;
    put_word(&mapping, 9 * PAGE, "nine")?;
    mapping.unmap()?;
    resident(subject)
}

pub fn populate_makes_every_page_resident_at_once(subject: &Subject) -> Answer {
    let mapping = subject.map(MappingBuilder::shared().populate())?;
    everywhere(subject, &mapping)
}

pub fn populating_a_private_mapping_copies_every_page(subject: &Subject) -> Answer {
    let mapping = subject.map(MappingBuilder::private().populate())?;
    let nr_copies = page_table(&mapping)?
        .iter()
        .filter(|entry| !entry.is_of_file())
        .count();
    Ok(format!(
        "{}, {nr_copies} copies",
        everywhere(subject, &mapping)?
    ))
}

pub fn a_locked_mapping_is_resident_at_once(subject: &Subject) -> Answer {
    let mapping = subject.map(MappingBuilder::shared().locked())?;
    everywhere(subject, &mapping)
}

pub fn mlock_makes_pages_resident(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    let before = resident(subject)?;
    mapping.lock()?;
    Ok(format!("{before}, then {}", everywhere(subject, &mapping)?))
}

pub fn pagemap_tells_what_was_written_since(subject: &Subject) -> Answer {
    const CLEAR_SOFT_DIRTY: &str = "4";
    let (shared, private) = (subject.shared()?, subject.private()?);
    // In a process of its own, since it concerns all of one.
    in_child(|| {
        for page in 0..4 {
            put_word(&shared, page * PAGE, "before")?;
            put_word(&private, page * PAGE, "before")?;
        }
        fs::write("/proc/self/clear_refs", CLEAR_SOFT_DIRTY)?;
        let soft_dirty = |mapping| -> Answer {
            let entries = page_table(mapping)?;
            let pages = (0..4).filter(|&page| entries[page].is_soft_dirty());
            Ok(list(&pages.collect::<Vec<_>>()))
        };
        let before = format!("{}{}", soft_dirty(&shared)?, soft_dirty(&private)?);
        put_word(&shared, 2 * PAGE, "after")?;
        word(&shared, PAGE)?;
        put_word(&private, 3 * PAGE, "after")?;
        word(&private, PAGE)?;
        Ok(format!(
            "cleared {}, then {} and {}",
            if before.is_empty() { "all" } else { &before },
            soft_dirty(&shared)?,
            soft_dirty(&private)?
        ))
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
