// SPDX-License-Identifier: MIT OR GPL-2.0

//! Calls that `mmap(2)` and its relatives refuse, and the errno.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use mmap_pool::Errno;
use rustix::fs::OFlags;

use crate::child::in_child;
use crate::machine::scaled;
use crate::observe::{put_word, verdict, word};
use crate::scenario::{row, Scenario};
use crate::signal::{touch, Access};
use crate::subject::{page_size, Object};
use crate::{Answer, Failure};

pub(crate) const fn length_zero_is_einval() -> Scenario {
    row("length 0", "EINVAL").test(|subject| Call::new().len(0).verdict(&subject.file()?))
}

pub(crate) const fn unaligned_offset_is_einval() -> Scenario {
    row("offset 1, offset 4095", "EINVAL EINVAL").test(|subject| {
        let file = subject.file()?;
        let low = Call::new().offset(1).verdict(&file)?;
        Ok(format!(
            "{low} {}",
            Call::new().offset(page_size() as u64 - 1).verdict(&file)?
        ))
    })
}

pub(crate) const fn an_odd_length_maps_whole_pages() -> Scenario {
    row(
        "length 5000, touch byte 8191 and the next",
        "ok, ok, SIGSEGV SEGV_MAPERR at +0x2000",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        // In a process of its own, where nothing else is mapped into the gap after it.
        in_child(|| {
            let start = mapping.as_ptr();
            let flags = libc::MAP_SHARED | libc::MAP_FIXED;
            unmap(start, mapping.len())?;
            let mapped = Call::new()
                .len(scaled(5000))
                .at(start)
                .flags(flags)
                .make(&subject.file()?);
            let last = touch(start, 2 * page_size() - 1, Access::Write)?;
            Ok(format!(
                "{}, {last}, {}",
                verdict(&mapped),
                touch(start, 2 * page_size(), Access::Write)?
            ))
        })
    })
}

pub(crate) const fn neither_shared_nor_private_is_einval() -> Scenario {
    row("no sharing flag", "EINVAL").test(|subject| Call::new().flags(0).verdict(&subject.file()?))
}

