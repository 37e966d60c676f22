// SPDX-License-Identifier: MIT OR GPL-2.0

//! The report: reached and unreached lines of each function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::module::Row;
use crate::Failure;

/// A file and the name of a function in it.
type Name = (String, String);

/// A function of the module.
#[derive(Debug)]
struct Function {
    name: Name,
    /// Lines with code: their text, and whether they are reached.
    lines: BTreeMap<usize, (String, bool)>,
}

/// The functions of the module, with their reached and unreached lines.
#[derive(Debug)]
pub struct Report(Vec<Function>);

/// The unreached lines of each function that `docs/coverage.md` explains.
#[derive(Debug)]
pub struct Explained(BTreeMap<Name, usize>);

impl Explained {
    /// Reads the tables in `text`. A row has a file, a function, a number of lines and a reason.
    ///
    /// # Errors
    ///
    /// A row has another form, has no reason, or repeats a function.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let mut explained = BTreeMap::new();
        for row in text.lines().filter(|line| line.starts_with("| `src/")) {
            let cells: Vec<_> = row
                .split('|')
                .map(|cell| cell.trim().replace('`', ""))
                .collect();
            let [_, file, function, nr_lines, why, _] = &cells[..] else {
                return Err(format!("a row must have four columns: {row}").into());
            };
            if why.is_empty() {
                return Err(format!("a row must give a reason: {row}").into());
            }
            let name = (file.clone(), function.clone());
            if explained.insert(name, nr_lines.parse()?).is_some() {
                return Err(format!("a function must have one row: {row}").into());
            }
        }
        Ok(Self(explained))
    }
}

