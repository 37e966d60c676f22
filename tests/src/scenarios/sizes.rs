// SPDX-License-Identifier: MIT OR GPL-2.0

//! Sizes that change, holes, and pages that are allocated in advance.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::time::{Duration, SystemTime};

use mmap_pool::{Errno, MappingBuilder, Seals};
use rustix::fs::{fallocate, ftruncate, seek, FallocateFlags, OFlags, SeekFrom};
use rustix::io::pwrite;
use rustix::mm::{madvise, Advice};

use crate::child::in_child;
use crate::machine::{bytes, scaled};
use crate::needs::Needs;
use crate::observe::{checked, count, list, mincore, put_word, verdict, word};
use crate::scenario::Who::{Created, Node};
use crate::scenario::{row, Scenario};
use crate::signal::{touch, Access};
use crate::subject::{page_size, size};
use crate::Failure;

fn four() -> u64 {
    4 * page_size() as u64
}

fn end() -> u64 {
    size() as u64
}

pub(crate) const fn fstat_tells_kind_size_links_and_blocks() -> Scenario {
    row(
        "fstat() before and after writing one page",
        "regular, 1048576 bytes, 0 links, 0 blocks, then 8",
    )
    .but(Node, "device, 0 bytes, 1 links, 0 blocks, then 0")
    .needs(Needs::CALLS)
    .test(|subject| {
        let file = subject.file()?;
        let before = file.metadata()?;
        file.write_all_at(b"a page", 0)?;
        let after = file.metadata()?;
        let kind = if before.file_type().is_file() {
            "regular"
        } else if before.file_type().is_char_device() {
            "device"
        } else {
            "something else"
        };
        Ok(format!(
            "{kind}, {} bytes, {} links, {} blocks, then {}",
            bytes(before.len()),
            before.nlink(),
            before.blocks(),
            // With pages of 4 KiB.
            after.blocks() * 4096 / page_size() as u64
        ))
    })
}

pub(crate) const fn growing_makes_a_longer_mapping_valid() -> Scenario {
    row(
        "map twice the size, touch past the end, grow, touch again",
        "SIGBUS BUS_ADRERR at +0x100000; ok, 2097152 bytes, then ok 0",
    )
    .needs(Needs::END)
    .test(|subject| {
        let mapping = MappingBuilder::shared()
            .len(2 * size())
            .map(&subject.file()?)?;
        let before = touch(mapping.as_ptr(), size(), Access::Read)?;
        let grown = verdict(&subject.resize(2 * end()));
        Ok(format!(
            "{before}; {grown}, {} bytes, then {} {}",
            bytes(subject.size_bytes()?),
            touch(mapping.as_ptr(), size(), Access::Read)?,
            word(&mapping, 2 * size() - 8)?
        ))
    })
}

pub(crate) const fn shrinking_takes_pages_and_mappings_away() -> Scenario {
    row(
        "fill 256 pages, shrink to 4, touch pages 3 and 4",
        "ok, 4 resident; ok, SIGBUS BUS_ADRERR at +0x4000",
    )
    .test(|subject| {
        let mapping = subject.map(MappingBuilder::shared().populate())?;
        let shrunk = verdict(&subject.resize(four()));
        Ok(format!(
            "{shrunk}, {} resident; {}, {}",
            subject.nr_resident_pages()?,
            touch(mapping.as_ptr(), 4 * page_size() - 1, Access::Write)?,
            touch(mapping.as_ptr(), 4 * page_size(), Access::Read)?
        ))
    })
}

pub(crate) const fn growing_again_shows_zeros() -> Scenario {
    row(
        "write pages 0 and 10, shrink to 4, grow",
        "kept, 0, read() 0",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 0, "kept")?;
        put_word(&mapping, 10 * page_size(), "old")?;
        subject.resize(four())?;
        subject.resize(end())?;
        Ok(format!(
            "{}, {}, read() {}",
            word(&mapping, 0)?,
            word(&mapping, 10 * page_size())?,
            subject.word(10 * page_size())?
        ))
    })
}

