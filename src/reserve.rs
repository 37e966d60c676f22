// SPDX-License-Identifier: GPL-2.0

//! The reserve: folios that were zeroed in advance, so that a page fault need not.
//!
//! A worker fills it, with memory that nobody else asks for; it gives all of it back when memory gets
//! short. An empty reserve is no error: whoever finds it so zeroes a folio himself.
//!
//! Only folios that come zeroed from the page allocator get in, and what leaves a pool goes to the
//! page allocator, never back in here. So nobody can see what was in a pool before, and a page that
//! somebody still has pinned is not used again.
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
        folio::NewFolio,
        node::Node,
        shrinker::{self, Shrinker},
        work::{system_dfl, CancelOnDrop},
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
    nodes: KVec<Pin<KBox<Stock>>>,
    /// Pages.
    nr_misses: Atomic<u64>,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for Reserve { self.work }
}

/// The folios of one node.
#[pin_data]
struct Stock {
    node: Node,
    #[pin]
    shelves: SpinLock<Shelves>,
}

/// The folios of one node, by size.
struct Shelves {
    /// The largest folios come first.
    shelves: [Shelf; 3],
    /// Pages.
    nr_hits: u64,
}

impl Shelves {
    fn nr_pages(&self) -> usize {
        self.shelves.iter().map(Shelf::nr_pages).sum()
    }
}

/// Folios of one size.
struct Shelf {
    order: u32,
    /// Full when its capacity is used up.
    folios: KVec<NewFolio>,
}

impl Shelf {
    /// Returns an empty shelf for as many folios as fit into `len_bytes` bytes.
    fn new(order: u32, len_bytes: u64) -> Result<Self> {
        let nr_folios = (len_bytes >> (PAGE_SHIFT + order as usize)) as usize;
        Ok(Self {
            order,
            folios: KVec::with_capacity(nr_folios, GFP_KERNEL)?,
        })
    }

    fn is_full(&self) -> bool {
        self.folios.len() == self.folios.capacity()
    }

    fn nr_pages(&self) -> usize {
        self.folios.len() << self.order
    }
}

impl Stock {
    /// Returns an empty stock of at most `len_bytes` bytes: half of it for huge folios, a quarter for
    /// windows, a quarter for single pages.
    fn new(node: Node, len_bytes: u64) -> Result<Pin<KBox<Self>>> {
        let shelves = Shelves {
            shelves: [
                Shelf::new(Strategy::Huge.max_order(), len_bytes / 2)?,
                Shelf::new(Strategy::Around.max_order(), len_bytes / 4)?,
                Shelf::new(Strategy::Page.max_order(), len_bytes / 4)?,
            ],
            nr_hits: 0,
        };
        KBox::pin_init(
            pin_init!(Self {
                node,
                shelves <- new_spinlock!(shelves, "mmap_pool reserve"),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes a folio of `1 << order` pages, if there is one. Returns with it whether it is time to
    /// fill the shelf up: when half of it is gone, and when all of it is.
    fn take(&self, order: u32) -> (Option<NewFolio>, bool) {
        let mut guard = self.shelves.lock();
        let mut shelves = guard.shelves.iter_mut();
        match shelves.find(|shelf| shelf.order == order && !shelf.folios.is_empty()) {
            Some(Shelf { folios, .. }) => {
                let folio = folios.pop();
                let is_due = folios.len() == folios.capacity() / 2;
                guard.nr_hits += 1 << order;
                (folio, is_due)
            }
            None => {
                let mut shelves = guard.shelves.iter();
                let is_due = shelves.any(|shelf| shelf.order == order && !shelf.is_full());
                (None, is_due)
            }
        }
    }

    /// Fills up all shelves, as long as there is memory that nobody else asks for.
    fn fill(&self) {
        let missing = || {
            let guard = self.shelves.lock();
            let shelves = guard.shelves.iter().enumerate();
            let (index, shelf) = shelves.rev().find(|(_, shelf)| !shelf.is_full())?;
            Some((index, shelf.order))
        };
        while let Some((index, order)) = missing() {
            let Ok(folio) = NewFolio::zeroed_in_advance(self.node, order) else {
                return;
            };
            let mut guard = self.shelves.lock();
            let pushed = guard.shelves[index].folios.push_within_capacity(folio);
            drop(guard);
            // Nobody else adds folios.
            debug_assert!(pushed.is_ok());
            cond_resched();
        }
    }

    /// Takes a folio, the largest there is.
    fn take_any(&self) -> Option<NewFolio> {
        let mut guard = self.shelves.lock();
        guard
            .shelves
            .iter_mut()
            .find_map(|shelf| shelf.folios.pop())
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
            nodes.push(Stock::new(node, len_bytes)?, GFP_KERNEL)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                nodes,
                nr_misses: Atomic::new(0),
                work <- new_work!("mmap_pool reserve"),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns a zeroed folio of `1 << order` pages: from the reserve if it has one where the running
    /// task gets its memory from, else from the page allocator.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` forbids it.
    pub(crate) fn folio(this: &Arc<Self>, gfp: gfp_t, order: u32) -> Result<NewFolio, AllocError> {
        if let Some(stock) = this.preferred_stock() {
            let (folio, is_due) = stock.take(order);
            if is_due {
                Self::fill_later(this);
            }
            if let Some(folio) = folio {
                return Ok(folio);
            }
        }
        let folio = NewFolio::zeroed(gfp, order)?;
        this.nr_misses.add(1 << order, Relaxed);
        Ok(folio)
    }

    fn preferred_stock(&self) -> Option<&Stock> {
        let node = Node::preferred()?;
        let stock = self.nodes.iter().find(|stock| stock.node == node)?;
        Some(stock)
    }

    fn fill_later(this: &Arc<Self>) {
        // It may be queued already.
        let _ = system_dfl().enqueue(this.clone());
    }

    /// Adds what there is to say of the reserve to `stat`.
    pub(crate) fn describe(&self, stat: &mut uapi::Stat) {
        stat.nr_reserve_misses = self.nr_misses.load(Relaxed);
        for stock in &self.nodes {
            let shelves = stock.shelves.lock();
            stat.nr_reserve_pages += shelves.nr_pages() as u64;
            stat.nr_reserve_hits += shelves.nr_hits;
        }
    }
}

impl WorkItem for Reserve {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        for stock in &this.nodes {
            stock.fill();
        }
    }
}

/// The objects are pages.
impl Shrinker for Reserve {
    fn count(&self) -> usize {
        self.nodes
            .iter()
            .map(|stock| stock.shelves.lock().nr_pages())
            .sum()
    }

    fn scan(&self, nr_objects: usize) -> usize {
        let mut nr_freed = 0;
        while nr_freed < nr_objects {
            let Some(folio) = self.nodes.iter().find_map(|stock| stock.take_any()) else {
                break;
            };
            nr_freed += folio.nr_pages();
        }
        nr_freed
    }
}

/// What fills a reserve, and makes it shrink. Without it a reserve is a list, freed by whoever uses it
/// last; it has to be used no more by then.
pub(crate) struct Upkeep {
    _shrinker: shrinker::Registration<Reserve>,
    _worker: CancelOnDrop<Reserve>,
}

impl Upkeep {
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    pub(crate) fn new(reserve: &Arc<Reserve>) -> Result<Self> {
        let upkeep = Self {
            _shrinker: shrinker::Registration::new(c"mmap_pool", reserve.clone())?,
            _worker: CancelOnDrop(reserve.clone()),
        };
        Reserve::fill_later(reserve);
        Ok(upkeep)
    }
}
