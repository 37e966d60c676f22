// SPDX-License-Identifier: MIT OR GPL-2.0

//! The inspection: the reads at the end of a sequence.

use super::state::{Mapped, Model, Process};
use crate::op::{Call, Op};
use crate::{page_size, LONGEST};

impl Model {
    /// The reads at the end of a sequence: every mapped page and every readable byte of every process.
    #[must_use]
    pub fn inspection(&self) -> Vec<Op> {
        /// Processes with more pages than this are read in larger pieces.
        const MANY: usize = 128;
        /// Objects larger than this are read through one descriptor only.
        const LARGE: u64 = 1 << 20;

        let mut ops = Vec::new();
        let mut were_read = Vec::new();
        for (number, process) in (0_u8..).zip(&self.processes) {
            let Some(process) = process else { continue };
            let mut look = |call| {
                ops.push(Op {
                    process: number,
                    call,
                });
            };
            let piece = if process.pages.len() > MANY { 64 } else { 1 };
            for (vpage, nr_pages) in self.pieces(process, piece) {
                let (at, len) = (vpage * page_size(), nr_pages * page_size());
                look(Call::Mincore { at, len });
                look(Call::Load { at, len });
            }
            for (slot, description) in (0_u8..).zip(&process.slots) {
                let Some(description) = description else {
                    continue;
                };
                let description = &self.descriptions[*description];
                let len = (self.objects[description.object].size + 1).min(LONGEST);
                if len <= LARGE || !were_read.contains(&description.object) {
                    look(Call::Pread { slot, off: 0, len });
                    if description.is_readable {
                        were_read.push(description.object);
                    }
                }
                look(Call::Info { slot });
                look(Call::Unwritten { slot });
            }
        }
        self.inspect_stored(&mut ops);
        ops
    }

    /// Compares the object behind each pool: first the bytes that are certain, then all of them after
    /// `fsync`.
    fn inspect_stored(&self, ops: &mut Vec<Op>) {
        /// Pages of a piece.
        const MANY: u64 = 64;

        for (number, object) in (0_u8..).zip(&self.objects) {
            let Some(stored) = &object.stored else {
                continue;
            };
            let Some((process, slot)) = self.descriptor_of(usize::from(number)) else {
                continue;
            };
            let mut look = |call| ops.push(Op { process, call });
            let read = |(off, len)| Call::Stored {
                object: number,
                off,
                len,
            };
            for range in stored.certain_ranges(MANY) {
                look(read(range));
            }
            let len = stored.len();
            look(Call::Dirty { slot, off: 0, len });
            look(Call::Fsync { slot });
            look(read((0, len.next_multiple_of(page_size()))));
            look(Call::Unwritten { slot });
        }
    }

    /// The first process and slot with a descriptor of an object.
    fn descriptor_of(&self, o: usize) -> Option<(u8, u8)> {
        (0_u8..).zip(&self.processes).find_map(|(number, process)| {
            let mut slots = (0_u8..).zip(&process.as_ref()?.slots);
            let (slot, _) =
                slots.find(|(_, d)| d.is_some_and(|d| self.descriptions[d].object == o))?;
            Some((number, slot))
        })
    }

    /// The mapped pages, in pieces of up to `max` pages. An access to a piece succeeds or fails as
    /// a whole.
    fn pieces(&self, process: &Process, max: u64) -> Vec<(u64, u64)> {
        let is_past_end = |page: &Mapped| {
            page.copy.is_none() && page.pgoff >= self.objects[page.object].nr_pages()
        };
        let mut pieces: Vec<(u64, u64)> = Vec::new();
        let mut last = None;
        for (&vpage, page) in &process.pages {
            let what = (page.prot, is_past_end(page));
            match pieces.last_mut() {
                Some((start, len))
                    if *start + *len == vpage && *len < max && last == Some(what) =>
                {
                    *len += 1;
                }
                _ => pieces.push((vpage, 1)),
            }
            last = Some(what);
        }
        pieces
    }
}
