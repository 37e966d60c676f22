// SPDX-License-Identifier: MIT OR GPL-2.0

//! Predicted answers of calls.

use crate::sys::{Answer, Fault};
use crate::{digest, Seen};

/// A predicted answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The answer.
    pub seen: Seen,
    /// Whether the resident pages, or whether the disk was flushed, must be exactly as in the answer.
    pub(super) has_exact_pages: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "it is what `predict` returns")]
impl Expected {
    pub(super) fn of(result: Answer) -> Option<Self> {
        Some(Self {
            seen: Seen::of(result),
            has_exact_pages: true,
        })
    }

    pub(super) fn error(errno: i32) -> Option<Self> {
        Self::of(-i64::from(errno))
    }

    pub(super) fn bytes(result: Answer, bytes: &[u8]) -> Option<Self> {
        let mut seen = Seen::of(result);
        if result >= 0 {
            seen.sum = digest(bytes);
        }
        Some(Self {
            seen,
            has_exact_pages: true,
        })
    }

    /// The answer of a call that makes bytes durable. If `is_flushed`, the disk was certainly told to.
    pub(super) fn durable(result: Answer, is_flushed: bool) -> Option<Self> {
        Some(Self {
            seen: Seen {
                extra: 1,
                ..Seen::of(result)
            },
            has_exact_pages: is_flushed,
        })
    }

    /// The answer of an access to memory.
    pub(super) fn accessed(done: usize, sum: u64, fault: Option<Fault>) -> Option<Self> {
        Some(Self {
            seen: Seen {
                result: done as i64,
                sum,
                extra: 0,
                fault,
            },
            has_exact_pages: true,
        })
    }

    /// Whether `seen` is the predicted answer.
    #[must_use]
    pub fn matches(&self, seen: &Seen) -> bool {
        let what_is_told = |seen: &Seen| Seen {
            sum: 0,
            extra: seen.extra >> 32,
            ..*seen
        };
        self.seen == *seen
            || !self.has_exact_pages && what_is_told(&self.seen) == what_is_told(seen)
    }
}
