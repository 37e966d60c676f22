// SPDX-License-Identifier: MIT OR GPL-2.0

//! The one list of what is measured, and of what the pool is to reach.

use std::fmt;

use crate::subject::Subject;
use Subject::{
    Anon, AnonHuge, Hugetlb, Memfd, MemfdHuge, PoolAround, PoolEager, PoolHuge, PoolPage, Tmpfs,
    TwinAround, TwinHuge, TwinPage, Udmabuf,
};

/// What a row measures; `measure.rs` does it, `processors.rs` those that [`need_processors`].
///
/// [`need_processors`]: Work::needs_processors
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `mmap` of all of a new object.
    MapCall,
    /// One write to each page of a new object, in order.
    FirstTouch,
    /// The same, with all that the kernel does until it rests again.
    FirstTouchSettled,
    /// One write to each page of a full object through a new mapping, in order.
    WriteAgain,
    /// One read of each page of a full object through a new mapping, in order.
    ReadAgain,
    /// As [`WriteAgain`](Self::WriteAgain), in an order without neighbours.
    RandomFault,
    /// One write to each page of a private mapping of a full object.
    Cow,
    /// `munmap` of a mapping whose pages were all touched.
    Unmap,
    /// `fork` beside such a mapping, the child's end, and `wait`.
    Fork,
    /// `open`, `mmap` of one page, `munmap`, `close`.
    OpenMapClose,
    /// `pread` of so many bytes of a full object.
    ReadCall,
    /// `pwrite` of so many bytes to a full object.
    WriteCall,
    /// The first touch of the last 16 MiB of an object of so many bytes.
    GrownFirstTouch,
    /// The second touch of the last 16 MiB of an object of so many bytes.
    GrownWriteAgain,
    /// Memory that is gone for a resident page, beyond that page.
    Overhead,
    /// Memory that is gone for a page of an object that is all hole.
    Hole,
    /// Fills a new object in pieces of so many bytes, through a mapping.
    WriteMapped,
    /// Fills a new object in pieces of so many bytes, by `write`.
    WriteCalled,
    /// Adds up all bytes of a full object in pieces of so many bytes, in a mapping.
    ReadMapped,
    /// Adds up all bytes of a full object in pieces of so many bytes, by `read`.
    ReadCalled,
    /// Adds up all bytes of a full object, each taken from a buffer as `getc` does.
    ReadBuffered,
    /// So many threads touch pages of their own in one new object.
    ParallelFirstTouch,
    /// So many threads touch pages of their own in one full object, through a new mapping.
    ParallelWriteAgain,
    /// Faults that had to take `mmap_lock` while two threads touch pages of a new object.
    LockFallbacks,
}

impl Work {
    /// Whether it is measured in time, on several processors, rather than in instructions.
    #[must_use]
    pub fn needs_processors(self) -> bool {
        matches!(
            self,
            Self::ParallelFirstTouch | Self::ParallelWriteAgain | Self::LockFallbacks
        )
    }
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Instructions for each page.
    PerPage,
    /// Instructions for each system call, or each round of them.
    PerCall,
    /// Instructions for each byte.
    PerByte,
    /// Bytes of memory for each page.
    BytesPerPage,
    /// Pages in each millisecond.
    PagesPerMs,
    /// Faults.
    Faults,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PerPage => "instructions/page",
            Self::PerCall => "instructions/call",
            Self::PerByte => "instructions/byte",
            Self::BytesPerPage => "bytes/page",
            Self::PagesPerMs => "pages/ms",
            Self::Faults => "faults",
        })
    }
}

/// What the points of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Bytes of a system call or an access.
    AccessBytes,
    /// Bytes of the whole object.
    ObjectBytes,
    /// Threads.
    Threads,
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AccessBytes => "bytes at a time",
            Self::ObjectBytes => "size of the object",
            Self::Threads => "threads",
        })
    }
}

/// The points at which a row is measured.
#[derive(Clone, Copy, Debug)]
pub struct Points {
    /// What they are.
    pub axis: Axis,
    /// All of them.
    pub full: &'static [u64],
    /// Those of a quick run.
    pub quick: &'static [u64],
}

