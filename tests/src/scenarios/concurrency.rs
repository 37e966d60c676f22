// SPDX-License-Identifier: MIT OR GPL-2.0

//! Threads and processes at once, on the same pages and on different ones.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Barrier;
use std::thread;

use mmap_pool::{Mapping, MappingBuilder};

use crate::child::Child;
use crate::needs::Needs;
use crate::scenario::{row, Scenario};
use crate::subject::{page_size, size, Subject, PAGES};
use crate::{Answer, Failure};

const NR_WORKERS: usize = 4;
const NR_PAGES: usize = 64;
const NR_ROUNDS: usize = 20;

pub(crate) const fn four_threads_fault_the_same_pages() -> Scenario {
    row(
        "4 threads count in each of 64 new pages",
        "64 resident, every count 4",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        in_threads(|_| count_in(&mapping, 0..NR_PAGES))?;
        summary(subject, &mapping, 0..NR_PAGES)
    })
}

pub(crate) const fn four_threads_fault_different_pages() -> Scenario {
    row(
        "4 threads count in 64 new pages each",
        "256 resident, every count 1",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        in_threads(|worker| count_in(&mapping, (worker..PAGES).step_by(NR_WORKERS)))?;
        summary(subject, &mapping, 0..PAGES)
    })
}

pub(crate) const fn four_processes_fault_the_same_pages() -> Scenario {
    row(
        "4 processes count in each of 64 new pages",
        "64 resident, every count 4",
    )
    .test(|subject| {
        in_processes_that_map(subject, |_, mapping| count_in(mapping, 0..NR_PAGES))?;
        summary(subject, &subject.shared()?, 0..NR_PAGES)
    })
}

pub(crate) const fn four_processes_fault_different_pages() -> Scenario {
    row(
        "4 processes count in 64 new pages each",
        "256 resident, every count 1",
    )
    .test(|subject| {
        in_processes_that_map(subject, |worker, mapping| {
            count_in(mapping, (worker..PAGES).step_by(NR_WORKERS))
        })?;
        summary(subject, &subject.shared()?, 0..PAGES)
    })
}

pub(crate) const fn four_threads_copy_the_same_private_pages_once() -> Scenario {
    row(
        "4 threads count in 64 pages of one private mapping",
        "every count 4, read() 0",
    )
    .test(|subject| {
        let mapping = subject.private()?;
        in_threads(|_| count_in(&mapping, 0..NR_PAGES))?;
        let mut bytes = vec![0xff; NR_PAGES * page_size()];
        subject.read_exact_at(&mut bytes, 0)?;
        let left = bytes.iter().max().copied().unwrap_or(0);
        Ok(format!("{}, read() {left}", counts(&mapping, 0..NR_PAGES)?))
    })
}

pub(crate) const fn four_processes_copy_the_same_private_pages_apart() -> Scenario {
    row(
        "4 processes count in 64 inherited private pages",
        "every count 1, parent 0",
    )
    .test(|subject| {
        let mapping = subject.private()?;
        let mut answers = in_processes(|_| {
            count_in(&mapping, 0..NR_PAGES)?;
            counts(&mapping, 0..NR_PAGES)
        })?;
        answers.dedup();
        let mut sum = 0;
        for page in 0..NR_PAGES {
            sum += mapping.atomic_u32(page * page_size())?.load(Relaxed);
        }
        Ok(format!("{}, parent {sum}", answers.join("; ")))
    })
}

pub(crate) const fn mapping_and_unmapping_beside_faults_loses_nothing() -> Scenario {
    row(
        "2 threads map, count, unmap; 2 count in one mapping",
        "64 resident, every count 80",
    )
    .test(|subject| {
        let lasting = subject.shared()?;
        in_threads(|worker| {
            for _ in 0..NR_ROUNDS {
                if worker % 2 == 0 {
                    count_in(&lasting, 0..NR_PAGES)?;
                } else {
                    count_in(&subject.shared()?, 0..NR_PAGES)?;
                }
            }
            Ok(())
        })?;
        summary(subject, &lasting, 0..NR_PAGES)
    })
}

