// SPDX-License-Identifier: MIT OR GPL-2.0

//! Files: reads, writes and seeks.

use std::rc::Rc;

use libc::{EBADF, EFAULT, EINVAL, ENODEV, ENOSPC, ENXIO, EPERM};
use mmap_pool::uapi;

use super::expected::Expected;
use super::object::{size, ObjectKind};
use super::state::Model;
use crate::cast::{SignCast, UnsignedCast};
use crate::page_size;
use crate::sys::Answer;

/// The source of a write.
pub(super) enum Source {
    Bytes(Vec<u8>),
    /// Memory of the process, from this address on.
    Memory(u64),
}

impl Model {
    pub(super) fn read(
        &mut self,
        p: usize,
        slot: u8,
        off: Option<i64>,
        len: u64,
        to: Option<u64>,
    ) -> Option<Expected> {
        let slot = self.slot(p, slot)?;
        if off.is_some_and(|off| off < 0) {
            return Expected::error(EINVAL);
        }
        let Some(description) = slot.filter(|&d| self.descriptions[d].is_readable) else {
            return Expected::error(EBADF);
        };
        let pos = off.map_or(self.descriptions[description].pos, SignCast::to_bits);
        let o = self.descriptions[description].object;
        if self.objects[o].is_revoked {
            return Expected::error(ENODEV);
        }
        let expected = if let Some(at) = to {
            if self.is_tangled(p, at, o, pos, len) || self.stores_past_end(p, at, len) {
                return None;
            }
            Expected::of(self.read_to_memory(p, o, pos, len, at))
        } else {
            let bytes = self.objects[o].read(pos, len);
            Expected::bytes(bytes.len() as i64, &bytes)
        };
        if off.is_none() {
            let done = expected.map_or(0, |expected| expected.seen.result.max(0));
            self.descriptions[description].pos += done.to_bits();
        }
        expected
    }

    fn read_to_memory(&mut self, p: usize, o: usize, pos: u64, len: u64, at: u64) -> Answer {
        let mut done = 0;
        loop {
            let now = pos + done;
            let wanted = (len - done).min(page_size() - now % page_size());
            let bytes = self.objects[o].read(now, wanted);
            let (copied, fault) = self.store(p, at + done, &bytes);
            done += copied as u64;
            if fault.is_some() {
                return if done > 0 {
                    done.to_signed()
                } else {
                    -i64::from(EFAULT)
                };
            }
            if bytes.is_empty() {
                return done.to_signed();
            }
        }
    }

    pub(super) fn write(
        &mut self,
        p: usize,
        slot: u8,
        off: Option<i64>,
        len: u64,
        source: &Source,
    ) -> Option<Expected> {
        let slot = self.slot(p, slot)?;
        if off.is_some_and(|off| off < 0) {
            return Expected::error(EINVAL);
        }
        let Some(d) = slot.filter(|&d| self.descriptions[d].is_writable) else {
            return Expected::error(EBADF);
        };
        let o = self.descriptions[d].object;
        let mut pos = off.map_or(self.descriptions[d].pos, SignCast::to_bits);
        if self.descriptions[d].is_append {
            pos = self.objects[o].size;
        }
        if let Source::Memory(at) = source {
            if self.is_tangled(p, *at, o, pos, len) {
                return None;
            }
        }
        if self.objects[o].is_cut_by_folios(pos, len) {
            return None;
        }
        let result = self.write_object(p, o, pos, len, source);
        if off.is_none() && result > 0 {
            self.descriptions[d].pos = pos + result.to_bits();
        }
        Expected::of(result)
    }