pub(crate) const fn the_rest_of_a_shortened_page_is_zeroed() -> Scenario {
    row(
        "write within a page, shrink to just before it, grow",
        "kept, 0, then 0",
    )
    .but(Node, "EINVAL")
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, page_size(), "kept")?;
        put_word(&mapping, page_size() + 1024, "old")?;
        if let Err(errno) = subject.resize(page_size() as u64 + 1024) {
            return Ok(verdict::<()>(&Err(errno)));
        }
        let inside = word(&mapping, page_size() + 1024)?;
        subject.resize(end())?;
        Ok(format!(
            "{}, {inside}, then {}",
            word(&mapping, page_size())?,
            word(&mapping, page_size() + 1024)?
        ))
    })
}

pub(crate) const fn the_last_page_is_there_to_its_end() -> Scenario {
    row(
        "5000 bytes: touch bytes 4999, 8191, 8192",
        "ok, ok, SIGBUS BUS_ADRERR at +0x2000",
    )
    .but(Node, "EINVAL")
    .test(|subject| {
        if let Err(errno) = subject.resize(scaled(5000) as u64) {
            return Ok(verdict::<()>(&Err(errno)));
        }
        let mapping = subject.shared()?;
        Ok(format!(
            "{}, {}, {}",
            touch(mapping.as_ptr(), scaled(4999), Access::Write)?,
            touch(mapping.as_ptr(), 2 * page_size() - 1, Access::Write)?,
            touch(mapping.as_ptr(), 2 * page_size(), Access::Write)?
        ))
    })
}

pub(crate) const fn shrinking_takes_private_copies_too() -> Scenario {
    row(
        "copy pages 0 and 10 privately, shrink to 4, touch, grow",
        "SIGBUS BUS_ADRERR at +0xa000; grown again: kept 0",
    )
    .test(|subject| {
        let private = subject.private()?;
        put_word(&private, 0, "kept")?;
        put_word(&private, 10 * page_size(), "mine")?;
        subject.resize(four())?;
        let after = touch(private.as_ptr(), 10 * page_size(), Access::Read)?;
        subject.resize(end())?;
        Ok(format!(
            "{after}; grown again: {} {}",
            word(&private, 0)?,
            word(&private, 10 * page_size())?
        ))
    })
}

pub(crate) const fn punching_spares_private_copies() -> Scenario {
    row(
        "write page 1 of two privately, punch both",
        "copy mine, other page 0, read() 0",
    )
    .test(|subject| {
        for page in [1, 2] {
            subject.put_word(page * page_size(), "old")?;
        }
        let private = subject.private()?;
        put_word(&private, page_size(), "mine")?;
        word(&private, 2 * page_size())?;
        subject.punch(0, four())?;
        Ok(format!(
            "copy {}, other page {}, read() {}",
            word(&private, page_size())?,
            word(&private, 2 * page_size())?,
            subject.word(page_size())?
        ))
    })
}

pub(crate) const fn punching_under_a_fork_spares_both_copies() -> Scenario {
    row(
        "write privately, fork, punch, child writes, punch",
        "child mine child, parent mine",
    )
    .test(|subject| {
        let private = subject.private()?;
        put_word(&private, page_size(), "mine")?;
        let theirs = in_child(|| {
            subject.punch(0, four())?;
            let found = word(&private, page_size())?;
            put_word(&private, page_size(), "child")?;
            subject.punch(0, four())?;
            Ok(format!("{found} {}", word(&private, page_size())?))
        })?;
        Ok(format!(
            "child {theirs}, parent {}",
            word(&private, page_size())?
        ))
    })
}

pub(crate) const fn a_private_mapping_of_a_hole_reads_zeros() -> Scenario {
    row(
        "punch, map privately, read, write",
        "0, then mine; read() 0",
    )
    .test(|subject| {
        subject.put_word(page_size(), "old")?;
        subject.punch(0, end())?;
        let private = subject.private()?;
        let before = word(&private, page_size())?;
        put_word(&private, page_size(), "mine")?;
        Ok(format!(
            "{before}, then {}; read() {}",
            word(&private, page_size())?,
            subject.word(page_size())?
        ))
    })
}

pub(crate) const fn a_mapping_sees_a_hole_at_once() -> Scenario {
    row(
        "write pages 3 and 4 through a mapping, punch page 3",
        "ok, 1 resident, mincore 4, 0 kept",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 3 * page_size(), "old")?;
        put_word(&mapping, 4 * page_size(), "kept")?;
        let punched = verdict(&subject.punch(3 * page_size() as u64, page_size() as u64));
        let resident = subject.nr_resident_pages()?;
        let in_memory = list(&mincore(&mapping)?);
        Ok(format!(
            "{punched}, {resident} resident, mincore {in_memory}, {} {}",
            word(&mapping, 3 * page_size())?,
            word(&mapping, 4 * page_size())?
        ))
    })
}

