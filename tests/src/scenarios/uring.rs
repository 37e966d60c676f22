// SPDX-License-Identifier: MIT OR GPL-2.0

//! `io_uring(7)` by its system calls, one request at a time.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Release};

use mmap_pool::{Errno, Mapping, MappingBuilder};

use crate::observe::{checked, last_errno};
use crate::subject::page_size;
use crate::{fail, Failure};

const READ_FIXED: u8 = 4;
const WRITE_FIXED: u8 = 5;
const READ: u8 = 22;
const WRITE: u8 = 23;
const ENTER_GETEVENTS: u32 = 1;
const REGISTER_BUFFERS: u32 = 0;
const OFFSET_OF_SQES: u64 = 0x1000_0000;
const NR_ENTRIES: u32 = 4;
const PARAMS_LEN: usize = 120;

/// A ring.
pub(super) struct Ring {
    fd: OwnedFd,
    /// Heads, tails and completions: one mapping on every kernel since 5.4.
    rings: Mapping,
    entries: Mapping,
    params: Params,
}

/// Places in `struct io_uring_params`, in words: the submission ring's offsets start at 10, the
/// completion ring's at 20.
mod at {
    pub(super) const SQ_TAIL: usize = 11;
    pub(super) const SQ_ARRAY: usize = 16;
    pub(super) const CQ_HEAD: usize = 20;
    pub(super) const CQ_TAIL: usize = 21;
    pub(super) const CQ_MASK: usize = 22;
    pub(super) const CQ_CQES: usize = 25;
}

/// `struct io_uring_params`, in words.
type Params = [u32; PARAMS_LEN / 4];

/// Makes rings with so many entries.
///
/// # Errors
///
/// The errno of the call.
pub(crate) fn set_up(nr_entries: u32) -> Result<(OwnedFd, Params), Failure> {
    let mut params = [0; PARAMS_LEN / 4];
    // SAFETY: The kernel fills `params`.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, nr_entries, params.as_mut_ptr()) };
    let Ok(fd) = i32::try_from(checked(fd)?) else {
        fail!("no descriptor");
    };
    // SAFETY: The descriptor is new.
    Ok((unsafe { OwnedFd::from_raw_fd(fd) }, params))
}

impl Ring {
    pub(super) fn new() -> Result<Self, Failure> {
        let (fd, params) = set_up(NR_ENTRIES)?;
        let map = |offset| {
            let builder = MappingBuilder::shared().offset(offset).len(page_size());
            // SAFETY: What is written there are requests on memory that the tests own.
            unsafe { builder.map_file(&fd) }
        };
        Ok(Self {
            rings: map(0)?,
            entries: map(OFFSET_OF_SQES)?,
            params,
            fd,
        })
    }

    /// Pins `len` bytes from `start` as the buffer of the fixed operations.
    pub(super) fn register(&self, start: *mut u8, len: usize) -> Result<(), Failure> {
        let vector = libc::iovec {
            iov_base: start.cast(),
            iov_len: len,
        };
        // SAFETY: The vector is read; the memory may be changed by others.
        let registered = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.fd.as_raw_fd(),
                REGISTER_BUFFERS,
                &raw const vector,
                1,
            )
        };
        checked(registered)?;
        Ok(())
    }

    pub(super) fn read(&mut self, file: &File, to: *mut u8, len: usize, offset: u64) -> Outcome {
        self.submit(READ, file, to, len, offset)
    }

    pub(super) fn write(&mut self, file: &File, from: *mut u8, len: usize, offset: u64) -> Outcome {
        self.submit(WRITE, file, from, len, offset)
    }

    pub(super) fn read_fixed(
        &mut self,
        file: &File,
        to: *mut u8,
        len: usize,
        offset: u64,
    ) -> Outcome {
        self.submit(READ_FIXED, file, to, len, offset)
    }

    pub(super) fn write_fixed(
        &mut self,
        file: &File,
        from: *mut u8,
        len: usize,
        offset: u64,
    ) -> Outcome {
        self.submit(WRITE_FIXED, file, from, len, offset)
    }

    fn submit(
        &mut self,
        operation: u8,
        file: &File,
        buffer: *mut u8,
        len: usize,
        offset: u64,
    ) -> Outcome {
        let mut entry = [0_u8; 64];
        entry[0] = operation;
        entry[4..8].copy_from_slice(&file.as_raw_fd().to_ne_bytes());
        entry[8..16].copy_from_slice(&offset.to_ne_bytes());
        entry[16..24].copy_from_slice(&buffer.addr().to_ne_bytes());
        entry[24..28].copy_from_slice(&u32::try_from(len)?.to_ne_bytes());
        self.entries.write_at(&entry, 0)?;

        self.rings
            .atomic_u32(self.place(at::SQ_ARRAY))?
            .store(0, Release);
        let tail = self.rings.atomic_u32(self.place(at::SQ_TAIL))?;
        tail.store(tail.load(Acquire).wrapping_add(1), Release);
        // SAFETY: The entry names memory that the callers let the kernel read or write.
        let entered = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.fd.as_raw_fd(),
                1,
                1,
                ENTER_GETEVENTS,
                ptr::null::<u8>(),
                0,
            )
        };
        if entered != 1 {
            return Err(io::Error::from(last_errno()).into());
        }
        let head = self.rings.atomic_u32(self.place(at::CQ_HEAD))?;
        if head.load(Acquire)
            == self
                .rings
                .atomic_u32(self.place(at::CQ_TAIL))?
                .load(Acquire)
        {
            fail!("no completion");
        }
        let mask = self
            .rings
            .atomic_u32(self.place(at::CQ_MASK))?
            .load(Acquire);
        let index = usize::try_from(head.load(Acquire) & mask)?;
        let mut result = [0; 4];
        let completion = self.place(at::CQ_CQES) + index * 16;
        self.rings.read_at(&mut result, completion + 8)?;
        head.store(head.load(Acquire).wrapping_add(1), Release);
        let result = i32::from_ne_bytes(result);
        Ok(u32::try_from(result).map_err(|_| Errno::from_raw_os_error(-result)))
    }

    fn place(&self, field: usize) -> usize {
        self.params[field] as usize
    }
}

/// The result of a request.
pub(super) type Outcome = Result<Result<u32, Errno>, Failure>;
