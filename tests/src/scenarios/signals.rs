// SPDX-License-Identifier: MIT OR GPL-2.0

//! Signals of accesses that fail, with their code and address.

use std::fs::File;
use std::ptr;

use mmap_pool::{Mapping, MappingBuilder, Protection};
use rustix::mm::{mmap, mmap_anonymous, munmap, MapFlags, ProtFlags};

use crate::child::in_child;
use crate::needs::Needs;
use crate::observe::{put_word, symbol, verdict};
use crate::scenario::{row, Scenario};
use crate::signal::{touch, Access};
use crate::subject::{page_size, size, Subject};
use crate::{Answer, Failure};

pub(crate) const fn reading_past_the_end_is_sigbus() -> Scenario {
    row(
        "map longer than the object, read past its end",
        "last byte ok; SIGBUS BUS_ADRERR at +0x100123",
    )
    .needs(Needs::END)
    .test(|subject| past_the_end(subject, MappingBuilder::shared(), Access::Read))
}

pub(crate) const fn writing_past_the_end_is_sigbus() -> Scenario {
    row(
        "the same, write",
        "last byte ok; SIGBUS BUS_ADRERR at +0x100123",
    )
    .needs(Needs::END)
    .test(|subject| past_the_end(subject, MappingBuilder::shared(), Access::Write))
}

pub(crate) const fn reading_privately_past_the_end_is_sigbus() -> Scenario {
    row(
        "the same, MAP_PRIVATE, read",
        "last byte ok; SIGBUS BUS_ADRERR at +0x100123",
    )
    .needs(Needs::PRIVATE)
    .needs(Needs::END)
    .test(|subject| past_the_end(subject, MappingBuilder::private(), Access::Read))
}

pub(crate) const fn writing_privately_past_the_end_is_sigbus() -> Scenario {
    row(
        "the same, MAP_PRIVATE, write",
        "last byte ok; SIGBUS BUS_ADRERR at +0x100123",
    )
    .needs(Needs::PRIVATE)
    .needs(Needs::END)
    .test(|subject| past_the_end(subject, MappingBuilder::private(), Access::Write))
}

pub(crate) const fn a_mapping_that_starts_past_the_end_is_sigbus() -> Scenario {
    row(
        "offset = 4 pages past the end, read",
        "SIGBUS BUS_ADRERR at +0x0",
    )
    .needs(Needs::END)
    .test(|subject| {
        let offset = (size() + 4 * page_size()) as u64;
        let mapping = MappingBuilder::shared()
            .offset(offset)
            .len(page_size())
            .map(&subject.file()?)?;
        touch(mapping.as_ptr(), 0, Access::Read)
    })
}

pub(crate) const fn an_offset_of_4_gib_is_past_the_end() -> Scenario {
    row(
        "offset 4 GiB, whose lower 32 bits are 0, read",
        "SIGBUS BUS_ADRERR at +0x0",
    )
    .needs(Needs::END)
    .test(|subject| {
        subject.put_word(0, "there")?;
        let mapping = MappingBuilder::shared()
            .offset(1 << 32)
            .len(page_size())
            .map(&subject.file()?)?;
        touch(mapping.as_ptr(), 0, Access::Read)
    })
}

pub(crate) const fn a_fault_past_the_end_allocates_nothing() -> Scenario {
    row(
        "SIGBUS in a child, then count pages",
        "SIGBUS BUS_ADRERR at +0x100000, 0 resident",
    )
    .needs(Needs::END)
    .test(|subject| {
        let mapping = too_long(subject, MappingBuilder::shared())?;
        let signal = touch(mapping.as_ptr(), size(), Access::Write)?;
        Ok(format!(
            "{signal}, {} resident",
            subject.nr_resident_pages()?
        ))
    })
}

pub(crate) const fn populating_past_the_end_is_no_error() -> Scenario {
    row(
        "MAP_POPULATE 4 pages more than there are",
        "ok, 256 resident",
    )
    .needs(Needs::END)
    .test(|subject| {
        let mapped = too_long(subject, MappingBuilder::shared().populate());
        let verdict = if mapped.is_ok() { "ok" } else { "an error" };
        Ok(format!(
            "{verdict}, {} resident",
            subject.nr_resident_pages()?
        ))
    })
}

pub(crate) const fn mlock_past_the_end_is_enomem() -> Scenario {
    row("mlock() 4 pages more than there are", "ENOMEM")
        .needs(Needs::END)
        .test(|subject| {
            let mapping = too_long(subject, MappingBuilder::shared())?;
            Ok(mapping
                .lock()
                .map_or_else(|error| symbol(error.errno()), |()| "ok".into()))
        })
}

pub(crate) const fn system_calls_past_the_end_are_efault() -> Scenario {
    row(
        "write(2) and read(2) a buffer past the end",
        "EFAULT EFAULT",
    )
    .needs(Needs::CALLS)
    .needs(Needs::END)
    .test(|subject| {
        let mapping = too_long(subject, MappingBuilder::shared())?;
        let buffer = mapping.as_ptr().wrapping_add(size());
        let pipe = rustix::pipe::pipe()?;
        rustix::io::write(&pipe.1, b"something to read")?;
        let written = crate::scenarios::io::raw_pwrite(&*subject.file()?, buffer, 8, 0);
        let read = crate::scenarios::io::raw_read(&pipe.0, buffer, 8);
        Ok(format!("{} {}", verdict(&written), verdict(&read)))
    })
}

