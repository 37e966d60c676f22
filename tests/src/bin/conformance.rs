// SPDX-License-Identifier: MIT OR GPL-2.0

//! Judges any object that can be mapped, with the rows that pools are tested with.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use clap::Parser;
use mmap_pool_tests::catalogue::scenarios;
use mmap_pool_tests::given::{all_facts, end_by_touching, first_facts, Facts, Name};
use mmap_pool_tests::judge::{self, Judge, Outcome, Verdict, INTERRUPTED};
use mmap_pool_tests::kinds::mistakes;
use mmap_pool_tests::made::Made;
use mmap_pool_tests::others::Others;
use mmap_pool_tests::scenario::Scenario;
use mmap_pool_tests::Failure;
use rustix::fs::{memfd_create, MemfdFlags};

/// After so many rows without end, the others are not run.
const MOST_ENDLESS: usize = 3;

/// Rows that come first: if one of them differs, the others could harm the machine.
const FIRST: &[&str] = &[
    "sharing::pages_are_kept_while_others_allocate",
    "lazy::a_page_has_nothing_of_another",
];

#[derive(Parser)]
#[command(
    name = "mmap-conformance",
    about = "Judges how a device or a file behaves when it is mapped",
    after_help = "The status is 0 if nothing is wrong, 1 if there is a mistake, and 2 if the \
                  object cannot be judged.\n\
                  The bytes that the rows change are put back in the end: the first MiB of a \
                  device, all of a file."
)]
struct Arguments {
    /// A device, a file, a folder (a file is made in it), or the name of what the kernel makes:
    /// memfd, hugetlb, udmabuf, drm, video, pcm, packet, `io_uring`, perf
    object: PathBuf,
    /// The size in bytes, if the object does not tell it
    #[arg(long)]
    size: Option<u64>,
    /// Change nothing: open it for reading only
    #[arg(long)]
    read_only: bool,
    /// Run only the rows whose names begin with this; may be repeated
    #[arg(long)]
    row: Vec<String>,
    /// Seconds until a row that does not end is a mistake
    #[arg(long, default_value_t = 60)]
    time_limit: u64,
    /// Print every row, not only those that differ
    #[arg(long, short)]
    verbose: bool,
    /// Print a line for each row, with tabs between its parts
    #[arg(long)]
    records: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match judged(&arguments) {
        Ok((facts, outcomes)) => report(&arguments, &facts, &outcomes),
        Err(failure) => {
            eprintln!(
                "mmap-conformance: cannot judge {}: {failure}",
                arguments.object.display()
            );
            ExitCode::from(2)
        }
    }
}

extern "C" fn interrupt(_signal: i32) {
    INTERRUPTED.store(true, Relaxed);
}

fn judged(arguments: &Arguments) -> Result<(Facts, Vec<Outcome>), Failure> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: The handler stores to an atomic.
        unsafe { libc::signal(signal, interrupt as extern "C" fn(i32) as usize) };
    }
    let name = match arguments.object.to_str() {
        Some("memfd") => Name::Memfd,
        Some("hugetlb") => Name::Hugetlb,
        _ if arguments.object.is_dir() => Name::Folder(arguments.object.clone()),
        word => {
            let made = Made::ALL.into_iter().find(|made| word == Some(made.name()));
            made.map_or_else(|| Name::Path(arguments.object.clone()), Name::Made)
        }
    };
    let facts = first_facts(&name, arguments.size, arguments.read_only)?;
    let mut judge = Judge {
        name,
        facts,
        is_read_only: arguments.read_only,
        limit: Duration::from_secs(arguments.time_limit),
    };
    if judge.facts.size_bytes.is_none() {
        let end = judge.ask(|given| {
            Ok(end_by_touching(given)?.map_or(String::new(), |end| end.to_string()))
        })?;
        judge.facts.size_bytes = end.parse().ok();
    }
    let saved = saved(&judge)?;
    let outcomes = tried(&mut judge, arguments);
    let is_dangerous =
        |outcome: &Outcome| FIRST.contains(&outcome.scenario.name) && outcome.is_dangerous();
    if outcomes
        .as_ref()
        .is_ok_and(|outcomes| outcomes.iter().any(is_dangerous))
    {
        eprintln!("mmap-conformance: its bytes are not put back: that could harm the machine");
    } else if !judge.is_read_only {
        let put_back = judge.ask(|given| {
            given.put_back(&contents_of(&saved)?)?;
            Ok(String::new())
        });
        put_back.map_err(|failure| format!("its bytes are not put back: {failure}"))?;
    }
    if INTERRUPTED.load(Relaxed) {
        return Err("interrupted; its bytes are put back".into());
    }
    Ok((judge.facts, outcomes?))
}

