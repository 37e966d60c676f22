// SPDX-License-Identifier: MIT OR GPL-2.0

//! The scenarios, a file for each group.
//!
//! Each is a function that returns a [`Scenario`](crate::scenario::Scenario). Its
//! [`row`](crate::scenario::Row) says what is tried and what the right answer is. The code that
//! tries it follows. The [`catalogue!`](crate::catalogue!) has the names of all.

pub mod advice;
pub mod areas;
pub mod backed;
pub mod concurrency;
pub mod cow;
pub mod descriptors;
pub mod errors;
pub mod huge;
pub mod io;
pub mod lazy;
pub mod locks;
pub mod memory;
pub mod permissions;
pub mod pins;
pub mod quadrants;
pub mod seals;
pub mod sharing;
pub mod signals;
pub mod sizes;
pub mod transfers;
pub(crate) mod uring;
pub mod userfaultfd;
