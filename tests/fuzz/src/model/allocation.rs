// SPDX-License-Identifier: MIT OR GPL-2.0

//! Allocating and freeing pages: `fallocate`, `MMAP_POOL_PUNCH`, `MMAP_POOL_PREFAULT`.

use libc::{EBADF, EINVAL, ENODEV, ENOTTY, EOPNOTSUPP, EPERM};
use mmap_pool::uapi;

use super::expected::Expected;
use super::kind::{Home, Kind};
use super::object::ObjectKind;
use super::state::Model;
use crate::cast::UnsignedCast;
use crate::op::AllocMode;
use crate::page_size;

impl Model {
    pub(super) fn punch(&mut self, p: usize, slot: u8, off: u64, len: u64) -> Option<Expected> {
        if self.kind == Kind::Memfd {
            let mode = AllocMode((libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE) as u32);
            return self.fallocate(p, slot, mode, off.to_signed(), len.to_signed());
        }
        let Some(d) = self
            .slot(p, slot)?
            .filter(|&d| self.descriptions[d].is_writable)
        else {
            return Expected::error(EBADF);
        };
        Expected::of(-i64::from(self.punch_object(
            self.descriptions[d].object,
            off,
            len,
        )))
    }

    /// An ioctl that such pools do not have.
    pub(super) fn lacks_ioctl(&self, p: usize, slot: u8) -> Option<Expected> {
        Expected::error(self.slot(p, slot)?.map_or(EBADF, |_| ENOTTY))
    }

    fn punch_object(&mut self, o: usize, off: u64, len: u64) -> i32 {
        let object = &mut self.objects[o];
        if object.is_revoked {
            ENODEV
        } else if object.is_sealed(uapi::SEAL_WRITE) || object.is_eager() {
            EPERM
        } else if len == 0 {
            EINVAL
        } else if object.stored.is_some() {
            object.zero_stored(off, off + len, true);
            0
        } else {
            object.punch(off, len);
            0
        }
    }

    pub(super) fn fallocate(
        &mut self,
        p: usize,
        slot: u8,
        mode: AllocMode,
        off: i64,
        len: i64,
    ) -> Option<Expected> {
        let Some(d) = self.slot(p, slot)? else {
            return Expected::error(EBADF);
        };
        let keeps_size = mode.has(libc::FALLOC_FL_KEEP_SIZE);
        let modes = mode.0.to_signed() & !libc::FALLOC_FL_KEEP_SIZE;
        let (Ok(off), Ok(len)) = (u64::try_from(off), u64::try_from(len)) else {
            return Expected::error(EINVAL);
        };
        if len == 0 {
            return Expected::error(EINVAL);
        }
        let is_punch = modes == libc::FALLOC_FL_PUNCH_HOLE;
        let is_zero = modes == libc::FALLOC_FL_ZERO_RANGE;
        if modes != 0 && !is_zero && !(is_punch && keeps_size) {
            return Expected::error(EOPNOTSUPP);
        }
        if !self.descriptions[d].is_writable {
            return Expected::error(EBADF);
        }
        let o = self.descriptions[d].object;
        match self.objects[o].kind {
            ObjectKind::Node => return Expected::error(ENODEV),
            ObjectKind::Memfd if is_zero => return Expected::error(EOPNOTSUPP),
            ObjectKind::Backed if !is_punch => {
                let errno = self.allocate_storage(o, is_zero, off, off + len);
                return Expected::of(-i64::from(errno));
            }
            _ => {}
        }
        if is_punch {
            return Expected::of(-i64::from(self.punch_object(o, off, len)));
        }
        let object = &self.objects[o];
        if object.is_revoked {
            return Expected::error(ENODEV);
        }
        if off + len > object.size && object.is_sealed(uapi::SEAL_GROW) {
            return Expected::error(EPERM);
        }
        if is_zero {
            let errno = self.punch_object(o, off, len);
            if errno != 0 {
                return Expected::of(-i64::from(errno));
            }
        }
        let object = &mut self.objects[o];
        for pgoff in off / page_size()..(off + len).div_ceil(page_size()) {
            object.reserve(pgoff);
        }
        if !keeps_size {
            object.size = object.size.max(off + len);
        }
        Expected::of(0)
    }

    /// `fallocate` of a backed pool.
    fn allocate_storage(&mut self, o: usize, is_zero: bool, off: u64, end: u64) -> i32 {
        let object = &mut self.objects[o];
        if object.is_revoked {
            ENODEV
        } else if object.is_sealed(uapi::SEAL_WRITE) || end > object.size {
            EPERM
        } else {
            if is_zero {
                object.zero_stored(off, end, false);
            }
            if let Some(stored) = &mut object.stored {
                stored.allocate();
            }
            0
        }
    }

    pub(super) fn prefault(&mut self, p: usize, slot: u8, off: u64, len: u64) -> Option<Expected> {
        if self.kind == Kind::Memfd {
            return None;
        }
        if self.kind.home() == Home::Storage {
            return self.lacks_ioctl(p, slot);
        }
        let Some(d) = self
            .slot(p, slot)?
            .filter(|&d| self.descriptions[d].is_writable)
        else {
            return Expected::error(EBADF);
        };
        let object = &mut self.objects[self.descriptions[d].object];
        if object.is_revoked {
            return Expected::error(ENODEV);
        }
        if len == 0 || off + len > object.size {
            return Expected::error(EINVAL);
        }
        for pgoff in off / page_size()..(off + len).div_ceil(page_size()) {
            object.allocate(pgoff);
        }
        Expected::of(0)
    }
}
