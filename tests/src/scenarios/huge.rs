// SPDX-License-Identifier: MIT OR GPL-2.0

//! Large folios: pools of each strategy, beside a memfd that gets its pages in the same way.

mod holes;
mod mappings;
mod strategies;

use std::fs::{self, File};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use mmap_pool::{Mapping, MappingBuilder, Pool, Strategy};
use rustix::fs::{fallocate, ftruncate, memfd_create, FallocateFlags, MemfdFlags};

pub(crate) use self::holes::*;
pub(crate) use self::mappings::*;
pub(crate) use self::strategies::*;
use crate::observe::{symbol, word};
use crate::subject::{page_size, Subject};
use crate::{fail, Failure};

use crate::machine::{huge_pages, HUGE};

/// A pool with a strategy, or a memfd that allocates its pages in the same way.
struct Object {
    file: File,
    _setting: Option<Setting>,
}

impl Object {
    fn huge(subject: &Subject, len: usize) -> Result<Self, Failure> {
        Self::new(subject, Strategy::Huge, len)
    }

    /// As [`Self::huge`], with all its pages [filled](Self::fill).
    fn filled(subject: &Subject, len: usize) -> Result<Self, Failure> {
        let object = Self::huge(subject, len)?;
        object.fill(len)?;
        Ok(object)
    }

    fn new(subject: &Subject, strategy: Strategy, len: usize) -> Result<Self, Failure> {
        if subject.makes_pools()? {
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

    /// Maps the object shared, and touches its first page.
    fn map_and_touch(&self) -> Result<Mapping, Failure> {
        let mapping = self.map(MappingBuilder::shared())?;
        word(&mapping, 0)?;
        Ok(mapping)
    }

    /// Writes into each page its number, from 1000 on.
    fn fill(&self, len: usize) -> Result<(), Failure> {
        let mut bytes = vec![0x5a; len];
        for (number, page) in bytes.chunks_exact_mut(page_size()).enumerate() {
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
        Ok(self.file.metadata()?.blocks() * 512 / page_size() as u64)
    }
}

/// A setting of the kernel for huge pages. It is on until this is dropped.
#[derive(Debug)]
pub struct Setting {
    path: PathBuf,
    before: String,
}

impl Setting {
    /// Turns on the setting of this name in `/sys/kernel/mm/transparent_hugepage`.
    ///
    /// # Errors
    ///
    /// The errno of the kernel.
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
pub(crate) fn nr_huge(mapping: &Mapping) -> Result<usize, Failure> {
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
    let start = mapping
        .as_ptr()
        .wrapping_add(pages.start * page_size())
        .cast();
    // SAFETY: Nothing refers to the mapping's bytes.
    match unsafe { libc::madvise(start, pages.len() * page_size(), advice) } {
        0 => "ok".into(),
        _ => symbol(crate::observe::last_errno()),
    }
}

fn list_of_words(mapping: &Mapping, pages: &[usize]) -> Result<String, Failure> {
    let words = pages
        .iter()
        .map(|number| word(mapping, number * page_size()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(words.join(" "))
}
