// SPDX-License-Identifier: MIT OR GPL-2.0

//! Makes random operations.
//!
//! One seed gives one sequence, on every machine. The generator consults the model: most operations use
//! mappings and descriptors that exist, and the model can predict all of them.
//!
//! Most sequences use few pages, so that operations often meet. Some are [`Scale::Large`], and have
//! huge pages.

use oorandom::Rand64;

use crate::cast::{SignCast, UnsignedCast};
use crate::model::{Home, Model};
use crate::op::{
    Advice, AllocMode, Call, FileAdvice, MapFlags, Op, OpenFlags, Prot, RangeFlags, RemapFlags,
    SealBits, Sequence, SyncFlags, Whence,
};
use crate::{huge_pages, page_size, PROCESSES, SLOTS};

/// The amount of memory that a sequence uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A few pages.
    Small,
    /// A few huge pages.
    Large,
}

impl Scale {
    /// Pages of the arena in use.
    #[must_use]
    pub fn arena_pages(self) -> u64 {
        match self {
            Self::Small => 48,
            Self::Large => 4 * huge_pages(),
        }
    }

    /// The most pages of a new object.
    #[must_use]
    pub fn object_pages(self) -> u64 {
        match self {
            Self::Small => 16,
            Self::Large => 2 * huge_pages() + huge_pages() / 2,
        }
    }
}

/// The mix of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// All calls.
    Calls,
    /// Mostly reads and writes of pages.
    Bytes,
}

impl Theme {
    /// The scale of the sequence with this seed.
    #[must_use]
    pub const fn scale(self, seed: u64) -> Scale {
        // One in `every` sequences is large.
        let every = match self {
            Self::Calls => 16,
            // The kernel does more with huge pages.
            Self::Bytes => 4,
        };
        if seed % every == every - 1 {
            Scale::Large
        } else {
            Scale::Small
        }
    }
}

/// Makes a sequence of `nr_ops` operations for the kinds of a home.
#[must_use]
pub fn generate(theme: Theme, home: Home, seed: u64, nr_ops: usize) -> Sequence {
    let mut random = Random::new(seed, home, theme.scale(seed));
    random.theme = theme;
    let size = random.object_size();
    let mut ops = Vec::with_capacity(nr_ops);
    random.fill(&mut ops, size, nr_ops);
    Sequence { size, ops }
}

/// The weight of each operation: for [`Theme::Calls`], for [`Theme::Bytes`].
const WEIGHTS: &[(u64, u64, Draw)] = &[
    (80, 200, Random::load),
    (80, 200, Random::store),
    (60, 60, Random::mmap),
    (40, 200, Random::pread),
    (40, 300, Random::pwrite),
    (25, 50, Random::pread_to),
    (25, 50, Random::pwrite_from),
    (15, 50, Random::read),
    (15, 50, Random::write),
    (15, 15, Random::seek),
    (20, 8, Random::munmap),
    (25, 8, Random::mprotect),
    (30, 8, Random::mremap),
    (30, 20, Random::madvise),
    (8, 8, Random::msync),
    (10, 10, Random::mlock),
    (8, 8, Random::munlock),
    (12, 12, Random::mincore),
    (14, 4, Random::resize),
    (10, 4, Random::truncate),
    (18, 8, Random::punch),
    (18, 8, Random::fallocate),
    (8, 8, Random::prefault),
    (3, 0, Random::seal),
    (1, 0, Random::revoke),
    (20, 20, Random::info),
    (12, 12, Random::open),
    (8, 2, Random::close),
    (5, 5, Random::dup),
    (5, 1, Random::create),
    (5, 5, Random::pass),
    (8, 8, Random::sendfile),
    (8, 8, Random::copy_range),
    (2, 2, Random::fsync),
    (14, 4, Random::fork),
    (5, 1, Random::exit),
    (4, 1, Random::kill),
    (2, 2, Random::fdatasync),
    (2, 2, Random::sync_range),
    (2, 2, Random::write_durably),
    (2, 2, Random::fadvise),
    (1, 0, Random::dirty),
];