pub(crate) const fn a_hole_may_begin_and_end_within_a_page() -> Scenario {
    row(
        "fill 4 pages, punch 2 pages' length from byte 100",
        "ok, 3 resident, bytes right",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        subject.file()?.write_all_at(&vec![7; 4 * page_size()], 0)?;
        let punched = verdict(&subject.punch(100, 2 * page_size() as u64));
        let mut bytes = vec![0xff; 4 * page_size()];
        subject.file()?.read_exact_at(&mut bytes, 0)?;
        let mut expected = vec![7; 4 * page_size()];
        expected[100..100 + 2 * page_size()].fill(0);
        let bytes = if bytes == expected { "right" } else { "wrong" };
        Ok(format!(
            "{punched}, {} resident, bytes {bytes}",
            subject.nr_resident_pages()?
        ))
    })
}

pub(crate) const fn punching_everything_frees_everything() -> Scenario {
    row("populate, punch all", "256 resident, ok, 0; mapping 0").test(|subject| {
        let mapping = subject.map(MappingBuilder::shared().populate())?;
        let before = subject.nr_resident_pages()?;
        let punched = verdict(&subject.punch(0, end()));
        Ok(format!(
            "{before} resident, {punched}, {}; mapping {}",
            subject.nr_resident_pages()?,
            word(&mapping, 0)?
        ))
    })
}

pub(crate) const fn fallocate_allocates_and_grows() -> Scenario {
    row(
        "fallocate() 4 pages, then 100 bytes past the end",
        "ok 4 resident, ok 5 resident, 1048676 bytes",
    )
    .but(Node, "ENODEV 0 resident, ENODEV 0 resident, 1048576 bytes")
    .test(|subject| {
        let file = subject.file()?;
        let inside = fallocate(&file, FallocateFlags::empty(), 0, four());
        let first = format!(
            "{} {} resident",
            verdict(&inside),
            subject.nr_resident_pages()?
        );
        let past = fallocate(&file, FallocateFlags::empty(), end(), 100);
        Ok(format!(
            "{first}, {} {} resident, {} bytes",
            verdict(&past),
            subject.nr_resident_pages()?,
            bytes(subject.size_bytes()?)
        ))
    })
}

pub(crate) const fn fallocate_can_keep_the_size() -> Scenario {
    row(
        "fallocate() KEEP_SIZE, 4 pages past the end",
        "ok, 4 resident, 1048576 bytes",
    )
    .but(Node, "ENODEV, 0 resident, 1048576 bytes")
    .test(|subject| {
        let file = subject.file()?;
        let past = fallocate(&file, FallocateFlags::KEEP_SIZE, end(), four());
        Ok(format!(
            "{}, {} resident, {} bytes",
            verdict(&past),
            subject.nr_resident_pages()?,
            bytes(subject.size_bytes()?)
        ))
    })
}

pub(crate) const fn fallocate_modes() -> Scenario {
    row(
        "PUNCH without and with KEEP, ZERO without and with, COLLAPSE, INSERT, UNSHARE, \
         unknown",
        "EOPNOTSUPP ok EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP",
    )
    .but(
        Node,
        "EOPNOTSUPP ENODEV ENODEV ENODEV ENODEV ENODEV ENODEV EOPNOTSUPP",
    )
    .but(
        Created,
        "EOPNOTSUPP ok ok ok EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP",
    )
    .test(|subject| {
        const KEEP: FallocateFlags = FallocateFlags::KEEP_SIZE;
        let file = subject.file()?;
        let modes = [
            FallocateFlags::PUNCH_HOLE,
            FallocateFlags::PUNCH_HOLE | KEEP,
            FallocateFlags::ZERO_RANGE,
            FallocateFlags::ZERO_RANGE | KEEP,
            FallocateFlags::COLLAPSE_RANGE,
            FallocateFlags::INSERT_RANGE,
            FallocateFlags::UNSHARE_RANGE,
            FallocateFlags::from_bits_retain(0x1000),
        ];
        let answers = modes.map(|mode| verdict(&fallocate(&file, mode, 0, four())));
        Ok(answers.join(" "))
    })
}

