// SPDX-License-Identifier: MIT OR GPL-2.0

//! The sizes of objects, and the number of samples.

use super::calls::NR_CALLS;
use crate::row::Unit;
use crate::subject::{page_size, HUGE_PAGE};
use crate::Failure;

/// The sizes of the objects, and the number of samples.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Bytes of an object.
    pub object_len: usize,
    /// The most bytes that a sequential row reads or writes.
    pub sequence_len: usize,
    /// The most pieces of a sequential row.
    pub nr_chunks: usize,
    /// Bytes of the object of the memory rows.
    pub memory_len: usize,
    /// Samples, after a first one that is thrown away.
    pub nr_samples: usize,
}

impl Scale {
    /// The scale of results.
    pub const FULL: Self = Self {
        object_len: 64 << 20,
        sequence_len: 8 << 20,
        nr_chunks: 1 << 18,
        memory_len: 512 << 20,
        nr_samples: 5,
    };

    /// The scale of a profile.
    pub const PROFILE: Self = Self {
        object_len: 16 << 20,
        nr_samples: 1,
        ..Self::FULL
    };

    /// A small scale that only shows that everything can be measured.
    pub const QUICK: Self = Self {
        object_len: 2 << 20,
        sequence_len: 64 << 10,
        nr_chunks: 1 << 10,
        memory_len: 8 << 20,
        nr_samples: 1,
    };

    /// The number of pages or calls that a sample's cost is divided by, for calls of at most a page.
    /// Returns `None` for other units.
    #[must_use]
    pub fn divisor(self, unit: Unit) -> Option<usize> {
        match unit {
            Unit::PerPage => Some(self.object_len / page_size()),
            Unit::PerCall => Some(NR_CALLS),
            _ => None,
        }
    }
}

// The quick scale must have room for a huge page.
const _: () = assert!(Scale::QUICK.object_len >= HUGE_PAGE);

/// Takes a first sample to warm the caches and throws it away. Then it takes the samples that count.
pub fn repeat(
    scale: Scale,
    mut sample: impl FnMut() -> Result<f64, Failure>,
) -> Result<Vec<f64>, Failure> {
    sample()?;
    (0..scale.nr_samples).map(|_| sample()).collect()
}
