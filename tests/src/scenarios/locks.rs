// SPDX-License-Identifier: MIT OR GPL-2.0

//! Locks between processes, in a shared mapping.

use std::sync::atomic::Ordering;

use mmap_pool::{Atomic, Errno};

use crate::child::Child;
use crate::observe::{checked, count, last_errno, verdict};
use crate::scenario::{row, Scenario};
use crate::subject::page_size;
use crate::{fail, Failure};

const NR_PROCESSES: usize = 4;
const NR_ROUNDS: usize = 500;

pub(crate) const fn a_futex_wakes_another_process() -> Scenario {
    row(
        "FUTEX_WAIT in a child with its own mapping, FUTEX_WAKE",
        "woken",
    )
    .test(|subject| {
        const NR_ATTEMPTS: usize = 1_000_000;
        let (mapping, theirs) = (subject.shared()?, subject.shared()?);
        let child = Child::fork(|_| {
            // The word does not change, so a wake-up alone ends this.
            wait(theirs.atomic_u32(page_size())?, 0)?;
            Ok("woken".into())
        })?;
        let word = mapping.atomic_u32(page_size())?;
        for _ in 0..NR_ATTEMPTS {
            if wake(word)? == 1 {
                return child.finish();
            }
            std::thread::yield_now();
        }
        fail!("nobody waits there")
    })
}

pub(crate) const fn a_changed_futex_is_not_waited_for() -> Scenario {
    row(
        "FUTEX_WAIT for another value, FUTEX_WAKE with nobody there",
        "EAGAIN, 0 woken",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let word = mapping.atomic_u32(0)?;
        word.store(1, Ordering::Relaxed);
        // SAFETY: The word is mapped, and nothing is to be waited for.
        let result = unsafe { futex(word, libc::FUTEX_WAIT, 0) };
        Ok(format!(
            "{}, {} woken",
            verdict(&result),
            count(&wake(word))
        ))
    })
}

pub(crate) const fn a_futex_lock_excludes_four_processes() -> Scenario {
    row(
        "4 processes count to 500 each in two steps under a futex lock",
        "2000",
    )
    .test(|subject| {
        // Each process has a mapping of its own, so only the object can connect them.
        let mut children = Vec::new();
        for _ in 0..NR_PROCESSES {
            let mapping = subject.shared()?;
            children.push(Child::fork(|link| {
                link.say("ready")?;
                link.hear()?;
                let lock = mapping.atomic_u32(0)?;
                for _ in 0..NR_ROUNDS {
                    acquire(lock)?;
                    // Two steps, which no other process may come between.
                    let counter = mapping.atomic_u32(page_size())?;
                    let value = counter.load(Ordering::Relaxed);
                    std::thread::yield_now();
                    counter.store(value + 1, Ordering::Relaxed);
                    release(lock)?;
                }
                Ok(String::new())
            })?);
        }
        for child in &mut children {
            child.link.hear()?;
        }
        for child in &mut children {
            child.link.say("go")?;
        }
        for child in children {
            child.finish()?;
        }
        let counter = subject.shared()?;
        let counter = counter.atomic_u32(page_size())?.load(Ordering::Relaxed);
        Ok(counter.to_string())
    })
}

pub(crate) const fn a_mutex_outlives_its_holder() -> Scenario {
    row(
        "robust process-shared pthread mutex: its holder is killed",
        "child ok, parent EBUSY; killed: EOWNERDEAD, ok ok ok",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let mutex: *mut libc::pthread_mutex_t = mapping.as_ptr().cast();
        initialise(mutex)?;
        let theirs = subject.shared()?;
        let mut child = Child::fork(|link| {
            // SAFETY: The mutex was initialised, for several processes.
            let locked = unsafe { libc::pthread_mutex_lock(theirs.as_ptr().cast()) };
            link.say(&answer(locked))?;
            link.hear()
        })?;
        let first = child.link.hear()?;
        // SAFETY: As above.
        let busy = answer(unsafe { libc::pthread_mutex_trylock(mutex) });
        child.kill()?;
        child.wait()?;
        // SAFETY: As above.
        let inherited = answer(unsafe { libc::pthread_mutex_lock(mutex) });
        // SAFETY: As above.
        let repaired = answer(unsafe { libc::pthread_mutex_consistent(mutex) });
        // SAFETY: As above.
        let unlocked = answer(unsafe { libc::pthread_mutex_unlock(mutex) });
        // SAFETY: As above.
        let again = answer(unsafe { libc::pthread_mutex_lock(mutex) });
        // SAFETY: Held by this thread, and nothing else refers to it.
        unsafe { libc::pthread_mutex_unlock(mutex) };
        Ok(format!(
            "child {first}, parent {busy}; killed: {inherited}, {repaired} {unlocked} {again}"
        ))
    })
}

pub(crate) const fn a_futex_in_a_private_mapping_wakes_nobody_else() -> Scenario {
    row("FUTEX_WAKE in a private and in a shared mapping", "0 0").test(|subject| {
        let (private, shared) = (subject.private()?, subject.shared()?);
        let woken = wake(private.atomic_u32(0)?);
        let of_shared = wake(shared.atomic_u32(0)?);
        Ok(format!("{} {}", count(&woken), count(&of_shared)))
    })
}

fn initialise(mutex: *mut libc::pthread_mutex_t) -> Result<(), Failure> {
    // SAFETY: All zeros is an attribute object to be initialised.
    let mut attributes: libc::pthread_mutexattr_t = unsafe { std::mem::zeroed() };
    // SAFETY: The mutex lies in mapped memory that nothing else uses yet.
    let results = unsafe {
        [
            libc::pthread_mutexattr_init(&mut attributes),
            libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED),
            libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST),
            libc::pthread_mutex_init(mutex, &attributes),
        ]
    };
    match results.into_iter().find(|&result| result != 0) {
        Some(error) => Err(Errno::from_raw_os_error(error).into()),
        None => Ok(()),
    }
}

/// The result of a pthread function.
fn answer(result: i32) -> String {
    match result {
        0 => "ok".into(),
        error => verdict::<()>(&Err(Errno::from_raw_os_error(error))),
    }
}

/// 0: free; 1: held; 2: held, and a process may wait.
fn acquire(lock: Atomic<'_, u32>) -> Result<(), Errno> {
    if lock
        .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
    {
        return Ok(());
    }
    while lock.swap(2, Ordering::Acquire) != 0 {
        wait(lock, 2)?;
    }
    Ok(())
}

fn release(lock: Atomic<'_, u32>) -> Result<(), Errno> {
    if lock.swap(0, Ordering::Release) == 2 {
        wake(lock)?;
    }
    Ok(())
}

/// Waits for a wake-up if the word has this value.
fn wait(word: Atomic<'_, u32>, value: u32) -> Result<(), Errno> {
    // SAFETY: The word is mapped.
    match unsafe { futex(word, libc::FUTEX_WAIT, value) } {
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Wakes one waiter, and returns the number of woken ones.
fn wake(word: Atomic<'_, u32>) -> Result<u64, Errno> {
    // SAFETY: The word is mapped.
    unsafe { futex(word, libc::FUTEX_WAKE, 1) }
}

/// # Safety
///
/// The operation takes no further arguments.
unsafe fn futex(word: Atomic<'_, u32>, operation: i32, value: u32) -> Result<u64, Errno> {
    let no_time = std::ptr::null::<libc::timespec>();
    // SAFETY: The caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, no_time) };
    checked(result).map_err(|_| last_errno())
}
