// SPDX-License-Identifier: MIT OR GPL-2.0

//! The part that runs in a guest: measures one row after the other, and prints the figures.

use crate::measure::{self, Growth};
use crate::processors;
use crate::results::{Absence, Figure, Measured};
use crate::row::{Guest, Row, Work, ROWS};
use crate::subject::Subject;
use crate::Failure;

/// Measures the rows of this guest. With `names` it measures only these. Prints one line of figures for
/// each row and subject.
///
/// # Errors
///
/// A row cannot be measured on a subject that every kernel has.
pub fn measure(is_quick: bool, guest: Guest, names: &[String]) -> Result<(), Failure> {
    let uname = rustix::system::uname();
    let release = uname.release().to_str()?;
    measure::wait_until_alone();
    let rows = || {
        ROWS.iter()
            .filter(|row| row.work.guest() == guest)
            .filter(|row| names.is_empty() || names.iter().any(|name| name == row.name))
    };
    let nr_all: usize = rows().map(|row| row.subjects.len()).sum();
    let mut nr_done = 0;
    let mut growth = Growth::default();
    for row in rows() {
        for &subject in row.subjects {
            nr_done += 1;
            println!("[{nr_done}/{nr_all}] {subject}: {}", row.title);
            let mut measured = Measured {
                release: release.into(),
                is_quick,
                ..Measured::default()
            };
            let points = row.points(is_quick);
            match samples(row, subject, &points, is_quick, &mut growth) {
                Ok(Some(all)) => {
                    let figures = points.iter().zip(all);
                    measured.figures.extend(
                        figures.map(|(&point, samples)| Figure::new(row, subject, point, samples)),
                    );
                }
                Ok(None) => measured.absences.push(Absence {
                    row: row.name.into(),
                    subject,
                    reason: "this kernel does not count them".into(),
                }),
                Err(error) if subject.may_be_absent() => measured.absences.push(Absence {
                    row: row.name.into(),
                    subject,
                    reason: error.to_string(),
                }),
                Err(error) => return Err(format!("{} of {subject}: {error}", row.name).into()),
            }
            println!("{}", serde_json::to_string(&measured)?);
        }
        growth.end();
    }
    Ok(())
}

fn samples(
    row: &Row,
    subject: Subject,
    points: &[Option<u64>],
    is_quick: bool,
    growth: &mut Growth,
) -> Result<Option<Vec<Vec<f64>>>, Failure> {
    if row.work.guest() == Guest::Processors {
        let scale = match row.work {
            _ if is_quick => processors::Scale::QUICK,
            Work::Contention => processors::Scale::LOCKS,
            _ => processors::Scale::FULL,
        };
        return processors::samples(row.work, subject, points, scale);
    }
    let scale = if is_quick {
        measure::Scale::QUICK
    } else {
        measure::Scale::FULL
    };
    points
        .iter()
        .map(|&point| measure::samples(row.work, subject, point, scale, growth))
        .collect::<Result<_, _>>()
        .map(Some)
}
