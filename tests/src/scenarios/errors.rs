// SPDX-License-Identifier: MIT OR GPL-2.0

//! What `mmap(2)` and its relatives refuse, and with which error.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use mmap_pool::Errno;
use rustix::fs::OFlags;

use crate::child::in_child;
use crate::observe::{put_word, verdict, word};
use crate::signal::{touch, Access};
use crate::subject::{Object, Subject, PAGE};
use crate::{Answer, Failure};

pub fn length_zero_is_einval(subject: &Subject) -> Answer {
    Call::new().len(0).verdict(&subject.file()?)
}

pub fn unaligned_offset_is_einval(subject: &Subject) -> Answer {
    let file = subject.file()?;
    let low = Call::new().offset(1).verdict(&file)?;
    Ok(format!(
        "{low} {}",
        Call::new().offset(4095).verdict(&file)?
    ))
}

pub fn an_odd_length_maps_whole_pages(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    // In a process of its own, where nobody else maps anything into the gap after it.
    in_child(|| {
        let start = mapping.as_ptr();
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        unmap(start, mapping.len())?;
        let mapped = Call::new()
            .len(5000)
            .at(start)
            .flags(flags)
            .make(&subject.file()?);
        let last = touch(start, 2 * PAGE - 1, Access::Write)?;
        Ok(format!(
            "{}, {last}, {}",
            verdict(&mapped),
            touch(start, 2 * PAGE, Access::Write)?
        ))
    })
}

pub fn neither_shared_nor_private_is_einval(subject: &Subject) -> Answer {
    Call::new().flags(0).verdict(&subject.file()?)
}

pub fn an_unknown_flag_is_ignored_without_validation(subject: &Subject) -> Answer {
    Call::new()
        .flags(libc::MAP_SHARED | UNKNOWN_FLAG)
        .verdict(&subject.file()?)
}

pub fn an_unknown_flag_is_refused_with_validation(subject: &Subject) -> Answer {
    Call::new()
        .flags(libc::MAP_SHARED_VALIDATE | UNKNOWN_FLAG)
        .verdict(&subject.file()?)
}

pub fn map_sync_is_refused(subject: &Subject) -> Answer {
    Call::new()
        .flags(libc::MAP_SHARED_VALIDATE | libc::MAP_SYNC)
        .verdict(&subject.file()?)
}

pub fn validation_accepts_known_flags(subject: &Subject) -> Answer {
    Call::new()
        .flags(libc::MAP_SHARED_VALIDATE)
        .verdict(&subject.file()?)
}

pub fn offset_and_length_that_wrap_are_eoverflow(subject: &Subject) -> Answer {
    Call::new()
        .offset(u64::MAX - 4095)
        .len(2 * PAGE)
        .verdict(&subject.file()?)
}

pub fn an_offset_beyond_any_file_is_eoverflow(subject: &Subject) -> Answer {
    Call::new().offset(1 << 63).verdict(&subject.file()?)
}

pub fn an_end_beyond_any_file_is_eoverflow(subject: &Subject) -> Answer {
    Call::new()
        .offset((1 << 63) - 4096)
        .len(2 * PAGE)
        .verdict(&subject.file()?)
}

pub fn the_last_page_of_any_file_can_be_mapped(subject: &Subject) -> Answer {
    Call::new()
        .offset((1 << 63) - 8192)
        .verdict(&subject.file()?)
}

pub fn a_huge_length_is_enomem(subject: &Subject) -> Answer {
    let file = subject.file()?;
    let large = Call::new().len(1 << 47).verdict(&file)?;
    Ok(format!(
        "{large} {}",
        Call::new().len(usize::MAX).verdict(&file)?
    ))
}

pub fn an_unaligned_fixed_address_is_einval(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    let odd = mapping.as_ptr().wrapping_add(1);
    Call::new()
        .at(odd)
        .flags(libc::MAP_SHARED | libc::MAP_FIXED)
        .verdict(&subject.file()?)
}

pub fn noreplace_spares_what_is_mapped(subject: &Subject) -> Answer {
    subject.put_word(0, "old")?;
    let mapping = subject.shared()?;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE;
    let call = Call::new()
        .at(mapping.as_ptr())
        .flags(flags)
        .offset(PAGE as u64);
    Ok(format!(
        "{}, mapping keeps {}",
        call.verdict(&subject.file()?)?,
        word(&mapping, 0)?
    ))
}

