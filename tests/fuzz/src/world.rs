// SPDX-License-Identifier: MIT OR GPL-2.0

//! Runs a sequence of operations in processes, and compares the answers with the model's.
//!
//! The model predicts every answer before the first process starts. The processes inherit the list of
//! steps. One process acts at a time: the parent tells it which steps to do.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use mmap_pool::Pool;
use mmap_pool_tests::{module, Failure};

use crate::cast::{SignCast, UnsignedCast};
use crate::coverage::Coverage;
use crate::disturb::{Hand, Loose};
use crate::model::{Expected, Home, Kind, Model};
use crate::op::{Call, Op, Sequence};
use crate::storage::Objects;
use crate::sys::{self, SharedWords};
use crate::worker::Setup;
use crate::{digest, page_size, Seen, PROCESSES};

/// An answer that differs from the predicted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The kind of object.
    pub kind: Kind,
    /// The operation.
    pub op: String,
    /// The predicted answer.
    pub expected: String,
    /// The real answer.
    pub seen: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}\n  expected: {}\n  seen:     {}",
            self.kind, self.op, self.expected, self.seen
        )
    }
}

/// The result of a sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Operations done and compared.
    pub nr_ops: u64,
    /// The first difference.
    pub difference: Option<Difference>,
    /// If the sequence reached new code of the module: the number of its operations up to the last one
    /// that did.
    pub nr_reaching: Option<usize>,
}

/// An operation of one process, and its predicted answer.
struct Step {
    /// The process that does it.
    process: u8,
    op: Op,
    /// Whether it is the receiver's part of `pass`.
    is_receipt: bool,
    expected: Expected,
    /// The number of operations of the sequence up to this step.
    nr_ops: usize,
}

/// Predicts every answer. Returns the steps, and the model after them.
fn plan(kind: Kind, sequence: &Sequence) -> (Vec<Step>, Model) {
    let mut model = Model::new(kind, sequence.size);
    let mut steps = Vec::new();
    let mut push = |model: &mut Model, op: &Op, nr_ops| {
        let Some(expected) = model.predict(op) else {
            return;
        };
        let mut step = |process, is_receipt| {
            steps.push(Step {
                process,
                op: op.clone(),
                is_receipt,
                expected,
                nr_ops,
            });
        };
        step(op.process, false);
        if let (Call::Pass { receiver, .. }, 0) = (&op.call, expected.seen.result) {
            step(*receiver, true);
        }
    };
    for (op, nr_ops) in sequence.ops.iter().zip(1..) {
        push(&mut model, op, nr_ops);
    }
    for op in model.inspection() {
        push(&mut model, &op, sequence.ops.len());
    }
    (steps, model)
}

/// Shared words that hold a [`Seen`].
const WORDS: usize = 6;

fn put(words: &SharedWords, step: usize, seen: &Seen) {
    let (fault, at) = match seen.fault {
        None => (0, 0),
        Some(fault) => (
            (u64::from(fault.signal.to_bits()) << 32) | u64::from(fault.code.to_bits()),
            fault.at,
        ),
    };
    let parts = [seen.result.to_bits(), seen.sum, seen.extra, fault, at, 1];
    for (index, part) in parts.into_iter().enumerate() {
        words.set(step * WORDS + index, part);
    }
}

fn get(words: &SharedWords, step: usize) -> Option<Seen> {
    let part = |index| words.get(step * WORDS + index);
    let low = |word: u64| (word & u64::from(u32::MAX)) as i32;
    (part(5) != 0).then(|| Seen {
        result: part(0).to_signed(),
        sum: part(1),
        extra: part(2),
        fault: (part(3) != 0).then(|| sys::Fault {
            signal: low(part(3) >> 32),
            code: low(part(3)),
            at: part(4),
        }),
    })
}

/// Puts the default pool or a new object into slot 0 of this process.
pub(crate) fn set_up(kind: Kind, size: u64) -> Result<Setup, Failure> {
    let mail = || UnixStream::pair();
    let mut setup = Setup {
        kind,
        device: None,
        nr_allocated_before: 0,
        objects: kind.behind().map(Objects::none).transpose()?,
        mail: [mail()?, mail()?, mail()?, mail()?],
    };
    if kind != Kind::Memfd {
        setup.device = Some(Pool::open()?.into());
    }
    let answer = if kind == Kind::Node {
        let pool = Pool::open()?;
        pool.resize(size.max(1).next_multiple_of(page_size()))?;
        pool.punch(0, 1 << 40)?;
        setup.nr_allocated_before = pool.info()?.nr_allocated_pages;
        setup.open_node()
    } else {
        setup.create(0, size)
    };
    if answer == 0 {
        Ok(setup)
    } else {
        Err(format!("cannot create the object: {}", Seen::of(answer)).into())
    }
}

