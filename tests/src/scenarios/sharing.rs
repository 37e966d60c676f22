// SPDX-License-Identifier: MIT OR GPL-2.0

//! Shared mappings. All of them see each write, and the object keeps it.

use mmap_pool::MappingBuilder;

use crate::child::{in_child, Child};
use crate::observe::{page_table, put_word, word};
use crate::others::{has_mark, stay, Others};
use crate::peer;
use crate::scenario::{row, Scenario};
use crate::subject::{page_size, PAGES};

pub(crate) const fn two_mappings_are_the_same_memory() -> Scenario {
    row(
        "write one mapping, read another",
        "the other sees hello; same frame",
    )
    .test(|subject| {
        let (one, other) = (subject.shared()?, subject.shared()?);
        put_word(&one, 3 * page_size(), "hello")?;
        let seen = word(&other, 3 * page_size())?;
        let frames = [page_table(&one)?[3].frame(), page_table(&other)?[3].frame()];
        let frames = if frames[0] != 0 && frames[0] == frames[1] {
            "same"
        } else {
            "another"
        };
        Ok(format!("the other sees {seen}; {frames} frame"))
    })
}

pub(crate) const fn a_mapping_with_an_offset_is_the_same_memory() -> Scenario {
    row(
        "write page 7, read page 2 of a mapping from page 5",
        "hello",
    )
    .test(|subject| {
        let whole = subject.shared()?;
        let part = MappingBuilder::shared()
            .offset(5 * page_size() as u64)
            .len(4 * page_size());
        let part = part.map(&subject.file()?)?;
        put_word(&whole, 7 * page_size(), "hello")?;
        word(&part, 2 * page_size())
    })
}

pub(crate) const fn writes_cross_fork_in_both_directions() -> Scenario {
    row(
        "parent and child write the inherited mapping",
        "child sees ping, parent sees pong",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let mut child = Child::fork(|link| {
            link.hear()?;
            let seen = word(&mapping, page_size())?;
            put_word(&mapping, page_size(), "pong")?;
            Ok(seen)
        })?;
        put_word(&mapping, page_size(), "ping")?;
        child.link.say("look")?;
        let seen = child.finish()?;
        Ok(format!(
            "child sees {seen}, parent sees {}",
            word(&mapping, page_size())?
        ))
    })
}

pub(crate) const fn a_child_that_maps_for_itself_shares_too() -> Scenario {
    row(
        "the child opens and maps anew",
        "child sees ping, parent sees pong",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, page_size(), "ping")?;
        // The path of a memfd names the parent, so it is made before the fork.
        let path = subject.path()?;
        let seen = in_child(|| {
            let file = std::fs::File::options().read(true).write(true).open(path)?;
            // SAFETY: It is the subject, which is memory.
            let own = unsafe {
                MappingBuilder::shared()
                    .len(2 * page_size())
                    .map_file(&file)
            }?;
            let seen = word(&own, page_size())?;
            put_word(&own, page_size(), "pong")?;
            Ok(seen)
        })?;
        Ok(format!(
            "child sees {seen}, parent sees {}",
            word(&mapping, page_size())?
        ))
    })
}

pub(crate) const fn a_separate_program_sees_and_makes_writes() -> Scenario {
    row(
        "a program started anew opens and maps",
        "the program sees ping, we see pong",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 11 * page_size(), "ping")?;
        let seen = peer::exchange(&subject.path()?, 11 * page_size(), "pong")?;
        Ok(format!(
            "the program sees {seen}, we see {}",
            word(&mapping, 11 * page_size())?
        ))
    })
}

pub(crate) const fn writes_are_kept_when_everything_is_closed() -> Scenario {
    row(
        "write, unmap, close, open, read()",
        "kept; a new mapping sees kept",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 4 * page_size(), "kept")?;
        mapping.unmap()?;
        let kept = subject.word(4 * page_size())?;
        Ok(format!(
            "{kept}; a new mapping sees {}",
            word(&subject.shared()?, 4 * page_size())?
        ))
    })
}

pub(crate) const fn a_childs_writes_are_kept_after_its_death() -> Scenario {
    row("a child writes and exits, then read()", "kept").test(|subject| {
        let path = subject.path()?;
        in_child(|| {
            let file = std::fs::File::options().read(true).write(true).open(path)?;
            // SAFETY: It is the subject, which is memory.
            let mapping = unsafe { MappingBuilder::shared().len(page_size()).map_file(&file) }?;
            put_word(&mapping, 0, "kept")?;
            Ok(String::new())
        })?;
        subject.word(0)
    })
}

pub(crate) const fn pages_are_kept_while_others_allocate() -> Scenario {
    row(
        "write the second half, unmap, let others allocate memory, read()",
        "128 kept",
    )
    .test(|subject| {
        stay()?;
        let mapping = subject.shared()?;
        let pages = PAGES / 2..PAGES;
        for page in pages.clone() {
            put_word(&mapping, page * page_size(), "kept")?;
        }
        mapping.unmap()?;
        in_child(|| {
            let _others = Others::new()?;
            let (mut nr_kept, mut nr_of_another) = (0, 0);
            for page in pages {
                let word = subject.word(page * page_size())?;
                nr_kept += usize::from(word == "kept");
                nr_of_another += usize::from(has_mark(word.as_bytes()));
            }
            Ok(match nr_of_another {
                0 => format!("{nr_kept} kept"),
                _ => format!("{nr_kept} kept, {nr_of_another} of another"),
            })
        })
    })
}

pub(crate) const fn a_mapping_outlives_its_descriptor() -> Scenario {
    row("close the descriptor, then write the mapping", "hello").test(|subject| {
        let file = subject.file()?;
        let mapping = MappingBuilder::shared().len(page_size()).map(&file)?;
        drop(file);
        put_word(&mapping, 0, "hello")?;
        subject.word(0)
    })
}
