// SPDX-License-Identifier: MIT OR GPL-2.0

//! Shows results: on the terminal, as a page, and as the tables in `docs/performance/`.

mod charts;
mod tables;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::chart::{bytes, short};
use crate::compare::moves;
use crate::results::{Measured, Results};
use crate::verdict::{verdicts, Verdict};
use crate::Failure;
use charts::{charts, Chart};
use tables::{escaped, tables, Table};

/// Writes `bench.json`, `report.html`, `results.md` and one `.svg` for each chart to `folder`.
///
/// # Errors
///
/// A file cannot be written.
pub fn write(results: &Results, folder: &Path) -> Result<(), Failure> {
    let charts = charts(&results.measured)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("bench.json"), results.to_text()?)?;
    fs::write(folder.join("report.html"), page(results, &charts))?;
    fs::write(folder.join("results.md"), markdown(results, &charts))?;
    for chart in &charts {
        fs::write(folder.join(format!("{}.svg", chart.name)), &chart.svg)?;
    }
    Ok(())
}

/// Prints the figures and the verdicts, and returns the number of missed targets.
#[must_use]
pub fn print(results: &Results) -> usize {
    let (nr_met, nr_missed, nr_unknown) = tally(&results.measured);
    for table in tables(&results.measured) {
        println!("\n{}\n{}", table.heading, table.to_terminal());
        for note in &table.notes {
            println!("{note}");
        }
    }
    println!("{}", environment(results));
    println!("{}", tally_words(nr_met, nr_missed, nr_unknown));
    nr_missed
}

/// Prints the changes from `old` to `new`.
///
/// # Errors
///
/// Only one of them is a quick run, so they cannot be compared.
pub fn print_moves(old: &Results, new: &Results, threshold: f64) -> Result<(), Failure> {
    if old.measured.is_quick != new.measured.is_quick {
        return Err("only one of the two results is a quick run: they cannot be compared".into());
    }
    println!("old: {}\nnew: {}", environment(old), environment(new));
    let moves = moves(&old.measured, &new.measured, threshold);
    let figure = |figure: Option<f64>| figure.map_or("-".into(), short);
    let rows = moves.iter().map(|moved| {
        let point = moved
            .figure
            .point
            .map_or(String::new(), |point| bytes(point as f64));
        vec![
            moved.figure.row.clone(),
            moved.figure.subject.to_string(),
            point,
            figure(moved.old),
            figure(moved.new),
            moved
                .change()
                .map_or("-".into(), |change| format!("{:+.1} %", change * 100.0)),
            moved.figure.unit.clone(),
        ]
    });
    let table = Table {
        heading: String::new(),
        head: ["row", "subject", "at", "old", "new", "change", "unit"]
            .map(String::from)
            .into(),
        rows: rows.collect(),
        notes: Vec::new(),
    };
    if !moves.is_empty() {
        println!("{}", table.to_terminal());
    }
    println!(
        "{} of {} figures changed by more than {} %",
        moves.len(),
        new.measured.figures.len(),
        threshold * 100.0
    );
    Ok(())
}

/// Counts the targets that are met, missed, and not measurable here.
fn tally(measured: &Measured) -> (usize, usize, usize) {
    let verdicts = verdicts(measured);
    let count = |is_it: fn(Option<bool>) -> bool| {
        let met = |verdict: &&Verdict| is_it(verdict.reached.map(|reached| reached.is_met));
        verdicts.iter().filter(met).count()
    };
    (
        count(|met| met == Some(true)),
        count(|met| met == Some(false)),
        count(|met| met.is_none()),
    )
}

fn tally_words(nr_met: usize, nr_missed: usize, nr_unknown: usize) -> String {
    format!("{nr_met} targets met, {nr_missed} missed, {nr_unknown} not measurable here")
}

fn environment(results: &Results) -> String {
    let Results {
        environment,
        measured,
        ..
    } = results;
    format!(
        "commit {}, kernel {} {} (configuration {}), {}{}",
        environment.commit,
        environment.kernel,
        measured.release,
        environment.config,
        environment.qemu,
        if measured.is_quick {
            "; a quick run, whose figures mean nothing"
        } else {
            ""
        }
    )
}

fn absences(measured: &Measured) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for absence in &measured.absences {
        let line = format!("{}: {}", absence.subject, absence.reason);
        if !words.contains(&line) {
            words.push(line);
        }
    }
    words
}

fn page(results: &Results, charts: &[Chart]) -> String {
    const STYLE: &str =
        "body{font:15px/1.45 sans-serif;color:#333;max-width:900px;margin:2em auto;\
        padding:0 1em}table{border-collapse:collapse;font-size:13px;margin:1em 0}\
        th,td{border-bottom:1px solid #ddd;padding:3px 9px;text-align:left}\
        .met{color:#2a7a2a}.missed{color:#b02020;font-weight:bold}svg{max-width:100%;height:auto}";

    let (nr_met, nr_missed, nr_unknown) = tally(&results.measured);
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n<title>mmap_pool: \
         benchmark</title>\n<style>{STYLE}</style></head><body>\n<h1>mmap_pool: \
         benchmark</h1>\n<p>{}.<br>{}.</p>\n",
        escaped(&tally_words(nr_met, nr_missed, nr_unknown)),
        escaped(&environment(results)),
    );
    for chart in charts {
        text += &chart.svg;
        text += "\n";
    }
    for table in tables(&results.measured) {
        text += &table.to_html();
    }
    for line in absences(&results.measured) {
        let _ = writeln!(text, "<p>Absent: {}.</p>", escaped(&line));
    }
    text + "</body></html>\n"
}

fn markdown(results: &Results, charts: &[Chart]) -> String {
    let (nr_met, nr_missed, nr_unknown) = tally(&results.measured);
    let mut text = format!(
        "# Results\n\nMade by `make bench RECORD=1`; [performance.md](/docs/performance.md) says how to \
         read them.\n\n{}.\n\n{}.\n\n",
        environment(results),
        tally_words(nr_met, nr_missed, nr_unknown)
    );
    for chart in charts {
        let _ = writeln!(text, "![{0}]({0}.svg)\n", chart.name);
    }
    for table in tables(&results.measured) {
        text += &table.to_markdown();
    }
    for line in absences(&results.measured) {
        let _ = writeln!(text, "Absent: {line}.\n");
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;
    use crate::row::{Row, ROWS};

    #[test]
    fn every_row_is_in_a_table() {
        // A unique figure for each row.
        let of = |row: &Row| {
            1000.0
                + ROWS
                    .iter()
                    .position(|other| other.name == row.name)
                    .unwrap() as f64
        };
        let results = results(|row, _, _| of(row));
        let text = markdown(&results, &[]);
        for row in ROWS {
            assert!(
                text.contains(&format!("| {:.0} |", of(row))),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn a_missed_target_is_shown() {
        let results = results(|row, _, _| if row.name == "first-touch" { 50.0 } else { 1.0 });
        let charts = charts(&results.measured).unwrap();
        let (_, nr_missed, _) = tally(&results.measured);
        assert!(nr_missed > 0);
        assert!(markdown(&results, &charts).contains("| missed |"));
        assert!(page(&results, &charts).contains("<td class=missed>missed</td>"));
    }

    #[test]
    fn the_page_loads_nothing() {
        let results = results(|_, _, point| point.unwrap_or(3) as f64);
        let page = page(&results, &charts(&results.measured).unwrap());
        for word in ["src=", "href=", "@import", "<script"] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
