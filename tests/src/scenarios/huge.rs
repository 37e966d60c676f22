// SPDX-License-Identifier: MIT OR GPL-2.0

//! Large folios: a pool that gets its pages in huge pages, windows or at once, beside a memfd that
//! does so.

use std::fs::{self, File};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use mmap_pool::{Mapping, MappingBuilder, Pool, Protection, Strategy};
use rustix::fs::{fallocate, ftruncate, memfd_create, seek, FallocateFlags, MemfdFlags, SeekFrom};
use rustix::pipe::pipe;

use super::pins::{splice_word, word_of_pipe};
use crate::child::Child;
use crate::observe::{
    list, mincore, nr_minor_faults, page_table, present, put_word, symbol, verdict, word,
    word_in_file,
};
use crate::signal::{touch, Access};
use crate::subject::{Subject, PAGE};
use crate::{fail, Answer, Failure};

const HUGE: usize = 2 << 20;
const HUGE_PAGES: usize = HUGE / PAGE;

pub fn a_shared_mapping_is_huge(subject: &Subject) -> Answer {
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
}

pub fn a_private_mapping_is_huge(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 4 * HUGE)?;
    let mapping = object.map(MappingBuilder::private())?;
    let mut bytes = [0xff; 4];
    let before = nr_minor_faults();
    for (number, byte) in bytes.chunks_exact_mut(1).enumerate() {
        mapping.read_at(number * HUGE + HUGE / 2, byte)?;
    }
    let nr_faults = nr_minor_faults() - before;
    Ok(format!(
        "{nr_faults} faults, {} resident, {} huge, {bytes:?}",
        object.nr_resident_pages()?,
        nr_huge(&mapping)?
    ))
}

pub fn a_private_write_copies_one_page(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 2 * HUGE)?;
    object.fill(2 * HUGE)?;
    let private = object.map(MappingBuilder::private())?;
    word(&private, 0)?;
    put_word(&private, 5 * PAGE, "mine")?;
    object.file.write_all_at(b"theirs\0\0", 6 * PAGE as u64)?;
    let nr_copies = page_table(&private)?
        .into_iter()
        .filter(|entry| entry.is_present() && !entry.is_of_file())
        .count();
    Ok(format!(
        "{nr_copies} copy; page 5 {}, object {}; page 6 {}; {} resident",
        word(&private, 5 * PAGE)?,
        word_in_file(&object.file, 5 * PAGE)?,
        word(&private, 6 * PAGE)?,
        object.nr_resident_pages()?
    ))
}

pub fn the_last_pages_come_in_smaller_pieces(subject: &Subject) -> Answer {
    let object = Object::huge(subject, HUGE + 5 * PAGE)?;
    let mapping = object.map(MappingBuilder::shared().len(HUGE + 8 * PAGE))?;
    put_word(&mapping, 0, "first")?;
    let first = object.nr_resident_pages()?;
    for number in 0..5 {
        put_word(&mapping, HUGE + number * PAGE, "last")?;
    }
    let past = touch(mapping.as_ptr(), HUGE + 5 * PAGE, Access::Write)?;
    Ok(format!(
        "{first} resident, then {}; past the end {past}",
        object.nr_resident_pages()?
    ))
}

pub fn a_hole_in_the_middle_frees_its_pages(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 2 * HUGE)?;
    object.fill(2 * HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    word(&mapping, 0)?;
    let huge_before = nr_huge(&mapping)?;
    object.punch(7 * PAGE, 3 * PAGE)?;
    let resident = object.nr_resident_pages()?;
    let hole = seek(&object.file, SeekFrom::Hole(0))? / PAGE as u64;
    let data = seek(&object.file, SeekFrom::Data(hole * PAGE as u64))? / PAGE as u64;
    Ok(format!(
        "{huge_before} huge; {resident} resident; hole from page {hole} to {data}; pages 6 7 9 10 {}",
        list_of_words(&mapping, &[6, 7, 9, 10])?
    ))
}

