// SPDX-License-Identifier: GPL-2.0

//! Memory management: wrappers that `kernel::mm` lacks.

#![allow(unsafe_code)]

pub(crate) mod folio;
pub(crate) mod node;
pub(crate) mod page_cache;
pub(crate) mod policy;
pub(crate) mod shrinker;
pub(crate) mod vm_ops;
pub(crate) mod work;

use crate::helpers;

/// Returns the memory of the machine, in pages.
///
/// C: `totalram_pages()`, `include/linux/mm.h`.
pub(crate) fn totalram_pages() -> usize {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_totalram_pages() }
}

/// Returns whether the running task is being killed. A loop that allocates has to check it, so that
/// the OOM killer need not wait for its victim.
///
/// C: `fatal_signal_pending()`, `include/linux/sched/signal.h`.
pub(crate) fn fatal_signal_pending() -> bool {
    // SAFETY: The function has no preconditions.
    unsafe { helpers::mmap_pool_fatal_signal_pending() }
}

/// Gives up the processor if another task needs it.
///
/// # Context
///
/// May sleep.
///
/// C: `cond_resched()`, `include/linux/sched.h`.
pub(crate) fn cond_resched() {
    // SAFETY: No preconditions other than a context that may sleep.
    unsafe { helpers::mmap_pool_cond_resched() };
}
