// SPDX-License-Identifier: MIT OR GPL-2.0

//! Results for people: on the terminal, as a page, and as the tables of `docs/performance.md`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use comfy_table::{presets, ContentArrangement};

use crate::chart::{bars, bytes, curves, short, Axes, Series};
use crate::compare::moves;
use crate::results::{Measured, Results};
use crate::row::{Axis, Bound, Row, ROWS};
use crate::stats::crossover;
use crate::subject::Subject;
use crate::verdict::{verdicts, Reached, Verdict};
use crate::Failure;

/// Writes `bench.json`, `report.html`, `results.md` and one `.svg` for each chart to `folder`.
///
/// # Errors
///
/// What writing answers.
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

/// Prints the figures and the verdicts, and returns how many targets were missed.
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

/// Prints what moved from `old` to `new`.
///
/// # Errors
///
/// One of them was quick, so that nothing can be said.
pub fn print_moves(old: &Results, new: &Results, threshold: f64) -> Result<(), Failure> {
    if old.measured.is_quick != new.measured.is_quick {
        return Err("one of the two was a quick run".into());
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
        "{} of {} figures moved by more than {} %",
        moves.len(),
        new.measured.figures.len(),
        threshold * 100.0
    );
    Ok(())
}

/// How many targets were met, missed, and could not be judged.
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

/// Cells under a heading.
struct Table {
    heading: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Below the cells.
    notes: Vec<String>,
}

impl Table {
    fn to_terminal(&self) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::UTF8_BORDERS_ONLY)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(&self.head)
            .add_rows(&self.rows);
        table
    }

    fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("### {}\n\n{}", self.heading, line(&self.head));
        text += &format!("|{}\n", "---|".repeat(self.head.len()));
        for row in &self.rows {
            text += &line(row);
        }
        for note in &self.notes {
            text += &format!("\n{note}\n");
        }
        text + "\n"
    }

    fn to_html(&self) -> String {
        let cells = |cells: &[String], tag: &str| -> String {
            let cell = |cell: &String| {
                let class = match cell.as_str() {
                    "met" => " class=met",
                    "missed" => " class=missed",
                    _ => "",
                };
                format!("<{tag}{class}>{}</{tag}>", escaped(cell))
            };
            cells.iter().map(cell).collect()
        };
        let mut text = format!(
            "<h2>{}</h2>\n<table>\n<tr>{}</tr>\n",
            escaped(&self.heading),
            cells(&self.head, "th")
        );
        for row in &self.rows {
            text += &format!("<tr>{}</tr>\n", cells(row, "td"));
        }
        text += "</table>\n";
        for note in &self.notes {
            text += &format!("<p>{}</p>\n", escaped(note));
        }
        text
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Rows by their names.
fn rows(names: &[&str]) -> Vec<&'static Row> {
    let find = |name: &&str| ROWS.iter().find(|row| row.name == *name);
    names
        .iter()
        .map(|name| find(name).expect("a table is made of rows that there are"))
        .collect()
}

/// What the verdicts are, and all figures.
fn tables(measured: &Measured) -> Vec<Table> {
    let mut tables = vec![targets(measured)];
    tables.push(by_subject(
        measured,
        "Strategies side by side: instructions for each page",
        &[
            "map-call",
            "first-touch",
            "first-touch-settled",
            "write-again",
            "read-again",
            "munmap",
        ],
    ));
    tables.push(by_subject(
        measured,
        "Single pages and single calls: instructions",
        &["random-fault", "cow", "fork", "open-map-close"],
    ));
    tables.push(by_subject(
        measured,
        "Memory beside the pages: bytes for each page",
        &["overhead", "hole"],
    ));
    for name in [
        "read-call",
        "write-call",
        "parallel-first-touch",
        "parallel-write-again",
        "grown-first-touch",
        "grown-write-again",
    ] {
        let row = rows(&[name])[0];
        tables.push(by_point(
            measured,
            &format!("{}: {}", row.title, row.unit),
            &[("", row)],
        ));
    }
    tables.push(by_subject(
        measured,
        "Faults that took mmap_lock",
        &["lock-fallbacks"],
    ));
    tables.extend(SEQUENCES.iter().map(|sequence| sequence.table(measured)));
    tables.push(bytewise(measured));
    tables
}

