// SPDX-License-Identifier: MIT OR GPL-2.0

//! The figures of `docs/pictures/` show what this guest sees.

use std::collections::BTreeMap;

use mmap_pool_tests::module::EmptyPool;
use mmap_pool_tests::observe::full_reserve;
use mmap_pool_tests::pictures::figure::WIDTH;
use mmap_pool_tests::pictures::{address, allocated, areas, over_time, Folio};
use roxmltree::{Document, Node};

const DRAWN: [(&str, &str); 5] = [
    (
        "areas.svg",
        include_str!("../../../docs/pictures/areas.svg"),
    ),
    (
        "address.svg",
        include_str!("../../../docs/pictures/address.svg"),
    ),
    (
        "fault.svg",
        include_str!("../../../docs/pictures/fault.svg"),
    ),
    (
        "over-time.svg",
        include_str!("../../../docs/pictures/over-time.svg"),
    ),
    (
        "allocated.svg",
        include_str!("../../../docs/pictures/allocated.svg"),
    ),
];

fn drawn(name: &str) -> &'static str {
    DRAWN.iter().find(|(known, _)| *known == name).unwrap().1
}

/// The module with a full reserve, so that large folios can be had.
fn module() -> EmptyPool {
    let module = EmptyPool::new().unwrap();
    full_reserve(16).unwrap();
    module
}

/// The pool counts its pages by itself, and `mincore` does not look at folios. The figures that are not
/// here have addresses, frames and instructions, which differ from guest to guest.
///
/// The figures show pages of 4 KiB.
///
/// needs: `config=CONFIG_PAGE_SIZE_4KB`
#[test]
fn a_figure_shows_what_this_guest_sees_and_the_pool_counts() {
    let _module = module();
    let nr_pages = |folios: &[Folio]| folios.iter().map(|folio| folio.len() as u64).sum::<u64>();

    let seen = allocated::look().unwrap();
    for row in &seen {
        assert_eq!(nr_pages(&row.folios), row.nr_resident_pages, "{row:?}");
    }
    let figure = allocated::draw(&seen);
    let folios: Vec<_> = seen.iter().flat_map(|row| &row.folios).collect();
    assert_eq!(sizes_in(&figure), sizes(&folios));
    assert_eq!(figure, drawn("allocated.svg"), "run make pictures");

    let seen = areas::look().unwrap();
    for step in &seen {
        assert_eq!(nr_pages(&step.folios), step.nr_resident_pages, "{step:?}");
    }
    let figure = areas::draw(&seen);
    let folios: Vec<_> = seen.iter().flat_map(|step| &step.folios).collect();
    assert_eq!(sizes_in(&figure), sizes(&folios));
    assert_eq!(figure, drawn("areas.svg"), "run make pictures");

    let seen = over_time::look().unwrap();
    for step in &seen {
        assert_eq!(
            step.resident.len() as u64,
            step.nr_resident_pages,
            "{step:?}"
        );
        assert!(step.mapped.is_subset(&step.resident), "{step:?}");
    }
    assert_eq!(
        over_time::draw(&seen),
        drawn("over-time.svg"),
        "run make pictures"
    );
}

fn sizes(folios: &[&Folio]) -> BTreeMap<usize, usize> {
    let mut sizes = BTreeMap::new();
    for folio in folios {
        *sizes.entry(folio.len()).or_default() += 1;
    }
    sizes
}

/// How many folios of each size a figure has.
fn sizes_in(figure: &str) -> BTreeMap<usize, usize> {
    let mut sizes = BTreeMap::new();
    for words in words(&Document::parse(figure).unwrap()) {
        if let Some((size, _)) = words
            .strip_prefix("a folio of ")
            .and_then(|rest| rest.split_once(':'))
        {
            *sizes.entry(size.parse().unwrap()).or_default() += 1;
        }
    }
    sizes
}

/// The words of the boxes.
fn words<'a>(figure: &'a Document) -> impl Iterator<Item = &'a str> {
    let boxes = figure
        .descendants()
        .filter(|node| node.has_tag_name("rect"));
    boxes.map(|node| {
        node.first_element_child()
            .and_then(|title| title.text())
            .unwrap()
    })
}

/// A table has 512 entries if a page has 4 KiB.
///
/// needs: `config=CONFIG_PAGE_SIZE_4KB`
#[test]
fn indices_and_offset_make_the_address() {
    let _module = module();
    let walks = address::look().unwrap();
    assert_eq!(walks.each_ref().map(|walk| walk.is_huge), [false, true]);
    for walk in walks {
        let indices = walk.indices();
        let bits = walk.offset_bits();
        let mapped = indices
            .iter()
            .fold(0, |address, index| (address << 9) | index)
            << bits;
        let offset = walk.address & ((1 << bits) - 1);
        assert_eq!(mapped | offset, walk.address, "{walk:?}");
        assert!(indices.iter().all(|&index| index < 512), "{walk:?}");
    }
}

#[test]
fn a_figure_is_well_formed_and_says_in_words_what_it_shows() {
    for (name, figure) in DRAWN {
        let document = Document::parse(figure).unwrap_or_else(|error| panic!("{name}: {error}"));
        let root = document.root_element();
        assert!(root.has_tag_name("svg"), "{name}");
        assert_eq!(root.attribute("role"), Some("img"), "{name}");
        let labels = root.attribute("aria-labelledby").unwrap();
        for label in labels.split(' ') {
            let is_it = |node: &Node<'_, '_>| node.attribute("id") == Some(label);
            let text = document
                .descendants()
                .find(is_it)
                .and_then(|node| node.text());
            assert!(text.is_some_and(|text| text.len() > 10), "{name}: {label}");
        }
        assert!(
            figure.contains("@media (prefers-color-scheme: dark)"),
            "{name}"
        );
        assert!(words(&document).all(|words| !words.is_empty()), "{name}");
        for node in document.descendants().filter(Node::is_element) {
            let number = |attribute| {
                node.attribute(attribute)
                    .map_or(0.0, |value| value.parse().unwrap())
            };
            let end: f64 = number("x") + number("width");
            assert!(
                end <= f64::from(u32::try_from(WIDTH).unwrap()),
                "{name}: {node:?}"
            );
        }
    }
}
