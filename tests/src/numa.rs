// SPDX-License-Identifier: MIT OR GPL-2.0

//! Memory policies, and the nodes of pages.
//!
//! C: `include/uapi/linux/mempolicy.h`, `mbind(2)`, `get_mempolicy(2)`, `set_mempolicy(2)`,
//! `move_pages(2)`.

use std::fs;
use std::ops::Range;
use std::ptr;

use mmap_pool::{Errno, Mapping};

use crate::observe::checked;
use crate::subject::page_size;
use crate::{fail, Failure};

/// A memory policy: the nodes that memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    mode: Mode,
    /// A bit for each node.
    nodes: u64,
}

/// How a [`Policy`] uses its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the kernel's")]
#[repr(i32)]
pub enum Mode {
    Default,
    Preferred,
    Bind,
    Interleave,
    Local,
    PreferredMany,
    WeightedInterleave,
}

impl Mode {
    const ALL: [Self; 7] = [
        Self::Default,
        Self::Preferred,
        Self::Bind,
        Self::Interleave,
        Self::Local,
        Self::PreferredMany,
        Self::WeightedInterleave,
    ];
}

/// `MPOL_MF_STRICT`: fails with `EIO` if a page is on a wrong node.
pub const STRICT: u32 = 1;
/// `MPOL_MF_MOVE`: moves pages from wrong nodes.
pub const MOVE: u32 = 2;

/// Bits of a node mask. The kernel ignores the last one.
const MAX_NODE: usize = u64::BITS as usize + 1;

impl Policy {
    /// None.
    pub const DEFAULT: Self = Self {
        mode: Mode::Default,
        nodes: 0,
    };

    /// A policy of this mode with these nodes.
    #[must_use]
    pub fn new(mode: Mode, nodes: &[usize]) -> Self {
        let nodes = nodes.iter().map(|node| 1 << node).sum();
        Self { mode, nodes }
    }

    /// `MPOL_BIND` to one node.
    #[must_use]
    pub fn bind(node: usize) -> Self {
        Self::new(Mode::Bind, &[node])
    }

    fn as_ptr(&self) -> *const u64 {
        if self.nodes == 0 {
            ptr::null()
        } else {
            &raw const self.nodes
        }
    }

    /// Sets it for `pages` of a mapping: `mbind(2)`.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn set(self, mapping: &Mapping, pages: Range<usize>) -> Result<(), Errno> {
        self.set_with(mapping, pages, 0)
    }

    /// The same with [`STRICT`] and [`MOVE`].
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn set_with(self, mapping: &Mapping, pages: Range<usize>, flags: u32) -> Result<(), Errno> {
        // SAFETY: The kernel reads the nodes.
        checked(unsafe {
            libc::syscall(
                libc::SYS_mbind,
                address(mapping, pages.start),
                pages.len() * page_size(),
                self.mode as i32,
                self.as_ptr(),
                MAX_NODE,
                flags,
            )
        })?;
        Ok(())
    }

    /// Sets it for the current thread: `set_mempolicy(2)`.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn set_for_task(self) -> Result<(), Errno> {
        // SAFETY: The kernel reads the nodes.
        checked(unsafe {
            libc::syscall(
                libc::SYS_set_mempolicy,
                self.mode as i32,
                self.as_ptr(),
                MAX_NODE,
            )
        })?;
        Ok(())
    }

    /// The policy of a page of a mapping: `get_mempolicy(2)` with `MPOL_F_ADDR`.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn at(mapping: &Mapping, page: usize) -> Result<Self, Failure> {
        const MPOL_F_ADDR: u32 = 2;
        let (mut mode, mut nodes) = (0, 0_u64);
        // SAFETY: The kernel writes the mode and the nodes.
        checked(unsafe {
            libc::syscall(
                libc::SYS_get_mempolicy,
                &raw mut mode,
                &raw mut nodes,
                MAX_NODE,
                address(mapping, page),
                MPOL_F_ADDR,
            )
        })?;
        match Mode::ALL.into_iter().find(|&known| known as i32 == mode) {
            Some(mode) => Ok(Self { mode, nodes }),
            None => fail!("policy {mode}"),
        }
    }
}

/// Sets `node` as home node of the policies of `pages`: `set_mempolicy_home_node(2)`.
///
/// # Errors
///
/// The errno of the call.
pub fn set_home(mapping: &Mapping, pages: Range<usize>, node: usize) -> Result<(), Errno> {
    let (start, len) = (address(mapping, pages.start), pages.len() * page_size());
    // SAFETY: A system call that reads and writes no memory of this process.
    checked(unsafe { libc::syscall(libc::SYS_set_mempolicy_home_node, start, len, node, 0) })?;
    Ok(())
}

/// The nodes of `pages` of a mapping. Touches them first: the kernel finds mapped pages alone.
///
/// # Errors
///
/// A page cannot be touched, or the errno of `move_pages(2)`.
pub fn nodes_of(mapping: &Mapping, pages: Range<usize>) -> Result<Vec<usize>, Failure> {
    let mut addresses = Vec::with_capacity(pages.len());
    for page in pages {
        mapping.read_at(&mut [0], page * page_size())?;
        addresses.push(address(mapping, page));
    }
    let mut found = vec![-1_i32; addresses.len()];
    // SAFETY: The kernel reads the addresses, and writes as many numbers.
    checked(unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            addresses.len(),
            addresses.as_ptr(),
            ptr::null::<i32>(),
            found.as_mut_ptr(),
            0,
        )
    })?;
    let nodes = found.into_iter().map(usize::try_from);
    Ok(nodes.collect::<Result<_, _>>()?)
}

/// The policy of a mapping in `/proc/self/numa_maps`.
///
/// # Errors
///
/// The file has no such mapping.
pub fn told_in_numa_maps(mapping: &Mapping) -> Result<String, Failure> {
    let start = format!("{:x}", mapping.as_ptr().addr());
    for line in fs::read_to_string("/proc/self/numa_maps")?.lines() {
        let mut words = line.split(' ');
        if words.next().map(|word| word.trim_start_matches('0')) == Some(&start) {
            return Ok(words.next().unwrap_or_default().into());
        }
    }
    fail!("no mapping at {start}")
}

fn address(mapping: &Mapping, page: usize) -> *mut u8 {
    mapping.as_ptr().wrapping_add(page * page_size())
}
