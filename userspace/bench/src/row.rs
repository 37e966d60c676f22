// SPDX-License-Identifier: MIT OR GPL-2.0

//! The list of all rows, with the targets of the pool.

use std::fmt;

use clap::ValueEnum;

use crate::subject::short::{
    POOL_AROUND, POOL_AUTO, POOL_EAGER, POOL_HUGE, POOL_PAGE, TWIN_AROUND, TWIN_AUTO, TWIN_HUGE,
    TWIN_PAGE,
};
use crate::subject::Subject;
use Subject::{Anon, AnonHuge, Disk, Hugetlb, Memfd, MemfdHuge, PoolOnDisk, Tmpfs, Udmabuf};

/// The guest in which a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guest {
    /// One processor, whose clock counts instructions.
    Instructions,
    /// The same, with little memory and a disk.
    Storage,
    /// Several processors, whose clock is that of the machine.
    Processors,
}

/// The work that a row measures. `measure/` has the code, or `processors.rs` for the rows of
/// [`Guest::Processors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `mmap` of all of a new object.
    MapCall,
    /// One write to each page of a new object, in order.
    FirstTouch,
    /// The same, with all work of the kernel until the reserve is full again.
    FirstTouchSettled,
    /// One write to each page of a full object through a new mapping, in order.
    WriteAgain,
    /// One read of each page of a full object through a new mapping, in order.
    ReadAgain,
    /// One write to every eighth page of a new object, in an order without neighbours. Per touched
    /// page.
    SparseFirstTouch,
    /// One write to every eighth page of a new object, in order. Per touched page.
    StrideFirstTouch,
    /// One write to each page of a new object, from the last to the first.
    DownwardFirstTouch,
    /// As [`WriteAgain`](Self::WriteAgain), in an order without neighbours.
    RandomFault,
    /// One write to each page of a private mapping of a full object.
    Cow,
    /// `munmap` of a mapping whose pages were all touched.
    Unmap,
    /// `fork` of a process with such a mapping, the child's exit, and `wait`.
    Fork,
    /// `open`, `mmap` of one page, `munmap`, `close`.
    OpenMapClose,
    /// `pread` of a full object. The point is the number of bytes.
    ReadCall,
    /// `pwrite` to a full object. The point is the number of bytes.
    WriteCall,
    /// The first touch of the last 16 MiB of an object. The point is the object's size.
    GrownFirstTouch,
    /// The second touch of the last 16 MiB of an object. The point is the object's size.
    GrownWriteAgain,
    /// Memory used for a resident page, minus the page itself.
    Overhead,
    /// Memory used for a page of an object that is one hole.
    Hole,
    /// Fills a new object through a mapping. The point is the bytes of a piece.
    WriteMapped,
    /// Fills a new object by `write`. The point is the bytes of a piece.
    WriteCalled,
    /// Adds up all bytes of a full object in a mapping. The point is the bytes of a piece.
    ReadMapped,
    /// Adds up all bytes of a full object by `read`. The point is the bytes of a piece.
    ReadCalled,
    /// Adds up all bytes of a full object, taking each from a buffer as `getc` does.
    ReadBuffered,
    /// Threads touch their own pages of one new object. The point is the number of threads.
    ParallelFirstTouch,
    /// Threads touch their own pages of one full object, through a new mapping. The point is the number
    /// of threads.
    ParallelWriteAgain,
    /// Faults that took `mmap_lock` while two threads touch pages of a new object.
    LockFallbacks,
    /// Locks that were contended while threads touch their own pages of a new object. The point is
    /// the number of threads.
    Contention,
    /// One write to each page of a disk's first bytes, in order, and `msync`. All threads of the kernel count.
    /// The point is the number of bytes.
    DiskWrite,
    /// One read of each page of a disk's first bytes, in order. All threads of the kernel count. The point is
    /// the number of bytes.
    DiskRead,
}

