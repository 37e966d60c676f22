// SPDX-License-Identifier: MIT OR GPL-2.0

//! A scenario, and what became of it.

use std::fmt;

use crate::catalogue::SCENARIOS;
use crate::module::FreshModule;
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

/// Something to try, and what it must show.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The behaviour of the source texts that it proves: `S1` and so on.
    pub row: &'static str,
    /// The promise; also the name of the test.
    pub name: &'static str,
    /// What is tried, in plain words.
    pub tried: &'static str,
    /// Who else is asked.
    pub oracle: Oracle,
    /// The right answer.
    pub expected: &'static str,
    /// Does it.
    pub run: fn(&Subject) -> Answer,
}

/// The answers to a scenario.
#[derive(Debug)]
pub struct Report {
    /// The pool's.
    pub pool: Answer,
    /// The oracle's.
    pub oracle: Answer,
    /// Whether the module could be unloaded afterwards: nothing held on to the pool.
    pub unloaded: Result<(), Failure>,
}

impl Scenario {
    /// Runs the scenario on the pool of a module that was loaded for it, then on the oracle.
    ///
    /// # Errors
    ///
    /// The module could not be loaded, or the oracle not be made.
    pub fn run(&self) -> Result<Report, Failure> {
        let module = FreshModule::load("size_mb=1")?;
        let pool = (self.run)(&Subject::pool());
        // While it is still this test's turn: a child that is forked for the oracle would hold on
        // to what the next test maps.
        let oracle = (self.run)(&Subject::oracle(self.oracle)?);
        let unloaded = module.unload();
        Ok(Report {
            pool,
            oracle,
            unloaded,
        })
    }

    /// Whether everyone answered as expected and nothing was left behind.
    #[must_use]
    pub fn is_good(&self, report: &Report) -> bool {
        let is_expected = |answer: &Answer| matches!(answer, Ok(text) if text == self.expected);
        is_expected(&report.pool) && is_expected(&report.oracle) && report.unloaded.is_ok()
    }

    fn check(&self) {
        let report = self.run().expect("the scenario can be set up");
        assert!(
            self.is_good(&report),
            "{} ({})\n  expected: {}\n  pool:     {}\n  {:<9} {}\n  unload:   {}",
            self.tried,
            self.row,
            self.expected,
            words(&report.pool),
            format!("{}:", self.oracle),
            words(&report.oracle),
            report
                .unloaded
                .as_ref()
                .map_or_else(ToString::to_string, |()| "ok".into()),
        );
    }
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
