// SPDX-License-Identifier: MIT OR GPL-2.0

//! Profiles the kernel: the instructions of each function, for each row.
//!
//! QEMU's plugin `qemu/plugin/instructions.c` counts. The guest traces nothing, so the profile adds no
//! instructions. The guest tells the plugin when to count, and prints the kernel's symbols. The host
//! combines the counts and the symbols.

use std::collections::HashMap;
use std::fs;

use mmap_pool::Strategy;
use serde::{Deserialize, Serialize};

use crate::measure::{samples, wait_until_alone, Growth, Scale};
use crate::row::{Row, ROWS};
use crate::subject::Subject;
use crate::Failure;

/// Functions shown for each row.
const NR_SHOWN: usize = 24;
/// Phases of each row and subject: a first sample that is thrown away, and the one that counts.
const NR_PHASES: usize = 1 + Scale::PROFILE.nr_samples;

/// The profiled rows. A row with points is profiled at one of them.
const PROFILED: &[(&str, Option<u64>)] = &[
    ("first-touch", None),
    ("write-again", None),
    ("random-fault", None),
    ("cow", None),
    ("munmap", None),
    ("open-map-close", None),
    ("read-call", Some(1)),
    ("read-call", Some(4096)),
    ("write-call", Some(1)),
    ("write-call", Some(4096)),
];
/// The profiled subjects, if the row has them.
const SUBJECTS: &[Subject] = &[
    Subject::Pool(Strategy::Page),
    Subject::Twin(Strategy::Page),
    Subject::Pool(Strategy::Around),
    Subject::Pool(Strategy::Huge),
    Subject::Twin(Strategy::Huge),
    Subject::Memfd,
];

/// A profiled row.
#[derive(Clone, Copy)]
struct Part {
    row: &'static Row,
    point: Option<u64>,
}

impl Part {
    fn all() -> impl Iterator<Item = Self> {
        PROFILED.iter().filter_map(|&(name, point)| {
            let row = ROWS.iter().find(|row| row.name == name)?;
            Some(Self { row, point })
        })
    }

    fn subjects(self) -> Vec<Subject> {
        let has = |subject: &&Subject| self.row.subjects.contains(subject);
        SUBJECTS.iter().filter(has).copied().collect()
    }

    fn title(self) -> String {
        let at = self
            .point
            .map_or(String::new(), |point| format!(" of {point} B"));
        format!("{}{at}: {}", self.row.title, self.row.unit)
    }
}

/// The functions of the guest's kernel. The guest prints them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Symbols {
    /// Address and name, in ascending order.
    functions: Vec<(u64, String)>,
}

/// In a guest: does the profiled work, and returns the kernel's symbols.
///
/// # Errors
///
/// A row cannot be measured.
pub fn run() -> Result<Symbols, Failure> {
    wait_until_alone();
    let mut growth = Growth::default();
    for part in Part::all() {
        for subject in part.subjects() {
            println!("{subject}: {}", part.title());
            samples(
                part.row.work,
                subject,
                part.point,
                Scale::PROFILE,
                &mut growth,
            )?;
        }
    }
    Ok(Symbols {
        functions: functions(&fs::read_to_string("/proc/kallsyms")?)?,
    })
}

/// Reads the functions from the text of `/proc/kallsyms`.
fn functions(kallsyms: &str) -> Result<Vec<(u64, String)>, Failure> {
    let mut functions = Vec::new();
    for line in kallsyms.lines() {
        let mut words = line.split_whitespace();
        if let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
        {
            if matches!(kind, "t" | "T" | "w" | "W") {
                functions.push((u64::from_str_radix(address, 16)?, name.into()));
            }
        }
    }
    functions.sort();
    // Of several names of one address, the first one stays.
    functions.dedup_by_key(|function| function.0);
    Ok(functions)
}

impl Symbols {
    /// Finds the function of an address, and whether the address is its first instruction.
    fn find(&self, address: u64) -> (String, bool) {
        const KERNEL: u64 = 1 << 63;
        if address < KERNEL {
            return ("(the program)".into(), false);
        }
        let after = self
            .functions
            .partition_point(|function| function.0 <= address);
        match after.checked_sub(1) {
            None => ("(unknown)".into(), false),
            Some(index) => {
                let (start, name) = &self.functions[index];
                (
                    format!("{:#}", rustc_demangle::demangle(name)),
                    *start == address,
                )
            }
        }
    }
}

/// The instructions and calls of a function in one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Share {
    nr_instructions: u64,
    nr_calls: u64,
}

/// Adds up the plugin's counts, by phase from 0 and by function.
fn shares(counts: &str, symbols: &Symbols) -> Result<Vec<HashMap<String, Share>>, Failure> {
    let mut shares: Vec<HashMap<String, Share>> = Vec::new();
    for line in counts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let &[phase, address, nr_instructions, nr_executions] = &words[..] else {
            return Err(format!("not a line of counts: {line}").into());
        };
        let phase: usize = phase.parse()?;
        if shares.len() < phase {
            shares.resize_with(phase, HashMap::new);
        }
        let (name, is_start) = symbols.find(u64::from_str_radix(address, 16)?);
        let nr_executions: u64 = nr_executions.parse()?;
        let share = shares[phase - 1].entry(name).or_default();
        share.nr_instructions += nr_instructions.parse::<u64>()? * nr_executions;
        if is_start {
            share.nr_calls += nr_executions;
        }
    }
    Ok(shares)
}

