// SPDX-License-Identifier: MIT OR GPL-2.0

//! Waiting for the reserves of the pools to be full.

use std::thread;
use std::time::Duration;

use mmap_pool::Pool;
use rustix::time::ClockId;

use super::cost::now;
use crate::subject::TWIN;

/// Waits until the reserves of the pools are full: until they no longer change.
pub fn rest() {
    let mut reserve = None;
    loop {
        // Takes no real time: the guest's clock skips the time in which nothing runs.
        thread::sleep(Duration::from_millis(50));
        let found = reserves();
        if reserve == Some(found) {
            return;
        }
        reserve = Some(found);
    }
}

/// Counts the instructions of other threads until the reserves no longer change.
pub fn cost_of_others_until_rest() -> u64 {
    const QUIET_NS: u64 = 20_000_000;

    let (begin, own_begin) = (now(ClockId::Monotonic), now(ClockId::ThreadCPUTime));
    let (mut reserve, mut since) = (reserves(), begin);
    // This thread never sleeps, so all time that is not its own is work of other threads.
    while now(ClockId::Monotonic) - since < QUIET_NS {
        let found = reserves();
        if found != reserve {
            (reserve, since) = (found, now(ClockId::Monotonic));
        }
    }
    let elapsed = now(ClockId::Monotonic) - begin;
    elapsed.saturating_sub(now(ClockId::ThreadCPUTime) - own_begin)
}

/// Counts the pages in the reserves of the pools and of their twins.
pub fn reserves() -> [u64; 2] {
    [mmap_pool::DEFAULT_PATH, TWIN].map(|node| {
        Pool::open_path(node)
            .and_then(|pool| pool.stat())
            .map_or(0, |stat| stat.nr_reserve_pages)
    })
}
