// SPDX-License-Identifier: MIT OR GPL-2.0

//! `read(2)`, `write(2)` and mappings show the same bytes at once.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::ptr;
use std::time::{Duration, SystemTime};

use mmap_pool::{Errno, Mapping, MappingBuilder};
use rustix::fs::{fdatasync, fsync, OFlags};
use rustix::io::{pread, pwrite};
use rustix::mm::{mmap_anonymous, mprotect, msync, MapFlags, MprotectFlags, MsyncFlags, ProtFlags};

use crate::machine::{bytes, scaled};
use crate::needs::Needs;
use crate::observe::{count, put_word, symbol, verdict, word};
use crate::scenario::Oracle::Tmpfs;
use crate::scenario::Who::{Created, Node};
use crate::scenario::{row, Scenario};
use crate::subject::{page_size, size, Object, Subject};
use crate::{Answer, Failure};

pub(crate) const fn a_mapping_sees_what_write_wrote() -> Scenario {
    row(
        "write(2), then look through a mapping made before",
        "old, then new",
    )
    .test(|subject| write_then_look(subject, &subject.shared()?))
}

pub(crate) const fn a_private_mapping_sees_what_write_wrote() -> Scenario {
    row(
        "write(2), then look through a private mapping",
        "old, then new",
    )
    .test(|subject| write_then_look(subject, &subject.private()?))
}

pub(crate) const fn read_sees_what_a_mapping_stored() -> Scenario {
    row("store to a mapping, then read(2)", "old, then new").test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 2 * page_size(), "old")?;
        let before = subject.word(2 * page_size())?;
        put_word(&mapping, 2 * page_size(), "new")?;
        Ok(format!("{before}, then {}", subject.word(2 * page_size())?))
    })
}

pub(crate) const fn read_and_write_move_the_position() -> Scenario {
    row("write 10, seek to 4, read 6", "at 10, read 456789, at 10")
        .needs(Needs::CALLS)
        .test(|subject| {
            let mut file = subject.file()?;
            file.write_all(b"0123456789")?;
            let written = file.stream_position()?;
            file.seek(SeekFrom::Start(4))?;
            let mut bytes = [0; 6];
            file.read_exact(&mut bytes)?;
            let read = String::from_utf8_lossy(&bytes);
            Ok(format!(
                "at {written}, read {read}, at {}",
                file.stream_position()?
            ))
        })
}

pub(crate) const fn pread_and_pwrite_do_not_move_the_position() -> Scenario {
    row("pwrite and pread at 5000", "read hello, at 0")
        .needs(Needs::CALLS)
        .test(|subject| {
            let mut file = subject.file()?;
            crate::observe::put_word_in_file(&file, 5000, "hello")?;
            let read = crate::observe::word_in_file(&file, 5000)?;
            Ok(format!("read {read}, at {}", file.stream_position()?))
        })
}

pub(crate) const fn seeking_reaches_start_place_and_end() -> Scenario {
    row(
        "lseek SET 4096, CUR 8, END -8, END 8192",
        "4096 4104 1048568 1056768",
    )
    .needs(Needs::CALLS)
    .needs(Needs::END)
    .test(|subject| {
        let mut file = subject.file()?;
        let places = [
            SeekFrom::Start(page_size() as u64),
            SeekFrom::Current(8),
            SeekFrom::End(-8),
            SeekFrom::End(i64::try_from(2 * page_size())?),
        ]
        .map(|place| file.seek(place).map_err(|error| errno(&error)));
        Ok(places.iter().map(count).collect::<Vec<_>>().join(" "))
    })
}

pub(crate) const fn impossible_seeks_are_einval() -> Scenario {
    row(
        "lseek SET -1, CUR -1 at 0, whence 99",
        "EINVAL EINVAL EINVAL, at 0",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let mut file = subject.file()?;
        let seeks =
            [(-1, libc::SEEK_SET), (-1, libc::SEEK_CUR), (0, 99)].map(|(offset, whence)| {
                // SAFETY: A call without pointers.
                match unsafe { libc::lseek(file.as_raw_fd(), offset, whence) } {
                    -1 => symbol(errno(&io::Error::last_os_error())),
                    place => place.to_string(),
                }
            });
        Ok(format!(
            "{}, at {}",
            seeks.join(" "),
            file.stream_position()?
        ))
    })
}

