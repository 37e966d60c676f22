// SPDX-License-Identifier: GPL-2.0

//! Caches that shrink when memory gets short.
//!
//! C header: `include/linux/shrinker.h`.

use super::node::Node;
use crate::helpers;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    ffi::{
        c_int,
        c_ulong, //
    },
    prelude::*,
    sync::Arc, //
};

/// A cache whose objects the kernel may ask to free.
pub(crate) trait Shrinker: Send + Sync + 'static {
    /// Returns the number of objects on `node` that can be freed.
    ///
    /// # Context
    ///
    /// Memory reclaim. Must not allocate, nor take a lock under which memory is allocated.
    ///
    /// C: `shrinker::count_objects`.
    fn count(&self, node: Node) -> usize;

    /// Frees about `nr_objects` objects of `node`. Returns the number of freed objects.
    ///
    /// # Context
    ///
    /// As [`count`](Self::count).
    ///
    /// C: `shrinker::scan_objects`.
    fn scan(&self, node: Node, nr_objects: usize) -> usize;
}

/// The registration of a [`Shrinker`]. Dropping it unregisters the shrinker.
///
/// # Invariants
///
/// The shrinker is registered, and its `private_data` is the reference to a `T` that we own.
pub(crate) struct Registration<T: Shrinker>(NonNull<bindings::shrinker>, PhantomData<Arc<T>>);

// SAFETY: A shrinker may be unregistered by any thread; `T` is `Send` and `Sync`.
unsafe impl<T: Shrinker> Send for Registration<T> {}
// SAFETY: `&Registration` gives no access to anything.
unsafe impl<T: Shrinker> Sync for Registration<T> {}

impl<T: Shrinker> Registration<T> {
    /// Registers `cache`, as `name` in debugfs.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory.
    ///
    /// C: `shrinker_alloc()`, `shrinker_register()`.
    pub(crate) fn new(name: &CStr, cache: Arc<T>) -> Result<Self> {
        // SAFETY: The name is copied.
        let shrinker = unsafe { helpers::mmap_pool_shrinker_alloc(name.as_char_ptr()) };
        let shrinker = NonNull::new(shrinker).ok_or(ENOMEM)?;
        // SAFETY: Only this function uses the shrinker until it is registered, and all fields that
        // the kernel needs are set by then.
        unsafe {
            let raw = shrinker.as_ptr();
            (*raw).count_objects = Some(Self::count_objects);
            (*raw).scan_objects = Some(Self::scan_objects);
            (*raw).seeks = bindings::DEFAULT_SEEKS as c_int;
            (*raw).private_data = Arc::into_raw(cache).cast_mut().cast();
            bindings::shrinker_register(raw);
        }
        // INVARIANT: As done above.
        Ok(Self(shrinker, PhantomData))
    }

    /// # Safety
    ///
    /// `shrinker` was registered by [`Registration::new`] and stays registered for `'a`.
    unsafe fn cache<'a>(shrinker: *mut bindings::shrinker) -> &'a T {
        // SAFETY: By the type invariants the registration owns a reference.
        unsafe { &*(*shrinker).private_data.cast::<T>() }
    }

    /// # Safety
    ///
    /// Called by the kernel for a registered shrinker and a valid `sc`.
    unsafe extern "C" fn count_objects(
        shrinker: *mut bindings::shrinker,
        sc: *mut bindings::shrink_control,
    ) -> c_ulong {
        // SAFETY: The caller's promise. `nid` is the number of a node.
        let node = unsafe { Node::from_raw((*sc).nid) };
        // SAFETY: The caller's promise.
        match unsafe { Self::cache(shrinker) }.count(node) {
            0 => bindings::SHRINK_EMPTY as c_ulong,
            count => count,
        }
    }

    /// # Safety
    ///
    /// Called by the kernel for a registered shrinker and a valid `sc`.
    unsafe extern "C" fn scan_objects(
        shrinker: *mut bindings::shrinker,
        sc: *mut bindings::shrink_control,
    ) -> c_ulong {
        // SAFETY: The caller's promise.
        let (node, nr_objects) = unsafe { (Node::from_raw((*sc).nid), (*sc).nr_to_scan) };
        // SAFETY: The caller's promise.
        unsafe { Self::cache(shrinker) }.scan(node, nr_objects)
    }
}

impl<T: Shrinker> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the shrinker is registered, with our reference.
        let cache = unsafe { Arc::from_raw((*self.0.as_ptr()).private_data.cast::<T>()) };
        // SAFETY: By the type invariants. Waits until no callback runs.
        unsafe { bindings::shrinker_free(self.0.as_ptr()) };
        drop(cache);
    }
}
