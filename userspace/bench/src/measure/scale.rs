// SPDX-License-Identifier: MIT OR GPL-2.0

//! The sizes of objects, and the number of samples.

use super::calls::NR_CALLS;
use crate::row::Unit;
use crate::subject::{HUGE_PAGE, PAGE};
use crate::Failure;

/// How large and how often.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Bytes of an object.
    pub object_len: usize,
    /// Bytes that a sequential row reads or writes, at most.
    pub sequence_len: usize,
    /// Pieces in which it does so, at most.
    pub nr_chunks: usize,
    /// Bytes of the object of the memory rows.
    pub memory_len: usize,
    /// Samples taken, after one that does not count.
    pub nr_samples: usize,
}

impl Scale {
    /// For results.
    pub const FULL: Self = Self {
        object_len: 64 << 20,
        sequence_len: 8 << 20,
        nr_chunks: 1 << 18,
        memory_len: 512 << 20,
        nr_samples: 5,
    };

    /// For a profile.
    pub const PROFILE: Self = Self {
        object_len: 16 << 20,
        nr_samples: 1,
        ..Self::FULL
    };

    /// To see that everything can be measured.
    pub const QUICK: Self = Self {
        object_len: 2 << 20,
        sequence_len: 64 << 10,
        nr_chunks: 1 << 10,
        memory_len: 8 << 20,
        nr_samples: 1,
    };

    /// What the cost of a sample is divided by, where the row's unit says what that is: of calls, those
    /// of at most a page.
    #[must_use]
    pub fn divisor(self, unit: Unit) -> Option<usize> {
        match unit {
            Unit::PerPage => Some(self.object_len / PAGE),
            Unit::PerCall => Some(NR_CALLS),
            _ => None,
        }
    }
}

// A huge page is what the largest row of the quick scale has room for.
const _: () = assert!(Scale::QUICK.object_len >= HUGE_PAGE);

/// Takes a sample that does not count, for caches to be warm, and then those that do.
pub fn repeat(
    scale: Scale,
    mut sample: impl FnMut() -> Result<f64, Failure>,
) -> Result<Vec<f64>, Failure> {
    sample()?;
    (0..scale.nr_samples).map(|_| sample()).collect()
}
