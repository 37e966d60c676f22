// SPDX-License-Identifier: MIT OR GPL-2.0

//! The charts of the report.

use super::tables::{rows, Sequence, READ, WRITE};
use crate::chart::{bars, bytes, curves, Axes, Series};
use crate::results::Measured;
use crate::row::Row;
use crate::subject::Subject;
use crate::Failure;
use mmap_pool::Strategy;

/// A chart and the name of its file.
pub struct Chart {
    pub name: &'static str,
    pub svg: String,
}

/// Every chart, in the order of the report.
pub fn charts(measured: &Measured) -> Result<Vec<Chart>, Failure> {
    let pages = bars(
        "What a page costs",
        "instructions for each page",
        &groups(
            measured,
            &["map-call", "first-touch", "write-again", "munmap"],
        ),
    )?;
    let single = bars(
        "What a single page or a single call costs",
        "instructions",
        &groups(measured, &["random-fault", "cow", "open-map-close", "fork"]),
    )?;
    let of = |name, svg| Chart { name, svg };
    Ok(vec![
        of("pages", pages),
        of("single", single),
        of("read-call", by_size(measured, "read-call")?),
        of("write-call", by_size(measured, "write-call")?),
        of(WRITE.name, by_access(measured, &WRITE)?),
        of(READ.name, by_access(measured, &READ)?),
        of("growth", growth(measured)?),
        of("disk", disk(measured)?),
        of("threads", threads(measured)?),
    ])
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

/// Draws a row by size, relative to memfd. The absolute curves would hide each other.
fn by_size(measured: &Measured, name: &str) -> Result<String, Failure> {
    let row = rows(&[name])[0];
    let memfd = series(measured, name, Subject::Memfd, "", false);
    let series: Vec<Series> = row
        .subjects
        .iter()
        .map(|&subject| {
            let is_twin = matches!(subject, Subject::Twin(Strategy::Page | Strategy::Huge));
            let mut series = series(measured, name, subject, "", is_twin);
            for (point, memfd) in series.points.iter_mut().zip(&memfd.points) {
                point.1 /= memfd.1;
            }
            series
        })
        .collect();
    let title = format!("What {} costs, memfd is 1", row.title);
    let axes = Axes {
        title: &title,
        x: "bytes at a time",
        y: "instructions, times memfd's",
    };
    curves(axes, &series, &[])
}

/// The value of a curve at `x`. Between points, it is on the straight line on logarithmic axes.
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
    let axes = Axes {
        title: "Touching the last 16 MiB of a pool that grows",
        x: "size of the pool",
        y: "instructions for each page",
    };
    curves(axes, &all_series(measured, &names), &[])
}

fn disk(measured: &Measured) -> Result<String, Failure> {
    let names = [("disk-write", "write", false), ("disk-read", "read", true)];
    let axes = Axes {
        title: "Touching each page of a disk, with 512 MiB of memory",
        x: "bytes of the disk",
        y: "instructions for each page",
    };
    curves(axes, &all_series(measured, &names), &[])
}

/// The curves of rows. Each row has a word for the legend, and may be dashed.
fn all_series(measured: &Measured, names: &[(&str, &str, bool)]) -> Vec<Series> {
    let mut all = Vec::new();
    for &(name, word, is_dashed) in names {
        for &subject in rows(&[name])[0].subjects {
            all.push(series(measured, name, subject, word, is_dashed));
        }
    }
    all
}

/// Draws the work of two threads, relative to one thread.
fn threads(measured: &Measured) -> Result<String, Failure> {
    let group = |row: &'static Row| {
        let ratio = |&subject: &Subject| {
            let curve: Vec<_> = measured.curve(row.name, subject).collect();
            Some((subject, curve.last()?.1 / curve.first()?.1))
        };
        (row.title, row.subjects.iter().filter_map(ratio).collect())
    };
    let rows = rows(&["parallel-first-touch", "parallel-write-again"]);
    let groups: Vec<_> = rows.into_iter().map(group).collect();
    bars(
        "Pages touched in the same time by two threads, by one is 1",
        "times one thread",
        &groups,
    )
}

fn by_access(measured: &Measured, sequence: &Sequence) -> Result<String, Failure> {
    let mut all = Vec::new();
    let mut marks = Vec::new();
    for &subject in sequence.subjects() {
        let mapped = series(measured, sequence.mapped, subject, "mapped", false);
        let called = series(measured, sequence.called, subject, sequence.call, true);
        if let Some(x) = sequence.crossover(measured, subject) {
            marks.push((x, at(&mapped.points, x), bytes(x)));
        }
        all.extend([mapped, called]);
    }
    let axes = Axes {
        title: sequence.title,
        x: "bytes at a time",
        y: "instructions for each byte",
    };
    curves(axes, &all, &marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_straight_between_its_points() {
        let points = [(1.0, 1.0), (100.0, 100.0)];
        assert!((at(&points, 10.0) - 10.0).abs() < 1e-9);
    }
}