/// For each process, the socket by which the parent gives it its turn: parent's end, process's end.
type Lines = [(UnixStream, UnixStream); PROCESSES];

/// Returns whether the call's answer can be wrong for an instant while a page moves. The kernel
/// adds the new page to the page cache before it marks it as up to date. Until then these calls
/// take it for a hole.
fn wavers(call: &Call) -> bool {
    match call {
        Call::Mincore { .. } => true,
        Call::Seek { whence, .. } => matches!(whence.0, libc::SEEK_DATA | libc::SEEK_HOLE),
        _ => false,
    }
}

/// Repeats a call that has no side effects until it answers as expected, for up to ten seconds.
fn settled(setup: &Setup, call: &Call, expected: &Expected) -> Seen {
    let mut seen = setup.perform(call);
    for _ in 0..10_000 {
        if expected.matches(&seen) {
            break;
        }
        thread::sleep(Duration::from_millis(1));
        seen = setup.perform(call);
    }
    seen
}

/// Returns the call that copies the rest after the first `done` bytes. Other calls have none.
fn rest_of_copy(call: &Call, done: u64) -> Option<Call> {
    let mut rest = call.clone();
    match &mut rest {
        Call::Sendfile { off, len, .. } => {
            *off += done.to_signed();
            *len -= done;
        }
        Call::CopyRange {
            off, len, to_off, ..
        } => {
            *off += done;
            *to_off += done;
            *len -= done;
        }
        _ => return None,
    }
    Some(rest)
}

/// Does a call. If a copy ends earlier than expected, after whole pages, does the rest. The kernel
/// copies through a pipe, in pieces of whole pages. A process that is frozen between two pieces returns
/// (`splice_from_pipe_next()`).
fn whole(setup: &Setup, call: &Call, expected: &Expected) -> Seen {
    let mut seen = setup.perform(call);
    let mut last = seen.result;
    while last > 0 && last.to_bits() % page_size() == 0 && !expected.matches(&seen) {
        let Some(rest) = rest_of_copy(call, seen.result.to_bits()) else {
            break;
        };
        last = setup.perform(&rest).result.max(0);
        seen.result += last;
    }
    seen
}

/// Runs a process: does the steps that the parent orders, and reports when they are done.
fn live(
    mut me: u8,
    setup: &Setup,
    steps: &[Step],
    words: &SharedWords,
    lines: &Lines,
    coverage: Option<&Coverage>,
    is_disturbed: bool,
) {
    let begin = |me| {
        sys::die_with_parent();
        if let Some(coverage) = coverage {
            coverage.begin(me);
        }
    };
    begin(me);
    sys::catch_faults();
    let mut order = [0; 8];
    'turn: while (&lines[usize::from(me)].1).read_exact(&mut order).is_ok() {
        let [start, end] = [&order[..4], &order[4..]]
            .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap_or_default()) as usize);
        for (index, step) in steps.iter().enumerate().take(end).skip(start) {
            let seen = match step.op.call {
                Call::Pass { to, .. } if step.is_receipt => Seen::of(setup.receive(me, to)),
                Call::Fork { child } => match sys::fork_sibling() {
                    0 => {
                        me = child;
                        begin(me);
                        continue 'turn;
                    }
                    pid => Seen::of(pid),
                },
                Call::Exit {} => sys::exit(0),
                // The last close may end after the call that caused it.
                ref call @ Call::Again { .. } => settled(setup, call, &step.expected),
                ref call if is_disturbed && wavers(call) => settled(setup, call, &step.expected),
                ref call if is_disturbed => whole(setup, call, &step.expected),
                ref call => setup.perform(call),
            };
            put(words, index, &seen);
            if let Some(coverage) = coverage {
                coverage.mark(me);
            }
        }
        if (&lines[usize::from(me)].1).write_all(&[0]).is_err() {
            return;
        }
    }
}

