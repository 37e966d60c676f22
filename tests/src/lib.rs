// SPDX-License-Identifier: MIT OR GPL-2.0

//! What `/dev/mmap_pool` promises, as scenarios that run on the pool and on the kernel's own
//! objects.
//!
//! A scenario does something and answers in a few words what it saw. The answers of the node's pool
//! and of a created one must be the expected ones, and so must the oracle's: a memfd's, a tmpfs
//! file's or anonymous memory's. The [`catalogue!`] lists all of them once; the `guest` tests and the
//! `mmap-pool-table` program both run that list, and `docs/semantics.md` is made of it.

pub mod catalogue;
pub mod cgroup;
pub mod child;
pub mod console;
pub mod failures;
pub mod frames;
pub mod lost_writes;
pub mod module;
pub mod numa;
pub mod observe;
pub mod page;
pub mod peer;
pub mod scenario;
pub mod scenarios;
pub mod signal;
pub mod slow_page;
pub mod subject;
pub mod trace;

/// Why a scenario could not answer.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a scenario saw, in a few words.
pub type Answer = Result<String, Failure>;

/// Ends the scenario with a [`Failure`].
#[macro_export]
macro_rules! fail {
    ($($text:tt)*) => {
        return Err($crate::Failure::from(format!($($text)*)))
    };
}
