// SPDX-License-Identifier: MIT OR GPL-2.0

//! A scenario: what it tries, on which subjects, and the right answers.

use std::time::Duration;
use std::{fmt, thread};

use mmap_pool::Pool;

use crate::catalogue::scenarios;
use crate::machine::Feature;
use crate::module::EmptyPool;
use crate::needs::Needs;
use crate::report::{Report, Seen};
use crate::subject::Subject;
use crate::{Answer, Failure};

/// The object of the kernel that must answer as a pool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// A memfd.
    Memfd,
    /// A file on a full tmpfs. Like the default pool it cannot grow.
    Tmpfs,
    /// Anonymous memory.
    Anonymous,
    /// The block device `/dev/scratch`. The created pool is backed by it.
    Device,
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memfd => "memfd",
            Self::Tmpfs => "tmpfs",
            Self::Anonymous => "anon",
            Self::Device => "device",
        })
    }
}

/// The subject that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The pool of the device node.
    Node,
    /// A pool made by `MMAP_POOL_CREATE`.
    Created,
    /// The [`Oracle`].
    Oracle,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Node, Self::Created, Self::Oracle];
}

/// What a scenario tries, and the right answers.
///
/// `row` begins one: a memfd is its oracle, and all three subjects must give the same answer.
/// `beside`, `but` and `without` say what differs.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is tried, in plain words.
    pub tried: &'static str,
    /// The object of the kernel that is asked too.
    pub oracle: Oracle,
    /// What it needs of the subject.
    pub needs: Needs,
    /// What it needs of the machine.
    feature: Option<Feature>,
    /// The right answer of each [`Who`]; `None` if it is not asked.
    answers: [Option<&'static str>; 3],
}

/// Begins the row of a scenario: what it tries, and the right answer.
pub(crate) const fn row(tried: &'static str, answer: &'static str) -> Row {
    Row {
        tried,
        oracle: Oracle::Memfd,
        needs: Needs::NONE,
        feature: None,
        answers: [Some(answer); 3],
    }
}

impl Row {
    /// Takes another oracle than a memfd.
    pub(crate) const fn beside(mut self, oracle: Oracle) -> Self {
        self.oracle = oracle;
        self
    }

    /// Expects another answer of `who`. `docs/semantics.md` must say why.
    pub(crate) const fn but(mut self, who: Who, answer: &'static str) -> Self {
        self.answers[who as usize] = Some(answer);
        self
    }

    /// Does not ask `who`.
    pub(crate) const fn without(mut self, who: Who) -> Self {
        self.answers[who as usize] = None;
        self
    }

    /// Needs this of the subject, besides what the methods of [`Subject`] ask for.
    pub(crate) const fn needs(mut self, needs: Needs) -> Self {
        self.needs = self.needs.and(needs);
        self
    }

    /// Is not asked on machines without this. A line above the function tells the harness.
    pub(crate) const fn on(mut self, feature: Feature) -> Self {
        self.feature = Some(feature);
        self
    }

    /// Why it cannot be asked on this machine.
    #[must_use]
    pub fn lacking(&self) -> Option<&'static str> {
        self.feature.and_then(Feature::lacking)
    }

    /// Makes a scenario of the row and the function that tries it.
    pub(crate) const fn test(self, run: fn(&Subject) -> Answer) -> Scenario {
        Scenario {
            name: "",
            row: self,
            run,
        }
    }

    /// The right answer of `who`, or `None` if it is not asked.
    #[must_use]
    pub const fn expected_of(&self, who: Who) -> Option<&'static str> {
        self.answers[who as usize]
    }
}

/// A row, and the function that tries it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The promise: its group, `::`, and the function's name. The test has the same name.
    pub name: &'static str,
    /// What is tried, and the right answers.
    pub row: Row,
    run: fn(&Subject) -> Answer,
}

impl Scenario {
    pub(crate) const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Runs the scenario on each subject that is asked. The default pool is empty when it begins.
    #[must_use]
    pub fn run(&'static self) -> Report {
        let mut answers = Vec::new();
        let lacking = self.row.lacking();
        let trouble = match lacking {
            Some(_) => None,
            None => self.ask_all(&mut answers).err(),
        };
        Report {
            scenario: self,
            lacking: lacking.map(Into::into),
            answers,
            trouble: trouble.map(|failure| failure.to_string()),
        }
    }

    /// Adds the answers. Fails if a subject cannot be made or something is left behind.
    fn ask_all(&self, answers: &mut Vec<(Who, Seen)>) -> Result<(), Failure> {
        let default_pool = EmptyPool::new()?;
        let mut left = None;
        for who in self.asked() {
            // One subject after the other: a child that is forked for the oracle would hold on to
            // what the next one maps.
            let before = holdings()?;
            let subject = match who {
                Who::Node => Subject::node(),
                Who::Created if self.row.oracle == Oracle::Device => Subject::backed()?,
                Who::Created => Subject::created()?,
                Who::Oracle => Subject::oracle(self.row.oracle)?,
            };
            let answer = self.ask(&subject);
            answers.push((who, answer.map_err(|failure| failure.to_string())));
            drop(subject);
            // What the node got goes with the default pool.
            if who == Who::Created {
                let after = holdings_after(before)?;
                if after != before {
                    left = Some(format!("(pools, pages) {before:?} before, {after:?} after"));
                }
            }
        }
        let released = default_pool.release();
        left.map_or(released, |left| Err(left.into()))
    }

    /// Asks one subject.
    ///
    /// # Errors
    ///
    /// The scenario cannot answer.
    pub fn ask(&self, subject: &Subject) -> Answer {
        (self.run)(subject)
    }

    /// The subjects that are asked.
    pub fn asked(&self) -> impl Iterator<Item = Who> {
        let row = self.row;
        Who::ALL
            .into_iter()
            .filter(move |who| row.expected_of(*who).is_some())
    }

    /// The name without its group.
    #[must_use]
    pub fn function(&self) -> &'static str {
        self.name
            .split_once("::")
            .map_or(self.name, |(_, function)| function)
    }

    /// What to call `who` in this scenario.
    #[must_use]
    pub fn name_of(&self, who: Who) -> String {
        match who {
            Who::Node => "node".into(),
            Who::Created => "created".into(),
            Who::Oracle => self.row.oracle.to_string(),
        }
    }
}

/// How many pools there are, and how many pages they hold together.
fn holdings() -> Result<(u64, u64), Failure> {
    let stat = Pool::open()?.stat()?;
    Ok((stat.nr_pools, stat.nr_resident_pages))
}

/// As [`holdings`], but waits some seconds at most until they are as `before`. khugepaged holds a
/// file while it scans a mapping of it (`collapse_single_pmd()`); if the program closes the file
/// in the meantime, a kernel worker ends the pool a little later.
fn holdings_after(before: (u64, u64)) -> Result<(u64, u64), Failure> {
    for _ in 0..100 {
        if holdings()? == before {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    holdings()
}

/// Runs the scenario of this name as a test.
///
/// # Panics
///
/// If an answer is not the expected one, or something is left behind.
pub fn check(name: &str) {
    let report = scenarios()
        .find(|scenario| scenario.name == name)
        .expect("the tests and the list come from the same catalogue")
        .run();
    assert!(report.is_right() && report.lacking.is_none(), "{report}");
}
