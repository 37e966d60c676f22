// SPDX-License-Identifier: MIT OR GPL-2.0

//! Mappings of huge pages, and parts of such mappings.

use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt;

use mmap_pool::{Mapping, MappingBuilder, Protection};
use rustix::fs::{fallocate, FallocateFlags};

use super::{advise, huge_pages, list_of_words, nr_huge, Object, HUGE};
use crate::child::Child;
use crate::machine::Feature;
use crate::observe::{nr_minor_faults, page_table, present, put_word, word, word_in_file};
use crate::scenario::Who::Node;
use crate::scenario::{row, Scenario};
use crate::signal::{touch, Access};
use crate::subject::page_size;
use crate::uffd::{Uffd, WP};
use crate::{fail, Failure};

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_shared_mapping_is_huge() -> Scenario {
    row(
        "4 huge pages: write the first byte of each",
        "4 faults, 2048 resident, 2048 in the page table, 4 huge",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::huge(subject, 4 * HUGE)?;
        let mapping = object.map(MappingBuilder::shared())?;
        let before = nr_minor_faults();
        for number in 0..4 {
            put_word(&mapping, number * HUGE, "here")?;
        }
        let nr_faults = nr_minor_faults() - before;
        let nr_present = present(&mapping)?.len();
        Ok(format!(
            "{nr_faults} faults, {} resident, {nr_present} in the page table, {} huge",
            object.nr_resident_pages()?,
            nr_huge(&mapping)?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_private_mapping_is_huge() -> Scenario {
    row(
        "the same, MAP_PRIVATE: read a byte of each",
        "4 faults, 2048 resident, 4 huge, [0, 0, 0, 0]",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::huge(subject, 4 * HUGE)?;
        let mapping = object.map(MappingBuilder::private())?;
        let mut bytes = [0xff; 4];
        let before = nr_minor_faults();
        for (number, byte) in bytes.chunks_exact_mut(1).enumerate() {
            mapping.read_at(byte, number * HUGE + HUGE / 2)?;
        }
        let nr_faults = nr_minor_faults() - before;
        Ok(format!(
            "{nr_faults} faults, {} resident, {} huge, {bytes:?}",
            object.nr_resident_pages()?,
            nr_huge(&mapping)?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_private_write_copies_one_page() -> Scenario {
    row(
        "write page 5 of a huge page privately",
        "1 copy; page 5 mine, object 1005; page 6 theirs; 1024 resident",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, 2 * HUGE)?;
        let private = object.map(MappingBuilder::private())?;
        word(&private, 0)?;
        put_word(&private, 5 * page_size(), "mine")?;
        object
            .file
            .write_all_at(b"theirs\0\0", 6 * page_size() as u64)?;
        let nr_copies = page_table(&private)?
            .into_iter()
            .filter(|entry| entry.is_present() && !entry.is_of_file())
            .count();
        Ok(format!(
            "{nr_copies} copy; page 5 {}, object {}; page 6 {}; {} resident",
            word(&private, 5 * page_size())?,
            word_in_file(&object.file, 5 * page_size())?,
            word(&private, 6 * page_size())?,
            object.nr_resident_pages()?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_part_can_be_unmapped_and_protected() -> Scenario {
    row(
        "unmap pages 8 to 15 of a huge page, protect half of another",
        "0 0; pages 7 16 1007 1016; unmapped: SIGSEGV SEGV_MAPERR at +0x8000; protected: \
         read ok, write SIGSEGV SEGV_ACCERR at +0x300000; 1024 resident",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, 2 * HUGE)?;
        let mapping = object.map_and_touch()?;
        word(&mapping, HUGE)?;
        let start = mapping.as_ptr();
        // SAFETY: Nothing refers to this part; `touch` below expects a signal.
        let unmapped =
            unsafe { libc::munmap(start.wrapping_add(8 * page_size()).cast(), 8 * page_size()) };
        let half = start.wrapping_add(HUGE + HUGE / 2);
        // SAFETY: As above.
        let protected = unsafe { libc::mprotect(half.cast(), HUGE / 2, libc::PROT_READ) };
        Ok(format!(
            "{unmapped} {protected}; pages 7 16 {}; unmapped: {}; \
             protected: read {}, write {}; {} resident",
            list_of_words(&mapping, &[7, 16])?,
            touch(start, 8 * page_size(), Access::Read)?,
            touch(start, HUGE + HUGE / 2, Access::Read)?,
            touch(start, HUGE + HUGE / 2, Access::Write)?,
            object.nr_resident_pages()?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_part_can_be_moved() -> Scenario {
    row(
        "mremap() the second half of a huge page, to twice its size",
        "pages 0 255 1000 1255; moved 256 1256, 257 moved; object moved; behind the end \
         SIGBUS BUS_ADRERR at +0x100000",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, HUGE)?;
        let mapping = object.map_and_touch()?;
        let half = mapping.as_ptr().wrapping_add(HUGE / 2);
        // SAFETY: Nothing refers to this half.
        let moved = unsafe { libc::mremap(half.cast(), HUGE / 2, HUGE, libc::MREMAP_MAYMOVE) };
        if moved == libc::MAP_FAILED {
            fail!("mremap failed");
        }
        // SAFETY: The range was made just now and nothing else refers to it.
        let moved = unsafe { Mapping::from_raw_parts(moved.cast(), HUGE, Protection::READ_WRITE) };
        let start = ManuallyDrop::new(mapping).as_ptr();
        // SAFETY: This is what is left of the range.
        let mapping = unsafe { Mapping::from_raw_parts(start, HUGE / 2, Protection::READ_WRITE) };
        put_word(&moved, page_size(), "moved")?;
        Ok(format!(
            "pages 0 255 {}; moved 256 {}, 257 {}; object {}; behind the end {}",
            list_of_words(&mapping, &[0, 255])?,
            word(&moved, 0)?,
            word(&moved, page_size())?,
            word_in_file(&object.file, HUGE / 2 + page_size())?,
            touch(moved.as_ptr(), HUGE / 2, Access::Read)?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn advice_takes_mappings_only() -> Scenario {
    row(
        "MADV_DONTNEED pages 3 to 6 of a huge page",
        "0 in the page table; pages 2 3 6 7 1002 1003 1006 1007; 512 resident",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, HUGE)?;
        let mapping = object.map_and_touch()?;
        advise(&mapping, 3..7, libc::MADV_DONTNEED);
        let nr_present = present(&mapping)?.len();
        let words = list_of_words(&mapping, &[2, 3, 6, 7])?;
        Ok(format!(
            "{nr_present} in the page table; pages 2 3 6 7 {words}; {} resident",
            object.nr_resident_pages()?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_child_shares_and_copies() -> Scenario {
    row(
        "fork with a huge page mapped shared and privately, both write",
        "child sees parent mine; parent sees child, private before 1002",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, HUGE)?;
        let shared = object.map(MappingBuilder::shared())?;
        let private = object.map(MappingBuilder::private())?;
        word(&shared, 0)?;
        put_word(&private, 0, "before")?;
        let mut child = Child::fork(|link| {
            put_word(&shared, page_size(), "child")?;
            put_word(&private, 0, "mine")?;
            put_word(&private, 2 * page_size(), "mine")?;
            link.say("written")?;
            link.hear()?;
            Ok(format!(
                "{} {}",
                word(&shared, 3 * page_size())?,
                word(&private, 0)?
            ))
        })?;
        child.link.hear()?;
        put_word(&shared, 3 * page_size(), "parent")?;
        child.link.say("look")?;
        Ok(format!(
            "child sees {}; parent sees {}, private {}",
            child.finish()?,
            word(&shared, page_size())?,
            list_of_words(&private, &[0, 2])?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn write_and_read_cross_borders() -> Scenario {
    row(
        "write(2) from one huge page to the next but one, read(2) more",
        "same, zero around it; 1536 resident",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::huge(subject, 3 * HUGE)?;
        let bytes: Vec<u8> = (0..=250).cycle().take(HUGE + 3 * page_size()).collect();
        let at = (HUGE - page_size() - 100) as u64;
        object.file.write_all_at(&bytes, at)?;
        let mut read = vec![0xff; bytes.len() + 200];
        object.file.read_exact_at(&mut read, at - 100)?;
        let (before, rest) = read.split_at(100);
        let (same, after) = rest.split_at(bytes.len());
        let is_zero = before.iter().chain(after).all(|&byte| byte == 0);
        Ok(format!(
            "{}, {} around it; {} resident",
            if same == bytes { "same" } else { "different" },
            if is_zero { "zero" } else { "not zero" },
            object.nr_resident_pages()?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn fallocate_is_huge() -> Scenario {
    row(
        "fallocate() 2 huge pages of an empty object",
        "1024 resident, 2 huge",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::huge(subject, 0)?;
        fallocate(&object.file, FallocateFlags::empty(), 0, 2 * HUGE as u64)?;
        let resident = object.nr_resident_pages()?;
        let mapping = object.map(MappingBuilder::shared().len(2 * HUGE))?;
        word(&mapping, 0)?;
        word(&mapping, HUGE)?;
        Ok(format!("{resident} resident, {} huge", nr_huge(&mapping)?))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn a_mapping_that_is_not_aligned_is_not_huge() -> Scenario {
    row(
        "map from page 1 on, as much as a huge page",
        "0 huge; one last",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::huge(subject, 2 * HUGE)?;
        let mapping = object.map(
            MappingBuilder::shared()
                .len(HUGE)
                .offset(page_size() as u64),
        )?;
        put_word(&mapping, 0, "one")?;
        put_word(&mapping, HUGE - page_size(), "last")?;
        Ok(format!(
            "{} huge; {} {}",
            nr_huge(&mapping)?,
            word_in_file(&object.file, page_size())?,
            word_in_file(&object.file, HUGE)?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn one_page_of_a_huge_mapping_can_be_protected() -> Scenario {
    row(
        "userfaultfd: protect page 5 of 2 huge pages from writes, write pages 4 to 6",
        "1 huge; page 5 told; 1005 then new, file new new new",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, 2 * HUGE)?;
        let mapping = object.map_and_touch()?;
        put_word(&mapping, HUGE, "touched")?;
        let uffd = Uffd::new(0)?;
        uffd.register(&mapping, 0..2 * HUGE, WP)?;
        uffd.write_protect(&mapping, 5 * page_size()..6 * page_size(), true)?;
        let nr_huge = nr_huge(&mapping)?;
        let mut told = Vec::new();
        uffd.during(
            || (4..7).try_for_each(|page| put_word(&mapping, page * page_size(), "new")),
            |fault| {
                let page = (fault.address - mapping.as_ptr().addr()) / page_size();
                let held = word(&mapping, page * page_size());
                told.push(format!("page {page} told; {}", held.unwrap_or_default()));
                let released = uffd.unregister(&mapping, 0..2 * HUGE);
                assert_eq!(released, Ok(()), "the task waits for ever");
            },
        )??;
        let words = [4, 5, 6].map(|page| word_in_file(&object.file, page * page_size()));
        let words = words.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(format!(
            "{nr_huge} huge; {} then {}, file {}",
            told.join(", "),
            word(&mapping, 5 * page_size())?,
            words.join(" ")
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn locking_and_collapsing_leave_it_huge() -> Scenario {
    row(
        "mlock() 2 huge pages, MADV_COLLAPSE",
        "2 huge; collapse ok; 2 huge, 1024 resident",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::huge(subject, 2 * HUGE)?;
        let mapping = object.map(MappingBuilder::shared())?;
        mapping.lock()?;
        let locked = nr_huge(&mapping)?;
        let collapsed = advise(&mapping, 0..2 * huge_pages(), libc::MADV_COLLAPSE);
        Ok(format!(
            "{locked} huge; collapse {collapsed}; {} huge, {} resident",
            nr_huge(&mapping)?,
            object.nr_resident_pages()?
        ))
    })
}

/// needs: `config=CONFIG_PAGE_SIZE_4KB`
pub(crate) const fn collapsing_small_pages_loses_nothing() -> Scenario {
    row(
        "2 MiB of single pages: MADV_COLLAPSE",
        "512 right, 1024 resident",
    )
    .without(Node)
    .on(Feature::HugePages)
    .test(|subject| {
        let object = Object::filled(subject, 2 * HUGE)?;
        // Leaves single pages behind.
        for number in 0..huge_pages() {
            object.punch(number * page_size(), page_size())?;
            let word = format!("{number:08}");
            object
                .file
                .write_all_at(word.as_bytes(), (number * page_size()) as u64)?;
        }
        let mapping = object.map(MappingBuilder::shared())?;
        advise(&mapping, 0..huge_pages(), libc::MADV_COLLAPSE);
        let is_right = (0..huge_pages())
            .map(|number| Ok(word(&mapping, number * page_size())? == format!("{number:08}")))
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(format!(
            "{} right, {} resident",
            is_right.iter().filter(|&&is_right| is_right).count(),
            object.nr_resident_pages()?
        ))
    })
}
