// SPDX-License-Identifier: MIT OR GPL-2.0

//! Charts as SVG files without external parts.

use std::iter;

use mmap_pool::Strategy;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::subject::Subject;
use crate::Failure;

const WIDTH: u32 = 860;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const FAINT: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// A curve.
#[derive(Clone, Debug)]
pub struct Series {
    /// The text in the legend.
    pub label: String,
    /// The subject, which decides the colour.
    pub subject: Subject,
    /// Whether the line is dashed. This separates two curves of one subject.
    pub is_dashed: bool,
    /// The points: `x` and `y`, both positive.
    pub points: Vec<(f64, f64)>,
}

/// The title, and the labels of the axes. The horizontal axis counts bytes.
#[derive(Clone, Copy, Debug)]
pub struct Axes<'a> {
    /// The title, above the chart.
    pub title: &'a str,
    /// The label below the horizontal axis.
    pub x: &'a str,
    /// The label beside the vertical axis.
    pub y: &'a str,
}

/// The colour of a subject in every chart.
fn colour(subject: Subject) -> RGBColor {
    match subject {
        Subject::Pool(Strategy::Auto) => RGBColor(0xd4, 0x00, 0x8a),
        Subject::Pool(Strategy::Page) | Subject::PoolOnDisk => RGBColor(0x1f, 0x77, 0xb4),
        Subject::Pool(Strategy::Around) => RGBColor(0x17, 0x9a, 0x9a),
        Subject::Pool(Strategy::Huge) => RGBColor(0x0b, 0x3d, 0x91),
        Subject::Pool(_) => RGBColor(0x6a, 0xa8, 0xd8),
        Subject::Twin(Strategy::Page) => RGBColor(0xa6, 0xa6, 0xa6),
        Subject::Twin(Strategy::Around) => RGBColor(0x80, 0x80, 0x80),
        Subject::Twin(_) => RGBColor(0x5a, 0x5a, 0x5a),
        Subject::Memfd | Subject::Disk => RGBColor(0xd6, 0x5f, 0x1e),
        Subject::MemfdHuge => RGBColor(0xf0, 0xa8, 0x60),
        Subject::Tmpfs => RGBColor(0x9c, 0x3d, 0x3d),
        Subject::Hugetlb => RGBColor(0x4a, 0x8f, 0x3c),
        Subject::Anon => RGBColor(0x8a, 0x5f, 0xb0),
        Subject::AnonHuge => RGBColor(0xb9, 0x9a, 0xd6),
        Subject::Udmabuf => RGBColor(0xb0, 0xa0, 0x30),
    }
}

/// Formats a number with few digits.
#[must_use]
pub fn short(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude >= 100.0 || number == 0.0 {
        format!("{number:.0}")
    } else if magnitude >= 10.0 {
        format!("{number:.1}")
    } else if magnitude >= 0.1 {
        format!("{number:.2}")
    } else {
        format!("{number:.4}")
    }
}

/// Formats a number of bytes.
#[must_use]
pub fn bytes(number: f64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in units {
        let size = f64::from(1 << shift);
        if number >= size {
            return format!("{} {unit}", (number / size * 10.0).round() / 10.0);
        }
    }
    format!("{number:.0} B")
}

