// SPDX-License-Identifier: MIT OR GPL-2.0

//! Calls on the memory and the files of other processes.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{call, word, Answer, ARENA};
use crate::page_size;

fn start_of<T>(items: &[T]) -> u64 {
    items.as_ptr().addr() as u64
}

/// Takes ownership of a new descriptor. An error stays a negated errno.
fn owned(answer: Answer) -> Result<OwnedFd, Answer> {
    match i32::try_from(answer) {
        // SAFETY: The kernel has just created the descriptor for the caller.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(answer),
    }
}

fn fd_word(fd: &OwnedFd) -> u64 {
    word(fd.as_raw_fd().into())
}

/// `move_pages(2)`, also for pages that several processes map. Takes page numbers of the arena. Without
/// `nodes` no page moves. The status of a page is its node, or a negated errno.
///
/// # Panics
///
/// The slices do not have the same length.
pub fn move_pages(pid: i32, pages: &[u64], nodes: Option<&[i32]>, status: &mut [i32]) -> Answer {
    const MOVE_ALL: u64 = 4;
    assert_eq!(pages.len(), status.len());
    assert!(nodes.is_none_or(|nodes| nodes.len() == pages.len()));
    let addresses: Vec<u64> = pages
        .iter()
        .map(|page| ARENA + page * page_size())
        .collect();
    let arguments = [
        word(pid.into()),
        pages.len() as u64,
        start_of(&addresses),
        nodes.map_or(0, start_of),
        status.as_mut_ptr().addr() as u64,
        MOVE_ALL,
    ];
    // SAFETY: All three arrays have the given length. A page that moves keeps its address.
    unsafe { call(libc::SYS_move_pages, arguments) }
}

/// `migrate_pages(2)` from one node to another. Returns the number of pages that did not move.
#[must_use]
pub fn migrate_pages(pid: i32, from: usize, to: usize) -> Answer {
    let [from, to] = [1_u64 << from, 1_u64 << to];
    let masks = [&raw const from, &raw const to].map(|mask| mask.addr() as u64);
    let arguments = [word(pid.into()), 64, masks[0], masks[1]];
    // SAFETY: The kernel reads both masks.
    unsafe { call(libc::SYS_migrate_pages, arguments) }
}

/// The two vectors of `process_vm_readv(2)` and `process_vm_writev(2)`: our buffer, and a range of the
/// arena.
fn vectors(at: u64, start: u64, len: u64) -> [[u64; 2]; 2] {
    [[start, len], [ARENA + at, len]]
}

/// `process_vm_readv(2)` of the arena.
pub fn peek(pid: i32, at: u64, bytes: &mut [u8]) -> Answer {
    let start = bytes.as_mut_ptr().addr() as u64;
    let vectors = vectors(at, start, bytes.len() as u64);
    let [own, others] = [&vectors[0], &vectors[1]].map(|vector| start_of(vector));
    // SAFETY: The kernel writes to `bytes` only.
    unsafe {
        call(
            libc::SYS_process_vm_readv,
            [word(pid.into()), own, 1, others, 1, 0],
        )
    }
}

/// `process_vm_writev(2)` to the arena of another process. Memory there may change at any time.
#[must_use]
pub fn poke(pid: i32, at: u64, bytes: &[u8]) -> Answer {
    let vectors = vectors(at, start_of(bytes), bytes.len() as u64);
    let [own, others] = [&vectors[0], &vectors[1]].map(|vector| start_of(vector));
    // SAFETY: The kernel reads `bytes`, and writes to an arena, where no Rust object is.
    unsafe {
        call(
            libc::SYS_process_vm_writev,
            [word(pid.into()), own, 1, others, 1, 0],
        )
    }
}

/// An inotify instance.
///
/// # Errors
///
/// The errno, negated.
pub fn inotify() -> Result<OwnedFd, Answer> {
    let flags = u64::from((libc::IN_CLOEXEC | libc::IN_NONBLOCK).unsigned_abs());
    // SAFETY: Only makes a descriptor.
    owned(unsafe { call(libc::SYS_inotify_init1, [flags]) })
}

/// Watches all events of the file at `path`.
#[must_use]
pub fn inotify_watch(instance: &OwnedFd, path: &CString) -> Answer {
    let arguments = [
        fd_word(instance),
        path.as_ptr().addr() as u64,
        libc::IN_ALL_EVENTS.into(),
    ];
    // SAFETY: The path ends.
    unsafe { call(libc::SYS_inotify_add_watch, arguments) }
}