fn targets(measured: &Measured) -> Table {
    let line = |verdict: Verdict| {
        let (figure, reached, word) = match verdict.reached {
            None => ("-".into(), "-".into(), "not measurable here"),
            Some(reached) => (
                figure_words(verdict.row, reached),
                reached_words(verdict.target.bound, reached),
                if reached.is_met { "met" } else { "missed" },
            ),
        };
        vec![
            verdict.row.title.into(),
            verdict.target.subject.to_string(),
            figure,
            verdict.target.bound.to_string(),
            reached,
            word.into(),
        ]
    };
    Table {
        heading: "Targets".into(),
        head: ["row", "subject", "figure", "target", "reached", "verdict"]
            .map(String::from)
            .into(),
        rows: verdicts(measured).into_iter().map(line).collect(),
        notes: Vec::new(),
    }
}

fn figure_words(row: &Row, reached: Reached) -> String {
    let at = reached.point.map_or(String::new(), |point| {
        format!(" at {}", at_words(row, point))
    });
    format!("{} {}{at}", short(reached.figure), row.unit)
}

fn at_words(row: &Row, point: u64) -> String {
    match row.points.map(|points| points.axis) {
        Some(Axis::Threads) | None => point.to_string(),
        Some(_) => bytes(point as f64),
    }
}

fn reached_words(bound: Bound, reached: Reached) -> String {
    match bound {
        Bound::AtMost(_) => short(reached.value),
        Bound::Times(_, subject) => format!("{:.3} × {subject}", reached.value),
        Bound::Beyond(_, subject) => format!("{subject} + {}", short(reached.value)),
        Bound::Flat(_) | Bound::Scales(_) => format!("{:.3} ×", reached.value),
    }
}

/// Subjects below each other, rows side by side.
fn by_subject(measured: &Measured, heading: &str, names: &[&str]) -> Table {
    let columns = rows(names);
    let mut subjects: Vec<Subject> = Vec::new();
    for subject in columns.iter().flat_map(|row| row.subjects) {
        if !subjects.contains(subject) {
            subjects.push(*subject);
        }
    }
    let line = |subject: Subject| {
        let cell = |row: &&Row| match measured.figure(row.name, subject, None) {
            Some(figure) => short(figure.median),
            None if measured.absence(row.name, subject).is_some() => "absent".into(),
            None => String::new(),
        };
        [subject.to_string()]
            .into_iter()
            .chain(columns.iter().map(cell))
            .collect()
    };
    Table {
        heading: heading.into(),
        head: [String::new()]
            .into_iter()
            .chain(names.iter().map(|&name| name.replace('-', " ")))
            .collect(),
        rows: subjects.into_iter().map(line).collect(),
        notes: Vec::new(),
    }
}

/// Points below each other, subjects side by side; for each of them the rows, each with a word.
fn by_point(measured: &Measured, heading: &str, columns: &[(&str, &Row)]) -> Table {
    let row = columns[0].1;
    let cells = || {
        let of = |&subject| columns.iter().map(move |&(word, row)| (subject, word, row));
        row.subjects.iter().flat_map(of)
    };
    let axis = row
        .points
        .map_or(String::new(), |points| points.axis.to_string());
    let line = |point: u64| {
        let cell = |(subject, _, row): (Subject, &str, &Row)| {
            let figure = measured.figure(row.name, subject, Some(point));
            figure.map_or("absent".into(), |figure| short(figure.median))
        };
        [at_words(row, point)]
            .into_iter()
            .chain(cells().map(cell))
            .collect()
    };
    Table {
        heading: heading.into(),
        head: [axis]
            .into_iter()
            .chain(cells().map(|(subject, word, _)| format!("{subject} {word}").trim_end().into()))
            .collect(),
        rows: row
            .points(measured.is_quick)
            .into_iter()
            .flatten()
            .map(line)
            .collect(),
        notes: Vec::new(),
    }
}