/// Draws curves on logarithmic axes, with labels at the points of the first curve. `marks` are labelled
/// points, for example where curves cross.
///
/// # Errors
///
/// The chart library fails.
pub fn curves(
    axes: Axes<'_>,
    series: &[Series],
    marks: &[(f64, f64, String)],
) -> Result<String, Failure> {
    const HEIGHT: u32 = 440;
    let all = || series.iter().flat_map(|series| &series.points);
    let x_range = range(all().map(|point| point.0), 1.15);
    let y_range = range(all().map(|point| point.1), 1.1);
    let mut x_ticks: Vec<f64> = Vec::new();
    for &(x, _) in series.first().iter().flat_map(|series| &series.points) {
        // Labels that are closer would overlap.
        if x_ticks.last().is_none_or(|last| x / last > 1.5) {
            x_ticks.push(x);
        }
    }
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&WHITE)?;
        let (plot, legend) = area.split_horizontally(WIDTH - 210);
        let mut chart = ChartBuilder::on(&plot)
            .caption(axes.title, (FONT, 18).into_font().color(&INK))
            .margin(12)
            .x_label_area_size(48)
            .y_label_area_size(70)
            .build_cartesian_2d(
                (x_range.0..x_range.1).log_scale().with_key_points(x_ticks),
                (y_range.0..y_range.1)
                    .log_scale()
                    .with_key_points(round_numbers(y_range)),
            )?;
        chart
            .configure_mesh()
            .x_desc(axes.x)
            .y_desc(axes.y)
            .x_label_formatter(&|x| bytes(*x))
            .y_label_formatter(&|y| short(*y))
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .label_style((FONT, 12).into_font().color(&INK))
            .axis_desc_style((FONT, 13).into_font().color(&INK))
            .draw()?;
        for (index, series) in series.iter().enumerate() {
            let colour = colour(series.subject);
            let style = colour.stroke_width(2);
            let points = || series.points.iter().copied();
            if series.is_dashed {
                chart.draw_series(DashedLineSeries::new(points(), 6, 4, style))?;
            } else {
                chart.draw_series(LineSeries::new(points(), style))?;
            }
            chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
            let y = 54 + 22 * i32::try_from(index)?;
            let step = if series.is_dashed { 10 } else { 26 };
            for x in (0..26).step_by(step) {
                let end = if series.is_dashed { x + 6 } else { x + 26 };
                legend.draw(&PathElement::new(vec![(x, y), (end, y)], style))?;
            }
            legend.draw(&Text::new(
                series.label.clone(),
                (34, y),
                (FONT, 13)
                    .into_font()
                    .color(&INK)
                    .pos(Pos::new(HPos::Left, VPos::Center)),
            ))?;
        }
        for (x, y, word) in marks {
            let style = (FONT, 12)
                .into_font()
                .color(&INK)
                .pos(Pos::new(HPos::Center, VPos::Bottom));
            chart.draw_series([EmptyElement::at((*x, *y))
                + Circle::new((0, 0), 7, INK.stroke_width(2))
                + Text::new(word.clone(), (0, -12), style)])?;
        }
        area.present()?;
    }
    Ok(svg)
}

/// Draws horizontal bars on a logarithmic axis, in groups with headings. The figure is beside each bar.
///
/// # Errors
///
/// The chart library fails.
pub fn bars(
    title: &str,
    unit: &str,
    groups: &[(&str, Vec<(Subject, f64)>)],
) -> Result<String, Failure> {
    const BAR: i32 = 18;
    const HEADING: i32 = 30;
    const TOP: i32 = 44;
    const LEFT: i32 = 120;

    let all = || groups.iter().flat_map(|(_, bars)| bars);
    let positive = all().map(|bar| bar.1).filter(|&figure| figure > 0.0);
    let (least, most) = range(positive, 1.0);
    // The shortest bar needs a length too.
    let (least, decades) = (least / 2.0, (most / (least / 2.0)).log10());
    let height = TOP
        + groups
            .iter()
            .map(|(_, bars)| HEADING + BAR * i32::try_from(bars.len()).unwrap_or(0))
            .sum::<i32>()
        + 34;
    let right = i32::try_from(WIDTH)? - LEFT - 90;

    let mut svg = String::new();
    {
        let area =
            SVGBackend::with_string(&mut svg, (WIDTH, height.try_into()?)).into_drawing_area();
        area.fill(&WHITE)?;
        let text = |size: u32, horizontal, vertical| {
            (FONT, size)
                .into_font()
                .color(&INK)
                .pos(Pos::new(horizontal, vertical))
        };
        let middle = i32::try_from(WIDTH)? / 2;
        area.draw(&Text::new(
            title,
            (middle, 12),
            text(18, HPos::Center, VPos::Top),
        ))?;
        let mut y = TOP;
        for (heading, bars) in groups {
            area.draw(&Text::new(
                *heading,
                (LEFT, y + 20),
                text(13, HPos::Left, VPos::Bottom),
            ))?;
            y += HEADING;
            for &(subject, figure) in bars {
                let part = ((figure / least).log10() / decades).max(0.0);
                // CAST: At most the width of the chart.
                #[expect(clippy::cast_possible_truncation)]
                let end = LEFT + (f64::from(right) * part) as i32;
                area.draw(&Rectangle::new(
                    [(LEFT, y + 2), (end.max(LEFT + 1), y + BAR - 2)],
                    colour(subject).filled(),
                ))?;
                let centre = y + BAR / 2;
                area.draw(&Text::new(
                    subject.to_string(),
                    (LEFT - 8, centre),
                    text(12, HPos::Right, VPos::Center),
                ))?;
                area.draw(&Text::new(
                    short(figure),
                    (end + 6, centre),
                    text(12, HPos::Left, VPos::Center),
                ))?;
                y += BAR;
            }
        }
        area.draw(&Text::new(
            format!("{unit}, logarithmic"),
            (middle, y + 16),
            text(12, HPos::Center, VPos::Top),
        ))?;
        area.present()?;
    }
    Ok(svg)
}

