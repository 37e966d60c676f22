// SPDX-License-Identifier: MIT OR GPL-2.0

//! A page that is missing: a task that touches it waits until [`SlowPage::let_come`] supplies the page,
//! or until a signal kills the task.
//!
//! C: `Documentation/admin-guide/mm/userfaultfd.rst`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr;

use mmap_pool::{Mapping, Protection};
use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};

use crate::observe::checked;
use crate::subject::page_size;
use crate::uffd::{Uffd, MISSING};
use crate::Failure;

/// The page.
#[derive(Debug)]
pub struct SlowPage {
    page: Mapping,
    faults: Uffd,
}

impl SlowPage {
    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// The kernel has no `userfaultfd(2)`, or does not let this process block it.
    pub fn new() -> Result<Self, Failure> {
        let faults = Uffd::new(0)?;

        let (any, flags) = (ptr::null_mut(), MapFlags::PRIVATE);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
        let start = unsafe { mmap_anonymous(any, page_size(), protection, flags) }?;
        // SAFETY: The range was mapped just now, with this protection, and nothing else refers to it.
        let page =
            unsafe { Mapping::from_raw_parts(start.cast(), page_size(), Protection::READ_WRITE) };
        faults.register(&page, 0..page_size(), MISSING)?;
        Ok(Self { page, faults })
    }

    /// The address of the page.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.page.as_ptr()
    }

    /// Waits until a task waits for the page.
    ///
    /// # Errors
    ///
    /// The errno of `poll(2)`.
    pub fn wait_until_touched(&self) -> Result<(), Failure> {
        self.faults.wait()
    }

    /// Supplies the page: all waiting tasks continue, and later ones do not wait.
    ///
    /// # Errors
    ///
    /// The errno of `ioctl(2)`.
    pub fn let_come(&self) -> Result<(), Failure> {
        Ok(self.faults.unregister(&self.page, 0..page_size())?)
    }

    /// Reads a page of `file` at byte `offset` into this page, and then touches this page in case
    /// nothing was read. Returns the number of bytes.
    ///
    /// # Errors
    ///
    /// The errno of `pread(2)`.
    pub fn read_from(&self, file: &File, offset: i64) -> Result<u64, Failure> {
        let start = self.page.as_ptr().cast();
        // SAFETY: The page is mapped, and the bytes in it may be any.
        let read = unsafe { libc::pread(file.as_raw_fd(), start, page_size(), offset) };
        let read = checked(read);
        self.page.read_at(&mut [0], 0)?;
        Ok(read?)
    }
}
