// SPDX-License-Identifier: MIT OR GPL-2.0

//! What scenarios need of their subject, besides memory that can be mapped.
//!
//! Pools and the kernel's own objects have all of it. An object that a user names may lack some:
//! then its scenarios are not run, and the reason is told.

use std::fmt;

/// A set of needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u32);

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident $bit:literal $lack:literal)*) => {
        impl Needs {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }

        const LACKS: &[(Needs, &str)] = &[$((Needs::$name, $lack)),*];
    };
}

needs! {
    /// It can be written.
    WRITE 0 "it cannot be written"
    /// `read(2)` and `write(2)` reach the same bytes as mappings.
    CALLS 1 "it has no read() and write() that reach its memory"
    /// Its size can be changed.
    RESIZE 2 "its size cannot be changed"
    /// Ranges can be made holes.
    PUNCH 3 "it cannot make holes"
    /// It can be sealed.
    SEALS 4 "it has no seals"
    /// Private mappings are allowed.
    PRIVATE 5 "it refuses private mappings"
    /// It ends after [`size`](crate::subject::size) bytes.
    END 6 "it does not end at 1 MiB, where the row needs the end"
    /// It has [`size`](crate::subject::size) bytes.
    WHOLE 7 "it is smaller than 1 MiB"
    /// All mappings show the same memory.
    ONE 8 "each mapping of it is memory of its own"
    /// It has a path, and can be opened with other rights.
    PATH 9 "it has no path by which it can be opened again"
    /// A pool, or an object that the scenario makes itself.
    POOL 10 "the row makes pools of its own"
    /// The machine may lose a page of memory until it boots again.
    LOSSES 11 "the row breaks a page of the machine's memory until the next boot"
    /// More than the [`size`](crate::subject::size) bytes that are put back may be written.
    MORE 12 "the row writes more than the 1 MiB that is put back"
}

impl Needs {
    /// All but pools, and what harms the machine or the object.
    pub const ALL: Self = Self((1 << Self::POOL.0.trailing_zeros()) - 1);

    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of the other set is in this one.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        other.without(self).is_empty()
    }

    /// The set as a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set of a number.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// Says that an object has none of these.
impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lacks = LACKS.iter().filter(|(need, _)| self.contains(*need));
        let lacks: Vec<_> = lacks.map(|(_, lack)| *lack).collect();
        f.write_str(&lacks.join(", "))
    }
}
