// SPDX-License-Identifier: MIT OR GPL-2.0

//! Seals: added by the ioctl of pools, and by `fcntl(2)` on a memfd.

use mmap_pool::{MappingBuilder, Protection, Seals};
use rustix::fs::{fallocate, fcntl_add_seals, FallocateFlags, OFlags, SealFlags};
use rustix::io::pwrite;

use crate::machine::bytes;
use crate::observe::{count, put_word, symbol, verdict, word};
use crate::scenario::Who::{Created, Node};
use crate::scenario::{row, Scenario};
use crate::subject::{page_size, size};

fn end() -> u64 {
    size() as u64
}

fn shorter() -> u64 {
    end() - page_size() as u64
}

pub(crate) const fn a_seal_against_shrinking() -> Scenario {
    row(
        "seal SHRINK, then change the size, write, punch",
        "ok; shrink EPERM, same size ok, grow ok, write 3, punch ok",
    )
    .test(|subject| {
        let sealed = verdict(&subject.seal(Seals::SHRINK));
        let shrunk = verdict(&subject.resize(shorter()));
        let same = verdict(&subject.resize(end()));
        let grown = verdict(&subject.resize(2 * end()));
        let written = pwrite(subject.file()?, b"new", 0);
        let punched = verdict(&subject.punch(0, end()));
        Ok(format!(
            "{sealed}; shrink {shrunk}, same size {same}, grow {grown}, write {}, punch {punched}",
            count(&written)
        ))
    })
}

pub(crate) const fn a_seal_against_growing() -> Scenario {
    row(
        "seal GROW, then change the size, write across and past the end",
        "ok; grow EPERM, same size ok, write across the end EPERM, past it EPERM, shrink ok, \
         1044480 bytes",
    )
    .but(
        Node,
        "ok; grow EPERM, same size ok, write across the end 4, past it ENOSPC, shrink ok, \
         1044480 bytes",
    )
    .but(
        Created,
        "ok; grow EPERM, same size ok, write across the end 4, past it EPERM, shrink ok, \
         1044480 bytes",
    )
    .test(|subject| {
        let sealed = verdict(&subject.seal(Seals::GROW));
        let grown = verdict(&subject.resize(2 * end()));
        let same = verdict(&subject.resize(end()));
        let file = subject.file()?;
        let across = pwrite(&file, b"12345678", end() - 4);
        let past = pwrite(&file, b"12345678", end());
        let shrunk = verdict(&subject.resize(shorter()));
        Ok(format!(
            "{sealed}; grow {grown}, same size {same}, write across the end {}, past it {}, \
             shrink {shrunk}, {} bytes",
            count(&across),
            count(&past),
            bytes(subject.size_bytes()?)
        ))
    })
}

pub(crate) const fn a_seal_against_growing_holds_for_fallocate() -> Scenario {
    row(
        "seal GROW, fallocate() inside, past the end, past it with KEEP_SIZE",
        "ok EPERM EPERM",
    )
    .but(Node, "ENODEV ENODEV ENODEV")
    .test(|subject| {
        subject.seal(Seals::GROW)?;
        let file = subject.file()?;
        let inside = fallocate(&file, FallocateFlags::empty(), 0, end());
        let past = fallocate(&file, FallocateFlags::empty(), end(), 1);
        let kept = fallocate(&file, FallocateFlags::KEEP_SIZE, end(), 1);
        Ok([inside, past, kept]
            .map(|result| verdict(&result))
            .join(" "))
    })
}

pub(crate) const fn a_seal_against_writing() -> Scenario {
    row(
        "seal WRITE, then write, punch, shrink",
        "ok; write EPERM, punch EPERM, shrink ok, still old",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let sealed = verdict(&subject.seal(Seals::WRITE));
        let written = pwrite(subject.file()?, b"new", 0);
        let punched = verdict(&subject.punch(0, page_size() as u64));
        let shrunk = verdict(&subject.resize(shorter()));
        Ok(format!(
            "{sealed}; write {}, punch {punched}, shrink {shrunk}, still {}",
            verdict(&written),
            subject.word(0)?
        ))
    })
}

