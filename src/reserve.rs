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
//! The reserve has room for `reserve_mb` at least, and for `reserve_max_mb` at most (parameters of
//! the module). Each node has the same part of both. At first there is room for the least: half of
//! it for the largest folios, a quarter for single pages, the rest for the orders between
//! ([`FreeLists::new`]).
//!
//! The room follows demand each time the worker runs ([`FreeLists::follow_demand`]). An order whose
//! list was empty gets twice as much as the page allocator gave instead: first what the most
//! allows, then from the orders that use less than half of their room. If no list was empty, room
//! beyond the least that is not used shrinks by half. So every order is there, and the largest part
//! is for what the pools use. If the page allocator has no folios of an order, the room is for
//! smaller ones ([`FreeLists::give_up`]). A folio is never split, because the kernel exports no
//! function for that: a small folio that is not there is zeroed by the caller.
//!
//! On an idle machine the reserve costs its memory, and no time: the worker runs only after a folio
//! was taken or missed. When memory gets short, the shrinker gives back all folios, and the room
//! beyond the least.
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
    strategy::largest_order,
    uapi, //
};
use core::ops::RangeInclusive;
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
    /// In ascending order of their folios, from single pages to the largest.
    lists: KVec<FreeList>,
    /// How many pages there is room for.
    bounds: RangeInclusive<usize>,
    /// Pages that were taken from the lists.
    nr_hits: u64,
}

impl FreeLists {
    /// Returns empty lists with room for the least pages of `bounds`.
    ///
    /// Half is for the largest, a quarter for single pages. The rest is for the orders in between: from
    /// the largest on, each gets half of what is left. What is too little for a folio goes to the next
    /// order, and at last to single pages. So there is room for as many folios of each order as a walk
    /// in order needs, and no part is left over.
    fn new(bounds: RangeInclusive<usize>) -> Result<Self> {
        let mut lists = KVec::new();
        for order in 0..=largest_order() {
            lists.push(FreeList::new(order), GFP_KERNEL)?;
        }
        let mut nr_left = *bounds.start();
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
        Ok(Self {
            lists,
            bounds,
            nr_hits: 0,
        })
    }

    fn nr_pages(&self) -> usize {
        self.lists.iter().map(FreeList::nr_pages).sum()
    }

    /// Returns how many pages there is room for.
    fn max_pages(&self) -> usize {
        self.lists.iter().map(FreeList::max_pages).sum()
    }

    /// Gives room to the orders that ran out of folios, and takes it from those that do not use it.
    /// Called before the lists are filled.
    fn follow_demand(&mut self) {
        let is_idle = |list: &FreeList| list.nr_taken == 0 && list.nr_missed == 0;
        if self.lists.iter().all(is_idle) {
            // The worker was queued while it ran, and has seen already what was taken.
            return;
        }
        for order in 0..self.lists.len() {
            // Twice, because a list is filled again only when half of it is gone.
            let nr_wanted = (2 * self.lists[order].nr_missed) << order;
            let nr_allowed = self.bounds.end().saturating_sub(self.max_pages());
            let nr_new = nr_wanted.min(nr_allowed) >> order << order;
            let nr_moved = self.take_unused(nr_wanted - nr_new);
            let nr_folios = (nr_new + nr_moved).min(nr_wanted) >> order;
            self.lists[order].max_folios += nr_folios;
            // The rest is more than was wanted, or too little for a folio.
            self.lists[0].max_folios += nr_new + nr_moved - (nr_folios << order);
        }
        if self.lists.iter().all(|list| list.nr_missed == 0) {
            self.shrink();
        }
        for list in &mut self.lists {
            (list.nr_taken, list.nr_missed) = (0, 0);
        }
    }

