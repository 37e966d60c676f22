// SPDX-License-Identifier: MIT OR GPL-2.0

//! An object that the user of a program names: a device, a file, a memfd, or huge pages.

use std::fmt;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use mmap_pool::{Errno, Mapping, MappingBuilder, Pool, Protection, Seals};
use rustix::fs::{
    fcntl_add_seals, fcntl_get_seals, fstatfs, ftruncate, memfd_create, open, seek, statx, AtFlags,
    MemfdFlags, Mode, OFlags, SealFlags, SeekFrom, StatxAttributes, StatxFlags,
};
use rustix::mm::MapFlags;

use crate::child::in_child;
use crate::made::Made;
use crate::needs::Needs;
use crate::observe::{self, put_word, word};
use crate::signal::{touch, Access};
use crate::subject::{self, anonymous, make_hole, page_size, path_of, Object};
use crate::{fail, Failure};

/// Where the object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A new memfd for each row.
    Memfd,
    /// The same, with huge pages.
    Hugetlb,
    /// A device or a file.
    Path(PathBuf),
    /// A new file in this folder for each row.
    Folder(PathBuf),
    /// New memory of a driver for each row.
    Made(Made),
}

/// What is known about the object.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// Whether it is a regular file. Otherwise it is a device.
    pub is_file: bool,
    /// Its size; `None` if no end is found.
    pub size_bytes: Option<u64>,
    /// Bytes of a page.
    pub page_bytes: usize,
    /// What it has.
    pub has: Needs,
    /// `VmFlags` of a shared mapping, as in `/proc/self/smaps`.
    pub flags: String,
    /// Whether frames of a mapping without struct pages (`VM_PFNMAP`) are ordinary memory.
    pub is_memory: bool,
    /// Whether `mmap(2)` maps all pages at once, so that no touch is a fault.
    pub maps_at_once: bool,
    /// Whether the pages are those of a page cache.
    pub is_page_cache: bool,
    /// Whether the pages are written back to somewhere.
    pub is_on_disk: bool,
    /// Whether a mapping shows the storage itself (DAX).
    pub is_dax: bool,
    /// Whether a program has to ask a driver for it, by calls of its own.
    pub is_made: bool,
    /// Whether it has other bytes than zeros, and may not be changed.
    pub is_not_new: bool,
}

impl Facts {
    /// What a child found out, as a line for its parent.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{} {} {} {} {}",
            self.has.bits(),
            self.is_memory,
            self.maps_at_once,
            self.is_not_new,
            self.flags
        )
    }

    /// The facts with what a child has found out.
    ///
    /// # Errors
    ///
    /// It is no line of [`line`](Self::line).
    pub fn known(mut self, line: &str) -> Result<Self, Failure> {
        let mut words = line.splitn(5, ' ');
        let mut next = || words.next().ok_or("a line with too few words");
        self.has = Needs::from_bits(next()?.parse()?);
        self.is_memory = next()?.parse()?;
        self.maps_at_once = next()?.parse()?;
        self.is_not_new = next()?.parse()?;
        self.flags = next()?.into();
        Ok(self)
    }

    /// Whether mappings have this flag of `/proc/self/smaps`.
    #[must_use]
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.split_whitespace().any(|known| known == flag)
    }
}

/// In a few words.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_file { "a file" } else { "a device" })?;
        match self.size_bytes {
            Some(size) => write!(f, " of {size} bytes")?,
            None => f.write_str(" without an end")?,
        }
        let lacks = Needs::ALL.without(self.has);
        if !lacks.is_empty() {
            write!(f, "; {lacks}")?;
        }
        write!(f, "; flags of a mapping: {}", self.flags)
    }
}

/// The object, as a subject of one scenario.
#[derive(Debug)]
pub struct Given {
    name: Name,
    /// The memfd of this row.
    held: Option<OwnedFd>,
    /// The file of this row, which is removed in the end.
    file: Option<PathBuf>,
    is_read_only: bool,
    facts: Facts,
    /// What the scenario asked for in vain, and how often it opened the object. Children write
    /// it, too.
    asked: Arc<Mapping>,
}