pub(crate) const fn duplicates_share_the_position_and_reopened_ones_do_not() -> Scenario {
    row(
        "seek to 100, ask a dup and a second open",
        "dup 100, open 0",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let mut file = subject.file()?;
        let (mut duplicate, mut opened) = (file.try_clone()?, subject.file()?);
        file.seek(SeekFrom::Start(100))?;
        Ok(format!(
            "dup {}, open {}",
            duplicate.stream_position()?,
            opened.stream_position()?
        ))
    })
}

pub(crate) const fn reading_ends_at_the_end() -> Scenario {
    row("pread 200 across, at and past the end", "100 0 0")
        .needs(Needs::CALLS)
        .needs(Needs::END)
        .test(|subject| {
            let file = subject.file()?;
            let read =
                around_the_end().map(|offset| count(&pread(&file, &mut [0; 200][..], offset)));
            Ok(read.join(" "))
        })
}

pub(crate) const fn writing_ends_at_the_end() -> Scenario {
    row(
        "pwrite 200 across, at and past the end of a full object",
        "100 ENOSPC ENOSPC",
    )
    .beside(Tmpfs)
    .without(Created)
    .needs(Needs::CALLS)
    .needs(Needs::END)
    .test(fill_and_write_around_the_end)
}

pub(crate) const fn writing_past_the_end_makes_a_file_larger() -> Scenario {
    row(
        "the same, of an object that can grow, then its size",
        "200 200 200, 1056968 bytes",
    )
    .but(Node, "100 ENOSPC ENOSPC, 1048576 bytes")
    .needs(Needs::CALLS)
    .needs(Needs::END)
    .test(|subject| {
        let written = fill_and_write_around_the_end(subject)?;
        Ok(format!("{written}, {} bytes", bytes(subject.size_bytes()?)))
    })
}

pub(crate) const fn writing_nothing_anywhere_is_no_error() -> Scenario {
    row(
        "pwrite and pread 0 bytes inside, at and past the end",
        "0 0, 0 0, 0 0",
    )
    .needs(Needs::CALLS)
    .needs(Needs::END)
    .test(|subject| {
        let file = subject.file()?;
        let pairs = around_the_end().map(|offset| {
            let written = pwrite(&file, &[], offset);
            format!(
                "{} {}",
                count(&written),
                count(&pread(&file, &mut [0_u8; 0][..], offset))
            )
        });
        Ok(pairs.join(", "))
    })
}

pub(crate) const fn an_empty_write_leaves_the_times() -> Scenario {
    row(
        "set the time of the last change, pwrite 0 bytes, then 5",
        "kept, changed",
    )
    .but(Node, "kept, kept")
    .needs(Needs::CALLS)
    .test(|subject| {
        let file = subject.file()?;
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        file.set_modified(long_ago)?;
        let after = |len| {
            pwrite(&file, &b"bytes"[..len], 0)?;
            let is_kept = file.metadata()?.modified()? == long_ago;
            Ok::<_, Failure>(if is_kept { "kept" } else { "changed" })
        };
        Ok(format!("{}, {}", after(0)?, after(5)?))
    })
}

pub(crate) const fn o_direct_changes_nothing() -> Scenario {
    row(
        "O_DIRECT: write and read 8 and 16 bytes at 112 and 104",
        "wrote 8, mapping written; read 16: stored  written",
    )
    .test(|subject| {
        let file = subject.open(OFlags::RDWR | OFlags::DIRECT)?;
        let mapping = subject.shared()?;
        put_word(&mapping, 104, "stored")?;
        let written = pwrite(&file, b"written\0", 112);
        // Neither addresses nor lengths are a block's.
        let mut bytes = [0; 17];
        let read = pread(&file, &mut bytes[1..], 104);
        Ok(format!(
            "wrote {}, mapping {}; read {}: {}",
            count(&written),
            word(&mapping, 112)?,
            count(&read),
            String::from_utf8_lossy(&bytes).replace('\0', " ").trim(),
        ))
    })
}

