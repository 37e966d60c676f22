// SPDX-License-Identifier: MIT OR GPL-2.0

//! Which pages of a pool are in memory, and which of them a mapping has, step by step.

use std::collections::BTreeSet;

use mmap_pool::{Advice, MappingBuilder, Strategy};

use super::figure::{pixels, Figure, LINE};
use super::{pool, read, write};
use crate::observe::{mincore, present};
use crate::subject::page_size;
use crate::Failure;

/// The size of the pool, in pages, and of the mapping: a huge page, so that the address is aligned and the
/// kernel maps the same pages around a fault each time.
const NR_PAGES: usize = 512;
/// The pages that are shown.
const NR_SHOWN: usize = 64;

/// The pool after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub done: &'static str,
    /// The pages of the pool.
    pub nr_pages: usize,
    /// The pages in memory, by `mincore`.
    pub resident: BTreeSet<usize>,
    /// The pages in the page table of the mapping.
    pub mapped: BTreeSet<usize>,
    /// The pages that the pool counts.
    pub nr_resident_pages: u64,
}

/// Uses a pool, and looks after each step.
///
/// # Errors
///
/// The errno of a step.
pub fn look() -> Result<Vec<Step>, Failure> {
    let pool = pool(Strategy::Auto, NR_PAGES)?;
    let mut mapping = MappingBuilder::shared().map(&pool)?;
    let at = |page: usize| (page * page_size()) as u64;
    let mut steps = Vec::new();
    let names = [
        "map it",
        "write pages 5, 20, 50",
        "write pages 24 to 39 in order",
        "MADV_DONTNEED on all",
        "read page 30",
        "punch pages 28 to 33",
        "shrink to 36 pages",
        "grow to 512 pages",
        "unmap, map anew",
        "write pages 36 to 63 in order",
    ];
    for (number, done) in names.into_iter().enumerate() {
        match number {
            1 => [5, 20, 50]
                .into_iter()
                .try_for_each(|page| write(&mapping, page))?,
            2 => (24..40).try_for_each(|page| write(&mapping, page))?,
            3 => mapping.advise(Advice::DontNeed)?,
            4 => read(&mapping, 30)?,
            5 => pool.punch(at(28), at(6))?,
            6 => pool.resize(at(36))?,
            7 => pool.resize(at(NR_PAGES))?,
            8 => {
                mapping.unmap()?;
                mapping = MappingBuilder::shared().map(&pool)?;
            }
            9 => (36..NR_SHOWN).try_for_each(|page| write(&mapping, page))?,
            _ => {}
        }
        let info = pool.info()?;
        steps.push(Step {
            done,
            nr_pages: usize::try_from(info.size_bytes)? / page_size(),
            resident: mincore(&mapping)?.into_iter().collect(),
            mapped: present(&mapping)?.into_iter().collect(),
            nr_resident_pages: info.nr_resident_pages,
        });
    }
    Ok(steps)
}

/// Draws the steps.
#[must_use]
pub fn draw(steps: &[Step]) -> String {
    const LEFT: usize = 250;
    let told: Vec<_> = steps.iter().map(told).collect();
    let description = format!(
        "A pool of {NR_PAGES} pages with the strategy AUTO, and one shared mapping of it. The figure \
         shows the first {NR_SHOWN} pages. The number of pages in memory, and of those in the page table of the mapping, \
         after each step: {}.",
        told.join("; ")
    );
    let mut figure = Figure::new("The pages of a pool over time", &description);
    figure.legend(&[
        ("empty", "no memory"),
        ("cached", "in memory"),
        ("mapped", "and in this page table"),
        ("beyond", "past the end"),
    ]);
    for (step, told) in steps.iter().zip(&told) {
        figure.text(8, "", step.done);
        for page in 0..NR_SHOWN {
            let (class, state) = if page >= step.nr_pages {
                ("beyond", "past the end")
            } else if step.mapped.contains(&page) {
                ("mapped", "in memory and mapped")
            } else if step.resident.contains(&page) {
                ("cached", "in memory")
            } else {
                ("empty", "no memory")
            };
            let words = format!("page {page}: {state}");
            figure.cell(pixels(LEFT + 8 * page), 7.4, class, &words);
        }
        let (_, counts) = told.split_once(": ").unwrap_or_default();
        figure.text(LEFT + 8 * NR_SHOWN + 8, "faint", counts);
        figure.y += LINE + 2;
    }
    figure.finish()
}

/// A step in words.
fn told(step: &Step) -> String {
    let (done, resident, mapped) = (step.done, step.resident.len(), step.mapped.len());
    format!("{done}: {resident}, {mapped}")
}
