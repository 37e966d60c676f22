// SPDX-License-Identifier: MIT OR GPL-2.0

//! Acts on the files of a process: watching them, and pinning their pages.

use std::ffi::CString;
use std::fs::File;
use std::thread;
use std::time::Duration;

use mmap_pool::{Mapping, MappingBuilder, Protection};
use mmap_pool_tests::slow_page::SlowPage;

use super::machine::Frozen;
use super::{Actor, Done, Refusal};
use crate::sys::{remote, Answer};
use crate::worker::FIRST_SLOT;
use crate::{huge_pages, page_size, SLOTS};

/// The most pages pinned at a time. A pipe has room for 16.
const NR_PINNED: u64 = 8;

/// Pages of an object that the acts consider.
fn nr_pages() -> usize {
    3 * huge_pages() as usize
}

impl From<Answer> for Refusal {
    fn from(errno: Answer) -> Self {
        match i32::try_from(-errno) {
            Ok(libc::ENOSYS | libc::EOPNOTSUPP) => Self::Lacking,
            _ => Self::Refused,
        }
    }
}

fn checked(answer: Answer) -> Result<Answer, Refusal> {
    if answer < 0 {
        return Err(answer.into());
    }
    Ok(answer)
}

/// The path of a file of some process.
fn path(actor: &mut Actor) -> Result<String, Refusal> {
    let pid = actor.target()?;
    let slot = FIRST_SLOT + actor.below(SLOTS as u64) as i32;
    Ok(format!("/proc/{pid}/fd/{slot}"))
}

fn c_path(actor: &mut Actor) -> Result<CString, Refusal> {
    CString::new(path(actor)?).map_err(|_| Refusal::Refused)
}

/// Watches a file for up to 2 ms. The watch is removed alone, or with the inotify instance.
pub(super) fn inotify(actor: &mut Actor) -> Done {
    let instance = remote::inotify()?;
    let path = c_path(actor)?;
    let watch = checked(remote::inotify_watch(&instance, &path))?;
    actor.linger();
    if actor.below(4) > 0 {
        // The watch is gone already if the file is.
        let _ = remote::inotify_forget(&instance, watch);
    }
    Ok(1)
}

/// Marks a file for up to 2 ms.
pub(super) fn fanotify(actor: &mut Actor) -> Done {
    let group = remote::fanotify()?;
    let path = c_path(actor)?;
    checked(remote::fanotify_mark(&group, &path, true))?;
    actor.linger();
    if actor.below(2) > 0 {
        let _ = remote::fanotify_mark(&group, &path, false);
    }
    Ok(1)
}

/// Maps a file of a process. Returns the mapping, and offset and length of a run of resident pages. The
/// caller must have frozen all processes.
fn mapped(
    actor: &mut Actor,
    path: &str,
    prot: Protection,
) -> Result<(Mapping, usize, usize), Refusal> {
    let is_writable = prot.contains(Protection::WRITE);
    let file = File::options().read(true).write(is_writable).open(path)?;
    let builder = MappingBuilder::shared()
        .protection(prot)
        .len(nr_pages() * page_size() as usize);
    // SAFETY: The workers open only pools and memfds, which are memory.
    let mapping = unsafe { builder.map_file(&file) }.map_err(|_| Refusal::Refused)?;
    let resident = remote::resident(mapping.as_ptr(), nr_pages())?;
    let pages: Vec<_> = (0..nr_pages()).filter(|page| resident[*page]).collect();
    let start = actor.pick(&pages)?;
    let max = 1 + actor.below(NR_PINNED) as usize;
    let len = resident[start..]
        .iter()
        .take(max)
        .take_while(|it| **it)
        .count();
    Ok((
        mapping,
        start * page_size() as usize,
        len * page_size() as usize,
    ))
}

/// Lets a pipe pin pages for up to 2 ms.
pub(super) fn pin_in_pipe(actor: &mut Actor) -> Done {
    let pins = actor.pins;
    let Ok(_pins) = pins.try_lock() else {
        return Err(Refusal::Refused);
    };
    let path = path(actor)?;
    let [_out, into] = remote::pipe()?;
    let frozen = Frozen::new()?;
    let (mapping, start, len) = mapped(actor, &path, Protection::READ)?;
    let held = checked(remote::hold_in_pipe(
        &into,
        mapping.as_ptr().wrapping_add(start),
        len,
    ))?;
    drop((mapping, frozen));
    actor.linger();
    Ok(held.unsigned_abs() / page_size())
}

/// Lets a ring pin pages for up to 2 ms.
pub(super) fn pin_in_ring(actor: &mut Actor) -> Done {
    let pins = actor.pins;
    let Ok(_pins) = pins.try_lock() else {
        return Err(Refusal::Refused);
    };
    let path = path(actor)?;
    let ring = remote::ring()?;
    let (mapping, start, len) = mapped(actor, &path, Protection::READ_WRITE)?;
    checked(remote::hold_in_ring(
        &ring,
        mapping.as_ptr().wrapping_add(start),
        len,
    ))?;
    drop(mapping);
    actor.linger();
    Ok(len as u64 / page_size())
}

/// Reads from a file into a page whose fault waits for up to 2 ms.
pub(super) fn slow_read(actor: &mut Actor) -> Done {
    let pins = actor.pins;
    let Ok(_pins) = pins.try_lock() else {
        return Err(Refusal::Refused);
    };
    let file = File::open(path(actor)?)?;
    let page = SlowPage::new().map_err(|_| Refusal::Lacking)?;
    let offset = (actor.below(nr_pages() as u64) * page_size()) as i64;
    let pause = Duration::from_micros(actor.below(2000));
    let read = thread::scope(|scope| {
        scope.spawn(|| {
            // If one of these fails, the read never returns.
            page.wait_until_touched().expect("waiting for the fault");
            thread::sleep(pause);
            page.let_come().expect("resolving the fault");
        });
        page.read_from(&file, offset)
    });
    read.map_err(|_| Refusal::Refused)
}
