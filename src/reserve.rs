// SPDX-License-Identifier: GPL-2.0

//! The reserve: free lists of folios that are zeroed in advance, so that a page fault does not
//! zero.
//!
//! There is one set of free lists per NUMA node, with one list per order. A worker fills them with
//! folios that the page allocator gives without reclaim. A shrinker frees them when memory gets
//! short. An empty reserve is not an error: the caller zeroes a folio itself.
//!
//! Folios come from the page allocator, zeroed. A folio that leaves a pool goes back to the page
//! allocator, never to the reserve. So a program cannot see what a pool held before, and a page
//! that is still pinned is not used again.
//!
//! A folio in the reserve belongs to no pool. It counts neither against the limit of the pools nor
//! against a memory cgroup. When it enters a pool, the memory cgroup of the faulting task is
//! charged.
//!
//! # Locks
//!
//! Each node has a spinlock for its free lists. It is the innermost lock: no memory is allocated or
//! freed under it.

use crate::{
    mm::{
        cond_resched,
        folio::{
            NewFolio,
            NewFolioList, //
        },
        node::Node,
        policy::MemPolicy,
        shrinker::{
            self,
            Shrinker, //
        },
        work::{
            system_dfl,
            DisableOnDrop, //
        }, //
    },
    uapi::{
        self,
        Strategy, //
    }, //
};
use kernel::{
    alloc::AllocError,
    bindings::gfp_t,
    impl_has_work,
    new_spinlock,
    new_work,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// The free lists of all nodes.
#[pin_data]
pub(crate) struct Reserve {
    nodes: KVec<Pin<KBox<NodeReserve>>>,
    /// Pages that were not in the reserve.
    nr_misses: Atomic<u64>,
    /// Tells the worker to stop.
    is_closed: Atomic<bool>,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for Reserve { self.work }
}

/// The free lists of one node, and their lock.
#[pin_data]
struct NodeReserve {
    node: Node,
    #[pin]
    free: SpinLock<FreeLists>,
}

/// The free lists of one node, by order.
struct FreeLists {
    /// In descending order.
    lists: [FreeList; 3],
    /// Pages that were taken from the lists.
    nr_hits: u64,
}

impl FreeLists {
    fn nr_pages(&self) -> usize {
        self.lists.iter().map(FreeList::nr_pages).sum()
    }
}

/// Free folios of one order.
struct FreeList {
    order: u32,
    folios: NewFolioList,
    max_folios: usize,
}

impl FreeList {
    /// Returns an empty list for folios of `len_bytes` bytes in total.
    fn new(order: u32, len_bytes: u64) -> Self {
        Self {
            order,
            folios: NewFolioList::new(),
            max_folios: (len_bytes >> (PAGE_SHIFT + order as usize)) as usize,
        }
    }

    fn is_full(&self) -> bool {
        self.folios.len() >= self.max_folios
    }

    /// Returns whether half of the list is gone, so that the worker should run.
    fn is_due(&self) -> bool {
        self.folios.len() <= self.max_folios / 2 && !self.is_full()
    }

    fn nr_pages(&self) -> usize {
        self.folios.len() << self.order
    }
}

impl NodeReserve {
    /// Returns empty free lists for `len_bytes` bytes: half for huge pages, a quarter for folios of
    /// 64 KiB, a quarter for single pages.
    fn new(node: Node, len_bytes: u64) -> Result<Pin<KBox<Self>>> {
        let free = FreeLists {
            lists: [
                FreeList::new(Strategy::Huge.max_order(), len_bytes / 2),
                FreeList::new(Strategy::Around.max_order(), len_bytes / 4),
                FreeList::new(Strategy::Page.max_order(), len_bytes / 4),
            ],
            nr_hits: 0,
        };
        KBox::pin_init(
            pin_init!(Self {
                node,
                free <- new_spinlock!(free, "mmap_pool reserve"),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes a folio of `1 << order` pages, if there is one. Also returns whether the worker should
    /// run.
    ///
    /// Skips folios with a hardware memory error.
    fn take(&self, order: u32) -> (Option<NewFolio>, bool) {
        loop {
            let mut free = self.free.lock();
            let Some(list) = free
                .lists
                .iter_mut()
                .find(|list| list.order == order && list.max_folios > 0)
            else {
                return (None, false);
            };
            let folio = list.folios.pop();
            let is_due = list.is_due();
            let Some(folio) = folio else {
                return (None, is_due);
            };
            free.nr_hits += 1 << order;
            drop(free);
            if let Some(folio) = folio.intact() {
                return (Some(folio), is_due);
            }
            self.free.lock().nr_hits -= 1 << order;
        }
    }

    /// Fills all lists, until `goes_on` returns false or the page allocator has no free memory.
    fn fill(&self, goes_on: impl Fn() -> bool) {
        let missing = || {
            let free = self.free.lock();
            let lists = free.lists.iter().enumerate();
            let (index, list) = lists.rev().find(|(_, list)| !list.is_full())?;
            Some((index, list.order))
        };
        while let Some((index, order)) = missing().filter(|_| goes_on()) {
            let Ok(folio) = NewFolio::zeroed_in_advance(self.node, order) else {
                return;
            };
            self.free.lock().lists[index].folios.push(folio);
            cond_resched();
        }
    }

    /// Takes a folio of the highest order that is not empty.
    fn take_any(&self) -> Option<NewFolio> {
        let mut free = self.free.lock();
        free.lists.iter_mut().find_map(|list| list.folios.pop())
    }
}

impl Reserve {
    /// Returns an empty reserve for `len_bytes` bytes. [`Upkeep`] fills it.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    pub(crate) fn new(len_bytes: u64) -> Result<Arc<Self>> {
        let len_bytes = len_bytes / Node::all().count().max(1) as u64;
        let mut nodes = KVec::new();
        for node in Node::all().filter(|_| len_bytes > 0) {
            nodes.push(NodeReserve::new(node, len_bytes)?, GFP_KERNEL)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                nodes,
                nr_misses: Atomic::new(0),
                is_closed: Atomic::new(false),
                work <- new_work!("mmap_pool reserve"),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns a zeroed folio of `1 << order` pages for page `pgoff` of a pool.
    ///
    /// It comes from the free list of the node that `policy` chooses, or from the page allocator if
    /// that list is empty. Without `policy` the policy of the running task chooses.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` forbids it.
    pub(crate) fn folio(
        this: &Arc<Self>,
        policy: Option<&MemPolicy>,
        gfp: gfp_t,
        order: u32,
        pgoff: usize,
    ) -> Result<NewFolio, AllocError> {
        let node = match policy {
            Some(policy) => Some(policy.node(pgoff, order)).filter(|node| node.is_allowed()),
            None => Node::preferred(),
        };
        if let Some(reserve) = node.and_then(|node| this.of_node(node)) {
            let (folio, is_due) = reserve.take(order);
            if is_due {
                Self::fill_later(this);
            }
            if let Some(folio) = folio {
                return Ok(folio);
            }
        }
        let folio = match policy {
            Some(policy) => NewFolio::zeroed_by(policy, gfp, order, pgoff),
            None => NewFolio::zeroed(gfp, order),
        }?;
        this.nr_misses.add(1 << order, Relaxed);
        Ok(folio)
    }

    fn of_node(&self, node: Node) -> Option<&NodeReserve> {
        let reserve = self.nodes.iter().find(|reserve| reserve.node == node)?;
        Some(reserve)
    }

    fn fill_later(this: &Arc<Self>) {
        // An error means that it is queued already.
        let _ = system_dfl().enqueue(this.clone());
    }

    /// Fills in the members of `stat` that concern the reserve.
    pub(crate) fn describe(&self, stat: &mut uapi::Stat) {
        stat.nr_reserve_misses = self.nr_misses.load(Relaxed);
        for reserve in &self.nodes {
            let free = reserve.free.lock();
            stat.nr_reserve_pages += free.nr_pages() as u64;
            stat.nr_reserve_hits += free.nr_hits;
        }
    }
}

impl WorkItem for Reserve {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        for reserve in &this.nodes {
            reserve.fill(|| !this.is_closed.load(Relaxed));
        }
    }
}

/// An object is a page.
impl Shrinker for Reserve {
    fn count(&self, node: Node) -> usize {
        let reserve = self.of_node(node);
        reserve.map_or(0, |reserve| reserve.free.lock().nr_pages())
    }

    fn scan(&self, node: Node, nr_objects: usize) -> usize {
        let mut nr_freed = 0;
        while nr_freed < nr_objects {
            let Some(folio) = self.of_node(node).and_then(NodeReserve::take_any) else {
                break;
            };
            nr_freed += folio.nr_pages();
        }
        nr_freed
    }
}

/// The worker and the shrinker of a reserve. Dropping it stops both; the last pool then frees the
/// reserve.
pub(crate) struct Upkeep {
    _shrinker: shrinker::Registration<Reserve>,
    worker: DisableOnDrop<Reserve>,
}

impl Drop for Upkeep {
    /// Waits for the worker, which zeroes one more folio at most.
    fn drop(&mut self) {
        self.worker.0.is_closed.store(true, Relaxed);
    }
}

impl Upkeep {
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    pub(crate) fn new(reserve: &Arc<Reserve>) -> Result<Self> {
        let upkeep = Self {
            _shrinker: shrinker::Registration::new(c"mmap_pool", reserve.clone())?,
            worker: DisableOnDrop(reserve.clone()),
        };
        Reserve::fill_later(reserve);
        Ok(upkeep)
    }
}
