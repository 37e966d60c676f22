// SPDX-License-Identifier: MIT OR GPL-2.0

//! The tables of `docs/semantics.md`, made of the catalogue.

use crate::catalogue::SCENARIOS;
use crate::scenario::{Scenario, Who};

/// The tables of all groups, in Markdown.
#[must_use]
pub fn tables() -> String {
    let mut text = String::new();
    let mut last = "";
    for scenario in SCENARIOS {
        let (group, name) = scenario
            .name
            .split_once("::")
            .unwrap_or(("", scenario.name));
        if group != last {
            text += &format!(
                "\n### {group}\n\n| | operation | pool | kernel | test |\n|---|---|---|---|---|\n"
            );
            last = group;
        }
        text += &format!(
            "| {} | {} | {} | {} | `{name}` |\n",
            scenario.row,
            escaped(scenario.tried),
            pools(scenario),
            kernel(scenario)
        );
    }
    text
}

/// The answers of the two kinds of pools, once if they are the same.
fn pools(scenario: &Scenario) -> String {
    let [node, created] = [Who::Node, Who::Created].map(|who| scenario.expected_of(who));
    match (node, created) {
        (Some(node), Some(created)) if node == created => escaped(node),
        _ => [("node", node), ("created", created)]
            .into_iter()
            .filter_map(|(who, answer)| Some(format!("{who}: {}", escaped(answer?))))
            .collect::<Vec<_>>()
            .join("<br>"),
    }
}

fn kernel(scenario: &Scenario) -> String {
    scenario.expected_of(Who::Oracle).map_or_else(
        || "–".into(),
        |answer| format!("{}: {}", scenario.oracle, escaped(answer)),
    )
}

/// The text without what Markdown would take for itself.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if "|*_<>\\`".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