impl Work {
    /// Where it is measured.
    #[must_use]
    pub fn guest(self) -> Guest {
        match self {
            Self::ParallelFirstTouch
            | Self::ParallelWriteAgain
            | Self::LockFallbacks
            | Self::Contention => Guest::Processors,
            Self::DiskWrite | Self::DiskRead => Guest::Storage,
            _ => Guest::Instructions,
        }
    }

    /// Whether only some kernels have the counter.
    #[must_use]
    pub fn may_be_absent(self) -> bool {
        matches!(self, Self::LockFallbacks | Self::Contention)
    }
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Instructions per page.
    PerPage,
    /// Instructions per system call, or per group of calls.
    PerCall,
    /// Instructions per byte.
    PerByte,
    /// Bytes of memory per page.
    BytesPerPage,
    /// Pages per millisecond.
    PagesPerMs,
    /// Faults.
    Faults,
    /// Contended locks for 1000 pages.
    ContendedLocks,
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
            Self::ContendedLocks => "contended locks/1000 pages",
        })
    }
}

/// The meaning of a row's points.
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
    /// Their meaning.
    pub axis: Axis,
    /// All points.
    pub full: &'static [u64],
    /// The points of a quick run.
    pub quick: &'static [u64],
}

/// A row of the benchmark.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in results.
    pub name: &'static str,
    /// Its title in reports.
    pub title: &'static str,
    /// The work.
    pub work: Work,
    /// The unit of its figures.
    pub unit: Unit,
    /// The subjects that it is measured on.
    pub subjects: &'static [Subject],
    /// The points that it is measured at, if there are several.
    pub points: Option<Points>,
    /// The targets.
    pub targets: &'static [Target],
}

impl Row {
    /// The points of a run. A row without points has one `None`.
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

/// A target of a subject, at every point of the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The subject.
    pub subject: Subject,
    /// The bound on its figures.
    pub bound: Bound,
}

/// A bound on a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At most this figure.
    AtMost(f64),
    /// At most this multiple of another subject's figure.
    Times(f64, Subject),
    /// At most this much above another subject's figure.
    Beyond(f64, Subject),
    /// The largest figure of the row is at most this multiple of the smallest.
    Flat(f64),
    /// The figure at the last point is at least this multiple of the figure at the first.
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

/// The most that the pool in Rust may cost, relative to its C twin.
const RUST: f64 = 1.02;

const AUTO_RUST: Target = times(POOL_AUTO, RUST, TWIN_AUTO);
const PAGE_RUST: Target = times(POOL_PAGE, RUST, TWIN_PAGE);
const AROUND_RUST: Target = times(POOL_AROUND, RUST, TWIN_AROUND);
const HUGE_RUST: Target = times(POOL_HUGE, RUST, TWIN_HUGE);

