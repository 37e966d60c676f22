// SPDX-License-Identifier: MIT OR GPL-2.0

//! Seals and revocation.

use libc::{EBADF, EBUSY, EINVAL, ENODEV, EPERM};
use mmap_pool::uapi;

use super::expected::Expected;
use super::kind::Kind;
use super::state::Model;

impl Model {
    pub(super) fn seal(&mut self, p: usize, slot: u8, seals: u32) -> Option<Expected> {
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
        if seals & uapi::SEAL_WRITE != 0 {
            self.objects[o].settle_all();
        }
        self.objects[o].seals |= seals;
        Expected::of(0)
    }

    pub(super) fn revoke(&mut self, p: usize, slot: u8) -> Option<Expected> {
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
        self.objects[o].settle_all();
        self.objects[o].is_revoked = true;
        self.set_len(o, 0);
        Expected::of(0)
    }
}