pub fn a_hole_across_two_frees_its_pages(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 3 * HUGE)?;
    object.fill(3 * HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    word(&mapping, 0)?;
    // Not whole pages at either end.
    object.punch(HUGE - 2 * PAGE + 8, HUGE + 4 * PAGE)?;
    let first = HUGE_PAGES - 2;
    let last = 2 * HUGE_PAGES + 2;
    Ok(format!(
        "{} resident; first page {} {}, last page {} {}",
        object.nr_resident_pages()?,
        word(&mapping, first * PAGE)?,
        word(&mapping, first * PAGE + 8)?,
        word(&mapping, last * PAGE)?,
        word(&mapping, last * PAGE + 8)?,
    ))
}

pub fn shrinking_into_the_middle_frees_the_rest(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 2 * HUGE)?;
    object.fill(2 * HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    let private = object.map(MappingBuilder::private())?;
    put_word(&private, 9 * PAGE, "mine")?;
    ftruncate(&object.file, (8 * PAGE + 8) as u64)?;
    let resident = object.nr_resident_pages()?;
    let past = touch(mapping.as_ptr(), 9 * PAGE, Access::Read)?;
    let copy = touch(private.as_ptr(), 9 * PAGE, Access::Read)?;
    ftruncate(&object.file, 2 * HUGE as u64)?;
    Ok(format!(
        "{resident} resident; page 9 {past}, private {copy}; larger again: pages 7 8 9 {}, rest of page 8 {}",
        list_of_words(&mapping, &[7, 8, 9])?,
        word(&mapping, 8 * PAGE + 8)?
    ))
}