/// Where the number of openings is, in bytes.
const OPENINGS: usize = 4;

/// What scenarios ask an object for in vain, as it goes on.
#[derive(Clone, Debug)]
pub struct Asking(Arc<Mapping>);

impl Asking {
    /// What was asked for until now.
    ///
    /// # Errors
    ///
    /// None: it is memory.
    pub fn needs(&self) -> Result<Needs, Failure> {
        Ok(Needs::from_bits(self.0.atomic_u32(0)?.load(Relaxed)))
    }
}

impl Given {
    /// Opens the object for a scenario.
    ///
    /// # Errors
    ///
    /// The errno of making a memfd or a file.
    pub fn new(name: &Name, facts: &Facts, is_read_only: bool) -> Result<Self, Failure> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let made = |flags, size| -> Result<_, Failure> {
            let memfd = memfd_create("oracle", flags)?;
            ftruncate(&memfd, size)?;
            Ok(Some(memfd))
        };
        let (mut held, mut file) = (None, None);
        match name {
            Name::Memfd => held = made(flags, subject::size() as u64)?,
            Name::Hugetlb => held = made(flags | MemfdFlags::HUGETLB, 2 << 20)?,
            Name::Path(_) => {}
            Name::Made(made) => held = Some(made.make()?),
            Name::Folder(folder) => {
                let path = folder.join(format!(".mmap-conformance-{}", process::id()));
                ftruncate(File::create_new(&path)?, subject::size() as u64)?;
                file = Some(path);
            }
        }
        Ok(Self {
            name: name.clone(),
            held,
            file,
            is_read_only,
            facts: facts.clone(),
            asked: Arc::new(anonymous(page_size(), MapFlags::SHARED)?),
        })
    }

    /// What is asked for in vain from now on.
    #[must_use]
    pub fn asking(&self) -> Asking {
        Asking(Arc::clone(&self.asked))
    }

    /// Notes that this was asked for in vain.
    pub(crate) fn lacks(&self, needs: Needs) -> String {
        if let Ok(asked) = self.asked.atomic_u32(0) {
            let mut before = asked.load(Relaxed);
            while let Err(now) =
                asked.compare_exchange(before, before | needs.bits(), Relaxed, Relaxed)
            {
                before = now;
            }
        }
        needs.to_string()
    }

    /// Notes that this is asked for, if the object lacks it.
    fn ask(&self, needs: Needs) -> Result<(), String> {
        let lacks = needs.without(self.facts.has);
        if lacks.is_empty() {
            return Ok(());
        }
        Err(self.lacks(lacks))
    }

    /// Another opening would be another object, and a row could wait for it without end.
    fn ask_for_another_opening(&self) -> Result<(), Failure> {
        let nr_openings = self.asked.atomic_u32(OPENINGS)?.fetch_add(1, Relaxed);
        if nr_openings > 0 {
            self.ask(Needs::ONE)?;
        }
        Ok(())
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        self.ask_for_another_opening()?;
        Ok(match (&self.name, &self.file, &self.held) {
            (Name::Made(_), ..) => return Err(self.lacks(Needs::PATH).into()),
            (Name::Path(path), ..) | (_, Some(path), _) => path.clone(),
            (.., Some(memfd)) => path_of(memfd),
            _ => fail!("the object has no path"),
        })
    }

    pub(crate) fn path_for_writing(&self) -> Result<PathBuf, Failure> {
        if self.is_read_only {
            return Err(self.lacks(Needs::WRITE).into());
        }
        self.path()
    }

    pub(crate) fn open(&self, access: OFlags) -> Result<Object, Failure> {
        if matches!(self.name, Name::Made(_)) && access != OFlags::RDWR {
            self.lacks(Needs::PATH);
        }
        self.open_for_reading_or(access)
    }

    /// Opens the object. Who asks for fewer rights does not mind more.
    fn open_for_reading_or(&self, access: OFlags) -> Result<Object, Failure> {
        if let (Name::Made(_), Some(held)) = (&self.name, &self.held) {
            // SAFETY: The user of the program vouches that the object is memory.
            return Ok(unsafe { Object::new(held.try_clone()?) });
        }
        let mut access = access;
        if self.is_read_only && access.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC) {
            self.lacks(Needs::WRITE);
            access = OFlags::RDONLY;
        }
        let file = open(self.path()?, access | OFlags::CLOEXEC, Mode::empty())?;
        // SAFETY: The user of the program vouches that the object is memory.
        Ok(unsafe { Object::new(file) })
    }

    /// The length that scenarios map.
    fn len(&self) -> usize {
        match self.facts.size_bytes {
            Some(size) if size < subject::size() as u64 => {
                self.lacks(Needs::WHOLE);
                usize::try_from(size).unwrap_or(subject::size())
            }
            _ => subject::size(),
        }
    }

    pub(crate) fn map(&self, builder: MappingBuilder) -> Result<Mapping, Failure> {
        let is_writable = self.facts.has.contains(Needs::WRITE) && !self.is_read_only;
        let builder = if is_writable {
            builder
        } else {
            self.lacks(Needs::WRITE);
            builder.protection(Protection::READ)
        };
        Ok(builder.len(self.len()).map(&self.open(OFlags::RDWR)?)?)
    }

    pub(crate) fn private(&self) -> Result<Mapping, Failure> {
        self.ask(Needs::PRIVATE)?;
        let access = if self.is_read_only {
            OFlags::RDONLY
        } else {
            OFlags::RDWR
        };
        let builder = MappingBuilder::private().len(self.len());
        Ok(builder.map(&self.open(access)?)?)
    }

    pub(crate) fn size_bytes(&self) -> Result<u64, Failure> {
        if self.facts.is_file {
            return Ok(self.open_for_reading_or(OFlags::RDONLY)?.metadata()?.len());
        }
        match self.facts.size_bytes {
            Some(size) => Ok(size),
            None => Err(self.lacks(Needs::END).into()),
        }
    }

    /// A file that can be changed, if the object has what that needs.
    fn changed(&self, needs: Needs) -> Result<Object, Errno> {
        if self.ask(needs).is_err() || self.is_read_only {
            self.lacks(needs);
            return Err(Errno::OPNOTSUPP);
        }
        self.open(OFlags::RDWR).map_err(|_| Errno::BADF)
    }

    pub(crate) fn resize(&self, size_bytes: u64) -> Result<(), Errno> {
        ftruncate(self.changed(Needs::RESIZE)?, size_bytes)
    }

    pub(crate) fn punch(&self, offset: u64, len: u64) -> Result<(), Errno> {
        make_hole(&self.changed(Needs::PUNCH)?, offset, len)
    }

    pub(crate) fn seal(&self, seals: Seals) -> Result<(), Errno> {
        // An object that is read-only from the beginning is sealed against writing.
        if seals == Seals::WRITE && !self.facts.has.contains(Needs::WRITE) && !self.is_read_only {
            return Ok(());
        }
        let seals = SealFlags::from_bits_retain(seals.bits());
        fcntl_add_seals(self.changed(Needs::SEALS)?, seals)
    }

    pub(crate) fn nr_resident_pages(&self) -> Result<Option<u64>, Failure> {
        // A disk allocates blocks late, and a huge page is allocated at once.
        if !self.facts.is_file || self.facts.is_on_disk || self.facts.page_bytes > page_size() {
            return Ok(None);
        }
        let blocks = self
            .open_for_reading_or(OFlags::RDONLY)?
            .metadata()?
            .blocks();
        Ok(Some(blocks * 512 / page_size() as u64))
    }

    /// A mapping of the bytes around `offset`, for an object without `read(2)` and `write(2)`.
    fn around(
        &self,
        offset: usize,
        len: usize,
        protection: Protection,
    ) -> Result<Mapping, Failure> {
        self.ask(Needs::ONE)?;
        let builder = MappingBuilder::shared().offset(offset as u64).len(len);
        let access = if protection == Protection::READ {
            OFlags::RDONLY
        } else {
            OFlags::RDWR
        };
        Ok(builder
            .protection(protection)
            .map(&self.open_for_reading_or(access)?)?)
    }

    fn has_calls(&self) -> bool {
        self.facts.has.contains(Needs::CALLS)
    }

    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: usize) -> Result<(), Failure> {
        if self.has_calls() {
            let file = self.open_for_reading_or(OFlags::RDONLY)?;
            return Ok(file.read_exact_at(bytes, offset as u64)?);
        }
        let mapping = self.around(offset, bytes.len(), Protection::READ)?;
        Ok(mapping.read_at(bytes, 0)?)
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: usize) -> Result<(), Failure> {
        self.ask(Needs::WRITE)?;
        if self.is_read_only {
            return Err(self.lacks(Needs::WRITE).into());
        }
        if self.has_calls() {
            let file = self.open(OFlags::RDWR)?;
            return Ok(file.write_all_at(bytes, offset as u64)?);
        }
        let mapping = self.around(offset, bytes.len(), Protection::READ_WRITE)?;
        Ok(mapping.write_at(bytes, 0)?)
    }

    pub(crate) fn word(&self, offset: usize) -> Result<String, Failure> {
        if self.has_calls() {
            return observe::word_in_file(&*self.open_for_reading_or(OFlags::RDONLY)?, offset);
        }
        word(&self.around(offset, observe::WORD, Protection::READ)?, 0)
    }

    pub(crate) fn put_word(&self, offset: usize, word: &str) -> Result<(), Failure> {
        self.ask(Needs::WRITE)?;
        if self.is_read_only {
            return Err(self.lacks(Needs::WRITE).into());
        }
        if self.has_calls() {
            return observe::put_word_in_file(&*self.open(OFlags::RDWR)?, offset, word);
        }
        let mapping = self.around(offset, observe::WORD, Protection::READ_WRITE)?;
        put_word(&mapping, 0, word)
    }

    /// The bytes that scenarios may change: all of a file, and the first [`size`](subject::size) of a device.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn contents(&self) -> Result<Vec<u8>, Failure> {
        let len = match self.facts.size_bytes {
            Some(size) if self.facts.is_file => usize::try_from(size)?,
            Some(size) => subject::size().min(usize::try_from(size)?),
            None => subject::size(),
        };
        let mut bytes = vec![0; len];
        if len > 0 {
            self.read_exact_at(&mut bytes, 0)?;
        }
        Ok(bytes)
    }

    /// Whether the bytes that scenarios look at are zeros.
    fn is_zero(&self) -> Result<bool, Failure> {
        let mut bytes = vec![0; self.len()];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.iter().all(|&byte| byte == 0))
    }

    /// Makes the bytes those of a new object: [`size`](subject::size) zeros, and no more if the size can be
    /// changed. Does nothing to an object that cannot be written.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn clear(&self) -> Result<(), Failure> {
        if self.is_read_only || !matches!(self.name, Name::Path(_)) {
            return Ok(());
        }
        if self.facts.has.contains(Needs::RESIZE) {
            self.put_back(&[])?;
            return Ok(ftruncate(
                &self.open(OFlags::RDWR)?,
                subject::size() as u64,
            )?);
        }
        let size = self.facts.size_bytes.unwrap_or(0);
        self.put_back(&vec![0; subject::size().min(usize::try_from(size)?)])
    }

    /// Writes the bytes back that [`contents`](Self::contents) returned.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn put_back(&self, bytes: &[u8]) -> Result<(), Failure> {
        let may_write = self.facts.has.contains(Needs::WRITE.and(Needs::ONE));
        if self.is_read_only || !may_write || !matches!(self.name, Name::Path(_)) {
            return Ok(());
        }
        if self.facts.has.contains(Needs::RESIZE) {
            let file = self.open(OFlags::RDWR)?;
            ftruncate(&file, 0)?;
            return Ok(file.write_all_at(bytes, 0)?);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.write_all_at(bytes, 0)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // Scenarios fork, but a child leaves without dropping.
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

/// tmpfs, ramfs, hugetlbfs, and the pools of `mmap_pool`.
const MEMORY_FILE_SYSTEMS: [i64; 4] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6, 0x4d50_6f6c];

