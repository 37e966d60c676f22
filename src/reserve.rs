// SPDX-License-Identifier: GPL-2.0

//! The reserve: folios that were zeroed in advance, so that a page fault need not.
//!
//! A worker fills it, with memory that nothing else asks for; it gives all of it back when memory gets
//! short. An empty reserve is not an error: the caller zeroes a folio itself.
//!
//! Only folios that come zeroed from the page allocator get in, and what leaves a pool goes to the
//! page allocator, never back in here. So no program sees what was in a pool before, and a page that
//! is still pinned is not used again.
//!
//! What waits here belongs to no pool, is not counted against the limit of the pools, and charged to
//! no memory cgroup: that of the task that faults pays when the folio enters a pool.
//!
//! # Locks
//!
//! Each node has one, a spinlock, which is taken after all others. Nothing is allocated or freed
//! under it.

#![forbid(unsafe_code)]

use crate::{
    mm::{
        cond_resched,
        folio::{NewFolio, NewFolioList},
        node::Node,
        policy::MemPolicy,
        shrinker::{self, Shrinker},
        work::{system_dfl, DisableOnDrop},
    },
    strategy::Strategy,
    uapi,
};
use kernel::{
    alloc::AllocError,
    bindings::gfp_t,
    impl_has_work, new_spinlock, new_work,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, SpinLock,
    },
    workqueue::{Work, WorkItem},
};

/// Folios that were zeroed in advance, for all pools.
#[pin_data]
pub(crate) struct Reserve {
    nodes: KVec<Pin<KBox<NodeReserve>>>,
    /// Pages.
    nr_misses: Atomic<u64>,
    /// Whether the worker is to stop.
    is_closed: Atomic<bool>,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for Reserve { self.work }
}

/// The folios of one node.
#[pin_data]
struct NodeReserve {
    node: Node,
    #[pin]
    free: SpinLock<FreeLists>,
}

/// The folios of one node, by order.
struct FreeLists {
    /// The largest folios come first.
    lists: [FreeList; 3],
    /// Pages.
    nr_hits: u64,
}

impl FreeLists {
    fn nr_pages(&self) -> usize {
        self.lists.iter().map(FreeList::nr_pages).sum()
    }
}

/// Folios of one order.
struct FreeList {
    order: u32,
    folios: NewFolioList,
    max_folios: usize,
}

impl FreeList {
    /// Returns an empty list for as many folios as fit into `len_bytes` bytes.
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

    /// Returns whether it is time to fill the list up: half of it is gone.
    fn is_due(&self) -> bool {
        self.folios.len() <= self.max_folios / 2 && !self.is_full()
    }

    fn nr_pages(&self) -> usize {
        self.folios.len() << self.order
    }
}

impl NodeReserve {
    /// Returns an empty reserve of at most `len_bytes` bytes: half of it for huge folios, a quarter for
    /// windows, a quarter for single pages.
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

    /// Takes a folio of `1 << order` pages, if there is one. Returns with it whether it is time to
    /// fill its list up.
    ///
    /// A folio whose memory broke while it waited is not used.
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

    /// Fills up all lists, as long as `goes_on` and there is memory that nothing else asks for.
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

    /// Takes a folio, the largest there is.
    fn take_any(&self) -> Option<NewFolio> {
        let mut free = self.free.lock();
        free.lists.iter_mut().find_map(|list| list.folios.pop())
    }
}

impl Reserve {
    /// Returns a reserve of at most `len_bytes` bytes. It is empty before it has [`Upkeep`].
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory for its tables.
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

    /// Returns a zeroed folio of `1 << order` pages that is to hold page `pgoff` of a pool: from the
    /// reserve if it has one on the right node, else from the page allocator. `policy` says which node
    /// is right, or without one, what the running task asks for.
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
        // It may be queued already.
        let _ = system_dfl().enqueue(this.clone());
    }

    /// Adds what there is to say of the reserve to `stat`.
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

/// The objects are pages.
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

/// What fills a reserve, and makes it shrink. Without it a reserve is a list that is freed with its last
/// user.
pub(crate) struct Upkeep {
    _shrinker: shrinker::Registration<Reserve>,
    worker: DisableOnDrop<Reserve>,
}

impl Drop for Upkeep {
    /// Waits for one folio to be zeroed at most.
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