pub(crate) const fn readers_writers_and_mappings_at_once_lose_no_page() -> Scenario {
    row(
        "2 threads pwrite, 2 store, each its own bytes of 64 pages",
        "64 resident, every byte in place",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let mapping = subject.shared()?;
        let marks = [1_u8, 2, 3, 4];
        in_threads(|worker| {
            let file = subject.file()?;
            for page in 0..NR_PAGES {
                let at = page * page_size() + worker;
                if worker < 2 {
                    file.write_all_at(&marks[worker..=worker], at as u64)?;
                } else {
                    mapping.atomic_u8(at)?.store(marks[worker], Relaxed);
                }
            }
            Ok(())
        })?;
        let mut nr_wrong = 0;
        for page in 0..NR_PAGES {
            let mut seen = [0; NR_WORKERS];
            subject
                .file()?
                .read_exact_at(&mut seen, (page * page_size()) as u64)?;
            nr_wrong += usize::from(seen != marks);
        }
        let bytes = match nr_wrong {
            0 => "every byte in place".into(),
            _ => format!("{nr_wrong} pages wrong"),
        };
        Ok(format!(
            "{} resident, {bytes}",
            subject.nr_resident_pages()?
        ))
    })
}

/// Adds 1 to the counter of each page.
fn count_in(mapping: &Mapping, pages: impl Iterator<Item = usize>) -> Result<(), Failure> {
    for page in pages {
        mapping
            .atomic_u32(page * page_size())?
            .fetch_add(1, Relaxed);
    }
    Ok(())
}

fn summary(subject: &Subject, mapping: &Mapping, pages: std::ops::Range<usize>) -> Answer {
    Ok(format!(
        "{} resident, {}",
        subject.nr_resident_pages()?,
        counts(mapping, pages)?
    ))
}

fn counts(mapping: &Mapping, pages: std::ops::Range<usize>) -> Answer {
    let mut seen = Vec::new();
    for page in pages {
        seen.push(mapping.atomic_u32(page * page_size())?.load(Relaxed));
    }
    seen.sort_unstable();
    Ok(match (seen.first(), seen.last()) {
        (Some(low), Some(high)) if low == high => format!("every count {low}"),
        (low, high) => format!("counts from {low:?} to {high:?}"),
    })
}

/// Runs `work` in threads that start together.
fn in_threads(work: impl Fn(usize) -> Result<(), Failure> + Sync) -> Result<(), Failure> {
    let (barrier, work) = (Barrier::new(NR_WORKERS), &work);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..NR_WORKERS)
            .map(|worker| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    work(worker)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| Failure::from("a thread panicked"))?
        })
    })
}

/// Runs `work` in forked children that start together.
fn in_processes(work: impl Fn(usize) -> Answer) -> Result<Vec<String>, Failure> {
    let mut children = Vec::new();
    for worker in 0..NR_WORKERS {
        children.push(Child::fork(|link| {
            link.say("ready")?;
            link.hear()?;
            work(worker)
        })?);
    }
    for child in &mut children {
        child.link.hear()?;
    }
    for child in &mut children {
        child.link.say("go")?;
    }
    children.into_iter().map(Child::finish).collect()
}

/// The same, each child with a mapping that it made itself.
fn in_processes_that_map(
    subject: &Subject,
    work: impl Fn(usize, &Mapping) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // The path of a memfd names the parent, so it is made before the fork.
    let path = subject.path()?;
    in_processes(|worker| {
        let file = File::options().read(true).write(true).open(&path)?;
        // SAFETY: It is the subject, which is memory.
        let mapping = unsafe { MappingBuilder::shared().len(size()).map_file(&file) }?;
        work(worker, &mapping)?;
        Ok(String::new())
    })?;
    Ok(())
}

