// SPDX-License-Identifier: MIT OR GPL-2.0

//! Statistics of samples, and crossings of curves.

/// The middle sample, or the mean of the middle two.
///
/// # Panics
///
/// If there are no samples, or one of them is not finite.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    assert!(sorted.iter().all(|sample| sample.is_finite()));
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

/// The largest minus the smallest sample, as a fraction of the median, or of the farthest from zero if the
/// median is zero: JSON has no infinity. It is 0 if all are equal.
///
/// # Panics
///
/// As [`median`].
#[must_use]
pub fn spread(samples: &[f64]) -> f64 {
    let (least, most) = extremes(samples);
    let middle = median(samples).abs();
    let scale = if middle > 0.0 {
        middle
    } else {
        most.max(-least)
    };
    if least < most {
        (most - least) / scale
    } else {
        0.0
    }
}

/// The smallest and the largest of the samples.
#[must_use]
pub fn extremes(samples: &[f64]) -> (f64, f64) {
    samples.iter().fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), &sample| (least.min(sample), most.max(sample)),
    )
}

/// The point at which two curves cross: the first `x` at which `falling` is no longer above `other`.
/// Between points, both curves are straight lines on logarithmic axes. Returns `None` if the curves do
/// not cross, or if `falling` starts below `other`.
///
/// Both curves have the same `x`, in ascending order. All numbers are positive.
#[must_use]
pub fn crossover(falling: &[(f64, f64)], other: &[(f64, f64)]) -> Option<f64> {
    let gaps = falling.iter().zip(other).map(|(falling, other)| {
        debug_assert!((falling.0 - other.0).abs() < f64::EPSILON);
        (falling.0.ln(), falling.1.ln() - other.1.ln())
    });
    let mut before: Option<(f64, f64)> = None;
    for (x, gap) in gaps {
        if gap <= 0.0 {
            let (last_x, last_gap) = before?;
            let part = last_gap / (last_gap - gap);
            return Some((last_x + part * (x - last_x)).exp());
        }
        before = Some((x, gap));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    #[should_panic(expected = "is_finite")]
    fn a_sample_that_is_not_finite_is_refused() {
        let _ = median(&[1.0, f64::NAN]);
    }

    #[test]
    fn the_spread_is_relative() {
        assert_eq!(spread(&[99.0, 100.0, 101.0]), 0.02);
        assert_eq!(spread(&[5.0, 5.0]), 0.0);
        assert_eq!(spread(&[0.0, 0.0]), 0.0);
        assert_eq!(spread(&[0.0, 0.0, -2.0]), 1.0);
    }

    #[test]
    fn the_extremes_are_found() {
        assert_eq!(extremes(&[2.0, -1.0, 3.0]), (-1.0, 3.0));
    }

    #[test]
    fn curves_that_cross_have_one_crossover_between_their_points() {
        let falling = [(1.0, 1000.0), (10.0, 100.0), (100.0, 10.0), (1000.0, 1.0)];
        let flat = [
            (1.0, 31.622_776),
            (10.0, 31.622_776),
            (100.0, 31.622_776),
            (1000.0, 31.0),
        ];
        let found = crossover(&falling, &flat).unwrap();
        assert!((found - 31.622_776).abs() < 0.001, "{found}");
    }

    #[test]
    fn curves_that_touch_at_a_point_cross_there() {
        let falling = [(1.0, 4.0), (2.0, 2.0)];
        let flat = [(1.0, 2.0), (2.0, 2.0)];
        assert!((crossover(&falling, &flat).unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn curves_that_do_not_cross_have_no_crossover() {
        let above = [(1.0, 4.0), (2.0, 3.0)];
        let below = [(1.0, 2.0), (2.0, 2.0)];
        assert_eq!(crossover(&above, &below), None);
        assert_eq!(crossover(&below, &above), None);
    }
}
