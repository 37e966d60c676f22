// SPDX-License-Identifier: GPL-2.0

//! Memory policies: from which nodes of a NUMA machine memory comes.
//!
//! What a policy means is decided in `policy_nodemask()` and `alloc_pages_mpol()` of
//! `mm/mempolicy.c`, which modules cannot call. This says the same of a copy of a policy.
//!
//! C header: `struct mempolicy`, `include/linux/mempolicy.h`.

#![cfg_attr(not(CONFIG_NUMA), allow(dead_code))]

use super::node::{Node, Nodes};
#[cfg(CONFIG_NUMA)]
use {crate::helpers, kernel::bindings};

/// A memory policy.
#[derive(Clone, PartialEq)]
pub(crate) struct MemPolicy {
    mode: Mode,
    nodes: Nodes,
    home: Option<Node>,
}

/// What the nodes of a policy are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The first of them, if it has memory.
    Preferred,
    /// One of them, if one has memory.
    PreferredMany,
    /// One of them.
    Bind,
    /// Each in turn.
    Interleave,
    /// Nothing: memory comes from where the task runs.
    Local,
}

/// Which nodes may serve an allocation.
pub(crate) enum Allowed<'a> {
    Any,
    /// These, and without memory there any.
    Rather(&'a Nodes),
    Only(&'a Nodes),
}

impl MemPolicy {
    /// Returns a copy of `policy`.
    ///
    /// The weights of `MPOL_WEIGHTED_INTERLEAVE` are not known to modules: it is taken for
    /// `MPOL_INTERLEAVE`.
    ///
    /// # Safety
    ///
    /// `policy` is valid, and nobody changes it.
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
            bindings::mempolicy_mode_MPOL_PREFERRED => Mode::Preferred,
            bindings::mempolicy_mode_MPOL_PREFERRED_MANY => Mode::PreferredMany,
            bindings::mempolicy_mode_MPOL_BIND => Mode::Bind,
            bindings::mempolicy_mode_MPOL_INTERLEAVE
            | bindings::mempolicy_mode_MPOL_WEIGHTED_INTERLEAVE => Mode::Interleave,
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

    /// Returns the node to ask first for a folio of `1 << order` pages that is to hold page `pgoff`.
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

    /// Returns which nodes may serve an allocation of the running task.
    pub(crate) fn allowed(&self) -> Allowed<'_> {
        match self.mode {
            // The task may have been moved to other nodes since.
            Mode::Bind if self.nodes.iter().any(Node::is_allowed) => Allowed::Only(&self.nodes),
            Mode::PreferredMany => Allowed::Rather(&self.nodes),
            _ => Allowed::Any,
        }
    }

    /// Returns whether a folio of several pages may come from another node than the first. If not,
    /// single pages of that node are better.
    pub(crate) fn is_interleaved(&self) -> bool {
        self.mode == Mode::Interleave
    }
}
