// SPDX-License-Identifier: MIT OR GPL-2.0

//! Signals of memory accesses, caught in a forked child.

use std::ffi::{c_int, c_void};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::pipe::{pipe_with, PipeFlags};

use crate::child::Child;
use crate::machine::place;
use crate::{fail, Answer, Failure};

/// An access to one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loads it.
    Read,
    /// Stores to it.
    Write,
    /// Calls it as a function.
    Execute,
}

/// Accesses the byte at `start + offset` in a child. Returns `ok`, or the signal, its code and the
/// address relative to `start`.
///
/// It takes two children: one catches the signal and reads its `siginfo`, the other dies from it.
///
/// # Errors
///
/// The children disagree, or cannot access the byte.
pub fn touch(start: *mut u8, offset: usize, access: Access) -> Answer {
    let address = start.wrapping_add(offset);
    let caught = caught(address, access)?;
    let fatal = fatal(address, access)?;
    match (&caught, fatal) {
        (None, None) => Ok("ok".into()),
        (Some(caught), Some(fatal)) if caught.signal == fatal => Ok(caught.describe(start)),
        _ => fail!("one child saw {caught:?}, the other died of {fatal:?}"),
    }
}

/// The contents of `siginfo_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caught {
    signal: c_int,
    code: c_int,
    address: usize,
}

impl Caught {
    fn describe(&self, start: *mut u8) -> String {
        let name = match (self.signal, self.code) {
            (libc::SIGBUS, libc::BUS_ADRERR) => "SIGBUS BUS_ADRERR".into(),
            (libc::SIGBUS, libc::BUS_MCEERR_AR) => "SIGBUS BUS_MCEERR_AR".into(),
            (libc::SIGSEGV, SEGV_MAPERR) => "SIGSEGV SEGV_MAPERR".into(),
            (libc::SIGSEGV, SEGV_ACCERR) => "SIGSEGV SEGV_ACCERR".into(),
            (signal, code) => format!("signal {signal} code {code}"),
        };
        let offset = self.address.wrapping_sub(start.addr());
        format!("{name} at +{}", place(offset as u64))
    }
}

const SEGV_MAPERR: c_int = 1;
const SEGV_ACCERR: c_int = 2;

/// The descriptor that the handler writes to.
static REPORT_FD: AtomicI32 = AtomicI32::new(-1);

extern "C" fn report(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: The kernel passes the signal's `siginfo_t`, and both signals have an address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&signal.to_ne_bytes());
    bytes[4..8].copy_from_slice(&code.to_ne_bytes());
    bytes[8..].copy_from_slice(&address.to_ne_bytes());
    let fd = REPORT_FD.load(Ordering::Relaxed);
    // SAFETY: `write` and `_exit` may be called from a handler.
    unsafe {
        libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(0);
    }
}

/// Replaces a page of this process that raises SIGBUS by an anonymous page, from now on.
///
/// # Errors
///
/// The errno of setting a handler.
pub fn replace_pages_that_raise_sigbus() -> Result<(), Failure> {
    handle(replace as usize, libc::SA_SIGINFO)
}

extern "C" fn replace(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: As in `report`.
    let address = unsafe { (*info).si_addr() };
    let page = address.wrapping_byte_sub(address.addr() % crate::subject::page_size());
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: The page could not be accessed, so it holds nothing that is used; this makes a system call alone.
    unsafe {
        if signal != libc::SIGBUS
            || libc::mmap(page, crate::subject::page_size(), protection, flags, -1, 0)
                == libc::MAP_FAILED
        {
            libc::_exit(2);
        }
    }
}

fn caught(address: *mut u8, access: Access) -> Result<Option<Caught>, Failure> {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
    let child = Child::fork(|_| {
        REPORT_FD.store(to.as_raw_fd(), Ordering::Relaxed);
        handle(report as usize, libc::SA_SIGINFO)?;
        perform(address, access);
        Ok(String::new())
    })?;
    drop(to);
    let mut bytes = Vec::new();
    std::fs::File::from(from).read_to_end(&mut bytes)?;
    let status = child.wait()?;
    if status.exit_status() != Some(0) {
        fail!("the child that catches signals ended with {status:?}");
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let (numbers, address) = bytes.split_at(8);
    let (signal, code) = numbers.split_at(4);
    Ok(Some(Caught {
        signal: c_int::from_ne_bytes(signal.try_into()?),
        code: c_int::from_ne_bytes(code.try_into()?),
        address: usize::from_ne_bytes(address.try_into()?),
    }))
}

/// The signal that ends a child without a handler.
fn fatal(address: *mut u8, access: Access) -> Result<Option<c_int>, Failure> {
    let child = Child::fork(|_| {
        handle(libc::SIG_DFL, 0)?;
        perform(address, access);
        Ok(String::new())
    })?;
    let status = child.wait()?;
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), None) => Ok(None),
        (None, Some(signal)) => Ok(Some(signal)),
        _ => fail!("the child ended with {status:?}"),
    }
}

/// Sets what SIGBUS and SIGSEGV do. No core is dumped.
fn handle(handler: usize, flags: c_int) -> Result<(), Failure> {
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: All zeros is a `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    for signal in [libc::SIGBUS, libc::SIGSEGV] {
        // SAFETY: The handler has the form that the flags promise.
        if unsafe { libc::sigaction(signal, &action, ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
    }
    // SAFETY: Reads `no_core`.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
    Ok(())
}

fn perform(address: *mut u8, access: Access) {
    match access {
        Access::Read => {
            // SAFETY: None: what this does is the question. The process exists for nothing else.
            unsafe { address.read_volatile() };
        }
        Access::Write => {
            // SAFETY: As above.
            unsafe { address.write_volatile(1) };
        }
        Access::Execute => {
            // SAFETY: As above.
            let function: extern "C" fn() = unsafe { std::mem::transmute(address) };
            function();
        }
    }
}
