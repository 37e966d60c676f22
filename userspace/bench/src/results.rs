// SPDX-License-Identifier: MIT OR GPL-2.0

//! The file format of results. `docs/performance.md` describes it.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::row::{Row, ROWS};
use crate::stats::{median, spread};
use crate::subject::Subject;
use crate::Failure;

/// The version of the format.
pub const FORMAT: u32 = 1;

/// A whole result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// The versions that it was measured with.
    pub environment: Environment,
    /// The figures.
    pub measured: Measured,
}

/// The versions that a result depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct Environment {
    /// Commit of the module and of the benchmark; `-dirty` if there were changes.
    #[arg(long)]
    pub commit: String,
    /// Name of the test kernel.
    #[arg(long)]
    pub kernel: String,
    /// Configuration of the kernel: the first digits of the SHA-256 of its `.config`.
    #[arg(long)]
    pub config: String,
    /// Version of QEMU.
    #[arg(long)]
    pub qemu: String,
}

/// The figures of one guest, or of several guests together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Release of the kernel.
    pub release: String,
    /// Whether it is a quick run, whose sizes are too small for the figures to mean anything.
    pub is_quick: bool,
    /// All figures.
    pub figures: Vec<Figure>,
    /// The rows and subjects that this kernel cannot measure.
    pub absences: Vec<Absence>,
}

/// A figure of one row, for one subject, at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// [`Row::name`].
    pub row: String,
    /// The subject.
    pub subject: Subject,
    /// The point, if the row has points.
    pub point: Option<u64>,
    /// The unit.
    pub unit: String,
    /// The median of the samples.
    pub median: f64,
    /// The largest minus the smallest sample, as a fraction of the median.
    pub spread: f64,
    /// All samples, in the order in which they were taken.
    pub samples: Vec<f64>,
}

impl Figure {
    /// Makes a figure from its samples.
    #[must_use]
    pub fn new(row: &Row, subject: Subject, point: Option<u64>, samples: Vec<f64>) -> Self {
        Self {
            row: row.name.into(),
            subject,
            point,
            unit: row.unit.to_string(),
            median: median(&samples),
            spread: spread(&samples),
            samples,
        }
    }
}

/// A row that could not be measured on a subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absence {
    /// [`Row::name`].
    pub row: String,
    /// The subject.
    pub subject: Subject,
    /// The reason.
    pub reason: String,
}

impl Measured {
    /// Finds a figure.
    #[must_use]
    pub fn figure(&self, row: &str, subject: Subject, point: Option<u64>) -> Option<&Figure> {
        self.figures
            .iter()
            .find(|figure| (&*figure.row, figure.subject, figure.point) == (row, subject, point))
    }

    /// The figures of a row and subject, by point.
    pub fn curve<'a>(
        &'a self,
        row: &'a str,
        subject: Subject,
    ) -> impl Iterator<Item = (u64, f64)> + 'a {
        self.figures
            .iter()
            .filter(move |figure| figure.row == row && figure.subject == subject)
            .filter_map(|figure| Some((figure.point?, figure.median)))
    }

    /// Finds the reason why a row was not measured on a subject.
    #[must_use]
    pub fn absence(&self, row: &str, subject: Subject) -> Option<&Absence> {
        self.absences
            .iter()
            .find(|absence| (&*absence.row, absence.subject) == (row, subject))
    }

    /// Adds the figures of another guest.
    ///
    /// # Errors
    ///
    /// The other guest had another kernel, or only one of the two is a quick run.
    pub fn join(mut self, other: Self) -> Result<Self, Failure> {
        if (&self.release, self.is_quick) != (&other.release, other.is_quick) {
            return Err("the parts come from different runs".into());
        }
        self.figures.extend(other.figures);
        self.absences.extend(other.absences);
        Ok(self)
    }

    /// Checks that every row is measured on each of its subjects at each of its points. A figure may be
    /// absent only if the kernel may lack the subject and the result says so.
    ///
    /// # Errors
    ///
    /// A figure is missing. The error lists the missing figures.
    pub fn check_complete(&self) -> Result<(), Failure> {
        let mut missing = Vec::new();
        for row in ROWS {
            for &subject in row.subjects {
                let may_be_absent = subject.may_be_absent() || row.work.may_be_absent();
                if may_be_absent && self.absence(row.name, subject).is_some() {
                    continue;
                }
                for point in row.points(self.is_quick) {
                    if self.figure(row.name, subject, point).is_none() {
                        let at = point.map_or(String::new(), |point| format!(" at {point}"));
                        missing.push(format!("{} of {subject}{at}", row.name));
                    }
                }
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("not measured: {}", missing.join(", ")).into())
        }
    }
}

impl Results {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has another format.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let results: Self = serde_json::from_str(text)?;
        if results.format == FORMAT {
            Ok(results)
        } else {
            Err(format!("its format is {}, not {FORMAT}", results.format).into())
        }
    }

    /// Formats the result as a file.
    ///
    /// # Errors
    ///
    /// Serialization fails.
    pub fn to_text(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::subject::short::POOL_HUGE;

    /// Complete results, whose figures come from `of`.
    pub fn results(of: impl Fn(&Row, Subject, Option<u64>) -> f64) -> Results {
        let mut measured = Measured {
            release: "7.0".into(),
            ..Measured::default()
        };
        for row in ROWS {
            for &subject in row.subjects {
                for point in row.points(false) {
                    let sample = of(row, subject, point);
                    let figure = Figure::new(row, subject, point, vec![sample]);
                    measured.figures.push(figure);
                }
            }
        }
        Results {
            format: FORMAT,
            environment: Environment::default(),
            measured,
        }
    }

    #[test]
    fn a_written_result_is_read_back() {
        let mut results = results(|_, _, point| point.unwrap_or(1) as f64 / 3.0);
        results.measured.absences.push(Absence {
            row: "first-touch".into(),
            subject: Subject::Hugetlb,
            reason: "\"none\"\n".into(),
        });
        let text = results.to_text().unwrap();
        assert_eq!(Results::parse(&text).unwrap(), results);
    }

    #[test]
    fn another_format_is_refused() {
        let mut results = results(|_, _, _| 1.0);
        results.format = FORMAT + 1;
        let text = results.to_text().unwrap();
        let error = Results::parse(&text).unwrap_err().to_string();
        assert_eq!(error, "its format is 2, not 1");
    }

    #[test]
    fn a_complete_result_is_complete() {
        results(|_, _, _| 1.0).measured.check_complete().unwrap();
    }

    #[test]
    fn each_missing_figure_is_noticed() {
        let whole = results(|_, _, _| 1.0).measured;
        for index in 0..whole.figures.len() {
            let mut measured = whole.clone();
            let figure = measured.figures.remove(index);
            let error = measured.check_complete().unwrap_err().to_string();
            assert!(error.contains(&figure.row), "{error}");
        }
    }

    #[test]
    fn only_a_subject_that_a_kernel_may_lack_may_be_absent() {
        let absent = |subject| {
            let mut measured = results(|_, _, _| 1.0).measured;
            let is_it = |row: &str, of| row == "first-touch" && of == subject;
            measured
                .figures
                .retain(|figure| !is_it(&figure.row, figure.subject));
            measured.absences.push(Absence {
                row: "first-touch".into(),
                subject,
                reason: "gone".into(),
            });
            measured.check_complete()
        };
        absent(Subject::Hugetlb).unwrap();
        absent(POOL_HUGE).unwrap_err();
    }

    #[test]
    fn names_of_rows_differ() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.name != row.name));
        }
    }
}
