// SPDX-License-Identifier: MIT OR GPL-2.0

//! A pool or memfd: its pages, size and seals.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use mmap_pool::uapi;

use super::stored::Stored;
use crate::page_size;

/// The bytes of a page.
pub(super) type Bytes = Rc<[u8]>;

/// A page of zeros. All such pages share one allocation until a write.
pub(super) fn zeros() -> Bytes {
    thread_local! {
        static ZEROS: Bytes = vec![0; size(page_size())].into();
    }
    ZEROS.with(Rc::clone)
}

/// Converts a number of bytes to an index or length.
pub(super) fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("sizes are small here")
}

/// The pages of a range of bytes.
pub(super) fn pages_of(off: u64, len: u64) -> Range<u64> {
    off / page_size()..off.saturating_add(len).div_ceil(page_size())
}

/// Reads a range of bytes. A page that is not there reads as zeros.
pub(super) fn read_pages<'a>(
    range: Range<u64>,
    page_at: impl Fn(u64) -> Option<&'a Bytes>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let start = at % page_size();
        let stop = page_size().min(start + (range.end - at));
        match page_at(at / page_size()) {
            Some(page) => bytes.extend_from_slice(&page[size(start)..size(stop)]),
            None => bytes.resize(bytes.len() + size(stop - start), 0),
        }
        at += stop - start;
    }
    bytes
}

/// A page of an object.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) bytes: Bytes,
    /// Whether `SEEK_DATA` and `mincore` take it for data. A page that `fallocate` gave to a memfd is a
    /// hole for them until it is used.
    pub(super) is_data: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Node,
    Created,
    /// A created pool that always has all its pages.
    Eager,
    /// A created pool with an object behind it.
    Backed,
    Memfd,
}

/// A pool or memfd.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) kind: ObjectKind,
    pub(super) size: u64,
    pub(super) pages: BTreeMap<u64, Page>,
    pub(super) nr_allocated: u64,
    pub(super) seals: u32,
    pub(super) is_revoked: bool,
    /// The object behind a backed pool.
    pub(super) stored: Option<Stored>,
}

impl Object {
    pub(super) fn new(kind: ObjectKind, size: u64) -> Self {
        Self {
            kind,
            size,
            pages: BTreeMap::new(),
            nr_allocated: 0,
            seals: match kind {
                ObjectKind::Eager => uapi::SEAL_SHRINK,
                _ => 0,
            },
            is_revoked: false,
            stored: None,
        }
    }

    /// A pool that `stored` is behind.
    pub(super) fn backed(stored: Stored) -> Self {
        let mut object = Self::new(ObjectKind::Backed, stored.len());
        object.seals = uapi::SEAL_SHRINK | uapi::SEAL_GROW;
        let page = |bytes: &Bytes| Page {
            bytes: Rc::clone(bytes),
            is_data: true,
        };
        object.pages = stored
            .pages()
            .map(|(pgoff, bytes)| (pgoff, page(bytes)))
            .collect();
        object.stored = Some(stored);
        object
    }

    /// The page was written, by a mapping or a call.
    pub(super) fn dirty(&mut self, pgoff: u64) {
        if let Some(stored) = &mut self.stored {
            stored.dirty(pgoff);
        }
    }

    /// The bytes of these pages are in the object behind the pool.
    pub(super) fn settle(&mut self, pages: Range<u64>) {
        if let Some(stored) = &mut self.stored {
            let page = |pgoff| self.pages.get(&pgoff);
            stored.settle(pages, |pgoff| Some(Rc::clone(&page(pgoff)?.bytes)));
        }
    }

    /// As [`Self::settle`], for all pages.
    pub(super) fn settle_all(&mut self) {
        self.settle(0..u64::MAX);
    }

    /// Whether a store to this page would leave bytes past the end of the object, which stay until the page
    /// is written back. The model does not know when that is.
    pub(super) fn has_tail(&self, pgoff: u64) -> bool {
        self.stored.is_some() && pgoff == self.size / page_size()
    }

    pub(super) fn is_pool(&self) -> bool {
        self.kind != ObjectKind::Memfd
    }

    pub(super) fn is_eager(&self) -> bool {
        self.kind == ObjectKind::Eager
    }

