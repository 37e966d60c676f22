// SPDX-License-Identifier: MIT OR GPL-2.0

//! Seals: by the pools' ioctl, and by `fcntl(2)` on a memfd.

use mmap_pool::{MappingBuilder, Protection, Seals};
use rustix::fs::{fallocate, fcntl_add_seals, FallocateFlags, OFlags, SealFlags};
use rustix::io::pwrite;

use crate::observe::{count, put_word, symbol, verdict, word};
use crate::subject::{Subject, PAGE, SIZE};
use crate::Answer;

const END: u64 = SIZE as u64;
const SHORTER: u64 = END - PAGE as u64;

pub fn a_seal_against_shrinking(subject: &Subject) -> Answer {
    let sealed = verdict(&subject.seal(Seals::SHRINK));
    let shrunk = verdict(&subject.resize(SHORTER));
    let same = verdict(&subject.resize(END));
    let grown = verdict(&subject.resize(2 * END));
    let written = pwrite(subject.file()?, b"new", 0);
    let punched = verdict(&subject.punch(0, END));
    Ok(format!(
        "{sealed}; shrink {shrunk}, same size {same}, grow {grown}, write {}, punch {punched}",
        count(&written)
    ))
}

pub fn a_seal_against_growing(subject: &Subject) -> Answer {
    let sealed = verdict(&subject.seal(Seals::GROW));
    let grown = verdict(&subject.resize(2 * END));
    let same = verdict(&subject.resize(END));
    let file = subject.file()?;
    let across = pwrite(&file, b"12345678", END - 4);
    let past = pwrite(&file, b"12345678", END);
    let shrunk = verdict(&subject.resize(SHORTER));
    Ok(format!(
        "{sealed}; grow {grown}, same size {same}, write across the end {}, past it {}, shrink {shrunk}, {} bytes",
        count(&across),
        count(&past),
        subject.size_bytes()?
    ))
}

pub fn a_seal_against_growing_holds_for_fallocate(subject: &Subject) -> Answer {
    subject.seal(Seals::GROW)?;
    let file = subject.file()?;
    let inside = fallocate(&file, FallocateFlags::empty(), 0, END);
    let past = fallocate(&file, FallocateFlags::empty(), END, 1);
    let kept = fallocate(&file, FallocateFlags::KEEP_SIZE, END, 1);
    Ok([inside, past, kept]
        .map(|result| verdict(&result))
        .join(" "))
}

pub fn a_seal_against_writing(subject: &Subject) -> Answer {
    subject.put_word(0, "old")?;
    let sealed = verdict(&subject.seal(Seals::WRITE));
    let written = pwrite(subject.file()?, b"new", 0);
    let punched = verdict(&subject.punch(0, PAGE as u64));
    let shrunk = verdict(&subject.resize(SHORTER));
    Ok(format!(
        "{sealed}; write {}, punch {punched}, shrink {shrunk}, still {}",
        verdict(&written),
        subject.word(0)?
    ))
}

pub fn a_sealed_object_can_be_mapped_for_reading_only(subject: &Subject) -> Answer {
    subject.put_word(0, "old")?;
    subject.seal(Seals::WRITE)?;
    let writable = MappingBuilder::shared().len(PAGE).map(&subject.file()?);
    let writable = writable.map_or_else(|error| symbol(error.errno()), |_| "ok".into());
    let mut readable = subject.map(MappingBuilder::shared().protection(Protection::READ))?;
    let seen = word(&readable, 0)?;
    let climbed = readable.protect(Protection::READ_WRITE);
    let climbed = climbed.map_or_else(|error| symbol(error.errno()), |()| "ok".into());
    Ok(format!(
        "writable {writable}; readable sees {seen}, mprotect {climbed}"
    ))
}

pub fn a_sealed_object_can_be_copied_privately(subject: &Subject) -> Answer {
    subject.put_word(0, "old")?;
    subject.seal(Seals::WRITE)?;
    let private = subject.private()?;
    put_word(&private, 0, "mine")?;
    Ok(format!(
        "{}, read() {}",
        word(&private, 0)?,
        subject.word(0)?
    ))
}

pub fn sealing_against_writing_waits_for_no_mapping(subject: &Subject) -> Answer {
    let attempt = || verdict(&subject.seal(Seals::WRITE));
    let writable = subject.shared()?;
    let with_writable = attempt();
    drop(writable);
    // Could be made writable by mprotect().
    let readable = subject.map(MappingBuilder::shared().protection(Protection::READ))?;
    let with_readable = attempt();
    drop(readable);
    let file = subject.open(OFlags::RDONLY)?;
    let _never_writable = MappingBuilder::shared()
        .protection(Protection::READ)
        .len(PAGE)
        .map(&file)?;
    let _private = subject.private()?;
    Ok(format!(
        "writable {with_writable}, readable {with_readable}, of O_RDONLY and private {}",
        attempt()
    ))
}

pub fn a_refused_seal_seals_nothing(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    let refused = verdict(&subject.seal(Seals::WRITE | Seals::GROW));
    let grown = verdict(&subject.resize(2 * END));
    let written = pwrite(subject.file()?, b"new", 0);
    put_word(&mapping, PAGE, "new")?;
    Ok(format!(
        "{refused}; grow {grown}, write {}",
        count(&written)
    ))
}

pub fn a_seal_against_seals(subject: &Subject) -> Answer {
    let first = verdict(&subject.seal(Seals::GROW | Seals::SEAL));
    let again = verdict(&subject.seal(Seals::GROW));
    let another = verdict(&subject.seal(Seals::SHRINK));
    let shrunk = verdict(&subject.resize(SHORTER));
    Ok(format!("{first}, {again} {another}; shrink {shrunk}"))
}

pub fn unknown_seals_are_einval(subject: &Subject) -> Answer {
    Ok(verdict(&subject.seal(Seals::from_bits(1 << 20))))
}

pub fn a_seal_is_refused_for_the_first_reason(subject: &Subject) -> Answer {
    let _writable = subject.shared()?;
    let unknown = Seals::from_bits(1 << 20);
    let attempt = |seals| verdict(&subject.seal(seals));
    let before = attempt(Seals::WRITE | unknown);
    subject.seal(Seals::SEAL)?;
    let after = [unknown, Seals::WRITE, Seals::GROW].map(attempt);
    Ok(format!("{before}; {}", after.join(" ")))
}

pub fn sealing_needs_a_descriptor_open_for_writing(subject: &Subject) -> Answer {
    let file = subject.open(OFlags::RDONLY)?;
    Ok(match mmap_pool::Pool::try_from(file.try_clone()?) {
        Ok(pool) => verdict(&pool.seal(Seals::GROW).map_err(|error| error.errno())),
        Err(_) => verdict(&fcntl_add_seals(&file, SealFlags::GROW)),
    })
}

pub fn pools_have_no_seals_of_fcntl(subject: &Subject) -> Answer {
    Ok(verdict(&fcntl_add_seals(subject.file()?, SealFlags::GROW)))
}