/// What can be known without a mapping: kind and size, and whether `read(2)` works.
///
/// # Errors
///
/// The object cannot be opened.
pub fn first_facts(name: &Name, size: Option<u64>, is_read_only: bool) -> Result<Facts, Failure> {
    let mut facts = Facts {
        page_bytes: page_size(),
        has: Needs::ALL.without(Needs::CALLS),
        ..Facts::default()
    };
    let given = Given::new(name, &facts, is_read_only)?;
    let file = given.open_for_reading_or(OFlags::RDONLY)?;
    let metadata = file.metadata()?;
    facts.is_made = matches!(name, Name::Made(_));
    facts.is_file = metadata.file_type().is_file() && !facts.is_made;
    facts.is_page_cache = !metadata.file_type().is_char_device() && !facts.is_made;
    let is_in_memory = MEMORY_FILE_SYSTEMS.contains(&fstatfs(&file)?.f_type);
    facts.is_on_disk = facts.is_page_cache && (!facts.is_file || !is_in_memory);
    let stat = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    facts.is_dax = stat.stx_attributes.contains(StatxAttributes::DAX);
    let end = if facts.is_file {
        Some(metadata.len())
    } else {
        seek(&file, SeekFrom::End(0)).ok().filter(|end| *end > 0)
    };
    let asked_for = match name {
        Name::Made(made) => made.size_bytes(),
        _ => None,
    };
    facts.size_bytes = size.or(end).or(asked_for).or_else(|| {
        let pool = Pool::try_from(file.try_clone().ok()?).ok()?;
        Some(pool.info().ok()?.size_bytes)
    });
    if facts.is_file {
        facts.page_bytes = usize::try_from(metadata.blksize())?;
    }
    let mut byte = [0];
    let reads = file.read_at(&mut byte, 0).is_ok_and(|len| len == 1);
    // A stream can be read too, but it has no end.
    if reads && facts.size_bytes.is_some() {
        facts.has = facts.has.and(Needs::CALLS);
    }
    if !facts.is_file || is_read_only || !is_resizable(&*given.open(OFlags::RDWR)?)? {
        facts.has = facts.has.without(Needs::RESIZE);
    }
    Ok(facts)
}

