// SPDX-License-Identifier: MIT OR GPL-2.0

//! Measures the rows that need several processors. A clock of instructions cannot measure them. Time on
//! an emulator means something only as a ratio within one run.

use std::fs;
use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use mmap_pool::Mapping;
use rustix::io::Errno;
use rustix::thread::{sched_setaffinity, CpuSet};

use crate::measure::{rest, write_each_page};
use crate::row::Work;
use crate::subject::{page_size, Object, Subject};
use crate::Failure;

/// The time for which all processors are busy before a run.
const WARM_UP: Duration = Duration::from_millis(50);

/// The kernel's counters of each class of locks.
const LOCK_STAT: &str = "/proc/lock_stat";

/// The size of the objects, and the number of samples.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Bytes that each thread touches.
    len: usize,
    /// Samples, after a first one that is thrown away.
    nr_samples: usize,
    /// Runs of a sample. The largest figure counts, because other work of the machine or the guest only
    /// makes a run slower. A run of the fastest subject takes ten milliseconds, and most runs are
    /// disturbed.
    nr_runs: usize,
}

impl Scale {
    /// The scale of results.
    pub const FULL: Self = Self {
        len: 48 << 20,
        nr_samples: 9,
        nr_runs: 5,
    };

    /// The scale of counted locks. Other work of the machine does not hide one, so there is no best run, and
    /// few faults are enough.
    pub const LOCKS: Self = Self {
        len: 4 << 20,
        nr_samples: 5,
        nr_runs: 1,
    };

    /// A small scale that only shows that everything can be measured.
    pub const QUICK: Self = Self {
        len: 2 << 20,
        nr_samples: 1,
        nr_runs: 1,
    };
}

/// Takes the samples of `work` on `subject` at each point. It takes the points by turns, so that other
/// work of the machine disturbs all of them alike. Returns `None` if this kernel lacks the counter.
///
/// # Errors
///
/// The object cannot be created, or a call fails.
pub fn samples(
    work: Work,
    subject: Subject,
    points: &[Option<u64>],
    scale: Scale,
) -> Result<Option<Vec<Vec<f64>>>, Failure> {
    if work.may_be_absent() && counted(work)?.is_none() {
        return Ok(None);
    }
    let mut samples = vec![Vec::new(); points.len()];
    for turn in 0..=scale.nr_samples {
        let mut largest = vec![f64::NEG_INFINITY; points.len()];
        for _ in 0..scale.nr_runs {
            for (largest, point) in largest.iter_mut().zip(points) {
                let nr_threads = usize::try_from(point.unwrap_or(2))?;
                let run = Run::new(work, subject, nr_threads, scale.len)?;
                let nr_pages = run.nr_pages as f64;
                let figure = match work {
                    Work::LockFallbacks => run.count as f64,
                    Work::Contention => run.count as f64 * 1000.0 / nr_pages,
                    _ => nr_pages / (run.elapsed.as_secs_f64() * 1000.0),
                };
                *largest = largest.max(figure);
            }
        }
        if turn > 0 {
            for (samples, largest) in samples.iter_mut().zip(largest) {
                samples.push(largest);
            }
        }
    }
    Ok(Some(samples))
}

/// The result of a run: each thread touches its own pages.
struct Run {
    nr_pages: usize,
    elapsed: Duration,
    /// What [`counted`] has counted meanwhile.
    count: u64,
}

impl Run {
    fn new(work: Work, subject: Subject, nr_threads: usize, len: usize) -> Result<Self, Failure> {
        let object = Object::new(subject, nr_threads * len)?;
        if work == Work::ParallelWriteAgain {
            write_each_page(&object.shared()?);
        }
        let mapping = object.shared()?;
        rest();
        let (ready, done) = (Barrier::new(nr_threads + 1), Barrier::new(nr_threads + 1));
        let nr_asleep = AtomicUsize::new(nr_threads);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..nr_threads)
                .map(|part| {
                    let (mapping, ready, done, nr_asleep) = (&mapping, &ready, &done, &nr_asleep);
                    scope.spawn(move || {
                        let placed = stay_on(part);
                        ready.wait();
                        // An idle processor wakes up slowly, and the host takes time to see that
                        // several are busy. Neither belongs to the figure.
                        nr_asleep.fetch_sub(1, Relaxed);
                        while nr_asleep.load(Relaxed) > 0 {
                            hint::spin_loop();
                        }
                        let awake = Instant::now();
                        while awake.elapsed() < WARM_UP {
                            hint::spin_loop();
                        }
                        let begin = Instant::now();
                        touch(mapping, part * len, len);
                        let end = Instant::now();
                        done.wait();
                        placed.map(|()| (begin, end))
                    })
                })
                .collect();
            let before = counted(work)?;
            ready.wait();
            done.wait();
            let after = counted(work)?;
            let times: Vec<_> = threads
                .into_iter()
                .map(|thread| Ok(thread.join().map_err(|_| "a thread panicked")??))
                .collect::<Result<_, Failure>>()?;
            let begin = times.iter().map(|&(begin, _)| begin).min();
            let end = times.iter().map(|&(_, end)| end).max();
            Ok(Self {
                nr_pages: object.nr_pages(),
                elapsed: end
                    .zip(begin)
                    .map_or(Duration::ZERO, |(end, begin)| end - begin),
                count: after
                    .zip(before)
                    .map_or(0, |(after, before)| after - before),
            })
        })
    }
}

/// Keeps this thread on one processor. Otherwise two threads share one until the scheduler notices.
fn stay_on(processor: usize) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set)
}

fn touch(mapping: &Mapping, start: usize, len: usize) {
    for offset in (start..start + len).step_by(page_size()) {
        // SAFETY: The byte is within the mapping, and no other thread touches its page.
        unsafe { mapping.as_ptr().add(offset).write_volatile(1) };
    }
}

/// What the kernel has counted for `work` so far, if it has such a counter.
fn counted(work: Work) -> Result<Option<u64>, Failure> {
    match work {
        Work::LockFallbacks => lock_fallbacks(),
        Work::Contention => contended_locks(),
        _ => Ok(None),
    }
}

/// Counts the faults so far that needed more than the VMA lock. A kernel without
/// `CONFIG_PER_VMA_LOCK_STATS` does not count them.
fn lock_fallbacks() -> Result<Option<u64>, Failure> {
    let mut found = None;
    for line in fs::read_to_string("/proc/vmstat")?.lines() {
        if let Some((name, count)) = line.split_once(' ') {
            if matches!(name, "vma_lock_abort" | "vma_lock_retry" | "vma_lock_miss") {
                found = Some(found.unwrap_or(0) + count.parse::<u64>()?);
            }
        }
    }
    Ok(found)
}

/// Counts the locks so far for which a task had to wait. A kernel without `CONFIG_LOCK_STAT` does not
/// count them.
fn contended_locks() -> Result<Option<u64>, Failure> {
    if !fs::exists(LOCK_STAT)? {
        return Ok(None);
    }
    let mut count = 0;
    for line in fs::read_to_string(LOCK_STAT)?.lines() {
        // The name of a class may contain colons. A line without figures is a place of the code.
        if let Some((_, figures)) = line.rsplit_once(": ") {
            let contentions = figures.split_whitespace().nth(1);
            count += contentions.map_or(Ok(0), str::parse::<u64>)?;
        }
    }
    Ok(Some(count))
}
