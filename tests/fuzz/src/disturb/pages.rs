// SPDX-License-Identifier: MIT OR GPL-2.0

//! Acts on the pages of a process.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::machine::{nodes, Frozen};
use super::{ask, Actor, Done, Refusal};
use crate::sys::{remote, ARENA};
use crate::{huge_pages, page_size};

/// The most pages moved at a time.
const BATCH: u64 = 64;
/// The most frames that may be lost for good: 128 MiB. `unpoison_memory()` could bring them back, but
/// with page owners enabled it frees one twice (`__reset_page_owner()`).
const MAX_LOST: u64 = 1 << 15;

/// Pages of the arena that the acts consider: all that a large sequence uses.
fn nr_pages() -> usize {
    4 * huge_pages() as usize
}

/// A page of the arena with an entry in the page table.
#[derive(Clone, Copy)]
struct Present {
    page: u64,
    pfn: u64,
    is_anonymous: bool,
}

/// Bits of `/proc/kpageflags`.
const DIRTY: u64 = 1 << 4;
const HWPOISON: u64 = 1 << 19;
const THP: u64 = 1 << 22;

fn present(pid: i32) -> Result<Vec<Present>, Refusal> {
    const IS_PRESENT: u64 = 1 << 63;
    const IS_FILE: u64 = 1 << 61;
    const PFN: u64 = (1 << 55) - 1;

    let mut bytes = vec![0; nr_pages() * 8];
    let file = File::open(format!("/proc/{pid}/pagemap"))?;
    let len = file.read_at(&mut bytes, ARENA / page_size() * 8)?;
    let entries = bytes[..len].chunks_exact(8);
    Ok((0..)
        .zip(entries.map(|entry| u64::from_le_bytes(entry.try_into().unwrap_or_default())))
        .filter(|(_, entry)| entry & IS_PRESENT != 0 && entry & PFN != 0)
        .map(|(page, entry)| Present {
            page,
            pfn: entry & PFN,
            is_anonymous: entry & IS_FILE == 0,
        })
        .collect())
}

fn flags(pfn: u64) -> Result<u64, Refusal> {
    let mut flags = [0; 8];
    File::open("/proc/kpageflags")?.read_exact_at(&mut flags, pfn * 8)?;
    Ok(u64::from_le_bytes(flags))
}

/// Picks a run of the present pages.
fn batch(actor: &mut Actor, pid: i32) -> Result<Vec<u64>, Refusal> {
    let present = present(pid)?;
    let len = 1 + actor.below(BATCH.min(present.len() as u64)) as usize;
    let start = actor.below((present.len() + 1).saturating_sub(len) as u64) as usize;
    let pages: Vec<_> = present
        .iter()
        .skip(start)
        .take(len)
        .map(|it| it.page)
        .collect();
    if pages.is_empty() {
        return Err(Refusal::Refused);
    }
    Ok(pages)
}

/// Moves pages to another node and back, several times in one call: the call itself costs more than
/// moving a page. The first page decides the node.
pub(super) fn move_pages(actor: &mut Actor) -> Done {
    const NR_ROUNDS: usize = 8;

    let nr_nodes = nodes()?;
    let pid = actor.target()?;
    let pages = batch(actor, pid)?;
    let mut before = vec![-1; pages.len()];
    if remote::move_pages(pid, &pages, None, &mut before) < 0 {
        return Err(Refusal::Refused);
    }
    let first = before.iter().find_map(|node| u64::try_from(*node).ok());
    let first = first.ok_or(Refusal::Refused)?;
    let other = (first + 1 + actor.below(nr_nodes - 1)) % nr_nodes;
    let rounds: Vec<_> = [other, first].into_iter().cycle().take(NR_ROUNDS).collect();
    let targets: Vec<_> = rounds
        .iter()
        .flat_map(|node| vec![*node as i32; pages.len()])
        .collect();
    let mut after = vec![-1; targets.len()];
    let all = pages.repeat(NR_ROUNDS);
    if remote::move_pages(pid, &all, Some(&targets), &mut after) < 0 {
        return Err(Refusal::Refused);
    }
    let came_from = before.iter().chain(&after);
    let moved = after
        .iter()
        .zip(&targets)
        .zip(came_from)
        .filter(|((after, target), before)| after == target && before != target && **before >= 0);
    Ok(moved.count() as u64)
}

/// Moves all pages of a process to another node.
pub(super) fn migrate_pages(actor: &mut Actor) -> Done {
    let nr_nodes = nodes()?;
    let pid = actor.target()?;
    let from = actor.below(nr_nodes);
    let to = (from + 1 + actor.below(nr_nodes - 1)) % nr_nodes;
    match remote::migrate_pages(pid, from as usize, to as usize) {
        answer if answer < 0 => Err(Refusal::Refused),
        _ => Ok(1),
    }
}

/// Picks a frame to offline: that of a dirty page of some process.
///
/// The kernel drops a clean page instead of moving it. A program can see that on a memfd.
fn victim(actor: &mut Actor) -> Result<u64, Refusal> {
    if actor.nr_lost >= MAX_LOST {
        return Err(Refusal::Refused);
    }
    let pid = actor.target()?;
    let present = present(pid)?;
    let pfn = actor.pick(&present)?.pfn;
    if flags(pfn)? & DIRTY == 0 {
        return Err(Refusal::Refused);
    }
    Ok(pfn)
}