pub(crate) const fn negative_offsets_are_einval() -> Scenario {
    row("pread, pwrite at -1", "EINVAL EINVAL").test(|subject| {
        let file = subject.file()?;
        let mut byte = [0];
        let read = raw_pread(&file, byte.as_mut_ptr(), 1, u64::MAX);
        Ok(format!(
            "{} {}",
            count(&read),
            count(&raw_pwrite(&file, byte.as_mut_ptr(), 1, u64::MAX))
        ))
    })
}

pub(crate) const fn a_bad_buffer_is_efault() -> Scenario {
    row("read into, write from unmapped memory", "EFAULT EFAULT")
        .needs(Needs::CALLS)
        .test(|subject| {
            let file = subject.file()?;
            // Below the lowest address that can be mapped.
            let nowhere = ptr::without_provenance_mut(page_size());
            let read = raw_pread(&file, nowhere, 100, 0);
            Ok(format!(
                "{} {}",
                count(&read),
                count(&raw_pwrite(&file, nowhere, 100, 0))
            ))
        })
}

pub(crate) const fn a_half_bad_buffer_transfers_its_good_half() -> Scenario {
    row(
        "transfer 200 bytes, the second 100 unmapped",
        "read 100, written 100",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let file = subject.file()?;
        let (len, none) = (2 * page_size(), ProtFlags::empty());
        // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), len, none, MapFlags::PRIVATE) }?;
        // SAFETY: The range was mapped just now, and nothing else refers to it.
        let pages =
            unsafe { Mapping::from_raw_parts(start.cast(), len, mmap_pool::Protection::NONE) };
        // SAFETY: The first page of that range.
        unsafe {
            mprotect(
                start,
                page_size(),
                MprotectFlags::READ | MprotectFlags::WRITE,
            )
        }?;
        let buffer = pages.as_ptr().wrapping_add(page_size() - 100);
        let read = raw_pread(&file, buffer, 200, 0);
        let written = raw_pwrite(&file, buffer, 200, 0);
        Ok(format!(
            "read {}, written {}",
            count(&read),
            count(&written)
        ))
    })
}

pub(crate) const fn unaligned_transfers_cross_pages_whole() -> Scenario {
    row(
        "pwrite and pread 10000 bytes at 4090",
        "written 10000, mapping equal, read() equal, neighbours 0",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let offset = scaled(4090);
        let (file, mapping) = (subject.file()?, subject.shared()?);
        let source = pattern(scaled(10_000));
        let written = pwrite(&file, &source, offset as u64);

        // One byte more on each side, which must not have changed.
        let mut seen = vec![0xff; source.len() + 2];
        mapping.read_at(&mut seen, offset - 1)?;
        let by_mapping = equal(&seen[1..=source.len()], &source);
        let neighbours = seen[0].max(seen[source.len() + 1]);
        seen.fill(0xff);
        file.read_exact_at(&mut seen, offset as u64 - 1)?;
        let by_read = equal(&seen[1..=source.len()], &source);
        Ok(format!(
            "written {}, mapping {by_mapping}, read() {by_read}, neighbours {neighbours}",
            count(&written)
        ))
    })
}

pub(crate) const fn all_of_it_goes_through_one_call() -> Scenario {
    row(
        "write(2) every byte at once, read back at once",
        "written 1048576, read 1048576, equal",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let file = subject.file()?;
        let source = pattern(size());
        let written = pwrite(&file, &source, 0);
        let mut back = vec![0xff; size()];
        let read = pread(&file, &mut back[..], 0);
        Ok(format!(
            "written {}, read {}, {}",
            count(&written),
            count(&read),
            equal(&back, &source)
        ))
    })
}