/// The subjects that can be mapped and touched.
const ALL: &[Subject] = &[
    POOL_AUTO,
    POOL_PAGE,
    POOL_AROUND,
    POOL_HUGE,
    POOL_EAGER,
    TWIN_AUTO,
    TWIN_PAGE,
    TWIN_AROUND,
    TWIN_HUGE,
    Memfd,
    MemfdHuge,
    Tmpfs,
    Hugetlb,
    Anon,
    AnonHuge,
];
/// The subjects that can be mapped again.
const FILES: &[Subject] = &[
    POOL_AUTO,
    POOL_PAGE,
    POOL_AROUND,
    POOL_HUGE,
    POOL_EAGER,
    TWIN_AUTO,
    TWIN_PAGE,
    TWIN_AROUND,
    TWIN_HUGE,
    Memfd,
    MemfdHuge,
    Tmpfs,
    Hugetlb,
    Udmabuf,
];
/// The subjects that can be read and written by system calls.
const READABLE: &[Subject] = &[
    POOL_AUTO, POOL_PAGE, POOL_HUGE, TWIN_PAGE, TWIN_HUGE, Memfd, MemfdHuge, Tmpfs,
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
/// The largest is four times the memory of the guest.
const DISK_SIZES: Option<Points> = Some(Points {
    axis: Axis::ObjectBytes,
    full: &[64 << 20, 256 << 20, 512 << 20, 1 << 30, 2 << 30],
    quick: &[4 << 20, 8 << 20],
});
const THREADS: Option<Points> = Some(Points {
    axis: Axis::Threads,
    full: &[1, 2],
    quick: &[1, 2],
});
const MANY_THREADS: Option<Points> = Some(Points {
    axis: Axis::Threads,
    full: &[1, 2, 4, 8],
    quick: &[1, 2],
});

/// All rows, in the order in which they are measured and shown.
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
            at_most(POOL_AUTO, 100.0),
            at_most(POOL_HUGE, 40.0),
            times(POOL_HUGE, 0.01, Memfd),
            times(POOL_HUGE, 0.01, Hugetlb),
            times(POOL_AROUND, 0.25, Memfd),
            PAGE_RUST,
            AROUND_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "sparse-first-touch",
        title: "first touch of every eighth page, at random, the reserve full",
        work: Work::SparseFirstTouch,
        unit: Unit::PerPage,
        subjects: &[POOL_AUTO, POOL_PAGE, TWIN_AUTO, TWIN_PAGE, Memfd],
        points: None,
        targets: &[
            times(POOL_AUTO, RUST, POOL_PAGE),
            times(POOL_AUTO, 0.5, Memfd),
            AUTO_RUST,
            PAGE_RUST,
        ],
    },
    Row {
        name: "stride-first-touch",
        title: "first touch of every eighth page, in order, the reserve full",
        work: Work::StrideFirstTouch,
        unit: Unit::PerPage,
        subjects: &[POOL_AUTO, POOL_PAGE, POOL_HUGE, Memfd],
        points: None,
        targets: &[times(POOL_AUTO, 0.5, Memfd)],
    },
    Row {
        name: "downward-first-touch",
        title: "first touch, from the last page to the first, the reserve full",
        work: Work::DownwardFirstTouch,
        unit: Unit::PerPage,
        subjects: &[POOL_AUTO, POOL_PAGE, POOL_HUGE, Memfd],
        points: None,
        targets: &[times(POOL_AUTO, RUST, POOL_PAGE)],
    },
    Row {
        name: "first-touch-settled",
        title: "first touch, and all work until the kernel rests again",
        work: Work::FirstTouchSettled,
        unit: Unit::PerPage,
        subjects: &[
            POOL_AUTO,
            POOL_PAGE,
            POOL_AROUND,
            POOL_HUGE,
            POOL_EAGER,
            Memfd,
        ],
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
            at_most(POOL_AUTO, 16.0),
            at_most(POOL_HUGE, 20.0),
            times(POOL_HUGE, 0.01, Memfd),
            times(POOL_HUGE, 1.1, MemfdHuge),
            times(POOL_HUGE, 1.5, Hugetlb),
            times(POOL_AROUND, 0.35, Memfd),
            AUTO_RUST,
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
        targets: &[AUTO_RUST, PAGE_RUST, AROUND_RUST, HUGE_RUST],
    },
    Row {
        name: "random-fault",
        title: "one fault at a random page, nothing around it",
        work: Work::RandomFault,
        unit: Unit::PerPage,
        subjects: &[POOL_AUTO, POOL_PAGE, TWIN_PAGE, Memfd, Tmpfs],
        points: None,
        targets: &[times(POOL_PAGE, 0.9, Memfd), PAGE_RUST],
    },
    Row {
        name: "cow",
        title: "private copy of one page",
        work: Work::Cow,
        unit: Unit::PerPage,
        subjects: &[
            POOL_AUTO,
            POOL_PAGE,
            POOL_AROUND,
            POOL_HUGE,
            TWIN_PAGE,
            TWIN_AROUND,
            TWIN_HUGE,
            Memfd,
            MemfdHuge,
            Tmpfs,
        ],
        points: None,
        targets: &[
            times(POOL_PAGE, 1.0, Memfd),
            times(POOL_AROUND, 1.0, Memfd),
            times(POOL_HUGE, 1.0, Memfd),
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
            times(POOL_PAGE, 1.0, Memfd),
            times(POOL_AROUND, 1.0, Memfd),
            times(POOL_HUGE, 1.0, Memfd),
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
            times(POOL_PAGE, 1.0, Memfd),
            times(POOL_HUGE, 1.0, Memfd),
            PAGE_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "open-map-close",
        title: "open(), mmap() of one page, munmap(), close()",
        work: Work::OpenMapClose,
        unit: Unit::PerCall,
        subjects: &[
            POOL_AUTO, POOL_PAGE, POOL_HUGE, TWIN_PAGE, TWIN_HUGE, Memfd, Tmpfs,
        ],
        points: None,
        targets: &[
            times(POOL_PAGE, 1.0, Memfd),
            times(POOL_HUGE, 1.0, Memfd),
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
            times(POOL_PAGE, 1.0, Memfd),
            times(POOL_HUGE, 1.0, Memfd),
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
            times(POOL_PAGE, 1.0, Memfd),
            times(POOL_HUGE, 1.0, Memfd),
            PAGE_RUST,
            HUGE_RUST,
        ],
    },
    Row {
        name: "parallel-first-touch",
        title: "first touch of different pages by threads at once",
        work: Work::ParallelFirstTouch,
        unit: Unit::PagesPerMs,
        subjects: &[
            POOL_AUTO,
            POOL_PAGE,
            TWIN_PAGE,
            POOL_AROUND,
            TWIN_AROUND,
            POOL_HUGE,
            Memfd,
        ],
        points: THREADS,
        targets: &[scales(POOL_PAGE, 1.8), scales(POOL_AROUND, 1.8)],
    },
    Row {
        name: "parallel-write-again",
        title: "touch again of different pages by threads at once",
        work: Work::ParallelWriteAgain,
        unit: Unit::PagesPerMs,
        subjects: &[
            POOL_AUTO,
            POOL_PAGE,
            TWIN_PAGE,
            POOL_AROUND,
            TWIN_AROUND,
            POOL_HUGE,
            Memfd,
        ],
        points: THREADS,
        targets: &[scales(POOL_PAGE, 1.8), scales(POOL_AROUND, 1.8)],
    },
    Row {
        name: "lock-fallbacks",
        title: "faults of two threads that took mmap_lock",
        work: Work::LockFallbacks,
        unit: Unit::Faults,
        subjects: &[POOL_AUTO, POOL_PAGE, POOL_AROUND, POOL_HUGE, Memfd],
        points: None,
        targets: &[
            at_most(POOL_PAGE, 0.0),
            at_most(POOL_AROUND, 0.0),
            at_most(POOL_HUGE, 0.0),
        ],
    },
    Row {
        name: "contention",
        title: "contended locks at the first touch by threads at once",
        work: Work::Contention,
        unit: Unit::ContendedLocks,
        subjects: &[
            POOL_AUTO,
            POOL_PAGE,
            TWIN_PAGE,
            POOL_AROUND,
            POOL_HUGE,
            Memfd,
        ],
        points: MANY_THREADS,
        targets: &[
            times(POOL_AUTO, 1.0, Memfd),
            times(POOL_PAGE, 1.0, Memfd),
            times(POOL_AROUND, 1.0, Memfd),
            times(POOL_HUGE, 1.0, Memfd),
        ],
    },
    Row {
        name: "grown-first-touch",
        title: "first touch of the last 16 MiB, by size of the pool",
        work: Work::GrownFirstTouch,
        unit: Unit::PerPage,
        subjects: &[POOL_AUTO, POOL_AROUND, POOL_HUGE],
        points: OBJECT_SIZES,
        targets: &[
            flat(POOL_AUTO, 1.1),
            flat(POOL_AROUND, 1.1),
            flat(POOL_HUGE, 1.1),
        ],
    },
    Row {
        name: "grown-write-again",
        title: "touch again of the last 16 MiB, by size of the pool",
        work: Work::GrownWriteAgain,
        unit: Unit::PerPage,
        subjects: &[POOL_AUTO, POOL_AROUND, POOL_HUGE],
        points: OBJECT_SIZES,
        targets: &[
            flat(POOL_AUTO, 1.1),
            flat(POOL_AROUND, 1.1),
            flat(POOL_HUGE, 1.1),
        ],
    },
    Row {
        name: "overhead",
        title: "memory beside a resident page",
        work: Work::Overhead,
        unit: Unit::BytesPerPage,
        subjects: &[POOL_AUTO, POOL_PAGE, POOL_HUGE, Memfd],
        points: None,
        targets: &[beyond(POOL_PAGE, 8.0, Memfd), beyond(POOL_HUGE, 8.0, Memfd)],
    },
    Row {
        name: "hole",
        title: "memory for a page of a hole",
        work: Work::Hole,
        unit: Unit::BytesPerPage,
        subjects: &[POOL_AUTO, POOL_PAGE, POOL_HUGE, Memfd],
        points: None,
        // The inode itself takes some memory.
        targets: &[at_most(POOL_PAGE, 0.01), at_most(POOL_HUGE, 0.01)],
    },
    Row {
        name: "write-mapped",
        title: "sequential write, mapped",
        work: Work::WriteMapped,
        unit: Unit::PerByte,
        subjects: &[POOL_AUTO, POOL_AROUND, POOL_HUGE, Tmpfs],
        points: CHUNKS,
        targets: &[],
    },
    Row {
        name: "write-called",
        title: "sequential write, write(2)",
        work: Work::WriteCalled,
        unit: Unit::PerByte,
        subjects: &[POOL_AUTO, POOL_AROUND, POOL_HUGE, Tmpfs],
        points: CHUNKS,
        targets: &[],
    },
    Row {
        name: "read-mapped",
        title: "sequential read, mapped",
        work: Work::ReadMapped,
        unit: Unit::PerByte,
        subjects: &[POOL_AUTO, POOL_AROUND, POOL_HUGE, Tmpfs],
        points: CHUNKS,
        targets: &[],
    },
    Row {
        name: "read-called",
        title: "sequential read, read(2)",
        work: Work::ReadCalled,
        unit: Unit::PerByte,
        subjects: &[POOL_AUTO, POOL_AROUND, POOL_HUGE, Tmpfs],
        points: CHUNKS,
        targets: &[],
    },
    Row {
        name: "bytes-buffered",
        title: "byte by byte, through a buffer",
        work: Work::ReadBuffered,
        unit: Unit::PerByte,
        subjects: &[POOL_AUTO, POOL_AROUND, POOL_HUGE, Tmpfs],
        points: None,
        targets: &[],
    },
    Row {
        name: "disk-write",
        title: "one write to each page of a disk, and msync(), with 512 MiB of memory",
        work: Work::DiskWrite,
        unit: Unit::PerPage,
        subjects: &[PoolOnDisk, Disk],
        points: DISK_SIZES,
        targets: &[times(PoolOnDisk, 1.0, Disk)],
    },
    Row {
        name: "disk-read",
        title: "one read of each page of a disk, with 512 MiB of memory",
        work: Work::DiskRead,
        unit: Unit::PerPage,
        subjects: &[PoolOnDisk, Disk],
        points: DISK_SIZES,
        targets: &[times(PoolOnDisk, 1.0, Disk)],
    },
];
