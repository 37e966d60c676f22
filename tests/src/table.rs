// SPDX-License-Identifier: MIT OR GPL-2.0

//! The table of all scenarios: on one screen, as text, and as a page for a browser.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use crate::catalogue::{scenarios, Group, GROUPS};
use crate::report::{words, Report};
use crate::scenario::Who;

/// Letters of a line.
const WIDTH: usize = 80;

/// The names of scenarios that show what the device is. A wrong name does not compile.
macro_rules! shown {
    ($($group:ident::$name:ident)*) => {
        &[$({
            let _ = crate::scenarios::$group::$name;
            concat!(stringify!($group), "::", stringify!($name))
        }),*]
    };
}

const SHOWN: &[&str] = shown! {
    lazy::mapping_allocates_nothing
    lazy::touching_resident_pages_allocates_nothing
    sharing::writes_cross_fork_in_both_directions
    cow::a_written_private_page_stops_following
    permissions::reopening_for_reading_does_not_inherit_the_right_to_write
    signals::a_mapping_that_starts_past_the_end_is_sigbus
    signals::writing_a_read_only_mapping_is_accerr
    io::a_mapping_sees_what_write_wrote
    sizes::punching_everything_frees_everything
    locks::a_futex_wakes_another_process
    concurrency::four_processes_fault_the_same_pages
    huge::fallocate_is_huge
};

/// Whether every scenario was tried and is right.
#[must_use]
pub fn are_all_right(reports: &[Report]) -> bool {
    reports.len() == scenarios().count() && reports.iter().all(Report::is_right)
}

/// One screen: how many answers are right, some rows, what is wrong, and the verdict.
#[must_use]
pub fn overview(reports: &[Report]) -> String {
    let mut text = String::new();
    let heads = ["node", "created", "memfd"];
    line(&mut text, &counts("right answers", heads));
    for group in GROUPS {
        let right = Who::ALL.map(|who| right_of(reports, group, who));
        line(&mut text, &counts(group.title, right));
    }
    text += "\nnode: /dev/mmap_pool; created: a pool made by MMAP_POOL_CREATE\n\
             memfd: the kernel's own object; docs/semantics.md explains where answers differ\n\n";
    for report in of_names(reports, SHOWN) {
        let answer = words(report.answers.first().map(|(_, seen)| seen));
        let row = format!("{} → {answer}", report.scenario.row.tried);
        wrapped(&mut text, "", &row);
    }
    text.push('\n');
    for report in reports.iter().filter(|report| !report.is_right()) {
        let _ = writeln!(text, "WRONG {report}");
    }
    for line in lacking(reports) {
        let _ = writeln!(text, "{line}");
    }
    line(&mut text, &verdict(reports));
    text
}

/// For each reason why scenarios were not asked, a line with their number.
fn lacking(reports: &[Report]) -> Vec<String> {
    let mut reasons = BTreeMap::<_, usize>::new();
    for why in reports.iter().filter_map(|report| report.lacking.as_ref()) {
        *reasons.entry(why).or_default() += 1;
    }
    let reasons = reasons.into_iter();
    reasons
        .map(|(why, number)| format!("not asked: {number}: {why}"))
        .collect()
}

/// The whole table. An answer stands once, after the subjects that gave it.
#[must_use]
pub fn whole(reports: &[Report]) -> String {
    let mut text = String::new();
    for group in GROUPS {
        let _ = writeln!(text, "{}\n{}", group.title, "-".repeat(group.title.len()));
        for report in of_group(reports, group) {
            wrapped(&mut text, "", report.scenario.row.tried);
            for (who, answer, is_right) in answers(report) {
                let mark = if is_right { "ok" } else { "WRONG" };
                wrapped(&mut text, &format!("    {mark:<5} {who}: "), &answer);
            }
            if let Some(why) = &report.lacking {
                wrapped(&mut text, "    not asked: ", why);
            }
            if let Some(trouble) = &report.trouble {
                wrapped(&mut text, "    WRONG ", trouble);
            }
        }
        text.push('\n');
    }
    line(&mut text, &verdict(reports));
    text
}

