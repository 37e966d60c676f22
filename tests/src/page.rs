// SPDX-License-Identifier: MIT OR GPL-2.0

//! The tables of `docs/semantics.md`, made from the catalogue.

use crate::catalogue::GROUPS;
use crate::scenario::{Row, Who};

/// The tables of all groups, in Markdown.
#[must_use]
pub fn tables() -> String {
    let mut text = String::new();
    for group in GROUPS {
        text += &format!(
            "\n### {}\n\n| operation | pool | kernel | test |\n|---|---|---|---|\n",
            group.name
        );
        for scenario in group.scenarios {
            text += &format!(
                "| {} | {} | {} | `{}` |\n",
                escaped(scenario.row.tried),
                pools(&scenario.row),
                kernel(&scenario.row),
                scenario.function()
            );
        }
    }
    text
}

/// The answers of the node and of a created pool; one answer if they are the same.
fn pools(row: &Row) -> String {
    let [node, created] = [Who::Node, Who::Created].map(|who| row.expected_of(who));
    match (node, created) {
        (Some(node), Some(created)) if node == created => escaped(node),
        _ => [("node", node), ("created", created)]
            .into_iter()
            .filter_map(|(who, answer)| Some(format!("{who}: {}", escaped(answer?))))
            .collect::<Vec<_>>()
            .join("<br>"),
    }
}

fn kernel(row: &Row) -> String {
    row.expected_of(Who::Oracle).map_or_else(
        || "–".into(),
        |answer| format!("{}: {}", row.oracle, escaped(answer)),
    )
}

/// The text with a backslash before each special character of Markdown.
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
