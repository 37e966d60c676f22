// SPDX-License-Identifier: GPL-2.0

//! Work items: what `kernel::workqueue` does not offer yet.

use kernel::{
    bindings,
    sync::Arc,
    workqueue::{HasWork, Queue, Work, WorkItem},
};

/// Returns the queue for work that any processor may do, with no promise of when. It is what
/// `kernel::workqueue::system_unbound()` was before the kernel renamed it.
///
/// C: `system_dfl_wq`, `include/linux/workqueue.h`.
pub(crate) fn system_dfl() -> &'static Queue {
    // SAFETY: The queue is made when the kernel boots and never destroyed.
    unsafe { Queue::from_raw(bindings::system_dfl_wq) }
}

/// A work item that is cancelled and disabled when this is dropped: from then on its code does not
/// run, whoever enqueues it, so a module can go.
///
/// C: `disable_work_sync()`, `include/linux/workqueue.h`.
pub(crate) struct DisableOnDrop<T: WorkItem<Pointer = Arc<T>> + HasWork<T>>(pub(crate) Arc<T>);

impl<T: WorkItem<Pointer = Arc<T>> + HasWork<T>> Drop for DisableOnDrop<T> {
    fn drop(&mut self) {
        let item = Arc::as_ptr(&self.0);
        // SAFETY: The item is valid, and so is the work in it.
        let work = unsafe { Work::raw_get(T::raw_get_work(item.cast_mut())) };
        // SAFETY: The work is initialised. Waits until it does not run.
        if unsafe { bindings::disable_work_sync(work) } {
            // SAFETY: Enqueueing has put a reference into the queue, which the queue has given up.
            drop(unsafe { Arc::from_raw(item) });
        }
    }
}