pub(crate) const fn touching_outside_the_mapping_is_maperr() -> Scenario {
    row(
        "read, write just after a mapping's end",
        "SIGSEGV SEGV_MAPERR at +0x100000, SIGSEGV SEGV_MAPERR at +0x100fff",
    )
    .test(|subject| {
        let file = subject.file()?;
        // In a process of its own, where nothing else is mapped into the gap.
        in_child(|| {
            let mapping = before_a_gap(&file)?;
            let read = touch(mapping.as_ptr(), size(), Access::Read)?;
            let written = touch(mapping.as_ptr(), size() + page_size() - 1, Access::Write)?;
            Ok(format!("{read}, {written}"))
        })
    })
}

pub(crate) const fn touching_unmapped_pages_is_maperr() -> Scenario {
    row(
        "unmap page 3 of 8, touch pages 2, 3, 4",
        "ok, SIGSEGV SEGV_MAPERR at +0x3000, ok",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let page = |number| mapping.as_ptr().wrapping_add(number * page_size());
        put_word(&mapping, 3 * page_size(), "there")?;
        in_child(|| {
            // SAFETY: The page belongs to `mapping`, and this process ends before that does.
            unsafe { munmap(page(3).cast(), page_size()) }?;
            let touched = [2, 3, 4]
                .map(|number| touch(mapping.as_ptr(), number * page_size(), Access::Write));
            let [before, inside, after] = touched;
            Ok(format!("{}, {}, {}", before?, inside?, after?))
        })
    })
}

pub(crate) const fn writing_a_read_only_mapping_is_accerr() -> Scenario {
    row(
        "PROT_READ: read, write",
        "ok, SIGSEGV SEGV_ACCERR at +0x1008",
    )
    .test(|subject| {
        let mapping = subject.map(MappingBuilder::shared().protection(Protection::READ))?;
        read_and_write(&mapping)
    })
}

pub(crate) const fn touching_a_closed_mapping_is_accerr() -> Scenario {
    row(
        "PROT_NONE: read, write",
        "SIGSEGV SEGV_ACCERR at +0x1008, SIGSEGV SEGV_ACCERR at +0x1008",
    )
    .test(|subject| {
        let mapping = subject.map(MappingBuilder::shared().protection(Protection::NONE))?;
        read_and_write(&mapping)
    })
}

pub(crate) const fn executing_data_is_accerr() -> Scenario {
    row(
        "rw-: call it as a function",
        "SIGSEGV SEGV_ACCERR at +0x1008",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, page_size() + 8, "data")?;
        touch(mapping.as_ptr(), page_size() + 8, Access::Execute)
    })
}

pub(crate) const fn protection_taken_away_is_accerr() -> Scenario {
    row(
        "write, mprotect(PROT_READ), write again",
        "ok, then SIGSEGV SEGV_ACCERR at +0x2000",
    )
    .test(|subject| {
        let mut mapping = subject.shared()?;
        let before = touch(mapping.as_ptr(), 2 * page_size(), Access::Write)?;
        put_word(&mapping, 2 * page_size(), "mapped")?;
        mapping.protect(Protection::READ)?;
        let after = touch(mapping.as_ptr(), 2 * page_size(), Access::Write)?;
        Ok(format!("{before}, then {after}"))
    })
}

pub(crate) const fn protection_wins_over_the_end() -> Scenario {
    row(
        "PROT_READ, write past the object's end",
        "SIGSEGV SEGV_ACCERR at +0x100000",
    )
    .needs(Needs::END)
    .test(|subject| {
        let mapping = too_long(
            subject,
            MappingBuilder::shared().protection(Protection::READ),
        )?;
        touch(mapping.as_ptr(), size(), Access::Write)
    })
}

fn past_the_end(subject: &Subject, builder: MappingBuilder, access: Access) -> Answer {
    let mapping = too_long(subject, builder)?;
    let last = touch(mapping.as_ptr(), size() - 1, access)?;
    let next = touch(mapping.as_ptr(), size() + 0x123, access)?;
    Ok(format!("last byte {last}; {next}"))
}

/// A mapping of 4 pages more than the object has.
fn too_long(subject: &Subject, builder: MappingBuilder) -> Result<Mapping, Failure> {
    Ok(builder
        .len(size() + 4 * page_size())
        .map(&subject.file()?)?)
}

fn read_and_write(mapping: &Mapping) -> Answer {
    let read = touch(mapping.as_ptr(), page_size() + 8, Access::Read)?;
    Ok(format!(
        "{read}, {}",
        touch(mapping.as_ptr(), page_size() + 8, Access::Write)?
    ))
}

/// A shared mapping of the whole object, with an unmapped page after it.
///
/// The range is reserved first, so that its neighbour is known; only the gap is given back.
fn before_a_gap(file: &File) -> Result<Mapping, Failure> {
    let none = ProtFlags::empty();
    // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
    let start = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            size() + page_size(),
            none,
            MapFlags::PRIVATE,
        )
    }?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::SHARED | MapFlags::FIXED;
    // SAFETY: Replaces a part of the range that was reserved just now.
    unsafe { mmap(start, size(), protection, flags, file, 0) }?;
    // SAFETY: The rest of that range.
    unsafe { munmap(start.wrapping_byte_add(size()), page_size()) }?;
    // SAFETY: These bytes were mapped just now, with this protection, and nothing else refers to them.
    Ok(unsafe { Mapping::from_raw_parts(start.cast(), size(), Protection::READ_WRITE) })
}
