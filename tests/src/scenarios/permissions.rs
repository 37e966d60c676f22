// SPDX-License-Identifier: MIT OR GPL-2.0

//! A mapping never has more rights than its descriptor.

use mmap_pool::{Errno, MappingBuilder, Protection, Seals};
use rustix::fs::OFlags;
use rustix::io::{pread, pwrite};

use crate::needs::Needs;
use crate::observe::{symbol, verdict};
use crate::scenario::{row, Scenario};
use crate::subject::{page_size, Subject};
use crate::{Answer, Failure};

pub(crate) const fn read_write_descriptor_maps_shared_with_everything() -> Scenario {
    row(
        "open O_RDWR, MAP_SHARED, each protection",
        "ok: --- r-- -w- rw- --x r-x -wx rwx",
    )
    .test(|subject| each_mapping(subject, OFlags::RDWR, MappingBuilder::shared()))
}

pub(crate) const fn read_write_descriptor_maps_private_with_everything() -> Scenario {
    row(
        "open O_RDWR, MAP_PRIVATE, each protection",
        "ok: --- r-- -w- rw- --x r-x -wx rwx",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| each_mapping(subject, OFlags::RDWR, MappingBuilder::private()))
}

pub(crate) const fn read_only_descriptor_gives_no_writable_shared_mapping() -> Scenario {
    row(
        "open O_RDONLY, MAP_SHARED, each protection",
        "ok: --- r-- --x r-x; EACCES: -w- rw- -wx rwx",
    )
    .test(|subject| each_mapping(subject, OFlags::RDONLY, MappingBuilder::shared()))
}

pub(crate) const fn read_only_descriptor_maps_private_with_everything() -> Scenario {
    row(
        "open O_RDONLY, MAP_PRIVATE, each protection",
        "ok: --- r-- -w- rw- --x r-x -wx rwx",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| each_mapping(subject, OFlags::RDONLY, MappingBuilder::private()))
}

pub(crate) const fn write_only_descriptor_gives_no_shared_mapping() -> Scenario {
    row(
        "open O_WRONLY, MAP_SHARED, each protection",
        "EACCES: --- r-- -w- rw- --x r-x -wx rwx",
    )
    .test(|subject| each_mapping(subject, OFlags::WRONLY, MappingBuilder::shared()))
}

pub(crate) const fn write_only_descriptor_gives_no_private_mapping() -> Scenario {
    row(
        "open O_WRONLY, MAP_PRIVATE, each protection",
        "EACCES: --- r-- -w- rw- --x r-x -wx rwx",
    )
    .test(|subject| each_mapping(subject, OFlags::WRONLY, MappingBuilder::private()))
}

pub(crate) const fn mprotect_cannot_climb_above_a_read_only_descriptor() -> Scenario {
    row(
        "O_RDONLY, MAP_SHARED PROT_NONE, then mprotect()",
        "ok: --- r-- --x r-x; EACCES: -w- rw- -wx rwx",
    )
    .test(|subject| each_mprotect(subject, OFlags::RDONLY, MappingBuilder::shared()))
}

pub(crate) const fn mprotect_of_a_private_mapping_may_climb() -> Scenario {
    row(
        "O_RDONLY, MAP_PRIVATE PROT_NONE, then mprotect()",
        "ok: --- r-- -w- rw- --x r-x -wx rwx",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| each_mprotect(subject, OFlags::RDONLY, MappingBuilder::private()))
}

pub(crate) const fn mprotect_climbs_as_far_as_the_descriptor_goes() -> Scenario {
    row(
        "O_RDWR, MAP_SHARED PROT_NONE, then mprotect()",
        "ok: --- r-- -w- rw- --x r-x -wx rwx",
    )
    .test(|subject| each_mprotect(subject, OFlags::RDWR, MappingBuilder::shared()))
}

pub(crate) const fn an_object_sealed_against_writing_gives_no_writable_shared_mapping() -> Scenario
{
    row(
        "seal WRITE, O_RDWR, MAP_SHARED, each protection",
        "ok: --- r-- --x r-x; EPERM: -w- rw- -wx rwx",
    )
    .test(|subject| {
        subject.seal(Seals::WRITE)?;
        each_mapping(subject, OFlags::RDWR, MappingBuilder::shared())
    })
}

pub(crate) const fn an_object_sealed_against_writing_maps_private_with_everything() -> Scenario {
    row(
        "seal WRITE, O_RDWR, MAP_PRIVATE, each protection",
        "ok: --- r-- -w- rw- --x r-x -wx rwx",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        subject.seal(Seals::WRITE)?;
        each_mapping(subject, OFlags::RDWR, MappingBuilder::private())
    })
}

