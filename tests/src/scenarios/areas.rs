// SPDX-License-Identifier: MIT OR GPL-2.0

//! Mappings that merge, split, grow, shrink and move.

use std::ffi::{c_int, c_void};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use mmap_pool::{Errno, Mapping, MappingBuilder, Protection};

use crate::child::in_child;
use crate::needs::Needs;
use crate::observe::{checked, last_errno, page_table, put_word, verdict, word};
use crate::scenario::{row, Scenario};
use crate::signal::{touch, Access};
use crate::subject::{page_size, size, Object};
use crate::{Answer, Failure};

fn reserved() -> usize {
    64 * page_size()
}
const RW: c_int = libc::PROT_READ | libc::PROT_WRITE;

pub(crate) const fn adjacent_mappings_merge() -> Scenario {
    row(
        "map pages 0 and 4 side by side through one descriptor, then page 20 before them",
        "8+4 rw-s; 8+8 rw-s; 4+4 rw-s, 8+8 rw-s",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..12, 0)?;
        let one = range.lines()?;
        range.map(&file, 12..16, 4)?;
        let two = range.lines()?;
        range.map(&file, 4..8, 20)?;
        Ok(format!("{one}; {two}; {}", range.lines()?))
    })
}

pub(crate) const fn mappings_of_two_opens_do_not_merge() -> Scenario {
    row(
        "the same through two descriptors, opened apart",
        "8+4 rw-s, 12+4 rw-s",
    )
    .test(|subject| {
        let range = Range::reserve()?;
        range.map(&subject.file()?, 8..12, 0)?;
        range.map(&subject.file()?, 12..16, 4)?;
        range.lines()
    })
}

pub(crate) const fn a_mapping_between_two_merges_all_three() -> Scenario {
    row(
        "fill the gap between two mappings",
        "8+2 rw-s, 14+2 rw-s; 8+8 rw-s",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..10, 0)?;
        range.map(&file, 14..16, 6)?;
        let before = range.lines()?;
        range.map(&file, 10..14, 2)?;
        Ok(format!("{before}; {}", range.lines()?))
    })
}

pub(crate) const fn unmapping_the_middle_splits() -> Scenario {
    row(
        "munmap() pages 2 and 3 of 8",
        "8+2 rw-s, 12+4 rw-s, kept kept",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..16, 0)?;
        for page in [0, 7] {
            subject.put_word(page * page_size(), "kept")?;
        }
        let lines = in_child(|| {
            range.unmap(10..12)?;
            Ok(format!(
                "{}, {} {}",
                range.lines()?,
                range.word(8)?,
                range.word(15)?
            ))
        })?;
        Ok(lines)
    })
}

pub(crate) const fn mprotect_splits_and_merges_again() -> Scenario {
    row(
        "mprotect() pages 2 and 3 of 8 to read-only and back",
        "8+2 rw-s, 10+2 r--s, 12+4 rw-s; 8+8 rw-s",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..16, 0)?;
        range.protect(10..12, libc::PROT_READ)?;
        let split = range.lines()?;
        range.protect(10..12, RW)?;
        Ok(format!("{split}; {}", range.lines()?))
    })
}

pub(crate) const fn mlock_splits_and_merges_again() -> Scenario {
    row(
        "mlock() and munlock() pages 2 and 3 of 8",
        "8+2 rw-s, 10+2 rw-s, 12+4 rw-s, 2 resident; 8+8 rw-s",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..16, 0)?;
        // SAFETY: Locking changes no byte.
        checked(unsafe { libc::mlock(range.page(10).cast(), 2 * page_size()) })?;
        let split = range.lines()?;
        // SAFETY: As above.
        checked(unsafe { libc::munlock(range.page(10).cast(), 2 * page_size()) })?;
        Ok(format!(
            "{split}, {} resident; {}",
            subject.nr_resident_pages()?,
            range.lines()?
        ))
    })
}

pub(crate) const fn madvise_splits() -> Scenario {
    row(
        "MADV_RANDOM on 4 of 8 pages, then MADV_NORMAL",
        "8+4 rw-s, 12+4 rw-s; 8+8 rw-s",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..16, 0)?;
        range.advise(8..12, libc::MADV_RANDOM)?;
        let split = range.lines()?;
        range.advise(8..12, libc::MADV_NORMAL)?;
        Ok(format!("{split}; {}", range.lines()?))
    })
}