/// A row of the benchmark.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in results.
    pub name: &'static str,
    /// What a person reads.
    pub title: &'static str,
    /// What is done.
    pub work: Work,
    /// What its figures count.
    pub unit: Unit,
    /// On what.
    pub subjects: &'static [Subject],
    /// At which sizes or numbers, if at several.
    pub points: Option<Points>,
    /// What is to be reached.
    pub targets: &'static [Target],
}

impl Row {
    /// The points of a run; one `None` if the row has none.
    #[must_use]
    pub fn points(&self, is_quick: bool) -> Vec<Option<u64>> {
        match &self.points {
            None => vec![None],
            Some(points) => {
                let list = if is_quick { points.quick } else { points.full };
                list.iter().copied().map(Some).collect()
            }
        }
    }
}

/// What a subject is to reach, at every point of the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Who.
    pub subject: Subject,
    /// What.
    pub bound: Bound,
}

/// A bound on a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At most this.
    AtMost(f64),
    /// At most so many times the figure of that subject.
    Times(f64, Subject),
    /// At most so much more than the figure of that subject.
    Beyond(f64, Subject),
    /// The largest figure of the row is at most so many times the smallest.
    Flat(f64),
    /// The figure at the last point is at least so many times that at the first.
    Scales(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::Times(times, subject) => write!(f, "≤ {times} × {subject}"),
            Self::Beyond(more, subject) => write!(f, "≤ {subject} + {more}"),
            Self::Flat(times) => write!(f, "largest ≤ {times} × smallest"),
            Self::Scales(times) => write!(f, "≥ {times} × one thread"),
        }
    }
}

const fn at_most(subject: Subject, most: f64) -> Target {
    Target {
        subject,
        bound: Bound::AtMost(most),
    }
}

const fn times(subject: Subject, times: f64, of: Subject) -> Target {
    Target {
        subject,
        bound: Bound::Times(times, of),
    }
}

const fn beyond(subject: Subject, more: f64, than: Subject) -> Target {
    Target {
        subject,
        bound: Bound::Beyond(more, than),
    }
}

const fn flat(subject: Subject, times: f64) -> Target {
    Target {
        subject,
        bound: Bound::Flat(times),
    }
}

const fn scales(subject: Subject, times: f64) -> Target {
    Target {
        subject,
        bound: Bound::Scales(times),
    }
}

/// What Rust may cost more than C.
const RUST: f64 = 1.02;

const PAGE_RUST: Target = times(PoolPage, RUST, TwinPage);
const AROUND_RUST: Target = times(PoolAround, RUST, TwinAround);
const HUGE_RUST: Target = times(PoolHuge, RUST, TwinHuge);

/// Whatever can be mapped and touched.
const ALL: &[Subject] = &[
    PoolPage, PoolAround, PoolHuge, PoolEager, TwinPage, TwinAround, TwinHuge, Memfd, MemfdHuge,
    Tmpfs, Hugetlb, Anon, AnonHuge,
];
/// Whatever can be mapped again.
const FILES: &[Subject] = &[
    PoolPage, PoolAround, PoolHuge, PoolEager, TwinPage, TwinAround, TwinHuge, Memfd, MemfdHuge,
    Tmpfs, Hugetlb, Udmabuf,
];
/// Whatever can be read and written by system calls.
const READABLE: &[Subject] = &[
    PoolPage, PoolHuge, TwinPage, TwinHuge, Memfd, MemfdHuge, Tmpfs,
];

const CALL_SIZES: Option<Points> = Some(Points {
    axis: Axis::AccessBytes,
    full: &[1, 4, 16, 64, 256, 1024, 4096, 16384, 65536],
    quick: &[1, 4096],
});
const CHUNKS: Option<Points> = Some(Points {
    axis: Axis::AccessBytes,
    full: &[1, 100, 512, 1024, 2048, 4096, 8192, 10240],
    quick: &[100, 4096],
});
const OBJECT_SIZES: Option<Points> = Some(Points {
    axis: Axis::ObjectBytes,
    full: &[16 << 20, 64 << 20, 256 << 20, 1 << 30, 4 << 30],
    quick: &[16 << 20, 32 << 20],
});
const THREADS: Option<Points> = Some(Points {
    axis: Axis::Threads,
    full: &[1, 2],
    quick: &[1, 2],
});

