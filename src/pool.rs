// SPDX-License-Identifier: GPL-2.0

//! A pool: an inode whose page cache is its memory.
//!
//! Page `pgoff` of the pool is page `pgoff` of the page cache. There is no other table of folios. A
//! page that the page cache does not hold is a hole, and reads as zeroes.
//!
//! [`fault`]: page faults. [`io`]: `read`, `write`, `lseek`, `fallocate`. [`policies`]: NUMA memory
//! policies. This file: size, seals, revocation, counts.
//!
//! # Locks
//!
//! In the order of locking:
//!
//! 1. the inode's lock: writers, and changes of the size;
//! 2. `mmap_lock` or a VMA lock: page faults;
//! 3. the invalidate lock of the page cache: exclusive to remove pages, shared to add one;
//! 4. the lock of a folio.
//!
//! A write copies under the inode's lock and the folio's lock, with page faults disabled: a fault
//! might need the same folio (`generic_perform_write()`). A read copies without a lock. Revocation
//! takes only the invalidate lock, so a writer that waits for a page of userspace does not block
//! it.

mod fault;
mod io;
mod policies;

pub(crate) use self::fault::PoolVmOps;
use self::{
    fault::Bounds,
    policies::Policies, //
};
use crate::{
    fs::{
        backing::Claims,
        inode::{
            Inode,
            InodeData,
            InodeGuard,
            MemoryData, //
        },
        pseudo::{
            FileSystemType,
            Mount, //
        }, //
    },
    mm::{
        folio::{
            pmd_order,
            LockedFolio, //
        },
        totalram_pages, //
    },
    reserve::Reserve,
    totals::{
        CountedPool,
        Totals, //
    },
    uapi::{
        self,
        Strategy, //
    }, //
};
use core::ops::Range;
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

static FILE_SYSTEM_TYPE: FileSystemType<Pool> = FileSystemType::new(c"mmap_pool");

/// The counts over all pools.
pub(crate) static TOTALS: Totals = Totals::new();

/// The driver's data in the inode of a pool.
#[pin_data]
pub(crate) struct Pool {
    _counted: CountedPool<'static>,
    kind: Kind,
    strategy: Strategy,
    /// Pages of a huge page, which a PMD entry maps, or 0 if this pool has no folio as large.
    nr_huge_pages: usize,
    reserve: Arc<Reserve>,
    /// `uapi::SEAL_` bits. Changed under the inode's lock.
    seals: Atomic<u32>,
    /// Faults that found the page in the page cache, that allocated it, and that failed.
    nr_fault_hits: Atomic<u64>,
    nr_fault_misses: Atomic<u64>,
    nr_fault_refusals: Atomic<u64>,
    /// Extra pages of the folios that faults allocated.
    nr_batched_pages: Atomic<u64>,
    /// Faults that returned a huge page.
    nr_huge_faults: Atomic<u64>,
    nr_allocated_pages: Atomic<u64>,
    /// Single pages to add before the next large folio: as many as the last one had that could not be
    /// added, because a memory cgroup is at its limit. It was zeroed in vain, so an added page costs
    /// the zeroing of about two.
    nr_pages_to_wait: Atomic<i64>,
    #[pin]
    policies: Policies,
}

enum Kind {
    /// The pool of the device node. A write past its end fails with `ENOSPC`, as on a block device.
    Default { claims: Arc<Claims> },
    /// A pool with files of its own. A write past its end grows it, as with any file.
    Created { name: [u8; uapi::NAME_LEN] },
}

impl InodeData for Pool {
    /// "MPol".
    const MAGIC: u32 = 0x4d50_6f6c;

    fn file_system_type() -> &'static FileSystemType<Self> {
        &FILE_SYSTEM_TYPE
    }

    fn resize(pool: &InodeGuard<'_, Self>, len_bytes: u64) -> Result {
        pool.resize(len_bytes)
    }

    // Without the attribute the compiler emits a call.
    #[inline(always)]
    fn check_write(pool: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<usize> {
        pool.check_write(pos, len)
    }

    fn nr_blocks(pool: &Inode<Self>) -> u64 {
        (pool.page_cache().nr_pages() as u64) << (PAGE_SHIFT - 9)
    }
}

