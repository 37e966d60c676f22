// SPDX-License-Identifier: MIT OR GPL-2.0

//! What the subjects answered to a scenario, and whether that is right.
//!
//! Reports leave the guest as text, a line for each answer. [`read`] makes reports of them again.

use std::fmt::{self, Write};

use crate::catalogue::scenarios;
use crate::scenario::{Scenario, Who};

/// What one subject answered, or why it has no answer.
pub type Seen = Result<String, String>;

/// The answers to a scenario.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked.
    pub scenario: &'static Scenario,
    /// The subjects that were asked, and their answers.
    pub answers: Vec<(Who, Seen)>,
    /// Why it was not asked: what the machine lacks.
    pub lacking: Option<String>,
    /// What else is wrong: the scenario could not be set up, or it left something behind.
    pub trouble: Option<String>,
}

impl Report {
    /// What `who` answered; `None` if it was not asked.
    #[must_use]
    pub fn answer_of(&self, who: Who) -> Option<&Seen> {
        let mut answers = self.answers.iter();
        answers.find_map(|(asked, seen)| (*asked == who).then_some(seen))
    }

    /// Whether `who` gave the right answer.
    #[must_use]
    pub fn is_right_of(&self, who: Who) -> bool {
        let expected = self.scenario.row.expected_of(who);
        matches!(self.answer_of(who), Some(Ok(text)) if Some(text.as_str()) == expected)
    }

    /// Whether all subjects gave the right answer, and nothing else is wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.trouble.is_none()
            && (self.lacking.is_some() || self.scenario.asked().all(|who| self.is_right_of(who)))
    }

    /// The lines that [`read`] understands.
    #[must_use]
    pub fn records(&self) -> String {
        let mut records = String::new();
        let name = self.scenario.name;
        let mut add = |who: &str, kind: &str, text: &str| {
            let text = text.replace(['\n', '\t'], " ");
            let _ = writeln!(records, "{name}\t{who}\t{kind}\t{text}");
        };
        for (who, seen) in &self.answers {
            match seen {
                Ok(answer) => add(key(*who), "answer", answer),
                Err(failure) => add(key(*who), "failure", failure),
            }
        }
        if let Some(why) = &self.lacking {
            add("-", LACKING, why);
        }
        if let Some(trouble) = &self.trouble {
            add("-", "failure", trouble);
        }
        records
    }
}

/// The scenario with all its answers, and the right ones where they differ.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.scenario.name, self.scenario.row.tried)?;
        for who in self.scenario.asked() {
            let seen = words(self.answer_of(who));
            writeln!(f, "  {:<8} {seen}", self.scenario.name_of(who))?;
            if !self.is_right_of(who) {
                let expected = self.scenario.row.expected_of(who).unwrap_or_default();
                writeln!(f, "  expected {expected}")?;
            }
        }
        if let Some(why) = &self.lacking {
            writeln!(f, "  not asked: {why}")?;
        }
        match &self.trouble {
            Some(trouble) => writeln!(f, "  trouble  {trouble}"),
            None => Ok(()),
        }
    }
}

/// The answer, or why there is none.
#[must_use]
pub fn words(seen: Option<&Seen>) -> String {
    match seen {
        Some(Ok(answer)) => answer.clone(),
        Some(Err(failure)) => format!("failed: {failure}"),
        None => "no answer".into(),
    }
}

/// What a record calls the reason why a scenario was not asked.
const LACKING: &str = "lacking";

/// What a record calls `who`.
fn key(who: Who) -> &'static str {
    match who {
        Who::Node => "node",
        Who::Created => "created",
        Who::Oracle => "oracle",
    }
}

/// Reads the output of a run: the lines that [`Report::records`] wrote, and all other lines, such as
/// the message of a panic. The end may be missing: half a line is no record.
#[must_use]
pub fn read(output: &str) -> (Vec<Report>, Vec<String>) {
    let mut reports: Vec<Report> = Vec::new();
    let mut others = Vec::new();
    for line in output.split_inclusive('\n') {
        let fields: Vec<_> = line.trim_end_matches('\n').splitn(4, '\t').collect();
        let [name, who, kind, text] = fields[..] else {
            others.push(line.trim_end().into());
            continue;
        };
        if !line.ends_with('\n') {
            break;
        }
        let Some(scenario) = scenarios().find(|scenario| scenario.name == name) else {
            others.push(line.trim_end().into());
            continue;
        };
        if reports
            .last()
            .is_none_or(|report| report.scenario.name != name)
        {
            reports.push(Report {
                scenario,
                answers: Vec::new(),
                lacking: None,
                trouble: None,
            });
        }
        let Some(report) = reports.last_mut() else {
            continue;
        };
        if kind == LACKING {
            report.lacking = Some(text.into());
            continue;
        }
        let seen = match kind {
            "answer" => Ok(text.into()),
            _ => Err(text.into()),
        };
        match Who::ALL.into_iter().find(|known| key(*known) == who) {
            Some(who) => report.answers.push((who, seen)),
            None => report.trouble = Some(text.into()),
        }
    }
    (reports, others)
}
