// SPDX-License-Identifier: MIT OR GPL-2.0

//! Private mappings. A page is copied when it is written, and not before.

use mmap_pool::{Advice, MappingBuilder};
use rustix::fs::OFlags;

use crate::child::{in_child, Child};
use crate::needs::Needs;
use crate::observe::{page_table, put_word, word};
use crate::peer;
use crate::scenario::{row, Scenario};
use crate::subject::page_size;

pub(crate) const fn private_write_is_invisible_to_the_pool() -> Scenario {
    row(
        "write a private mapping, then read()",
        "mapping mine, read() old, shared mapping old",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let (private, shared) = (subject.private()?, subject.shared()?);
        put_word(&private, 0, "mine")?;
        Ok(format!(
            "mapping {}, read() {}, shared mapping {}",
            word(&private, 0)?,
            subject.word(0)?,
            word(&shared, 0)?
        ))
    })
}

pub(crate) const fn private_write_is_invisible_to_other_processes() -> Scenario {
    row(
        "write privately, look from a fork and a program",
        "fork sees old, program sees old",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let (private, shared) = (subject.private()?, subject.shared()?);
        let mut child = Child::fork(|link| {
            link.hear()?;
            word(&shared, 0)
        })?;
        put_word(&private, 0, "mine")?;
        child.link.say("look")?;
        let fork = child.finish()?;
        let program = peer::exchange(&subject.path()?, 0, "new")?;
        Ok(format!("fork sees {fork}, program sees {program}"))
    })
}

pub(crate) const fn an_unwritten_private_page_follows_the_pool() -> Scenario {
    row(
        "read privately, change the pool, read again",
        "old, then new",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let private = subject.private()?;
        let before = word(&private, 0)?;
        subject.put_word(0, "new")?;
        Ok(format!("{before}, then {}", word(&private, 0)?))
    })
}

pub(crate) const fn an_unread_private_page_follows_the_pool() -> Scenario {
    row("map privately, change the pool, read", "new").test(|subject| {
        subject.put_word(0, "old")?;
        let private = subject.private()?;
        subject.put_word(0, "new")?;
        word(&private, 0)
    })
}

