// SPDX-License-Identifier: MIT OR GPL-2.0

//! Bytes that the kernel moves: `sendfile(2)`, `splice(2)`, `copy_file_range(2)`, flags of `preadv2`.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{copy_file_range, memfd_create, sendfile, MemfdFlags};
use rustix::io::{preadv2, pwritev2, ReadWriteFlags};
use rustix::pipe::{pipe, splice, SpliceFlags};

use crate::machine::{bytes, scaled};
use crate::needs::Needs;
use crate::observe::{count, put_word_in_file, verdict, word_in_file};
use crate::scenario::Who::Node;
use crate::scenario::{row, Scenario};
use crate::subject::{page_size, size};
use crate::Failure;

pub(crate) const fn sendfile_reads_it() -> Scenario {
    row(
        "sendfile() 3 pages from offset 100 to another file",
        "12288, offset 12388, hello",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        subject.put_word(scaled(5000), "hello")?;
        let to = scratch()?;
        let mut offset = 100;
        let sent = sendfile(&to, subject.file()?, Some(&mut offset), 3 * page_size());
        Ok(format!(
            "{}, offset {}, {}",
            count(&sent),
            bytes(offset),
            word_in_file(&to, scaled(4900))?
        ))
    })
}

pub(crate) const fn sendfile_writes_it() -> Scenario {
    row(
        "sendfile() 3 pages from another file, 4 asked for",
        "12288, hello",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let from = scratch()?;
        put_word_in_file(&from, scaled(4900), "hello")?;
        from.set_len(3 * page_size() as u64)?;
        let sent = sendfile(subject.file()?, &from, Some(&mut 0), 4 * page_size());
        Ok(format!("{}, {}", count(&sent), subject.word(scaled(4900))?))
    })
}

pub(crate) const fn splice_moves_it_through_a_pipe() -> Scenario {
    row(
        "splice() 2 pages into a pipe, and from it to page 20",
        "out 8192, in 8192, hello",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        subject.put_word(scaled(5000), "hello")?;
        let (from, to) = pipe()?;
        let file = subject.file()?;
        let out = splice_in_full(&file, Some(page_size() as u64), &to, None, 2 * page_size())?;
        let back = splice_in_full(&from, None, &file, Some(20 * page_size() as u64), out)?;
        Ok(format!(
            "out {}, in {}, {}",
            bytes(out as u64),
            bytes(back as u64),
            subject.word(20 * page_size() + 904)?
        ))
    })
}

/// Some kernels move a page at a time, such as those that note the owner of each.
fn splice_in_full(
    from: &impl AsFd,
    mut from_offset: Option<u64>,
    to: &impl AsFd,
    mut to_offset: Option<u64>,
    len: usize,
) -> rustix::io::Result<usize> {
    let mut moved = 0;
    while moved < len {
        let (from_offset, to_offset) = (from_offset.as_mut(), to_offset.as_mut());
        match splice(
            from,
            from_offset,
            to,
            to_offset,
            len - moved,
            SpliceFlags::empty(),
        )? {
            0 => break,
            more => moved += more,
        }
    }
    Ok(moved)
}

pub(crate) const fn splice_ends_at_the_end() -> Scenario {
    row("splice() 200 across and at the end", "100 0")
        .needs(Needs::CALLS)
        .needs(Needs::END)
        .test(|subject| {
            let (_from, to) = pipe()?;
            let file = subject.file()?;
            let end = size() as u64;
            let moved = [end - 100, end].map(|mut offset| {
                let moved = splice(
                    &file,
                    Some(&mut offset),
                    &to,
                    None,
                    200,
                    SpliceFlags::empty(),
                );
                count(&moved)
            });
            Ok(moved.join(" "))
        })
}

pub(crate) const fn what_is_in_a_pipe_does_not_change_any_more() -> Scenario {
    row(
        "splice() a page into a pipe, punch it, write it anew",
        "old, read() new",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        subject.put_word(0, "old")?;
        let (from, to) = pipe()?;
        let file = subject.file()?;
        splice(&file, Some(&mut 0), &to, None, 8, SpliceFlags::empty())?;
        subject.punch(0, page_size() as u64)?;
        subject.put_word(0, "new")?;
        let mut bytes = [0; 8];
        File::from(from).read_exact(&mut bytes)?;
        let piped = String::from_utf8_lossy(&bytes);
        Ok(format!(
            "{}, read() {}",
            piped.trim_end_matches('\0'),
            subject.word(0)?
        ))
    })
}

