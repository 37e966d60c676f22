// SPDX-License-Identifier: MIT OR GPL-2.0

//! The tables of the report: verdicts, and figures side by side.

use comfy_table::{presets, ContentArrangement};

use crate::chart::{bytes, short};
use crate::results::Measured;
use crate::row::{Axis, Bound, Row, ROWS};
use crate::stats::crossover;
use crate::subject::Subject;
use crate::verdict::{verdicts, Reached, Verdict};

/// A table with a heading.
pub struct Table {
    pub heading: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Lines below the cells.
    pub notes: Vec<String>,
}

impl Table {
    pub fn to_terminal(&self) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::UTF8_BORDERS_ONLY)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(&self.head)
            .add_rows(&self.rows);
        table
    }

    pub fn to_markdown(&self) -> String {
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

    pub fn to_html(&self) -> String {
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

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Finds rows by their names.
pub fn rows(names: &[&str]) -> Vec<&'static Row> {
    let find = |name: &&str| ROWS.iter().find(|row| row.name == *name);
    names
        .iter()
        .map(|name| find(name).expect("a table names existing rows"))
        .collect()
}

/// All tables: the verdicts first, then the figures.
pub fn tables(measured: &Measured) -> Vec<Table> {
    let mut tables = vec![targets(measured)];
    tables.push(by_subject(
        measured,
        "Strategies side by side: instructions for each page",
        &[
            "map-call",
            "first-touch",
            "first-touch-settled",
            "sparse-first-touch",
            "stride-first-touch",
            "downward-first-touch",
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
        "contention",
        "grown-first-touch",
        "grown-write-again",
        "disk-write",
        "disk-read",
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
    tables.extend([WRITE, READ].map(|sequence| sequence.table(measured)));
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

/// A table with a line for each subject, and a column for each row.
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

/// A table with a line for each point. Each subject has a column for each row, headed by the
/// subject and the row's word.
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

/// Two rows that access the same bytes: through a mapping, and by system calls.
pub struct Sequence {
    /// Name of the chart.
    pub name: &'static str,
    pub title: &'static str,
    pub call: &'static str,
    pub mapped: &'static str,
    pub called: &'static str,
}

pub const WRITE: Sequence = Sequence {
    name: "sequential-write",
    title: "Sequential write of a new object",
    call: "write(2)",
    mapped: "write-mapped",
    called: "write-called",
};

pub const READ: Sequence = Sequence {
    name: "sequential-read",
    title: "Sequential read of a full object, all bytes added up",
    call: "read(2)",
    mapped: "read-mapped",
    called: "read-called",
};

impl Sequence {
    fn rows(&self) -> [&'static Row; 2] {
        let rows = rows(&[self.mapped, self.called]);
        [rows[0], rows[1]]
    }

    pub fn subjects(&self) -> &'static [Subject] {
        self.rows()[0].subjects
    }

    /// The number of bytes from which the call is cheaper.
    pub fn crossover(&self, measured: &Measured, subject: Subject) -> Option<f64> {
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
}

/// A table of reading a file byte by byte.
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
