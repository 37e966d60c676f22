// SPDX-License-Identifier: MIT OR GPL-2.0

//! Operations that a pool forbids permanently.

use std::fmt;
use std::ops::BitOr;

use crate::uapi;

/// The operations that a pool forbids permanently, a combination of [`SEAL`](Self::SEAL),
/// [`SHRINK`](Self::SHRINK), [`GROW`](Self::GROW) and [`WRITE`](Self::WRITE).
///
/// ```
/// use mmap_pool::Seals;
///
/// let seals = Seals::SHRINK | Seals::GROW;
/// assert!(seals.contains(Seals::GROW));
/// assert!(!seals.contains(Seals::WRITE));
/// assert_eq!(seals.to_string(), "shrink grow");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seals(u32);

impl Seals {
    /// No operation is forbidden.
    pub const NONE: Self = Self(0);
    /// No more seals can be added.
    pub const SEAL: Self = Self(uapi::SEAL_SEAL);
    /// The pool cannot shrink.
    pub const SHRINK: Self = Self(uapi::SEAL_SHRINK);
    /// The pool cannot grow.
    pub const GROW: Self = Self(uapi::SEAL_GROW);
    /// The pool cannot be written to. It has no writable shared mappings.
    pub const WRITE: Self = Self(uapi::SEAL_WRITE);

    /// Returns the seals of these bits. Bits that this version does not know are kept.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the bits for `MMAP_POOL_SEAL`. They are the same as those of `F_ADD_SEALS`.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns whether `self` forbids every operation that `other` forbids.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Seals {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The names, separated by spaces. Bits without a name are shown as a number. No seals are `none`.
impl fmt::Display for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Seals, &str); 4] = [
            (Seals::SEAL, "seal"),
            (Seals::SHRINK, "shrink"),
            (Seals::GROW, "grow"),
            (Seals::WRITE, "write"),
        ];
        let mut words = Vec::new();
        let mut rest = self.0;
        for (seal, name) in NAMES {
            if self.contains(seal) {
                words.push(name.to_owned());
                rest &= !seal.0;
            }
        }
        match (rest, words.is_empty()) {
            (0, true) => words.push("none".into()),
            (0, false) => {}
            (rest, _) => words.push(format!("{rest:#x}")),
        }
        f.pad(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_those_of_memfd() {
        for (seals, flag) in [
            (Seals::SEAL, rustix::fs::SealFlags::SEAL),
            (Seals::SHRINK, rustix::fs::SealFlags::SHRINK),
            (Seals::GROW, rustix::fs::SealFlags::GROW),
            (Seals::WRITE, rustix::fs::SealFlags::WRITE),
        ] {
            assert_eq!(seals.bits(), flag.bits());
        }
    }

    #[test]
    fn unknown_bits_are_kept_and_shown() {
        let seals = Seals::GROW | Seals::from_bits(0x100);
        assert_eq!(seals.bits(), 0x104);
        assert_eq!(seals.to_string(), "grow 0x100");
        assert_eq!(Seals::NONE.to_string(), "none");
    }
}
