// SPDX-License-Identifier: MIT OR GPL-2.0

//! Accesses that a mapping allows.

use std::fmt;
use std::ops::{BitAnd, BitOr};

use rustix::mm::{MprotectFlags, ProtFlags};

/// The accesses that a mapping allows, a combination of [`READ`](Self::READ),
/// [`WRITE`](Self::WRITE) and [`EXEC`](Self::EXEC).
///
/// ```
/// use mmap_pool::Protection;
///
/// let protection = Protection::READ | Protection::EXEC;
/// assert!(protection.contains(Protection::READ));
/// assert!(!protection.contains(Protection::READ_WRITE));
/// assert_eq!(protection.to_string(), "r-x");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protection(u8);

impl Protection {
    /// No access. The range is mapped, but touching it is `SIGSEGV`.
    pub const NONE: Self = Self(0);
    /// Reading.
    pub const READ: Self = Self(1);
    /// Writing. On most processors, it also allows reading.
    pub const WRITE: Self = Self(2);
    /// Execution.
    pub const EXEC: Self = Self(4);
    /// Reading and writing.
    pub const READ_WRITE: Self = Self(1 | 2);

    /// Returns whether `self` allows every access that `other` allows.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn for_mmap(self) -> ProtFlags {
        let mut flags = ProtFlags::empty();
        flags.set(ProtFlags::READ, self.contains(Self::READ));
        flags.set(ProtFlags::WRITE, self.contains(Self::WRITE));
        flags.set(ProtFlags::EXEC, self.contains(Self::EXEC));
        flags
    }

    pub(crate) fn for_mprotect(self) -> MprotectFlags {
        MprotectFlags::from_bits_retain(self.for_mmap().bits())
    }
}

impl BitAnd for Protection {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Protection {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// As in `/proc/PID/maps`: `rwx`, with a dash for each access that is not allowed.
impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::EXEC, "x")] {
            f.write_str(if self.contains(bit) { letter } else { "-" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_reaches_the_kernel_unchanged() {
        for bits in 0..8 {
            let protection = Protection(bits);
            assert_eq!(protection.for_mmap().bits(), u32::from(bits));
            assert_eq!(protection.for_mprotect().bits(), u32::from(bits));
        }
    }

    #[test]
    fn none_contains_only_itself() {
        assert!(Protection::NONE.contains(Protection::NONE));
        assert!(!Protection::NONE.contains(Protection::READ));
        assert!(Protection::READ_WRITE.contains(Protection::NONE));
    }
}