/// The longest time for an operation before it counts as hung. An operation takes less than a second.
const PATIENCE_MS: i32 = 60_000;

/// The processes of a run, for their parent.
struct Family {
    pids: [i32; PROCESSES],
    lines: Lines,
}

impl Family {
    /// Orders a process to do some steps.
    fn order(&self, process: u8, start: usize, end: usize) -> io::Result<()> {
        let mut order = [0; 8];
        for (bytes, number) in order.chunks_exact_mut(4).zip([start, end]) {
            bytes.copy_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        (&self.lines[usize::from(process)].0).write_all(&order)
    }

    /// Lets a process do some steps, and waits until it is done.
    fn turn(&self, process: u8, start: usize, end: usize) -> io::Result<()> {
        self.order(process, start, end)?;
        let mut line = &self.lines[usize::from(process)].0;
        let mut waited_ms = 0;
        while !sys::is_readable(line.as_raw_fd(), 200) {
            waited_ms += 200;
            let has_ended = sys::has_ended(self.pids[usize::from(process)]);
            if has_ended || waited_ms > PATIENCE_MS {
                let what = if has_ended { "has died" } else { "hangs" };
                return Err(io::Error::other(format!("the process {what}")));
            }
        }
        line.read_exact(&mut [0])
    }

    /// Lets a process exit, and waits for its end.
    fn exit(&mut self, process: u8, step: usize) -> io::Result<()> {
        self.order(process, step, step + 1)?;
        match sys::wait(std::mem::take(&mut self.pids[usize::from(process)])) {
            0 => Ok(()),
            status => Err(io::Error::other(format!(
                "the process ended with status {status:#x}"
            ))),
        }
    }

    /// Kills a process, and waits for its end.
    fn end(&mut self, process: u8) -> i32 {
        let pid = std::mem::take(&mut self.pids[usize::from(process)]);
        let _ = sys::kill(pid, libc::SIGKILL);
        sys::wait(pid)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for process in (0_u8..).take(PROCESSES) {
            if self.pids[usize::from(process)] != 0 {
                self.end(process);
            }
        }
    }
}

/// The number of pools, and of their resident pages.
pub(crate) fn totals() -> Result<(u64, u64), Failure> {
    let stat = Pool::open()?.stat()?;
    Ok((stat.nr_pools, stat.nr_resident_pages))
}

/// The same. Waits for `expected` if `is_late`: the kernel frees pages that the hand has used with a delay,
/// and a backed pool may be written back after its last close.
pub(crate) fn settled_totals(expected: (u64, u64), is_late: bool) -> Result<(u64, u64), Failure> {
    const PATIENCE: Duration = Duration::from_secs(60);

    let start = Instant::now();
    loop {
        let found = totals()?;
        if found == expected || !is_late || start.elapsed() > PATIENCE {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a sequence in new processes, and compares every answer. Adds the reached code to `coverage`.
/// `hand` acts meanwhile.
///
/// # Errors
///
/// The sequence cannot begin.
pub fn run(
    kind: Kind,
    sequence: &Sequence,
    mut coverage: Option<&mut Coverage>,
    hand: Option<&Hand>,
) -> Result<Outcome, Failure> {
    let (steps, mut model) = plan(kind, sequence);
    if kind == Kind::Node {
        renew_node()?;
        if let Some(coverage) = &mut coverage {
            coverage.locate()?;
        }
    }
    let before = if kind == Kind::Memfd {
        (0, 0)
    } else {
        totals()?
    };
    let loose = hand.map(|hand| hand.predicted(kind));
    let mut outcome = carry_out(kind, sequence, &steps, coverage, hand.is_some())?;
    if outcome.difference.is_some() {
        return Ok(outcome);
    }
    loose.map_or(Ok(()), Loose::rest)?;
    if kind != Kind::Memfd {
        if kind == Kind::Node && !model.has_spoilt_node() {
            Pool::open()?.punch(0, 1 << 40)?;
        }
        let before = if kind == Kind::Node {
            (before.0, 0)
        } else {
            before
        };
        let is_late = hand.is_some() || kind.home() == Home::Storage;
        let after = settled_totals(before, is_late)?;
        if after != before && !model.has_spoilt_node() {
            outcome.difference = Some(Difference {
                kind,
                op: "all processes have ended".into(),
                expected: format!("{} pools, {} pages", before.0, before.1),
                seen: format!("{} pools, {} pages", after.0, after.1),
            });
        }
    }
    if let Some(behind) = kind.behind() {
        outcome.difference = closed_objects(kind, &Objects::of_last_run(behind)?, &mut model)?;
    }
    Ok(outcome)
}

/// Compares the objects behind pools after the last close.
fn closed_objects(
    kind: Kind,
    objects: &Objects,
    model: &mut Model,
) -> Result<Option<Difference>, Failure> {
    for (number, (len, expected)) in model.digests().into_iter().enumerate() {
        let found = digest(&objects.read(number, 0, len.next_multiple_of(page_size()))?);
        if found != expected {
            return Ok(Some(Difference {
                kind,
                op: format!("all processes have ended, object {number}"),
                expected: format!("{len:#x}, sum {expected:#x}"),
                seen: format!("sum {found:#x}"),
            }));
        }
    }
    Ok(None)
}

/// Reloads the module if the default pool is sealed or revoked, because nothing else undoes that.
pub(crate) fn renew_node() -> Result<(), Failure> {
    let info = Pool::open()?.info()?;
    if info.seals != 0 || info.is_revoked() {
        module::unload()?;
        module::load("size_mb=1")?;
    }
    Ok(())
}

fn carry_out(
    kind: Kind,
    sequence: &Sequence,
    steps: &[Step],
    mut coverage: Option<&mut Coverage>,
    is_disturbed: bool,
) -> Result<Outcome, Failure> {
    let words = SharedWords::new(steps.len() * WORDS);
    let line = || UnixStream::pair();
    let mut family = Family {
        pids: [0; PROCESSES],
        lines: [line()?, line()?, line()?, line()?],
    };
    // The first process creates the object, so that this process does not keep it open.
    let pid = sys::fork(|| match set_up(kind, sequence.size) {
        Ok(setup) => live(
            0,
            &setup,
            steps,
            &words,
            &family.lines,
            coverage.as_deref(),
            is_disturbed,
        ),
        Err(failure) => {
            eprintln!("{failure}");
            sys::exit(5);
        }
    });
    family.pids[0] = i32::try_from(pid)?;
    if pid < 0 {
        return Err(format!("cannot fork: {}", Seen::of(pid)).into());
    }

    let mut outcome = Outcome::default();
    let mut start = 0;
    while start < steps.len() {
        let step = &steps[start];
        let process = step.process;
        let mut end = start + 1;
        let is_alone = |step: &Step| {
            matches!(
                step.op.call,
                Call::Fork { .. } | Call::Exit {} | Call::Kill {}
            )
        };
        let ended = match step.op.call {
            Call::Exit {} => family.exit(process, start),
            Call::Kill {} => {
                family.end(process);
                Ok(())
            }
            _ => {
                if !is_alone(step) {
                    while steps
                        .get(end)
                        .is_some_and(|next| next.process == process && !is_alone(next))
                    {
                        end += 1;
                    }
                }
                family.turn(process, start, end)
            }
        };
        if let (Call::Exit {} | Call::Kill {}, Ok(())) = (&step.op.call, &ended) {
            put(&words, start, &Seen::of(0));
        }
        for (index, step) in steps.iter().enumerate().take(end).skip(start) {
            let mut seen = get(&words, index);
            if let (Call::Fork { child }, Some(seen)) = (&step.op.call, &mut seen) {
                if let Ok(pid @ 1..) = i32::try_from(seen.result) {
                    family.pids[usize::from(*child)] = pid;
                    seen.result = 0;
                }
            }
            let difference = match (seen, &ended) {
                (Some(seen), _) if step.expected.matches(&seen) => None,
                (Some(seen), _) => Some(seen.to_string()),
                (None, Err(error)) => Some(error.to_string()),
                (None, Ok(())) => Some("no answer".into()),
            };
            if let Some(seen) = difference {
                outcome.difference = Some(Difference {
                    kind,
                    op: step.op.to_string(),
                    expected: step.expected.seen.to_string(),
                    seen,
                });
                return Ok(outcome);
            }
            outcome.nr_ops += 1;
        }
        ended?;
        if let Some(coverage) = &mut coverage {
            if coverage.collect(process) {
                outcome.nr_reaching = Some(steps[end - 1].nr_ops);
            }
        }
        start = end;
    }
    Ok(outcome)
}