/// The weight of operations on backed pools, in addition.
const BACKED_WEIGHTS: &[(u64, u64, Draw)] = &[
    (25, 25, Random::msync),
    (8, 8, Random::fsync),
    (8, 8, Random::fdatasync),
    (12, 12, Random::sync_range),
    (20, 20, Random::write_durably),
    (8, 4, Random::sync_failing),
    (12, 12, Random::fadvise),
    (25, 25, Random::dirty),
    (10, 10, Random::unwritten),
    (60, 60, Random::stored),
    (4, 4, Random::drop_caches),
    (16, 8, Random::again),
    (10, 4, Random::close),
    (5, 2, Random::create),
    (10, 4, Random::munmap),
];

type Draw = fn(&mut Random, &Model, u8) -> Call;

/// The random generator of operations.
#[derive(Debug)]
pub struct Random {
    rand: Rand64,
    home: Home,
    scale: Scale,
    theme: Theme,
    /// The current process. It does several operations in a row.
    process: u8,
}

impl Random {
    /// A generator with this seed, for these kinds, of this scale.
    #[must_use]
    pub fn new(seed: u64, home: Home, scale: Scale) -> Self {
        Self {
            rand: Rand64::new(seed.into()),
            home,
            scale,
            theme: Theme::Calls,
            process: 0,
        }
    }

    /// A generator of the same home and scale, with a seed from this generator.
    #[must_use]
    pub fn another(&mut self) -> Self {
        Self::new(self.below(u64::MAX), self.home, self.scale)
    }

    /// Changes the scale of the operations that follow.
    pub fn set_scale(&mut self, scale: Scale) {
        self.scale = scale;
    }

    /// Adds predictable operations until there are `nr_ops`. The object has `size` bytes at first.
    pub fn fill(&mut self, ops: &mut Vec<Op>, size: u64, nr_ops: usize) {
        let mut model = Model::new(self.home.lead(), size);
        for op in &*ops {
            model.predict(op);
        }
        while ops.len() < nr_ops {
            let op = self.op(&model);
            if model.predict(&op).is_some() {
                ops.push(op);
            }
        }
    }