pub(crate) const fn vectors_are_gathered_and_scattered() -> Scenario {
    row(
        "writev three pieces, readv two",
        "written 9, read 9: abcdef ghi",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let mut file = subject.file()?;
        let pieces: [&[u8]; 3] = [b"ab", b"cdef", b"ghi"];
        let written = file.write_vectored(&pieces.map(IoSlice::new))?;
        file.rewind()?;
        let (mut first, mut second) = ([0; 6], [0; 3]);
        let read =
            file.read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])?;
        let (first, second) = (
            String::from_utf8_lossy(&first),
            String::from_utf8_lossy(&second),
        );
        Ok(format!("written {written}, read {read}: {first} {second}"))
    })
}

pub(crate) const fn read_into_an_untouched_mapping_of_itself() -> Scenario {
    row(
        "pread page 0 into page 10 of its own mapping",
        "4096, page 10 holds hello",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let (file, mapping) = mapped(subject, MappingBuilder::shared())?;
        subject.put_word(0, "hello")?;
        let read = raw_pread(
            &file,
            mapping.as_ptr().wrapping_add(10 * page_size()),
            page_size(),
            0,
        );
        Ok(format!(
            "{}, page 10 holds {}",
            count(&read),
            subject.word(10 * page_size())?
        ))
    })
}

pub(crate) const fn read_onto_itself() -> Scenario {
    row(
        "pread an untouched page into itself, a written one too",
        "4096, 4096, hello",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let (file, mapping) = mapped(subject, MappingBuilder::shared())?;
        let untouched = raw_pread(&file, mapping.as_ptr(), page_size(), 0);
        subject.put_word(page_size(), "hello")?;
        let start = mapping.as_ptr().wrapping_add(page_size());
        let touched = raw_pread(&file, start, page_size(), page_size() as u64);
        Ok(format!(
            "{}, {}, {}",
            count(&untouched),
            count(&touched),
            subject.word(page_size())?
        ))
    })
}

pub(crate) const fn write_from_an_untouched_mapping_of_itself() -> Scenario {
    row(
        "pwrite page 21 from untouched page 20 of itself",
        "4096, page 21 holds 0",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let (file, mapping) = mapped(subject, MappingBuilder::shared())?;
        subject.put_word(21 * page_size(), "old")?;
        let start = mapping.as_ptr().wrapping_add(20 * page_size());
        let written = raw_pwrite(&file, start, page_size(), 21 * page_size() as u64);
        Ok(format!(
            "{}, page 21 holds {}",
            count(&written),
            subject.word(21 * page_size())?
        ))
    })
}

pub(crate) const fn write_from_itself() -> Scenario {
    row(
        "pwrite an untouched page from itself, a written one too",
        "4096, 4096, hello",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let (file, mapping) = mapped(subject, MappingBuilder::shared())?;
        let untouched = raw_pwrite(&file, mapping.as_ptr(), page_size(), 0);
        subject.put_word(page_size(), "hello")?;
        let start = mapping.as_ptr().wrapping_add(page_size());
        let touched = raw_pwrite(&file, start, page_size(), page_size() as u64);
        Ok(format!(
            "{}, {}, {}",
            count(&untouched),
            count(&touched),
            subject.word(page_size())?
        ))
    })
}

pub(crate) const fn read_into_a_private_mapping_of_itself() -> Scenario {
    row(
        "pread page 0 into page 10 of a private mapping",
        "4096, mapping hello, read() 0",
    )
    .needs(Needs::CALLS)
    .needs(Needs::PRIVATE)
    .test(|subject| {
        let (file, mapping) = mapped(subject, MappingBuilder::private())?;
        subject.put_word(0, "hello")?;
        let read = raw_pread(
            &file,
            mapping.as_ptr().wrapping_add(10 * page_size()),
            page_size(),
            0,
        );
        let (ours, theirs) = (
            word(&mapping, 10 * page_size())?,
            subject.word(10 * page_size())?,
        );
        Ok(format!("{}, mapping {ours}, read() {theirs}", count(&read)))
    })
}

