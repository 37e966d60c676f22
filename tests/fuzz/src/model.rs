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
mod copy;
mod descriptor;
mod expected;
mod file;
mod fork;
mod inspection;
mod kind;
mod mapping;
mod object;
mod remap;
mod seal;
mod size;
mod state;

use crate::op::{Call, Op};
use crate::{digest, pattern};
use file::Source;
use object::size;

pub use expected::Expected;
pub use kind::Kind;
pub use state::Model;

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
}
