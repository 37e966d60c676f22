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
    /// A backed pool.
    Backed(Behind, Tracking),
    /// A memfd, as a check of the model.
    Memfd,
}

/// What is behind a backed pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A block device.
    Device,
    /// A file of ext4.
    Ext4,
}

/// Whether a backed pool knows which of its pages were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// It does not.
    No,
    /// It does, to the page.
    Exact,
}

/// Where the bytes of an object live. Kinds with one home run the same sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Pools in memory, and memfds. Their size changes, and nothing stays of them.
    Memory,
    /// Backed pools. Their size is fixed, and their bytes stay in the object.
    Storage,
}

impl Home {
    /// All homes.
    pub const ALL: [Self; 2] = [Self::Memory, Self::Storage];

    /// The kind whose model the generator consults. Its model can predict the most answers.
    #[must_use]
    pub const fn lead(self) -> Kind {
        match self {
            Self::Memory => Kind::Created(Strategy::Page),
            Self::Storage => Kind::Backed(Behind::Ext4, Tracking::Exact),
        }
    }
}

impl std::fmt::Display for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Storage => "storage",
        })
    }
}

impl Kind {
    /// All kinds.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut kinds = vec![Self::Node];
        kinds.extend(Strategy::ALL.map(Self::Created));
        for behind in [Behind::Device, Behind::Ext4] {
            kinds.extend([Tracking::No, Tracking::Exact].map(|is| Self::Backed(behind, is)));
        }
        kinds.push(Self::Memfd);
        kinds
    }

    /// The home of objects of this kind.
    #[must_use]
    pub const fn home(self) -> Home {
        match self {
            Self::Backed(..) => Home::Storage,
            Self::Node | Self::Created(_) | Self::Memfd => Home::Memory,
        }
    }

    /// What is behind pools of this kind, if anything is.
    #[must_use]
    pub const fn behind(self) -> Option<Behind> {
        match self {
            Self::Backed(behind, _) => Some(behind),
            Self::Node | Self::Created(_) | Self::Memfd => None,
        }
    }

    /// Whether the kernel may write pages back that nobody has written, because their folio is dirty.
    #[must_use]
    pub const fn has_large_folios(self) -> bool {
        !matches!(self, Self::Backed(_, Tracking::Exact))
    }

    /// Whether the model knows which pages are resident. The default pool has the strategy `AUTO`. The
    /// kernel reads pages of a backed pool ahead, and drops them.
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
            Self::Backed(Behind::Device, Tracking::No) => "device",
            Self::Backed(Behind::Device, Tracking::Exact) => "device-tracked",
            Self::Backed(Behind::Ext4, Tracking::No) => "ext4",
            Self::Backed(Behind::Ext4, Tracking::Exact) => "ext4-tracked",
            Self::Memfd => "memfd",
        })
    }
}
