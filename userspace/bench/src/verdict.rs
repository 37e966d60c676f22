// SPDX-License-Identifier: MIT OR GPL-2.0

//! Judges from the figures whether the targets are met.

use crate::results::Measured;
use crate::row::{Bound, Row, Target, ROWS};
use crate::stats::extremes;

/// The verdict on a target.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// The row.
    pub row: &'static Row,
    /// The target.
    pub target: Target,
    /// The value to compare with the bound: the worst of all points. `None` if a figure is absent.
    pub reached: Option<Reached>,
}

/// The value that is compared with a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// The subject's own figure.
    pub figure: f64,
    /// The value: the figure itself, or its ratio or difference to another figure.
    pub value: f64,
    /// The point, if the row has points and the bound applies to each.
    pub point: Option<u64>,
    /// Whether the value meets the bound.
    pub is_met: bool,
}

/// Judges all targets.
#[must_use]
pub fn verdicts(measured: &Measured) -> Vec<Verdict> {
    ROWS.iter()
        .flat_map(|row| {
            row.targets.iter().map(|&target| Verdict {
                row,
                target,
                reached: reached(measured, row, target),
            })
        })
        .collect()
}

fn reached(measured: &Measured, row: &Row, target: Target) -> Option<Reached> {
    let points = row.points(measured.is_quick);
    let figure = |subject, point| Some(measured.figure(row.name, subject, point)?.median);
    let own: Vec<f64> = points
        .iter()
        .map(|&point| figure(target.subject, point))
        .collect::<Option<_>>()?;
    // Finds the point with the largest value.
    let worst = |of: &dyn Fn(f64, Option<u64>) -> Option<f64>, bound: f64| {
        let values: Vec<f64> = own
            .iter()
            .zip(&points)
            .map(|(&own, &point)| of(own, point))
            .collect::<Option<_>>()?;
        let index = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]))?;
        Some(Reached {
            figure: own[index],
            value: values[index],
            point: points[index],
            is_met: values[index] <= bound,
        })
    };
    match target.bound {
        Bound::AtMost(most) => worst(&|own, _| Some(own), most),
        Bound::Times(times, of) => worst(&|own, point| Some(own / figure(of, point)?), times),
        Bound::Beyond(more, than) => worst(&|own, point| Some(own - figure(than, point)?), more),
        Bound::Flat(times) => {
            let (least, most) = extremes(&own);
            Some(Reached {
                figure: most,
                value: most / least,
                point: None,
                is_met: most / least <= times,
            })
        }
        Bound::Scales(times) => {
            let (first, last) = (*own.first()?, *own.last()?);
            Some(Reached {
                figure: last,
                value: last / first,
                point: None,
                is_met: last / first >= times,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;
    use crate::subject::short::POOL_PAGE;
    use crate::subject::Subject;

    fn find(measured: &Measured, row: &str, bound: Bound) -> Verdict {
        verdicts(measured)
            .into_iter()
            .find(|verdict| verdict.row.name == row && verdict.target.bound == bound)
            .expect("there is such a target")
    }

    #[test]
    fn a_bound_on_the_figure_includes_the_bound() {
        for (figure, is_met) in [(40.0, true), (40.001, false)] {
            let measured = results(|_, _, _| figure).measured;
            let reached = find(&measured, "first-touch", Bound::AtMost(40.0)).reached;
            assert_eq!(reached.unwrap().is_met, is_met);
        }
    }

    #[test]
    fn a_ratio_is_judged_where_it_is_worst() {
        let measured = results(|row, subject, point| match (row.name, subject, point) {
            ("read-call", POOL_PAGE, Some(256)) => 1.5,
            _ => 1.0,
        })
        .measured;
        let reached = find(&measured, "read-call", Bound::Times(1.0, Subject::Memfd)).reached;
        let expected = Reached {
            figure: 1.5,
            value: 1.5,
            point: Some(256),
            is_met: false,
        };
        assert_eq!(reached.unwrap(), expected);
    }

    #[test]
    fn scaling_compares_the_last_point_with_the_first() {
        let measured =
            |two| results(move |_, _, point| if point == Some(2) { two } else { 10.0 }).measured;
        let met = |two| find(&measured(two), "parallel-first-touch", Bound::Scales(1.8)).reached;
        assert!(met(18.0).unwrap().is_met);
        assert!(!met(17.9).unwrap().is_met);
    }

    #[test]
    fn flat_compares_the_extremes() {
        let measured =
            results(|_, _, point| if point == Some(1 << 30) { 0.8 } else { 1.0 }).measured;
        let reached = find(&measured, "grown-write-again", Bound::Flat(1.1)).reached;
        assert_eq!(reached.unwrap().value, 1.25);
        assert!(!reached.unwrap().is_met);
    }

    #[test]
    fn a_target_without_figures_is_not_judged() {
        let mut measured = results(|_, _, _| 1.0).measured;
        measured
            .figures
            .retain(|figure| figure.subject != Subject::Hugetlb);
        let bound = Bound::Times(1.5, Subject::Hugetlb);
        assert!(find(&measured, "write-again", bound).reached.is_none());
    }
}
