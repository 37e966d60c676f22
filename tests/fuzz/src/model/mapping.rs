// SPDX-License-Identifier: MIT OR GPL-2.0

//! Mappings: `mmap`, `munmap`, `mprotect`, `mlock`, `mincore`.

use libc::{EACCES, EBADF, EEXIST, EINVAL, ENODEV, ENOMEM, EOPNOTSUPP, EPERM};
use mmap_pool::uapi;

use super::expected::Expected;
use super::state::{Mapped, Model};
use crate::cast::{SignCast, UnsignedCast};
use crate::op::{MapFlags, Prot};
use crate::page_size;
use crate::sys::{Answer, ELSEWHERE};

impl Model {
    pub(super) fn mmap(
        &mut self,
        p: usize,
        slot: u8,
        (at, len): (u64, u64),
        off: u64,
        prot: Prot,
        flags: MapFlags,
    ) -> Option<Expected> {
        /// The generated flags that `MAP_SHARED_VALIDATE` accepts.
        const KNOWN: i32 = 0xf
            | libc::MAP_FIXED
            | libc::MAP_POPULATE
            | libc::MAP_NONBLOCK
            | libc::MAP_LOCKED
            | libc::MAP_NORESERVE;

        let slot = self.slot(p, slot)?;
        if off % page_size() != 0 {
            return Expected::error(EINVAL);
        }
        let Some(d) = slot else {
            return Expected::error(EBADF);
        };
        let description = self.descriptions[d].clone();
        if len == 0 {
            return Expected::error(EINVAL);
        }
        let is_noreplace = flags.has(libc::MAP_FIXED_NOREPLACE);
        let is_fixed = flags.has(libc::MAP_FIXED) || is_noreplace;
        if at % page_size() != 0 {
            return if is_fixed {
                Expected::error(EINVAL)
            } else {
                None
            };
        }
        let (start, end) = (at / page_size(), (at + len).div_ceil(page_size()));
        if is_noreplace && !self.is_free(p, start, end) {
            return Expected::error(EEXIST);
        }
        let is_shared = match flags.0.to_signed() & 0xf {
            libc::MAP_SHARED => true,
            libc::MAP_SHARED_VALIDATE => {
                if flags.0 & !KNOWN.to_bits() != 0 {
                    return Expected::error(EOPNOTSUPP);
                }
                true
            }
            libc::MAP_PRIVATE => false,
            _ => return Expected::error(EINVAL),
        };
        if is_shared && prot.is_writable() && !description.is_writable || !description.is_readable {
            return Expected::error(EACCES);
        }
        let object = &self.objects[description.object];
        let is_sealed = is_shared && description.is_writable && object.is_sealed(uapi::SEAL_WRITE);
        let refused = if object.is_revoked {
            ENODEV
        } else if is_sealed && prot.is_writable() {
            EPERM
        } else {
            0
        };
        if refused == ENODEV && self.may_merge(p, start, end, description.object, off / page_size())
        {
            return None;
        }
        if refused != 0 {
            // The kernel calls a driver last, when the old mapping is gone.
            if object.is_pool() && is_fixed {
                self.unmap(p, start, end);
            }
            return Expected::error(refused);
        }
        let may_write = !is_shared || description.is_writable && !is_sealed;
        let is_locked = flags.has(libc::MAP_LOCKED);
        let room = object.room_beside(off / page_size(), end - start);
        // The fuzzer unmaps a mapping at once if the kernel chose its address.
        let is_elsewhere = !is_fixed && !self.is_free(p, start, end + room);
        let shift = if is_elsewhere { 1 << 40 } else { 0 };
        let (start, end) = (start + shift, end + shift);
        self.unmap(p, start, end);
        let area = self.new_area();
        for vpage in start..end {
            let page = Mapped {
                description: d,
                object: description.object,
                pgoff: off / page_size() + (vpage - start),
                is_shared,
                prot,
                may_write,
                is_locked,
                stays: false,
                area,
                copy: None,
            };
            self.process(p).pages.insert(vpage, page);
        }
        if is_locked || flags.has(libc::MAP_POPULATE) && !flags.has(libc::MAP_NONBLOCK) {
            self.populate(p, start, end);
        }
        if is_elsewhere {
            self.unmap(p, start, end);
            return Expected::of(ELSEWHERE);
        }
        Expected::of(at.to_signed())
    }

    pub(super) fn munmap(&mut self, p: usize, at: u64, len: u64) -> Option<Expected> {
        if at % page_size() != 0 || len == 0 {
            return Expected::error(EINVAL);
        }
        self.unmap(p, at / page_size(), (at + len).div_ceil(page_size()));
        Expected::of(0)
    }

    pub(super) fn mprotect(&mut self, p: usize, at: u64, len: u64, prot: Prot) -> Option<Expected> {
        if at % page_size() != 0 {
            return Expected::error(EINVAL);
        }
        let (start, end) = (at / page_size(), (at + len).div_ceil(page_size()));
        // Locked private pages that become writable are copied. A page past the end stops that in
        // its VMA.
        let is_copied = |page: &Mapped| {
            page.is_locked && !page.is_shared && !page.prot.is_writable() && prot.is_writable()
        };
        let pages = &self.processes[p].as_ref()?.pages;
        if pages.range(start..end).any(|(_, page)| {
            is_copied(page)
                && page.copy.is_none()
                && page.pgoff >= self.objects[page.object].nr_pages()
        }) {
            return None;
        }
        self.split(p, start, end);
        for vpage in start..end {
            let Some(page) = self.processes[p].as_mut()?.pages.get_mut(&vpage) else {
                return Expected::error(ENOMEM);
            };
            if prot.is_writable() && !page.may_write {
                return Expected::error(EACCES);
            }
            let is_copied = is_copied(page);
            page.prot = prot;
            // An area has one protection.
            self.nr_areas += 1;
            page.area = self.nr_areas;
            if is_copied {
                let _ = self.populate_page(p, vpage);
            }
        }
        Expected::of(0)
    }

    pub(super) fn mlock(&mut self, p: usize, at: u64, len: u64, is_locked: bool) -> Answer {
        let (start, end) = (at / page_size(), (at + len).div_ceil(page_size()));
        let end = if len == 0 && at % page_size() == 0 {
            start
        } else {
            end
        };
        self.split(p, start, end);
        for vpage in start..end {
            let Some(process) = &mut self.processes[p] else {
                return -i64::from(ENOMEM);
            };
            let Some(page) = process.pages.get_mut(&vpage) else {
                return -i64::from(ENOMEM);
            };
            page.is_locked = is_locked;
            self.nr_areas += 1;
            page.area = self.nr_areas;
        }
        if is_locked && (start..end).any(|vpage| self.populate_page(p, vpage).is_err()) {
            return -i64::from(ENOMEM);
        }
        0
    }

    pub(super) fn mincore(&mut self, p: usize, at: u64, len: u64) -> Option<Expected> {
        if at % page_size() != 0 {
            return Expected::error(EINVAL);
        }
        let mut vector = Vec::new();
        for vpage in at / page_size()..(at + len).div_ceil(page_size()) {
            let pages = &self.processes[p].as_ref()?.pages;
            let Some(page) = pages.get(&vpage) else {
                return Expected::error(ENOMEM);
            };
            let object = &self.objects[page.object];
            let is_there = page.copy.is_some()
                || object
                    .pages
                    .get(&page.pgoff)
                    .is_some_and(|page| page.is_data);
            vector.push(u8::from(is_there));
        }
        Some(Expected {
            has_exact_pages: self.kind.has_exact_pages(),
            ..Expected::bytes(0, &vector)?
        })
    }
}
