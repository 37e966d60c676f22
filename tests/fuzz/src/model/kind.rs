// SPDX-License-Identifier: MIT OR GPL-2.0

//! Kinds of objects.

/// What a sequence runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The default pool.
    Node,
    /// A pool made for the sequence: it gets the pages that are touched.
    Created,
    /// The same, but it gets the pages around as well.
    Around,
    /// The same, but it gets memory in large pieces.
    Huge,
    /// The same, but `mmap` allocates and maps all of it.
    Eager,
    /// The kernel's own, as a check of the model.
    Memfd,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Node,
        Self::Created,
        Self::Around,
        Self::Huge,
        Self::Eager,
        Self::Memfd,
    ];

    /// Whether it can be told which pages hold memory.
    #[must_use]
    pub fn has_exact_pages(self) -> bool {
        !matches!(self, Self::Around | Self::Huge | Self::Eager)
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("no such kind: {text}"))
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Created => "created",
            Self::Around => "around",
            Self::Huge => "huge",
            Self::Eager => "eager",
            Self::Memfd => "memfd",
        })
    }
}