pub(crate) const fn mprotect_cannot_climb_above_a_seal() -> Scenario {
    row(
        "seal WRITE, O_RDWR, MAP_SHARED PROT_NONE, then mprotect()",
        "ok: --- r-- --x r-x; EACCES: -w- rw- -wx rwx",
    )
    .test(|subject| {
        subject.seal(Seals::WRITE)?;
        each_mprotect(subject, OFlags::RDWR, MappingBuilder::shared())
    })
}

pub(crate) const fn reopening_for_reading_does_not_inherit_the_right_to_write() -> Scenario {
    row(
        "two descriptors, O_RDWR and O_RDONLY, at once",
        "O_RDWR ok, O_RDONLY EACCES",
    )
    .test(|subject| {
        let (writable, readable) = (subject.open(OFlags::RDWR)?, subject.open(OFlags::RDONLY)?);
        let map = |file| {
            verdict(
                &MappingBuilder::shared()
                    .len(page_size())
                    .map(file)
                    .map_err(|e| e.errno()),
            )
        };
        Ok(format!(
            "O_RDWR {}, O_RDONLY {}",
            map(&writable),
            map(&readable)
        ))
    })
}

pub(crate) const fn read_and_write_obey_the_open_mode() -> Scenario {
    row("read() on O_WRONLY, write() on O_RDONLY", "EBADF EBADF").test(|subject| {
        let mut byte = [0];
        let read = pread(subject.open(OFlags::WRONLY)?, &mut byte, 0);
        let written = pwrite(subject.open(OFlags::RDONLY)?, &byte, 0);
        Ok(format!("{} {}", verdict(&read), verdict(&written)))
    })
}

pub(crate) const fn code_in_an_executable_mapping_runs() -> Scenario {
    row("write a function, map r-x, call it", "returns 42").test(|subject| {
        subject.write_all_at(RETURN_42, 0)?;
        let protection = Protection::READ | Protection::EXEC;
        let mapping = MappingBuilder::shared()
            .protection(protection)
            .len(page_size());
        let mapping = mapping.map(&subject.open(OFlags::RDONLY)?)?;
        // SAFETY: The mapping is executable and starts with a complete function of this type, which
        // nobody changes.
        let function: extern "C" fn() -> i32 = unsafe { std::mem::transmute(mapping.as_ptr()) };
        Ok(format!("returns {}", function()))
    })
}

#[cfg(target_arch = "x86_64")]
const RETURN_42: &[u8] = b"\xb8\x2a\0\0\0\xc3";
#[cfg(target_arch = "aarch64")]
const RETURN_42: &[u8] = b"\x40\x05\x80\x52\xc0\x03\x5f\xd6";

fn each_mapping(subject: &Subject, access: OFlags, builder: MappingBuilder) -> Answer {
    let file = subject.open(access)?;
    each_protection(|protection| {
        let mapped = builder.len(page_size()).protection(protection).map(&file);
        Ok(mapped.map(|mapping| assert_eq!(mapping.protection(), protection)))
    })
}

fn each_mprotect(subject: &Subject, access: OFlags, builder: MappingBuilder) -> Answer {
    let file = subject.open(access)?;
    each_protection(|protection| {
        let mut mapping = builder
            .len(page_size())
            .protection(Protection::NONE)
            .map(&file)?;
        Ok(mapping.protect(protection))
    })
}

/// The answers of `attempt` to each protection, grouped by answer.
fn each_protection(
    attempt: impl Fn(Protection) -> Result<Result<(), mmap_pool::Error>, Failure>,
) -> Answer {
    let mut groups: Vec<(Option<Errno>, Vec<String>)> = Vec::new();
    for exec in [Protection::NONE, Protection::EXEC] {
        for data in [
            Protection::NONE,
            Protection::READ,
            Protection::WRITE,
            Protection::READ_WRITE,
        ] {
            let protection = data | exec;
            let errno = attempt(protection)?.err().map(|error| error.errno());
            match groups.iter_mut().find(|(known, _)| *known == errno) {
                Some((_, members)) => members.push(protection.to_string()),
                None => groups.push((errno, vec![protection.to_string()])),
            }
        }
    }
    let lines = groups.into_iter().map(|(errno, members)| {
        format!(
            "{}: {}",
            errno.map_or("ok".into(), symbol),
            members.join(" ")
        )
    });
    Ok(lines.collect::<Vec<_>>().join("; "))
}