/// The same bytes through a mapping and by system calls.
struct Sequence {
    /// Name of the chart.
    name: &'static str,
    title: &'static str,
    call: &'static str,
    mapped: &'static str,
    called: &'static str,
}

const SEQUENCES: &[Sequence] = &[
    Sequence {
        name: "sequential-write",
        title: "Sequential write of a new object",
        call: "write(2)",
        mapped: "write-mapped",
        called: "write-called",
    },
    Sequence {
        name: "sequential-read",
        title: "Sequential read of a full object, all bytes added up",
        call: "read(2)",
        mapped: "read-mapped",
        called: "read-called",
    },
];

impl Sequence {
    fn rows(&self) -> [&'static Row; 2] {
        let rows = rows(&[self.mapped, self.called]);
        [rows[0], rows[1]]
    }

    fn subjects(&self) -> &'static [Subject] {
        self.rows()[0].subjects
    }

    /// At how many bytes the call becomes cheaper.
    fn crossover(&self, measured: &Measured, subject: Subject) -> Option<f64> {
        let curve = |row| -> Vec<(f64, f64)> {
            let points = measured.curve(row, subject);
            points.map(|(x, y)| (x as f64, y)).collect()
        };
        crossover(&curve(self.called), &curve(self.mapped))
    }

    fn table(&self, measured: &Measured) -> Table {
        let [mapped, called] = self.rows();
        let mut table = by_point(
            measured,
            &format!("{}: {}", self.title, mapped.unit),
            &[("mapped", mapped), (self.call, called)],
        );
        let note = |&subject: &Subject| {
            let from = match self.crossover(measured, subject) {
                Some(x) => format!("from {} on", bytes(x)),
                None => "at no size measured".into(),
            };
            format!(
                "{subject}: {} is cheaper than the mapping {from}.",
                self.call
            )
        };
        table.notes = self.subjects().iter().map(note).collect();
        table
    }

    fn chart(&self, measured: &Measured) -> Result<Chart, Failure> {
        let mut all = Vec::new();
        let mut marks = Vec::new();
        for &subject in self.subjects() {
            let mapped = series(measured, self.mapped, subject, "mapped", false);
            let called = series(measured, self.called, subject, self.call, true);
            if let Some(x) = self.crossover(measured, subject) {
                marks.push((x, at(&mapped.points, x), bytes(x)));
            }
            all.extend([mapped, called]);
        }
        let axes = Axes {
            title: self.title,
            x: "bytes at a time",
            x_format: bytes,
            x_ticks: &ticks(&all),
            y: "instructions for each byte",
        };
        Ok(Chart {
            name: self.name,
            svg: curves(axes, &all, &marks)?,
        })
    }
}

/// The fourth of the source texts' tables: a file byte by byte.
fn bytewise(measured: &Measured) -> Table {
    let columns = [
        ("mapped", "read-mapped", Some(1)),
        ("buffered, as stdio", "bytes-buffered", None),
        ("read(2) of 1 byte", "read-called", Some(1)),
    ];
    let subjects = rows(&["bytes-buffered"])[0].subjects;
    let line = |&subject: &Subject| {
        let cell = |&(_, row, point): &(&str, &str, Option<u64>)| {
            let figure = measured.figure(row, subject, point);
            figure.map_or(String::new(), |figure| short(figure.median))
        };
        [subject.to_string()]
            .into_iter()
            .chain(columns.iter().map(cell))
            .collect()
    };
    Table {
        heading: "Byte by byte: instructions for each byte".into(),
        head: [String::new()]
            .into_iter()
            .chain(columns.iter().map(|column| column.0.into()))
            .collect(),
        rows: subjects.iter().map(line).collect(),
        notes: Vec::new(),
    }
}

/// A chart and the name of its file.
struct Chart {
    name: &'static str,
    svg: String,
}

