// SPDX-License-Identifier: MIT OR GPL-2.0

//! Copies from file to file.

use libc::{EBADF, EINVAL, ENODEV};

use super::expected::Expected;
use super::file::Source;
use super::object::ObjectKind;
use super::state::Model;
use crate::cast::SignCast;

impl Model {
    pub(super) fn sendfile(
        &mut self,
        p: usize,
        slot: u8,
        off: i64,
        len: u64,
        to: u8,
    ) -> Option<Expected> {
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
            // The call would read bytes that it has just written.
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

    pub(super) fn copy_range(
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
