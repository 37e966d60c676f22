// SPDX-License-Identifier: MIT OR GPL-2.0

//! The hand: a process beside the fuzzed processes. It makes the kernel act on their pages.
//!
//! It moves, splits and offlines pages, compacts memory, freezes the processes, watches their files,
//! and more: `ACTS` is the list. A program must not see any of it. Some acts can change an answer that
//! the model predicts. The hand does not do them in a predicted run.
//!
//! The fuzzed processes have their own memory cgroup, and the hand is outside of it. The hand has two
//! threads: one acts on the pages and files of one process, the other on all processes and the machine.
//!
//! While the hand [rests](Loose), it uses no process and no file. Acts on the machine alone continue.

mod files;
mod machine;
mod pages;

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use mmap_pool_tests::cgroup::Cgroup;
use mmap_pool_tests::Failure;
use oorandom::Rand64;

use crate::model::Kind;
use crate::sys::{self, SharedWords};

/// The cgroup of the fuzzed processes.
const GROUP: &str = "fuzz";
/// The longest time that the hand may take to rest or to end. An act that delays it takes less than a
/// second.
const PATIENCE: Duration = Duration::from_secs(60);

/// The situation in which the hand acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// The model predicts the answers of the processes. They use an object of this kind.
    Predicted(Kind),
    /// The processes race, and no answer is predicted.
    Race,
}

impl Scene {
    fn all() -> Vec<Self> {
        let predicted = Kind::all().into_iter().map(Self::Predicted);
        [Self::Race].into_iter().chain(predicted).collect()
    }

    /// Encodes the scene as a word. 0 is left for rest.
    fn to_word(self) -> u64 {
        let index = Self::all().iter().position(|scene| *scene == self);
        index.map_or(0, |index| index as u64 + 1)
    }

    fn from_word(word: u64) -> Option<Self> {
        Self::all().get(word.checked_sub(1)? as usize).copied()
    }
}

/// Allows an act in every scene: no program can see it.
fn anywhere(_: Scene) -> bool {
    true
}

/// Allows an act except on a predicted memfd. The kernel drops clean pages of a memfd, which then are
/// holes again; pages of a pool are never clean. A memfd cannot be sealed while its pages are pinned.
fn not_on_memfd(scene: Scene) -> bool {
    scene != Scene::Predicted(Kind::Memfd)
}

/// Allows an act except on a predicted backed pool: writing the bytes that are there makes a page dirty.
fn not_on_backed(scene: Scene) -> bool {
    !matches!(scene, Scene::Predicted(Kind::Backed(..)))
}

/// Allows an act only in a race, because it changes answers.
fn in_a_race(scene: Scene) -> bool {
    scene == Scene::Race
}

/// The kinds of acts. The kind decides which thread does the act, and whether it does it at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Acts on one process, and takes a moment.
    Quick,
    /// Acts on all processes, and takes a moment.
    Slow,
    /// Acts on the machine alone, takes any time, and continues at rest.
    Free,
}

/// The reason why an act did nothing.
enum Refusal {
    /// The kernel lacks the feature.
    Lacking,
    /// The kernel refused this time.
    Refused,
}

/// The amount that an act has done. 0 is no success.
type Done = Result<u64, Refusal>;

/// An error of a process or its files: the process may have ended, or may lack what the act needs.
impl From<io::Error> for Refusal {
    fn from(_: io::Error) -> Self {
        Self::Refused
    }
}

/// A thing that the kernel does at the hand's request.
struct Act {
    name: &'static str,
    /// Its share among the acts of its thread.
    weight: u64,
    pace: Pace,
    may: fn(Scene) -> bool,
    /// The unit of its amount. Without one, only successes count.
    counts: &'static str,
    /// Whether it moves pages of the fuzzed processes.
    moves: bool,
    does: fn(&mut Actor) -> Done,
}

macro_rules! acts {
    ($($name:literal $weight:literal $pace:ident $may:ident $counts:literal $moves:literal $act:path;)*) => {
        /// All acts.
        const ACTS: &[Act] = &[$(Act {
            name: $name,
            weight: $weight,
            pace: Pace::$pace,
            may: $may,
            counts: $counts,
            moves: $moves,
            does: $act,
        }),*];
    };
}