pub(crate) const fn a_written_private_page_stops_following() -> Scenario {
    row(
        "write privately, change the pool, read",
        "mapping mine, read() new",
    )
    .test(|subject| {
        let private = subject.private()?;
        put_word(&private, 0, "mine")?;
        subject.put_word(0, "new")?;
        Ok(format!(
            "mapping {}, read() {}",
            word(&private, 0)?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn copying_goes_page_by_page() -> Scenario {
    row(
        "write page 1 of 3 privately, change all in the pool",
        "new mine new",
    )
    .test(|subject| {
        let private = subject.private()?;
        put_word(&private, page_size(), "mine")?;
        for page in 0..3 {
            subject.put_word(page * page_size(), "new")?;
        }
        let words = [0, 1, 2].map(|page| word(&private, page * page_size()));
        let [first, second, third] = words;
        Ok(format!("{} {} {}", first?, second?, third?))
    })
}

pub(crate) const fn a_page_that_was_read_is_copied_when_written() -> Scenario {
    row(
        "read, write, change the pool, read",
        "old, then mine; read() new; a copy of its own",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let (private, shared) = (subject.private()?, subject.shared()?);
        let before = word(&private, 0)?;
        put_word(&private, 0, "mine")?;
        put_word(&shared, 0, "new")?;
        let after = word(&private, 0)?;
        let (ours, theirs) = (page_table(&private)?[0], page_table(&shared)?[0]);
        let is_copy = ours.frame() != theirs.frame() && !ours.is_of_file() && theirs.is_of_file();
        let copy = if is_copy {
            "a copy of its own"
        } else {
            "no copy"
        };
        Ok(format!(
            "{before}, then {after}; read() {}; {copy}",
            subject.word(0)?
        ))
    })
}

pub(crate) const fn the_copy_keeps_the_rest_of_the_page() -> Scenario {
    row(
        "write 8 bytes privately, without reading before",
        "mine, and the rest is old",
    )
    .test(|subject| {
        subject.put_word(page_size() - 8, "old")?;
        let private = subject.private()?;
        put_word(&private, 0, "mine")?;
        Ok(format!(
            "{}, and the rest is {}",
            word(&private, 0)?,
            word(&private, page_size() - 8)?
        ))
    })
}

pub(crate) const fn private_mappings_are_independent() -> Scenario {
    row(
        "two private mappings write the same page",
        "a and b; read() old",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let (one, other) = (subject.private()?, subject.private()?);
        put_word(&one, 0, "a")?;
        put_word(&other, 0, "b")?;
        Ok(format!(
            "{} and {}; read() {}",
            word(&one, 0)?,
            word(&other, 0)?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn a_private_write_to_a_new_page_leaves_zeros_behind() -> Scenario {
    row(
        "write a page privately that nobody touched",
        "mapping mine, read() 0",
    )
    .test(|subject| {
        let private = subject.private()?;
        put_word(&private, 0, "mine")?;
        Ok(format!(
            "mapping {}, read() {}",
            word(&private, 0)?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn writes_after_fork_stay_on_their_side() -> Scenario {
    row(
        "fork, then both write the same private page",
        "child child, parent parent, read() old",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let private = subject.private()?;
        word(&private, 0)?;
        let mut child = Child::fork(|link| {
            put_word(&private, 0, "child")?;
            link.say("written")?;
            link.hear()?;
            word(&private, 0)
        })?;
        child.link.hear()?;
        put_word(&private, 0, "parent")?;
        child.link.say("written")?;
        let theirs = child.finish()?;
        Ok(format!(
            "child {theirs}, parent {}, read() {}",
            word(&private, 0)?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn a_copy_made_before_fork_is_inherited_but_not_shared() -> Scenario {
    row(
        "write privately, fork, child writes, parent looks",
        "child finds mine, parent keeps mine, read() old",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let private = subject.private()?;
        put_word(&private, 0, "mine")?;
        let found = in_child(|| {
            let found = word(&private, 0)?;
            put_word(&private, 0, "child")?;
            Ok(found)
        })?;
        let kept = word(&private, 0)?;
        Ok(format!(
            "child finds {found}, parent keeps {kept}, read() {}",
            subject.word(0)?
        ))
    })
}

pub(crate) const fn grandchildren_keep_three_generations_apart() -> Scenario {
    row(
        "parent, child and grandchild write one private page",
        "grandchild child, child child, parent parent, read() old",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let private = subject.private()?;
        put_word(&private, 0, "parent")?;
        let young = in_child(|| {
            put_word(&private, 0, "child")?;
            let youngest = in_child(|| {
                let found = word(&private, 0)?;
                put_word(&private, 0, "grand")?;
                Ok(found)
            })?;
            Ok(format!(
                "grandchild {youngest}, child {}",
                word(&private, 0)?
            ))
        })?;
        Ok(format!(
            "{young}, parent {}, read() {}",
            word(&private, 0)?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn untouched_pages_follow_the_pool_across_fork() -> Scenario {
    row(
        "fork, change the pool, child reads private pages",
        "written page mine, other page new",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        subject.put_word(page_size(), "old")?;
        let private = subject.private()?;
        put_word(&private, 0, "mine")?;
        word(&private, page_size())?;
        let mut child = Child::fork(|link| {
            link.hear()?;
            Ok(format!(
                "written page {}, other page {}",
                word(&private, 0)?,
                word(&private, page_size())?
            ))
        })?;
        subject.put_word(0, "new")?;
        subject.put_word(page_size(), "new")?;
        child.link.say("look")?;
        child.finish()
    })
}

pub(crate) const fn giving_a_copy_up_shows_the_pool_again() -> Scenario {
    row(
        "write privately, change the pool, MADV_DONTNEED",
        "mine, then new",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let private = subject.private()?;
        put_word(&private, 0, "mine")?;
        subject.put_word(0, "new")?;
        let before = word(&private, 0)?;
        private.advise(Advice::DontNeed)?;
        Ok(format!("{before}, then {}", word(&private, 0)?))
    })
}

pub(crate) const fn a_read_only_descriptor_can_be_written_privately() -> Scenario {
    row(
        "open O_RDONLY, map privately, write",
        "mapping mine, read() old",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        subject.put_word(0, "old")?;
        let file = subject.open(OFlags::RDONLY)?;
        let private = MappingBuilder::private().len(page_size()).map(&file)?;
        put_word(&private, 0, "mine")?;
        Ok(format!(
            "mapping {}, read() {}",
            word(&private, 0)?,
            subject.word(0)?
        ))
    })
}