impl MemoryData for Pool {
    fn max_order(&self) -> u32 {
        self.strategy.max_order()
    }

    #[inline]
    fn write_begin(pool: &InodeGuard<'_, Self>, pos: u64, len: usize) -> Result<LockedFolio> {
        pool.write_begin(pos, len)
    }

    fn pages_removed(nr_pages: usize) {
        TOTALS.uncharge(nr_pages);
    }
}

impl Pool {
    fn new(kind: Kind, strategy: Strategy, reserve: Arc<Reserve>) -> impl PinInit<Self, Error> {
        let seals = if strategy.keeps_pages() {
            uapi::SEAL_SHRINK
        } else {
            0
        };
        try_pin_init!(Self {
            _counted: TOTALS.count_pool(),
            kind,
            strategy,
            nr_huge_pages: match strategy.max_order() {
                order if order > 0 && order == pmd_order() => 1 << order,
                _ => 0,
            },
            reserve,
            seals: Atomic::new(seals),
            nr_fault_hits: Atomic::new(0),
            nr_fault_misses: Atomic::new(0),
            nr_fault_refusals: Atomic::new(0),
            nr_batched_pages: Atomic::new(0),
            nr_huge_faults: Atomic::new(0),
            nr_allocated_pages: Atomic::new(0),
            nr_pages_to_wait: Atomic::new(0),
            policies <- Policies::new(),
        })
    }

    /// Returns the largest size of the default pool: the machine's memory, rounded down to MiB.
    pub(crate) fn max_default_len_bytes() -> u64 {
        ((totalram_pages() as u64) << PAGE_SHIFT) & !((1 << 20) - 1)
    }

    /// Creates the pool of the device node.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory for its inode.
    /// - Otherwise as [`InodeGuard::resize`].
    pub(crate) fn new_default(
        mount: &Mount<Self>,
        len_bytes: u64,
        strategy: Strategy,
        reserve: Arc<Reserve>,
        claims: Arc<Claims>,
    ) -> Result<ARef<Inode<Self>>> {
        let pool = Inode::new(
            mount,
            Self::new(Kind::Default { claims }, strategy, reserve),
        )?;
        pool.lock()?.resize(len_bytes)?;
        Ok(pool)
    }

    /// Returns the data of a pool with files of its own.
    pub(crate) fn created(
        name: [u8; uapi::NAME_LEN],
        strategy: Strategy,
        reserve: Arc<Reserve>,
    ) -> impl PinInit<Self, Error> {
        Self::new(Kind::Created { name }, strategy, reserve)
    }

    fn is_sealed(&self, seal: u32) -> bool {
        self.seals.load(Relaxed) & seal != 0
    }
}

