// SPDX-License-Identifier: MIT OR GPL-2.0

//! Compares `docs/semantics.md` with the catalogue.

use mmap_pool_tests::catalogue::scenarios;
use mmap_pool_tests::page;
use mmap_pool_tests::scenario::{Scenario, Who};

const PAGE: &str = include_str!("../../../docs/semantics.md");
/// The files of the tests that are not scenarios.
const SOURCES: [&str; 29] = [
    include_str!("calls.rs"),
    include_str!("counters.rs"),
    include_str!("created.rs"),
    include_str!("files.rs"),
    include_str!("ioctl.rs"),
    include_str!("killed.rs"),
    include_str!("library.rs"),
    include_str!("loading.rs"),
    include_str!("marks.rs"),
    include_str!("parameters.rs"),
    include_str!("pinned.rs"),
    include_str!("poison.rs"),
    include_str!("races.rs"),
    include_str!("rights.rs"),
    include_str!("shortage.rs"),
    include_str!("slow_pages.rs"),
    include_str!("strategies.rs"),
    include_str!("survival.rs"),
    include_str!("trace.rs"),
    include_str!("undo.rs"),
    include_str!("../guest_backed/access.rs"),
    include_str!("../guest_backed/bytes.rs"),
    include_str!("../guest_backed/errors.rs"),
    include_str!("../guest_backed/gone.rs"),
    include_str!("../guest_backed/holes.rs"),
    include_str!("../guest_backed/large.rs"),
    include_str!("../guest_backed/replay.rs"),
    include_str!("../guest_backed/written.rs"),
    include_str!("../guest_nodes/policy.rs"),
];

#[test]
fn the_tables_are_those_of_the_catalogue() {
    let (_, tables) = PAGE
        .split_once("\n<!-- made by mmap-pool-table --markdown -->\n")
        .unwrap();
    let expected = page::tables();
    for (number, (ours, theirs)) in tables.lines().zip(expected.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {number} of the tables");
    }
    assert_eq!(tables, expected);
}

#[test]
fn every_difference_has_a_reason() {
    let (prose, _) = PAGE.split_once("\n## The tables\n").unwrap();
    for scenario in scenarios() {
        let name = scenario.function();
        let [node, created, oracle] = Who::ALL.map(|who| scenario.row.expected_of(who));
        let differs = [node, created]
            .into_iter()
            .any(|pool| pool.is_some() && oracle.is_some() && pool != oracle);
        let is_named = prose.contains(&format!("`{name}`"));
        assert_eq!(differs, is_named, "{name}: differs, has a reason");
    }
}

#[test]
fn every_name_in_the_text_is_a_test() {
    let (prose, _) = PAGE.split_once("\n## The tables\n").unwrap();
    let known: Vec<_> = scenarios().map(Scenario::function).collect();
    let mut nr_seen = 0;
    for word in prose.split('`').skip(1).step_by(2) {
        // A name is a sentence: whatever else is quoted has fewer words, or capitals.
        let is_name = word
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if is_name && word.matches('_').count() >= 3 {
            let tests = [
                format!("#[test]\nfn {word}() {{"),
                // A macro makes a test of it for each kind of object.
                format!("\nfn {word}(store: &Store) {{"),
            ];
            let is_test = SOURCES
                .iter()
                .any(|source| tests.iter().any(|test| source.contains(test)));
            assert!(known.contains(&word) || is_test, "{word} is no test");
            nr_seen += 1;
        }
    }
    assert!(nr_seen > 0);
}
