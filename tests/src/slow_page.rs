// SPDX-License-Identifier: MIT OR GPL-2.0

//! A page that is missing: a task that touches it waits until [`SlowPage::let_come`] supplies the page,
//! or until a signal kills the task.
//!
//! C: `Documentation/admin-guide/mm/userfaultfd.rst`.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use mmap_pool::{Mapping, Protection};
use rustix::event::{poll, PollFd, PollFlags};
use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};

use crate::observe::checked;
use crate::subject::PAGE;
use crate::{fail, Failure};

/// The page.
#[derive(Debug)]
pub struct SlowPage {
    page: Mapping,
    faults: OwnedFd,
}

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    version: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct uffdio_range`.
#[repr(C)]
struct Range {
    start: u64,
    len: u64,
}

const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const UFFDIO_UNREGISTER: libc::c_ulong = 0x8010_aa01;
const UFFDIO_WAKE: libc::c_ulong = 0x8010_aa02;
const UFFD_API: u64 = 0xaa;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;

impl SlowPage {
    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// The kernel has no `userfaultfd(2)`, or does not let this process block it.
    pub fn new() -> Result<Self, Failure> {
        // Of a descriptor that blocks, `poll()` says at once that there is an error.
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: A system call without pointers.
        let faults = checked(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) })?;
        // SAFETY: The descriptor is new.
        let faults = unsafe { OwnedFd::from_raw_fd(i32::try_from(faults)?) };
        let mut api = Api {
            version: UFFD_API,
            features: 0,
            ioctls: 0,
        };
        // SAFETY: The kernel reads and writes `api`.
        checked(unsafe { libc::ioctl(faults.as_raw_fd(), UFFDIO_API, &raw mut api) })?;

        let (any, flags) = (ptr::null_mut(), MapFlags::PRIVATE);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
        let start = unsafe { mmap_anonymous(any, PAGE, protection, flags) }?;
        // SAFETY: The range was mapped just now, with this protection, and nothing else refers to it.
        let page = unsafe { Mapping::from_raw_parts(start.cast(), PAGE, Protection::READ_WRITE) };
        let mut register = Register {
            start: start.addr() as u64,
            len: PAGE as u64,
            mode: UFFDIO_REGISTER_MODE_MISSING,
            ioctls: 0,
        };
        // SAFETY: The kernel reads and writes `register`; the range is the page's.
        checked(unsafe { libc::ioctl(faults.as_raw_fd(), UFFDIO_REGISTER, &raw mut register) })?;
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
        let mut faults = [PollFd::new(&self.faults, PollFlags::IN)];
        poll(&mut faults, None)?;
        let events = faults[0].revents();
        if events != PollFlags::IN {
            fail!("poll() answers {events:?}");
        }
        Ok(())
    }

    /// Supplies the page: all waiting tasks continue, and later ones do not wait.
    ///
    /// # Errors
    ///
    /// The errno of `ioctl(2)`.
    pub fn let_come(&self) -> Result<(), Failure> {
        let mut range = Range {
            start: self.page.as_ptr().addr() as u64,
            len: PAGE as u64,
        };
        let faults = self.faults.as_raw_fd();
        // SAFETY: The kernel reads `range`, which is the page's.
        checked(unsafe { libc::ioctl(faults, UFFDIO_UNREGISTER, &raw mut range) })?;
        // The kernel wakes who waits, and then takes the lock of the VMA (`userfaultfd_unregister()`,
        // mm/userfaultfd.c). A fault under that lock may begin to wait in between.
        // SAFETY: The kernel reads `range`.
        checked(unsafe { libc::ioctl(faults, UFFDIO_WAKE, &raw mut range) })?;
        Ok(())
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
        let read = unsafe { libc::pread(file.as_raw_fd(), start, PAGE, offset) };
        let read = checked(read);
        self.page.read_at(&mut [0], 0)?;
        Ok(read?)
    }
}
