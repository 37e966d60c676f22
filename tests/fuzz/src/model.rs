// SPDX-License-Identifier: MIT OR GPL-2.0

//! What a pool has to do: bytes, errors and signals of every call, predicted.
//!
//! It is told page by page, without folios, page tables or VMAs. Where memfd answers otherwise, a
//! look at the kind of object says so, and nowhere else.
//!
//! A few outcomes depend on what the model does not know, such as which VMAs the kernel has merged.
//! Such operations are left out: [`Model::predict`] has no answer and changes nothing.

mod access;
mod advice;
mod allocation;
mod area;
mod descriptor;
mod expected;
mod fork;
mod inspection;
mod kind;
mod mapping;
mod object;
mod remap;
mod size;
mod state;

use std::rc::Rc;

use libc::{EBADF, EBUSY, EFAULT, EINVAL, ENODEV, ENOSPC, ENXIO, EPERM};
use mmap_pool::uapi;

use crate::cast::{SignCast, UnsignedCast};
use crate::op::{Call, Op};
use crate::sys::Answer;
use crate::{digest, pattern, PAGE};
use object::{size, ObjectKind};

pub use expected::Expected;
pub use kind::Kind;
pub use state::Model;

/// What is written.
enum Source {
    Bytes(Vec<u8>),
    /// Memory of the process, from this place on.
    Memory(u64),
}

impl Model {
    /// Predicts what comes of `op`, and makes it so. Without an answer nothing has happened.
    pub fn predict(&mut self, op: &Op) -> Option<Expected> {
        let p = usize::from(op.process);
        self.processes.get(p)?.as_ref()?;
        match op.call {
            Call::Create { slot, size } => self.create(p, slot, size),
            Call::Open { slot, via, flags } => self.open(p, slot, via, flags),
            Call::Close { slot } => self.close(p, slot),
            Call::Dup { slot, to } => self.dup(p, slot, to),
            Call::Pass { slot, receiver, to } => self.pass(p, slot, receiver, to),
            Call::Mmap {
                slot,
                at,
                len,
                off,
                prot,
                flags,
            } => self.mmap(p, slot, (at, len), off, prot, flags),
            Call::Munmap { at, len } => self.munmap(p, at, len),
            Call::Mprotect { at, len, prot } => self.mprotect(p, at, len, prot),
            Call::Mremap {
                at,
                old,
                new,
                flags,
                to,
            } => self.mremap(p, at, (old, new), flags, to),
            Call::Madvise { at, len, advice } => self.madvise(p, at, len, advice),
            Call::Msync { at, len, flags } => Expected::of(self.msync(p, at, len, flags)),
            Call::Mlock { at, len } => Expected::of(self.mlock(p, at, len, true)),
            Call::Munlock { at, len } => Expected::of(self.mlock(p, at, len, false)),
            Call::Mincore { at, len } => self.mincore(p, at, len),
            Call::Load { at, len } => {
                let (bytes, fault) = self.load(p, at, len);
                Expected::accessed(bytes.len(), digest(&bytes), fault)
            }
            Call::Store { at, len, seed } => {
                let (done, fault) = self.store(p, at, &pattern(seed, size(len)));
                Expected::accessed(done, 0, fault)
            }
            Call::Read { slot, len } => self.read(p, slot, None, len, None),
            Call::Pread { slot, off, len } => self.read(p, slot, Some(off), len, None),
            Call::PreadTo { slot, off, len, at } => self.read(p, slot, Some(off), len, Some(at)),
            Call::Write { slot, len, seed } => {
                self.write(p, slot, None, len, &Source::Bytes(pattern(seed, size(len))))
            }
            Call::Pwrite {
                slot,
                off,
                len,
                seed,
            } => {
                let bytes = pattern(seed, size(len));
                self.write(p, slot, Some(off), len, &Source::Bytes(bytes))
            }
            Call::PwriteFrom { slot, off, len, at } => {
                self.write(p, slot, Some(off), len, &Source::Memory(at))
            }
            Call::Seek { slot, off, whence } => self.seek(p, slot, off, whence.0),
            Call::Resize { slot, size } => self.resize(p, slot, size),
            Call::Truncate { slot, size } => self.ftruncate(p, slot, size),
            Call::Punch { slot, off, len } => self.punch(p, slot, off, len),
            Call::Fallocate {
                slot,
                mode,
                off,
                len,
            } => self.fallocate(p, slot, mode, off, len),
            Call::Prefault { slot, off, len } => self.prefault(p, slot, off, len),
            Call::Seal { slot, seals } => self.seal(p, slot, seals.0),
            Call::Revoke { slot } => self.revoke(p, slot),
            Call::Info { slot } => self.info(p, slot),
            Call::Sendfile { slot, off, len, to } => self.sendfile(p, slot, off, len, to),
            Call::CopyRange {
                slot,
                off,
                len,
                to,
                to_off,
            } => self.copy_range(p, slot, off, len, to, to_off),
            Call::Fsync { slot } => self.fsync(p, slot),
            Call::Fork { child } => self.fork(p, child),
            Call::Exit {} | Call::Kill {} => self.exit(p),
        }
    }