pub(crate) const fn a_sealed_object_can_be_mapped_for_reading_only() -> Scenario {
    row(
        "seal WRITE, map shared writable, map readable and mprotect()",
        "writable EPERM; readable sees old, mprotect EACCES",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        subject.seal(Seals::WRITE)?;
        let writable = MappingBuilder::shared()
            .len(page_size())
            .map(&subject.file()?);
        let writable = writable.map_or_else(|error| symbol(error.errno()), |_| "ok".into());
        let mut readable = subject.map(MappingBuilder::shared().protection(Protection::READ))?;
        let seen = word(&readable, 0)?;
        let climbed = readable.protect(Protection::READ_WRITE);
        let climbed = climbed.map_or_else(|error| symbol(error.errno()), |()| "ok".into());
        Ok(format!(
            "writable {writable}; readable sees {seen}, mprotect {climbed}"
        ))
    })
}

pub(crate) const fn a_sealed_object_can_be_copied_privately() -> Scenario {
    row("seal WRITE, map privately, write", "mine, read() old").test(|subject| {
        subject.put_word(0, "old")?;
        subject.seal(Seals::WRITE)?;
        let private = subject.private()?;
        put_word(&private, 0, "mine")?;
        Ok(format!(
            "{}, read() {}",
            word(&private, 0)?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn sealing_against_writing_waits_for_no_mapping() -> Scenario {
    row(
        "seal WRITE with mappings that are or could become writable, and others",
        "writable EBUSY, readable EBUSY, of O_RDONLY and private ok",
    )
    .test(|subject| {
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
            .len(page_size())
            .map(&file)?;
        let _private = subject.private()?;
        Ok(format!(
            "writable {with_writable}, readable {with_readable}, of O_RDONLY and private {}",
            attempt()
        ))
    })
}

pub(crate) const fn a_refused_seal_seals_nothing() -> Scenario {
    row(
        "seal WRITE and GROW with a writable mapping, then grow, write",
        "EBUSY; grow ok, write 3",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let refused = verdict(&subject.seal(Seals::WRITE | Seals::GROW));
        let grown = verdict(&subject.resize(2 * end()));
        let written = pwrite(subject.file()?, b"new", 0);
        put_word(&mapping, page_size(), "new")?;
        Ok(format!(
            "{refused}; grow {grown}, write {}",
            count(&written)
        ))
    })
}

pub(crate) const fn a_seal_against_seals() -> Scenario {
    row(
        "seal GROW and SEAL, then GROW, SHRINK; shrink",
        "ok, EPERM EPERM; shrink ok",
    )
    .test(|subject| {
        let first = verdict(&subject.seal(Seals::GROW | Seals::SEAL));
        let again = verdict(&subject.seal(Seals::GROW));
        let another = verdict(&subject.seal(Seals::SHRINK));
        let shrunk = verdict(&subject.resize(shorter()));
        Ok(format!("{first}, {again} {another}; shrink {shrunk}"))
    })
}

pub(crate) const fn unknown_seals_are_einval() -> Scenario {
    row("seal 2^20", "EINVAL").test(|subject| Ok(verdict(&subject.seal(Seals::from_bits(1 << 20)))))
}

pub(crate) const fn a_seal_is_refused_for_the_first_reason() -> Scenario {
    row(
        "with a writable mapping: seal WRITE and 2^20; with SEAL added: 2^20, WRITE, GROW",
        "EINVAL; EINVAL EPERM EPERM",
    )
    .test(|subject| {
        let _writable = subject.shared()?;
        let unknown = Seals::from_bits(1 << 20);
        let attempt = |seals| verdict(&subject.seal(seals));
        let before = attempt(Seals::WRITE | unknown);
        subject.seal(Seals::SEAL)?;
        let after = [unknown, Seals::WRITE, Seals::GROW].map(attempt);
        Ok(format!("{before}; {}", after.join(" ")))
    })
}

pub(crate) const fn sealing_needs_a_descriptor_open_for_writing() -> Scenario {
    row("seal through O_RDONLY", "EPERM")
        .but(Node, "EBADF")
        .but(Created, "EBADF")
        .test(|subject| {
            let file = subject.open(OFlags::RDONLY)?;
            Ok(match mmap_pool::Pool::try_from(file.try_clone()?) {
                Ok(pool) => verdict(&pool.seal(Seals::GROW).map_err(|error| error.errno())),
                Err(_) => verdict(&fcntl_add_seals(&file, SealFlags::GROW)),
            })
        })
}

pub(crate) const fn pools_have_no_seals_of_fcntl() -> Scenario {
    row("F_ADD_SEALS", "ok")
        .but(Node, "EINVAL")
        .but(Created, "EINVAL")
        .test(|subject| Ok(verdict(&fcntl_add_seals(subject.file()?, SealFlags::GROW))))
}
