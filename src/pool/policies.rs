// SPDX-License-Identifier: GPL-2.0

//! NUMA memory policies of ranges of a pool: on which nodes their pages are allocated.
//!
//! A policy belongs to the pool, not to a mapping. `mbind()` on a shared mapping sets it for all
//! shared mappings, for `write` and for `fallocate`.
//!
//! C: `struct shared_policy`, `include/linux/mempolicy.h`. It is not exported to modules.

use crate::{
    fs::inode::Inode,
    mm::policy::MemPolicy,
    pool::Pool, //
};
use core::ops::Range;
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    }, //
};

/// The policies of a pool.
///
/// The lock is taken after `mmap_lock` and the inode's. Nothing is allocated under it.
#[pin_data]
pub(super) struct Policies<P = MemPolicy> {
    /// Whether a policy was ever set.
    is_used: Atomic<bool>,
    /// Disjoint ranges with a policy, by their end.
    #[pin]
    areas: Mutex<RBTree<usize, Area<P>>>,
}

/// The policy of the pages from `start` on.
struct Area<P> {
    start: usize,
    policy: P,
}

impl<P: Clone + PartialEq + Unpin> Policies<P> {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            is_used: Atomic::new(false),
            areas <- new_mutex!(RBTree::new(), "mmap_pool policies"),
        })
    }

    /// Calls `what` with the policy of `pages`, or with `None` if they have no policy.
    ///
    /// A policy is large. The closure avoids moving it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EXDEV`: the pages have different policies.
    #[inline]
    pub(super) fn with<R>(
        &self,
        pages: Range<usize>,
        what: impl FnOnce(Option<&P>) -> R,
    ) -> Result<R> {
        if !self.is_used.load(Relaxed) {
            return Ok(what(None));
        }
        let policy = self.find(pages)?;
        Ok(what(policy.as_ref()))
    }

    #[inline(never)]
    fn find(&self, pages: Range<usize>) -> Result<Option<P>> {
        let areas = self.areas.lock();
        // The range with page `pgoff`, or the next range.
        let area_at = |pgoff: usize| areas.cursor_lower_bound(&(pgoff + 1));
        let Some(cursor) = area_at(pages.start) else {
            return Ok(None);
        };
        let (&first_end, first) = cursor.current();
        if pages.end <= first.start {
            return Ok(None);
        }
        if pages.start < first.start {
            return Err(EXDEV);
        }
        // Adjacent ranges may have equal policies.
        let mut end = first_end;
        while end < pages.end {
            let cursor = area_at(end).ok_or(EXDEV)?;
            let (&next_end, next) = cursor.current();
            if next.start > end || next.policy != first.policy {
                return Err(EXDEV);
            }
            end = next_end;
        }
        Ok(Some(first.policy.clone()))
    }

    /// Replaces the policy of `pages`. `None` removes it.
    fn set(&self, pages: Range<usize>, policy: Option<P>) -> Result {
        if pages.is_empty() || (policy.is_none() && !self.is_used.load(Relaxed)) {
            return Ok(());
        }
        let start = pages.start;
        let new = policy
            .map(|policy| RBTreeNode::new(pages.end, Area { start, policy }, GFP_KERNEL_ACCOUNT))
            .transpose()?;
        // Setting the middle of a range splits it in two.
        let mut spare = Some(RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?);
        let mut areas = self.areas.lock();
        while let Some(mut cursor) = areas.cursor_lower_bound_mut(&(start + 1)) {
            let (&end, area) = cursor.current_mut();
            if area.start >= pages.end {
                break;
            }
            // The parts before and after the new range keep their policy.
            let before = (area.start < start).then(|| Area {
                start: area.start,
                policy: area.policy.clone(),
            });
            let node = if end > pages.end {
                area.start = pages.end;
                spare.take()
            } else {
                Some(cursor.remove_current().1.into_reservation())
            };
            if let Some((before, node)) = before.zip(node) {
                areas.insert(node.into_node(start, before));
            }
            if end > pages.end {
                break;
            }
        }
        if let Some(new) = new {
            areas.insert(new);
            self.is_used.store(true, Relaxed);
        }
        Ok(())
    }
}

impl Inode<Pool> {
    /// Sets the policy for later allocations of `pages`. Without `policy`, that of the task
    /// decides.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    ///
    /// C: `mpol_set_shared_policy()`, `mm/mempolicy.c`.
    pub(crate) fn set_policy(&self, pages: Range<usize>, policy: Option<MemPolicy>) -> Result {
        self.data().policies.set(pages, policy)
    }
}

#[kunit_tests(mmap_pool_policies)]
mod tests {
    use super::*;

    const NR_PAGES: usize = 8;

    /// Returns all ranges of the first pages.
    fn ranges() -> impl Iterator<Item = Range<usize>> {
        (0..NR_PAGES).flat_map(|start| (start + 1..=NR_PAGES).map(move |end| start..end))
    }

    /// Asserts that the first pages have these policies, page by page and range by range.
    fn assert_all(policies: &Policies<u32>, expected: &[Option<u32>; NR_PAGES]) {
        for pages in ranges() {
            let expected = &expected[pages.clone()];
            let first = expected[0];
            let is_one = expected.iter().all(|&policy| policy == first);
            let found = policies.with(pages, |policy| policy.copied());
            assert!(found.ok() == is_one.then_some(first));
        }
    }

    #[test]
    fn without_policies_there_is_none() -> Result {
        let policies = &*KBox::pin_init(Policies::new(), GFP_KERNEL)?;
        policies.set(0..NR_PAGES, None)?;
        assert_all(policies, &[None; NR_PAGES]);
        Ok(())
    }

    /// Sets every range after every other range, and compares with an array.
    #[test]
    fn the_last_policy_of_a_page_counts() -> Result {
        for first in ranges() {
            for second in ranges() {
                let policies = &*KBox::pin_init(Policies::new(), GFP_KERNEL)?;
                let mut expected = [None; NR_PAGES];
                for (pages, policy) in [
                    (first.clone(), Some(1)),
                    (second.clone(), None),
                    (2..6, Some(3)),
                    (first.clone(), Some(3)),
                    (second.clone(), Some(2)),
                    (3..4, None),
                ] {
                    policies.set(pages.clone(), policy)?;
                    expected[pages].fill(policy);
                    assert_all(policies, &expected);
                }
            }
        }
        Ok(())
    }
}