    /// The number of pages that must be free after a mapping of `nr_pages` pages from page `pgoff`
    /// on. Otherwise the kernel does not place the mapping at the requested address. For a pool it
    /// wants room to align huge pages, if one fits in, even if the address is aligned already.
    pub(super) fn room_beside(&self, pgoff: u64, nr_pages: u64) -> u64 {
        // Those that one PMD entry maps: a table has 8 bytes for each.
        let pmd_pages = page_size() / 8;
        if self.is_pool() && pgoff + nr_pages >= pgoff.next_multiple_of(pmd_pages) + pmd_pages {
            pmd_pages
        } else {
            0
        }
    }

    pub(super) fn nr_pages(&self) -> u64 {
        self.size.div_ceil(page_size())
    }

    pub(super) fn is_sealed(&self, seal: u32) -> bool {
        self.seals & seal != 0
    }

    /// Whether the length of such a write depends on the size of folios: it crosses the end of a memfd
    /// that must not grow.
    pub(super) fn is_cut_by_folios(&self, pos: u64, len: u64) -> bool {
        let is_across_end = pos < self.size && pos + len > self.size;
        is_across_end && !self.is_pool() && self.is_sealed(uapi::SEAL_GROW)
    }

    /// Makes the page resident data.
    pub(super) fn allocate(&mut self, pgoff: u64) -> &mut Page {
        let nr_allocated = &mut self.nr_allocated;
        let page = self.pages.entry(pgoff).or_insert_with(|| {
            *nr_allocated += 1;
            Page {
                bytes: zeros(),
                is_data: true,
            }
        });
        page.is_data = true;
        page
    }

    /// Makes the page resident, as `fallocate` does.
    pub(super) fn reserve(&mut self, pgoff: u64) {
        let is_new = !self.pages.contains_key(&pgoff);
        let is_data = self.is_pool() || !is_new;
        self.allocate(pgoff).is_data = is_data;
    }

    pub(super) fn zero(&mut self, pgoff: u64, start: u64, end: u64) {
        if let Some(page) = self.pages.get_mut(&pgoff) {
            Rc::make_mut(&mut page.bytes)[size(start)..size(end)].fill(0);
        }
    }

    /// Reads bytes from `off` on. Allocates nothing.
    pub(super) fn read(&self, off: u64, len: u64) -> Vec<u8> {
        let end = self.size.min(off.saturating_add(len));
        read_pages(off..end, |pgoff| Some(&self.pages.get(&pgoff)?.bytes))
    }

    pub(super) fn punch(&mut self, off: u64, len: u64) {
        let end = off + len;
        let (first, last) = (off.div_ceil(page_size()), end / page_size());
        if off / page_size() == end / page_size() {
            self.zero(off / page_size(), off % page_size(), end % page_size());
            return;
        }
        if off % page_size() != 0 {
            self.zero(off / page_size(), off % page_size(), page_size());
        }
        self.zero(end / page_size(), 0, end % page_size());
        self.pages
            .retain(|&pgoff, _| !(first..last).contains(&pgoff));
    }

    /// Zeroes bytes of a backed pool. The object zeroes whole pages at once. Parts of pages are written.
    pub(super) fn zero_stored(&mut self, off: u64, end: u64, is_hole: bool) {
        let end = end.min(self.size);
        let Some(len) = end.checked_sub(off).filter(|&len| len > 0) else {
            return;
        };
        for pgoff in pages_of(off, len) {
            let start = pgoff * page_size();
            let part = off.max(start) - start..end.min(start + page_size()) - start;
            let has_all = part == (0..page_size().min(self.size - start));
            self.zero(pgoff, part.start, part.end);
            match &mut self.stored {
                Some(stored) if has_all => stored.zero(pgoff, is_hole),
                _ => self.dirty(pgoff),
            }
        }
    }

    pub(super) fn seek(&self, off: u64, is_hole: bool) -> Option<u64> {
        if off >= self.size {
            return None;
        }
        let is_data = |pgoff: &u64| match &self.stored {
            Some(stored) => stored.has_storage(*pgoff),
            None => self.pages.get(pgoff).is_some_and(|page| page.is_data),
        };
        let mut pages = off / page_size()..self.nr_pages();
        let found = if is_hole {
            let end = pages.end;
            pages.find(|pgoff| !is_data(pgoff)).unwrap_or(end)
        } else {
            pages.find(is_data)?
        };
        Some((found * page_size()).clamp(off, self.size))
    }
}
