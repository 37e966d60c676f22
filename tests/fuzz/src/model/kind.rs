// SPDX-License-Identifier: MIT OR GPL-2.0

//! Kinds of objects.

use mmap_pool::Strategy;

/// The kind of object that a sequence runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The default pool.
    Node,
    /// A created pool of this strategy.
    Created(Strategy),
    /// A memfd, as a check of the model.
    Memfd,
}

impl Kind {
    /// All kinds.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut kinds = vec![Self::Node];
        kinds.extend(Strategy::ALL.map(Self::Created));
        kinds.push(Self::Memfd);
        kinds
    }

    /// Whether the model knows which pages are resident. The default pool has the strategy `AUTO`.
    #[must_use]
    pub fn has_exact_pages(self) -> bool {
        matches!(self, Self::Created(Strategy::Page) | Self::Memfd)
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all()
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("no such kind: {text}"))
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Created(Strategy::Page) => "created",
            Self::Created(strategy) => strategy.name(),
            Self::Memfd => "memfd",
        })
    }
}
