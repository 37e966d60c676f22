// SPDX-License-Identifier: MIT OR GPL-2.0

//! Acts on the machine, and on all fuzzed processes at once.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::{ask, in_group, Actor, Done, Refusal};
use crate::{page_size, sys};

const KHUGEPAGED: &str = "/sys/kernel/mm/transparent_hugepage/khugepaged";
const MEMORY: &str = "/sys/devices/system/memory";
const BALANCING: &str = "/sys/kernel/debug/sched/numa_balancing";
const TRACING: &str = "/sys/kernel/tracing";

/// Returns the number of memory nodes. A machine with a single node lacks the feature.
pub(super) fn nodes() -> Result<u64, Refusal> {
    let is_node = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("node"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir("/sys/devices/system/node").map_err(|_| Refusal::Lacking)?;
    match entries.flatten().filter(is_node).count() {
        0 | 1 => Err(Refusal::Lacking),
        nr_nodes => Ok(nr_nodes as u64),
    }
}

/// Reads a counter of `/proc/vmstat`. A missing counter reads 0.
fn vmstat(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let (found, number) = line.split_once(' ')?;
        (found == name).then(|| number.parse().ok())?
    });
    found.unwrap_or(0)
}

/// A changed setting of the kernel. Dropping it restores the old value.
struct Setting {
    path: String,
    before: String,
}

impl Setting {
    fn new(path: String, value: &str) -> Result<Self, Refusal> {
        let before = fs::read_to_string(&path).map_err(|_| Refusal::Lacking)?;
        ask(&path, value)?;
        Ok(Self { path, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, &self.before);
    }
}

/// A guard: all fuzzed processes and the fuzzer are frozen until it is dropped.
pub(super) struct Frozen;

impl Frozen {
    pub(super) fn new() -> Result<Self, Refusal> {
        ask(&in_group("cgroup.freeze"), "1")?;
        let frozen = Self;
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            if fs::read_to_string(in_group("cgroup.events"))?.contains("frozen 1") {
                return Ok(frozen);
            }
            thread::sleep(Duration::from_micros(50));
        }
        Err(Refusal::Refused)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = fs::write(in_group("cgroup.freeze"), "0");
    }
}

/// Freezes all processes for up to 2 ms.
pub(super) fn freeze(actor: &mut Actor) -> Done {
    let _frozen = Frozen::new()?;
    actor.linger();
    Ok(1)
}

/// Reclaims memory of the cgroup.
pub(super) fn reclaim(actor: &mut Actor) -> Done {
    let len = actor.pick(&["64K", "1M"])?;
    ask(&in_group("memory.reclaim"), len)?;
    Ok(1)
}

/// Puts the cgroup a little over `memory.high` for up to 2 ms: the kernel reclaims, and throttles it.
pub(super) fn limit(actor: &mut Actor) -> Done {
    let current = fs::read_to_string(in_group("memory.current")).map_err(|_| Refusal::Lacking)?;
    let current: u64 = current.trim().parse().map_err(|_| Refusal::Lacking)?;
    // Far over the limit, each process would sleep for two seconds.
    let limit = current.saturating_sub(256 << 10).to_string();
    let _high = Setting::new(in_group("memory.high"), &limit)?;
    actor.linger();
    Ok(1)
}

/// Drops clean page cache, slabs, or both.
pub(super) fn drop_caches(actor: &mut Actor) -> Done {
    let path = "/proc/sys/vm/drop_caches";
    // Turns off the kernel's message about it.
    ask(path, "4")?;
    ask(path, actor.pick(&["1", "2", "3"])?)?;
    Ok(1)
}

/// Compacts memory.
pub(super) fn compact(_: &mut Actor) -> Done {
    ask("/proc/sys/vm/compact_memory", "1")?;
    Ok(1)
}

/// Makes khugepaged scan as fast as it can for 20 ms.
pub(super) fn khugepaged(_: &mut Actor) -> Done {
    let setting = |name: &str, value| Setting::new(format!("{KHUGEPAGED}/{name}"), value);
    let nr_scans = || {
        let text = fs::read_to_string(format!("{KHUGEPAGED}/full_scans"));
        text.map_or(0, |text| text.trim().parse::<u64>().unwrap_or(0))
    };
    let before = nr_scans();
    let _pages = setting("pages_to_scan", "65536")?;
    let _alloc = setting("alloc_sleep_millisecs", "0")?;
    let _scan = setting("scan_sleep_millisecs", "0")?;
    thread::sleep(Duration::from_millis(20));
    Ok(nr_scans().saturating_sub(before))
}