pub(crate) const fn reading_into_itself_beside_punching() -> Scenario {
    row(
        "pread, pwrite with untouched parts of its own mapping, two threads punch",
        "done, 0 resident, highest byte 0",
    )
    .test(|subject| {
        beside(subject, true, |round| {
            let page = (round % 64 * page_size()) as u64;
            subject.punch(page, 4 * page_size() as u64)
        })
    })
}

pub(crate) const fn reading_into_itself_beside_resizing() -> Scenario {
    row(
        "the same, two threads shrink and grow",
        "done, 0 resident, highest byte 0",
    )
    .test(|subject| {
        beside(subject, false, |round| {
            let nr_pages = if round % 2 == 0 { 8 } else { PAGES };
            subject.resize((nr_pages * page_size()) as u64)
        })
    })
}

pub(crate) const fn faults_beside_resizing_are_served_or_sigbus() -> Scenario {
    row(
        "2 processes touch all pages, the parent shrinks and grows",
        "done, 0 resident, highest byte 0",
    )
    .test(|subject| {
        let mut children = Vec::new();
        for _ in 0..2 {
            let file = subject.file()?;
            children.push(Child::fork(|link| {
                crate::signal::replace_pages_that_raise_sigbus()?;
                link.say("ready")?;
                link.hear()?;
                for _ in 0..NR_ROUNDS {
                    let mapping = MappingBuilder::shared().len(size()).map(&file)?;
                    for page in 0..PAGES {
                        mapping.atomic_u8(page * page_size())?.store(1, Relaxed);
                    }
                }
                Ok("done".into())
            })?);
        }
        for child in &mut children {
            child.link.hear()?;
        }
        for child in &mut children {
            child.link.say("go")?;
        }
        for round in 0..20 * NR_ROUNDS {
            let nr_pages = if round % 2 == 0 { 8 } else { PAGES };
            subject.resize((nr_pages * page_size()) as u64)?;
        }
        let mut answers = children
            .into_iter()
            .map(Child::finish)
            .collect::<Result<Vec<_>, _>>()?;
        answers.dedup();
        nothing_left(subject, &answers.join(" "))
    })
}

/// Two threads read into and write from untouched parts of mappings of the object itself, while
/// `disturb` takes pages away. Without resizing every call succeeds; with it, one may find no page.
fn beside(
    subject: &Subject,
    all_succeed: bool,
    disturb: impl Fn(usize) -> Result<(), mmap_pool::Errno> + Sync,
) -> Answer {
    const NR_PIECES: usize = 8;
    let piece = size() / NR_PIECES;
    in_threads(|worker| {
        if worker >= 2 {
            for round in 0..10 * NR_ROUNDS {
                disturb(round)?;
            }
            return Ok(());
        }
        for round in 0..2 * NR_ROUNDS {
            let file = subject.file()?;
            let mapping = MappingBuilder::shared().len(size()).map(&file)?;
            let (there, here) = (round % NR_PIECES * piece, (round + 3) % NR_PIECES * piece);
            let buffer = mapping.as_ptr().wrapping_add(there);
            let done = if worker == 0 {
                super::io::raw_pread(&file, buffer, piece, here as u64)
            } else {
                super::io::raw_pwrite(&file, buffer, piece, here as u64)
            };
            match done {
                Ok(len) if len == piece || !all_succeed => {}
                Err(mmap_pool::Errno::FAULT | mmap_pool::Errno::NOSPC) if !all_succeed => {}
                other => return Err(format!("worker {worker}: {other:?}").into()),
            }
        }
        Ok(())
    })?;
    nothing_left(subject, "done")
}

/// With all of it punched, no page may be left, and all of it reads as zeros.
fn nothing_left(subject: &Subject, done: &str) -> Answer {
    subject.resize(size() as u64)?;
    subject.punch(0, size() as u64)?;
    let left = subject.nr_resident_pages()?;
    let mut bytes = vec![0xff; size()];
    subject.read_exact_at(&mut bytes, 0)?;
    let highest = bytes.iter().max().copied().unwrap_or(0);
    Ok(format!("{done}, {left} resident, highest byte {highest}"))
}