    /// Takes half of the room that is not used, as long as there is more than the least.
    fn shrink(&mut self) {
        let mut nr_surplus = self.max_pages() - *self.bounds.start();
        for list in self.lists.iter_mut().rev() {
            let nr_folios = (list.nr_unused_pages() / 2).min(nr_surplus) >> list.order;
            list.max_folios -= nr_folios;
            nr_surplus -= nr_folios << list.order;
        }
    }

    /// Takes the room of at least `nr_wanted` pages that is not used, if there is as much. Returns the
    /// pages.
    fn take_unused(&mut self, nr_wanted: usize) -> usize {
        let mut nr_pages = 0;
        while nr_pages < nr_wanted {
            // Half of a single large folio is none.
            let spare = |list: &FreeList| list.nr_unused_pages() / 2 >> list.order;
            let donors = self.lists.iter_mut().filter(|list| spare(list) > 0);
            let Some(donor) = donors.max_by_key(|list| list.nr_unused_pages()) else {
                break;
            };
            let nr_folios = spare(donor).min((nr_wanted - nr_pages).div_ceil(1 << donor.order));
            donor.max_folios -= nr_folios;
            nr_pages += nr_folios << donor.order;
        }
        nr_pages
    }

    /// Takes the empty room of this order and the larger ones: the page allocator has no such folios.
    /// What is not more than the least goes to the next smaller folios, which may still be had.
    fn give_up(&mut self, order: u32) {
        let nr_surplus = self.max_pages() - *self.bounds.start();
        let mut nr_pages = 0;
        for list in self.lists.iter_mut().skip(order as usize) {
            let nr_folios = list.max_folios.saturating_sub(list.folios.len());
            list.max_folios -= nr_folios;
            nr_pages += nr_folios << list.order;
        }
        let nr_kept = nr_pages.saturating_sub(nr_surplus);
        let smaller = order.saturating_sub(1);
        self.lists[smaller as usize].max_folios += nr_kept.div_ceil(1 << smaller);
    }

