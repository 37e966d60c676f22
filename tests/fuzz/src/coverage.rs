// SPDX-License-Identifier: MIT OR GPL-2.0

//! Coverage of the module's code, on a kernel with KCOV.
//!
//! Each process has its own buffer. The kernel records there the blocks of code that the process
//! runs. A step from one block to the next is an edge. Blocks are recorded as offsets in the
//! module, so the module can be reloaded between sequences.

use std::fs::{self, File};
use std::io::ErrorKind;

use mmap_pool_tests::Failure;

use crate::sys::Trace;
use crate::PROCESSES;

const FILE: &str = "/sys/kernel/debug/kcov";
/// Blocks that a buffer has room for. The kernel does not record more.
const NR_BLOCKS: usize = 1 << 14;
/// Bits of the hash that identifies an edge.
const EDGE_BITS: u32 = 20;

/// The blocks and edges that all processes have reached so far.
#[derive(Debug)]
pub struct Coverage {
    traces: [Trace; PROCESSES],
    /// The module's address and size in bytes.
    module: (u64, u64),
    has_block: Vec<bool>,
    has_edge: Vec<bool>,
    nr_blocks: usize,
    nr_edges: usize,
}

impl Coverage {
    /// Begins with nothing reached. Returns `None` on a kernel without KCOV.
    ///
    /// # Errors
    ///
    /// The system is out of memory, or the module is not loaded.
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

    /// Reads the module's current address.
    ///
    /// # Errors
    ///
    /// The module is not loaded.
    pub fn locate(&mut self) -> Result<(), Failure> {
        let modules = fs::read_to_string("/proc/modules")?;
        self.module = module(&modules).ok_or("the module is not loaded")?;
        Ok(())
    }

    /// Records the blocks of the calling process, as those of `process`, until it ends.
    ///
    /// # Panics
    ///
    /// Another process records as `process`.
    pub fn begin(&self, process: u8) {
        let answer = self.traces[usize::from(process)].begin();
        assert_eq!(answer, 0, "KCOV_ENABLE");
    }

    /// Ends a run of blocks: the last block and the next one form no edge.
    pub fn mark(&self, process: u8) {
        self.traces[usize::from(process)].push(0);
    }

    /// Collects the recorded blocks of a process, and returns whether an edge is new. The process must
    /// wait meanwhile.
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

    /// The numbers of blocks and edges reached.
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

/// Finds our module in the text of `/proc/modules`: its address and size in bytes.
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
