// SPDX-License-Identifier: MIT OR GPL-2.0

//! The model: it predicts the bytes, errors and signals of every call.
//!
//! The model knows pages. It has no folios, page tables or VMAs. Where a memfd answers differently, the
//! model looks at the kind of object.
//!
//! The model does not know everything, for example which VMAs the kernel has merged. It cannot
//! predict a call that depends on that: [`Model::predict`] then returns `None` and changes nothing.
//!
//! Each file has one noun, and uses only files before it in this table:
//!
//! | files | what |
//! |---|---|
//! | `kind`, `expected` | kinds of objects, predicted answers |
//! | `stored`, `object` | the object behind a backed pool; a pool or memfd: its pages, its size, its seals |
//! | `state` | all processes, open files and objects |
//! | `area`, `access`, `size` | borders of VMAs; page faults and private copies; changes of size |
//! | `descriptor`, `fork` | calls on descriptors and processes |
//! | `mapping`, `remap`, `advice` | calls on mappings |
//! | `file`, `copy`, `allocation`, `seal` | calls on files |
//! | `durable` | calls that make bytes durable, and reads of the object behind a pool |
//! | `inspection` | the reads at the end of a sequence |

mod access;
mod advice;
mod allocation;
mod area;
mod copy;
mod descriptor;
mod durable;
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
mod stored;

use crate::op::{Call, Op};
use crate::{digest, pattern};
use file::Source;
use object::size;

pub use expected::Expected;
pub use kind::{Behind, Home, Kind, Tracking};
pub use state::Model;

impl Model {
    /// Predicts the answer of `op`, and changes the model accordingly. Returns `None` and changes
    /// nothing if the model does not know the answer.
    #[expect(clippy::too_many_lines, reason = "a list of all calls")]
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
            Call::Msync { at, len, flags } => self.msync(p, at, len, flags),
            Call::Mlock { at, len } => Expected::of(self.mlock(p, at, len, true)),
            Call::Munlock { at, len } => Expected::of(self.mlock(p, at, len, false)),
            Call::Mincore { at, len } => self.mincore(p, at, len),
            Call::Load { at, len } => {
                let (bytes, fault) = self.load(p, at, len);
                Expected::accessed(bytes.len(), digest(&bytes), fault)
            }
            Call::Store { at, len, .. } if self.stores_past_end(p, at, len) => None,
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
            Call::Fsync { slot } | Call::Fdatasync { slot } => self.fsync(p, slot),
            Call::SyncRange {
                slot,
                off,
                len,
                flags,
            } => self.sync_range(p, slot, off, len, flags),
            Call::WriteDurably {
                slot,
                off,
                len,
                seed,
            } => self.write_durably(p, slot, off, len, seed),
            Call::SyncFailing {
                slot,
                object,
                off,
                len,
                seed,
            } => self.sync_failing(p, slot, object, off, len, seed),
            Call::Fadvise {
                slot, len, advice, ..
            } => self.fadvise(p, slot, len, advice),
            Call::Dirty { slot, off, len } => self.written(p, slot, off, len),
            Call::Unwritten { slot } => self.unwritten(p, slot),
            Call::Stored { object, off, len } => self.stored(object, off, len),
            Call::DropCaches {} => self.drop_caches(),
            Call::Again { slot, object } => self.again(p, slot, object),
            Call::Fork { child } => self.fork(p, child),
            Call::Exit {} | Call::Kill {} => self.exit(p),
        }
    }
}