acts! {
    "move_pages" 30 Quick anywhere "pages moved" true pages::move_pages;
    "migrate_pages" 2 Quick anywhere "" false pages::migrate_pages;
    "soft_offline" 20 Quick anywhere "pages moved" true pages::soft_offline;
    "poison" 2 Quick in_a_race "pages poisoned" false pages::poison;
    "split" 10 Quick anywhere "folios split" false pages::split;
    "clear_refs" 4 Quick anywhere "" false pages::clear_refs;
    "read_maps" 2 Quick anywhere "bytes read" false pages::read_maps;
    "peek" 2 Quick anywhere "bytes read" false pages::peek;
    "poke" 2 Quick not_on_backed "bytes written" false pages::poke;
    "inotify" 6 Quick anywhere "" false files::inotify;
    "fanotify" 6 Quick anywhere "" false files::fanotify;
    "pin_in_pipe" 2 Quick not_on_memfd "pages pinned" false files::pin_in_pipe;
    "pin_in_ring" 2 Quick in_a_race "pages pinned" false files::pin_in_ring;
    "slow_read" 2 Quick not_on_memfd "bytes read" false files::slow_read;
    "freeze" 10 Slow anywhere "" false machine::freeze;
    "reclaim" 10 Slow not_on_memfd "" false machine::reclaim;
    "limit" 2 Slow anywhere "" false machine::limit;
    "drop_caches" 6 Slow not_on_memfd "" false machine::drop_caches;
    "compact" 6 Free anywhere "" false machine::compact;
    "khugepaged" 4 Free anywhere "scans" false machine::khugepaged;
    "balance" 4 Free anywhere "hinting faults" false machine::balance;
    "offline_memory" 2 Free anywhere "blocks" false machine::offline_memory;
    "offline_processor" 1 Free anywhere "" false machine::offline_processor;
    "uprobe" 3 Free anywhere "" false machine::uprobe;
}

/// Indices of the words that the hand and the fuzzer share.
mod at {
    /// The scene, or 0 for rest.
    pub const SCENE: usize = 0;
    /// 1 tells the hand to end.
    pub const STOP: usize = 1;
    /// For each thread: 0, or the number of its current act plus 1.
    pub const BUSY: usize = 2;
    /// The number of acts so far.
    pub const NR_ACTS: usize = 4;
    /// The last acts: the act's number plus 1, and the time in ms.
    pub const LAST: usize = 5;
    /// The number of last acts kept.
    pub const NR_LAST: usize = 12;
    /// For each act: times tried, times done, amount, whether the kernel lacks it.
    pub const TALLY: usize = LAST + 2 * NR_LAST;
    pub const TRIED: usize = 0;
    pub const DONE: usize = 1;
    pub const AMOUNT: usize = 2;
    pub const LACKS: usize = 3;
    pub const LEN: usize = 4;
}

fn tally(act: usize, word: usize) -> usize {
    at::TALLY + act * at::LEN + word
}

/// A thread of the hand.
struct Actor<'a> {
    words: &'a SharedWords,
    random: Rand64,
    /// The fuzzer's PID. It is in the cgroup too, but maps no object.
    fuzzer: i32,
    /// Held while memory goes offline, and while an act pins or offlines pages. Pinned pages cannot
    /// leave their block of memory, and the kernel prints a warning about each.
    pins: &'a Mutex<()>,
    nr_lost: u64,
}

