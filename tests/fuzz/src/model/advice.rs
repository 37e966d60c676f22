// SPDX-License-Identifier: MIT OR GPL-2.0

//! `madvise`.

use libc::{EACCES, EFAULT, EINVAL, ENODEV, ENOMEM, EPERM};

use super::expected::Expected;
use super::kind::Kind;
use super::object::ObjectKind;
use super::state::{Mapped, Model};
use crate::op::Advice;
use crate::page_size;
use crate::sys::Answer;

impl Model {
    pub(super) fn madvise(
        &mut self,
        p: usize,
        at: u64,
        len: u64,
        advice: Advice,
    ) -> Option<Expected> {
        if !Advice::ALL.contains(&advice.0) || at % page_size() != 0 {
            return Expected::error(EINVAL);
        }
        if advice.0 == libc::MADV_PAGEOUT && self.kind == Kind::Memfd {
            // The kernel may drop pages that were never written.
            return None;
        }
        let (start, end) = (at / page_size(), (at + len).div_ceil(page_size()));
        if advice.0 == libc::MADV_POPULATE_READ || advice.0 == libc::MADV_POPULATE_WRITE {
            let is_write = advice.0 == libc::MADV_POPULATE_WRITE;
            return Expected::of(self.madvise_populate(p, start, end, is_write));
        }
        let mut result = 0;
        self.split(p, start, end);
        for vpage in start..end {
            let process = self.processes[p].as_mut()?;
            let Some(page) = process.pages.get_mut(&vpage) else {
                result = ENOMEM;
                continue;
            };
            let errno = match advice.0 {
                libc::MADV_DONTNEED | libc::MADV_COLD | libc::MADV_PAGEOUT if page.is_locked => {
                    EINVAL
                }
                libc::MADV_DONTNEED | libc::MADV_DONTNEED_LOCKED => {
                    page.copy = None;
                    0
                }
                libc::MADV_FREE | libc::MADV_WIPEONFORK => EINVAL,
                libc::MADV_DONTFORK => {
                    page.stays = true;
                    0
                }
                libc::MADV_DOFORK => {
                    page.stays = false;
                    0
                }
                libc::MADV_REMOVE => {
                    let page = page.clone();
                    self.madvise_remove(&page)
                }
                _ => 0,
            };
            if errno != 0 {
                return Expected::error(errno);
            }
        }
        Expected::of(-i64::from(result))
    }

    fn madvise_remove(&mut self, page: &Mapped) -> i32 {
        let object = &mut self.objects[page.object];
        if page.is_locked {
            EINVAL
        } else if !(page.is_shared && page.may_write) {
            EACCES
        } else if object.kind == ObjectKind::Node || object.is_revoked {
            ENODEV
        } else if object.is_eager() {
            EPERM
        } else if object.stored.is_some() {
            let start = page.pgoff * page_size();
            object.zero_stored(start, start + page_size(), true);
            0
        } else {
            object.punch(page.pgoff * page_size(), page_size());
            0
        }
    }

    fn madvise_populate(&mut self, p: usize, start: u64, end: u64, is_write: bool) -> Answer {
        for vpage in start..end {
            let Some(page) = self.process(p).pages.get(&vpage) else {
                return -i64::from(ENOMEM);
            };
            let is_allowed = if is_write {
                page.prot.is_writable()
            } else {
                page.prot.is_readable()
            };
            if !is_allowed {
                return -i64::from(EINVAL);
            }
            if self.fault(p, vpage, is_write).is_err() {
                return -i64::from(EFAULT);
            }
        }
        0
    }
}
