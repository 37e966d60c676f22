// SPDX-License-Identifier: GPL-2.0

//! A model of `MMAP_POOL_SEAL` with `SEAL_WRITE` beside an `mmap(2)` that is shared and writable.
//!
//! `mmap_region()` (`mm/vma.c`) counts the mapping before it asks the driver, whose `mmap` looks at the
//! seals. `InodeGuard::seal` (`src/pool.rs`) keeps new mappings from being counted, adds the seal, and
//! lets them be counted again. A mapping that is counted after that must see the seal, or a sealed pool
//! can be written to.
//!
//! For memfd the question does not come up: `memfd_add_seals()` (`mm/memfd.c`) never lets mappings be
//! counted again, and `memfd_check_seals_mmap()` takes `VM_MAYWRITE` from those that only read, before
//! `mmap_region()` would count them. A driver's `mmap` comes too late for that.

use loom::sync::atomic::{fence, AtomicI32, AtomicU32, Ordering};
use loom::sync::Arc;
use loom::thread;

const SEAL_WRITE: u32 = 0x8;

/// What of the module is tried.
#[derive(Clone, Copy)]
struct Orders {
    /// Of the store that adds the seal.
    store: Ordering,
    /// Of a fence after it, if there is one.
    fence: Option<Ordering>,
    /// Of the load that looks for it.
    load: Ordering,
}

struct Pool {
    /// `address_space::i_mmap_writable`.
    nr_writable: AtomicI32,
    seals: AtomicU32,
    orders: Orders,
}

impl Pool {
    /// Returns whether the pool is mapped.
    fn map(&self) -> bool {
        // `mapping_map_writable()`: a conditional operation that returns a value orders everything if
        // it succeeds, and nothing if it does not.
        if !self.change_unless(1, |count| count < 0) {
            return false;
        }
        if self.seals.load(self.orders.load) & SEAL_WRITE != 0 {
            // `mapping_unmap_writable()`.
            self.nr_writable.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        // The mapping stays counted as long as it exists.
        true
    }

    /// Returns whether the pool is sealed.
    fn seal(&self) -> bool {
        // `mapping_deny_writable()`.
        if !self.change_unless(-1, |count| count > 0) {
            return false;
        }
        self.seals.store(SEAL_WRITE, self.orders.store);
        if let Some(order) = self.orders.fence {
            fence(order);
        }
        // `mapping_allow_writable()`: `atomic_inc()` orders nothing.
        self.nr_writable.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn change_unless(&self, by: i32, is_forbidden: fn(i32) -> bool) -> bool {
        let change = |count| (!is_forbidden(count)).then_some(count + by);
        self.nr_writable
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, change)
            .is_ok()
    }
}

/// Seals a pool and maps it at the same time: not both may succeed.
fn seal_beside_mmap(orders: Orders) {
    loom::model(move || {
        let pool = Arc::new(Pool {
            nr_writable: AtomicI32::new(0),
            seals: AtomicU32::new(0),
            orders,
        });
        let mapper = thread::spawn({
            let pool = pool.clone();
            move || pool.map()
        });
        let is_sealed = pool.seal();
        let is_mapped = mapper.join().unwrap();
        assert!(!(is_sealed && is_mapped), "a sealed pool can be written to");
    });
}

#[test]
fn a_fence_between_the_seal_and_the_count_keeps_sealed_pools_from_being_mapped() {
    for fence in [Ordering::Release, Ordering::SeqCst] {
        seal_beside_mmap(Orders {
            store: Ordering::Relaxed,
            fence: Some(fence),
            load: Ordering::Relaxed,
        });
    }
}

#[test]
#[should_panic = "a sealed pool can be written to"]
fn relaxed_operations_alone_let_a_sealed_pool_be_mapped() {
    seal_beside_mmap(Orders {
        store: Ordering::Relaxed,
        fence: None,
        load: Ordering::Relaxed,
    });
}

#[test]
#[should_panic = "a sealed pool can be written to"]
fn a_store_that_releases_and_a_load_that_acquires_do_not_help() {
    seal_beside_mmap(Orders {
        store: Ordering::Release,
        fence: None,
        load: Ordering::Acquire,
    });
}
