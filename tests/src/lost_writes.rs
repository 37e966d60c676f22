// SPDX-License-Identifier: MIT OR GPL-2.0

//! Writes with `write(2)` while the kernel moves the page, and counts the lost writes.
//!
//! One thread writes numbers into the slots of a page and reads them back. Another thread makes the
//! kernel act on that page. A number that does not come back is lost.

use std::fmt;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use mmap_pool::{Mapping, MappingBuilder, Pool, Strategy};
use rustix::fs::{fallocate, ftruncate, memfd_create, FallocateFlags, MemfdFlags};

use crate::console::Quiet;
use crate::machine::HUGE;
use crate::observe::checked;
use crate::subject::page_size;
use crate::{fail, Failure};

/// Bytes of the object: one page of each huge page of it is written.
const SIZE: usize = 8 * HUGE;
/// Bytes of a number.
const SLOT: usize = 8;

/// The object that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A pool with this strategy.
    Pool(Strategy),
    /// A memfd.
    Memfd,
}

/// What the kernel does to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing, for comparison.
    Nothing,
    /// `MADV_SOFT_OFFLINE`: copies the page to another frame and takes the old frame out of use.
    SoftOffline,
    /// `move_pages(2)`: moves the folio to the other node.
    MovePages,
    /// Splits the folio, if it is large.
    Split,
}

/// When to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The kernel has acted this often.
    Acts(usize),
    /// This time has passed.
    Passed(Duration),
}

/// The result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Numbers that were written.
    pub nr_writes: usize,
    /// Numbers that did not come back.
    pub nr_lost: usize,
    /// How often the kernel acted.
    pub nr_acts: usize,
    /// How often the kernel could not act.
    pub nr_refused: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            nr_writes,
            nr_lost,
            nr_acts,
            nr_refused,
        } = self;
        write!(
            f,
            "writes {nr_writes}, lost {nr_lost}, acts {nr_acts}, refused {nr_refused}"
        )
    }
}

impl FromStr for Object {
    type Err = Failure;

    fn from_str(word: &str) -> Result<Self, Failure> {
        if word == "memfd" {
            return Ok(Self::Memfd);
        }
        let strategy = Strategy::ALL
            .into_iter()
            .find(|strategy| strategy.name() == word);
        match strategy {
            Some(strategy) => Ok(Self::Pool(strategy)),
            None => fail!("{word}: a strategy or memfd is wanted"),
        }
    }
}

impl FromStr for Act {
    type Err = Failure;

    fn from_str(word: &str) -> Result<Self, Failure> {
        Ok(match word {
            "nothing" => Self::Nothing,
            "soft-offline" => Self::SoftOffline,
            "move" => Self::MovePages,
            "split" => Self::Split,
            _ => fail!("{word}: nothing, soft-offline, move or split is wanted"),
        })
    }
}

impl Object {
    fn make(self) -> Result<File, Failure> {
        Ok(match self {
            Self::Pool(strategy) => OwnedFd::from(
                Pool::create()
                    .strategy(strategy)
                    .size_bytes(SIZE as u64)
                    .create()?,
            )
            .into(),
            Self::Memfd => {
                let memfd = memfd_create("lost_writes", MemfdFlags::CLOEXEC)?;
                ftruncate(&memfd, SIZE as u64)?;
                memfd.into()
            }
        })
    }

    /// Whether a hole can be punched.
    fn can_be_punched(self) -> bool {
        self != Self::Pool(Strategy::Eager)
    }
}

impl Act {
    /// The reason if this guest cannot do it.
    #[must_use]
    pub fn is_missing(self) -> Option<&'static str> {
        let (path, reason) = match self {
            Self::Nothing => return None,
            Self::SoftOffline => (
                "/proc/sys/vm/enable_soft_offline",
                "this kernel takes no frames out of use",
            ),
            Self::MovePages => (
                "/sys/devices/system/node/node1",
                "this guest has one node: pages cannot be moved to another",
            ),
            Self::Split => (SPLIT, "this kernel has no split_huge_pages"),
        };
        (!Path::new(path).exists()).then_some(reason)
    }

    /// Acts on the page at `offset`, for the `nth` time, counted from 0.
    ///
    /// # Errors
    ///
    /// The kernel could not act.
    fn perform(self, mapping: &Mapping, offset: usize, nth: usize) -> Result<(), Failure> {
        // The page has to be mapped.
        mapping.read_at(&mut [0], offset)?;
        let address = mapping.as_ptr().wrapping_add(offset);
        match self {
            Self::Nothing => thread::yield_now(),
            Self::SoftOffline => {
                // SAFETY: The page belongs to the mapping, and keeps what is in it.
                checked(unsafe { libc::madvise(address.cast(), page_size(), MADV_SOFT_OFFLINE) })?;
            }
            Self::MovePages => move_page(address, i32::from(nth % 2 == 0))?,
            Self::Split => {
                let (start, end) = (address.addr(), address.addr() + page_size());
                fs::write(SPLIT, format!("{},{start:#x},{end:#x},0", process::id()))?;
            }
        }
        Ok(())
    }
}

