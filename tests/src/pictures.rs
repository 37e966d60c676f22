// SPDX-License-Identifier: MIT OR GPL-2.0

//! The figures of `docs/pictures/`, drawn in a guest from what the kernel says.
//!
//! Each figure has a function that looks and a function that draws. Tests compare what is seen with
//! other counters of the kernel, and the figures with those in `docs/pictures/`.

pub mod address;
pub mod allocated;
pub mod areas;
pub mod fault;
pub mod figure;
pub mod over_time;

use std::ops::Range;

use mmap_pool::{Mapping, MappingBuilder, Pool, Protection, Strategy};

use crate::observe::{mincore, page_table, put_word, word};
use crate::subject::page_size;
use crate::{frames, Failure};

/// Looks, and draws what is seen.
pub type Draw = fn() -> Result<String, Failure>;

/// The figures: the name of each file, and the function that looks and draws.
pub const ALL: [(&str, Draw); 5] = [
    ("areas.svg", || Ok(areas::draw(&areas::look()?))),
    ("address.svg", || Ok(address::draw(&address::look()?))),
    ("fault.svg", || Ok(fault::draw(&fault::look()?))),
    ("over-time.svg", || Ok(over_time::draw(&over_time::look()?))),
    ("allocated.svg", || Ok(allocated::draw(&allocated::look()?))),
];

/// A folio of a pool: its pages, in pages from the start of the pool.
pub type Folio = Range<usize>;

/// The folios that a pool holds, by `mincore`, the page table and `/proc/kpageflags`.
///
/// # Errors
///
/// The errno of looking.
pub fn folios(pool: &Pool) -> Result<Vec<Folio>, Failure> {
    let mapping = MappingBuilder::shared()
        .protection(Protection::READ)
        .map(pool)?;
    let resident = mincore(&mapping)?;
    for &page in &resident {
        word(&mapping, page * page_size())?;
    }
    let table = page_table(&mapping)?;
    let frame = |page: usize| usize::try_from(table[page].frame()).unwrap_or(usize::MAX);
    let mut folios: Vec<Folio> = Vec::new();
    for run in resident.chunk_by(|&left, &right| frame(left) + 1 == frame(right)) {
        let flags = frames::flags_of(frame(run[0]), run.len())?;
        for (&page, flags) in run.iter().zip(flags) {
            match folios.last_mut() {
                Some(last) if flags.is_tail() && last.end == page => last.end += 1,
                _ => folios.push(single(page)),
            }
        }
    }
    Ok(folios)
}

/// One page.
fn single(page: usize) -> Folio {
    Folio {
        start: page,
        end: page + 1,
    }
}

/// Creates a pool of `nr_pages` pages.
fn pool(strategy: Strategy, nr_pages: usize) -> Result<Pool, Failure> {
    Ok(Pool::create()
        .strategy(strategy)
        .size_bytes((nr_pages * page_size()) as u64)
        .create()?)
}

fn read(mapping: &Mapping, page: usize) -> Result<(), Failure> {
    word(mapping, page * page_size()).map(drop)
}

fn write(mapping: &Mapping, page: usize) -> Result<(), Failure> {
    put_word(mapping, page * page_size(), "here")
}

/// The name of a strategy in README.md.
fn name(strategy: Strategy) -> String {
    format!("{strategy:?}").to_uppercase()
}

/// `page 5`, or `pages 16 to 31`.
fn pages(pages: &Range<usize>) -> String {
    match pages.len() {
        1 => format!("page {}", pages.start),
        _ => format!("pages {} to {}", pages.start, pages.end - 1),
    }
}
