// SPDX-License-Identifier: MIT OR GPL-2.0

//! What is tried. The [`catalogue!`](crate::catalogue!) says in words what each does and must answer.

#![expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "the catalogue describes each function"
)]

pub mod advice;
pub mod areas;
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
mod uring;
