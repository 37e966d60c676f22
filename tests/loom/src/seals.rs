// SPDX-License-Identifier: GPL-2.0

//! A model of `MMAP_POOL_SEAL` with `SEAL_WRITE`, at the same time as a shared writable `mmap(2)`.
//!
//! `mmap_region()` (`mm/vma.c`) counts the mapping first, then calls the driver. The driver's
//! `mmap` checks the seals. `InodeGuard::seal` (`src/pool.rs`) forbids counting, adds the seal, and
//! allows counting again. A mapping counted after that must see the seal. Otherwise a sealed pool
//! can be written to.
//!
//! A memfd does not have this race. `memfd_add_seals()` (`mm/memfd.c`) never allows counting again.
//! `memfd_check_seals_mmap()` clears `VM_MAYWRITE` of read-only mappings before `mmap_region()`
//! would count them. A driver's `mmap` runs too late for that.

use loom::sync::atomic::{fence, AtomicI32, AtomicU32, Ordering};
use loom::sync::Arc;
use loom::thread;

const SEAL_WRITE: u32 = 0x8;

/// The memory orders of one try.
#[derive(Clone, Copy)]
struct Orders {
    /// The order of the store that adds the seal.
    store: Ordering,
    /// The order of the fence after it, if there is one.
    fence: Option<Ordering>,
    /// The order of the load that checks for it.
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
        // `mapping_map_writable()`: a conditional operation that returns a value is fully ordered if it
        // succeeds, and unordered if it fails.
        if !self.change_unless(1, |count| count < 0) {
            return false;
        }
        if self.seals.load(self.orders.load) & SEAL_WRITE != 0 {
            // `mapping_unmap_writable()`.
            self.nr_writable.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        // The mapping stays counted until it ends.
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
        // `mapping_allow_writable()`: `atomic_inc()` is unordered.
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

/// Seals a pool and maps it at the same time. At most one of the two may succeed.
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
fn a_fence_between_the_seal_and_the_count_forbids_mapping_a_sealed_pool() {
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
fn relaxed_operations_alone_allow_mapping_a_sealed_pool() {
    seal_beside_mmap(Orders {
        store: Ordering::Relaxed,
        fence: None,
        load: Ordering::Relaxed,
    });
}

#[test]
#[should_panic = "a sealed pool can be written to"]
fn a_release_store_and_an_acquire_load_are_not_enough() {
    seal_beside_mmap(Orders {
        store: Ordering::Release,
        fence: None,
        load: Ordering::Acquire,
    });
}
