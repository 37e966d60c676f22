// SPDX-License-Identifier: MIT OR GPL-2.0

//! `userfaultfd(2)`: faults of this process that a descriptor tells, and that wait until they are
//! resolved.
//!
//! C: `include/uapi/linux/userfaultfd.h`.

use std::ffi::c_ulong;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use mmap_pool::{Errno, Mapping};
use rustix::event::{poll, PollFd, PollFlags};

use crate::observe::checked;
use crate::{fail, Failure};

/// `UFFDIO_REGISTER_MODE_MISSING`.
pub const MISSING: u64 = 1;
/// `UFFDIO_REGISTER_MODE_WP`.
pub const WP: u64 = 1 << 1;
/// `UFFDIO_REGISTER_MODE_MINOR`.
pub const MINOR: u64 = 1 << 2;
/// `UFFDIO_REGISTER_MODE_RWP`.
pub const RWP: u64 = 1 << 3;
/// `UFFD_FEATURE_WP_ASYNC`, with `UFFD_FEATURE_WP_UNPOPULATED`, which it needs.
pub const WP_ASYNC: u64 = (1 << 15) | (1 << 13);
/// `UFFD_FEATURE_RWP`.
pub const FEATURE_RWP: u64 = 1 << 17;

const VERSION: u64 = 0xaa;
const API: c_ulong = 0xc018_aa3f;
const REGISTER: c_ulong = 0xc020_aa00;
const UNREGISTER: c_ulong = 0x8010_aa01;
const WAKE: c_ulong = 0x8010_aa02;
const WRITEPROTECT: c_ulong = 0xc018_aa06;
const COPY: c_ulong = 0xc028_aa03;
const ZEROPAGE: c_ulong = 0xc020_aa04;
const CONTINUE: c_ulong = 0xc020_aa07;
const RWPROTECT: c_ulong = 0xc018_aa09;

/// What to fill pages with.
#[derive(Debug)]
pub enum Fill<'a> {
    /// `UFFDIO_COPY`: the bytes of a mapping.
    Copy(&'a Mapping),
    /// `UFFDIO_ZEROPAGE`.
    Zeroes,
    /// `UFFDIO_CONTINUE`: what the page cache holds.
    PageCache,
}

/// A descriptor of `userfaultfd(2)`.
#[derive(Debug)]
pub struct Uffd(OwnedFd);

/// A fault: its `UFFD_PAGEFAULT_FLAG_` bits and its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The bits.
    pub flags: u64,
    /// The address of the page.
    pub address: usize,
}

