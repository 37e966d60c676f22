// SPDX-License-Identifier: GPL-2.0

//! Memory nodes of a NUMA machine; any other has one.
//!
//! C headers: `include/linux/nodemask.h`, `include/linux/topology.h`.

use crate::helpers;
use kernel::ffi::c_int;

/// A node.
///
/// # Invariants
///
/// The node is below `nr_node_ids`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node(c_int);

impl Node {
    /// Returns the nodes that have memory now.
    ///
    /// C: `for_each_node_state(…, N_MEMORY)`.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        // SAFETY: The function has no preconditions.
        let end = unsafe { helpers::mmap_pool_nr_node_ids() };
        // CAST: There are at most `1 << 10` nodes.
        (0..end as c_int)
            // SAFETY: Below `nr_node_ids`.
            .filter(|&id| unsafe { helpers::mmap_pool_node_has_memory(id) })
            .map(Self)
    }

    /// Returns the node that the running task gets its memory from when it has no wishes and there
    /// is some, or `None` if a memory policy or a cpuset says otherwise. The next moment it may run
    /// elsewhere, so this is a hint.
    ///
    /// C: `numa_mem_id()`.
    pub(crate) fn preferred() -> Option<Self> {
        // SAFETY: The function has no preconditions.
        if unsafe { helpers::mmap_pool_has_mempolicy() } {
            return None;
        }
        // SAFETY: The function has no preconditions.
        let id = unsafe { helpers::mmap_pool_numa_mem_id() };
        // SAFETY: A node that a processor gets its memory from is a valid one.
        unsafe { helpers::mmap_pool_node_allowed(id) }.then_some(Self(id))
    }

    /// # Safety
    ///
    /// `id` is the number of a node.
    pub(super) unsafe fn from_raw(id: c_int) -> Self {
        // INVARIANT: The caller's promise.
        Self(id)
    }

    pub(super) fn id(self) -> c_int {
        self.0
    }
}