/// Round numbers in a range: those with the digits 1, 2 and 5, or equidistant ones in a narrow range.
fn round_numbers((least, most): (f64, f64)) -> Vec<f64> {
    let digits =
        (-6..=12).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
    let is_within = |number: &f64| (least..=most).contains(number);
    if most / least > 8.0 {
        return digits.filter(is_within).collect();
    }
    let step = digits.filter(|digit| (most - least) / digit >= 4.0).last();
    let step = step.unwrap_or(most - least);
    let first = (least / step).floor() * step;
    iter::successors(Some(first + step), |number| Some(number + step))
        .take_while(is_within)
        .collect()
}

/// The smallest and the largest value, with room around them.
fn range(values: impl Iterator<Item = f64>, room: f64) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let (least, most) = crate::stats::extremes(&values);
    (least / room, most * room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let short = [0.0, 0.01234, 0.5, 12.34, 9142.4].map(short);
        assert_eq!(short, ["0", "0.0123", "0.50", "12.3", "9142"]);
        let bytes = [1.0, 1000.0, 10240.0, 4_294_967_296.0].map(bytes);
        assert_eq!(bytes, ["1 B", "1000 B", "10 KiB", "4 GiB"]);
    }

    #[test]
    fn an_axis_has_round_numbers() {
        assert_eq!(round_numbers((1.5, 30.0)), [2.0, 5.0, 10.0, 20.0]);
        assert_eq!(round_numbers((3.0, 12.5)), [4.0, 6.0, 8.0, 10.0, 12.0]);
    }

    #[test]
    fn charts_say_what_they_show_and_load_nothing() {
        let series = Series {
            label: "a pool".into(),
            subject: Subject::Pool(Strategy::Page),
            is_dashed: true,
            points: vec![(1.0, 10.0), (100.0, 1.0)],
        };
        let axes = Axes {
            title: "a title",
            x: "bytes at a time",
            y: "instructions",
        };
        let curves = curves(axes, &[series], &[(10.0, 3.0, "here".into())]).unwrap();
        let bars = bars(
            "a title",
            "faults",
            &[("a group", vec![(Subject::Memfd, 3.0)])],
        )
        .unwrap();
        for word in [
            "a title",
            "a pool",
            "bytes at a time",
            "instructions",
            "here",
            "100 B",
        ] {
            assert!(curves.contains(word), "{word}");
        }
        for word in ["a title", "a group", "memfd", "3.00", "faults"] {
            assert!(bars.contains(word), "{word}");
        }
        for svg in [curves, bars] {
            assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
            assert!(!svg.contains("href"));
        }
    }
}
