// SPDX-License-Identifier: MIT OR GPL-2.0

//! From the events of Rust's test harness to KTAP.

use std::io::{self, Write};

use serde::Deserialize;

/// Where an event begins. A test may have written half a line before it.
const EVENT: &str = "{ \"type\": \"";

/// The members of an event that KTAP needs.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "event")]
    what: Option<String>,
    name: Option<String>,
    test_count: Option<u32>,
    exec_time: Option<f64>,
    message: Option<String>,
    stdout: Option<String>,
}

/// Writes KTAP for each line of a test program's output.
pub struct Converter<W> {
    to: W,
    nr_results: u32,
    /// The tests that began and have no result yet, and when they began.
    running: Vec<(String, f64)>,
}

impl<W: Write> Converter<W> {
    pub fn new(to: W) -> Self {
        Self {
            to,
            nr_results: 0,
            running: Vec::new(),
        }
    }

    /// Converts one line that the program has written at `now`, in seconds.
    pub fn line(&mut self, line: &str, now: f64) -> io::Result<()> {
        let at = line.find(EVENT).unwrap_or(line.len());
        let (text, event) = line.split_at(at);
        match serde_json::from_str::<Event>(event) {
            Ok(event) => {
                self.diagnostic(text)?;
                self.event(&event, now)?;
            }
            Err(_) => self.diagnostic(line)?,
        }
        self.to.flush()
    }

    /// Reports the tests that have no result although the program has ended.
    pub fn end(&mut self, status: &str) -> io::Result<()> {
        for (name, _) in std::mem::take(&mut self.running) {
            self.diagnostic(&format!("the program ended in this test: {status}"))?;
            self.result("not ok", &name, "")?;
        }
        self.to.flush()
    }

    fn event(&mut self, event: &Event, now: f64) -> io::Result<()> {
        let name = event.name.as_deref().unwrap_or_default();
        match (
            event.kind.as_str(),
            event.what.as_deref().unwrap_or_default(),
        ) {
            ("suite", "started") => {
                self.nr_results = 0;
                writeln!(
                    self.to,
                    "KTAP version 1\n1..{}",
                    event.test_count.unwrap_or(0)
                )
            }
            ("test", "started") => {
                self.running.push((name.into(), now));
                writeln!(self.to, "# began {now:.6} {name}")
            }
            ("test", "ok") => self.ended("ok", event),
            ("test", "ignored") => {
                self.running.retain(|(running, _)| running != name);
                let reason = event.message.as_deref().unwrap_or("ignored");
                self.result("ok", name, &format!(" # SKIP {}", one_line(reason)))
            }
            ("test", "failed") => {
                self.diagnostic(event.stdout.as_deref().unwrap_or_default())?;
                self.diagnostic(event.message.as_deref().unwrap_or_default())?;
                self.ended("not ok", event)
            }
            ("test", "timeout") => self.diagnostic(&format!("{name} takes long")),
            _ => Ok(()),
        }
    }

    fn ended(&mut self, result: &str, event: &Event) -> io::Result<()> {
        let name = event.name.as_deref().unwrap_or_default();
        self.running.retain(|(running, _)| running != name);
        let took = event
            .exec_time
            .map_or(String::new(), |took| format!(" # took {took:.6}"));
        self.result(result, name, &took)
    }

    fn result(&mut self, result: &str, name: &str, more: &str) -> io::Result<()> {
        self.nr_results += 1;
        // A # begins a directive.
        let name = name.replace('#', "");
        writeln!(self.to, "{result} {} {name}{more}", self.nr_results)
    }

    fn diagnostic(&mut self, text: &str) -> io::Result<()> {
        text.lines()
            .try_for_each(|line| writeln!(self.to, "# {line}"))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The KTAP for these lines, each written a second after the one before.
    fn converted(lines: &[&str], end: Option<&str>) -> String {
        let mut written = Vec::new();
        let mut converter = Converter::new(&mut written);
        let mut now = 0.0;
        for line in lines {
            now += 1.0;
            converter.line(line, now).unwrap();
        }
        if let Some(status) = end {
            converter.end(status).unwrap();
        }
        String::from_utf8(written).unwrap()
    }

    const PLAN: &str = r#"{ "type": "suite", "event": "started", "test_count": 2 }"#;
    const BEGAN: &str = r#"{ "type": "test", "event": "started", "name": "a::b" }"#;

    #[test]
    fn each_result_becomes_a_line() {
        let lines = [
            PLAN,
            BEGAN,
            r#"{ "type": "test", "name": "a::b", "event": "ok", "exec_time": 0.25 }"#,
            r#"{ "type": "test", "event": "started", "name": "c" }"#,
            r#"{ "type": "test", "name": "c", "event": "ignored", "message": "not\nhere" }"#,
            r#"{ "type": "suite", "event": "ok", "passed": 1, "failed": 0, "ignored": 1 }"#,
        ];
        assert_eq!(
            converted(&lines, Some("exit status: 0")),
            "KTAP version 1\n1..2\n# began 2.000000 a::b\nok 1 a::b # took 0.250000\n\
             # began 4.000000 c\nok 2 c # SKIP not here\n"
        );
    }

    #[test]
    fn the_output_of_a_failed_test_comes_before_its_result() {
        let failed = r#"{ "type": "test", "name": "a::b", "event": "failed", "exec_time": 1.5, "stdout": "one\n\"two\"\n" }"#;
        assert_eq!(
            converted(&[BEGAN, failed], None),
            "# began 1.000000 a::b\n# one\n# \"two\"\nnot ok 1 a::b # took 1.500000\n"
        );
    }

    #[test]
    fn half_a_line_before_an_event_is_a_comment() {
        let line = format!("a child wrote {BEGAN}");
        assert_eq!(
            converted(&[&line], None),
            "# a child wrote\n# began 1.000000 a::b\n".replace("wrote\n", "wrote \n")
        );
        assert_eq!(
            converted(&["{ \"type\": \"test\", cut"], None),
            "# { \"type\": \"test\", cut\n"
        );
    }

    #[test]
    fn a_test_in_which_the_program_ends_has_failed() {
        assert_eq!(
            converted(&[PLAN, BEGAN], Some("signal: 9 (SIGKILL)")),
            "KTAP version 1\n1..2\n# began 2.000000 a::b\n\
             # the program ended in this test: signal: 9 (SIGKILL)\nnot ok 1 a::b\n"
        );
    }
}