    pub(super) fn write_object(
        &mut self,
        p: usize,
        o: usize,
        pos: u64,
        len: u64,
        source: &Source,
    ) -> Answer {
        if len == 0 {
            return 0;
        }
        let object = &self.objects[o];
        if object.is_revoked {
            return -i64::from(ENODEV);
        }
        if object.is_sealed(uapi::SEAL_WRITE) {
            return -i64::from(EPERM);
        }
        // The error of a write past the end, if it cannot make the object larger.
        let no_room = if matches!(object.kind, ObjectKind::Node | ObjectKind::Backed) {
            Some(ENOSPC)
        } else if object.is_sealed(uapi::SEAL_GROW) {
            Some(EPERM)
        } else {
            None
        };
        let mut done = 0;
        let error = loop {
            let now = pos + done;
            let mut wanted = (len - done).min(page_size() - now % page_size());
            if wanted == 0 {
                break 0;
            }
            if let Some(errno) = no_room {
                wanted = wanted.min(self.objects[o].size.saturating_sub(now));
                if wanted == 0 {
                    break errno;
                }
            }
            let copied = self.write_chunk(p, o, now, wanted, source, done);
            done += copied;
            if copied == 0 {
                break EFAULT;
            }
        };
        if done > 0 {
            done.to_signed()
        } else {
            -i64::from(error)
        }
    }

    fn write_chunk(
        &mut self,
        p: usize,
        o: usize,
        pos: u64,
        len: u64,
        source: &Source,
        done: u64,
    ) -> u64 {
        let object = &mut self.objects[o];
        object.allocate(pos / page_size());
        if !object.is_pool() {
            // A memfd grows before it reads the source, even if it can then read no byte.
            object.size = object.size.max(pos);
        }
        let bytes = match source {
            Source::Bytes(bytes) => bytes[size(done)..size(done + len)].to_vec(),
            Source::Memory(at) => self.load(p, at + done, len).0,
        };
        let object = &mut self.objects[o];
        let copied = bytes.len() as u64;
        let from = size(pos % page_size());
        let page = &mut object.allocate(pos / page_size()).bytes;
        Rc::make_mut(page)[from..from + bytes.len()].copy_from_slice(&bytes);
        if copied > 0 {
            object.size = object.size.max(pos + copied);
            object.dirty(pos / page_size());
        }
        if copied < len && object.is_pool() && object.stored.is_none() {
            self.set_len(o, self.objects[o].size);
        }
        copied
    }

    /// Whether memory at `at` maps the bytes at `off` of `object`, shifted. The result of a copy
    /// between them depends on the order in which the kernel copies.
    fn is_tangled(&self, p: usize, at: u64, object: usize, off: u64, len: u64) -> bool {
        let Some(process) = &self.processes[p] else {
            return false;
        };
        if len == 0 {
            return false;
        }
        let touched = off / page_size()..=(off + len) / page_size();
        process
            .pages
            .range(at / page_size()..=(at + len) / page_size())
            .any(|(&vpage, page)| {
                page.object == object
                    && page.copy.is_none()
                    && touched.contains(&page.pgoff)
                    && (page.pgoff * page_size()).wrapping_sub(vpage * page_size())
                        != off.wrapping_sub(at)
            })
    }

    /// Whether the model knows where an open file has data.
    fn knows_data(&self, d: usize) -> bool {
        match &self.objects[self.descriptions[d].object].stored {
            Some(stored) => stored.knows_holes(),
            None => self.kind.has_exact_pages(),
        }
    }

    pub(super) fn seek(&mut self, p: usize, slot: u8, off: i64, whence: i32) -> Option<Expected> {
        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let object = &self.objects[self.descriptions[d].object];
        let pos = self.descriptions[d].pos.to_signed();
        let found = match whence {
            libc::SEEK_SET => off,
            libc::SEEK_CUR => pos + off,
            libc::SEEK_END => object.size.to_signed() + off,
            libc::SEEK_DATA | libc::SEEK_HOLE if !self.knows_data(d) => return None,
            libc::SEEK_DATA | libc::SEEK_HOLE => {
                if object.is_revoked && object.stored.is_some() {
                    return Expected::error(ENODEV);
                }
                // A backed pool writes back before it asks the object.
                let o = self.descriptions[d].object;
                self.objects[o].settle_all();
                let object = &self.objects[o];
                let found = u64::try_from(off)
                    .ok()
                    .and_then(|off| object.seek(off, whence == libc::SEEK_HOLE));
                match found {
                    Some(found) => found.to_signed(),
                    None => return Expected::error(ENXIO),
                }
            }
            _ => return Expected::error(EINVAL),
        };
        if found < 0 {
            return Expected::error(EINVAL);
        }
        self.descriptions[d].pos = found.to_bits();
        Expected::of(found)
    }
}