impl Inode<Pool> {
    /// Returns whether this is the pool of the device node.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self.data().kind, Kind::Default { .. })
    }

    /// Returns the name given to `CREATE`.
    pub(crate) fn name(&self) -> &CStr {
        match &self.data().kind {
            Kind::Default { .. } => c"",
            Kind::Created { name } => CStr::from_bytes_until_nul(name).unwrap_or(c""),
        }
    }

    /// Checks that the pool was not revoked.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    pub(crate) fn check_alive(&self) -> Result {
        if self.is_revoked() {
            Err(ENODEV)
        } else {
            Ok(())
        }
    }

    /// Returns the reserve that the pool takes folios from.
    pub(crate) fn reserve(&self) -> &Arc<Reserve> {
        &self.data().reserve
    }

    /// Returns the claims on files that back pools, if this is the pool of the device node.
    pub(crate) fn claims(&self) -> Option<&Arc<Claims>> {
        match &self.data().kind {
            Kind::Default { claims } => Some(claims),
            Kind::Created { .. } => None,
        }
    }

    /// Returns whether the pool is sealed against writing.
    pub(crate) fn is_write_sealed(&self) -> bool {
        self.data().is_sealed(uapi::SEAL_WRITE)
    }

    /// Returns the counts of page faults, with their names. `faults` is the sum of hits, misses and
    /// failed faults.
    pub(crate) fn fault_counts(&self) -> [(&CStr, u64); 5] {
        let pool = self.data();
        [
            (c"faults", self.nr_faults()),
            (c"fault-hits", pool.nr_fault_hits.load(Relaxed)),
            (c"fault-misses", pool.nr_fault_misses.load(Relaxed)),
            (c"batched-pages", pool.nr_batched_pages.load(Relaxed)),
            (c"huge-faults", pool.nr_huge_faults.load(Relaxed)),
        ]
    }

    fn nr_faults(&self) -> u64 {
        let pool = self.data();
        [
            &pool.nr_fault_hits,
            &pool.nr_fault_misses,
            &pool.nr_fault_refusals,
        ]
        .iter()
        .map(|count| count.load(Relaxed))
        .sum()
    }

    /// Revokes the pool: every later access fails with `ENODEV` or `SIGBUS`. Does not wait for
    /// writers.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked before.
    /// - `EPERM`: the strategy keeps the pages.
    pub(crate) fn revoke_pool(&self) -> Result {
        self.check_alive()?;
        if self.data().strategy.keeps_pages() {
            return Err(EPERM);
        }
        if self.revoke() {
            Ok(())
        } else {
            Err(ENODEV)
        }
    }

    /// Describes the pool.
    pub(crate) fn info(&self) -> uapi::Info {
        let mut flags = 0;
        if self.is_default() {
            flags |= uapi::FLAG_DEFAULT;
        }
        if self.check_alive().is_err() {
            flags |= uapi::FLAG_REVOKED;
        }
        uapi::Info {
            size_bytes: self.len_bytes(),
            nr_resident_pages: self.page_cache().nr_pages() as u64,
            nr_faults: self.nr_faults(),
            nr_allocated_pages: self.data().nr_allocated_pages.load(Relaxed),
            page_size_bytes: PAGE_SIZE as u32,
            abi_version: uapi::ABI_VERSION,
            seals: self.data().seals.load(Relaxed),
            flags,
            strategy: self.data().strategy as u32,
            reserved: [0; 3],
        }
    }

    /// Returns the size in pages, rounded up.
    pub(crate) fn nr_pages(&self) -> usize {
        pages(0, self.len_bytes()).end
    }
}

impl InodeGuard<'_, Pool> {
    /// Changes the size.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EPERM`: a seal forbids it.
    /// - `EINVAL`: the size is beyond a file's bounds.
    /// - Otherwise as [`Self::fill_up_to`].
    pub(crate) fn resize(&self, len_bytes: u64) -> Result {
        self.check_alive()?;
        let forbidden = match len_bytes.cmp(&self.len_bytes()) {
            core::cmp::Ordering::Less => uapi::SEAL_SHRINK,
            core::cmp::Ordering::Equal => 0,
            core::cmp::Ordering::Greater => uapi::SEAL_GROW,
        };
        if self.data().is_sealed(forbidden) {
            return Err(EPERM);
        }
        self.fill_up_to(len_bytes)?;
        self.set_len(len_bytes)
    }

    /// If the strategy keeps pages, allocates those from the end of the pool to `len_bytes`. The
    /// caller is about to resize the pool to `len_bytes`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the size is beyond a file's bounds.
    /// - Otherwise as [`Self::allocate_all`].
    #[inline(never)]
    fn fill_up_to(&self, len_bytes: u64) -> Result {
        if !self.data().strategy.keeps_pages() || len_bytes <= self.len_bytes() {
            return Ok(());
        }
        // Check before memory is allocated.
        i64::try_from(len_bytes)?;
        self.allocate_all(pages(self.len_bytes(), len_bytes), Bounds::up_to(len_bytes))
    }

    /// Adds `seals`. Seals are never removed.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: the pool was revoked.
    /// - `EINVAL`: an unknown seal.
    /// - `EPERM`: the pool is sealed against more seals.
    /// - `EBUSY`: a seal against writing, while a writable shared mapping exists.
    pub(crate) fn seal(&self, seals: u32) -> Result {
        const ALL: u32 = uapi::SEAL_SEAL | uapi::SEAL_SHRINK | uapi::SEAL_GROW | uapi::SEAL_WRITE;

        self.check_alive()?;
        if seals & !ALL != 0 {
            return Err(EINVAL);
        }
        if self.data().is_sealed(uapi::SEAL_SEAL) {
            return Err(EPERM);
        }
        let _guard = if seals & uapi::SEAL_WRITE != 0 {
            Some(self.page_cache().deny_writable()?)
        } else {
            None
        };
        let old = self.data().seals.load(Relaxed);
        self.data().seals.store(old | seals, Relaxed);
        Ok(())
    }
}

