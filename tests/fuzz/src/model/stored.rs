// SPDX-License-Identifier: MIT OR GPL-2.0

//! The object behind a backed pool: which of its bytes are certain.
//!
//! The kernel may write a dirty page back at any time. So after a change of a page the model does not know
//! what the object has there, until a call makes it certain.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use super::object::{pages_of, read_pages, size, zeros, Bytes};
use crate::page_size;
use crate::storage::initial_page;

/// The object behind a backed pool.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    len: u64,
    /// What direct reads find. Those of uncertain pages are old.
    pages: Vec<Bytes>,
    uncertain: BTreeSet<u64>,
    /// Whether the object is a file, which can be without storage.
    has_holes: bool,
    /// Pages without storage, if the model knows them. It does not if the kernel writes whole large
    /// folios, or after `fallocate`.
    holes: Option<BTreeSet<u64>>,
    /// The pages that `DIRTY` reports, if the pool tracks them.
    written: Option<BTreeSet<u64>>,
}

impl Stored {
    /// A new object of `len` bytes, number `number` of the run. A file `has_holes`.
    pub(super) fn new(number: usize, len: u64, has_holes: bool, is_tracked: bool) -> Self {
        let initial: Vec<_> = pages_of(0, len)
            .map(|pgoff| initial_page(number, pgoff, len))
            .collect();
        let holes: BTreeSet<_> = (0..)
            .zip(&initial)
            .filter(|(_, page)| page.is_none() && has_holes)
            .map(|(pgoff, _)| pgoff)
            .collect();
        Self {
            len,
            pages: initial
                .into_iter()
                .map(|page| page.map_or_else(zeros, Rc::from))
                .collect(),
            uncertain: BTreeSet::new(),
            has_holes,
            holes: Some(holes).filter(|holes| is_tracked || holes.is_empty()),
            written: is_tracked.then(BTreeSet::new),
        }
    }

    /// The size in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes of all pages.
    pub(super) fn pages(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        (0..).zip(&self.pages)
    }

    /// A page of the pool was written.
    pub(super) fn dirty(&mut self, pgoff: u64) {
        self.uncertain.insert(pgoff);
        if let Some(written) = &mut self.written {
            written.insert(pgoff);
        }
    }

    /// The object has the bytes of these pages for certain. `bytes_of` tells what the pool has.
    pub(super) fn settle(&mut self, pages: Range<u64>, bytes_of: impl Fn(u64) -> Option<Bytes>) {
        let settled: Vec<_> = self.uncertain.range(pages).copied().collect();
        for pgoff in settled {
            self.uncertain.remove(&pgoff);
            if let Some(holes) = &mut self.holes {
                holes.remove(&pgoff);
            }
            let place = self.pages.get_mut(size(pgoff));
            if let (Some(place), Some(bytes)) = (place, bytes_of(pgoff)) {
                *place = bytes;
            }
        }
    }

    /// Whether the model knows these pages of the object.
    pub(super) fn is_certain(&self, mut pages: Range<u64>) -> bool {
        pages.all(|pgoff| !self.uncertain.contains(&pgoff))
    }

    /// Whether it knows all of them: no page is dirty.
    pub(super) fn is_settled(&self) -> bool {
        self.uncertain.is_empty()
    }

    /// The certain ranges, at most `max` pages each: offset and length in bytes.
    pub(super) fn certain_ranges(&self, max: u64) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for pgoff in pages_of(0, self.len).filter(|pgoff| !self.uncertain.contains(pgoff)) {
            match ranges.last_mut() {
                Some((off, len))
                    if *off + *len == pgoff * page_size() && *len < max * page_size() =>
                {
                    *len += page_size();
                }
                _ => ranges.push((pgoff * page_size(), page_size())),
            }
        }
        ranges
    }

    /// What a read of the object finds.
    pub(super) fn read(&self, off: u64, len: u64) -> Vec<u8> {
        let end = self.len.min(off.saturating_add(len));
        read_pages(off..end, |pgoff| self.pages.get(size(pgoff)))
    }

    /// The object has zeroed a page. With `is_hole`, a file has no storage for it, unless it is a part of a
    /// page: that keeps what it had.
    pub(super) fn zero(&mut self, pgoff: u64, is_hole: bool) {
        let was_uncertain = self.uncertain.contains(&pgoff);
        self.dirty(pgoff);
        self.uncertain.remove(&pgoff);
        if let Some(place) = self.pages.get_mut(size(pgoff)) {
            *place = zeros();
        }
        if !self.has_holes {
            return;
        }
        let is_part = (pgoff + 1) * page_size() > self.len;
        let is_known = self.is_tracked() && is_hole && !(is_part && was_uncertain);
        self.holes = self.holes.take().filter(|_| is_known);
        if let Some(holes) = self.holes.as_mut().filter(|_| !is_part) {
            holes.insert(pgoff);
        }
    }

    /// `fallocate` has succeeded.
    pub(super) fn allocate(&mut self) {
        if self.holes.as_ref().is_some_and(|holes| !holes.is_empty()) {
            self.holes = None;
        }
    }

    /// Whether the model knows which pages have storage.
    pub(super) fn knows_holes(&self) -> bool {
        self.holes.is_some()
    }

    /// Whether a page has storage.
    pub(super) fn has_storage(&self, pgoff: u64) -> bool {
        let mut holes = self.holes.iter();
        !holes.any(|holes| holes.contains(&pgoff))
    }

    /// Whether the pool tracks writes.
    pub(super) fn is_tracked(&self) -> bool {
        self.written.is_some()
    }

    /// The answer of `DIRTY`: 64 pages a word. Forgets them.
    pub(super) fn take_written(&mut self, pages: Range<u64>) -> Vec<u64> {
        let nr_words = (pages.end - pages.start).div_ceil(64);
        let mut words = vec![0; size(nr_words)];
        let Some(written) = &mut self.written else {
            return words;
        };
        for (index, _) in (0..).zip(pages).filter(|(_, pgoff)| written.remove(pgoff)) {
            words[size(index / 64)] |= 1 << (index % 64);
        }
        words
    }

    /// A new pool is created on the object.
    pub(super) fn begin_again(&mut self) {
        if let Some(written) = &mut self.written {
            written.clear();
        }
    }
}
