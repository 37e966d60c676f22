// SPDX-License-Identifier: MIT OR GPL-2.0

//! Judges an object that a user names: which rows it answers as a file does, which differences its
//! kind explains, and which known mistake the others look like.

use std::fmt::{self, Write};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::given::{Facts, Given, Name};
use crate::kinds::{why_allowed, Mistake};
use crate::needs::Needs;
use crate::scenario::{Scenario, Who};
use crate::subject::{Subject, UNKNOWN};
use crate::{Answer, Failure};

/// Faults of one process after which no row is at work any more. The row with the most has 50,000.
const ENDLESS: u64 = 200_000;

/// What a row says about the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answers as a file does.
    Same,
    /// It answers something else, which is right for its kind, for this reason.
    Allowed(&'static str, String),
    /// It answers something else.
    Differs(String),
    /// The row could not run, for this reason.
    NotRun(String),
}

/// A row and its verdict.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The row.
    pub scenario: &'static Scenario,
    /// The verdict.
    pub verdict: Verdict,
}

impl Outcome {
    /// Whether the row says that something is wrong.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        matches!(self.verdict, Verdict::Differs(_))
    }

    /// Whether the process of the row had to be ended.
    #[must_use]
    pub fn has_no_end(&self) -> bool {
        matches!(&self.verdict, Verdict::Differs(answer) if answer == WITHOUT_END || answer == TOO_LATE)
    }

    /// Whether more rows could harm the machine: pages are lost, or nothing can be touched.
    #[must_use]
    pub fn is_dangerous(&self) -> bool {
        let lost =
            matches!(&self.verdict, Verdict::Differs(answer) if answer.ends_with(" of another"));
        lost || self.has_no_end()
    }
}

/// How a watched process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Answer(String),
    Failure(String),
    /// It faulted again and again on the same page.
    Endless,
    /// The time limit was over.
    Late,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => f.write_str(answer),
            Self::Failure(failure) => write!(f, "failed: {failure}"),
            Self::Endless => f.write_str(WITHOUT_END),
            Self::Late => f.write_str(TOO_LATE),
        }
    }
}

/// The answer of a row whose process faults forever.
pub const WITHOUT_END: &str = "does not end: it faults again and again";
/// Why a row that differs on an object with content, which may not be changed, says nothing.
const NOT_NEW: &str = "the row expects zeros, and the object has other bytes";
/// The answer of a row whose time limit is over.
pub const TOO_LATE: &str = "does not end: the time limit is over";

/// Set when the user wants the program to end.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How rows are run.
#[derive(Clone, Debug)]
pub struct Judge {
    /// The object.
    pub name: Name,
    /// What is known about it.
    pub facts: Facts,
    /// Whether nothing may be changed.
    pub is_read_only: bool,
    /// The time limit of a row.
    pub limit: Duration,
}

impl Judge {
    /// Asks the object something in a process that is watched.
    ///
    /// # Errors
    ///
    /// `ask` fails or does not end.
    pub fn ask(&self, ask: impl FnOnce(&Given) -> Answer) -> Answer {
        let given = Given::new(&self.name, &self.facts, self.is_read_only)?;
        match watched(self.limit, || ask(&given))? {
            End::Answer(answer) => Ok(answer),
            other => Err(other.to_string().into()),
        }
    }

    /// Runs a row. `is_new` says that the object must be all zeros.
    ///
    /// # Errors
    ///
    /// No process can be made.
    pub fn run(&self, scenario: &'static Scenario, is_new: bool) -> Result<Outcome, Failure> {
        Ok(Outcome {
            scenario,
            verdict: self.verdict(scenario, is_new)?,
        })
    }

    /// Looks for a reason again, for a row that was run before all facts were known.
    pub fn explain(&self, outcome: &mut Outcome) {
        if let Verdict::Differs(answer) = &outcome.verdict {
            if let Some(why) = why_allowed(&self.facts, outcome.scenario, answer) {
                outcome.verdict = Verdict::Allowed(why, answer.clone());
            }
        }
    }