    /// Takes a folio of the highest order that is not empty, and its room if there is more than the
    /// least.
    fn pop_largest(&mut self) -> Option<NewFolio> {
        let nr_surplus = self.max_pages() - *self.bounds.start();
        let mut lists = self.lists.iter_mut().rev();
        let list = lists.find(|list| list.folios.len() > 0)?;
        // A folio for which there is no room any more takes none with it.
        if nr_surplus >= 1 << list.order && list.folios.len() <= list.max_folios {
            list.max_folios -= 1;
        }
        list.folios.pop()
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
    /// Folios that were taken, and that only the page allocator had, since the last
    /// [`FreeLists::follow_demand`].
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
    /// Returns empty free lists that have room for as many pages as `bounds` allow.
    fn new(node: Node, bounds: RangeInclusive<usize>) -> Result<Pin<KBox<Self>>> {
        let free = FreeLists::new(bounds)?;
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
    fn take(&self, order: u32) -> Option<(NewFolio, bool)> {
        loop {
            let mut free = self.free.lock();
            let list = free.lists.get_mut(order as usize)?;
            let folio = list.folios.pop()?;
            list.nr_taken += 1;
            let is_due = list.is_due();
            free.nr_hits += 1 << order;
            drop(free);
            if let Some(folio) = folio.intact() {
                return Some((folio, is_due));
            }
            self.free.lock().nr_hits -= 1 << order;
        }
    }

    /// Counts a folio of `1 << order` pages that was not there, and that the page allocator had.
    fn miss(&self, order: u32) {
        if let Some(list) = self.free.lock().lists.get_mut(order as usize) {
            list.nr_missed += 1;
        }
    }

    /// Fills all lists, until `goes_on` returns false or the page allocator has no free page.
    fn fill(&self, goes_on: impl Fn() -> bool) {
        self.free.lock().follow_demand();
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
            let folio = NewFolio::zeroed_in_advance(self.node, order);
            let mut free = self.free.lock();
            match folio {
                Ok(folio) => free.lists[order as usize].folios.push(folio),
                Err(_) => {
                    free.give_up(order);
                    if order == 0 {
                        return;
                    }
                }
            }
            drop(free);
            cond_resched();
        }
    }

    fn pop_surplus(&self) -> Option<NewFolio> {
        self.free.lock().pop_surplus()
    }

    fn pop_largest(&self) -> Option<NewFolio> {
        self.free.lock().pop_largest()
    }
}

impl Reserve {
    /// Returns an empty reserve with room for as many bytes as `bounds` allow, on all nodes together.
    /// [`Upkeep`] fills it.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    pub(crate) fn new(bounds: RangeInclusive<u64>) -> Result<Arc<Self>> {
        let nr_nodes = Node::all().count().max(1);
        let pages = |len_bytes: u64| (len_bytes >> PAGE_SHIFT) as usize / nr_nodes;
        let bounds = pages(*bounds.start())..=pages(*bounds.end());
        let mut nodes = KVec::new();
        for node in Node::all().filter(|_| *bounds.end() > 0) {
            nodes.push(NodeReserve::new(node, bounds.clone())?, GFP_KERNEL)?;
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
        let reserve = node.and_then(|node| this.of_node(node));
        if let Some((folio, is_due)) = reserve.and_then(|reserve| reserve.take(order)) {
            if is_due {
                Self::fill_later(this);
            }
            return Ok(folio);
        }
        let folio = match policy {
            Some(policy) => NewFolio::zeroed_by(policy, gfp, order, pgoff),
            None => NewFolio::zeroed(gfp, order),
        }?;
        this.nr_misses.add(1 << order, Relaxed);
        // Not before: demand for what the page allocator does not have would empty the other lists.
        if let Some(reserve) = reserve {
            reserve.miss(order);
            Self::fill_later(this);
        }
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
            let Some(folio) = self.of_node(node).and_then(NodeReserve::pop_largest) else {
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

    /// Returns lists whose room stays the same.
    fn fixed(nr_pages: usize) -> Result<FreeLists> {
        FreeLists::new(nr_pages..=nr_pages)
    }

    #[test]
    fn no_page_of_the_reserve_is_left_over() -> Result {
        for nr_pages in [0, 1, 7, 511, 1024, 2049, 4096, 9999, 131_072] {
            assert_eq!(fixed(nr_pages)?.max_pages(), nr_pages);
        }
        Ok(())
    }

    #[test]
    fn each_order_has_a_folio_if_there_is_room_for_a_huge_page_in_a_quarter() -> Result {
        let free = fixed(4 << largest_order())?;
        assert!(free.lists.iter().all(|list| list.max_folios > 0));
        Ok(())
    }

    #[test]
    fn demand_moves_room_and_keeps_the_sum() -> Result {
        let nr_pages = 16 << largest_order();
        let mut free = fixed(nr_pages)?;
        for needy in 0..free.lists.len() {
            let before = free.lists[needy].max_folios;
            free.lists[needy].nr_missed = 1000;
            free.follow_demand();
            assert_eq!(free.max_pages(), nr_pages);
            assert!(free.lists[needy].max_folios >= before);
        }
        // The last was the largest, and it has the most now.
        let huge = free.lists.last().map_or(0, FreeList::max_pages);
        assert!(huge > nr_pages / 2);
        Ok(())
    }

    #[test]
    fn an_order_that_uses_half_of_its_room_keeps_it() -> Result {
        let mut free = fixed(16 << largest_order())?;
        for list in free.lists.iter_mut().skip(1) {
            list.nr_taken = list.max_folios.div_ceil(2);
        }
        let before: usize = free.lists.iter().skip(1).map(FreeList::max_pages).sum();
        free.lists[0].nr_missed = 1 << largest_order();
        free.follow_demand();
        let after: usize = free.lists.iter().skip(1).map(FreeList::max_pages).sum();
        assert_eq!(after, before);
        Ok(())
    }

    #[test]
    fn a_folio_that_cannot_be_halved_hides_no_other_donor() -> Result {
        let mut free = fixed(2 << largest_order())?;
        // One huge folio has the most pages.
        let nr_single = free.lists[0].max_folios;
        free.lists[1].nr_missed = nr_single;
        let before = free.lists[1].max_folios;
        free.follow_demand();
        assert!(free.lists[1].max_folios >= before + nr_single / 4);
        Ok(())
    }

    #[test]
    fn an_order_gets_twice_as_much_as_it_missed() -> Result {
        for max in [16, 32] {
            let mut free = FreeLists::new(16 << largest_order()..=max << largest_order())?;
            let before = free.lists[1].max_folios;
            free.lists[1].nr_missed = 3;
            free.follow_demand();
            assert_eq!(free.lists[1].max_folios, before + 6);
        }
        Ok(())
    }

    #[test]
    fn demand_adds_room_up_to_the_most() -> Result {
        let mut free = FreeLists::new(4 << largest_order()..=16 << largest_order())?;
        for (nr_missed, nr_huge_pages) in [(3, 10), (1, 12), (9, 16)] {
            for list in &mut free.lists {
                list.nr_taken = list.max_folios;
            }
            if let Some(list) = free.lists.last_mut() {
                list.nr_missed = nr_missed;
            }
            free.follow_demand();
            assert_eq!(free.max_pages(), nr_huge_pages << largest_order());
        }
        Ok(())
    }

    #[test]
    fn a_folio_without_room_takes_none_with_it() -> Result {
        let least = 4 << largest_order();
        let mut free = FreeLists::new(least..=4 * least)?;
        // Room has moved from one list to the next, and the worker has not freed the folios yet.
        free.lists[1].max_folios += free.lists[0].max_folios;
        free.lists[0].max_folios = 1;
        for _ in 0..4 {
            free.lists[0]
                .folios
                .push(NewFolio::zeroed_in_advance(Node::nearest(), 0)?);
        }
        for _ in 0..4 {
            drop(free.pop_largest());
        }
        assert_eq!(free.lists[0].max_folios, 0);
        assert!(free.max_pages() >= least);
        Ok(())
    }

    #[test]
    fn room_that_is_not_used_shrinks_to_the_least() -> Result {
        let (least, most) = (4 << largest_order(), 16 << largest_order());
        let mut free = FreeLists::new(least..=most)?;
        if let Some(list) = free.lists.last_mut() {
            list.max_folios += 12;
        }
        let mut before = most;
        // Nothing was asked for, so nothing is known.
        free.follow_demand();
        assert_eq!(free.max_pages(), most);
        for _ in 0..64 {
            free.lists[0].nr_taken = 1;
            free.follow_demand();
            assert!((least..=before).contains(&free.max_pages()));
            before = free.max_pages();
        }
        assert!(before < least + (2 << largest_order()));
        Ok(())
    }

    #[test]
    fn room_that_cannot_be_filled_is_free_for_smaller_folios() -> Result {
        let mut free = FreeLists::new(4 << largest_order()..=16 << largest_order())?;
        for list in free.lists.iter_mut().skip(4) {
            list.nr_missed = 1 << largest_order();
        }
        free.follow_demand();
        assert_eq!(free.max_pages(), 16 << largest_order());
        free.give_up(4);
        assert_eq!(free.max_pages(), 4 << largest_order());
        Ok(())
    }

    #[test]
    fn a_fixed_reserve_keeps_its_room_where_large_folios_cannot_be_had() -> Result {
        let nr_pages = 4 << largest_order();
        let mut free = fixed(nr_pages)?;
        for order in (0..=largest_order()).rev() {
            free.give_up(order);
            let (smaller, larger) = free.lists.split_at(order.max(1) as usize);
            assert!(larger.iter().all(|list| list.max_folios == 0));
            assert!(smaller.iter().all(|list| list.max_folios > 0));
            assert_eq!(free.max_pages(), nr_pages);
        }
        Ok(())
    }
}