pub(crate) const fn mremap_shrinks_and_grows_in_place() -> Scenario {
    row(
        "mremap() 8 pages to 4, and to 8 again",
        "ok, 8+4 rw-s; ok, 8+8 rw-s, seven",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..16, 0)?;
        subject.put_word(7 * page_size(), "seven")?;
        let shrunk = range.remap(8, 8 * page_size(), 4 * page_size(), 0, None);
        range.unmap(12..16)?;
        let lines = range.lines()?;
        let grown = range.remap(8, 4 * page_size(), 8 * page_size(), 0, None);
        Ok(format!(
            "{}, {lines}; {}, {}, {}",
            verdict(&shrunk),
            verdict(&grown),
            range.lines()?,
            range.word(15)?
        ))
    })
}

pub(crate) const fn mremap_grows_beyond_what_was_mapped() -> Scenario {
    row(
        "map 4 pages, mremap() to 8, read the last",
        "ok, 8+8 rw-s, seven",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..12, 0)?;
        subject.put_word(7 * page_size(), "seven")?;
        range.unmap(12..16)?;
        let grown = range.remap(8, 4 * page_size(), 8 * page_size(), 0, None);
        Ok(format!(
            "{}, {}, {}",
            verdict(&grown),
            range.lines()?,
            range.word(15)?
        ))
    })
}

pub(crate) const fn mremap_that_may_not_move_is_enomem() -> Scenario {
    row("mremap() without room and without MAYMOVE", "ENOMEM").test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..12, 0)?;
        Ok(verdict(&range.remap(
            8,
            4 * page_size(),
            8 * page_size(),
            0,
            None,
        )))
    })
}

pub(crate) const fn mremap_moves_to_a_fixed_place() -> Scenario {
    row(
        "MREMAP_FIXED 4 pages, one of them mapped",
        "ok, one two; old place SIGSEGV SEGV_MAPERR at +0x9000",
    )
    .test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..12, 0)?;
        subject.put_word(page_size(), "one")?;
        range.word(9)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let moved = range.remap(8, 4 * page_size(), 4 * page_size(), flags, Some(32));
        subject.put_word(2 * page_size(), "two")?;
        let old = touch(range.page(0), 9 * page_size(), Access::Read)?;
        Ok(format!(
            "{}, {} {}; old place {old}",
            verdict(&moved),
            range.word(33)?,
            range.word(34)?
        ))
    })
}

pub(crate) const fn mremap_grows_past_the_end() -> Scenario {
    row(
        "mremap() to one page more than there are, touch both",
        "ok, SIGBUS BUS_ADRERR at +0x100000",
    )
    .needs(Needs::END)
    .test(|subject| {
        let mapping = subject.shared()?;
        in_child(|| {
            let flags = libc::MREMAP_MAYMOVE;
            // SAFETY: The mapping is used through the new address only, in a process of its own.
            let start = unsafe {
                libc::mremap(mapping.as_ptr().cast(), size(), size() + page_size(), flags)
            };
            if start == libc::MAP_FAILED {
                return Err(last_errno().into());
            }
            Ok(format!(
                "{}, {}",
                touch(start.cast(), size() - 1, Access::Write)?,
                touch(start.cast(), size(), Access::Write)?
            ))
        })
    })
}

pub(crate) const fn mremap_keeps_private_copies() -> Scenario {
    row(
        "copy pages 1 and 3 of 4 privately, move, change all in the pool",
        "new mine new mine",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        for page in 0..4 {
            subject.put_word(page * page_size(), "old")?;
        }
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map_with(&file, 8..12, 0, libc::MAP_PRIVATE)?;
        for page in [9, 11] {
            range.put_word(page, "mine")?;
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        range.remap(8, 4 * page_size(), 4 * page_size(), flags, Some(32))?;
        for page in 0..4 {
            subject.put_word(page * page_size(), "new")?;
        }
        let words = (32..36).map(|page| range.word(page));
        Ok(words.collect::<Result<Vec<_>, _>>()?.join(" "))
    })
}

