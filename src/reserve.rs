// SPDX-License-Identifier: GPL-2.0

//! The reserve: free lists of folios that are zeroed in advance, so that a page fault does not
//! zero.
//!
//! There is one set of free lists per NUMA node, with one list per order. A worker fills them with
//! folios that the page allocator gives without reclaim. A shrinker frees them when memory gets
//! short. An empty reserve is not an error: the caller zeroes a folio itself.
//!
//! # Policy
//!
//! The parameter `reserve_mb` bounds the reserve. Each node has the same part of it. At first, half
//! of it has room for huge pages, a quarter for single pages, and the rest for the orders in
//! between ([`FreeLists::new`]). Demand moves the room: an order whose list was empty gets twice
//! as much as it missed, from the orders that use less than half of theirs ([`FreeLists::rebalance`]). So
//! every order is there, and the largest part is for what the pools use. A folio is never split,
//! because the kernel exports no function for that: a small folio that is not there is zeroed by
//! the caller.
//!
//! On an idle machine the reserve costs its memory. The worker runs only after a folio was taken or
//! missed. The shrinker gives back all of it.
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
            pmd_order,
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
    uapi, //
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
    /// In ascending order of their folios, from single pages to huge pages.
    lists: KVec<FreeList>,
    /// Pages that were taken from the lists.
    nr_hits: u64,
}

impl FreeLists {
    /// Returns empty lists for `nr_pages` pages.
    ///
    /// Half is for huge pages, a quarter for single pages. The rest is for the orders in between: from
    /// the largest on, each gets half of what is left. What is too little for a folio goes to the next
    /// order, and at last to single pages. So there is room for as many folios of each order as a walk
    /// in order needs, and no part is left over.
    fn new(nr_pages: usize) -> Result<Self> {
        let mut lists = KVec::new();
        for order in 0..=pmd_order() {
            lists.push(FreeList::new(order), GFP_KERNEL)?;
        }
        let mut nr_left = nr_pages;
        let mut nr_single = 0;
        for list in lists.iter_mut().skip(1).rev() {
            list.max_folios = (nr_left / 2) >> list.order;
            nr_left -= list.max_pages();
            if nr_single == 0 {
                nr_single = nr_left / 2;
                nr_left -= nr_single;
            }
        }
        if let Some(list) = lists.first_mut() {
            list.max_folios = nr_left + nr_single;
        }
        Ok(Self { lists, nr_hits: 0 })
    }

    fn nr_pages(&self) -> usize {
        self.lists.iter().map(FreeList::nr_pages).sum()
    }

    /// Gives room to the orders that ran out of folios, from the orders that have more room than they
    /// used twice. Together they keep the same room. Called before the lists are filled.
    fn rebalance(&mut self) {
        for needy in 0..self.lists.len() {
            let order = self.lists[needy].order;
            // Twice, because a list is filled again only when half of it is gone.
            let nr_wanted = (2 * self.lists[needy].nr_missed) << order;
            let mut nr_given = 0;
            while nr_given < nr_wanted {
                let lists = self.lists.iter_mut();
                let Some(donor) = lists.max_by_key(|list| list.nr_unused_pages()) else {
                    break;
                };
                let most = (donor.nr_unused_pages() / 2) >> donor.order;
                let nr_folios = most.min((nr_wanted - nr_given).div_ceil(1 << donor.order));
                if nr_folios == 0 {
                    break;
                }
                donor.max_folios -= nr_folios;
                nr_given += nr_folios << donor.order;
            }
            let nr_folios = nr_given.min(nr_wanted) >> order;
            self.lists[needy].max_folios += nr_folios;
            // The rest is more than was wanted, or too little for a folio.
            self.lists[0].max_folios += nr_given - (nr_folios << order);
        }
        for list in &mut self.lists {
            (list.nr_taken, list.nr_missed) = (0, 0);
        }
    }

    /// Takes a folio for which there is no room any more.
    fn pop_surplus(&mut self) -> Option<NewFolio> {
        let mut lists = self.lists.iter_mut();
        let list = lists.find(|list| list.folios.len() > list.max_folios)?;
        list.folios.pop()
    }
}

/// Free folios of one order.
struct FreeList {
    order: u32,
    folios: NewFolioList,
    max_folios: usize,
    /// Folios that were taken, and that were not there, since the last [`FreeLists::rebalance`].
    nr_taken: usize,
    nr_missed: usize,
}