pub fn guard_regions_outlive_what_they_cover(subject: &Subject) -> Answer {
    const GUARD_INSTALL: i32 = 102;
    let object = Object::huge(subject, 10 * PAGE)?;
    object.fill(10 * PAGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    for pages in [6..7, 8..9] {
        let installed = advise(&mapping, pages, GUARD_INSTALL);
        if installed != "ok" {
            fail!("MADV_GUARD_INSTALL: {installed}");
        }
    }
    // Maps what lies between.
    list_of_words(&mapping, &[0, 5, 7, 9])?;
    ftruncate(&object.file, 5 * PAGE as u64)?;
    ftruncate(&object.file, 10 * PAGE as u64)?;
    let touched = [5, 6, 7, 8].map(|page| touch(mapping.as_ptr(), page * PAGE, Access::Read));
    let touched = touched.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(format!("pages 5 6 7 8: {}", touched.join(", ")))
}

pub fn a_pinned_one_stays_whole_when_punched(subject: &Subject) -> Answer {
    let object = Object::huge(subject, HUGE)?;
    object.fill(HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    let (from, to) = pipe()?;
    splice_word(&mapping, &to)?;
    object.punch(7 * PAGE, 3 * PAGE)?;
    let pinned = object.nr_resident_pages()?;
    let words = list_of_words(&mapping, &[0, 6, 7, 9, 10])?;
    put_word(&mapping, 7 * PAGE, "new")?;
    let new = word_in_file(&object.file, 7 * PAGE)?;
    let pipe = word_of_pipe(from)?;
    object.punch(7 * PAGE, 3 * PAGE)?;
    Ok(format!(
        "{pinned} resident; pages 0 6 7 9 10 {words}; then {new}; pipe {pipe}; unpinned: {} resident",
        object.nr_resident_pages()?
    ))
}

pub fn a_page_of_a_pinned_one_stays_in_the_object(subject: &Subject) -> Answer {
    let object = Object::huge(subject, HUGE)?;
    object.fill(HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    let (from, to) = pipe()?;
    splice_word(&mapping, &to)?;
    object.punch(0, PAGE)?;
    let zero = word(&mapping, 0)?;
    put_word(&mapping, 0, "new")?;
    Ok(format!(
        "{zero}, then {}; pipe {}; {} resident",
        word_in_file(&object.file, 0)?,
        word_of_pipe(from)?,
        object.nr_resident_pages()?
    ))
}

pub fn a_pinned_one_ends_where_the_object_does(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 2 * HUGE)?;
    object.fill(2 * HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    let (from, to) = pipe()?;
    splice_word(&mapping, &to)?;
    ftruncate(&object.file, 8 * PAGE as u64)?;
    let past = touch(mapping.as_ptr(), 8 * PAGE, Access::Read)?;
    // Not pinned any more, and smaller still.
    let pipe = word_of_pipe(from)?;
    ftruncate(&object.file, 4 * PAGE as u64)?;
    let further = touch(mapping.as_ptr(), 4 * PAGE, Access::Read)?;
    ftruncate(&object.file, 2 * HUGE as u64)?;
    let words = list_of_words(&mapping, &[0, 3, 4, 8, 511, 512])?;
    ftruncate(&object.file, 0)?;
    Ok(format!(
        "page 8 {past}; pipe {pipe}; page 4 {further}; larger again: pages 0 3 4 8 511 512 {words}; \
         size 0: {} resident",
        object.nr_resident_pages()?
    ))
}

pub fn a_part_can_be_unmapped_and_protected(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 2 * HUGE)?;
    object.fill(2 * HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    word(&mapping, 0)?;
    word(&mapping, HUGE)?;
    let start = mapping.as_ptr();
    // SAFETY: Nobody refers to this part; `touch` below expects a signal.
    let unmapped = unsafe { libc::munmap(start.wrapping_add(8 * PAGE).cast(), 8 * PAGE) };
    let half = start.wrapping_add(HUGE + HUGE / 2);
    // SAFETY: As above.
    let protected = unsafe { libc::mprotect(half.cast(), HUGE / 2, libc::PROT_READ) };
    Ok(format!(
        "{unmapped} {protected}; pages 7 16 {}; unmapped: {}; protected: read {}, write {}; {} resident",
        list_of_words(&mapping, &[7, 16])?,
        touch(start, 8 * PAGE, Access::Read)?,
        touch(start, HUGE + HUGE / 2, Access::Read)?,
        touch(start, HUGE + HUGE / 2, Access::Write)?,
        object.nr_resident_pages()?
    ))
}

pub fn a_part_can_be_moved(subject: &Subject) -> Answer {
    let object = Object::huge(subject, HUGE)?;
    object.fill(HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    word(&mapping, 0)?;
    let half = mapping.as_ptr().wrapping_add(HUGE / 2);
    // SAFETY: Nobody refers to this half.
    let moved = unsafe { libc::mremap(half.cast(), HUGE / 2, HUGE, libc::MREMAP_MAYMOVE) };
    if moved == libc::MAP_FAILED {
        fail!("mremap failed");
    }
    // SAFETY: The range was made just now and nobody else knows it.
    let moved = unsafe { Mapping::from_raw_parts(moved.cast(), HUGE, Protection::READ_WRITE) };
    let start = ManuallyDrop::new(mapping).as_ptr();
    // SAFETY: This is what is left of the range.
    let mapping = unsafe { Mapping::from_raw_parts(start, HUGE / 2, Protection::READ_WRITE) };
    put_word(&moved, PAGE, "moved")?;
    Ok(format!(
        "pages 0 255 {}; moved 256 {}, 257 {}; object {}; behind the end {}",
        list_of_words(&mapping, &[0, 255])?,
        word(&moved, 0)?,
        word(&moved, PAGE)?,
        word_in_file(&object.file, HUGE / 2 + PAGE)?,
        touch(moved.as_ptr(), HUGE / 2, Access::Read)?
    ))
}

pub fn advice_takes_mappings_only(subject: &Subject) -> Answer {
    let object = Object::huge(subject, HUGE)?;
    object.fill(HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    word(&mapping, 0)?;
    advise(&mapping, 3..7, libc::MADV_DONTNEED);
    let nr_present = present(&mapping)?.len();
    let words = list_of_words(&mapping, &[2, 3, 6, 7])?;
    Ok(format!(
        "{nr_present} in the page table; pages 2 3 6 7 {words}; {} resident",
        object.nr_resident_pages()?
    ))
}

pub fn a_child_shares_and_copies(subject: &Subject) -> Answer {
    let object = Object::huge(subject, HUGE)?;
    object.fill(HUGE)?;
    let shared = object.map(MappingBuilder::shared())?;
    let private = object.map(MappingBuilder::private())?;
    word(&shared, 0)?;
    put_word(&private, 0, "before")?;
    let mut child = Child::fork(|link| {
        put_word(&shared, PAGE, "child")?;
        put_word(&private, 0, "mine")?;
        put_word(&private, 2 * PAGE, "mine")?;
        link.say("written")?;
        link.hear()?;
        Ok(format!(
            "{} {}",
            word(&shared, 3 * PAGE)?,
            word(&private, 0)?
        ))
    })?;
    child.link.hear()?;
    put_word(&shared, 3 * PAGE, "parent")?;
    child.link.say("look")?;
    Ok(format!(
        "child sees {}; parent sees {}, private {}",
        child.finish()?,
        word(&shared, PAGE)?,
        list_of_words(&private, &[0, 2])?
    ))
}

pub fn write_and_read_cross_borders(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 3 * HUGE)?;
    let bytes: Vec<u8> = (0..=250).cycle().take(HUGE + 3 * PAGE).collect();
    let at = (HUGE - PAGE - 100) as u64;
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
}

pub fn fallocate_is_huge(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 0)?;
    fallocate(&object.file, FallocateFlags::empty(), 0, 2 * HUGE as u64)?;
    let resident = object.nr_resident_pages()?;
    let mapping = object.map(MappingBuilder::shared().len(2 * HUGE))?;
    word(&mapping, 0)?;
    word(&mapping, HUGE)?;
    Ok(format!("{resident} resident, {} huge", nr_huge(&mapping)?))
}

pub fn a_mapping_that_is_not_aligned_is_not_huge(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 2 * HUGE)?;
    let mapping = object.map(MappingBuilder::shared().len(HUGE).offset(PAGE as u64))?;
    put_word(&mapping, 0, "one")?;
    put_word(&mapping, HUGE - PAGE, "last")?;
    Ok(format!(
        "{} huge; {} {}",
        nr_huge(&mapping)?,
        word_in_file(&object.file, PAGE)?,
        word_in_file(&object.file, HUGE)?
    ))
}

pub fn locking_and_collapsing_leave_it_huge(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 2 * HUGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    mapping.lock()?;
    let locked = nr_huge(&mapping)?;
    let collapsed = advise(&mapping, 0..2 * HUGE_PAGES, libc::MADV_COLLAPSE);
    Ok(format!(
        "{locked} huge; collapse {collapsed}; {} huge, {} resident",
        nr_huge(&mapping)?,
        object.nr_resident_pages()?
    ))
}

pub fn collapsing_small_pages_loses_nothing(subject: &Subject) -> Answer {
    let object = Object::huge(subject, 2 * HUGE)?;
    object.fill(2 * HUGE)?;
    // Leaves single pages behind.
    for number in 0..HUGE_PAGES {
        object.punch(number * PAGE, PAGE)?;
        let word = format!("{number:08}");
        object
            .file
            .write_all_at(word.as_bytes(), (number * PAGE) as u64)?;
    }
    let mapping = object.map(MappingBuilder::shared())?;
    advise(&mapping, 0..HUGE_PAGES, libc::MADV_COLLAPSE);
    let is_right = (0..HUGE_PAGES)
        .map(|number| Ok(word(&mapping, number * PAGE)? == format!("{number:08}")))
        .collect::<Result<Vec<_>, Failure>>()?;
    Ok(format!(
        "{} right, {} resident",
        is_right.iter().filter(|&&is_right| is_right).count(),
        object.nr_resident_pages()?
    ))
}

pub fn a_window_is_allocated_and_mapped_together(subject: &Subject) -> Answer {
    let object = Object::new(subject, Strategy::Around, 64 * PAGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    let before = nr_minor_faults();
    put_word(&mapping, 20 * PAGE, "here")?;
    put_word(&mapping, 31 * PAGE, "there")?;
    let nr_faults = nr_minor_faults() - before;
    let present = present(&mapping)?;
    Ok(format!(
        "{nr_faults} fault, {} resident; in the page table {} to {}; mincore {}",
        object.nr_resident_pages()?,
        present.first().unwrap_or(&0),
        present.last().unwrap_or(&0),
        mincore(&mapping)?.len()
    ))
}

pub fn a_window_at_the_end_is_smaller(subject: &Subject) -> Answer {
    let object = Object::new(subject, Strategy::Around, 21 * PAGE)?;
    let mapping = object.map(MappingBuilder::shared().len(32 * PAGE))?;
    put_word(&mapping, 17 * PAGE, "here")?;
    put_word(&mapping, 20 * PAGE, "last")?;
    Ok(format!(
        "mincore {}; past the end {}",
        list(&mincore(&mapping)?),
        touch(mapping.as_ptr(), 21 * PAGE, Access::Write)?
    ))
}

pub fn eager_mappings_never_fault(subject: &Subject) -> Answer {
    let object = Object::new(subject, Strategy::Eager, 64 * PAGE)?;
    let resident = object.nr_resident_pages()?;
    let mapping = object.map(MappingBuilder::shared().populate())?;
    let present = present(&mapping)?.len();
    let before = nr_minor_faults();
    for number in 0..64 {
        put_word(&mapping, number * PAGE, "here")?;
    }
    Ok(format!(
        "{resident} resident when created; {present} in the page table; then {} faults",
        nr_minor_faults() - before
    ))
}

pub fn lazy_mappings_fault_for_each_page(subject: &Subject) -> Answer {
    let object = Object::new(subject, Strategy::Page, 64 * PAGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    let present = present(&mapping)?.len();
    let resident = object.nr_resident_pages()?;
    let before = nr_minor_faults();
    for number in 0..64 {
        put_word(&mapping, number * PAGE, "here")?;
    }
    Ok(format!(
        "{resident} resident, {present} in the page table; then {} faults",
        nr_minor_faults() - before
    ))
}

pub fn eager_mappings_are_memory_like_any_other(subject: &Subject) -> Answer {
    let object = Object::new(subject, Strategy::Eager, 64 * PAGE)?;
    let shared = object.map(
        MappingBuilder::shared()
            .offset(8 * PAGE as u64)
            .len(60 * PAGE),
    )?;
    let private = object.map(MappingBuilder::private())?;
    put_word(&shared, 0, "shared")?;
    put_word(&private, 9 * PAGE, "mine")?;
    advise(&shared, 0..1, libc::MADV_DONTNEED);
    let child = Child::fork(|_| word(&shared, 0))?;
    Ok(format!(
        "object {}, private {}; page 9 {}, private {}; child {}; past the end {}",
        word_in_file(&object.file, 8 * PAGE)?,
        word(&private, 8 * PAGE)?,
        word_in_file(&object.file, 9 * PAGE)?,
        word(&private, 9 * PAGE)?,
        child.finish()?,
        touch(shared.as_ptr(), 56 * PAGE, Access::Read)?
    ))
}

pub fn eager_pools_keep_their_pages(subject: &Subject) -> Answer {
    let object = Object::new(subject, Strategy::Eager, 64 * PAGE)?;
    let mapping = object.map(MappingBuilder::shared())?;
    let shrunk = ftruncate(&object.file, 32 * PAGE as u64);
    let punched = object.punch_errno(0, PAGE);
    let removed = advise(&mapping, 0..64, libc::MADV_REMOVE);
    let grown = ftruncate(&object.file, 65 * PAGE as u64);
    let revoked = match Pool::try_from(object.file.try_clone()?)?.revoke() {
        Ok(()) => "ok".into(),
        Err(error) => symbol(error.errno()),
    };
    Ok(format!(
        "shrink {}, punch {}, MADV_REMOVE {removed}, grow {}, revoke {revoked}; {} resident",
        verdict(&shrunk),
        verdict(&punched),
        verdict(&grown),
        object.nr_resident_pages()?
    ))
}

/// A pool with a strategy, or a memfd that gets its pages as such a pool does.
struct Object {
    file: File,
    _setting: Option<Setting>,
}

impl Object {
    fn huge(subject: &Subject, len: usize) -> Result<Self, Failure> {
        Self::new(subject, Strategy::Huge, len)
    }

    fn new(subject: &Subject, strategy: Strategy, len: usize) -> Result<Self, Failure> {
        if subject.pool().is_ok() {
            let pool = Pool::create().strategy(strategy).size_bytes(len as u64);
            return Ok(Self {
                file: pool.create()?.as_file().try_clone()?,
                _setting: None,
            });
        }
        let setting = match strategy {
            Strategy::Huge => Some(Setting::new("shmem_enabled")?),
            _ => None,
        };
        let memfd: OwnedFd = memfd_create("oracle", MemfdFlags::CLOEXEC)?;
        ftruncate(&memfd, len as u64)?;
        Ok(Self {
            file: memfd.into(),
            _setting: setting,
        })
    }

    fn map(&self, builder: MappingBuilder) -> Result<Mapping, Failure> {
        // SAFETY: Pools and memfds are memory.
        Ok(unsafe { builder.map_file(&self.file) }?)
    }

    /// Writes the number of each page, from 1000 on, into it.
    fn fill(&self, len: usize) -> Result<(), Failure> {
        let mut bytes = vec![0x5a; len];
        for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate() {
            page[..8].copy_from_slice(format!("{}\0\0\0\0", 1000 + number).as_bytes());
        }
        Ok(self.file.write_all_at(&bytes, 0)?)
    }

    fn punch(&self, offset: usize, len: usize) -> Result<(), Failure> {
        Ok(self.punch_errno(offset, len)?)
    }

    fn punch_errno(&self, offset: usize, len: usize) -> Result<(), mmap_pool::Errno> {
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.file, mode, offset as u64, len as u64)
    }

    fn nr_resident_pages(&self) -> Result<u64, Failure> {
        Ok(self.file.metadata()?.blocks() * 512 / PAGE as u64)
    }
}

/// A switch of the kernel's for huge pages, on until this is dropped.
#[derive(Debug)]
pub struct Setting {
    path: PathBuf,
    before: String,
}

impl Setting {
    /// Turns on the switch of this name in `/sys/kernel/mm/transparent_hugepage`.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn new(name: &str) -> Result<Self, Failure> {
        let path = PathBuf::from("/sys/kernel/mm/transparent_hugepage").join(name);
        let all = fs::read_to_string(&path)?;
        let Some((before, _)) = all
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
        else {
            fail!("{} says {all}", path.display());
        };
        fs::write(&path, "always")?;
        Ok(Self {
            before: before.into(),
            path,
        })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, &self.before);
    }
}

/// How many huge pages of an object the page table maps as such.
fn nr_huge(mapping: &Mapping) -> Result<usize, Failure> {
    let range = mapping.as_ptr().addr()..mapping.as_ptr().addr() + mapping.len();
    let mut is_inside = false;
    let mut kib = 0;
    for line in fs::read_to_string("/proc/self/smaps")?.lines() {
        if let Some(value) = line
            .strip_prefix("FilePmdMapped:")
            .or_else(|| line.strip_prefix("ShmemPmdMapped:"))
        {
            if is_inside {
                kib += value.trim_end_matches("kB").trim().parse::<usize>()?;
            }
        } else if let Some((start, _)) = line.split_once('-') {
            if let Ok(start) = usize::from_str_radix(start, 16) {
                is_inside = range.contains(&start);
            }
        }
    }
    Ok((kib << 10) / HUGE)
}

fn advise(mapping: &Mapping, pages: Range<usize>, advice: i32) -> String {
    let start = mapping.as_ptr().wrapping_add(pages.start * PAGE).cast();
    // SAFETY: Nobody refers to the mapping's bytes.
    match unsafe { libc::madvise(start, pages.len() * PAGE, advice) } {
        0 => "ok".into(),
        _ => symbol(crate::observe::last_errno()),
    }
}

fn list_of_words(mapping: &Mapping, pages: &[usize]) -> Result<String, Failure> {
    let words = pages
        .iter()
        .map(|number| word(mapping, number * PAGE))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(words.join(" "))
}
