// SPDX-License-Identifier: GPL-2.0

//! NUMA nodes. A machine without NUMA has one node.
//!
//! C headers: `include/linux/nodemask.h`, `include/linux/topology.h`.

use crate::helpers;
use kernel::{
    bindings,
    ffi::c_int, //
};

/// A node.
///
/// # Invariants
///
/// The number is below `nr_node_ids`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node(c_int);

impl Node {
    /// Returns the nodes with memory.
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

    /// Returns the node nearest to the running processor. The task may run on another processor a
    /// moment later, so this is a hint.
    ///
    /// C: `numa_mem_id()`.
    pub(crate) fn nearest() -> Self {
        // INVARIANT: The nearest node is a valid node.
        // SAFETY: The function has no preconditions.
        Self(unsafe { helpers::mmap_pool_numa_mem_id() })
    }

    /// Returns [`Self::nearest`], or `None` if the running task has a memory policy or its cpuset
    /// forbids that node.
    pub(crate) fn preferred() -> Option<Self> {
        // SAFETY: The function has no preconditions.
        if unsafe { helpers::mmap_pool_has_mempolicy() } {
            return None;
        }
        Some(Self::nearest()).filter(|node| node.is_allowed())
    }

    /// Returns whether the cpuset of the running task allows memory of the node.
    ///
    /// C: `cpuset_current_mems_allowed`.
    pub(crate) fn is_allowed(self) -> bool {
        // SAFETY: By the type invariants the node is valid.
        unsafe { helpers::mmap_pool_node_allowed(self.0) }
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

/// A set of nodes.
///
/// C: `nodemask_t`.
#[derive(Clone)]
pub(crate) struct Nodes(bindings::nodemask_t);

impl PartialEq for Nodes {
    fn eq(&self, other: &Self) -> bool {
        self.0.bits == other.0.bits
    }
}

#[cfg_attr(not(CONFIG_NUMA), allow(dead_code))]
impl Nodes {
    pub(super) fn from_raw(nodes: bindings::nodemask_t) -> Self {
        Self(nodes)
    }

    pub(super) fn as_ptr(&self) -> *const bindings::nodemask_t {
        &raw const self.0
    }

    /// Returns the nodes of the set that have memory, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Node> + '_ {
        // SAFETY: The node is valid, so it has a bit.
        Node::all().filter(|node| unsafe { helpers::mmap_pool_node_isset(node.0, &self.0) })
    }

    /// Returns the node of the set that is nearest to `node`, or `None` if the set is empty.
    ///
    /// C: `nearest_node_nodemask()`.
    pub(crate) fn nearest_to(&self, node: Node) -> Option<Node> {
        if self.iter().any(|other| other == node) {
            return Some(node);
        }
        #[cfg(CONFIG_NUMA)]
        {
            // SAFETY: The node is valid. The set is only read.
            let id = unsafe { bindings::nearest_node_nodemask(node.0, self.as_ptr().cast_mut()) };
            // INVARIANT: `iter()` returns valid nodes only.
            return self
                .iter()
                .map(|node| node.0)
                .find(|&found| found == id)
                .map(Node);
        }
        #[cfg(not(CONFIG_NUMA))]
        None
    }
}