pub(crate) const fn copy_file_range_within_it() -> Scenario {
    row(
        "copy_file_range() 2 pages from page 0 to page 9",
        "8192, hello",
    )
    .but(Node, "EINVAL, 0")
    .test(|subject| {
        subject.put_word(100, "hello")?;
        let file = subject.file()?;
        let (mut from, mut to) = (0, 9 * page_size() as u64);
        let copied = copy_file_range(
            &file,
            Some(&mut from),
            &file,
            Some(&mut to),
            2 * page_size(),
        );
        Ok(format!(
            "{}, {}",
            count(&copied),
            subject.word(9 * page_size() + 100)?
        ))
    })
}

pub(crate) const fn copy_file_range_of_overlapping_ranges_is_einval() -> Scenario {
    row("copy_file_range() 2 pages from 0 to 100", "EINVAL").test(|subject| {
        let file = subject.file()?;
        let copied = copy_file_range(&file, Some(&mut 0), &file, Some(&mut 100), 2 * page_size());
        Ok(verdict(&copied))
    })
}

pub(crate) const fn flags_of_preadv2_and_pwritev2() -> Scenario {
    row(
        "RWF_HIPRI, DSYNC, SYNC, NOWAIT, unknown, 4 bytes each",
        "read 4 4 4 EOPNOTSUPP EOPNOTSUPP; write 4 4 4 EOPNOTSUPP EOPNOTSUPP",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let file = subject.file()?;
        let flags = [
            ReadWriteFlags::HIPRI,
            ReadWriteFlags::DSYNC,
            ReadWriteFlags::SYNC,
            ReadWriteFlags::NOWAIT,
            ReadWriteFlags::from_bits_retain(1 << 30),
        ];
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for flags in flags {
            let mut bytes = [0; 4];
            reads.push(count(&preadv2(
                &file,
                &mut [IoSliceMut::new(&mut bytes)],
                0,
                flags,
            )));
            writes.push(count(&pwritev2(&file, &[IoSlice::new(b"1234")], 0, flags)));
        }
        Ok(format!(
            "read {}; write {}",
            reads.join(" "),
            writes.join(" ")
        ))
    })
}

pub(crate) const fn rwf_append_writes_at_the_end() -> Scenario {
    row(
        "pwritev2 RWF_APPEND 8 bytes at 0",
        "8, 1048584 bytes, start 0",
    )
    .but(Node, "ENOSPC, 1048576 bytes, start 0")
    .needs(Needs::END)
    .test(|subject| {
        let written = pwritev2(
            subject.file()?,
            &[IoSlice::new(b"appended")],
            0,
            ReadWriteFlags::APPEND,
        );
        Ok(format!(
            "{}, {} bytes, start {}",
            count(&written),
            bytes(subject.size_bytes()?),
            subject.word(0)?
        ))
    })
}

pub(crate) const fn bytes_cross_between_it_and_other_files() -> Scenario {
    row("sendfile() 1 MiB in and out again", "equal")
        .needs(Needs::CALLS)
        .test(|subject| {
            let other = scratch()?;
            let pattern: Vec<u8> = (0..=250).cycle().take(size()).collect();
            other.write_all_at(&pattern, 0)?;
            let file = subject.file()?;
            let mut offset = 0;
            while sendfile(&file, &other, Some(&mut offset), size())? > 0 {}
            let back = scratch()?;
            let mut offset = 0;
            while sendfile(&back, &file, Some(&mut offset), size())? > 0 {}
            let mut bytes = vec![0; size()];
            back.read_exact_at(&mut bytes, 0)?;
            Ok(if bytes == pattern {
                "equal"
            } else {
                "different"
            }
            .into())
        })
}

fn scratch() -> Result<File, Failure> {
    Ok(memfd_create("scratch", MemfdFlags::CLOEXEC)?.into())
}
