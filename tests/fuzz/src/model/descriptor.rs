// SPDX-License-Identifier: MIT OR GPL-2.0

//! Descriptors: creating, opening, closing and passing them, and `info`.

use libc::{EBADF, ENOENT};

use super::expected::Expected;
use super::kind::Home;
use super::object::{Object, ObjectKind};
use super::state::Model;
use crate::cast::{SignCast, UnsignedCast};
use crate::op::OpenFlags;
use crate::storage::NR_OBJECTS;
use crate::Seen;

impl Model {
    pub(super) fn create(&mut self, p: usize, slot: u8, size: u64) -> Option<Expected> {
        self.slot(p, slot)?;
        let object = self.objects.len();
        if self.kind.home() == Home::Storage && object == NR_OBJECTS {
            return None;
        }
        self.objects.push(Object::created(self.kind, object, size));
        let description = self.describe(object, OpenFlags(libc::O_RDWR.to_bits()));
        *self.slot_mut(p, slot)? = Some(description);
        Expected::of(0)
    }

    pub(super) fn open(
        &mut self,
        p: usize,
        slot: u8,
        via: u8,
        flags: OpenFlags,
    ) -> Option<Expected> {
        self.slot(p, slot)?;
        let Some(via) = self.slot(p, via)? else {
            return Expected::error(ENOENT);
        };
        let object = self.descriptions[via].object;
        if flags.has(libc::O_TRUNC) && self.objects[object].kind != ObjectKind::Node {
            let result = self.set_size(object, 0);
            if result < 0 {
                return Expected::of(result);
            }
        }
        let description = self.describe(object, flags);
        *self.slot_mut(p, slot)? = Some(description);
        Expected::of(0)
    }

    pub(super) fn close(&mut self, p: usize, slot: u8) -> Option<Expected> {
        let slot = self.slot_mut(p, slot)?;
        Expected::of(slot.take().map_or(-i64::from(EBADF), |_| 0))
    }

    pub(super) fn dup(&mut self, p: usize, slot: u8, to: u8) -> Option<Expected> {
        let Some(description) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        *self.slot_mut(p, to)? = Some(description);
        Expected::of(0)
    }

    pub(super) fn pass(&mut self, p: usize, slot: u8, receiver: u8, to: u8) -> Option<Expected> {
        let r = usize::from(receiver);
        self.processes.get(r)?.as_ref()?;
        self.slot(r, to)?;
        let Some(description) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        *self.slot_mut(r, to)? = Some(description);
        Expected::of(0)
    }

    pub(super) fn info(&mut self, p: usize, slot: u8) -> Option<Expected> {
        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let object = &self.objects[self.descriptions[d].object];
        let mut seen = Seen::of(object.size.to_signed());
        seen.sum = object.pages.len() as u64;
        seen.extra = u64::from(object.seals) << 32;
        if object.is_pool() {
            seen.extra |= object.nr_allocated;
            seen.extra |= u64::from(object.kind == ObjectKind::Node) << 40;
            seen.extra |= u64::from(object.is_revoked) << 41;
            seen.extra |= u64::from(object.stored.is_some()) << 42;
        }
        Some(Expected {
            seen,
            has_exact_pages: self.kind.has_exact_pages(),
        })
    }
}