impl FreeList {
    fn new(order: u32) -> Self {
        Self {
            order,
            folios: NewFolioList::new(),
            max_folios: 0,
            nr_taken: 0,
            nr_missed: 0,
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

    fn max_pages(&self) -> usize {
        self.max_folios << self.order
    }

    /// Returns the room beyond twice what was used.
    fn nr_unused_pages(&self) -> usize {
        let nr_used = 2 * (self.nr_taken + self.nr_missed);
        self.max_folios.saturating_sub(nr_used) << self.order
    }
}

impl NodeReserve {
    /// Returns empty free lists for `nr_pages` pages.
    fn new(node: Node, nr_pages: usize) -> Result<Pin<KBox<Self>>> {
        let free = FreeLists::new(nr_pages)?;
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
            let Some(list) = free.lists.get_mut(order as usize) else {
                return (None, false);
            };
            let Some(folio) = list.folios.pop() else {
                list.nr_missed += 1;
                return (None, true);
            };
            list.nr_taken += 1;
            let is_due = list.is_due();
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
        self.free.lock().rebalance();
        while let Some(folio) = self.pop_surplus() {
            drop(folio);
            cond_resched();
        }
        let missing = || {
            let free = self.free.lock();
            let list = free.lists.iter().find(|list| !list.is_full())?;
            Some(list.order)
        };
        while let Some(order) = missing().filter(|_| goes_on()) {
            let Ok(folio) = NewFolio::zeroed_in_advance(self.node, order) else {
                return;
            };
            self.free.lock().lists[order as usize].folios.push(folio);
            cond_resched();
        }
    }

    fn pop_surplus(&self) -> Option<NewFolio> {
        self.free.lock().pop_surplus()
    }

    /// Takes a folio of the highest order that is not empty.
    fn take_any(&self) -> Option<NewFolio> {
        let mut free = self.free.lock();
        let mut lists = free.lists.iter_mut().rev();
        lists.find_map(|list| list.folios.pop())
    }
}

impl Reserve {
    /// Returns an empty reserve for `len_bytes` bytes. [`Upkeep`] fills it.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    pub(crate) fn new(len_bytes: u64) -> Result<Arc<Self>> {
        let nr_pages = (len_bytes >> PAGE_SHIFT) as usize / Node::all().count().max(1);
        let mut nodes = KVec::new();
        for node in Node::all().filter(|_| nr_pages > 0) {
            nodes.push(NodeReserve::new(node, nr_pages)?, GFP_KERNEL)?;
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

#[kunit_tests(mmap_pool_reserve)]
mod tests {
    use super::*;

    fn nr_max_pages(free: &FreeLists) -> usize {
        free.lists.iter().map(FreeList::max_pages).sum()
    }

    #[test]
    fn no_page_of_the_reserve_is_left_over() -> Result {
        for nr_pages in [0, 1, 7, 511, 1024, 2049, 4096, 9999, 131_072] {
            assert_eq!(nr_max_pages(&FreeLists::new(nr_pages)?), nr_pages);
        }
        Ok(())
    }

    #[test]
    fn each_order_has_a_folio_if_there_is_room_for_a_huge_page_in_a_quarter() -> Result {
        let free = FreeLists::new(4 << pmd_order())?;
        assert!(free.lists.iter().all(|list| list.max_folios > 0));
        Ok(())
    }

    #[test]
    fn demand_moves_room_and_keeps_the_sum() -> Result {
        let nr_pages = 16 << pmd_order();
        let mut free = FreeLists::new(nr_pages)?;
        for needy in 0..free.lists.len() {
            let before = free.lists[needy].max_folios;
            free.lists[needy].nr_missed = 1000;
            free.rebalance();
            assert_eq!(nr_max_pages(&free), nr_pages);
            assert!(free.lists[needy].max_folios >= before);
        }
        // The last was the largest, and it has the most now.
        let huge = free.lists.last().map_or(0, FreeList::max_pages);
        assert!(huge > nr_pages / 2);
        Ok(())
    }

    #[test]
    fn an_order_that_uses_half_of_its_room_keeps_it() -> Result {
        let mut free = FreeLists::new(16 << pmd_order())?;
        for list in free.lists.iter_mut().skip(1) {
            list.nr_taken = list.max_folios.div_ceil(2);
        }
        let before: usize = free.lists.iter().skip(1).map(FreeList::max_pages).sum();
        free.lists[0].nr_missed = 1 << pmd_order();
        free.rebalance();
        let after: usize = free.lists.iter().skip(1).map(FreeList::max_pages).sum();
        assert_eq!(after, before);
        Ok(())
    }

    #[test]
    fn an_order_gets_twice_as_much_as_it_missed() -> Result {
        let mut free = FreeLists::new(16 << pmd_order())?;
        let before = free.lists[1].max_folios;
        free.lists[1].nr_missed = 3;
        free.rebalance();
        assert_eq!(free.lists[1].max_folios, before + 6);
        Ok(())
    }
}