/// Whether the size can be changed. Leaves it as it is.
fn is_resizable(file: &File) -> Result<bool, Failure> {
    let fixed = SealFlags::GROW | SealFlags::SHRINK;
    if fcntl_get_seals(file).is_ok_and(|seals| seals.intersects(fixed)) {
        return Ok(false);
    }
    let len = file.metadata()?.len();
    let is_larger = ftruncate(file, len + page_size() as u64).is_ok();
    Ok(is_larger && ftruncate(file, len).is_ok())
}

/// The pages that can be read before the first one that cannot; `None` if there are more than 4 GiB.
///
/// # Errors
///
/// The object cannot be mapped.
pub fn end_by_touching(given: &Given) -> Result<Option<u64>, Failure> {
    let file = given.open_for_reading_or(OFlags::RDONLY)?;
    let is_there = |page: u64| -> Result<bool, Failure> {
        let builder = MappingBuilder::shared().protection(Protection::READ);
        let mapped = builder
            .offset(page * page_size() as u64)
            .len(page_size())
            .map(&file);
        match mapped {
            Ok(mapping) => Ok(touch(mapping.as_ptr(), 0, Access::Read)? == "ok"),
            Err(_) => Ok(false),
        }
    };
    if !is_there(0)? {
        fail!("its first page cannot be read through a shared mapping");
    }
    let mut there = 0;
    let mut gone = 1;
    while is_there(gone)? {
        (there, gone) = (gone, 2 * gone);
        if gone > 1 << 20 {
            return Ok(None);
        }
    }
    while there + 1 < gone {
        let middle = u64::midpoint(there, gone);
        if is_there(middle)? {
            there = middle;
        } else {
            gone = middle;
        }
    }
    Ok(Some(gone * page_size() as u64))
}