/// `inotify_rm_watch(2)`.
#[must_use]
pub fn inotify_forget(instance: &OwnedFd, watch: Answer) -> Answer {
    // SAFETY: Touches no memory of this process.
    unsafe { call(libc::SYS_inotify_rm_watch, [fd_word(instance), word(watch)]) }
}

/// A fanotify group.
///
/// # Errors
///
/// The errno, negated.
pub fn fanotify() -> Result<OwnedFd, Answer> {
    let flags = libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_CLASS_NOTIF;
    // SAFETY: Only makes a descriptor.
    owned(unsafe { call(libc::SYS_fanotify_init, [flags.into(), 0]) })
}

/// Marks the file at `path`, or removes the mark.
#[must_use]
pub fn fanotify_mark(group: &OwnedFd, path: &CString, is_new: bool) -> Answer {
    let flags = if is_new {
        libc::FAN_MARK_ADD
    } else {
        libc::FAN_MARK_REMOVE
    };
    let events = libc::FAN_OPEN | libc::FAN_ACCESS | libc::FAN_MODIFY | libc::FAN_CLOSE;
    let arguments = [
        fd_word(group),
        flags.into(),
        events,
        word(libc::AT_FDCWD.into()),
        path.as_ptr().addr() as u64,
    ];
    // SAFETY: The path ends.
    unsafe { call(libc::SYS_fanotify_mark, arguments) }
}

/// A pipe: the read end and the write end.
///
/// # Errors
///
/// The errno, negated.
pub fn pipe() -> Result<[OwnedFd; 2], Answer> {
    let mut fds = [-1_i32; 2];
    let flags = u64::from((libc::O_CLOEXEC | libc::O_NONBLOCK).unsigned_abs());
    // SAFETY: There is room for two descriptors.
    match unsafe { call(libc::SYS_pipe2, [fds.as_mut_ptr().addr() as u64, flags]) } {
        // SAFETY: The kernel has just made both.
        0 => Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })),
        errno => Err(errno),
    }
}

/// `vmsplice(2)`: the pipe pins the pages of this memory, which must be mapped from a file.
#[must_use]
pub fn hold_in_pipe(pipe: &OwnedFd, start: *const u8, len: usize) -> Answer {
    let vector = [start.addr() as u64, len as u64];
    let arguments = [
        fd_word(pipe),
        start_of(&vector),
        1,
        libc::SPLICE_F_NONBLOCK.into(),
    ];
    // SAFETY: The kernel only reads the pages, or refuses.
    unsafe { call(libc::SYS_vmsplice, arguments) }
}

/// An `io_uring(7)`.
///
/// # Errors
///
/// The errno, negated.
pub fn ring() -> Result<OwnedFd, Answer> {
    let mut params = [0_u32; 30];
    let params = params.as_mut_ptr().addr() as u64;
    // SAFETY: `params` is as large as `struct io_uring_params`.
    owned(unsafe { call(libc::SYS_io_uring_setup, [1, params]) })
}

/// Registers a buffer: the ring pins its pages until the ring is closed.
#[must_use]
pub fn hold_in_ring(ring: &OwnedFd, start: *mut u8, len: usize) -> Answer {
    const REGISTER_BUFFERS: u64 = 0;
    let vector = [start.addr() as u64, len as u64];
    let arguments = [fd_word(ring), REGISTER_BUFFERS, start_of(&vector), 1];
    // SAFETY: The kernel only pins the pages, or refuses.
    unsafe { call(libc::SYS_io_uring_register, arguments) }
}

/// `mincore(2)`: whether each page of a mapping is resident.
///
/// # Errors
///
/// The errno, negated.
pub fn resident(start: *const u8, nr_pages: usize) -> Result<Vec<bool>, Answer> {
    let mut pages = vec![0_u8; nr_pages];
    let len = nr_pages as u64 * page_size();
    let arguments = [start.addr() as u64, len, pages.as_mut_ptr().addr() as u64];
    // SAFETY: There is a byte for each page.
    match unsafe { call(libc::SYS_mincore, arguments) } {
        0 => Ok(pages.iter().map(|page| page & 1 != 0).collect()),
        errno => Err(errno),
    }
}