/// Returns the name of the function that begins on this line, if one does.
fn function_of(line: &str, is_rust: bool) -> Option<&str> {
    let name = if is_rust {
        let code = line.split("//").next()?;
        code.split_once("fn ")?.1.split(['(', '<']).next()?
    } else {
        if line.starts_with([' ', '\t', '/', '*', '#']) {
            return None;
        }
        line.split_once('(')?.0.rsplit([' ', '*']).next()?
    };
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

fn is_rust(file: &str) -> bool {
    Path::new(file)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

/// Returns the functions of a file, without its tests, and for each line the index of its function.
fn functions(file: &str, text: &str) -> (Vec<Function>, Vec<usize>) {
    let mut functions: Vec<Function> = Vec::new();
    let mut begin = |name: &str| {
        functions.push(Function {
            name: (file.into(), name.into()),
            lines: BTreeMap::new(),
        });
        functions.len() - 1
    };
    let mut current = begin("outside of functions");
    let of_lines = text
        .lines()
        .take_while(|line| !(line.starts_with("#[") && line.contains("kunit_tests(")))
        .map(|line| {
            // Derived code belongs to the macro, not to a function here.
            if line.trim_start().starts_with("#[derive(") {
                return begin("derive");
            }
            if let Some(name) = function_of(line, is_rust(file)) {
                current = begin(name);
            }
            current
        })
        .collect();
    (functions, of_lines)
}

impl Function {
    fn is_reached(&self) -> bool {
        self.lines.values().any(|(_, is_reached)| *is_reached)
    }

    /// The unreached lines, and their text.
    fn unreached(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines
            .iter()
            .filter(|(_, (_, is_reached))| !is_reached)
            .map(|(&line, (text, _))| (line, &**text))
    }
}

impl Report {
    /// Maps the `reached` addresses to lines by the module's `rows`, for the files in `top/src`.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn new(top: &Path, rows: &[Row], reached: &BTreeSet<u64>) -> Result<Self, Failure> {
        let mut lines: BTreeMap<String, BTreeMap<usize, bool>> = BTreeMap::new();
        for row in rows {
            let file = Path::new(&row.file);
            let name = file.strip_prefix(top).unwrap_or(file);
            if name.starts_with("src") {
                let lines = lines.entry(name.to_string_lossy().into()).or_default();
                *lines.entry(row.line as usize).or_default() |=
                    reached.range(row.start..row.end).next().is_some();
            }
        }
        let mut report = Vec::new();
        for (file, lines) in lines {
            let text = fs::read_to_string(top.join(&file))?;
            let (mut functions, of_lines) = functions(&file, &text);
            for ((number, text), &function) in (1..).zip(text.lines()).zip(&of_lines) {
                // The first and last line of a function have code only in copies that are not inlined.
                let is_edge = function_of(text, is_rust(&file)).is_some()
                    || text.chars().all(|c| " \t{}()[];,".contains(c));
                if let Some(&is_reached) = lines.get(&number).filter(|_| !is_edge) {
                    let line = (text.trim().into(), is_reached);
                    functions[function].lines.insert(number, line);
                }
            }
            report.append(&mut functions);
        }
        report.retain(|function| !function.lines.is_empty());
        Ok(Self(report))
    }

    /// Counts the unreached lines of each function. Functions of one name in one file count together.
    fn unreached(&self) -> BTreeMap<&Name, usize> {
        let mut unreached = BTreeMap::new();
        for function in &self.0 {
            *unreached.entry(&function.name).or_default() += function.unreached().count();
        }
        unreached.retain(|_, nr_lines| *nr_lines > 0);
        unreached
    }

    /// Returns whether no function has more unreached lines than `explained` says.
    pub fn is_explained(&self, explained: &Explained) -> bool {
        self.unreached()
            .iter()
            .all(|(name, nr_lines)| Some(nr_lines) <= explained.0.get(name))
    }

    /// Formats the report: the unreached lines, whether they are explained, and the totals.
    pub fn text(&self, explained: &Explained) -> String {
        let mut text = String::new();
        let unreached = self.unreached();
        let (mut nr_lines, mut nr_unreached, mut nr_unexplained) = (0, 0, 0);
        for function in &self.0 {
            nr_lines += function.lines.len();
            let count = function.unreached().count();
            if count == 0 {
                continue;
            }
            let of_name = unreached.get(&function.name);
            let is_explained = of_name <= explained.0.get(&function.name);
            nr_unreached += count;
            nr_unexplained += if is_explained { 0 } else { count };
            let (file, name) = &function.name;
            let of = function.lines.len();
            let verdict = if is_explained {
                "explained"
            } else {
                "NOT EXPLAINED"
            };
            let _ = writeln!(
                text,
                "{file} {name}: {count} of {of} lines not reached, {verdict}"
            );
            for (line, said) in function.unreached() {
                let _ = writeln!(text, "{line:8}  {said}");
            }
        }
        for (name, explained) in &explained.0 {
            let nr_lines = unreached.get(name).copied().unwrap_or(0);
            if nr_lines < *explained {
                let (file, name) = name;
                let _ = writeln!(
                    text,
                    "{file} {name}: {explained} lines explained, {nr_lines} not reached"
                );
            }
        }
        let functions = self
            .0
            .iter()
            .filter(|function| function.is_reached())
            .count();
        let _ = writeln!(text, "{functions} of {} functions reached", self.0.len());
        let nr_reached = nr_lines - nr_unreached;
        let _ = writeln!(text, "{nr_reached} of {nr_lines} lines with code reached");
        let nr_explained = nr_unreached - nr_unexplained;
        let _ = writeln!(
            text,
            "{nr_explained} of {nr_unreached} unreached lines explained"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
//! A file, fn no one

/// What fn is this.
pub(crate) fn first<T>(a: u32) -> u32 {
    a + 1
}

    fn second(&self) {
        one();
        two();

        three();
    }

#[kunit_tests(x)]
mod tests {
    fn third() {}
}
";

    /// A report on `TEXT` with these reached lines.
    fn report(name: &str, reached: &[u64]) -> Report {
        let top =
            std::env::temp_dir().join(format!("mmap-pool-coverage-{}-{name}", std::process::id()));
        fs::create_dir_all(top.join("src/mm")).unwrap();
        fs::write(top.join("src/mm/x.rs"), TEXT).unwrap();
        let row = |line: u32| Row {
            start: 16 * u64::from(line),
            end: 16 * u64::from(line) + 16,
            file: top.join("src/mm/x.rs").to_string_lossy().into_owned(),
            line,
        };
        let rows = [4, 5, 9, 10, 12, 17].map(row);
        let reached = reached.iter().map(|line| 16 * line + 4).collect();
        let report = Report::new(&top, &rows, &reached).unwrap();
        fs::remove_dir_all(top).unwrap();
        report
    }

    const SECOND: &str = "\
| file | function | lines | why |
|---|---|---|---|
| `src/mm/x.rs` | `second` | 2 | so |
";

    #[test]
    fn unreached_lines_are_listed_by_function() {
        assert_eq!(
            report("told", &[4, 5, 9]).text(&Explained::read("").unwrap()),
            "src/mm/x.rs second: 2 of 3 lines not reached, NOT EXPLAINED\n\
             \x20     10  two();\n\
             \x20     12  three();\n\
             2 of 2 functions reached\n\
             2 of 4 lines with code reached\n\
             0 of 2 unreached lines explained\n"
        );
    }

    #[test]
    fn each_unreached_line_needs_an_explanation() {
        let nothing = Explained::read("").unwrap();
        let second = Explained::read(SECOND).unwrap();
        let some = report("some", &[4, 5, 9]);
        assert!(!some.is_explained(&nothing));
        assert!(some.is_explained(&second));
        let fewer = report("fewer", &[4, 5]);
        assert!(!fewer.is_explained(&second));
        assert!(fewer.text(&second).contains("1 of 2 functions reached"));
        assert!(report("all", &[4, 5, 9, 10, 12]).is_explained(&nothing));
    }

    #[test]
    fn an_explanation_of_a_reached_line_is_reported() {
        let text = report("more", &[4, 5, 9, 10]).text(&Explained::read(SECOND).unwrap());
        assert!(text.contains("\nsrc/mm/x.rs second: 2 lines explained, 1 not reached\n"));
    }

    #[test]
    fn each_explained_function_has_one_row_with_a_reason() {
        for row in [
            "| `src/mm/x.rs` | `second` | 2 | |",
            "| `src/mm/x.rs` | `second` | many | so |",
            "| `src/mm/x.rs` | `second` | so |",
        ] {
            assert!(Explained::read(row).is_err(), "{row}");
        }
        assert!(Explained::read(&SECOND.repeat(2)).is_err());
    }

    #[test]
    fn functions_of_c_begin_at_the_margin() {
        let name = |line| function_of(line, false);
        assert_eq!(
            name("void *mmap_pool_kmap(struct page *page)"),
            Some("mmap_pool_kmap")
        );
        assert_eq!(name("struct page *page_of(int a)"), Some("page_of"));
        assert_eq!(name("\treturn get(page);"), None);
        assert_eq!(name("/* get(page) */"), None);
    }
}