impl Actor<'_> {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.random.rand_range(0..end.max(1))
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Result<T, Refusal> {
        let index = self.below(of.len() as u64) as usize;
        of.get(index).copied().ok_or(Refusal::Refused)
    }

    /// Picks one of the fuzzed processes.
    fn target(&mut self) -> Result<i32, Refusal> {
        let fuzzer = self.fuzzer;
        let text = fs::read_to_string(in_group("cgroup.procs"))?;
        let pids: Vec<i32> = text
            .lines()
            .filter_map(|line| line.parse().ok())
            .filter(|pid| *pid != fuzzer)
            .collect();
        self.pick(&pids)
    }

    /// Waits up to 2 ms.
    fn linger(&mut self) {
        thread::sleep(Duration::from_micros(self.below(2000)));
    }

    /// The acts that this thread may do now.
    fn choices(&self, paces: &[Pace], scene: Option<Scene>, chosen: &[usize]) -> Vec<usize> {
        let may = |act: &Act| match scene {
            Some(scene) => paces.contains(&act.pace) && (act.may)(scene),
            None => paces.contains(&act.pace) && act.pace == Pace::Free,
        };
        let mut choices = chosen.to_vec();
        choices.retain(|&act| may(&ACTS[act]) && self.words.get(tally(act, at::LACKS)) == 0);
        choices
    }

    fn draw(&mut self, choices: &[usize]) -> Option<usize> {
        let total = choices.iter().map(|&act| ACTS[act].weight).sum();
        let mut number = self.below(total);
        for &act in choices {
            match number.checked_sub(ACTS[act].weight) {
                Some(rest) => number = rest,
                None => return Some(act),
            }
        }
        None
    }

    fn act(&mut self, act: usize, start: Instant) {
        let nr = self.words.get(at::NR_ACTS) as usize % at::NR_LAST;
        self.words.add(at::NR_ACTS, 1);
        self.words.set(at::LAST + 2 * nr, act as u64 + 1);
        self.words
            .set(at::LAST + 2 * nr + 1, start.elapsed().as_millis() as u64);
        self.words.add(tally(act, at::TRIED), 1);
        match (ACTS[act].does)(self) {
            // The usual reason is that no page was there yet.
            Ok(0) | Err(Refusal::Refused) => thread::sleep(Duration::from_micros(100)),
            Ok(amount) => {
                self.words.add(tally(act, at::DONE), 1);
                self.words.add(tally(act, at::AMOUNT), amount);
            }
            Err(Refusal::Lacking) => self.words.set(tally(act, at::LACKS), 1),
        }
    }

    /// Runs a thread: does one act after the other until the hand ends.
    fn live(&mut self, thread: usize, paces: &[Pace], chosen: &[usize]) {
        let start = Instant::now();
        let busy = at::BUSY + thread;
        while self.words.get(at::STOP) == 0 {
            // Sets the word before it reads the scene: `Loose::rest` writes the scene, then reads this.
            self.words.set(busy, u64::MAX);
            let scene = Scene::from_word(self.words.get(at::SCENE));
            let choices = self.choices(paces, scene, chosen);
            let Some(act) = self.draw(&choices) else {
                self.words.set(busy, 0);
                thread::sleep(Duration::from_micros(300));
                continue;
            };
            let is_free = ACTS[act].pace == Pace::Free;
            self.words
                .set(busy, if is_free { 0 } else { act as u64 + 1 });
            self.act(act, start);
            self.words.set(busy, 0);
            if ACTS[act].pace != Pace::Quick {
                thread::sleep(Duration::from_micros(self.below(20_000)));
            }
        }
    }
}

fn in_group(file: &str) -> String {
    format!("/sys/fs/cgroup/{GROUP}/{file}")
}

/// Writes a request to a file of the kernel. Without the file the kernel lacks the feature.
fn ask(path: &str, text: &str) -> Result<(), Refusal> {
    match fs::write(path, text) {
        Ok(()) => Ok(()),
        Err(error) if is_lack(&error) => Err(Refusal::Lacking),
        Err(error) => Err(error.into()),
    }
}

