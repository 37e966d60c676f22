// SPDX-License-Identifier: MIT OR GPL-2.0

//! `mremap`: pages move, with their private copies.

use std::collections::BTreeMap;

use libc::{EFAULT, EINVAL, ENOMEM};

use super::area::Run;
use super::expected::Expected;
use super::state::{Mapped, Model};
use crate::cast::UnsignedCast;
use crate::op::RemapFlags;
use crate::page_size;

impl Model {
    pub(super) fn mremap(
        &mut self,
        p: usize,
        at: u64,
        (old, new): (u64, u64),
        flags: RemapFlags,
        to: u64,
    ) -> Option<Expected> {
        let is_fixed = flags.has(libc::MREMAP_FIXED);
        let may_move = flags.has(libc::MREMAP_MAYMOVE);
        let stay = flags.has(libc::MREMAP_DONTUNMAP);
        let (old, new) = (
            old.next_multiple_of(page_size()),
            new.next_multiple_of(page_size()),
        );
        if flags.0 > 7 || at % page_size() != 0 || new == 0 {
            return Expected::error(EINVAL);
        }
        if is_fixed || stay {
            let overlaps = at + old > to && to + new > at;
            if to % page_size() != 0 || !may_move || stay && old != new || overlaps {
                return Expected::error(EINVAL);
            }
        }
        if stay && !is_fixed {
            return None;
        }
        let (start, target) = (at / page_size(), to / page_size());
        let (nr_old, nr_new) = (old / page_size(), new / page_size());
        let Some(first) = self.process(p).pages.get(&start).cloned() else {
            return Expected::error(EFAULT);
        };
        if nr_old == nr_new {
            if !is_fixed {
                return Expected::of(at.to_signed());
            }
            self.relocate(p, start, start + nr_old, target, stay);
            return Expected::of(to.to_signed());
        }
        if nr_new < nr_old && !is_fixed {
            self.unmap(p, start + nr_new, start + nr_old);
            return Expected::of(at.to_signed());
        }
        if nr_old == 0 && !first.is_shared {
            return Expected::error(EINVAL);
        }
        match self.run(p, start, start + nr_old.min(nr_new)) {
            Run::Hole => return Expected::error(EFAULT),
            Run::ManyAreas => return None,
            Run::OneArea => {}
        }
        if nr_new < nr_old {
            self.unmap(p, target, target + nr_new);
            self.unmap(p, start + nr_new, start + nr_old);
            self.relocate(p, start, start + nr_new, target, false);
            return Expected::of(to.to_signed());
        }
        let place = if is_fixed {
            self.unmap(p, target, target + nr_new);
            if !self.process(p).pages.contains_key(&start) {
                return Expected::error(EFAULT);
            }
            self.relocate(p, start, start + nr_old, target, false);
            target
        } else {
            let mut gap = self.process(p).pages.range(start + nr_old..start + nr_new);
            if nr_old == 0 || gap.next().is_some() {
                // The kernel chooses the new address.
                return if may_move {
                    None
                } else {
                    Expected::error(ENOMEM)
                };
            }
            start
        };
        let area = self.new_area();
        let before = match nr_old.checked_sub(1) {
            Some(last) => self.process(p).pages.get(&(place + last))?.clone(),
            None => Mapped {
                pgoff: first.pgoff.wrapping_sub(1),
                area,
                ..first
            },
        };
        if nr_old == 0 {
            // `before` may be the page before page 0, so this wraps around.
            for (index, vpage) in (place..place + nr_new).enumerate() {
                let page = Mapped {
                    pgoff: before.pgoff.wrapping_add(1 + index as u64),
                    copy: None,
                    ..before.clone()
                };
                self.process(p).pages.insert(vpage, page);
            }
            if before.is_locked {
                self.populate(p, place, place + nr_new);
            }
        } else {
            self.extend(p, &before, place + nr_old, place + nr_new);
        }
        Expected::of((place * page_size()).to_signed())
    }

    /// Moves the pages at `start` to `to`. With `stay`, the old range keeps pages without private
    /// copies.
    fn relocate(&mut self, p: usize, start: u64, end: u64, to: u64, stay: bool) {
        self.split(p, start, end);
        let mut moved = Vec::new();
        for vpage in start..end {
            let Some(page) = self.process(p).pages.remove(&vpage) else {
                continue;
            };
            if stay {
                let stays = Mapped {
                    copy: None,
                    is_locked: false,
                    ..page.clone()
                };
                self.process(p).pages.insert(vpage, stays);
            }
            moved.push((to + (vpage - start), page));
        }
        // A hole in the source leaves the target as it was.
        for run in moved.chunk_by(|(target, _), (next, _)| target + 1 == *next) {
            if let [(first, _), ..] = run {
                self.unmap(p, *first, first + run.len() as u64);
            }
        }
        let mut areas = BTreeMap::new();
        for (target, mut page) in moved {
            let new = self.new_area();
            page.area = *areas.entry(page.area).or_insert(new);
            self.process(p).pages.insert(target, page);
        }
    }

    /// Maps the pages from `start` to `end` as a continuation of `before`.
    fn extend(&mut self, p: usize, before: &Mapped, start: u64, end: u64) {
        for vpage in start..end {
            let page = Mapped {
                pgoff: before.pgoff + 1 + (vpage - start),
                copy: None,
                ..before.clone()
            };
            self.process(p).pages.insert(vpage, page);
        }
        if before.is_locked {
            self.populate(p, start, end);
        }
    }
}