pub(crate) const fn an_unknown_flag_is_ignored_without_validation() -> Scenario {
    row("MAP_SHARED and an unknown flag", "ok").test(|subject| {
        Call::new()
            .flags(libc::MAP_SHARED | UNKNOWN_FLAG)
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn an_unknown_flag_is_refused_with_validation() -> Scenario {
    row("MAP_SHARED_VALIDATE and an unknown flag", "EOPNOTSUPP").test(|subject| {
        Call::new()
            .flags(libc::MAP_SHARED_VALIDATE | UNKNOWN_FLAG)
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn map_sync_is_refused() -> Scenario {
    row("MAP_SHARED_VALIDATE and MAP_SYNC", "EOPNOTSUPP").test(|subject| {
        Call::new()
            .flags(libc::MAP_SHARED_VALIDATE | libc::MAP_SYNC)
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn validation_accepts_known_flags() -> Scenario {
    row("MAP_SHARED_VALIDATE alone", "ok").test(|subject| {
        Call::new()
            .flags(libc::MAP_SHARED_VALIDATE)
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn offset_and_length_that_wrap_are_eoverflow() -> Scenario {
    row("offset 2^64 - 4096, length 8192", "EOVERFLOW").test(|subject| {
        Call::new()
            .offset(u64::MAX - (page_size() as u64 - 1))
            .len(2 * page_size())
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn an_offset_beyond_any_file_is_eoverflow() -> Scenario {
    row("offset 2^63", "EOVERFLOW")
        .test(|subject| Call::new().offset(1 << 63).verdict(&subject.file()?))
}

pub(crate) const fn an_end_beyond_any_file_is_eoverflow() -> Scenario {
    row("offset 2^63 - 4096, length 8192", "EOVERFLOW").test(|subject| {
        Call::new()
            .offset((1 << 63) - page_size() as u64)
            .len(2 * page_size())
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn the_last_page_of_any_file_can_be_mapped() -> Scenario {
    row("offset 2^63 - 8192, length 4096", "ok").test(|subject| {
        Call::new()
            .offset((1 << 63) - 2 * page_size() as u64)
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn a_huge_length_is_enomem() -> Scenario {
    row("length 2^52, length 2^64 - 1", "ENOMEM ENOMEM").test(|subject| {
        let file = subject.file()?;
        let large = Call::new().len(1 << 52).verdict(&file)?;
        Ok(format!(
            "{large} {}",
            Call::new().len(usize::MAX).verdict(&file)?
        ))
    })
}

pub(crate) const fn an_unaligned_fixed_address_is_einval() -> Scenario {
    row("MAP_FIXED at an odd address", "EINVAL").test(|subject| {
        let mapping = subject.shared()?;
        let odd = mapping.as_ptr().wrapping_add(1);
        Call::new()
            .at(odd)
            .flags(libc::MAP_SHARED | libc::MAP_FIXED)
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn noreplace_spares_what_is_mapped() -> Scenario {
    row(
        "MAP_FIXED_NOREPLACE over a mapping",
        "EEXIST, mapping keeps old",
    )
    .test(|subject| {
        subject.put_word(0, "old")?;
        let mapping = subject.shared()?;
        let flags = libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE;
        let call = Call::new()
            .at(mapping.as_ptr())
            .flags(flags)
            .offset(page_size() as u64);
        Ok(format!(
            "{}, mapping keeps {}",
            call.verdict(&subject.file()?)?,
            word(&mapping, 0)?
        ))
    })
}

pub(crate) const fn fixed_replaces_what_is_mapped() -> Scenario {
    row(
        "MAP_FIXED over a mapping of the same object",
        "old, then new",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 0, "old")?;
        put_word(&mapping, page_size(), "new")?;
        let before = word(&mapping, 0)?;
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let call = Call::new()
            .at(mapping.as_ptr())
            .flags(flags)
            .offset(page_size() as u64);
        call.make(&subject.file()?)?;
        Ok(format!("{before}, then {}", word(&mapping, 0)?))
    })
}

pub(crate) const fn a_closed_descriptor_is_ebadf() -> Scenario {
    row("a descriptor that is closed", "EBADF").test(|subject| {
        // No other thread takes the number in a process of its own.
        in_child(|| {
            let file = subject.file()?;
            let number = file.as_raw_fd();
            drop(file);
            Ok(verdict(&Call::new().make_raw(number)))
        })
    })
}

pub(crate) const fn a_path_descriptor_is_ebadf() -> Scenario {
    row("a descriptor opened O_PATH", "EBADF")
        .test(|subject| Call::new().verdict(&subject.open(OFlags::PATH)?))
}

pub(crate) const fn hugetlb_is_einval() -> Scenario {
    row("MAP_HUGETLB on the descriptor", "EINVAL").test(|subject| {
        Call::new()
            .flags(libc::MAP_SHARED | libc::MAP_HUGETLB)
            .verdict(&subject.file()?)
    })
}

pub(crate) const fn munmap_refuses_what_it_cannot_do() -> Scenario {
    row("munmap() length 0, odd address", "EINVAL EINVAL").test(|subject| {
        let mapping = subject.shared()?;
        let nothing = verdict(&unmap(mapping.as_ptr(), 0));
        let odd = verdict(&unmap(mapping.as_ptr().wrapping_add(1), page_size()));
        Ok(format!("{nothing} {odd}"))
    })
}

pub(crate) const fn mprotect_refuses_what_it_cannot_do() -> Scenario {
    row("mprotect() odd address, unmapped range", "EINVAL ENOMEM").test(|subject| {
        let mapping = subject.shared()?;
        in_child(|| {
            let protect = |start: *mut u8| {
                // SAFETY: Takes rights away, and gives them back, in a process of its own.
                let result = unsafe { libc::mprotect(start.cast(), page_size(), libc::PROT_READ) };
                verdict(&checked(result))
            };
            let start = mapping.as_ptr();
            let odd = protect(start.wrapping_add(1));
            unmap(start, page_size())?;
            Ok(format!("{odd} {}", protect(start)))
        })
    })
}

pub(crate) const fn msync_refuses_what_it_cannot_do() -> Scenario {
    row(
        "msync() odd address, both SYNC and ASYNC, unmapped",
        "EINVAL EINVAL ENOMEM",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        in_child(|| {
            let sync = |start: *mut u8, flags| {
                // SAFETY: Changes no memory.
                let result = unsafe { libc::msync(start.cast(), page_size(), flags) };
                verdict(&checked(result))
            };
            let start = mapping.as_ptr();
            let odd = sync(start.wrapping_add(1), libc::MS_SYNC);
            let both = sync(start, libc::MS_SYNC | libc::MS_ASYNC);
            unmap(start, page_size())?;
            Ok(format!("{odd} {both} {}", sync(start, libc::MS_SYNC)))
        })
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
            len: page_size(),
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

    /// The system call itself: the C library checks offsets.
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

    /// Makes the call, undoes it, and returns its result.
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
