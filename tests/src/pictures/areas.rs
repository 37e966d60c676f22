// SPDX-License-Identifier: MIT OR GPL-2.0

//! The address space: areas over pages over folios, before and after a touch.

use std::fs;

use mmap_pool::{Mapping, MappingBuilder, Pool, Strategy};

use super::figure::{pixels, Figure, LINE};
use super::{folios, pages, pool, read, single, write, Folio};
use crate::observe::page_table;
use crate::subject::page_size;
use crate::{fail, Failure};

/// The size of the pool, in pages: some huge pages, so that addresses are aligned and the kernel maps the
/// same pages around a fault each time.
const NR_PAGES: usize = 1536;
/// The pages that are shown.
const NR_SHOWN: usize = 48;
/// The first page of the private mapping.
const PRIVATE_FROM: usize = 16;

/// One area and its page table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// The rights, as `/proc/self/maps` shows them.
    pub rights: String,
    /// The first page of the object that it maps.
    pub pgoff: usize,
    /// For each page: whether it is mapped, and whether that is a page of the object.
    pub entries: Vec<Option<bool>>,
}

/// The address space after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub done: &'static str,
    /// The shared and the private area.
    pub areas: [Area; 2],
    /// The folios of the pool.
    pub folios: Vec<Folio>,
    /// The pages that the pool counts.
    pub nr_resident_pages: u64,
}

impl Area {
    fn look(mapping: &Mapping) -> Result<Self, Failure> {
        let start = format!("{:x}-", mapping.as_ptr().addr());
        let maps = fs::read_to_string("/proc/self/maps")?;
        let Some(line) = maps.lines().find(|line| line.starts_with(&start)) else {
            fail!("no area begins at {start}");
        };
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, rights, offset, ..] = words[..] else {
            fail!("{line} is no area");
        };
        let entries = page_table(mapping)?
            .into_iter()
            .map(|entry| entry.is_present().then(|| entry.is_of_file()))
            .collect();
        Ok(Self {
            rights: rights.into(),
            pgoff: usize::from_str_radix(offset, 16)? / page_size(),
            entries,
        })
    }

    fn pages(&self) -> Folio {
        self.pgoff..self.pgoff + self.entries.len()
    }

    /// The pages with an entry, in runs of neighbours: of the object, or copies.
    fn runs(&self, is_of_object: bool) -> Vec<Folio> {
        let mut runs: Vec<Folio> = Vec::new();
        for (page, _) in self
            .pages()
            .zip(&self.entries)
            .filter(|(_, entry)| **entry == Some(is_of_object))
        {
            match runs.last_mut() {
                Some(last) if last.end == page => last.end += 1,
                _ => runs.push(single(page)),
            }
        }
        runs
    }
}

/// Maps a pool twice, touches it, and looks after each step.
///
/// # Errors
///
/// The errno of a step.
pub fn look() -> Result<Vec<Step>, Failure> {
    let pool = pool(Strategy::Around, NR_PAGES)?;
    let shared = MappingBuilder::shared().map(&pool)?;
    let private = MappingBuilder::private()
        .offset((PRIVATE_FROM * page_size()) as u64)
        .map(&pool)?;
    let seen = |done| step(done, &pool, &shared, &private);
    let mut steps = vec![seen("both are mapped, nothing is touched")?];
    write(&shared, 20)?;
    steps.push(seen("page 20 is written through the shared mapping")?);
    read(&private, 20 - PRIVATE_FROM)?;
    write(&private, 22 - PRIVATE_FROM)?;
    steps.push(seen(
        "page 20 is read and page 22 is written through the private mapping",
    )?);
    Ok(steps)
}

fn step(
    done: &'static str,
    pool: &Pool,
    shared: &Mapping,
    private: &Mapping,
) -> Result<Step, Failure> {
    Ok(Step {
        done,
        areas: [Area::look(shared)?, Area::look(private)?],
        folios: folios(pool)?,
        nr_resident_pages: pool.info()?.nr_resident_pages,
    })
}

/// Draws the steps.
#[must_use]
pub fn draw(steps: &[Step]) -> String {
    const LEFT: usize = 200;
    const CELL: usize = 13;
    let listed = |runs: &[Folio]| match runs {
        [] => "none".into(),
        runs => runs.iter().map(pages).collect::<Vec<_>>().join(" and "),
    };
    let mut description = format!(
        "A pool of {NR_PAGES} pages with the strategy AROUND. One process maps it twice: shared, and privately \
         from page {PRIVATE_FROM} on. The figure shows the first {NR_SHOWN} pages. "
    );
    for step in steps {
        let [shared, private] = &step.areas;
        description += &format!(
            "When {}: folios {}; in the page table of the shared mapping {}; in that of the private one {}, copies \
             {}. ",
            step.done,
            listed(&step.folios),
            listed(&shared.runs(true)),
            listed(&private.runs(true)),
            listed(&private.runs(false)),
        );
    }
    let mut figure = Figure::new(
        "Two areas, their page tables, and the folios of a pool",
        description.trim_end(),
    );
    figure.legend(&[
        ("area", "an area (VMA)"),
        ("empty", "no entry, no memory"),
        ("mapped", "an entry for a page of the pool"),
        ("copied", "an entry for a copy"),
        ("cached", "a folio"),
    ]);
    let span = |figure: &mut Figure, pages: &Folio, class, words: &str| {
        let shown = pages.start..pages.end.min(NR_SHOWN);
        let x = LEFT + CELL * shown.start;
        figure.cell(pixels(x), pixels(CELL * shown.len()) - 1.0, class, words);
    };
    for step in steps {
        figure.rule();
        figure.text(8, "head", step.done);
        figure.y += LINE + 2;
        for (area, name) in step.areas.iter().zip(["shared", "private"]) {
            figure.text(8, "", &format!("area {} {name}", area.rights));
            let words = format!("{} area, {}", name, pages(&area.pages()));
            span(&mut figure, &area.pages(), "area", &words);
            figure.y += LINE;
            figure.text(8, "faint", "its page table");
            for (page, entry) in area.pages().zip(&area.entries).take(NR_SHOWN - area.pgoff) {
                let (class, what) = match entry {
                    None => ("empty", "no entry"),
                    Some(true) => ("mapped", "an entry for the page of the pool"),
                    Some(false) => ("copied", "an entry for a copy"),
                };
                let words = format!("page {page}: {what}");
                span(&mut figure, &single(page), class, &words);
            }
            figure.y += LINE + 3;
        }
        figure.text(
            8,
            "",
            &format!("pool: {} pages in memory", step.nr_resident_pages),
        );
        span(&mut figure, &(0..NR_PAGES), "empty", "no memory");
        for folio in &step.folios {
            let words = format!("a folio of {}: {}", folio.len(), pages(folio));
            span(&mut figure, folio, "cached", &words);
        }
        figure.y += LINE + 4;
    }
    figure.finish()
}
