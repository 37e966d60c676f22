// SPDX-License-Identifier: MIT OR GPL-2.0

//! What of the module has been run: KCOV tells, on a kernel that has it.
//!
//! Each process has a buffer of its own, in which the kernel notes the blocks of code that the process
//! runs. A step from one block to another is an edge. Where the module lies is no part of it, so it
//! may be loaded anew in between.

use std::fs::{self, File};
use std::io::ErrorKind;

use mmap_pool_tests::Failure;

use crate::sys::Trace;
use crate::PROCESSES;

const FILE: &str = "/sys/kernel/debug/kcov";
/// Blocks that a process may run in a row. What is more is not noted.
const NR_BLOCKS: usize = 1 << 14;
/// Edges are told apart by so many bits.
const EDGE_BITS: u32 = 20;

/// What all processes have reached so far.
#[derive(Debug)]
pub struct Coverage {
    traces: [Trace; PROCESSES],
    /// Where the module is, and its bytes.
    module: (u64, u64),
    has_block: Vec<bool>,
    has_edge: Vec<bool>,
    nr_blocks: usize,
    nr_edges: usize,
}

impl Coverage {
    /// Nothing yet, or `None` on a kernel without KCOV.
    ///
    /// # Errors
    ///
    /// There is no memory, or no module.
    pub fn open() -> Result<Option<Self>, Failure> {
        let trace = || {
            Trace::new(
                File::options().read(true).write(true).open(FILE)?,
                NR_BLOCKS,
            )
        };
        let first = match trace() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            first => first?,
        };
        let mut coverage = Self {
            traces: [first, trace()?, trace()?, trace()?],
            module: (0, 0),
            has_block: Vec::new(),
            has_edge: vec![false; 1 << EDGE_BITS],
            nr_blocks: 0,
            nr_edges: 0,
        };
        coverage.locate()?;
        Ok(Some(coverage))
    }

    /// Looks where the module is now.
    ///
    /// # Errors
    ///
    /// It is not loaded.
    pub fn locate(&mut self) -> Result<(), Failure> {
        self.module = module(&fs::read_to_string("/proc/modules")?).ok_or("there is no module")?;
        Ok(())
    }

    /// From now on this process is the one whose blocks are noted as those of `process`.
    ///
    /// # Panics
    ///
    /// Another process is.
    pub fn begin(&self, process: u8) {
        let answer = self.traces[usize::from(process)].begin();
        assert_eq!(answer, 0, "KCOV_ENABLE");
    }

    /// Ends a row of blocks: from here to the next there is no edge.
    pub fn mark(&self, process: u8) {
        self.traces[usize::from(process)].push(0);
    }

    /// Takes what a process has noted, and returns whether an edge is new. The process has to wait
    /// meanwhile.
    pub fn collect(&mut self, process: u8) -> bool {
        let trace = &self.traces[usize::from(process)];
        let (start, len) = self.module;
        let nr_edges = self.nr_edges;
        let mut from = 0;
        for address in trace.notes() {
            let offset = address.wrapping_sub(start);
            if offset >= len {
                from = 0;
                continue;
            }
            let to = offset + 1;
            let edge = edge(from, to);
            self.nr_edges += usize::from(!std::mem::replace(&mut self.has_edge[edge], true));
            let block = offset as usize;
            if block >= self.has_block.len() {
                self.has_block.resize(block + 1, false);
            }
            self.nr_blocks += usize::from(!std::mem::replace(&mut self.has_block[block], true));
            from = to;
        }
        trace.clear();
        self.nr_edges > nr_edges
    }

    /// Blocks and edges that have been reached.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.nr_blocks, self.nr_edges)
    }
}

fn edge(from: u64, to: u64) -> usize {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = ((from << 32) | to).wrapping_mul(PRIME);
    (mixed >> (u64::BITS - EDGE_BITS)) as usize
}

/// Where `/proc/modules` says that our module is, and its bytes.
fn module(modules: &str) -> Option<(u64, u64)> {
    modules.lines().find_map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let &["mmap_pool", len, _, _, _, address, ..] = &words[..] else {
            return None;
        };
        let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
        Some((address, len.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_where_the_kernel_says() {
        let modules = "other 16384 0 - Live 0xffffffffc0000000\n\
            mmap_pool 94208 2 - Live 0xffffffffc0408000 (OE)\n";
        assert_eq!(module(modules), Some((0xffff_ffff_c040_8000, 94208)));
        assert_eq!(
            module("mmap_pool_twin 1 0 - Live 0xffffffffc0408000\n"),
            None
        );
    }

    #[test]
    fn edges_of_a_module_are_told_apart() {
        let blocks = (0..64).map(|block| 1 + 37 * block);
        let mut edges: Vec<_> = blocks
            .clone()
            .flat_map(|from| blocks.clone().map(move |to| edge(from, to)))
            .collect();
        edges.sort_unstable();
        edges.dedup();
        assert!(edges.len() > 64 * 64 * 99 / 100, "{}", edges.len());
    }
}
