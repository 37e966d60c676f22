// SPDX-License-Identifier: GPL-2.0

//! Memory management: what `kernel::mm` does not offer yet.

pub(crate) mod folio;
pub(crate) mod node;
pub(crate) mod page_cache;
pub(crate) mod policy;
pub(crate) mod shrinker;
pub(crate) mod vm_ops;
pub(crate) mod work;

use crate::helpers;

/// Returns the number of pages of memory the machine has.
///
/// C: `totalram_pages()`, `include/linux/mm.h`.
pub(crate) fn totalram_pages() -> usize {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_totalram_pages() }
}

/// Returns whether the running task is about to be killed. Whoever allocates in a loop asks, so
/// that the OOM killer does not wait for its victim.
///
/// C: `fatal_signal_pending()`, `include/linux/sched/signal.h`.
pub(crate) fn fatal_signal_pending() -> bool {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_fatal_signal_pending() }
}

/// Lets others run, if it is time.
///
/// # Context
///
/// May sleep.
///
/// C: `cond_resched()`, `include/linux/sched.h`.
pub(crate) fn cond_resched() {
    // SAFETY: The function has no preconditions but to be allowed to sleep.
    unsafe { helpers::mmap_pool_cond_resched() };
}