/// Every row, in the order in which it is measured and shown.
pub const ROWS: &[Row] = &[
    Row {
        name: "map-call",
        title: "mmap() of all of a new object",
        work: Work::MapCall,
        unit: Unit::PerPage,
        subjects: ALL,
        points: None,
        targets: &[],
    },
    Row {
        name: "first-touch",
        title: "first touch, in order, the reserve full",
        work: Work::FirstTouch,
        unit: Unit::PerPage,
        subjects: ALL,
        points: None,
        targets: &[
            at_most(PoolHuge, 40.0),
            times(PoolHuge, 0.01, Memfd),
            times(PoolHuge, 0.01, Hugetlb),
            times(PoolAround, 0.25, Memfd),
            PAGE_RUST,
            AROUND_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "first-touch-settled",
        title: "first touch, and all work until the kernel rests again",
        work: Work::FirstTouchSettled,
        unit: Unit::PerPage,
        subjects: &[PoolPage, PoolAround, PoolHuge, PoolEager, Memfd],
        points: None,
        targets: &[],
    },
    Row {
        name: "write-again",
        title: "touch again (write) through a new mapping, in order",
        work: Work::WriteAgain,
        unit: Unit::PerPage,
        subjects: FILES,
        points: None,
        targets: &[
            at_most(PoolHuge, 20.0),
            times(PoolHuge, 0.01, Memfd),
            times(PoolHuge, 1.1, MemfdHuge),
            times(PoolHuge, 1.5, Hugetlb),
            times(PoolAround, 0.35, Memfd),
            PAGE_RUST,
            AROUND_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "read-again",
        title: "touch again (read) through a new mapping, in order",
        work: Work::ReadAgain,
        unit: Unit::PerPage,
        subjects: FILES,
        points: None,
        targets: &[PAGE_RUST, AROUND_RUST, HUGE_RUST],
    },
    Row {
        name: "random-fault",
        title: "one fault at a random page, nothing around it",
        work: Work::RandomFault,
        unit: Unit::PerPage,
        subjects: &[PoolPage, TwinPage, Memfd, Tmpfs],
        points: None,
        targets: &[times(PoolPage, 0.9, Memfd), PAGE_RUST],
    },
    Row {
        name: "cow",
        title: "private copy of one page",
        work: Work::Cow,
        unit: Unit::PerPage,
        subjects: &[
            PoolPage, PoolAround, PoolHuge, TwinPage, TwinAround, TwinHuge, Memfd, MemfdHuge, Tmpfs,
        ],
        points: None,
        targets: &[
            times(PoolPage, 1.0, Memfd),
            times(PoolAround, 1.0, Memfd),
            times(PoolHuge, 1.0, Memfd),
            PAGE_RUST,
            AROUND_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "munmap",
        title: "munmap() of all pages, touched",
        work: Work::Unmap,
        unit: Unit::PerPage,
        subjects: ALL,
        points: None,
        targets: &[
            times(PoolPage, 1.0, Memfd),
            times(PoolAround, 1.0, Memfd),
            times(PoolHuge, 1.0, Memfd),
            PAGE_RUST,
            AROUND_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "fork",
        title: "fork() beside a touched mapping, exit, wait",
        work: Work::Fork,
        unit: Unit::PerCall,
        subjects: ALL,
        points: None,
        targets: &[
            times(PoolPage, 1.0, Memfd),
            times(PoolHuge, 1.0, Memfd),
            PAGE_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "open-map-close",
        title: "open(), mmap() of one page, munmap(), close()",
        work: Work::OpenMapClose,
        unit: Unit::PerCall,
        subjects: &[PoolPage, PoolHuge, TwinPage, TwinHuge, Memfd, Tmpfs],
        points: None,
        targets: &[
            times(PoolPage, 1.0, Memfd),
            times(PoolHuge, 1.0, Memfd),
            PAGE_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "read-call",
        title: "read(2)",
        work: Work::ReadCall,
        unit: Unit::PerCall,
        subjects: READABLE,
        points: CALL_SIZES,
        targets: &[
            times(PoolPage, 1.0, Memfd),
            times(PoolHuge, 1.0, Memfd),
            PAGE_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "write-call",
        title: "write(2)",
        work: Work::WriteCall,
        unit: Unit::PerCall,
        subjects: READABLE,
        points: CALL_SIZES,
        targets: &[
            times(PoolPage, 1.0, Memfd),
            times(PoolHuge, 1.0, Memfd),
            PAGE_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "parallel-first-touch",
        title: "first touch of different pages by threads at once",
        work: Work::ParallelFirstTouch,
        unit: Unit::PagesPerMs,
        subjects: &[PoolPage, TwinPage, PoolAround, TwinAround, PoolHuge, Memfd],
        points: THREADS,
        targets: &[scales(PoolPage, 1.8), scales(PoolAround, 1.8)],
    },
    Row {
        name: "parallel-write-again",
        title: "touch again of different pages by threads at once",
        work: Work::ParallelWriteAgain,
        unit: Unit::PagesPerMs,
        subjects: &[PoolPage, TwinPage, PoolAround, TwinAround, PoolHuge, Memfd],
        points: THREADS,
        targets: &[scales(PoolPage, 1.8), scales(PoolAround, 1.8)],
    },
    Row {
        name: "lock-fallbacks",
        title: "faults of two threads that took mmap_lock",
        work: Work::LockFallbacks,
        unit: Unit::Faults,
        subjects: &[PoolPage, PoolAround, PoolHuge, Memfd],
        points: None,
        targets: &[
            at_most(PoolPage, 0.0),
            at_most(PoolAround, 0.0),
            at_most(PoolHuge, 0.0),
        ],
    },
    Row {
        name: "grown-first-touch",
        title: "first touch of the last 16 MiB, by size of the pool",
        work: Work::GrownFirstTouch,
        unit: Unit::PerPage,
        subjects: &[PoolAround, PoolHuge],
        points: OBJECT_SIZES,
        targets: &[flat(PoolAround, 1.1), flat(PoolHuge, 1.1)],
    },
    Row {
        name: "grown-write-again",
        title: "touch again of the last 16 MiB, by size of the pool",
        work: Work::GrownWriteAgain,
        unit: Unit::PerPage,
        subjects: &[PoolAround, PoolHuge],
        points: OBJECT_SIZES,
        targets: &[flat(PoolAround, 1.1), flat(PoolHuge, 1.1)],
    },
    Row {
        name: "overhead",
        title: "memory beside a resident page",
        work: Work::Overhead,
        unit: Unit::BytesPerPage,
        subjects: &[PoolPage, PoolHuge, Memfd],
        points: None,
        targets: &[beyond(PoolPage, 8.0, Memfd), beyond(PoolHuge, 8.0, Memfd)],
    },
    Row {
        name: "hole",
        title: "memory for a page of a hole",
        work: Work::Hole,
        unit: Unit::BytesPerPage,
        subjects: &[PoolPage, PoolHuge, Memfd],
        points: None,
        // An inode for 64 GiB of hole is not nothing.
        targets: &[at_most(PoolPage, 0.01), at_most(PoolHuge, 0.01)],
    },
    Row {
        name: "write-mapped",
        title: "sequential write, mapped",
        work: Work::WriteMapped,
        unit: Unit::PerByte,
        subjects: &[PoolAround, PoolHuge, Tmpfs],
        points: CHUNKS,
        targets: &[],
    },
    Row {
        name: "write-called",
        title: "sequential write, write(2)",
        work: Work::WriteCalled,
        unit: Unit::PerByte,
        subjects: &[PoolAround, PoolHuge, Tmpfs],
        points: CHUNKS,
        targets: &[],
    },
    Row {
        name: "read-mapped",
        title: "sequential read, mapped",
        work: Work::ReadMapped,
        unit: Unit::PerByte,
        subjects: &[PoolAround, PoolHuge, Tmpfs],
        points: CHUNKS,
        targets: &[],
    },
    Row {
        name: "read-called",
        title: "sequential read, read(2)",
        work: Work::ReadCalled,
        unit: Unit::PerByte,
        subjects: &[PoolAround, PoolHuge, Tmpfs],
        points: CHUNKS,
        targets: &[],
    },
    Row {
        name: "bytes-buffered",
        title: "byte by byte, through a buffer",
        work: Work::ReadBuffered,
        unit: Unit::PerByte,
        subjects: &[PoolAround, PoolHuge, Tmpfs],
        points: None,
        targets: &[],
    },
];