/// Formats the tables in Markdown.
///
/// # Errors
///
/// The counts do not come from [`run`].
pub fn tables(counts: &str, symbols: &Symbols) -> Result<String, Failure> {
    let shares = shares(counts, symbols)?;
    let nr_expected = Part::all().map(|part| part.subjects().len()).sum::<usize>() * NR_PHASES;
    if shares.len() != nr_expected {
        return Err(format!("{} phases were counted, not {nr_expected}", shares.len()).into());
    }
    // The last phase of each row and subject counts.
    let mut shares = shares.into_iter().skip(NR_PHASES - 1).step_by(NR_PHASES);
    let mut text = String::new();
    for part in Part::all() {
        let own: Vec<_> = shares.by_ref().take(part.subjects().len()).collect();
        text += &table(part, &own)?;
    }
    Ok(text)
}

fn table(part: Part, shares: &[HashMap<String, Share>]) -> Result<String, Failure> {
    let divisor = Scale::PROFILE
        .divisor(part.row.unit)
        .ok_or("a row without a divisor")?;
    let each = |count: u64| count as f64 / divisor as f64;
    let mut names: Vec<&String> = shares.iter().flat_map(HashMap::keys).collect();
    names.sort();
    names.dedup();
    let most = |name: &String| {
        let own = shares.iter().filter_map(|shares| shares.get(name));
        own.map(|share| share.nr_instructions).max().unwrap_or(0)
    };
    names.sort_by_key(|name| std::cmp::Reverse(most(name)));

    let sum = |shares: &HashMap<String, Share>, names: &[&String]| -> u64 {
        let own = names.iter().filter_map(|&name| shares.get(name));
        own.map(|share| share.nr_instructions).sum()
    };
    let line = |head: &str, cell: &dyn Fn(&HashMap<String, Share>) -> String| {
        let cells: String = shares.iter().map(cell).collect();
        format!("| {head} |{cells}\n")
    };

    let heads: String = part
        .subjects()
        .iter()
        .fold(String::new(), |heads, subject| {
            heads + &format!(" {subject} | calls |")
        });
    let mut text = format!(
        "### {}\n\n| function |{heads}\n|---|{}\n",
        part.title(),
        "---|---|".repeat(part.subjects().len())
    );
    let (shown, others) = names.split_at(names.len().min(NR_SHOWN));
    for &name in shown {
        // All Rust functions of the module are in one crate.
        let escaped = name.replace("mmap_pool_main::", "").replace('<', "\\<");
        text += &line(&escaped, &|shares| match shares.get(name) {
            Some(share) => format!(
                " {:.1} | {:.2} |",
                each(share.nr_instructions),
                each(share.nr_calls)
            ),
            None => " | |".into(),
        });
    }
    let total = |names: &[&String], shares: &HashMap<String, Share>| {
        format!(" {:.1} | |", each(sum(shares, names)))
    };
    text += &line(&format!("{} others", others.len()), &|shares| {
        total(others, shares)
    });
    text += &line("all", &|shares| total(&names, shares));
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "ffffffff81000000 T _text\n\
        ffffffff81000100 t do_fault\n\
        ffffffff81000100 T do_fault_alias\n\
        ffffffff81000200 D some_data\n\
        ffffffffc0000000 t _RNvCs1_4pool5fault\t[mmap_pool]\n";

    fn symbols() -> Symbols {
        Symbols {
            functions: functions(KALLSYMS).unwrap(),
        }
    }

    #[test]
    fn an_address_is_in_the_function_before_it() {
        let symbols = symbols();
        assert_eq!(
            symbols.find(0xffff_ffff_8100_0100),
            ("do_fault".into(), true)
        );
        assert_eq!(
            symbols.find(0xffff_ffff_8100_0208),
            ("do_fault".into(), false)
        );
        assert_eq!(
            symbols.find(0xffff_ffff_c000_0010),
            ("pool::fault".into(), false)
        );
        assert_eq!(symbols.find(0x40_1000).0, "(the program)");
        assert_eq!(symbols.find(0xffff_8000_0000_0000).0, "(unknown)");
    }

    #[test]
    fn the_counts_of_a_function_add_up() {
        let counts = "1 ffffffff81000100 5 10\n1 ffffffff81000120 3 4\n1 ffffffff81000100 5 1\n\
            2 ffffffff81000100 5 1\n";
        let shares = shares(counts, &symbols()).unwrap();
        let expected = Share {
            nr_instructions: 5 * 10 + 3 * 4 + 5,
            nr_calls: 11,
        };
        assert_eq!(shares.len(), 2);
        assert_eq!(shares[0]["do_fault"], expected);
    }

    #[test]
    fn missing_phases_are_an_error() {
        let error = tables("1 ffffffff81000100 5 10\n", &symbols()).unwrap_err();
        assert!(error.to_string().starts_with("1 phases were counted"));
    }
}