/// Makes NUMA balancing scan as fast as it can for 100 ms.
pub(super) fn balance(_: &mut Actor) -> Done {
    nodes()?;
    let setting = |name: &str, value| Setting::new(format!("{BALANCING}/{name}"), value);
    let before = vmstat("numa_hint_faults");
    let _delay = setting("scan_delay_ms", "1")?;
    let _min = setting("scan_period_min_ms", "1")?;
    let _max = setting("scan_period_max_ms", "5")?;
    let _on = Setting::new("/proc/sys/kernel/numa_balancing".into(), "1")?;
    thread::sleep(Duration::from_millis(100));
    Ok(vmstat("numa_hint_faults").saturating_sub(before))
}

/// Runs `what` in a child process, and returns whether it succeeds within `patience`. Kills the child
/// after that time.
fn within(patience: Duration, what: impl FnOnce() -> bool) -> bool {
    let pid = i32::try_from(sys::fork(|| sys::exit(i32::from(!what())))).unwrap_or(-1);
    let start = Instant::now();
    while !sys::has_ended(pid) && start.elapsed() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    let _ = sys::kill(pid, libc::SIGKILL);
    sys::wait(pid) == 0
}

/// Lists the blocks of memory that hold only movable pages. The kernel warns when another block is
/// to go offline.
fn movable_blocks() -> Vec<PathBuf> {
    let size = fs::read_to_string(format!("{MEMORY}/block_size_bytes")).unwrap_or_default();
    let nr_pages = u64::from_str_radix(size.trim(), 16).unwrap_or(0) / page_size();
    let is_movable = |path: &Path| {
        let zones = fs::read_to_string(path.join("valid_zones")).unwrap_or_default();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix("memory")?.parse::<u64>().ok());
        zones.trim() == "Movable"
            && number.is_some_and(|number| !has_reserved(number * nr_pages, nr_pages))
    };
    let entries = fs::read_dir(MEMORY).into_iter().flatten().flatten();
    let mut blocks: Vec<_> = entries.map(|entry| entry.path()).collect();
    blocks.retain(|path| is_movable(path));
    blocks.sort();
    blocks
}

/// Returns whether the kernel reserved some of these frames at boot, before it had zones.
fn has_reserved(pfn: u64, nr_pages: u64) -> bool {
    const RESERVED: u64 = 1 << 32;
    let mut flags = vec![0; nr_pages as usize * 8];
    let read =
        File::open("/proc/kpageflags").and_then(|file| file.read_exact_at(&mut flags, pfn * 8));
    let mut flags = flags
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    read.is_err() || flags.any(|flags| flags & RESERVED != 0)
}

/// Takes a block of memory offline, and online again.
pub(super) fn offline_memory(actor: &mut Actor) -> Done {
    static BLOCKS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let blocks = BLOCKS.get_or_init(movable_blocks);
    let index = actor.below(blocks.len() as u64) as usize;
    let block = blocks.get(index).ok_or(Refusal::Lacking)?;
    let _pins = actor.pins.lock().map_err(|_| Refusal::Refused)?;
    let state = block.join("state");
    let is_offline = within(Duration::from_secs(2), || {
        fs::write(&state, "offline").is_ok()
    });
    if !is_offline {
        return Err(Refusal::Refused);
    }
    thread::sleep(Duration::from_millis(2));
    fs::write(&state, "online_movable")?;
    Ok(1)
}

/// Takes the last processor offline for up to 2 ms.
pub(super) fn offline_processor(actor: &mut Actor) -> Done {
    let processors = (1..64).map(|nr| format!("/sys/devices/system/cpu/cpu{nr}/online"));
    let last = processors
        .take_while(|path| Path::new(path).exists())
        .last();
    let path = last.ok_or(Refusal::Lacking)?;
    let _off = Setting::new(path, "0")?;
    actor.linger();
    Ok(1)
}

/// Puts a uprobe on the instruction by which the fuzzed processes touch memory, for 20 ms.
pub(super) fn uprobe(_: &mut Actor) -> Done {
    let (file, offset) = sys::place_of_copy().ok_or(Refusal::Refused)?;
    // Recording names of processes patches the scheduler's code each time. An emulated processor can
    // fail on patched code.
    ask(&format!("{TRACING}/options/record-cmd"), "0")?;
    let events = format!("{TRACING}/uprobe_events");
    let enable = format!("{TRACING}/events/fuzz/touch/enable");
    ask(&events, &format!("p:fuzz/touch {file}:{offset:#x}"))?;
    ask(&enable, "1")?;
    thread::sleep(Duration::from_millis(20));
    ask(&enable, "0")?;
    // Opening the file for writing removes the event.
    ask(&events, "")?;
    Ok(1)
}