pub(crate) const fn mremap_dontunmap_leaves_the_old_place() -> Scenario {
    row(
        "MREMAP_DONTUNMAP of a written page",
        "shared: old mine, new mine; private: old old, new mine",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        let answers = [libc::MAP_SHARED, libc::MAP_PRIVATE].map(|sharing| {
            subject.put_word(0, "old")?;
            let (file, range) = (subject.file()?, Range::reserve()?);
            range.map_with(&file, 8..12, 0, sharing)?;
            range.put_word(8, "mine")?;
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
            let moved = range.remap(8, 4 * page_size(), 4 * page_size(), flags, Some(32));
            if moved.is_err() {
                return Ok(verdict(&moved));
            }
            Ok(format!("old {}, new {}", range.word(8)?, range.word(32)?))
        });
        let [shared, private]: [Answer; 2] = answers;
        Ok(format!("shared: {}; private: {}", shared?, private?))
    })
}

pub(crate) const fn mremap_of_nothing_maps_shared_memory_again() -> Scenario {
    row(
        "mremap() with an old length of 0",
        "shared: hello hello; private: EINVAL",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        subject.put_word(0, "hello")?;
        let answers = [libc::MAP_SHARED, libc::MAP_PRIVATE].map(|sharing| {
            let (file, range) = (subject.file()?, Range::reserve()?);
            range.map_with(&file, 8..12, 0, sharing)?;
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            let copied = range.remap(8, 0, 4 * page_size(), flags, Some(32));
            if copied.is_err() {
                return Ok(verdict(&copied));
            }
            Ok(format!("{} {}", range.word(8)?, range.word(32)?))
        });
        let [shared, private]: [Answer; 2] = answers;
        Ok(format!("shared: {}; private: {}", shared?, private?))
    })
}

pub(crate) const fn growsdown_and_noreserve() -> Scenario {
    row(
        "GROWSDOWN shared, private; NORESERVE shared, private; STACK, 32BIT",
        "EINVAL EINVAL ok ok ok ok",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        // Of x86. Other kernels ignore it.
        const MAP_32BIT: i32 = 0x40;
        let file = subject.file()?;
        let answers = [
            libc::MAP_SHARED | libc::MAP_GROWSDOWN,
            libc::MAP_PRIVATE | libc::MAP_GROWSDOWN,
            libc::MAP_SHARED | libc::MAP_NORESERVE,
            libc::MAP_PRIVATE | libc::MAP_NORESERVE,
            libc::MAP_SHARED | libc::MAP_STACK,
            libc::MAP_SHARED | MAP_32BIT,
        ]
        .map(|flags| {
            // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
            let start =
                unsafe { libc::mmap(ptr::null_mut(), page_size(), RW, flags, file.as_raw_fd(), 0) };
            if start == libc::MAP_FAILED {
                return verdict::<()>(&Err(last_errno()));
            }
            // SAFETY: The range was mapped just now.
            unsafe { libc::munmap(start, page_size()) };
            "ok".into()
        });
        Ok(answers.join(" "))
    })
}

pub(crate) const fn overcommit_looks_at_private_mappings_only() -> Scenario {
    row(
        "map 1 TiB: private, with NORESERVE, read-only, shared",
        "private ENOMEM, private without reserve ok, private read-only ok, shared ok",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        // More than memory and swap of any guest together.
        let map = |builder: MappingBuilder| -> Answer {
            let mapped = builder.len(1 << 40).map(&subject.file()?);
            Ok(verdict(&mapped.map_err(|error| error.errno())))
        };
        Ok(format!(
            "private {}, private without reserve {}, private read-only {}, shared {}",
            map(MappingBuilder::private())?,
            map(MappingBuilder::private().no_reserve())?,
            map(MappingBuilder::private().protection(Protection::READ))?,
            map(MappingBuilder::shared())?
        ))
    })
}

pub(crate) const fn a_moved_page_is_the_same_frame() -> Scenario {
    row("move a written page, compare frames", "same").test(|subject| {
        let (file, range) = (subject.file()?, Range::reserve()?);
        range.map(&file, 8..9, 3)?;
        range.put_word(8, "hello")?;
        let lasting = subject.shared()?;
        word(&lasting, 3 * page_size())?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        range.remap(8, page_size(), page_size(), flags, Some(32))?;
        range.word(32)?;
        let (ours, theirs) = (page_table(&range.0)?[32], page_table(&lasting)?[3]);
        let is_same = ours.is_present() && ours.frame() == theirs.frame();
        Ok(if is_same { "same" } else { "another" }.into())
    })
}

