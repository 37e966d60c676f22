// SPDX-License-Identifier: MIT OR GPL-2.0

//! Areas: runs of mapped pages that are certainly in one VMA.

use super::state::Model;

/// The areas of a range of pages.
#[derive(PartialEq, Eq)]
pub(super) enum Run {
    Hole,
    OneArea,
    ManyAreas,
}

impl Model {
    pub(super) fn new_area(&mut self) -> u32 {
        self.nr_areas += 1;
        self.nr_areas
    }

    /// Starts new areas at pages `start` and `end`, as the kernel splits VMAs there.
    pub(super) fn split(&mut self, p: usize, start: u64, end: u64) {
        for border in [start, end] {
            let area = self.new_area();
            let pages = &mut self.process(p).pages;
            let Some(before) = border.checked_sub(1).and_then(|vpage| pages.get(&vpage)) else {
                continue;
            };
            let old = before.area;
            for (_, page) in pages.range_mut(border..) {
                if page.area != old {
                    break;
                }
                page.area = area;
            }
        }
    }

    pub(super) fn unmap(&mut self, p: usize, start: u64, end: u64) {
        self.split(p, start, end);
        let pages = &mut self.process(p).pages;
        while let Some((&vpage, _)) = pages.range(start..end).next() {
            pages.remove(&vpage);
        }
    }

    pub(super) fn run(&self, p: usize, start: u64, end: u64) -> Run {
        let pages = self.processes[p].as_ref().map(|process| &process.pages);
        let areas: Option<Vec<_>> = (start..end)
            .map(|vpage| Some(pages?.get(&vpage)?.area))
            .collect();
        match areas {
            None => Run::Hole,
            Some(areas) if areas.iter().all(|area| Some(area) == areas.first()) => Run::OneArea,
            Some(_) => Run::ManyAreas,
        }
    }

    /// Whether no page of the range is mapped.
    pub(super) fn is_free(&mut self, p: usize, start: u64, end: u64) -> bool {
        self.process(p).pages.range(start..end).next().is_none()
    }

    /// Whether a new mapping continues an adjacent one. The kernel may then extend the old VMA without
    /// calling the driver.
    pub(super) fn may_merge(
        &self,
        p: usize,
        start: u64,
        end: u64,
        object: usize,
        pgoff: u64,
    ) -> bool {
        let is_continued = |vpage: Option<u64>, pgoff: Option<u64>| {
            let pages = self.processes[p].as_ref().map(|process| &process.pages);
            let page = vpage.and_then(|vpage| pages?.get(&vpage));
            page.is_some_and(|page| page.object == object && Some(page.pgoff) == pgoff)
        };
        is_continued(start.checked_sub(1), pgoff.checked_sub(1))
            || is_continued(Some(end), Some(pgoff + (end - start)))
    }
}
