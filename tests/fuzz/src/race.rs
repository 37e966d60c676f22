// SPDX-License-Identifier: MIT OR GPL-2.0

//! Races: several processes with several threads each use one pool at the same time. There is no
//! oracle.
//!
//! This must hold nevertheless: only our own `SIGKILL` ends a process, nothing hangs, and no page
//! and no pool is left after the last process. The harness of the guest reports complaints of the
//! kernel.

use std::thread;
use std::time::{Duration, Instant};

use mmap_pool::Pool;
use mmap_pool_tests::Failure;

use crate::cast::SignCast;
use crate::disturb::{Hand, Loose};
use crate::generate::{Random, Scale, Theme};
use crate::model::{Home, Kind, Model};
use crate::op::{Call, MapFlags, Op, OpenFlags, Prot};
use crate::page_size;
use crate::sys::{self, SharedWords};
use crate::worker::Setup;
use crate::world::{renew_node, set_up, settled_totals, totals};

/// Processes at a time.
const NR_PROCESSES: usize = 4;
/// Threads of each process.
const NR_THREADS: usize = 2;
/// Operations of a round. Each round has new processes and a new pool.
const ROUND: u64 = 4000;
/// The most operations between one `SIGKILL` and the next.
const REST: u64 = 200;
/// The longest time without an operation before a round counts as hung. An operation takes less than a
/// second.
const PATIENCE: Duration = Duration::from_secs(120);

/// The length of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of the random operations. The kernel chooses their order.
    pub seed: u64,
    /// The least number of operations to do.
    pub nr_ops: u64,
    /// The time after which the run ends in any case.
    pub limit: Option<Duration>,
    /// The kinds of pools that have their turn.
    pub kinds: Vec<Kind>,
}

/// Carries out `plan`, and returns the number of operations done. `hand` acts meanwhile. Calls
/// `progress` every ten seconds.
///
/// # Errors
///
/// A process died, a round hangs, or pages or pools are left over.
pub fn carry_out(
    plan: &Plan,
    hand: Option<&Hand>,
    mut progress: impl FnMut(u64),
) -> Result<u64, Failure> {
    renew_node()?;
    let start = Instant::now();
    let mut last = start;
    let mut nr_ops = 0;
    let mut round = 0;
    while nr_ops < plan.nr_ops && plan.limit.is_none_or(|limit| start.elapsed() < limit) {
        for &kind in &plan.kinds {
            if kind != Kind::Memfd {
                nr_ops += one_round(kind, plan.seed.wrapping_add(round), hand)?;
            }
        }
        round += 1;
        if last.elapsed() > Duration::from_secs(10) {
            last = Instant::now();
            progress(nr_ops);
        }
    }
    Ok(nr_ops)
}

/// Indices of the words that the processes of a round share: the number of operations, and the status
/// of a process that ended wrongly.
const COUNT: usize = 0;
const MISHAP: usize = 1;