    fn verdict(&self, scenario: &Scenario, is_new: bool) -> Result<Verdict, Failure> {
        let row = &scenario.row;
        if let Some(why) = row.lacking() {
            return Ok(Verdict::NotRun(why.into()));
        }
        let lacks = row.needs.without(self.facts.has);
        if !lacks.is_empty() {
            return Ok(Verdict::NotRun(lacks.to_string()));
        }
        let expected = expected(scenario);
        let given = Given::new(&self.name, &self.facts, self.is_read_only)?;
        let asked = given.asking();
        let subject = Subject::given(given);
        let seen = watched(self.limit, || {
            if is_new {
                subject.clear()?;
            }
            scenario.ask(&subject)
        })?;
        if let End::Answer(answer) = &seen {
            if is_same(answer, expected) {
                return Ok(Verdict::Same);
            }
        }
        let lacks = asked.needs()?;
        if !lacks.is_empty() && !matches!(seen, End::Endless | End::Late) {
            return Ok(Verdict::NotRun(lacks.to_string()));
        }
        drop(subject);
        // On this machine, the kernel's own object may answer something else, too.
        if row.expected_of(Who::Oracle).is_some() {
            let control = watched(self.limit, || scenario.ask(&Subject::oracle(row.oracle)?))?;
            if control == seen {
                return Ok(Verdict::Same);
            }
            if control != End::Answer(expected.into()) {
                let why = format!("on this machine a {} answers {control}", row.oracle);
                return Ok(Verdict::NotRun(why));
            }
        }
        let seen = seen.to_string();
        if !self.facts.has.contains(Needs::WRITE) && is_refused(&seen) {
            return Ok(Verdict::NotRun(Needs::WRITE.to_string()));
        }
        Ok(match why_allowed(&self.facts, scenario, &seen) {
            Some(why) => Verdict::Allowed(why, seen),
            None if self.facts.is_not_new => Verdict::NotRun(NOT_NEW.into()),
            None => Verdict::Differs(seen),
        })
    }
}

/// Whether an answer tells of a call that writers may not make.
fn is_refused(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    ["not permitted", "permission denied", "eperm", "eacces"]
        .iter()
        .any(|refusal| answer.contains(refusal))
}

/// Whether the answer is the expected one. Each unknown number stands for any.
pub(crate) fn is_same(answer: &str, expected: &str) -> bool {
    match answer.split_once(UNKNOWN) {
        None => answer == expected,
        Some((before, after)) => expected.strip_prefix(before).is_some_and(|rest| {
            let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
            is_same(after, rest)
        }),
    }
}

/// Runs `body` in a child with a process group of its own, and ends the whole group.
fn watched(limit: Duration, body: impl FnOnce() -> Answer) -> Result<End, Failure> {
    let child = Child::fork(|_| {
        // SAFETY: A plain request.
        unsafe { libc::setpgid(0, 0) };
        let answer = match body() {
            Ok(answer) => format!("+{answer}"),
            Err(failure) => format!("-{failure}"),
        };
        Ok(answer.replace('\n', " "))
    })?;
    let pid = child.raw_pid()?;
    let began = Instant::now();
    let mut end = None;
    while end.is_none() && !child.has_ended_within(Duration::from_millis(10))? {
        if nr_faults(pid) > ENDLESS {
            end = Some(End::Endless);
        } else if began.elapsed() > limit {
            end = Some(End::Late);
        } else if INTERRUPTED.load(Relaxed) {
            end = Some(End::Failure("interrupted".into()));
        }
    }
    // SAFETY: The group is that of the child, which has not been waited for.
    unsafe { libc::kill(-pid, libc::SIGKILL) };
    if let Some(end) = end {
        drop(child);
        return Ok(end);
    }
    Ok(match child.finish() {
        Ok(line) => match line.strip_prefix('+') {
            Some(answer) => End::Answer(answer.into()),
            None => End::Failure(line.trim_start_matches('-').into()),
        },
        Err(failure) => End::Failure(failure.to_string()),
    })
}

/// Minor faults of a process, or of that of its descendants which has the most.
fn nr_faults(pid: i32) -> u64 {
    const AFTER_THE_NAME: usize = 7;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let mut fields = stat.rsplit(") ").next().unwrap_or("").split(' ');
    let own = fields.nth(AFTER_THE_NAME);
    let own = own.and_then(|faults| faults.parse().ok()).unwrap_or(0);
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let pids = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    pids.map(nr_faults).fold(own, u64::max)
}