/// Every chart, in the order of the report.
fn charts(measured: &Measured) -> Result<Vec<Chart>, Failure> {
    let mut charts = vec![Chart {
        name: "pages",
        svg: bars(
            "What a page costs",
            "instructions for each page",
            &groups(
                measured,
                &["map-call", "first-touch", "write-again", "munmap"],
            ),
        )?,
    }];
    charts.push(Chart {
        name: "single",
        svg: bars(
            "What a single page or a single call costs",
            "instructions",
            &groups(measured, &["random-fault", "cow", "open-map-close", "fork"]),
        )?,
    });
    for name in ["read-call", "write-call"] {
        charts.push(Chart {
            name,
            svg: by_size(measured, name)?,
        });
    }
    for sequence in SEQUENCES {
        charts.push(sequence.chart(measured)?);
    }
    charts.push(Chart {
        name: "growth",
        svg: growth(measured)?,
    });
    Ok(charts)
}

fn groups(measured: &Measured, names: &[&str]) -> Vec<(&'static str, Vec<(Subject, f64)>)> {
    let group = |row: &'static Row| {
        let figure =
            |&subject: &Subject| Some((subject, measured.figure(row.name, subject, None)?.median));
        (row.title, row.subjects.iter().filter_map(figure).collect())
    };
    rows(names).into_iter().map(group).collect()
}

fn series(measured: &Measured, row: &str, subject: Subject, word: &str, is_dashed: bool) -> Series {
    Series {
        label: format!("{subject} {word}").trim_end().into(),
        subject,
        is_dashed,
        points: measured
            .curve(row, subject)
            .map(|(x, y)| (x as f64, y))
            .collect(),
    }
}

/// Where a chart of these curves has labels: at their points.
fn ticks(series: &[Series]) -> Vec<f64> {
    series
        .first()
        .map(|series| series.points.iter().map(|point| point.0).collect())
        .unwrap_or_default()
}

fn by_size(measured: &Measured, name: &str) -> Result<String, Failure> {
    let row = rows(&[name])[0];
    let series: Vec<Series> = row
        .subjects
        .iter()
        .filter(|subject| !matches!(subject, Subject::TwinPage | Subject::TwinHuge))
        .map(|&subject| series(measured, name, subject, "", false))
        .collect();
    let axes = Axes {
        title: row.title,
        x: "bytes at a time",
        x_format: bytes,
        x_ticks: &ticks(&series),
        y: "instructions for each call",
    };
    curves(axes, &series, &[])
}

/// The curve at `x`, on the straight line between points that it has on logarithmic axes.
fn at(points: &[(f64, f64)], x: f64) -> f64 {
    let after = points
        .partition_point(|point| point.0 < x)
        .clamp(1, points.len() - 1);
    let ((x0, y0), (x1, y1)) = (points[after - 1], points[after]);
    let part = (x / x0).ln() / (x1 / x0).ln();
    y0 * (y1 / y0).powf(part)
}

fn growth(measured: &Measured) -> Result<String, Failure> {
    let names = [
        ("grown-first-touch", "first", true),
        ("grown-write-again", "again", false),
    ];
    let mut all = Vec::new();
    for (name, word, is_dashed) in names {
        for &subject in rows(&[name])[0].subjects {
            all.push(series(measured, name, subject, word, is_dashed));
        }
    }
    let axes = Axes {
        title: "Touching the last 16 MiB of a pool that grows",
        x: "size of the pool",
        x_format: bytes,
        x_ticks: &ticks(&all),
        y: "instructions for each page",
    };
    curves(axes, &all, &[])
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
        "# Results\n\nMade by `make bench RECORD=1`; [performance.md](../performance.md) says how to \
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

    #[test]
    fn every_row_is_in_a_table() {
        // A figure for each row that occurs nowhere else.
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

    #[test]
    fn between_points_a_curve_is_straight() {
        let points = [(1.0, 1.0), (100.0, 100.0)];
        assert!((at(&points, 10.0) - 10.0).abs() < 1e-9);
    }
}
