// SPDX-License-Identifier: MIT OR GPL-2.0

//! What `/dev/mmap_pool` promises, as scenarios that run in a guest.
//!
//! A scenario does something and answers in a few words what it saw. It runs on three subjects:
//! the pool of the node, a created pool, and an oracle. The oracle is an object of the kernel: a
//! memfd, a file on tmpfs or anonymous memory. Each subject must give the right answer.
//!
//! The [`catalogue!`] lists all scenarios. The `guest` tests make a test of each, and the program
//! `mmap-pool-table` makes a table of them. The tables of `docs/semantics.md` have the same rows.

pub mod catalogue;
pub mod cgroup;
pub mod child;
pub mod console;
pub mod failures;
pub mod frames;
pub mod given;
pub mod judge;
pub mod kinds;
pub mod lost_writes;
pub mod machine;
pub mod made;
pub mod module;
pub mod needs;
pub mod numa;
pub mod observe;
pub mod others;
pub mod page;
pub mod peer;
pub mod pictures;
pub mod program;
pub mod report;
pub mod scenario;
pub mod scenarios;
pub mod signal;
pub mod slow_page;
pub mod subject;
pub mod table;
pub mod trace;
pub mod uffd;

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