    /// Draws a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.rand.rand_range(0..end.max(1))
    }

    /// Draws an index of a list of `len` elements.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Draws `true` with this probability, in per cent.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Draws one element.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// Draws an operation.
    pub fn op(&mut self, model: &Model) -> Op {
        let processes: Vec<_> = model.processes().collect();
        if !processes.contains(&self.process) || self.chance(20) {
            self.process = self.pick(&processes);
        }
        let process = self.process;
        Op {
            process,
            call: self.call(model, process),
        }
    }

    fn call(&mut self, model: &Model, process: u8) -> Call {
        let theme = self.theme;
        let weight = |&(calls, bytes, _): &(u64, u64, Draw)| match theme {
            Theme::Calls => calls,
            Theme::Bytes => bytes,
        };
        let more = match self.home {
            Home::Memory => &[],
            Home::Storage => BACKED_WEIGHTS,
        };
        let rows = WEIGHTS.iter().chain(more);
        let mut at = self.below(rows.clone().map(weight).sum());
        for row in rows {
            match at.checked_sub(weight(row)) {
                Some(rest) => at = rest,
                None => return row.2(self, model, process),
            }
        }
        unreachable!("the number is below the total weight")
    }

    fn object_size(&mut self) -> u64 {
        let pages =
            self.or_huge(2, |random| random.below(random.scale.object_pages() + 1)) * page_size();
        if self.chance(40) {
            pages + self.within_page()
        } else {
            pages
        }
    }

    /// Draws a number of pages by `draw`. At the large scale, draws whole huge pages in 40 % of the
    /// cases: 1 to `end` of them.
    fn or_huge(&mut self, end: u64, draw: impl FnOnce(&mut Self) -> u64) -> u64 {
        if self.scale == Scale::Large && self.chance(40) {
            huge_pages() * (1 + self.below(end))
        } else {
            draw(self)
        }
    }

    /// Draws a number of pages: 1 to `end`, or many at the large scale.
    fn nr_pages(&mut self, end: u64) -> u64 {
        self.or_huge(2, |random| {
            let many = random.scale == Scale::Large && random.chance(40);
            1 + random.below(if many {
                huge_pages() + huge_pages() / 2
            } else {
                end
            })
        })
    }

    /// Draws any page of the arena. At the large scale, the first page of a huge page is likely.
    fn arena_page(&mut self) -> u64 {
        self.or_huge(3, |random| random.below(random.scale.arena_pages()))
    }

    /// Draws an offset in a page. The borders are likely.
    fn within_page(&mut self) -> u64 {
        match self.below(5) {
            0 => 1 + self.below(16),
            1 => page_size() - 1 - self.below(16),
            2 => self.below(page_size()),
            _ => 0,
        }
    }

    /// Draws a length: mostly a short one, sometimes some pages, sometimes 0.
    fn len(&mut self) -> u64 {
        match self.below(20) {
            0 => 0,
            1..=7 => 1 + self.below(32),
            8..=10 => self.below(page_size()),
            11..=15 => (1 + self.below(4)) * page_size(),
            _ => self.below(4) * page_size() + self.within_page(),
        }
    }

    /// Draws a length as [`Self::len`] does, or many pages at the large scale.
    fn span(&mut self) -> u64 {
        if self.scale == Scale::Large && self.chance(50) {
            self.nr_pages(8) * page_size()
        } else {
            self.len()
        }
    }

    fn any_slot(&mut self) -> u8 {
        u8::try_from(self.below(SLOTS as u64)).unwrap_or(0)
    }

    fn any_process(&mut self) -> u8 {
        u8::try_from(self.below(PROCESSES as u64)).unwrap_or(0)
    }

    /// Draws a slot, mostly one in use. Returns it and the size of its object.
    fn slot(&mut self, model: &Model, process: u8) -> (u8, u64) {
        let slots: Vec<_> = model.slots(process).collect();
        if slots.is_empty() || self.chance(3) {
            return (self.any_slot(), 4 * page_size());
        }
        self.pick(&slots)
    }

    /// Draws an offset in an object of `size` bytes, or near its end.
    fn off(&mut self, size: u64) -> u64 {
        let pages = size.div_ceil(page_size());
        match self.below(6) {
            0 => size,
            1 => size.saturating_sub(1 + self.below(100)),
            2 => size + self.below(100),
            _ => {
                self.or_huge(2, |random| random.below(pages + 2)) * page_size() + self.within_page()
            }
        }
    }

    fn signed_off(&mut self, size: u64) -> i64 {
        if self.chance(1) {
            -1
        } else {
            self.off(size).to_signed()
        }
    }

    /// Draws the address of a page of the arena, mostly of a mapped one.
    fn page(&mut self, model: &Model, process: u8) -> u64 {
        let nr_mapped = model.nr_mapped(process);
        if nr_mapped == 0 || self.chance(10) {
            return self.arena_page() * page_size();
        }
        let index = self.index(nr_mapped);
        let page = model.mapped(process, index).unwrap_or(0);
        if self.scale == Scale::Large && self.chance(40) {
            return page / huge_pages() * huge_pages() * page_size();
        }
        page * page_size()
    }

    /// Draws a range of pages. Sometimes it is empty, unaligned, or ends within a page.
    fn pages(&mut self, model: &Model, process: u8) -> (u64, u64) {
        let at = self.page(model, process);
        let len = self.nr_pages(6) * page_size();
        match self.below(60) {
            0 => (at, 0),
            1 => (at + 1, len),
            2..=6 => (at, len - self.below(page_size())),
            _ => (at, len),
        }
    }

    fn bytes(&mut self, model: &Model, process: u8) -> (u64, u64) {
        let at = self.page(model, process) + self.within_page();
        (at, self.len())
    }

    fn seed(&mut self) -> u8 {
        u8::try_from(1 + self.below(255)).unwrap_or(1)
    }

    fn prot(&mut self) -> Prot {
        // PROT_EXEC always comes with PROT_READ: alone it gets a protection key on some machines.
        Prot(self.pick(&[3, 3, 3, 3, 3, 1, 1, 1, 0, 2, 5, 7]))
    }

    fn load(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.bytes(model, process);
        Call::Load { at, len }
    }

    fn store(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.bytes(model, process);
        let seed = self.seed();
        Call::Store { at, len, seed }
    }

    fn mmap(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let mut flags = if self.chance(45) {
            libc::MAP_PRIVATE
        } else if self.chance(90) {
            libc::MAP_SHARED
        } else {
            self.pick(&[libc::MAP_SHARED_VALIDATE, 0])
        };
        flags |= match self.below(20) {
            0 => 0,
            1 | 2 => libc::MAP_FIXED_NOREPLACE,
            _ => libc::MAP_FIXED,
        };
        for (percent, flag) in [
            (12, libc::MAP_POPULATE),
            (3, libc::MAP_NONBLOCK),
            (5, libc::MAP_LOCKED),
            (8, libc::MAP_NORESERVE),
            (1, libc::MAP_SYNC),
        ] {
            if self.chance(percent) {
                flags |= flag;
            }
        }
        let at = self.arena_page() * page_size() + u64::from(self.chance(1));
        let len = match self.below(30) {
            0 => 0,
            1..=3 => 1 + self.below(3 * page_size()),
            _ => self.nr_pages(8) * page_size(),
        };
        let off = self.or_huge(2, |random| random.below(size / page_size() + 3));
        let off = off * page_size() + u64::from(self.chance(1));
        Call::Mmap {
            slot,
            at,
            len,
            off: if self.chance(40) { 0 } else { off },
            prot: self.prot(),
            flags: MapFlags(flags.to_bits()),
        }
    }

    fn munmap(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.pages(model, process);
        Call::Munmap { at, len }
    }

    fn mprotect(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.pages(model, process);
        let prot = self.prot();
        Call::Mprotect { at, len, prot }
    }

    fn mremap(&mut self, model: &Model, process: u8) -> Call {
        let at = self.page(model, process) + u64::from(self.chance(1));
        let old = self.or_huge(2, |random| random.below(6)) * page_size();
        let new = if self.chance(40) {
            old
        } else {
            self.or_huge(2, |random| random.below(9)) * page_size()
        };
        let flags = self.pick(&[
            0,
            libc::MREMAP_MAYMOVE,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP,
            libc::MREMAP_FIXED,
            8,
        ]);
        Call::Mremap {
            at,
            old,
            new,
            flags: RemapFlags(flags.to_bits()),
            to: self.arena_page() * page_size() + u64::from(self.chance(1)),
        }
    }

    fn madvise(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.pages(model, process);
        let advice = match self.below(10) {
            0..=2 => libc::MADV_DONTNEED,
            3 => libc::MADV_REMOVE,
            4 => self.pick(&[libc::MADV_POPULATE_READ, libc::MADV_POPULATE_WRITE]),
            5 if self.chance(10) => 9999,
            _ => self.pick(Advice::ALL),
        };
        let advice = Advice(advice);
        Call::Madvise { at, len, advice }
    }

    fn msync(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.pages(model, process);
        let flags = SyncFlags(u32::try_from(self.below(8)).unwrap_or(0));
        Call::Msync { at, len, flags }
    }

    fn mlock(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.pages(model, process);
        Call::Mlock { at, len }
    }

    fn munlock(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.pages(model, process);
        Call::Munlock { at, len }
    }

    fn mincore(&mut self, model: &Model, process: u8) -> Call {
        let (at, len) = self.pages(model, process);
        Call::Mincore { at, len }
    }

    fn read(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        let len = self.len();
        Call::Read { slot, len }
    }

    fn write(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        let (len, seed) = (self.len(), self.seed());
        Call::Write { slot, len, seed }
    }

    fn pread(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let (off, len) = (self.signed_off(size), self.len());
        Call::Pread { slot, off, len }
    }

    fn pwrite(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let (off, len, seed) = (self.signed_off(size), self.len(), self.seed());
        Call::Pwrite {
            slot,
            off,
            len,
            seed,
        }
    }

    fn pread_to(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let (at, len) = self.bytes(model, process);
        let off = self.signed_off(size);
        Call::PreadTo { slot, off, len, at }
    }

    fn pwrite_from(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let (at, len) = self.bytes(model, process);
        let off = self.signed_off(size);
        Call::PwriteFrom { slot, off, len, at }
    }

    fn seek(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let whence = self.pick(&[
            libc::SEEK_SET,
            libc::SEEK_CUR,
            libc::SEEK_END,
            libc::SEEK_DATA,
            libc::SEEK_DATA,
            libc::SEEK_HOLE,
            libc::SEEK_HOLE,
        ]);
        let off = match whence {
            libc::SEEK_CUR | libc::SEEK_END => 100 - self.below(2 * page_size()).to_signed(),
            _ => self.signed_off(size),
        };
        Call::Seek {
            slot,
            off,
            whence: Whence(whence),
        }
    }

    fn resize(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let size = if self.chance(50) {
            self.object_size()
        } else {
            self.off(size)
        };
        // The default pool's size must be whole pages.
        let size = if self.chance(60) {
            size.next_multiple_of(page_size())
        } else {
            size
        };
        Call::Resize { slot, size }
    }

    fn truncate(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let size = self.signed_off(size);
        Call::Truncate { slot, size }
    }

    fn punch(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let (off, len) = (self.off(size), self.span());
        Call::Punch { slot, off, len }
    }

    fn fallocate(&mut self, model: &Model, process: u8) -> Call {
        const KEEP: i32 = libc::FALLOC_FL_KEEP_SIZE;
        let (slot, size) = self.slot(model, process);
        let mode = self.pick(&[
            0,
            0,
            KEEP,
            KEEP,
            libc::FALLOC_FL_PUNCH_HOLE | KEEP,
            libc::FALLOC_FL_PUNCH_HOLE | KEEP,
            libc::FALLOC_FL_PUNCH_HOLE,
            libc::FALLOC_FL_ZERO_RANGE,
            libc::FALLOC_FL_ZERO_RANGE | KEEP,
        ]);
        Call::Fallocate {
            slot,
            mode: AllocMode(mode.to_bits()),
            off: self.signed_off(size),
            len: self.span().to_signed(),
        }
    }

    fn prefault(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let (off, len) = (self.off(size), self.span());
        Call::Prefault { slot, off, len }
    }

    fn seal(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        let seals = SealBits(self.pick(&[1, 2, 4, 8, 8, 8, 6, 12, 1 << 20]));
        Call::Seal { slot, seals }
    }

    fn revoke(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        Call::Revoke { slot }
    }

    fn info(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        Call::Info { slot }
    }

    fn open(&mut self, model: &Model, process: u8) -> Call {
        let (via, _) = self.slot(model, process);
        let mut flags = self.pick(&[libc::O_RDWR, libc::O_RDWR, libc::O_RDONLY, libc::O_WRONLY]);
        if self.chance(15) {
            flags |= libc::O_APPEND;
        }
        if self.chance(4) {
            flags |= libc::O_TRUNC;
        }
        Call::Open {
            slot: self.any_slot(),
            via,
            flags: OpenFlags(flags.to_bits()),
        }
    }

    fn close(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        Call::Close { slot }
    }

    fn dup(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        let to = self.any_slot();
        Call::Dup { slot, to }
    }

    fn create(&mut self, _: &Model, _: u8) -> Call {
        let slot = self.any_slot();
        let size = self.object_size();
        Call::Create { slot, size }
    }

    fn pass(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        Call::Pass {
            slot,
            receiver: self.any_process(),
            to: self.any_slot(),
        }
    }

    fn sendfile(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let (to, _) = self.slot(model, process);
        let (off, len) = (self.signed_off(size), self.len());
        Call::Sendfile { slot, off, len, to }
    }

    fn copy_range(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let to = if self.chance(50) {
            slot
        } else {
            self.slot(model, process).0
        };
        Call::CopyRange {
            slot,
            off: self.off(size),
            len: self.len(),
            to,
            to_off: self.off(size),
        }
    }

    fn fsync(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        Call::Fsync { slot }
    }

    fn fdatasync(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        Call::Fdatasync { slot }
    }

    fn sync_range(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let flags = self.pick(&[7, 7, 7, 0, 1, 2, 3, 6, 8]);
        Call::SyncRange {
            slot,
            off: self.signed_off(size),
            len: self.span().to_signed(),
            flags: RangeFlags(flags),
        }
    }

    fn write_durably(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        Call::WriteDurably {
            slot,
            off: self.off(size).to_signed(),
            len: self.len(),
            seed: self.seed(),
        }
    }

    /// On an object that can fail, this tells each open file of an error.
    fn sync_failing(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let nr_pages = size / page_size();
        let pgoff = self.below(nr_pages);
        Call::SyncFailing {
            slot,
            object: model.object_of(process, slot).unwrap_or(0),
            off: pgoff * page_size(),
            len: self.nr_pages(4).min(nr_pages.saturating_sub(pgoff)) * page_size(),
            seed: self.seed(),
        }
    }

    fn fadvise(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let advice = match self.below(20) {
            0 => 9999,
            1..=10 => libc::POSIX_FADV_DONTNEED,
            _ => self.pick(FileAdvice::ALL),
        };
        Call::Fadvise {
            slot,
            off: self.off(size).to_signed(),
            len: self.span().to_signed(),
            advice: FileAdvice(advice),
        }
    }

    fn dirty(&mut self, model: &Model, process: u8) -> Call {
        let (slot, size) = self.slot(model, process);
        let (off, len) = match self.below(10) {
            0..=3 => (0, size),
            4 => (self.off(size), self.span()),
            _ => {
                let off = self.below(size.div_ceil(page_size()).max(1)) * page_size();
                (off, self.span().min(size.saturating_sub(off)))
            }
        };
        Call::Dirty { slot, off, len }
    }

    fn unwritten(&mut self, model: &Model, process: u8) -> Call {
        let (slot, _) = self.slot(model, process);
        Call::Unwritten { slot }
    }

    fn stored(&mut self, model: &Model, _: u8) -> Call {
        let sizes: Vec<_> = model.stored_objects().collect();
        let (object, size) = sizes
            .get(self.index(sizes.len()))
            .map_or((0, 0), |&(o, size, _)| (o, size));
        Call::Stored {
            object,
            off: self.below(size.div_ceil(page_size())) * page_size(),
            len: self.nr_pages(6) * page_size(),
        }
    }

    fn drop_caches(_: &mut Self, _: &Model, _: u8) -> Call {
        Call::DropCaches {}
    }

    /// Mostly a pool on an object that is closed, if there is one.
    fn again(&mut self, model: &Model, _: u8) -> Call {
        let mut objects: Vec<_> = model.stored_objects().collect();
        if objects.iter().any(|(_, _, is_open)| !is_open) && self.chance(90) {
            objects.retain(|(_, _, is_open)| !is_open);
        }
        Call::Again {
            slot: self.any_slot(),
            object: objects
                .get(self.index(objects.len()))
                .map_or(0, |&(o, _, _)| o),
        }
    }

    fn fork(&mut self, _: &Model, _: u8) -> Call {
        let child = self.any_process();
        Call::Fork { child }
    }

    fn exit(_: &mut Self, _: &Model, _: u8) -> Call {
        Call::Exit {}
    }

    fn kill(_: &mut Self, _: &Model, _: u8) -> Call {
        Call::Kill {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of the longest mapping that the sequence makes.
    fn longest(seed: u64) -> u64 {
        let ops = generate(Theme::Calls, Home::Memory, seed, 200).ops;
        let len = |op: &Op| match op.call {
            Call::Mmap { len, .. } => len / page_size(),
            _ => 0,
        };
        ops.iter().map(len).max().unwrap_or(0)
    }

    #[test]
    fn large_sequences_and_no_others_map_huge_pages() {
        for seed in 0..64 {
            let is_large = Theme::Calls.scale(seed) == Scale::Large;
            assert_eq!(longest(seed) >= huge_pages(), is_large, "{seed}");
        }
    }
}