/// Moves a page to another frame. The old frame is not used again.
pub(super) fn soft_offline(actor: &mut Actor) -> Done {
    // `soft_offline_page()` checks that the frame is online, then waits for memory that goes offline,
    // and does not check again.
    let pins = actor.pins;
    let Ok(_pins) = pins.try_lock() else {
        return Err(Refusal::Refused);
    };
    let pfn = victim(actor)?;
    let address = format!("{:#x}", pfn * page_size());
    ask("/sys/devices/system/memory/soft_offline_page", &address)?;
    actor.nr_lost += 1;
    Ok(1)
}

/// Poisons a page: its bytes are lost.
pub(super) fn poison(actor: &mut Actor) -> Done {
    // As in `soft_offline`: the kernel does not check again whether the frame is online.
    let pins = actor.pins;
    let Ok(_pins) = pins.try_lock() else {
        return Err(Refusal::Refused);
    };
    let pfn = victim(actor)?;
    let address = format!("{:#x}", pfn * page_size());
    // The request fails even if it poisons the page, because the page cache keeps that page.
    if let Err(Refusal::Lacking) = ask("/sys/devices/system/memory/hard_offline_page", &address) {
        return Err(Refusal::Lacking);
    }
    if flags(pfn)? & HWPOISON == 0 {
        return Err(Refusal::Refused);
    }
    actor.nr_lost += 1;
    Ok(1)
}

/// Splits a large folio. The kernel does not report success, but the flags of the pages show it.
pub(super) fn split(actor: &mut Actor) -> Done {
    let pid = actor.target()?;
    let present = present(pid)?;
    let it = actor.pick(&present)?;
    if flags(it.pfn)? & THP == 0 {
        return Err(Refusal::Refused);
    }
    let start = ARENA + it.page * page_size();
    let range = format!("{pid},{start:#x},{:#x}", start + page_size());
    ask("/sys/kernel/debug/split_huge_pages", &range)?;
    Ok(u64::from(flags(it.pfn)? & THP == 0))
}

/// Clears the referenced bits, or the soft-dirty bits, of a process.
pub(super) fn clear_refs(actor: &mut Actor) -> Done {
    let pid = actor.target()?;
    let what = actor.pick(&["1", "4"])?;
    fs::write(format!("/proc/{pid}/clear_refs"), what)?;
    Ok(1)
}

/// Reads everything that the kernel tells about the pages of a process.
pub(super) fn read_maps(actor: &mut Actor) -> Done {
    let pid = actor.target()?;
    let mut nr_bytes = 0;
    for name in ["smaps", "smaps_rollup", "numa_maps", "maps"] {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(format!("/proc/{pid}/{name}")) {
            file.read_to_end(&mut text)?;
        }
        nr_bytes += text.len() as u64;
    }
    for it in present(pid)?.iter().take(BATCH as usize) {
        for name in ["kpageflags", "kpagecount", "kpagecgroup"] {
            let mut word = [0; 8];
            if let Ok(file) = File::open(format!("/proc/{name}")) {
                file.read_exact_at(&mut word, it.pfn * 8)?;
                nr_bytes += 8;
            }
        }
    }
    Ok(nr_bytes)
}

/// Reads some bytes of a present page. Reading an absent page would allocate it, so the caller must
/// have frozen all processes.
fn some_bytes(actor: &mut Actor, pid: i32) -> Result<(Present, u64, Vec<u8>), Refusal> {
    let present = present(pid)?;
    let it = actor.pick(&present)?;
    let start = actor.below(page_size());
    let len = 1 + actor.below((page_size() - start).min(256));
    let at = it.page * page_size() + start;
    let mut bytes = vec![0; len as usize];
    match remote::peek(pid, at, &mut bytes) {
        answer if answer == bytes.len() as i64 => Ok((it, at, bytes)),
        _ => Err(Refusal::Refused),
    }
}

/// Reads the memory of a process, as a debugger does.
pub(super) fn peek(actor: &mut Actor) -> Done {
    let pid = actor.target()?;
    let _frozen = Frozen::new()?;
    Ok(some_bytes(actor, pid)?.2.len() as u64)
}

/// Writes the bytes that are there already. It skips private pages that are not copied yet: a write
/// would copy them.
pub(super) fn poke(actor: &mut Actor) -> Done {
    let pid = actor.target()?;
    let _frozen = Frozen::new()?;
    let (it, at, bytes) = some_bytes(actor, pid)?;
    if !it.is_anonymous && !is_shared(pid, ARENA + at)? {
        return Err(Refusal::Refused);
    }
    Ok(u64::try_from(remote::poke(pid, at, &bytes)).unwrap_or(0))
}

/// Returns whether the mapping at an address is shared.
fn is_shared(pid: i32, address: u64) -> Result<bool, Refusal> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let parse = |text: &str| u64::from_str_radix(text, 16).ok();
    Ok(maps.lines().any(|line| {
        let mut words = line.split(' ');
        let range = words.next().and_then(|range| range.split_once('-'));
        let Some((Some(start), Some(end))) = range.map(|(start, end)| (parse(start), parse(end)))
        else {
            return false;
        };
        (start..end).contains(&address) && words.next().is_some_and(|flags| flags.ends_with('s'))
    }))
}
