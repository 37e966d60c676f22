// SPDX-License-Identifier: MIT OR GPL-2.0

//! The levels of the page table on the way to one address.

use std::fs;

use mmap_pool::{MappingBuilder, Strategy};

use super::figure::{pixels, Figure, LINE};
use super::{name, pool, write};
use crate::observe::page_table;
use crate::scenarios::huge::nr_huge;
use crate::subject::page_size;
use crate::{fail, Failure};

/// The size of each pool, in pages: two huge pages.
const NR_PAGES: usize = 1024;
/// The page whose address is looked at.
const TOUCHED: usize = 300;
/// Bits of an index into a table.
const INDEX_BITS: u32 = 9;
/// Bits of an offset into a page.
fn page_bits() -> u32 {
    page_size().ilog2()
}

/// One address, after a write to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The strategy of its pool.
    pub strategy: Strategy,
    /// The address.
    pub address: usize,
    /// The number of levels of this machine's page tables.
    pub nr_levels: u32,
    /// Whether an entry of the second-last level maps it, with a huge page.
    pub is_huge: bool,
    /// The frame that it is mapped to.
    pub frame: u64,
    /// The memory for page tables that the write took, in KiB.
    pub new_tables_kib: u64,
}

impl Walk {
    /// The index into the table of each level, from the top.
    #[must_use]
    pub fn indices(&self) -> Vec<usize> {
        let index = |level| {
            let shift = page_bits() + INDEX_BITS * level;
            (self.address >> shift) & ((1 << INDEX_BITS) - 1)
        };
        let last = u32::from(self.is_huge);
        (last..self.nr_levels).rev().map(index).collect()
    }

    /// The bits of the address that the tables do not translate.
    #[must_use]
    pub fn offset_bits(&self) -> u32 {
        page_bits() + INDEX_BITS * u32::from(self.is_huge)
    }
}

/// Writes to one address of a pool of single pages, and of one of huge pages.
///
/// # Errors
///
/// The errno of a pool.
pub fn look() -> Result<[Walk; 2], Failure> {
    Ok([walk(Strategy::Page)?, walk(Strategy::Huge)?])
}

fn walk(strategy: Strategy) -> Result<Walk, Failure> {
    let pool = pool(strategy, NR_PAGES)?;
    let mapping = MappingBuilder::shared().map(&pool)?;
    let before = tables_kib()?;
    write(&mapping, TOUCHED)?;
    let new_tables_kib = tables_kib()? - before;
    let has_five_levels = fs::read_to_string("/proc/cpuinfo")?
        .split_whitespace()
        .any(|flag| flag == "la57");
    Ok(Walk {
        strategy,
        address: mapping.as_ptr().addr() + TOUCHED * page_size(),
        nr_levels: if has_five_levels { 5 } else { 4 },
        is_huge: nr_huge(&mapping)? > 0,
        frame: page_table(&mapping)?[TOUCHED].frame(),
        new_tables_kib,
    })
}

/// The memory for the page tables of this process.
fn tables_kib() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmPTE:"));
    let Some(value) = value else {
        fail!("/proc/self/status has no VmPTE");
    };
    Ok(value.trim().trim_end_matches("kB").trim_end().parse()?)
}

/// Draws the walks.
#[must_use]
pub fn draw(walks: &[Walk]) -> String {
    /// How the kernel calls the levels, from the top.
    const LEVELS: [&str; 5] = ["PGD", "P4D", "PUD", "PMD", "PTE"];
    let mut told = Vec::new();
    for walk in walks {
        told.push(format!(
            "With the strategy {}, address {:#x} is mapped to frame {:#x} by an entry of the {}, after indices {:?}; the \
             write took {} KiB of page tables.",
            name(walk.strategy),
            walk.address,
            walk.frame,
            if walk.is_huge { "PMD" } else { "PTE" },
            walk.indices(),
            walk.new_tables_kib
        ));
    }
    let mut figure = Figure::new(
        "The levels of the page table on the way to one address",
        &told.join(" "),
    );
    figure.legend(&[
        ("table", "an index into a table of 512 entries"),
        ("cached", "an offset into the page"),
    ]);
    for walk in walks {
        figure.rule();
        figure.text(
            8,
            "head",
            &format!(
                "{}: page {TOUCHED} at {:#x}",
                name(walk.strategy),
                walk.address
            ),
        );
        figure.y += LINE + 2;
        // Five levels with four in use: the kernel folds the second.
        let names = LEVELS
            .into_iter()
            .filter(|name| walk.nr_levels == 5 || *name != "P4D");
        let indices = walk.indices();
        let width = 120;
        for (number, (name, index)) in names.zip(&indices).enumerate() {
            let x = 8 + width * number;
            let is_last = number + 1 == indices.len();
            let shift = walk.offset_bits() as usize + 9 * (indices.len() - 1 - number);
            let what = match (is_last, walk.is_huge) {
                (false, _) => "to the next table",
                (true, false) => "maps 4 KiB",
                (true, true) => "maps 2 MiB",
            };
            figure.text(x, "faint", &format!("bits {} to {}", shift + 8, shift));
            figure.y += LINE;
            let words = format!("{name}, entry {index}: {what}");
            figure.cell(pixels(x), pixels(width - 6), "table", &words);
            figure.text(x + 6, "", &format!("{name} {index}"));
            figure.y += LINE;
            figure.text(x, "faint", what);
            figure.y -= 2 * LINE;
        }
        let x = 8 + width * indices.len();
        let bits = walk.offset_bits();
        let offset = walk.address & ((1 << bits) - 1);
        figure.text(x, "faint", &format!("bits {} to 0", bits - 1));
        figure.y += LINE;
        let words = format!("offset {offset:#x}");
        figure.cell(pixels(x), pixels(width - 6), "cached", &words);
        figure.text(x + 6, "", &format!("{offset:#x}"));
        figure.y += LINE;
        figure.text(
            x,
            "faint",
            &format!(
                "frame {:#x}; {} KiB of new tables",
                walk.frame, walk.new_tables_kib
            ),
        );
        figure.y += LINE + 4;
    }
    figure.finish()
}