/// The bytes of the object, in a memfd. They may have been allocated right now.
fn saved(judge: &Judge) -> Result<File, Failure> {
    const LARGEST: u64 = 64 << 20;
    if judge.facts.is_file && judge.facts.size_bytes.is_some_and(|size| size > LARGEST) {
        return Err(
            "the file is larger than 64 MiB: name the folder, then a new file is used".into(),
        );
    }
    let saved = File::from(memfd_create("saved", MemfdFlags::CLOEXEC)?);
    if judge.is_read_only || !matches!(judge.name, Name::Path(_)) {
        return Ok(saved);
    }
    judge.ask(|given| {
        drop(Others::new()?);
        saved.write_all_at(&given.contents()?, 0)?;
        Ok(String::new())
    })?;
    Ok(saved)
}

fn contents_of(saved: &File) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; usize::try_from(saved.metadata()?.len())?];
    saved.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn tried(judge: &mut Judge, arguments: &Arguments) -> Result<Vec<Outcome>, Failure> {
    let is_meant = |scenario: &&Scenario| {
        arguments.row.is_empty()
            || arguments
                .row
                .iter()
                .any(|row| scenario.name.starts_with(row))
    };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for name in FIRST {
        let scenario = scenarios().find(|scenario| scenario.name == *name);
        let scenario = scenario.ok_or("a row is missing")?;
        let outcome = judge.run(scenario, judge.facts.is_file)?;
        if outcome.is_dangerous() {
            return Ok(vec![outcome]);
        }
        if outcome.is_mistake() {
            outcomes.push(outcome);
        }
    }
    judge.facts = judge
        .facts
        .clone()
        .known(&judge.ask(|given| Ok(all_facts(given)?.line()))?)?;
    outcomes
        .iter_mut()
        .for_each(|outcome| judge.explain(outcome));
    let is_known = outcomes.len();
    let mut nr_endless = 0;
    for scenario in scenarios().filter(is_meant) {
        if outcomes[..is_known]
            .iter()
            .any(|known| known.scenario.name == scenario.name)
        {
            continue;
        }
        if INTERRUPTED.load(Relaxed) {
            break;
        }
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K{}", scenario.name);
        }
        let outcome = judge.run(scenario, true)?;
        nr_endless += usize::from(outcome.has_no_end());
        outcomes.push(outcome);
        if nr_endless == MOST_ENDLESS {
            break;
        }
    }
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    Ok(outcomes)
}

fn report(arguments: &Arguments, facts: &Facts, outcomes: &[Outcome]) -> ExitCode {
    let mistakes = mistakes(outcomes);
    if arguments.records {
        print!("{}", judge::records(outcomes, &mistakes));
    } else {
        print!(
            "{}",
            judge::table(
                &arguments.object.display().to_string(),
                facts,
                outcomes,
                &mistakes,
                arguments.verbose
            )
        );
    }
    let nr_judged = outcomes
        .iter()
        .filter(|outcome| !matches!(outcome.verdict, Verdict::NotRun(_)))
        .count();
    if outcomes.iter().any(Outcome::is_mistake) {
        ExitCode::FAILURE
    } else if nr_judged == 0 {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    }
}
