// SPDX-License-Identifier: MIT OR GPL-2.0

//! A scenario, and what became of it.

use std::fmt;

use mmap_pool::Pool;

use crate::catalogue::SCENARIOS;
use crate::module::EmptyPool;
use crate::subject::Subject;
use crate::{Answer, Failure};

/// The kernel's own object that must answer as the pool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// A memfd.
    Memfd,
    /// A file that fills a tmpfs, so that like the pool it cannot grow.
    Tmpfs,
    /// Memory without a file.
    Anonymous,
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memfd => "memfd",
            Self::Tmpfs => "tmpfs",
            Self::Anonymous => "anon",
        })
    }
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The pool that the device node opens.
    Node,
    /// A pool that was created, a regular file.
    Created,
    /// The kernel's own object.
    Oracle,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Node, Self::Created, Self::Oracle];
}

/// Something to try, and what it must show.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The behaviour of the source texts that it proves: `S1` and so on; a dash if they do not have
    /// it.
    pub row: &'static str,
    /// The promise; also the name of the test.
    pub name: &'static str,
    /// What is tried, in plain words.
    pub tried: &'static str,
    /// Who else is asked.
    pub oracle: Oracle,
    /// The right answer.
    pub expected: &'static str,
    /// Those for whom another answer is right, or none: they are not asked.
    pub exceptions: &'static [(Who, Option<&'static str>)],
    /// Does it.
    pub run: fn(&Subject) -> Answer,
}

/// The answers to a scenario.
#[derive(Debug)]
pub struct Report {
    /// Who was asked, and the answers.
    pub answers: Vec<(Who, Answer)>,
    /// Whether nothing was left behind: the created pool is gone, with all its pages, and nothing
    /// refers to the module.
    pub cleaned_up: Result<(), Failure>,
}

impl Scenario {
    /// Runs the scenario on everyone who is asked, beginning with an empty default pool.
    ///
    /// # Errors
    ///
    /// The module could not be loaded, or a subject not be made.
    pub fn run(&self) -> Result<Report, Failure> {
        let default_pool = EmptyPool::new()?;
        let mut answers = Vec::new();
        let mut left = None;
        for who in Who::ALL {
            if self.expected_of(who).is_none() {
                continue;
            }
            // All while it is this test's turn: a child that is forked for the oracle would hold on
            // to what the next test maps.
            let before = holdings()?;
            let subject = match who {
                Who::Node => Subject::node(),
                Who::Created => Subject::created()?,
                Who::Oracle => Subject::oracle(self.oracle)?,
            };
            answers.push((who, (self.run)(&subject)));
            drop(subject);
            let after = holdings()?;
            if who == Who::Created && after != before {
                left = Some(format!("(pools, pages) {before:?} before, {after:?} after"));
            }
        }
        let released = default_pool.release();
        let cleaned_up = left.map_or(released, |left| Err(left.into()));
        Ok(Report {
            answers,
            cleaned_up,
        })
    }

    /// The right answer for `who`, or `None` if they are not asked.
    #[must_use]
    pub fn expected_of(&self, who: Who) -> Option<&'static str> {
        self.exceptions
            .iter()
            .find(|(exception, _)| *exception == who)
            .map_or(Some(self.expected), |(_, expected)| *expected)
    }

    /// Whether this is the right answer for `who`.
    #[must_use]
    pub fn is_right(&self, who: Who, answer: &Answer) -> bool {
        matches!(answer, Ok(text) if Some(text.as_str()) == self.expected_of(who))
    }

    /// Whether everyone answered as expected and nothing was left behind.
    #[must_use]
    pub fn is_good(&self, report: &Report) -> bool {
        report
            .answers
            .iter()
            .all(|(who, answer)| self.is_right(*who, answer))
            && report.cleaned_up.is_ok()
    }

    /// What to call `who` in this scenario.
    #[must_use]
    pub fn name_of(&self, who: Who) -> String {
        match who {
            Who::Node => "node".into(),
            Who::Created => "created".into(),
            Who::Oracle => self.oracle.to_string(),
        }
    }

    fn check(&self) {
        let report = self.run().expect("the scenario can be set up");
        let mut text = format!("{} ({})", self.tried, self.row);
        for (who, answer) in &report.answers {
            text += &format!(
                "\n  {:<8} {}{}",
                self.name_of(*who),
                words(answer),
                if self.is_right(*who, answer) {
                    String::new()
                } else {
                    format!(
                        "\n  expected {}",
                        self.expected_of(*who).unwrap_or_default()
                    )
                }
            );
        }
        if let Err(failure) = &report.cleaned_up {
            text += &format!("\n  left     {failure}");
        }
        assert!(self.is_good(&report), "{text}");
    }
}

/// How many pools there are, and how many pages they hold together.
fn holdings() -> Result<(u64, u64), Failure> {
    let stat = Pool::open()?.stat()?;
    Ok((stat.nr_pools, stat.nr_resident_pages))
}

/// The answer, or why there is none.
#[must_use]
pub fn words(answer: &Answer) -> String {
    match answer {
        Ok(text) => text.clone(),
        Err(failure) => format!("failed: {failure}"),
    }
}

/// Runs the scenario of this name as a test.
///
/// # Panics
///
/// If an answer is not the expected one.
pub fn check(name: &str) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    scenario
        .expect("the tests and the list come from the same catalogue")
        .check();
}