pub(crate) const fn a_zeroed_range_is_allocated_and_reads_zeros() -> Scenario {
    row(
        "fallocate() ZERO_RANGE over 4 pages, one of them written",
        "EOPNOTSUPP, 1 resident, old",
    )
    .but(Node, "ENODEV, 1 resident, old")
    .but(Created, "ok, 4 resident, 0")
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, page_size(), "old")?;
        let zeroed = fallocate(subject.file()?, FallocateFlags::ZERO_RANGE, 0, four());
        Ok(format!(
            "{}, {} resident, {}",
            verdict(&zeroed),
            subject.nr_resident_pages()?,
            word(&mapping, page_size())?
        ))
    })
}

pub(crate) const fn fallocate_refuses_what_no_file_has() -> Scenario {
    row(
        "length 0, offset -1, length -1, ends past 2^63 twice; read-only",
        "EINVAL EINVAL EINVAL EFBIG EFBIG; O_RDONLY EBADF",
    )
    .but(Node, "EINVAL EINVAL EINVAL ENODEV ENODEV; O_RDONLY EBADF")
    .test(|subject| {
        let file = subject.file()?;
        let calls =
            [(0, 0), (-1, 1), (0, -1), (i64::MAX, 1), (1, i64::MAX)].map(|(offset, len)| {
                // SAFETY: A call without pointers.
                let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, offset, len) };
                verdict(&checked(result))
            });
        let read_only = subject.open(OFlags::RDONLY)?;
        let denied = fallocate(&read_only, FallocateFlags::empty(), 0, four());
        Ok(format!(
            "{}; O_RDONLY {}",
            calls.join(" "),
            verdict(&denied)
        ))
    })
}

pub(crate) const fn madv_remove_makes_a_hole() -> Scenario {
    row(
        "MADV_REMOVE a written page: private, shared",
        "private EACCES, shared ok, 0 resident, 0",
    )
    .but(Node, "private EACCES, shared ENODEV, 1 resident, old")
    .test(|subject| {
        let (shared, private) = (subject.shared()?, subject.private()?);
        put_word(&shared, 3 * page_size(), "old")?;
        let remove = |start: *mut u8| {
            // SAFETY: The page is a mapping's own, and others may change its bytes too.
            verdict(&unsafe {
                madvise(
                    start.wrapping_add(3 * page_size()).cast(),
                    page_size(),
                    Advice::LinuxRemove,
                )
            })
        };
        let (of_private, of_shared) = (remove(private.as_ptr()), remove(shared.as_ptr()));
        let resident = subject.nr_resident_pages()?;
        Ok(format!(
            "private {of_private}, shared {of_shared}, {resident} resident, {}",
            word(&shared, 3 * page_size())?
        ))
    })
}

pub(crate) const fn ftruncate_itself() -> Scenario {
    row(
        "4 pages, 5000, 0, 1 MiB, 2^63 - 1, -1; read-only",
        "ok ok ok ok ok EINVAL; O_RDONLY EINVAL",
    )
    .but(
        Node,
        "EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL; O_RDONLY EINVAL",
    )
    .test(|subject| {
        let file = subject.file()?;
        let mut answers = Vec::new();
        for size in [four(), 5000, 0, end(), i64::MAX.unsigned_abs()] {
            answers.push(verdict(&ftruncate(&file, size)));
        }
        // SAFETY: A call without pointers.
        answers.push(verdict(&checked(unsafe {
            libc::ftruncate(file.as_raw_fd(), -1)
        })));
        let read_only = ftruncate(subject.open(OFlags::RDONLY)?, four());
        Ok(format!(
            "{}; O_RDONLY {}",
            answers.join(" "),
            verdict(&read_only)
        ))
    })
}

pub(crate) const fn opening_with_o_trunc() -> Scenario {
    row("write a page, open with O_TRUNC", "0 bytes, 0 resident")
        .but(Node, "1048576 bytes, 1 resident")
        .test(|subject| {
            subject.put_word(0, "old")?;
            drop(subject.open(OFlags::RDWR | OFlags::TRUNC)?);
            Ok(format!(
                "{} bytes, {} resident",
                bytes(subject.size_bytes()?),
                subject.nr_resident_pages()?
            ))
        })
}