fn one_round(kind: Kind, seed: u64, hand: Option<&Hand>) -> Result<u64, Failure> {
    let scale = Theme::Calls.scale(seed);
    empty_node()?;
    let before = totals()?;
    let words = SharedWords::new(2);
    let loose = hand.map(Hand::racing);
    let pid = sys::fork(|| match set_up(kind, scale.object_pages() * page_size()) {
        Ok(setup) => tend(&setup, scale, seed, &words),
        Err(failure) => {
            eprintln!("{failure}");
            sys::exit(5);
        }
    });
    let pid = i32::try_from(pid)?;
    let mut last = (words.get(COUNT), Instant::now());
    while !sys::has_ended(pid) {
        if words.get(COUNT) != last.0 {
            last = (words.get(COUNT), Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            return Err(format!("seed {seed}: the round hangs").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let status = sys::wait(pid);
    if status != 0 || words.get(MISHAP) != 0 {
        let mishap = words.get(MISHAP);
        let what = format!("the round ended with status {status:#x}, a process with {mishap:#x}");
        return Err(format!("seed {seed}: {what}").into());
    }
    loose.map_or(Ok(()), Loose::rest)?;
    empty_node()?;
    let after = settled_totals(before, hand.is_some() || kind.home() == Home::Storage)?;
    if after != before {
        let what = format!("{before:?} (pools, pages) before the round, {after:?} after it");
        return Err(format!("seed {seed}: {what}").into());
    }
    Ok(words.get(COUNT))
}

fn empty_node() -> Result<(), Failure> {
    Ok(Pool::open()?.punch(0, 1 << 40)?)
}

/// Keeps the processes of a round running: kills some, and replaces each that ends.
fn tend(setup: &Setup, scale: Scale, seed: u64, words: &SharedWords) {
    sys::die_with_parent();
    // A killed process may leave a child, which uses the pool a moment longer.
    sys::adopt_orphans();
    let mut random = Random::new(seed, setup.kind.home(), scale);
    let mut next_seed = seed << 16;
    let mut start = || {
        next_seed += NR_THREADS as u64;
        let pid = sys::fork(|| compete(setup, scale, next_seed, words));
        i32::try_from(pid).unwrap_or(-1)
    };
    let mut pids: [i32; NR_PROCESSES] = std::array::from_fn(|_| start());
    let mut next_kill = random.below(REST);
    while words.get(COUNT) < ROUND && words.get(MISHAP) == 0 {
        thread::sleep(Duration::from_millis(1));
        let victim = random.index(NR_PROCESSES);
        let is_due = words.get(COUNT) >= next_kill;
        for (nr, pid) in pids.iter_mut().enumerate() {
            if nr == victim && is_due {
                let _ = sys::kill(*pid, libc::SIGKILL);
                next_kill = words.get(COUNT) + random.below(REST);
            } else if !sys::has_ended(*pid) {
                continue;
            }
            note(words, sys::wait(*pid));
            *pid = start();
        }
    }
    for pid in pids {
        let _ = sys::kill(pid, libc::SIGKILL);
        note(words, sys::wait(pid));
    }
    while let Some(status) = sys::wait_for_any() {
        note(words, status);
    }
}

/// Records the status of a process that ended wrongly.
fn note(words: &SharedWords, status: i32) {
    if status != 0 && status != libc::SIGKILL {
        words.set(MISHAP, u64::from(status.to_bits()));
    }
}

/// The state that the random generator assumes. The real state may differ.
fn picture(home: Home, scale: Scale) -> Model {
    let mut model = Model::new(home.lead(), scale.object_pages() * page_size());
    let mut believe = |call| model.predict(&Op { process: 0, call });
    for slot in 1..4 {
        let flags = OpenFlags(libc::O_RDWR.to_bits());
        believe(Call::Open {
            slot,
            via: 0,
            flags,
        });
    }
    believe(Call::Mmap {
        slot: 0,
        at: 0,
        len: scale.arena_pages() * page_size(),
        off: 0,
        prot: Prot(3),
        flags: MapFlags((libc::MAP_SHARED | libc::MAP_FIXED).to_bits()),
    });
    model
}

/// Runs a process of a round: its threads do random operations.
fn compete(setup: &Setup, scale: Scale, seed: u64, words: &SharedWords) {
    sys::die_with_parent();
    sys::catch_faults();
    thread::scope(|scope| {
        for thread in 0..NR_THREADS as u64 {
            scope.spawn(move || {
                let home = setup.kind.home();
                let picture = picture(home, scale);
                let mut random = Random::new(seed + thread, home, scale);
                while words.get(COUNT) < ROUND {
                    play(setup, &picture, &mut random, words, true);
                }
            });
        }
    });
}

/// Does one random operation.
fn play(setup: &Setup, picture: &Model, random: &mut Random, words: &SharedWords, may_fork: bool) {
    let op = random.op(picture);
    match op.call {
        Call::Fork { .. } if may_fork => {
            let mut childs_random = random.another();
            let pid = sys::fork(|| {
                for _ in 0..20 {
                    play(setup, picture, &mut childs_random, words, false);
                }
            });
            if let Ok(pid @ 1..) = i32::try_from(pid) {
                if random.chance(50) {
                    let _ = sys::kill(pid, libc::SIGKILL);
                }
                note(words, sys::wait(pid));
            }
        }
        Call::Fork { .. } | Call::Exit {} | Call::Kill {} | Call::Pass { .. } => return,
        // Sealing or revoking the default pool cannot be undone.
        Call::Seal { .. } | Call::Revoke { .. } if setup.kind == Kind::Node => return,
        ref call => {
            let _ = setup.perform(call);
        }
    }
    words.add(COUNT, 1);
}