fn is_lack(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

/// Converts names of acts, separated by commas, to their numbers.
///
/// # Errors
///
/// A name is unknown.
pub fn acts(names: &str) -> Result<Vec<usize>, Failure> {
    names
        .split(',')
        .map(|name| {
            let found = ACTS.iter().position(|act| act.name == name);
            found.ok_or_else(|| format!("no such act: {name}").into())
        })
        .collect()
}

/// The numbers of all acts.
#[must_use]
pub fn all_acts() -> Vec<usize> {
    (0..ACTS.len()).collect()
}

/// The acting process, and the cgroup that it acts on. This process is in that cgroup.
#[derive(Debug)]
pub struct Hand {
    pid: i32,
    words: SharedWords,
    group: Option<Cgroup>,
}

impl Hand {
    /// Starts the hand, at rest.
    ///
    /// # Errors
    ///
    /// The memory cgroup or the process cannot be created.
    pub fn start(seed: u64, chosen: &[usize]) -> Result<Self, Failure> {
        let words = SharedWords::new(at::TALLY + ACTS.len() * at::LEN);
        let group = Cgroup::new(GROUP)?;
        let fuzzer = i32::try_from(std::process::id())?;
        let pid = sys::fork(|| {
            sys::die_with_parent();
            sys::run_anywhere();
            let pins = Mutex::new(());
            thread::scope(|scope| {
                let threads: [&[Pace]; 2] = [&[Pace::Quick], &[Pace::Slow, Pace::Free]];
                for (thread, paces) in threads.into_iter().enumerate() {
                    let (words, pins) = (&words, &pins);
                    let random = Rand64::new((u128::from(seed) << 8) | thread as u128);
                    scope.spawn(move || {
                        let mut actor = Actor {
                            words,
                            random,
                            fuzzer,
                            pins,
                            nr_lost: 0,
                        };
                        actor.live(thread, paces, chosen);
                    });
                }
            });
        });
        let hand = Self {
            pid: i32::try_from(pid)?,
            words,
            group: Some(group),
        };
        if let Some(group) = &hand.group {
            group.enter()?;
        }
        Ok(hand)
    }

    /// Lets the hand act on predicted processes with an object of this kind, until the guard is
    /// dropped.
    #[must_use]
    pub fn predicted(&self, kind: Kind) -> Loose<'_> {
        self.let_loose(Scene::Predicted(kind))
    }

    /// Lets the hand act on racing processes, until the guard is dropped.
    #[must_use]
    pub fn racing(&self) -> Loose<'_> {
        self.let_loose(Scene::Race)
    }

    fn let_loose(&self, scene: Scene) -> Loose<'_> {
        self.words.set(at::SCENE, scene.to_word());
        Loose(self)
    }

    /// The number of pages of the fuzzed processes that the hand has moved.
    #[must_use]
    pub fn nr_moved_pages(&self) -> u64 {
        let moving = ACTS.iter().enumerate().filter(|(_, act)| act.moves);
        moving
            .map(|(act, _)| self.words.get(tally(act, at::AMOUNT)))
            .sum()
    }

    /// The last acts before now.
    #[must_use]
    pub fn last_acts(&self) -> String {
        let nr_acts = self.words.get(at::NR_ACTS) as usize;
        let word = |nr: usize, word| self.words.get(at::LAST + 2 * (nr % at::NR_LAST) + word);
        let names: Vec<_> = (nr_acts.saturating_sub(at::NR_LAST)..nr_acts)
            .filter_map(|nr| {
                let act = ACTS.get((word(nr, 0) as usize).checked_sub(1)?)?;
                Some(format!("{} at {} ms", act.name, word(nr, 1)))
            })
            .collect();
        names.join(", ")
    }

    fn busy_with(&self) -> Option<&'static str> {
        (0..2).find_map(|thread| match self.words.get(at::BUSY + thread) {
            0 => None,
            act => Some(ACTS.get(act as usize - 1).map_or("nothing", |act| act.name)),
        })
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.words.set(at::STOP, 1);
        let start = Instant::now();
        while !sys::has_ended(self.pid) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = sys::kill(self.pid, libc::SIGKILL);
        // A process that hangs in the kernel would never end.
        if start.elapsed() < PATIENCE {
            let _ = sys::wait(self.pid);
        }
        // Leaves the cgroup: only an empty one can be removed.
        let _ = fs::write("/sys/fs/cgroup/cgroup.procs", "0");
        self.group = None;
    }
}

/// A guard: the hand acts until it is dropped.
#[derive(Debug)]
pub struct Loose<'a>(&'a Hand);

impl Loose<'_> {
    /// Waits until the hand uses no process and no file.
    ///
    /// # Errors
    ///
    /// The hand hangs, or has died.
    pub fn rest(self) -> Result<(), Failure> {
        let hand = self.0;
        drop(self);
        let start = Instant::now();
        while let Some(act) = hand.busy_with() {
            if sys::has_ended(hand.pid) {
                return Err(format!("the hand has died during {act}").into());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("the hand hangs in {act}").into());
            }
            thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }
}

impl Drop for Loose<'_> {
    fn drop(&mut self) {
        self.0.words.set(at::SCENE, 0);
    }
}

/// Prints a line for each act: times tried, times done, amount.
impl fmt::Display for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18}{:>9}{:>9}", "act", "tried", "done")?;
        for (nr, act) in ACTS.iter().enumerate() {
            let [tried, done, amount, lacks] = [at::TRIED, at::DONE, at::AMOUNT, at::LACKS]
                .map(|word| self.words.get(tally(nr, word)));
            write!(f, "{:<18}{tried:>9}{done:>9}", act.name)?;
            if lacks != 0 {
                write!(f, "  not in this kernel")?;
            } else if !act.counts.is_empty() {
                write!(f, "  {amount} {}", act.counts)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