pub(crate) const fn seeking_data_and_holes() -> Scenario {
    row(
        "pages 2, 3 and 7 written: SEEK_DATA, SEEK_HOLE from six places each",
        "data 8192 8192 12293 28672 28673 ENXIO; holes 0 16384 16384 16393 32768 1048575",
    )
    .test(|subject| {
        for page in [2, 3, 7] {
            subject.put_word(page * page_size(), "data")?;
        }
        let file = subject.file()?;
        let at = |page: usize| (page * page_size()) as u64;
        let data = [0, at(2), at(3) + 5, at(4), at(7) + 1, at(8)]
            .map(|offset| count(&seek(&file, SeekFrom::Data(offset))));
        let holes = [0, at(2), at(3) + 5, at(4) + 9, at(7), end() - 1]
            .map(|offset| count(&seek(&file, SeekFrom::Hole(offset))));
        Ok(format!(
            "data {}; holes {}",
            data.join(" "),
            holes.join(" ")
        ))
    })
}

pub(crate) const fn seeking_holes_in_a_full_object_and_past_it() -> Scenario {
    row(
        "all written: SEEK_DATA, SEEK_HOLE inside, at and past the end",
        "data 1048575 ENXIO ENXIO ENXIO; holes 1048576 1048576 ENXIO ENXIO",
    )
    .needs(Needs::END)
    .test(|subject| {
        subject.file()?.write_all_at(&vec![1; size()], 0)?;
        let file = subject.file()?;
        let data = [end() - 1, end(), end() + 1, 1 << 62]
            .map(|at| count(&seek(&file, SeekFrom::Data(at))));
        let holes =
            [0, end() - 1, end(), 1 << 62].map(|at| count(&seek(&file, SeekFrom::Hole(at))));
        Ok(format!(
            "data {}; holes {}",
            data.join(" "),
            holes.join(" ")
        ))
    })
}

pub(crate) const fn seeking_data_within_a_short_last_page() -> Scenario {
    row(
        "5000 bytes, the second page written",
        "4096 5000 5000 ENXIO",
    )
    .but(Node, "EINVAL")
    .test(|subject| {
        if let Err(errno) = subject.resize(scaled(5000) as u64) {
            return Ok(verdict::<()>(&Err(errno)));
        }
        subject.put_word(page_size(), "data")?;
        let file = subject.file()?;
        let answers = [
            seek(&file, SeekFrom::Data(0)),
            seek(&file, SeekFrom::Hole(page_size() as u64)),
            seek(&file, SeekFrom::Hole(scaled(4999) as u64)),
            seek(&file, SeekFrom::Data(scaled(5000) as u64)),
        ];
        Ok(answers.map(|answer| count(&answer)).join(" "))
    })
}

pub(crate) const fn writing_far_past_the_end_leaves_a_hole() -> Scenario {
    row(
        "pwrite 3 bytes at 4 MiB, touch the hole at 2 MiB",
        "3, 4194307 bytes, ok",
    )
    .but(
        Node,
        "ENOSPC, 1048576 bytes, SIGBUS BUS_ADRERR at +0x200000",
    )
    .needs(Needs::CALLS)
    .needs(Needs::END)
    .test(|subject| {
        let file = subject.file()?;
        let written = pwrite(&file, b"far", 4 * end());
        let mapping = MappingBuilder::shared().len(5 * size()).map(&file)?;
        let between = touch(mapping.as_ptr(), 2 * size(), Access::Read)?;
        Ok(format!(
            "{}, {} bytes, {between}",
            count(&written),
            bytes(subject.size_bytes()?)
        ))
    })
}

pub(crate) const fn o_append_writes_at_the_end() -> Scenario {
    row(
        "open O_APPEND, pwrite 8 bytes at 0",
        "8, 1048584 bytes, start 0",
    )
    .but(Node, "ENOSPC, 1048576 bytes, start 0")
    .needs(Needs::END)
    .test(|subject| {
        let file = subject.open(OFlags::RDWR | OFlags::APPEND)?;
        let written = pwrite(&file, b"appended", 0);
        Ok(format!(
            "{}, {} bytes, start {}",
            count(&written),
            bytes(subject.size_bytes()?),
            subject.word(0)?
        ))
    })
}

