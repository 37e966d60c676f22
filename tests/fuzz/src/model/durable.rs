// SPDX-License-Identifier: MIT OR GPL-2.0

//! Calls that make bytes durable, and what is known of the object behind a backed pool after them.

use libc::{EBADF, EBUSY, EINVAL, EIO, ENODEV, ENOMEM, ENOTTY, ESPIPE};

use super::expected::Expected;
use super::file::Source;
use super::kind::{Behind, Home, Kind};
use super::object::{pages_of, Object, ObjectKind};
use super::state::Model;
use crate::cast::{SignCast, UnsignedCast};
use crate::op::{FileAdvice, OpenFlags, RangeFlags, SyncFlags};
use crate::{digest, page_size, pattern};

impl Model {
    /// `fsync`, `fdatasync`.
    pub(super) fn fsync(&mut self, p: usize, slot: u8) -> Option<Expected> {
        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let o = self.descriptions[d].object;
        self.objects[o].settle_all();
        let result = self.take_error(d);
        Expected::durable(result, result == 0 && self.objects[o].stored.is_some())
    }

    pub(super) fn msync(
        &mut self,
        p: usize,
        at: u64,
        len: u64,
        flags: SyncFlags,
    ) -> Option<Expected> {
        let is_both = flags.has(libc::MS_ASYNC) && flags.has(libc::MS_SYNC);
        if flags.0 > 7 || at % page_size() != 0 || is_both {
            return Expected::error(EINVAL);
        }
        let (mut result, mut is_flushed) = (0, false);
        for vpage in at / page_size()..(at + len).div_ceil(page_size()) {
            let Some(page) = self.process(p).pages.get(&vpage).cloned() else {
                if flags.0.to_signed() == libc::MS_ASYNC {
                    return Expected::error(ENOMEM);
                }
                result = ENOMEM;
                continue;
            };
            if page.is_locked && flags.has(libc::MS_INVALIDATE) {
                return Expected::durable(-i64::from(EBUSY), false);
            }
            // For the kernel, a mapping of a file that is not open for writing is not shared.
            if page.is_shared && page.may_write && flags.has(libc::MS_SYNC) {
                // Later mappings are not written back.
                let error = self.take_error(page.description);
                if error != 0 {
                    return Expected::durable(error, false);
                }
                let object = &mut self.objects[page.object];
                object.settle(pages_of(page.pgoff * page_size(), page_size()));
                is_flushed |= object.stored.is_some();
            }
        }
        Expected::durable(-i64::from(result), is_flushed && result == 0)
    }

    pub(super) fn sync_range(
        &mut self,
        p: usize,
        slot: u8,
        off: i64,
        len: i64,
        flags: RangeFlags,
    ) -> Option<Expected> {
        const ALL: i32 = 7;
        const WAIT: u32 = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WAIT_AFTER;

        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let (Ok(off), Ok(len)) = (u64::try_from(off), u64::try_from(len)) else {
            return Expected::error(EINVAL);
        };
        if flags.0 > ALL.to_bits() {
            return Expected::error(EINVAL);
        }
        let o = self.descriptions[d].object;
        if self.objects[o].kind == ObjectKind::Node {
            return Expected::error(ESPIPE);
        }
        if flags.0 & WAIT != 0 {
            let error = self.take_error(d);
            if error != 0 {
                return Expected::of(error);
            }
        }
        // With fewer flags the kernel may leave a page that it is writing already.
        if flags.has(ALL) {
            let len = if len == 0 { u64::MAX } else { len };
            self.objects[o].settle(pages_of(off, len));
        }
        Expected::of(0)
    }

    /// `pwritev2` with `RWF_DSYNC`.
    pub(super) fn write_durably(
        &mut self,
        p: usize,
        slot: u8,
        off: i64,
        len: u64,
        seed: u8,
    ) -> Option<Expected> {
        if off < 0 {
            // The call would use the position of the file.
            return None;
        }
        let bytes = Source::Bytes(pattern(seed, usize::try_from(len).ok()?));
        let expected = self.write(p, slot, Some(off), len, &bytes)?;
        let result = expected.seen.result;
        let Some(d) = self.slot(p, slot)?.filter(|_| result > 0) else {
            return Expected::durable(result, false);
        };
        let object = &mut self.objects[self.descriptions[d].object];
        // A backed pool refuses to append.
        object.settle(pages_of(off.to_bits(), result.to_bits()));
        let is_flushed = object.stored.is_some();
        match self.take_error(d) {
            0 => Expected::durable(result, is_flushed),
            error => Expected::durable(error, false),
        }
    }

