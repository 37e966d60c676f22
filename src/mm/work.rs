// SPDX-License-Identifier: GPL-2.0

//! Work items: wrappers that `kernel::workqueue` lacks.

use kernel::{
    bindings,
    sync::Arc,
    workqueue::{
        HasWork,
        Queue,
        Work,
        WorkItem, //
    }, //
};

/// Returns the system's queue for work that is bound to no processor. `kernel::workqueue` has it
/// under its former name, `system_unbound()`.
///
/// C: `system_dfl_wq`, `include/linux/workqueue.h`.
pub(crate) fn system_dfl() -> &'static Queue {
    // SAFETY: The queue is created at boot and never destroyed.
    unsafe { Queue::from_raw(bindings::system_dfl_wq) }
}

/// A work item that is cancelled and disabled when this is dropped. Afterwards its code never runs,
/// even if the item is enqueued again. So the module can be unloaded.
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
            // SAFETY: The item was enqueued with a reference, and the queue has given it up.
            drop(unsafe { Arc::from_raw(item) });
        }
    }
}
