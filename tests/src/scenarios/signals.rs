// SPDX-License-Identifier: MIT OR GPL-2.0

//! Which signal an access raises that cannot be served, with its code and address.

use std::fs::File;
use std::ptr;

use mmap_pool::{Mapping, MappingBuilder, Protection};
use rustix::mm::{mmap, mmap_anonymous, munmap, MapFlags, ProtFlags};

use crate::child::in_child;
use crate::observe::{put_word, symbol, verdict};
use crate::signal::{touch, Access};
use crate::subject::{Subject, PAGE, SIZE};
use crate::{Answer, Failure};

pub fn reading_past_the_end_is_sigbus(subject: &Subject) -> Answer {
    past_the_end(subject, MappingBuilder::shared(), Access::Read)
}

pub fn writing_past_the_end_is_sigbus(subject: &Subject) -> Answer {
    past_the_end(subject, MappingBuilder::shared(), Access::Write)
}

pub fn reading_privately_past_the_end_is_sigbus(subject: &Subject) -> Answer {
    past_the_end(subject, MappingBuilder::private(), Access::Read)
}

pub fn writing_privately_past_the_end_is_sigbus(subject: &Subject) -> Answer {
    past_the_end(subject, MappingBuilder::private(), Access::Write)
}

pub fn a_mapping_that_starts_past_the_end_is_sigbus(subject: &Subject) -> Answer {
    let offset = (SIZE + 4 * PAGE) as u64;
    let mapping = MappingBuilder::shared()
        .offset(offset)
        .len(PAGE)
        .map(&subject.file()?)?;
    touch(mapping.as_ptr(), 0, Access::Read)
}

pub fn a_fault_past_the_end_allocates_nothing(subject: &Subject) -> Answer {
    let mapping = too_long(subject, MappingBuilder::shared())?;
    let signal = touch(mapping.as_ptr(), SIZE, Access::Write)?;
    Ok(format!(
        "{signal}, {} resident",
        subject.nr_resident_pages()?
    ))
}

pub fn populating_past_the_end_is_no_error(subject: &Subject) -> Answer {
    let mapped = too_long(subject, MappingBuilder::shared().populate());
    let verdict = if mapped.is_ok() { "ok" } else { "an error" };
    Ok(format!(
        "{verdict}, {} resident",
        subject.nr_resident_pages()?
    ))
}

pub fn mlock_past_the_end_is_enomem(subject: &Subject) -> Answer {
    let mapping = too_long(subject, MappingBuilder::shared())?;
    Ok(mapping
        .lock()
        .map_or_else(|error| symbol(error.errno()), |()| "ok".into()))
}

pub fn system_calls_past_the_end_are_efault(subject: &Subject) -> Answer {
    let mapping = too_long(subject, MappingBuilder::shared())?;
    let buffer = mapping.as_ptr().wrapping_add(SIZE);
    let pipe = rustix::pipe::pipe()?;
    rustix::io::write(&pipe.1, b"something to read")?;
    let written = crate::scenarios::io::raw_pwrite(&*subject.file()?, buffer, 8, 0);
    let read = crate::scenarios::io::raw_read(&pipe.0, buffer, 8);
    Ok(format!("{} {}", verdict(&written), verdict(&read)))
}

pub fn touching_outside_the_mapping_is_maperr(subject: &Subject) -> Answer {
    let file = subject.file()?;
    // In a process of its own, where nobody else maps anything into the gap.
    in_child(|| {
        let mapping = before_a_gap(&file)?;
        let read = touch(mapping.as_ptr(), SIZE, Access::Read)?;
        let written = touch(mapping.as_ptr(), SIZE + PAGE - 1, Access::Write)?;
        Ok(format!("{read}, {written}"))
    })
}

pub fn touching_unmapped_pages_is_maperr(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    let page = |number| mapping.as_ptr().wrapping_add(number * PAGE);
    put_word(&mapping, 3 * PAGE, "there")?;
    in_child(|| {
        // SAFETY: The page belongs to `mapping`, and this process ends before that does.
        unsafe { munmap(page(3).cast(), PAGE) }?;
        let touched = [2, 3, 4].map(|number| touch(mapping.as_ptr(), number * PAGE, Access::Write));
        let [before, inside, after] = touched;
        Ok(format!("{}, {}, {}", before?, inside?, after?))
    })
}

pub fn writing_a_read_only_mapping_is_accerr(subject: &Subject) -> Answer {
    let mapping = subject.map(MappingBuilder::shared().protection(Protection::READ))?;
    read_and_write(&mapping)
}

pub fn touching_a_closed_mapping_is_accerr(subject: &Subject) -> Answer {
    let mapping = subject.map(MappingBuilder::shared().protection(Protection::NONE))?;
    read_and_write(&mapping)
}

pub fn executing_data_is_accerr(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    put_word(&mapping, PAGE + 8, "data")?;
    touch(mapping.as_ptr(), PAGE + 8, Access::Execute)
}

pub fn protection_taken_away_is_accerr(subject: &Subject) -> Answer {
    let mut mapping = subject.shared()?;
    let before = touch(mapping.as_ptr(), 2 * PAGE, Access::Write)?;
    put_word(&mapping, 2 * PAGE, "mapped")?;
    mapping.protect(Protection::READ)?;
    let after = touch(mapping.as_ptr(), 2 * PAGE, Access::Write)?;
    Ok(format!("{before}, then {after}"))
}

pub fn protection_wins_over_the_end(subject: &Subject) -> Answer {
    let mapping = too_long(
        subject,
        MappingBuilder::shared().protection(Protection::READ),
    )?;
    touch(mapping.as_ptr(), SIZE, Access::Write)
}

fn past_the_end(subject: &Subject, builder: MappingBuilder, access: Access) -> Answer {
    let mapping = too_long(subject, builder)?;
    let last = touch(mapping.as_ptr(), SIZE - 1, access)?;
    let next = touch(mapping.as_ptr(), SIZE + 0x123, access)?;
    Ok(format!("last byte {last}; {next}"))
}

/// A mapping of 4 pages more than there are.
fn too_long(subject: &Subject, builder: MappingBuilder) -> Result<Mapping, Failure> {
    Ok(builder.len(SIZE + 4 * PAGE).map(&subject.file()?)?)
}

fn read_and_write(mapping: &Mapping) -> Answer {
    let read = touch(mapping.as_ptr(), PAGE + 8, Access::Read)?;
    Ok(format!(
        "{read}, {}",
        touch(mapping.as_ptr(), PAGE + 8, Access::Write)?
    ))
}

/// A shared mapping of the whole object, after which nothing is mapped for a page at least.
///
/// The range is reserved first, so that its neighbour is known; only the gap is given back.
fn before_a_gap(file: &File) -> Result<Mapping, Failure> {
    let none = ProtFlags::empty();
    // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), SIZE + PAGE, none, MapFlags::PRIVATE) }?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::SHARED | MapFlags::FIXED;
    // SAFETY: Replaces a part of the range that was reserved just now.
    unsafe { mmap(start, SIZE, protection, flags, file, 0) }?;
    // SAFETY: The rest of that range.
    unsafe { munmap(start.wrapping_byte_add(SIZE), PAGE) }?;
    // SAFETY: These bytes were mapped just now, with this protection, and nobody else knows them.
    Ok(unsafe { Mapping::from_raw_parts(start.cast(), SIZE, Protection::READ_WRITE) })
}
