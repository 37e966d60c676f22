// SPDX-License-Identifier: MIT OR GPL-2.0

//! Records the functions that the kernel calls, by its function-graph tracer.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;

use crate::child::in_child;
use crate::{fail, Failure};

const FOLDER: &str = "/sys/kernel/tracing";

/// One function that was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The depth: the number of recorded functions around it.
    pub depth: usize,
    /// Its name.
    pub name: String,
    /// Whether it is a function of the module. The tracer sees C functions only: the helpers show
    /// where the module's Rust code ran.
    pub is_of_module: bool,
}

/// The recorded calls, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(Vec<Call>);

impl Trace {
    /// Records the calls of `functions` and of the module while a child runs `action(1)`. The child
    /// runs `action(0)` first, unrecorded, so that all its code is mapped.
    ///
    /// # Errors
    ///
    /// The kernel lacks the tracer or the functions, or the child fails.
    pub fn record(
        functions: &[&str],
        action: impl Fn(usize) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let filter = [&[":mod:mmap_pool"], functions].concat();
        let text = recorded(&filter, false, action)?;
        Ok(Self(text.lines().filter_map(Call::parse).collect()))
    }

    /// Records how long each call of `function` takes, in the same way. No other function is
    /// traced, so the time is almost that without the tracer.
    ///
    /// # Errors
    ///
    /// As [`Self::record`].
    pub fn nanoseconds(
        function: &str,
        action: impl Fn(usize) -> Result<(), Failure>,
    ) -> Result<Vec<u64>, Failure> {
        let text = recorded(&[function], true, action)?;
        text.lines()
            .filter_map(|line| line.split_once(" us "))
            .map(|(microseconds, _)| Ok(microseconds.trim().replace('.', "").parse()?))
            .collect()
    }

    /// The calls, in order.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.0
    }

    /// Whether the kernel has a function of this name. A kernel without a feature lacks its
    /// functions, and the compiler may inline others.
    ///
    /// # Errors
    ///
    /// The kernel has no tracer.
    pub fn knows(name: &str) -> Result<bool, Failure> {
        let functions = fs::read_to_string(path("available_filter_functions"))?;
        Ok(functions.lines().any(|function| function == name))
    }

    /// The first of `names` that is not called in this order.
    #[must_use]
    pub fn missing<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        let mut calls = self.0.iter();
        names
            .iter()
            .find(|name| !calls.any(|call| call.name == **name))
            .copied()
    }

    /// The number of calls of `name`.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|call| call.name == name).count()
    }

    /// Whether `name` calls the module, directly or not.
    #[must_use]
    pub fn enters_module_from(&self, name: &str) -> bool {
        let mut outer = None;
        for call in &self.0 {
            if outer.is_some_and(|depth| call.depth <= depth) {
                outer = None;
            }
            if call.name == name {
                outer.get_or_insert(call.depth);
            }
            if outer.is_some() && call.is_of_module {
                return true;
            }
        }
        false
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for call in &self.0 {
            let mark = if call.is_of_module {
                " [mmap_pool]"
            } else {
                ""
            };
            writeln!(f, "{:2$}{}{mark}", "", call.name, 2 * call.depth)?;
        }
        Ok(())
    }
}

impl Call {
    /// Reads a line such as `  function();` or `  function [module]() {`, indented by two for each
    /// level.
    fn parse(line: &str) -> Option<Self> {
        let text = line.trim_start();
        let (function, _) = text.split_once("()")?;
        let (name, module) = function.split_once(' ').unwrap_or((function, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
        (!name.is_empty() && name.chars().all(is_name)).then(|| Self {
            depth: (line.len() - text.len()) / 2,
            name: name.into(),
            is_of_module: module == "[mmap_pool]",
        })
    }
}

/// Returns the trace of `action(1)` in a child, of what the `filters` name.
fn recorded(
    filters: &[&str],
    with_durations: bool,
    action: impl Fn(usize) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let _tracer = Tracer::new(filters, with_durations)?;
    in_child(|| {
        put("set_ftrace_pid", &process::id().to_string())?;
        let mut switch = File::options().write(true).open(path("tracing_on"))?;
        switch.write_all(b"0")?;
        action(0)?;
        switch.write_all(b"1")?;
        action(1)?;
        switch.write_all(b"0")?;
        Ok(String::new())
    })?;
    Ok(fs::read_to_string(path("trace"))?)
}

/// The kernel's tracer. The old settings come back when this is dropped.
struct Tracer;

impl Tracer {
    /// Prepares to trace what the `filters` name.
    fn new(filters: &[&str], with_durations: bool) -> Result<Self, Failure> {
        let available = fs::read_to_string(path("available_tracers"))?;
        if !available
            .split_whitespace()
            .any(|name| name == "function_graph")
        {
            fail!("this kernel has no function_graph tracer");
        }
        let tracer = Self;
        put("tracing_on", "0")?;
        // Only these are changed into ones that tell: to do so with all takes very long.
        put("set_ftrace_filter", "")?;
        for filter in filters {
            put_more("set_ftrace_filter", &format!("{filter}\n"))?;
        }
        put("current_tracer", "function_graph")?;
        for option in ["cpu", "overhead", "irqs"] {
            put(&format!("options/funcgraph-{option}"), "0")?;
        }
        put(
            "options/funcgraph-duration",
            if with_durations { "1" } else { "0" },
        )?;
        put("trace", "")?;
        Ok(tracer)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        for (file, text) in [
            ("current_tracer", "nop"),
            ("set_ftrace_filter", ""),
            ("set_ftrace_pid", ""),
            ("trace", ""),
            ("tracing_on", "1"),
        ] {
            let _ = put(file, text);
        }
    }
}

fn path(file: &str) -> PathBuf {
    Path::new(FOLDER).join(file)
}

fn put(file: &str, text: &str) -> Result<(), Failure> {
    fs::write(path(file), text).map_err(|error| format!("{file}: {error}").into())
}

fn put_more(file: &str, text: &str) -> Result<(), Failure> {
    let mut file_to = File::options().append(true).open(path(file))?;
    file_to
        .write_all(text.as_bytes())
        .map_err(|error| format!("{file}: {text}: {error}").into())
}
