// SPDX-License-Identifier: GPL-2.0

//! NUMA memory policies: on which nodes memory is allocated.
//!
//! The kernel applies a policy in `policy_nodemask()` and `alloc_pages_mpol()` (`mm/mempolicy.c`).
//! They are not exported, so [`MemPolicy`] is a copy of a policy with the same rules.
//!
//! C header: `struct mempolicy`, `include/linux/mempolicy.h`.

#![cfg_attr(not(CONFIG_NUMA), allow(dead_code))]

use super::node::{
    Node,
    Nodes, //
};
#[cfg(CONFIG_NUMA)]
use {
    crate::helpers,
    kernel::bindings, //
};

/// The modes of a policy, `include/uapi/linux/mempolicy.h`. Their enum has no name in Linux 7.2, so
/// its bindings have other names than those of Linux 7.3.
#[cfg(CONFIG_NUMA)]
mod mode {
    pub(super) const MPOL_PREFERRED: u32 = 1;
    pub(super) const MPOL_BIND: u32 = 2;
    pub(super) const MPOL_INTERLEAVE: u32 = 3;
    pub(super) const MPOL_PREFERRED_MANY: u32 = 5;
    pub(super) const MPOL_WEIGHTED_INTERLEAVE: u32 = 6;
}

/// A memory policy.
#[derive(Clone, PartialEq)]
pub(crate) struct MemPolicy {
    mode: Mode,
    nodes: Nodes,
    home: Option<Node>,
}

/// How a policy uses its nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The first node, else any node.
    Preferred,
    /// One of the nodes, else any node.
    PreferredMany,
    /// One of the nodes, never another.
    Bind,
    /// The nodes in turn.
    Interleave,
    /// No nodes: the node nearest to the running processor.
    Local,
}

/// The nodes that may serve an allocation.
pub(crate) enum Allowed<'a> {
    Any,
    /// These, and any other if they have no free memory.
    Rather(&'a Nodes),
    Only(&'a Nodes),
}

impl MemPolicy {
    /// Returns a copy of `policy`.
    ///
    /// Modules cannot read the weights of `MPOL_WEIGHTED_INTERLEAVE`, so it counts as
    /// `MPOL_INTERLEAVE`.
    ///
    /// # Safety
    ///
    /// `policy` is valid and does not change during the call.
    #[cfg(CONFIG_NUMA)]
    pub(super) unsafe fn copy_of(policy: *const bindings::mempolicy) -> Self {
        // SAFETY: The caller's promise.
        let (mode, nodes, home) = unsafe {
            (
                helpers::mmap_pool_mempolicy_mode(policy),
                *helpers::mmap_pool_mempolicy_nodes(policy),
                helpers::mmap_pool_mempolicy_home_node(policy),
            )
        };
        let mode = match u32::from(mode) {
            mode::MPOL_PREFERRED => Mode::Preferred,
            mode::MPOL_PREFERRED_MANY => Mode::PreferredMany,
            mode::MPOL_BIND => Mode::Bind,
            mode::MPOL_INTERLEAVE | mode::MPOL_WEIGHTED_INTERLEAVE => Mode::Interleave,
            _ => Mode::Local,
        };
        Self {
            mode,
            nodes: Nodes::from_raw(nodes),
            home: (home >= 0).then(|| {
                // SAFETY: The home node of a policy is a node, or negative.
                unsafe { Node::from_raw(home) }
            }),
        }
    }

    /// Returns the first node to try for a folio of `1 << order` pages that holds page `pgoff`.
    pub(crate) fn node(&self, pgoff: usize, order: u32) -> Node {
        match self.mode {
            Mode::Preferred => self.nodes.iter().next(),
            Mode::Interleave => {
                let turn = (pgoff >> order) % self.nodes.iter().count().max(1);
                self.nodes.iter().nth(turn)
            }
            Mode::PreferredMany | Mode::Bind | Mode::Local => {
                let home = self.home.unwrap_or_else(Node::nearest);
                match self.allowed() {
                    Allowed::Any => Some(home),
                    Allowed::Rather(nodes) | Allowed::Only(nodes) => nodes.nearest_to(home),
                }
            }
        }
        .unwrap_or_else(Node::nearest)
    }

    /// Returns the nodes that may serve an allocation of the running task.
    pub(crate) fn allowed(&self) -> Allowed<'_> {
        match self.mode {
            // The cpuset of the task may have changed since `mbind()`.
            Mode::Bind if self.nodes.iter().any(Node::is_allowed) => Allowed::Only(&self.nodes),
            Mode::PreferredMany => Allowed::Rather(&self.nodes),
            _ => Allowed::Any,
        }
    }

    /// Returns whether a large folio may come from another node than [`Self::node`]. Otherwise
    /// single pages of that node are better.
    pub(crate) fn is_interleaved(&self) -> bool {
        self.mode == Mode::Interleave
    }
}