    /// Writes pages while the object behind the pool fails there, and again when it works.
    pub(super) fn sync_failing(
        &mut self,
        p: usize,
        slot: u8,
        number: u8,
        off: u64,
        len: u64,
        seed: u8,
    ) -> Option<Expected> {
        let behind = self.kind.behind()?;
        let d = self.slot(p, slot)??;
        let o = self.descriptions[d].object;
        let is_whole_pages = off % page_size() == 0 && len % page_size() == 0;
        if o != usize::from(number) || !is_whole_pages || off + len > self.objects[o].size {
            return None;
        }
        let mut after = self.clone();
        for seed in [seed, !seed] {
            let bytes = Source::Bytes(pattern(seed, usize::try_from(len).ok()?));
            let written = after.write(p, slot, Some(off.to_signed()), len, &bytes)?;
            (len > 0 && written.seen.result == len.to_signed()).then_some(())?;
        }
        *self = after;
        self.objects[o].settle_all();
        if behind == Behind::Device {
            let files = self.descriptions.iter_mut();
            files
                .filter(|file| file.object == o)
                .for_each(|file| file.error = EIO);
        }
        Expected::of(self.take_error(d))
    }

    pub(super) fn fadvise(
        &self,
        p: usize,
        slot: u8,
        len: i64,
        advice: FileAdvice,
    ) -> Option<Expected> {
        if self.slot(p, slot)?.is_none() {
            return Expected::error(EBADF);
        }
        if len < 0 || !FileAdvice::ALL.contains(&advice.0) {
            return Expected::error(EINVAL);
        }
        Expected::of(0)
    }

    /// `MMAP_POOL_DIRTY`.
    pub(super) fn written(&mut self, p: usize, slot: u8, off: u64, len: u64) -> Option<Expected> {
        if self.kind.home() == Home::Memory {
            return if self.kind == Kind::Memfd {
                None
            } else {
                self.lacks_ioctl(p, slot)
            };
        }
        let Some(d) = self
            .slot(p, slot)?
            .filter(|&d| self.descriptions[d].is_readable)
        else {
            return Expected::error(EBADF);
        };
        let object = &mut self.objects[self.descriptions[d].object];
        let stored = object.stored.as_mut()?;
        if !stored.is_tracked() {
            return Expected::error(ENOTTY);
        }
        if object.is_revoked {
            return Expected::error(ENODEV);
        }
        if len == 0 || off + len > object.size || off % page_size() != 0 {
            return Expected::error(EINVAL);
        }
        let words = stored.take_written(pages_of(off, len));
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        Expected::bytes(0, &bytes)
    }

    /// The count of pages that are dirty or being written back. The model knows it only if it is 0.
    pub(super) fn unwritten(&self, p: usize, slot: u8) -> Option<Expected> {
        if self.kind.home() == Home::Memory {
            return None;
        }
        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let stored = self.objects[self.descriptions[d].object].stored.as_ref()?;
        stored.is_settled().then_some(())?;
        Expected::of(0)
    }

    /// A direct read of the object behind a pool.
    pub(super) fn stored(&self, number: u8, off: u64, len: u64) -> Option<Expected> {
        let stored = self.objects.get(usize::from(number))?.stored.as_ref()?;
        let is_known = stored.is_certain(pages_of(off, len));
        if !is_known || off % page_size() != 0 || len % page_size() != 0 {
            return None;
        }
        let bytes = stored.read(off, len);
        Expected::bytes(bytes.len() as i64, &bytes)
    }

    /// `echo 1 > /proc/sys/vm/drop_caches`.
    pub(super) fn drop_caches(&self) -> Option<Expected> {
        if self.kind == Kind::Memfd {
            // The kernel drops pages that were never written.
            return None;
        }
        Expected::of(0)
    }

    /// Whether a descriptor or a mapping of an object exists.
    pub(super) fn is_open(&self, o: usize) -> bool {
        let mut processes = self.processes.iter().flatten();
        processes.any(|process| {
            let mut slots = process.slots.iter().flatten();
            let mut pages = process.pages.values();
            slots.any(|&d| self.descriptions[d].object == o) || pages.any(|page| page.object == o)
        })
    }

    /// Creates another pool on the object behind a pool.
    pub(super) fn again(&mut self, p: usize, slot: u8, number: u8) -> Option<Expected> {
        self.slot(p, slot)?;
        let o = usize::from(number);
        self.objects.get(o)?.stored.as_ref()?;
        if self.is_open(o) {
            return Expected::error(EBUSY);
        }
        // The last close has written back.
        self.objects[o].settle_all();
        let mut stored = self.objects[o].stored.take()?;
        stored.begin_again();
        self.objects[o] = Object::backed(stored);
        let description = self.describe(o, OpenFlags(libc::O_RDWR.to_bits()));
        *self.slot_mut(p, slot)? = Some(description);
        Expected::of(0)
    }

    /// The objects behind pools: their numbers, their sizes, and whether something has them open.
    pub fn stored_objects(&self) -> impl Iterator<Item = (u8, u64, bool)> + '_ {
        let objects = (0_u8..).zip(&self.objects);
        objects.filter_map(|(number, object)| {
            let stored = object.stored.as_ref()?;
            Some((number, stored.len(), self.is_open(usize::from(number))))
        })
    }

    /// The digest of each object behind a pool after the last close.
    pub fn digests(&mut self) -> Vec<(u64, u64)> {
        let objects = self.objects.iter_mut();
        objects
            .filter_map(|object| {
                object.settle_all();
                let stored = object.stored.as_ref()?;
                let bytes = stored.read(0, stored.len());
                Some((stored.len(), digest(&bytes)))
            })
            .collect()
    }
}
