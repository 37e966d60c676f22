// SPDX-License-Identifier: MIT OR GPL-2.0

//! The output of `mmap-pool-table`, made from invented answers.

use mmap_pool_tests::catalogue::scenarios;
use mmap_pool_tests::report::{self, Report};
use mmap_pool_tests::scenario::{Scenario, Who};
use mmap_pool_tests::table::{are_all_right, overview, page, whole};

/// A report with the right answer of every subject.
fn right(scenario: &'static Scenario) -> Report {
    let answer = |who| (who, Ok(scenario.row.expected_of(who).unwrap().into()));
    Report {
        scenario,
        answers: scenario.asked().map(answer).collect(),
        lacking: None,
        trouble: None,
    }
}

fn all_right() -> Vec<Report> {
    scenarios().map(right).collect()
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap()
}

fn verdict(nr_wrong: usize) -> String {
    let nr_all = scenarios().count();
    match nr_wrong {
        0 => format!("all {nr_all} scenarios are right"),
        _ => format!("{nr_wrong} of {nr_all} scenarios are wrong"),
    }
}

#[test]
fn the_overview_fits_a_screen() {
    let text = overview(&all_right());
    assert!(text.lines().count() <= 45, "{text}");
    for line in text.lines().chain(whole(&all_right()).lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(are_all_right(&all_right()));
    assert_eq!(last_line(&text), verdict(0));
    assert!(text.contains("map all of it, touch nothing → 0 resident\n"));
}

#[test]
fn a_wrong_answer_is_shown_in_full_and_not_counted_as_right() {
    let mut reports = all_right();
    reports[0].answers[1].1 = Ok("7 resident".into());
    assert!(!are_all_right(&reports));
    let text = overview(&reports);
    assert_eq!(last_line(&text), verdict(1));
    let name = reports[0].scenario.name;
    assert!(
        text.contains(&format!(
            "WRONG {name}: map all of it, touch nothing\n  node     0 resident\n  \
             created  7 resident\n  expected 0 resident\n  memfd    0 resident\n"
        )),
        "{text}"
    );
    let first = text
        .lines()
        .find(|line| line.starts_with("pages on demand"));
    let counts: Vec<_> = first.unwrap().split_whitespace().skip(3).collect();
    assert_eq!(counts, ["14/14", "13/14", "14/14"]);
    assert!(whole(&reports).contains("\n    WRONG created: 7 resident\n"));
    assert!(page(&reports).contains("<td class=wrong>created<td class=wrong>7 resident"));
}

#[test]
fn an_answer_that_is_missing_or_not_expected_is_wrong() {
    let mut reports = all_right();
    reports[0].answers.pop();
    reports[1].answers[0].1 = Err("failed".into());
    reports[2].trouble = Some("something is left".into());
    assert!(!are_all_right(&reports));
    assert_eq!(last_line(&overview(&reports)), verdict(3));
    assert!(overview(&reports).contains("\n  memfd    no answer\n"));
    assert!(overview(&reports).contains("\n  trouble  something is left\n"));
    // Right as an answer, but of a subject that fails.
    reports[1].answers[0].1 = Err(reports[1]
        .scenario
        .row
        .expected_of(Who::Node)
        .unwrap()
        .into());
    assert!(!reports[1].is_right());
}

#[test]
fn scenarios_that_were_not_tried_are_counted() {
    let mut reports = all_right();
    reports.truncate(10);
    assert!(!are_all_right(&reports));
    let nr_missing = scenarios().count() - 10;
    let expected = format!(
        "{}, {nr_missing} were not tried",
        verdict(0).replace("all", "0 of")
    );
    assert_eq!(
        last_line(&overview(&reports)),
        expected.replace("are right", "are wrong")
    );
}

#[test]
fn records_are_read_as_they_were_written() {
    let mut reports = all_right();
    reports[3].answers[0].1 = Err("a line\nand\ta tab".into());
    reports[4].trouble = Some("something is left".into());
    let mut records: String = reports.iter().map(Report::records).collect();
    let (read, others) = report::read(&records);
    assert!(others.is_empty());
    reports[3].answers[0].1 = Err("a line and a tab".into());
    for (ours, theirs) in reports.iter().zip(&read) {
        assert_eq!(ours.scenario.name, theirs.scenario.name);
        assert_eq!(ours.answers, theirs.answers);
        assert_eq!(ours.trouble, theirs.trouble);
    }
    assert_eq!(reports.len(), read.len());
    // The guest may die in the midst of a line.
    let last = scenarios().last().unwrap().name;
    records.push_str(last);
    assert_eq!(report::read(&records).0.len(), reports.len());
    records.push_str("\tnode\tanswer\tha");
    assert_eq!(report::read(&records).0.len(), reports.len());
}

/// A scenario that panics says why, and the answers before it count.
#[test]
fn what_is_no_record_is_kept() {
    let first = all_right()[0].records();
    let others = ["thread panicked", "lazy::no_scenario\tnode\tanswer\tx"];
    let output = format!("{}\n{first}{}\n", others[0], others[1]);
    let (reports, kept) = report::read(&output);
    assert_eq!(reports.len(), 1);
    assert_eq!(kept, others);
}