impl Uffd {
    /// Makes a new one, with these `UFFD_FEATURE_` bits.
    ///
    /// # Errors
    ///
    /// The kernel has no `userfaultfd(2)` or no such feature.
    pub fn new(features: u64) -> Result<Self, Failure> {
        // Of a descriptor that blocks, `poll()` says at once that there is an error.
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: A system call without pointers.
        let fd = checked(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) })?;
        // SAFETY: The descriptor is new.
        let uffd = Self(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) });
        uffd.request(API, &mut [VERSION, features, 0])?;
        Ok(uffd)
    }

    /// Registers these bytes of a mapping for faults of a mode.
    ///
    /// # Errors
    ///
    /// The errno of `ioctl(2)`.
    pub fn register(&self, mapping: &Mapping, bytes: Range<usize>, mode: u64) -> Result<(), Errno> {
        let [start, len] = range(mapping, bytes);
        self.request(REGISTER, &mut [start, len, mode, 0])
    }

    /// Ends a registration, and wakes the tasks that wait.
    ///
    /// # Errors
    ///
    /// The errno of `ioctl(2)`.
    pub fn unregister(&self, mapping: &Mapping, bytes: Range<usize>) -> Result<(), Errno> {
        self.request(UNREGISTER, &mut range(mapping, bytes.clone()))?;
        // The kernel wakes the tasks that wait, and then takes the lock of the VMA
        // (`userfaultfd_unregister()`, mm/userfaultfd.c). A fault under that lock may begin to wait in
        // between.
        self.request(WAKE, &mut range(mapping, bytes))
    }

    /// Protects these bytes from writes. Or permits writes, and wakes the tasks that wait.
    ///
    /// # Errors
    ///
    /// The errno of `ioctl(2)`.
    pub fn write_protect(
        &self,
        mapping: &Mapping,
        bytes: Range<usize>,
        is_protected: bool,
    ) -> Result<(), Errno> {
        let [start, len] = range(mapping, bytes);
        self.request(WRITEPROTECT, &mut [start, len, is_protected.into()])
    }

    /// Protects these bytes from reads and writes. Or permits both, and wakes the tasks that wait.
    ///
    /// # Errors
    ///
    /// The errno of `ioctl(2)`.
    pub fn protect(
        &self,
        mapping: &Mapping,
        bytes: Range<usize>,
        is_protected: bool,
    ) -> Result<(), Errno> {
        let [start, len] = range(mapping, bytes);
        self.request(RWPROTECT, &mut [start, len, is_protected.into()])
    }

    /// Fills these bytes, which are not mapped yet, as a request of the kernel does.
    ///
    /// # Errors
    ///
    /// The errno of `ioctl(2)`.
    pub fn fill(&self, mapping: &Mapping, bytes: Range<usize>, with: &Fill) -> Result<(), Errno> {
        let [start, len] = range(mapping, bytes);
        match with {
            Fill::Copy(from) => {
                let [from, _] = range(from, 0..0);
                self.request(COPY, &mut [start, from, len, 0, 0])
            }
            Fill::Zeroes => self.request(ZEROPAGE, &mut [start, len, 0, 0]),
            Fill::PageCache => self.request(CONTINUE, &mut [start, len, 0, 0]),
        }
    }

    /// Waits until a task waits.
    ///
    /// # Errors
    ///
    /// The errno of `poll(2)`.
    pub fn wait(&self) -> Result<(), Failure> {
        let mut faults = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut faults, None)?;
        let events = faults[0].revents();
        if events != PollFlags::IN {
            fail!("poll() answers {events:?}");
        }
        Ok(())
    }

    /// Calls `act` in another thread, and `resolve` for each fault that is told meanwhile.
    ///
    /// # Errors
    ///
    /// The errno of reading the descriptor.
    ///
    /// # Panics
    ///
    /// If `act` panics.
    pub fn during<R: Send>(
        &self,
        act: impl FnOnce() -> R + Send,
        mut resolve: impl FnMut(Fault),
    ) -> Result<R, Failure> {
        thread::scope(|scope| {
            let actor = scope.spawn(act);
            loop {
                // In this order: a fault that is told is read before its thread can end.
                let has_ended = actor.is_finished();
                match self.fault()? {
                    Some(fault) => resolve(fault),
                    None if has_ended => break,
                    None => thread::sleep(Duration::from_millis(1)),
                }
            }
            Ok(actor.join().expect("the thread does not panic"))
        })
    }

    /// The next fault, if one waits.
    fn fault(&self) -> Result<Option<Fault>, Failure> {
        const PAGEFAULT: u64 = 0x12;
        let mut message = [0_u64; 4];
        match rustix::io::read(&self.0, bytes_of(&mut message)) {
            Ok(32) if message[0] & 0xff == PAGEFAULT => Ok(Some(Fault {
                flags: message[1],
                address: usize::try_from(message[2])?,
            })),
            Ok(_) => fail!("unknown message {message:x?}"),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn request(&self, number: c_ulong, argument: &mut [u64]) -> Result<(), Errno> {
        debug_assert_eq!((number >> 16) & 0x3fff, size_of_val(argument) as c_ulong);
        let argument = argument.as_mut_ptr();
        // SAFETY: The number says how many bytes the kernel reads and writes.
        checked(unsafe { libc::ioctl(self.0.as_raw_fd(), number, argument) }).map(|_| ())
    }
}

/// Start and length, as the requests take them.
fn range(mapping: &Mapping, bytes: Range<usize>) -> [u64; 2] {
    let start = mapping.as_ptr().addr() + bytes.start;
    [start, bytes.len()].map(|number| number as u64)
}

fn bytes_of(words: &mut [u64; 4]) -> &mut [u8] {
    // SAFETY: All bytes of the words, which may have any value.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}
