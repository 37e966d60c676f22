// SPDX-License-Identifier: MIT OR GPL-2.0

//! What each strategy allocates for the same touches.

use std::fmt::Write;

use mmap_pool::{MappingBuilder, Strategy};

use super::figure::{pixels, Figure, LINE, WIDTH};
use super::{folios, name, pages, pool, write, Folio};
use crate::Failure;

/// The size of each pool, in pages.
const NR_PAGES: usize = 1024;

/// What a strategy did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// The strategy.
    pub strategy: Strategy,
    /// The folios of the pool after all touches.
    pub folios: Vec<Folio>,
    /// The faults that the pool resolved.
    pub nr_faults: u64,
    /// The pages that the pool counts.
    pub nr_resident_pages: u64,
}

/// The pages that are written, in this order: a walk, a short one, and a single page.
fn touches() -> impl Iterator<Item = usize> {
    (0..70).chain(300..304).chain([700])
}

/// Touches a new pool of each strategy.
///
/// # Errors
///
/// The errno of a pool.
pub fn look() -> Result<Vec<Allocated>, Failure> {
    let touch = |strategy| {
        let pool = pool(strategy, NR_PAGES)?;
        let mapping = MappingBuilder::shared().map(&pool)?;
        for page in touches() {
            write(&mapping, page)?;
        }
        let info = pool.info()?;
        Ok(Allocated {
            strategy,
            folios: folios(&pool)?,
            nr_faults: info.nr_faults,
            nr_resident_pages: info.nr_resident_pages,
        })
    };
    Strategy::ALL.into_iter().map(touch).collect()
}

/// The sizes of the folios in the order of the pool, as `2 × 1, 1 × 2, 1 × 4`.
fn sizes(folios: &[Folio]) -> String {
    let mut text = String::new();
    for run in folios.chunk_by(|left, right| left.len() == right.len()) {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{} × {}", run.len(), run[0].len());
    }
    text
}

/// Draws what the strategies did.
#[must_use]
pub fn draw(seen: &[Allocated]) -> String {
    let nr_touches = touches().count();
    let mut description = format!(
        "{nr_touches} pages of a new pool of {NR_PAGES} pages are written: pages 0 to 69 in order, pages 300 to \
         303, and page 700. Number and size of the folios, from the start of the pool: "
    );
    for row in seen {
        let _ = write!(
            description,
            "{}: {}. ",
            name(row.strategy),
            sizes(&row.folios)
        );
    }
    let mut figure = Figure::new(
        "What each strategy allocates for the same touches",
        description.trim_end(),
    );
    let scale = pixels(WIDTH - 16) / pixels(NR_PAGES);
    let bar = |figure: &mut Figure, pages: &Folio, class, words: &str| {
        let width = (pixels(pages.len()) * scale).max(1.6);
        figure.cell(8.0 + pixels(pages.start) * scale, width, class, words);
    };
    figure.text(
        8,
        "",
        &format!("{nr_touches} pages of {NR_PAGES} are written"),
    );
    figure.y += LINE;
    bar(
        &mut figure,
        &(0..NR_PAGES),
        "empty",
        "the pages of the pool",
    );
    for touched in [0..70, 300..304, 700..701] {
        bar(
            &mut figure,
            &touched,
            "mapped",
            &format!("written: {}", pages(&touched)),
        );
    }
    figure.y += LINE + 8;
    for row in seen {
        figure.text(
            8,
            "",
            &format!(
                "{}: {} faults, {} pages in {} folios",
                name(row.strategy),
                row.nr_faults,
                row.nr_resident_pages,
                row.folios.len()
            ),
        );
        figure.y += LINE;
        bar(&mut figure, &(0..NR_PAGES), "empty", "no memory");
        for folio in &row.folios {
            let words = format!("a folio of {}: {}", folio.len(), pages(folio));
            bar(&mut figure, folio, "cached", &words);
        }
        figure.y += LINE;
        figure.text(
            8,
            "faint",
            &format!("number × pages of the folios: {}", sizes(&row.folios)),
        );
        figure.y += LINE + 6;
    }
    figure.finish()
}