/// A reserved range of addresses.
struct Range(Mapping);

impl Range {
    fn reserve() -> Result<Self, Failure> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), reserved(), libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        // SAFETY: The range was mapped just now, and nothing else refers to it. Parts of it that become
        // accessible are accessed as such by the methods below.
        Ok(Self(unsafe {
            Mapping::from_raw_parts(start.cast(), reserved(), Protection::READ_WRITE)
        }))
    }

    fn page(&self, number: usize) -> *mut u8 {
        self.0.as_ptr().wrapping_add(number * page_size())
    }

    fn map(
        &self,
        file: &Object,
        pages: std::ops::Range<usize>,
        from: usize,
    ) -> Result<(), Failure> {
        self.map_with(file, pages, from, libc::MAP_SHARED)
    }

    fn map_with(
        &self,
        file: &Object,
        pages: std::ops::Range<usize>,
        from: usize,
        sharing: c_int,
    ) -> Result<(), Failure> {
        // SAFETY: The pages belong to the range.
        let start = unsafe {
            libc::mmap(
                self.page(pages.start).cast(),
                pages.len() * page_size(),
                RW,
                sharing | libc::MAP_FIXED,
                file.as_raw_fd(),
                i64::try_from(from * page_size())?,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        Ok(())
    }

    /// Leaves a gap, so only for a child that maps nothing else, or right before filling it.
    fn unmap(&self, pages: std::ops::Range<usize>) -> Result<(), Errno> {
        // SAFETY: The pages belong to the range, and are not used any more.
        checked(unsafe { libc::munmap(self.page(pages.start).cast(), pages.len() * page_size()) })
            .map(drop)
    }

    fn protect(&self, pages: std::ops::Range<usize>, protection: c_int) -> Result<(), Errno> {
        let start: *mut c_void = self.page(pages.start).cast();
        // SAFETY: The pages belong to the range.
        checked(unsafe { libc::mprotect(start, pages.len() * page_size(), protection) }).map(drop)
    }

    fn advise(&self, pages: std::ops::Range<usize>, advice: c_int) -> Result<(), Errno> {
        let start: *mut c_void = self.page(pages.start).cast();
        // SAFETY: The pages belong to the range.
        checked(unsafe { libc::madvise(start, pages.len() * page_size(), advice) }).map(drop)
    }

    fn remap(
        &self,
        page: usize,
        old_len: usize,
        new_len: usize,
        flags: c_int,
        to: Option<usize>,
    ) -> Result<(), Errno> {
        let to: *mut c_void = to.map_or(ptr::null_mut(), |page| self.page(page).cast());
        // SAFETY: Both places belong to the range.
        let start = unsafe { libc::mremap(self.page(page).cast(), old_len, new_len, flags, to) };
        if start == libc::MAP_FAILED {
            return Err(last_errno());
        }
        Ok(())
    }

    fn word(&self, page: usize) -> Answer {
        word(&self.0, page * page_size())
    }

    fn put_word(&self, page: usize, text: &str) -> Result<(), Failure> {
        put_word(&self.0, page * page_size(), text)
    }

    /// The lines of `/proc/self/maps` within the range that are not the reservation itself: first
    /// page, number of pages, rights.
    fn lines(&self) -> Answer {
        let first = self.0.as_ptr().addr();
        let mut lines = Vec::new();
        for line in fs::read_to_string("/proc/self/maps")?.lines() {
            let mut words = line.split_whitespace();
            let (Some(range), Some(rights)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((start, end)) = range.split_once('-') else {
                continue;
            };
            let start = usize::from_str_radix(start, 16)?;
            let end = usize::from_str_radix(end, 16)?;
            if start >= first && end <= first + reserved() && rights != "---p" {
                let (page, len) = ((start - first) / page_size(), (end - start) / page_size());
                lines.push(format!("{page}+{len} {rights}"));
            }
        }
        Ok(lines.join(", "))
    }
}