pub fn fixed_replaces_what_is_mapped(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    put_word(&mapping, 0, "old")?;
    put_word(&mapping, PAGE, "new")?;
    let before = word(&mapping, 0)?;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let call = Call::new()
        .at(mapping.as_ptr())
        .flags(flags)
        .offset(PAGE as u64);
    call.make(&subject.file()?)?;
    Ok(format!("{before}, then {}", word(&mapping, 0)?))
}

pub fn a_closed_descriptor_is_ebadf(_subject: &Subject) -> Answer {
    Ok(verdict(&Call::new().make_raw(-1)))
}

pub fn a_path_descriptor_is_ebadf(subject: &Subject) -> Answer {
    Call::new().verdict(&subject.open(OFlags::PATH)?)
}

pub fn hugetlb_is_einval(subject: &Subject) -> Answer {
    Call::new()
        .flags(libc::MAP_SHARED | libc::MAP_HUGETLB)
        .verdict(&subject.file()?)
}

pub fn munmap_refuses_what_it_cannot_do(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    let nothing = verdict(&unmap(mapping.as_ptr(), 0));
    let odd = verdict(&unmap(mapping.as_ptr().wrapping_add(1), PAGE));
    Ok(format!("{nothing} {odd}"))
}

pub fn mprotect_refuses_what_it_cannot_do(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    in_child(|| {
        let protect = |start: *mut u8| {
            // SAFETY: Takes rights away, and gives them back, in a process of its own.
            let result = unsafe { libc::mprotect(start.cast(), PAGE, libc::PROT_READ) };
            verdict(&checked(result))
        };
        let start = mapping.as_ptr();
        let odd = protect(start.wrapping_add(1));
        unmap(start, PAGE)?;
        Ok(format!("{odd} {}", protect(start)))
    })
}

pub fn msync_refuses_what_it_cannot_do(subject: &Subject) -> Answer {
    let mapping = subject.shared()?;
    in_child(|| {
        let sync = |start: *mut u8, flags| {
            // SAFETY: Changes no memory.
            let result = unsafe { libc::msync(start.cast(), PAGE, flags) };
            verdict(&checked(result))
        };
        let start = mapping.as_ptr();
        let odd = sync(start.wrapping_add(1), libc::MS_SYNC);
        let both = sync(start, libc::MS_SYNC | libc::MS_ASYNC);
        unmap(start, PAGE)?;
        Ok(format!("{odd} {both} {}", sync(start, libc::MS_SYNC)))
    })
}

/// A flag that no kernel knows. Those from 2^26 on are not free: they choose a huge page's size.
const UNKNOWN_FLAG: c_int = 1 << 24;

/// A call of `mmap(2)` with anything for arguments: by default a page, shared, from offset 0.
#[derive(Clone, Copy)]
struct Call {
    address: *mut u8,
    len: usize,
    flags: c_int,
    offset: u64,
}

impl Call {
    fn new() -> Self {
        Self {
            address: ptr::null_mut(),
            len: PAGE,
            flags: libc::MAP_SHARED,
            offset: 0,
        }
    }

    fn at(self, address: *mut u8) -> Self {
        Self { address, ..self }
    }

    fn len(self, len: usize) -> Self {
        Self { len, ..self }
    }

    fn flags(self, flags: c_int) -> Self {
        Self { flags, ..self }
    }

    fn offset(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    fn make(self, file: &Object) -> Result<*mut u8, Errno> {
        self.make_raw(file.as_raw_fd())
    }

    /// The system call itself: the C library has an opinion on offsets.
    fn make_raw(self, fd: RawFd) -> Result<*mut u8, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: With MAP_FIXED the callers name a range of their own; otherwise the kernel takes
        // one that nothing uses.
        let start = unsafe {
            libc::syscall(
                libc::SYS_mmap,
                self.address.cast::<c_void>(),
                self.len,
                protection,
                self.flags,
                fd,
                self.offset,
            )
        };
        if start == -1 {
            return Err(last_errno());
        }
        Ok(ptr::with_exposed_provenance_mut(
            usize::try_from(start).unwrap_or(0),
        ))
    }

    /// Makes the call, undoes it, and tells what it answered.
    fn verdict(self, file: &Object) -> Answer {
        let mapped = self.make(file);
        if let Ok(start) = mapped {
            unmap(start, self.len).map_err(Failure::from)?;
        }
        Ok(verdict(&mapped))
    }
}

fn unmap(start: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: The callers name a range of their own and do not use it afterwards.
    checked(unsafe { libc::munmap(start.cast(), len) })
}

fn checked(result: c_int) -> Result<(), Errno> {
    match result {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