/// Returns the pages that contain the bytes from `start` to `end`.
fn pages(start: u64, end: u64) -> Range<usize> {
    let end = end.div_ceil(PAGE_SIZE as u64);
    (start >> PAGE_SHIFT) as usize..end as usize
}

#[kunit_tests(mmap_pool_pool)]
mod tests {
    use super::*;
    use crate::fs::pseudo::InternalMount;

    /// Returns a pool and its mount. Dropping the mount waits for the pool.
    fn pool(
        len_bytes: u64,
        strategy: Strategy,
    ) -> Result<(InternalMount<Pool>, ARef<Inode<Pool>>)> {
        let mount = InternalMount::new()?;
        let pool = Pool::created([0; uapi::NAME_LEN], strategy, Reserve::new(0..=0)?);
        let pool = Inode::new(&mount, pool)?;
        pool.lock()?.resize(len_bytes)?;
        Ok((mount, pool))
    }

    #[test]
    fn bytes_lie_in_pages() {
        let page = PAGE_SIZE as u64;
        assert_eq!(pages(0, 0), 0..0);
        assert_eq!(pages(0, 1), 0..1);
        assert_eq!(pages(page - 1, page + 1), 0..2);
        assert_eq!(pages(page, 2 * page), 1..2);
    }

    #[test]
    fn a_fault_allocates_once_and_not_past_the_end() -> Result {
        let (_mount, pool) = pool(4 * PAGE_SIZE as u64, Strategy::Page)?;
        drop(pool.fault(3)?);
        drop(pool.fault(3)?);
        let refused = pool.fault(4).err();
        let info = pool.info();
        assert!(refused == Some(ENXIO));
        assert_eq!(info.nr_resident_pages, 1);
        assert_eq!(info.nr_allocated_pages, 1);
        assert_eq!(info.nr_faults, 3);
        Ok(())
    }

    #[test]
    fn a_smaller_pool_has_fewer_pages() -> Result {
        let (_mount, pool) = pool(64 * PAGE_SIZE as u64, Strategy::Around)?;
        drop(pool.fault(0)?);
        drop(pool.fault(63)?);
        let before = pool.info().nr_resident_pages;
        pool.lock()?.resize(PAGE_SIZE as u64)?;
        let after = pool.info().nr_resident_pages;
        assert_eq!(before, 32);
        assert_eq!(after, 1);
        Ok(())
    }

    #[test]
    fn a_pool_that_is_gone_holds_nothing() -> Result {
        let before = TOTALS.stat();
        let (_mount, pool) = pool(8 * PAGE_SIZE as u64, Strategy::Page)?;
        pool.prefault(0, 8 * PAGE_SIZE as u64)?;
        let within = TOTALS.stat();
        drop(pool);
        let after = TOTALS.stat();
        assert_eq!(within.nr_pools, before.nr_pools + 1);
        assert_eq!(within.nr_resident_pages, before.nr_resident_pages + 8);
        assert_eq!(after.nr_pools, before.nr_pools);
        assert_eq!(after.nr_resident_pages, before.nr_resident_pages);
        Ok(())
    }

    #[test]
    fn a_revoked_pool_has_no_pages() -> Result {
        let (_mount, pool) = pool(8 * PAGE_SIZE as u64, Strategy::Page)?;
        drop(pool.fault(0)?);
        pool.revoke_pool()?;
        assert!(pool.check_alive().err() == Some(ENODEV));
        assert!(pool.fault(0).err() == Some(ENODEV));
        assert_eq!(pool.info().nr_resident_pages, 0);
        Ok(())
    }
}
