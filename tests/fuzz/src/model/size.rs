// SPDX-License-Identifier: MIT OR GPL-2.0

//! Sizes: `ftruncate` and `MMAP_POOL_RESIZE`.

use libc::{EBADF, EINVAL, ENODEV, EPERM};
use mmap_pool::uapi;

use super::expected::Expected;
use super::kind::Kind;
use super::object::ObjectKind;
use super::state::Model;
use crate::page_size;
use crate::sys::Answer;

impl Model {
    /// Changes the size. Pages past the end are freed, and so are their private copies.
    pub(super) fn set_len(&mut self, o: usize, len: u64) {
        let object = &mut self.objects[o];
        let is_larger = len > object.size;
        object.size = len;
        if is_larger && !object.is_pool() {
            return;
        }
        let end = object.nr_pages();
        object.pages.retain(|&pgoff, _| pgoff < end);
        if len % page_size() != 0 {
            object.zero(len / page_size(), len % page_size(), page_size());
        }
        for process in self.processes.iter_mut().flatten() {
            for page in process.pages.values_mut() {
                if page.object == o && page.pgoff >= end {
                    page.copy = None;
                }
            }
        }
    }

    /// `ftruncate` of a regular file.
    pub(super) fn set_size(&mut self, o: usize, len: u64) -> Answer {
        let object = &self.objects[o];
        if object.is_revoked {
            return -i64::from(ENODEV);
        }
        if len < object.size && object.is_sealed(uapi::SEAL_SHRINK)
            || len > object.size && object.is_sealed(uapi::SEAL_GROW)
        {
            return -i64::from(EPERM);
        }
        if len == object.size && object.stored.is_some() {
            return 0;
        }
        self.set_len(o, len);
        0
    }

    pub(super) fn resize(&mut self, p: usize, slot: u8, len: u64) -> Option<Expected> {
        if self.kind == Kind::Memfd {
            return self.ftruncate(p, slot, len.try_into().ok()?);
        }
        let Some(d) = self
            .slot(p, slot)?
            .filter(|&d| self.descriptions[d].is_writable)
        else {
            return Expected::error(EBADF);
        };
        let o = self.descriptions[d].object;
        if self.objects[o].kind == ObjectKind::Node && (len == 0 || len % page_size() != 0) {
            return Expected::error(EINVAL);
        }
        Expected::of(self.set_size(o, len))
    }

    pub(super) fn ftruncate(&mut self, p: usize, slot: u8, len: i64) -> Option<Expected> {
        let slot = self.slot(p, slot)?;
        let Ok(len) = u64::try_from(len) else {
            return Expected::error(EINVAL);
        };
        let Some(d) = slot else {
            return Expected::error(EBADF);
        };
        let o = self.descriptions[d].object;
        if self.objects[o].kind == ObjectKind::Node || !self.descriptions[d].is_writable {
            return Expected::error(EINVAL);
        }
        Expected::of(self.set_size(o, len))
    }
}