const SPLIT: &str = "/sys/kernel/debug/split_huge_pages";
const MADV_SOFT_OFFLINE: i32 = 101;

/// Moves the folio that is mapped at `address` to `node`.
///
/// # Errors
///
/// The folio is not on that node afterwards.
fn move_page(address: *mut u8, node: i32) -> Result<(), Failure> {
    const MPOL_MF_MOVE_ALL: i32 = 4;
    let mut status = -1;
    // SAFETY: The kernel reads one address and one node, and writes one status.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            1_usize,
            &raw const address,
            &raw const node,
            &raw mut status,
            MPOL_MF_MOVE_ALL,
        )
    };
    checked(result)?;
    if status != node {
        fail!("the page is on node {status}, not {node}");
    }
    Ok(())
}

/// What both threads share.
struct Stage {
    /// First byte of the page that is written.
    offset: AtomicUsize,
    nr_acts: AtomicUsize,
    nr_refused: AtomicUsize,
    is_over: AtomicBool,
}

/// Writes to `object` while the kernel acts on it.
///
/// # Errors
///
/// The object cannot be made, written or read.
pub fn count(object: Object, act: Act, until: Until) -> Result<Tally, Failure> {
    let file = object.make()?;
    // SAFETY: A pool or memfd, which is memory.
    let mapping = unsafe { MappingBuilder::shared().len(SIZE).map_file(&file) }?;
    let stage = Stage {
        offset: AtomicUsize::new(0),
        nr_acts: AtomicUsize::new(0),
        nr_refused: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    };
    // The kernel tells of each frame that goes out of use.
    let quiet = Quiet::new()?;
    let result = thread::scope(|scope| {
        let actor = scope.spawn(|| act_again_and_again(act, &mapping, &stage));
        let result = write_again_and_again(object, &file, until, &stage, || actor.is_finished());
        stage.is_over.store(true, Relaxed);
        result
    });
    drop(quiet);
    let (nr_writes, nr_lost) = result?;
    Ok(Tally {
        nr_writes,
        nr_lost,
        nr_acts: stage.nr_acts.load(Relaxed),
        nr_refused: stage.nr_refused.load(Relaxed),
    })
}

fn act_again_and_again(act: Act, mapping: &Mapping, stage: &Stage) {
    for nth in 0.. {
        if stage.is_over.load(Relaxed) {
            break;
        }
        let count = match act.perform(mapping, stage.offset.load(Relaxed), nth) {
            Ok(()) => &stage.nr_acts,
            Err(_) => &stage.nr_refused,
        };
        count.fetch_add(1, Relaxed);
    }
}

/// Returns the number of writes, and of lost ones.
fn write_again_and_again(
    object: Object,
    file: &File,
    until: Until,
    stage: &Stage,
    is_alone: impl Fn() -> bool,
) -> Result<(usize, usize), Failure> {
    let began = Instant::now();
    let (mut nr_writes, mut nr_lost) = (0, 0);
    for round in 0.. {
        let is_enough = match until {
            Until::Acts(nr_acts) => stage.nr_acts.load(Relaxed) >= nr_acts,
            Until::Passed(time) => began.elapsed() >= time,
        };
        if is_enough {
            break;
        }
        if matches!(until, Until::Acts(nr_acts) if stage.nr_refused.load(Relaxed) > 100 * nr_acts) {
            fail!("the kernel refuses to act");
        }
        if is_alone() {
            fail!("the thread that lets the kernel act has ended");
        }
        // A different huge page each time. Once all were used, they are made anew: some are split.
        let place = round % (SIZE / HUGE);
        if place == 0 {
            make_anew(object, file)?;
        }
        let offset = place * HUGE + round % (HUGE / page_size()) * page_size();
        stage.offset.store(offset, Relaxed);
        let mut numbers = Vec::with_capacity(page_size());
        for slot in 0..page_size() / SLOT {
            let number = (nr_writes as u64).to_ne_bytes();
            file.write_all_at(&number, (offset + slot * SLOT) as u64)?;
            numbers.extend(number);
            nr_writes += 1;
        }
        let mut found = vec![0; page_size()];
        file.read_exact_at(&mut found, offset as u64)?;
        let slots = found.chunks(SLOT).zip(numbers.chunks(SLOT));
        nr_lost += slots.filter(|(found, number)| found != number).count();
    }
    Ok((nr_writes, nr_lost))
}

/// Frees all pages and allocates new ones.
fn make_anew(object: Object, file: &File) -> Result<(), Failure> {
    if object.can_be_punched() {
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(file, punch, 0, SIZE as u64)?;
    }
    Ok(fallocate(file, FallocateFlags::empty(), 0, SIZE as u64)?)
}