pub(crate) const fn rlimit_fsize_bounds_writes() -> Scenario {
    row("RLIMIT_FSIZE 4 pages: pwrite 8 across, past it", "4 EFBIG")
        .needs(Needs::CALLS)
        .test(|subject| {
            let file = subject.file()?;
            in_child(|| {
                limit_file_size(four())?;
                let across = pwrite(&file, b"12345678", four() - 4);
                let past = pwrite(&file, b"12345678", four());
                Ok(format!("{} {}", count(&across), count(&past)))
            })
        })
}

pub(crate) const fn rlimit_fsize_bounds_growth() -> Scenario {
    row(
        "RLIMIT_FSIZE at the size: ftruncate, fallocate larger; ftruncate smaller",
        "EFBIG EFBIG ok",
    )
    .but(Node, "EINVAL ENODEV EINVAL")
    .test(|subject| {
        let file = subject.file()?;
        in_child(|| {
            limit_file_size(end())?;
            let truncated = ftruncate(&file, end() + 1);
            let allocated = fallocate(&file, FallocateFlags::empty(), end(), 1);
            let shrunk = ftruncate(&file, four());
            Ok(format!(
                "{} {} {}",
                verdict(&truncated),
                verdict(&allocated),
                verdict(&shrunk)
            ))
        })
    })
}

pub(crate) const fn rlimit_fsize_bounds_every_fallocate() -> Scenario {
    row(
        "RLIMIT_FSIZE at the size: fallocate() 4 pages, across the end, KEEP_SIZE, \
         ZERO_RANGE; with a seal GROW",
        "ok EFBIG EFBIG EOPNOTSUPP; EFBIG; 4 resident, kept",
    )
    .but(
        Node,
        "ENODEV ENODEV ENODEV ENODEV; ENODEV; 1 resident, kept",
    )
    .but(Created, "ok EFBIG EFBIG EFBIG; EFBIG; 4 resident, kept")
    .test(|subject| {
        subject.put_word(0, "kept")?;
        let file = subject.file()?;
        let answers = in_child(|| {
            limit_file_size(end())?;
            let allocate = |flags, offset, len| verdict(&fallocate(&file, flags, offset, len));
            let none = FallocateFlags::empty();
            let first = [
                allocate(none, 0, four()),
                allocate(none, end() - 1, 2),
                allocate(FallocateFlags::KEEP_SIZE, end(), 1),
                allocate(FallocateFlags::ZERO_RANGE, 0, end() + 1),
            ];
            subject.seal(Seals::GROW)?;
            Ok(format!("{}; {}", first.join(" "), allocate(none, end(), 1)))
        })?;
        Ok(format!(
            "{answers}; {} resident, {}",
            subject.nr_resident_pages()?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn fallocate_changes_the_times() -> Scenario {
    row(
        "time of 1970: fallocate(), past the end with KEEP_SIZE, punch; past the end with a \
         seal GROW",
        "ok changed, ok changed, ok changed; EPERM kept",
    )
    .but(Node, "ENODEV kept, ENODEV kept, ok kept; ENODEV kept")
    .test(|subject| {
        let file = subject.file()?;
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let times_of = |call: &dyn Fn() -> Result<(), Errno>| {
            file.set_modified(long_ago)?;
            let answer = verdict(&call());
            let is_kept = file.metadata()?.modified()? == long_ago;
            let times = if is_kept { "kept" } else { "changed" };
            Ok::<_, Failure>(format!("{answer} {times}"))
        };
        let inside = times_of(&|| fallocate(&file, FallocateFlags::empty(), 0, four()))?;
        let past = times_of(&|| fallocate(&file, FallocateFlags::KEEP_SIZE, end(), four()))?;
        let punched = times_of(&|| subject.punch(0, four()))?;
        subject.seal(Seals::GROW)?;
        let refused = times_of(&|| fallocate(&file, FallocateFlags::empty(), end(), 1))?;
        Ok(format!("{inside}, {past}, {punched}; {refused}"))
    })
}

/// Limits the size of files that this process may make, and ignores the signal for it.
fn limit_file_size(bytes: u64) -> Result<(), Failure> {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: Ignoring a signal needs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    // SAFETY: Reads `limit`.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) })
        .map(drop)
        .map_err(|errno: Errno| errno.into())
}