/// The outcomes as lines with tabs: the row, a word, the answer of a file, the answer, the reason or
/// the mistake.
#[must_use]
pub fn records(outcomes: &[Outcome], mistakes: &[&'static Mistake]) -> String {
    let mut text = String::new();
    for Outcome { scenario, verdict } in outcomes {
        let (word, answer, why) = match verdict {
            Verdict::Same => ("same", "", ""),
            Verdict::Allowed(why, answer) => ("allowed", answer.as_str(), *why),
            Verdict::Differs(answer) => {
                let looks = looks_like(mistakes, scenario.name).unwrap_or("");
                ("differs", answer.as_str(), looks)
            }
            Verdict::NotRun(why) => ("not run", "", why.as_str()),
        };
        let (name, expected) = (scenario.name, expected(scenario));
        let _ = writeln!(text, "{name}\t{word}\t{expected}\t{answer}\t{why}");
    }
    text
}

/// The outcomes for a person.
#[must_use]
pub fn table(
    object: &str,
    facts: &Facts,
    outcomes: &[Outcome],
    mistakes: &[&'static Mistake],
    is_verbose: bool,
) -> String {
    let mut text = format!("{object}: {facts}\n\n");
    let mut counts = [0; 4];
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for Outcome { scenario, verdict } in outcomes {
        let (name, tried) = (scenario.name, scenario.row.tried);
        match verdict {
            Verdict::Same => {
                counts[0] += 1;
                if is_verbose {
                    let _ = writeln!(text, "same     {name}");
                }
            }
            Verdict::Allowed(why, answer) => {
                counts[1] += 1;
                let _ = writeln!(text, "allowed  {name}: {tried}\n         answers   {answer}\n         a file    {}\n         {why}", expected(scenario));
            }
            Verdict::Differs(answer) => {
                counts[2] += 1;
                let looks = looks_like(mistakes, name).unwrap_or("like no known mistake");
                let _ = writeln!(text, "DIFFERS  {name}: {tried}\n         answers   {answer}\n         a file    {}\n         looks     {looks}", expected(scenario));
            }
            Verdict::NotRun(why) => {
                counts[3] += 1;
                if is_verbose {
                    let _ = writeln!(text, "not run  {name}: {why}");
                }
                match reasons.iter_mut().find(|(known, _)| known == why) {
                    Some((_, count)) => *count += 1,
                    None => reasons.push((why, 1)),
                }
            }
        }
    }
    let [same, allowed, differs, not_run] = counts;
    let _ = writeln!(text, "\n{same} rows answer as a file does, {allowed} differ as its kind may, {differs} differ, {not_run} could not run");
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (why, count) in reasons {
        let _ = writeln!(text, "{count:>6} not run: {why}");
    }
    for mistake in mistakes {
        let _ = writeln!(text, "MISTAKE  {}: {}", mistake.name, mistake.what);
    }
    text
}

/// The name of the mistake that may be why the row differs.
fn looks_like(mistakes: &[&'static Mistake], row: &str) -> Option<&'static str> {
    let mistake = mistakes.iter().find(|mistake| mistake.explains(row))?;
    Some(mistake.name)
}

fn expected(scenario: &Scenario) -> &'static str {
    let order = [Who::Oracle, Who::Created, Who::Node];
    let mut answers = order
        .into_iter()
        .filter_map(|who| scenario.row.expected_of(who));
    answers.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use mmap_pool::{Advice, MappingBuilder};

    use super::*;
    use crate::child::in_child;
    use crate::scenario::Oracle;

    #[test]
    fn a_child_of_the_row_that_faults_forever_is_noticed() -> Result<(), Failure> {
        let subject = Subject::oracle(Oracle::Memfd)?;
        let faulting = || {
            in_child(|| {
                let mapping = subject.map(MappingBuilder::shared())?;
                loop {
                    mapping.write_at(b"a", 0)?;
                    mapping.advise(Advice::DontNeed)?;
                }
            })
        };
        let end = watched(Duration::from_secs(600), faulting)?;
        assert_eq!(end, End::Endless);
        Ok(())
    }
}