    // Files.

    /// Whether the bytes of memory at `at` are, or may become, the very bytes at `off` of `object`,
    /// shifted: a copy between them goes in an order that is nobody's business.
    fn is_tangled(&self, p: usize, at: u64, object: usize, off: u64, len: u64) -> bool {
        let Some(process) = &self.processes[p] else {
            return false;
        };
        if len == 0 {
            return false;
        }
        let touched = off / PAGE..=(off + len) / PAGE;
        process
            .pages
            .range(at / PAGE..=(at + len) / PAGE)
            .any(|(&vpage, page)| {
                page.object == object
                    && page.copy.is_none()
                    && touched.contains(&page.pgoff)
                    && (page.pgoff * PAGE).wrapping_sub(vpage * PAGE) != off.wrapping_sub(at)
            })
    }

    fn read(
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
            if self.is_tangled(p, at, o, pos, len) {
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
            let wanted = (len - done).min(PAGE - now % PAGE);
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

    fn write(
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

    fn write_object(&mut self, p: usize, o: usize, pos: u64, len: u64, source: &Source) -> Answer {
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
        // What a write past the end answers if it cannot make the object larger.
        let no_room = if object.kind == ObjectKind::Node {
            Some(ENOSPC)
        } else if object.is_sealed(uapi::SEAL_GROW) {
            Some(EPERM)
        } else {
            None
        };
        let mut done = 0;
        let error = loop {
            let now = pos + done;
            let mut wanted = (len - done).min(PAGE - now % PAGE);
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
        object.allocate(pos / PAGE);
        if !object.is_pool() {
            // Before it looks at what is to be written, and even if there is nothing.
            object.size = object.size.max(pos);
        }
        let bytes = match source {
            Source::Bytes(bytes) => bytes[size(done)..size(done + len)].to_vec(),
            Source::Memory(at) => self.load(p, at + done, len).0,
        };
        let object = &mut self.objects[o];
        let copied = bytes.len() as u64;
        let from = size(pos % PAGE);
        let page = &mut object.allocate(pos / PAGE).bytes;
        Rc::make_mut(page)[from..from + bytes.len()].copy_from_slice(&bytes);
        if copied > 0 {
            object.size = object.size.max(pos + copied);
        }
        if copied < len && object.is_pool() {
            self.set_len(o, self.objects[o].size);
        }
        copied
    }

    fn seek(&mut self, p: usize, slot: u8, off: i64, whence: i32) -> Option<Expected> {
        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let object = &self.objects[self.descriptions[d].object];
        let pos = self.descriptions[d].pos.to_signed();
        let found = match whence {
            libc::SEEK_SET => off,
            libc::SEEK_CUR => pos + off,
            libc::SEEK_END => object.size.to_signed() + off,
            libc::SEEK_DATA | libc::SEEK_HOLE if !self.kind.has_exact_pages() => return None,
            libc::SEEK_DATA | libc::SEEK_HOLE => {
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

    fn seal(&mut self, p: usize, slot: u8, seals: u32) -> Option<Expected> {
        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let o = self.descriptions[d].object;
        let object = &self.objects[o];
        let all = uapi::SEAL_SEAL | uapi::SEAL_SHRINK | uapi::SEAL_GROW | uapi::SEAL_WRITE;
        if !self.descriptions[d].is_writable {
            return Expected::error(if object.is_pool() { EBADF } else { EPERM });
        }
        if object.is_revoked {
            return Expected::error(ENODEV);
        }
        if seals & !all != 0 {
            return Expected::error(EINVAL);
        }
        if object.is_sealed(uapi::SEAL_SEAL) {
            return Expected::error(EPERM);
        }
        let mut pages = self
            .processes
            .iter()
            .flatten()
            .flat_map(|process| process.pages.values());
        if seals & uapi::SEAL_WRITE != 0
            && pages.any(|page| page.object == o && page.is_shared && page.may_write)
        {
            return Expected::error(EBUSY);
        }
        self.objects[o].seals |= seals;
        Expected::of(0)
    }

    fn revoke(&mut self, p: usize, slot: u8) -> Option<Expected> {
        if self.kind == Kind::Memfd {
            return None;
        }
        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let o = self.descriptions[d].object;
        if self.objects[o].is_revoked {
            return Expected::error(ENODEV);
        }
        if self.objects[o].is_eager() {
            return Expected::error(EPERM);
        }
        self.objects[o].is_revoked = true;
        self.set_len(o, 0);
        Expected::of(0)
    }

    fn sendfile(&mut self, p: usize, slot: u8, off: i64, len: u64, to: u8) -> Option<Expected> {
        let (from, to) = (self.slot(p, slot)?, self.slot(p, to)?);
        let from = from.filter(|&d| self.descriptions[d].is_readable);
        let to = to.filter(|&d| self.descriptions[d].is_writable);
        let Some(from) = from else {
            return Expected::error(EBADF);
        };
        if off < 0 {
            return Expected::error(EINVAL);
        }
        let Some(to) = to else {
            return Expected::error(EBADF);
        };
        let (source, target) = (self.descriptions[from].object, self.descriptions[to].object);
        if source == target {
            // It would read what it has just written.
            return None;
        }
        if self.descriptions[to].is_append {
            return Expected::error(EINVAL);
        }
        if len == 0 {
            return Expected::of(0);
        }
        if self.objects[source].is_revoked {
            return Expected::error(ENODEV);
        }
        let bytes = self.objects[source].read(off.to_bits(), len);
        let pos = self.descriptions[to].pos;
        let len = bytes.len() as u64;
        if self.objects[target].is_cut_by_folios(pos, len) {
            return None;
        }
        let result = self.write_object(p, target, pos, len, &Source::Bytes(bytes));
        self.descriptions[to].pos += result.max(0).to_bits();
        Expected::of(result)
    }

    fn copy_range(
        &mut self,
        p: usize,
        slot: u8,
        off: u64,
        len: u64,
        to: u8,
        to_off: u64,
    ) -> Option<Expected> {
        let (Some(from), Some(to)) = (self.slot(p, slot)?, self.slot(p, to)?) else {
            return Expected::error(EBADF);
        };
        let (from, to) = (&self.descriptions[from], &self.descriptions[to]);
        let o = from.object;
        if o != to.object {
            return None;
        }
        let object = &self.objects[o];
        if object.kind == ObjectKind::Node {
            return Expected::error(EINVAL);
        }
        if !from.is_readable || !to.is_writable || to.is_append {
            return Expected::error(EBADF);
        }
        let len = len.min(object.size.saturating_sub(off));
        if to_off + len > off && to_off < off + len {
            return Expected::error(EINVAL);
        }
        if len == 0 {
            return Expected::of(0);
        }
        if object.is_revoked {
            return Expected::error(ENODEV);
        }
        if object.is_cut_by_folios(to_off, len) {
            return None;
        }
        let bytes = object.read(off, len);
        Expected::of(self.write_object(p, o, to_off, len, &Source::Bytes(bytes)))
    }
}
