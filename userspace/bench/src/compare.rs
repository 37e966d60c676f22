// SPDX-License-Identifier: MIT OR GPL-2.0

//! Compares two results, and finds the figures that changed.

use crate::results::{Figure, Measured};
use crate::row::Unit;

/// A figure that changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move<'a> {
    /// The figure in the new result, or in the old one if the new one lacks it.
    pub figure: &'a Figure,
    /// The old median, if it was measured.
    pub old: Option<f64>,
    /// The new median, if it was measured.
    pub new: Option<f64>,
}

impl Move<'_> {
    /// The change as a fraction of the old median.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        let (old, new) = self.old.zip(self.new)?;
        Some((new - old) / old.abs().max(f64::MIN_POSITIVE))
    }
}

/// Returns the figures that changed by more than `threshold`, a fraction of the old median, and those
/// that only one result has. It skips figures of time and of contention, which mean something only
/// within one run.
#[must_use]
pub fn moves<'a>(old: &'a Measured, new: &'a Measured, threshold: f64) -> Vec<Move<'a>> {
    let find = |measured: &'a Measured, figure: &Figure| {
        measured
            .figure(&figure.row, figure.subject, figure.point)
            .map(|figure| figure.median)
    };
    let present = new.figures.iter().map(|figure| Move {
        figure,
        old: find(old, figure),
        new: Some(figure.median),
    });
    let gone = old.figures.iter().map(|figure| Move {
        figure,
        old: Some(figure.median),
        new: find(new, figure),
    });
    present
        .chain(gone.filter(|figure| figure.new.is_none()))
        .filter(|figure| {
            [Unit::PagesPerMs, Unit::ContendedLocks]
                .iter()
                .all(|unit| figure.figure.unit != unit.to_string())
        })
        .filter(|figure| {
            figure
                .change()
                .is_none_or(|change| change.abs() > threshold)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;
    use crate::row::Guest;
    use crate::row::Row;
    use crate::subject::Subject;

    fn only(row: &Row, subject: Subject, figure: f64) -> f64 {
        if (row.name, subject) == ("first-touch", Subject::Memfd) {
            figure
        } else {
            1.0
        }
    }

    #[test]
    fn a_change_above_the_threshold_is_listed() {
        let old = results(|row, subject, _| only(row, subject, 100.0)).measured;
        for (figure, is_told) in [(102.0, false), (102.1, true), (97.9, true), (98.0, false)] {
            let new = results(|row, subject, _| only(row, subject, figure)).measured;
            let moves = moves(&old, &new, 0.02 + 1e-9);
            assert_eq!(!moves.is_empty(), is_told, "{figure}");
            for moved in moves {
                assert_eq!(
                    (&*moved.figure.row, moved.figure.subject),
                    ("first-touch", Subject::Memfd)
                );
            }
        }
    }

    #[test]
    fn a_figure_of_only_one_result_is_listed() {
        let all = results(|_, _, _| 1.0).measured;
        let mut some = all.clone();
        some.figures.retain(|figure| figure.row != "fork");
        let nr_gone = all.figures.len() - some.figures.len();
        assert_eq!(moves(&all, &some, 0.01).len(), nr_gone);
        let came = moves(&some, &all, 0.01);
        assert_eq!(came.len(), nr_gone);
        assert!(came
            .iter()
            .all(|moved| moved.old.is_none() && moved.figure.row == "fork"));
    }

    #[test]
    fn time_is_not_compared() {
        let old = results(|_, _, _| 1.0).measured;
        let new = results(|row, _, _| {
            if row.work.guest() == Guest::Processors {
                2.0
            } else {
                1.0
            }
        })
        .measured;
        let moves = moves(&old, &new, 0.01);
        assert!(moves
            .iter()
            .all(|moved| moved.figure.row == "lock-fallbacks"));
    }
}