/// The whole table as one HTML page.
#[must_use]
pub fn page(reports: &[Report]) -> String {
    let verdict = verdict(reports);
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>/dev/mmap_pool: {verdict}</title>\n\
         <style>\n\
         body {{ font: 15px/1.4 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em }}\n\
         table {{ border-collapse: collapse; width: 100% }}\n\
         td, th {{ border-top: 1px solid #ccc; padding: .3em .6em }}\n\
         td, th {{ text-align: left; vertical-align: top }}\n\
         code {{ font-size: 85% }}\n\
         .wrong {{ background: #fcc }}\n\
         </style>\n\
         <h1>What mappings of /dev/mmap_pool do</h1>\n\
         <p>{verdict}. <em>node</em> is /dev/mmap_pool, <em>created</em> a pool of MMAP_POOL_CREATE. \
         The other subject is the kernel's own object.</p>\n"
    );
    for group in GROUPS {
        let _ = writeln!(
            text,
            "<h2>{}</h2>\n<table>\n<tr><th>tried<th>asked<th>answer<th>test",
            escaped(group.title)
        );
        for report in of_group(reports, group) {
            let mut rows = answers(report);
            if let Some(why) = &report.lacking {
                rows.push((String::new(), format!("not asked: {why}"), true));
            }
            if let Some(trouble) = &report.trouble {
                rows.push((String::new(), trouble.clone(), false));
            }
            let nr_rows = rows.len().max(1);
            let mut first = format!(
                "<td rowspan={nr_rows}>{}",
                escaped(report.scenario.row.tried)
            );
            let name = report.scenario.name;
            let mut last = format!("<td rowspan={nr_rows}><code>{name}</code>");
            for (who, answer, is_right) in rows {
                let class = if is_right { "" } else { " class=wrong" };
                let answer = escaped(&answer);
                let _ = writeln!(text, "<tr>{first}<td{class}>{who}<td{class}>{answer}{last}");
                (first, last) = (String::new(), String::new());
            }
        }
        text += "</table>\n";
    }
    text
}

/// What each subject answered, those together that gave the same answer.
fn answers(report: &Report) -> Vec<(String, String, bool)> {
    let mut answers: Vec<(String, String, bool)> = Vec::new();
    let asked = report.scenario.asked();
    for who in asked.filter(|_| report.lacking.is_none()) {
        let name = report.scenario.name_of(who);
        let text = words(report.answer_of(who));
        let is_right = report.is_right_of(who);
        match answers
            .iter_mut()
            .find(|known| known.1 == text && known.2 == is_right)
        {
            Some((names, ..)) => *names += &format!(", {name}"),
            None => answers.push((name, text, is_right)),
        }
    }
    answers
}

fn verdict(reports: &[Report]) -> String {
    let is_lacking = |report: &&Report| report.lacking.is_some();
    let nr_lacking = reports.iter().filter(is_lacking).count();
    let nr_all = scenarios().count() - nr_lacking;
    let nr_wrong = reports.iter().filter(|report| !report.is_right()).count();
    match (nr_wrong, nr_all - (reports.len() - nr_lacking)) {
        (0, 0) => format!("all {nr_all} scenarios are right"),
        (_, 0) => format!("{nr_wrong} of {nr_all} scenarios are wrong"),
        (_, nr_missing) => {
            format!("{nr_wrong} of {nr_all} scenarios are wrong, {nr_missing} were not tried")
        }
    }
}

fn of_group<'a>(reports: &'a [Report], group: &'a Group) -> impl Iterator<Item = &'a Report> {
    let names = group.scenarios.iter().map(|scenario| scenario.name);
    of_names(reports, names.collect::<Vec<_>>())
}

fn of_names<'a>(
    reports: &'a [Report],
    names: impl AsRef<[&'static str]> + 'a,
) -> impl Iterator<Item = &'a Report> {
    let is_meant = move |report: &&Report| names.as_ref().contains(&report.scenario.name);
    reports.iter().filter(is_meant)
}

/// How many of the group's scenarios that ask `who` have the right answer.
fn right_of(reports: &[Report], group: &Group, who: Who) -> String {
    let is_lacking = |name| {
        let mut reports = reports.iter();
        reports.any(|report| report.scenario.name == name && report.lacking.is_some())
    };
    let asked = group.scenarios.iter();
    let asked = asked.filter(|scenario| scenario.row.expected_of(who).is_some());
    match asked.filter(|scenario| !is_lacking(scenario.name)).count() {
        0 => "-".into(),
        nr_asked => {
            let right = of_group(reports, group).filter(|report| report.is_right_of(who));
            format!("{}/{nr_asked}", right.count())
        }
    }
}

fn counts(title: &str, cells: [impl Display; 3]) -> String {
    let [node, created, oracle] = cells;
    format!("{title:<32}{node:>9}{created:>9}{oracle:>9}")
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Adds lines that begin with `first`, or as many blanks and two, broken between words.
fn wrapped(text: &mut String, first: &str, words: &str) {
    let indent = " ".repeat(first.chars().count() + 2);
    let mut current = first.to_string();
    let mut is_empty = true;
    for word in words.split_whitespace() {
        if !is_empty && current.chars().count() + 1 + word.chars().count() > WIDTH {
            line(text, &current);
            current.clone_from(&indent);
            is_empty = true;
        }
        if !is_empty {
            current.push(' ');
        }
        current.push_str(word);
        is_empty = false;
    }
    line(text, &current);
}

/// The text with the special characters of HTML escaped.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