/// Finds out the rest, by mapping the object. Changes bytes of the first page.
///
/// # Errors
///
/// The object cannot be mapped for reading.
pub fn all_facts(given: &Given) -> Result<Facts, Failure> {
    let mut facts = given.facts.clone();
    facts.is_not_new = (given.is_read_only || facts.is_made) && !given.is_zero()?;
    facts.has = Needs::NONE;
    let has = |facts: &mut Facts, need: Needs, is: bool| {
        if is {
            facts.has = facts.has.and(need);
        }
    };
    let writable = !given.is_read_only;
    let access = if writable {
        OFlags::RDWR
    } else {
        OFlags::RDONLY
    };
    let file = given.open_for_reading_or(access)?;
    let size = facts.size_bytes.unwrap_or(u64::MAX);
    let len = subject::size().min(usize::try_from(size)?);
    let shared = MappingBuilder::shared().len(len);
    let readable = shared.protection(Protection::READ).map(&file)?;
    facts.flags = flags_of(&readable)?;
    let entries = observe::page_table(&readable)?;
    facts.maps_at_once = len > page_size() && entries.iter().all(|entry| entry.is_present());
    facts.is_memory = facts.has_flag("pf") && {
        touch(readable.as_ptr(), 0, Access::Read)?;
        let mut byte = [0];
        readable.read_at(&mut byte, 0)?;
        is_ram(observe::page_table(&readable)?[0].frame())
    };
    let writes = writable && shared.map(&file).is_ok();
    has(&mut facts, Needs::WRITE, writes || !writable);
    let private = MappingBuilder::private().len(len).map(&file);
    has(&mut facts, Needs::PRIVATE, private.is_ok());
    has(&mut facts, Needs::WHOLE, size >= subject::size() as u64);
    let can_resize = given.facts.has.contains(Needs::RESIZE);
    has(&mut facts, Needs::RESIZE, can_resize);
    has(
        &mut facts,
        Needs::END,
        size == subject::size() as u64 || can_resize,
    );
    let can_punch = can_resize && make_hole(&file, 0, page_size() as u64).is_ok();
    has(&mut facts, Needs::PUNCH, can_punch);
    let can_seal = fcntl_get_seals(&file).is_ok_and(|seals| !seals.contains(SealFlags::SEAL));
    has(&mut facts, Needs::SEALS, can_seal);
    // A driver may be so wrong that a signal ends the child. Then the rows shall show it.
    let is_one = !writes || {
        let seen = in_child(|| {
            let (one, other) = (
                shared.map(&file)?,
                shared.map(&given.open_for_reading_or(access)?)?,
            );
            put_word(&one, 0, "shared")?;
            let seen = word(&other, 0);
            put_word(&one, 0, "")?;
            seen
        });
        seen.map_or(true, |seen| seen == "shared")
    };
    has(&mut facts, Needs::ONE, is_one);
    let calls = given.has_calls() && {
        let seen = in_child(|| {
            let mapping = shared.protection(Protection::READ).map(&file)?;
            if !writes {
                return Ok((word(&mapping, 0)? == observe::word_in_file(&file, 0)?).to_string());
            }
            observe::put_word_in_file(&file, 0, "called")?;
            let read = observe::word_in_file(&file, 0)?;
            let is_same = word(&mapping, 0)? == read;
            observe::put_word_in_file(&file, 0, "")?;
            Ok(is_same.to_string())
        });
        seen.is_ok_and(|seen| seen == "true")
    };
    has(&mut facts, Needs::CALLS, calls);
    Ok(facts)
}

/// The `VmFlags` of a mapping.
fn flags_of(mapping: &Mapping) -> Result<String, Failure> {
    let start = format!("{:x}-", mapping.as_ptr().addr());
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&start));
    let flags = lines
        .find_map(|line| line.strip_prefix("VmFlags:"))
        .unwrap_or("");
    Ok(flags.trim().into())
}

/// Whether the kernel has a struct page for this frame, and nothing reserves it: it is ordinary
/// memory. Without the right to see frames, it is not known to be.
fn is_ram(frame: u64) -> bool {
    const NOPAGE: u64 = 1 << 20;
    const RESERVED: u64 = 1 << 32;
    let mut flags = [0; 8];
    let read =
        File::open("/proc/kpageflags").and_then(|file| file.read_exact_at(&mut flags, frame * 8));
    frame != 0 && read.is_ok() && u64::from_ne_bytes(flags) & (NOPAGE | RESERVED) == 0
}
