// SPDX-License-Identifier: MIT OR GPL-2.0

//! Loads and stores, their page faults, and the private copies that these make.

use std::rc::Rc;

use super::object::{size, Bytes};
use super::state::Model;
use crate::page_size;
use crate::sys::Fault;

/// The reason why an access fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trap {
    Unmapped,
    Denied,
    PastEnd,
}

impl Trap {
    fn fault(self, at: u64) -> Fault {
        let (signal, code) = match self {
            Self::Unmapped => (libc::SIGSEGV, 1),
            Self::Denied => (libc::SIGSEGV, 2),
            Self::PastEnd => (libc::SIGBUS, libc::BUS_ADRERR),
        };
        Fault { signal, code, at }
    }
}

/// The page behind an address: a page of an object, or a private copy.
pub(super) enum Place {
    Object(usize, u64),
    Copy,
}

impl Model {
    /// A page fault: allocates the page, and makes the private copy if the access needs one.
    pub(super) fn fault(&mut self, p: usize, vpage: u64, is_write: bool) -> Result<Place, Trap> {
        let process = self.processes[p].as_mut().ok_or(Trap::Unmapped)?;
        let page = process.pages.get_mut(&vpage).ok_or(Trap::Unmapped)?;
        let is_allowed = if is_write {
            page.prot.is_writable()
        } else {
            page.prot.is_accessible()
        };
        if !is_allowed {
            return Err(Trap::Denied);
        }
        if page.copy.is_some() {
            return Ok(Place::Copy);
        }
        let object = &mut self.objects[page.object];
        if page.pgoff >= object.nr_pages() {
            return Err(Trap::PastEnd);
        }
        if is_write && page.is_shared {
            object.dirty(page.pgoff);
        }
        let bytes = &object.allocate(page.pgoff).bytes;
        if is_write && !page.is_shared {
            page.copy = Some(Rc::clone(bytes));
            return Ok(Place::Copy);
        }
        Ok(Place::Object(page.object, page.pgoff))
    }

    fn bytes_mut(&mut self, p: usize, vpage: u64, place: &Place) -> Option<&mut Bytes> {
        match *place {
            Place::Object(object, pgoff) => {
                let page = self.objects[object].pages.get_mut(&pgoff);
                page.map(|page| &mut page.bytes)
            }
            Place::Copy => self.process(p).pages.get_mut(&vpage)?.copy.as_mut(),
        }
    }

    pub(super) fn load(&mut self, p: usize, at: u64, len: u64) -> (Vec<u8>, Option<Fault>) {
        let mut bytes = Vec::new();
        let mut now = at;
        while now < at + len {
            let place = match self.fault(p, now / page_size(), false) {
                Ok(place) => place,
                Err(trap) => return (bytes, Some(trap.fault(now))),
            };
            let stop = (at + len).min((now / page_size() + 1) * page_size());
            let (from, to) = (
                size(now % page_size()),
                size(now % page_size() + (stop - now)),
            );
            if let Some(page) = self.bytes_mut(p, now / page_size(), &place) {
                bytes.extend_from_slice(&page[from..to]);
            }
            now = stop;
        }
        (bytes, None)
    }

    /// Whether a store would change bytes past the end of the object behind a backed pool.
    pub(super) fn stores_past_end(&self, p: usize, at: u64, len: u64) -> bool {
        let pages = self.processes[p].as_ref().map(|process| &process.pages);
        let mut touched = pages
            .into_iter()
            .flat_map(|pages| pages.range(at / page_size()..(at + len).div_ceil(page_size())));
        touched.any(|(&vpage, page)| {
            let object = &self.objects[page.object];
            let end = vpage * page_size() + object.size % page_size();
            page.is_shared && object.has_tail(page.pgoff) && at + len > end
        })
    }

    pub(super) fn store(&mut self, p: usize, at: u64, bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut done = 0;
        while done < bytes.len() {
            let now = at + done as u64;
            let place = match self.fault(p, now / page_size(), true) {
                Ok(place) => place,
                Err(trap) => return (done, Some(trap.fault(now))),
            };
            let from = size(now % page_size());
            let len = (bytes.len() - done).min(size(page_size()) - from);
            if let Some(page) = self.bytes_mut(p, now / page_size(), &place) {
                Rc::make_mut(page)[from..from + len].copy_from_slice(&bytes[done..done + len]);
            }
            done += len;
        }
        (done, None)
    }

    /// Faults a page in, as `mlock` and `MAP_POPULATE` do.
    pub(super) fn populate_page(&mut self, p: usize, vpage: u64) -> Result<(), Trap> {
        let Some(page) = self.process(p).pages.get(&vpage) else {
            return Err(Trap::Unmapped);
        };
        let is_write = page.prot.is_writable() && !page.is_shared;
        self.fault(p, vpage, is_write).map(drop)
    }

    /// Faults pages in. After a failure it continues in the next area.
    pub(super) fn populate(&mut self, p: usize, start: u64, end: u64) {
        let mut failed = None;
        for vpage in start..end {
            let area = self.process(p).pages.get(&vpage).map(|page| page.area);
            if area.is_some() && area != failed && self.populate_page(p, vpage).is_err() {
                failed = area;
            }
        }
    }
}