pub(crate) const fn whole_object_read_into_its_own_mapping() -> Scenario {
    row(
        "pread all of it into an untouched mapping of itself",
        "1048576, first hello, last world",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let (file, mapping) = mapped(subject, MappingBuilder::shared())?;
        subject.put_word(0, "hello")?;
        subject.put_word(size() - 8, "world")?;
        let read = raw_pread(&file, mapping.as_ptr(), size(), 0);
        let (first, last) = (word(&mapping, 0)?, word(&mapping, size() - 8)?);
        Ok(format!("{}, first {first}, last {last}", count(&read)))
    })
}

pub(crate) const fn fsync_and_msync_succeed() -> Scenario {
    row(
        "fsync, fdatasync, msync SYNC, ASYNC, INVALIDATE",
        "ok ok ok ok ok",
    )
    .test(|subject| {
        let (file, mapping) = mapped(subject, MappingBuilder::shared())?;
        put_word(&mapping, 0, "dirty")?;
        let mut verdicts = vec![verdict(&fsync(&file)), verdict(&fdatasync(&file))];
        for flags in [MsyncFlags::SYNC, MsyncFlags::ASYNC, MsyncFlags::INVALIDATE] {
            // SAFETY: Changes no memory.
            verdicts.push(verdict(&unsafe {
                msync(mapping.as_ptr().cast(), size(), flags)
            }));
        }
        Ok(verdicts.join(" "))
    })
}

fn write_then_look(subject: &Subject, mapping: &Mapping) -> Answer {
    subject.put_word(2 * page_size(), "old")?;
    let before = word(mapping, 2 * page_size())?;
    subject.put_word(2 * page_size(), "new")?;
    Ok(format!(
        "{before}, then {}",
        word(mapping, 2 * page_size())?
    ))
}

/// A descriptor, and a mapping of all of it made through the same descriptor.
fn mapped(subject: &Subject, builder: MappingBuilder) -> Result<(Object, Mapping), Failure> {
    let file = subject.file()?;
    let mapping = builder.len(size()).map(&file)?;
    Ok((file, mapping))
}

fn fill_and_write_around_the_end(subject: &Subject) -> Answer {
    let file = subject.file()?;
    file.write_all_at(&vec![1; size()], 0)?;
    let written = around_the_end().map(|offset| count(&pwrite(&file, &[2; 200], offset)));
    Ok(written.join(" "))
}

fn around_the_end() -> [u64; 3] {
    let end = size() as u64;
    [end - 100, end, end + 2 * page_size() as u64]
}

/// Bytes that differ from page to page and from their neighbours.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| u8::try_from(at % 251 + 1).unwrap_or(1))
        .collect()
}

fn equal(seen: &[u8], expected: &[u8]) -> &'static str {
    if seen == expected {
        "equal"
    } else {
        "different"
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn transferred(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| errno(&io::Error::last_os_error()))
}

/// An offset as the C library takes it: its highest bit is a sign.
fn signed(offset: u64) -> i64 {
    i64::from_ne_bytes(offset.to_ne_bytes())
}

/// `read(2)` to an address that need not be memory of the process's own.
pub(super) fn raw_read(file: impl AsFd, to: *mut u8, len: usize) -> Result<usize, Errno> {
    // SAFETY: The callers pass memory that only the kernel touches meanwhile, or none at all.
    transferred(unsafe { libc::read(file.as_fd().as_raw_fd(), to.cast(), len) })
}

/// `pread(2)` to an address that need not be memory of the process's own.
pub(super) fn raw_pread(file: &File, to: *mut u8, len: usize, offset: u64) -> Result<usize, Errno> {
    // SAFETY: As in `raw_read`.
    transferred(unsafe { libc::pread(file.as_raw_fd(), to.cast(), len, signed(offset)) })
}

/// `pwrite(2)` from an address that need not be memory of the process's own.
pub(super) fn raw_pwrite(
    file: &File,
    from: *const u8,
    len: usize,
    offset: u64,
) -> Result<usize, Errno> {
    // SAFETY: As in `raw_read`.
    transferred(unsafe { libc::pwrite(file.as_raw_fd(), from.cast(), len, signed(offset)) })
}
