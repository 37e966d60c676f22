// SPDX-License-Identifier: MIT OR GPL-2.0

//! A page of this process that does not come: a task that touches it waits until it is killed.
//!
//! C: `Documentation/admin-guide/mm/userfaultfd.rst`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use mmap_pool::{Mapping, Protection};
use rustix::event::{poll, PollFd, PollFlags};
use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};

use crate::observe::checked;
use crate::subject::PAGE;
use crate::Failure;

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

const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const UFFD_API: u64 = 0xaa;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;

impl SlowPage {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// The kernel has no `userfaultfd(2)`, or this process may not hold up the kernel.
    pub fn new() -> Result<Self, Failure> {
        // SAFETY: A system call without pointers.
        let faults = checked(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) })?;
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
        // SAFETY: The range was mapped just now, with this protection, and nobody else knows it.
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

    /// Where the page is.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.page.as_ptr()
    }

    /// Waits until a task waits for the page.
    ///
    /// # Errors
    ///
    /// What `poll(2)` answers.
    pub fn wait_until_touched(&self) -> Result<(), Failure> {
        poll(&mut [PollFd::new(&self.faults, PollFlags::IN)], None)?;
        Ok(())
    }
}
