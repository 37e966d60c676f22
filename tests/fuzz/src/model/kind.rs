// SPDX-License-Identifier: MIT OR GPL-2.0

//! Kinds of objects.

/// The kind of object that a sequence runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The default pool.
    Node,
    /// A created pool of strategy `PAGE`.
    Created,
    /// A created pool of strategy `AROUND`.
    Around,
    /// A created pool of strategy `HUGE`.
    Huge,
    /// A created pool of strategy `EAGER`.
    Eager,
    /// A memfd, as a check of the model.
    Memfd,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Node,
        Self::Created,
        Self::Around,
        Self::Huge,
        Self::Eager,
        Self::Memfd,
    ];

    /// Whether the model knows which pages are resident.
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
