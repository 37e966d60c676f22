// SPDX-License-Identifier: GPL-2.0

//! Character devices whose files give access to one inode.
//!
//! Each file that is opened maps, seeks and syncs the inode of the registration rather than the
//! device node's own, so the page cache is the same whichever node was opened.
//! `drivers/dax/device.c` does so in C.
//!
//! C header: `include/linux/miscdevice.h`.

use super::{
    file::{FileOperations, InodeFile},
    inode::Inode,
};
use core::ptr::NonNull;
use kernel::{
    bindings, error::to_result, ffi::c_int, miscdevice::MiscDeviceOptions, prelude::*,
    sync::aref::ARef, types::Opaque,
};

/// A registered device.
///
/// # Invariants
///
/// `misc` is registered with the operations of [`DeviceOperations`].
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct Registration<T: InodeFile> {
    // First, so that a pointer to it is one to the registration.
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    inode: ARef<Inode<T::Data>>,
}

// SAFETY: A device may be deregistered by another thread than the one that registered it.
unsafe impl<T: InodeFile> Send for Registration<T> {}
// SAFETY: `&Registration` gives no access to anything.
unsafe impl<T: InodeFile> Sync for Registration<T> {}

impl<T: InodeFile> Registration<T> {
    /// Registers a device whose files give access to `inode`.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: there is no minor number left.
    /// - `EEXIST`: there is a device of that name.
    ///
    /// C: `misc_register()`.
    pub(crate) fn new(
        options: MiscDeviceOptions,
        inode: ARef<Inode<T::Data>>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inode,
            misc <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                let mut misc = options.into_raw::<T>();
                misc.fops = &DeviceOperations::<T>::TABLE;
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(misc) };
                // SAFETY: The slot is complete, pinned, and deregistered before it is freed. Files
                // can be opened from here on, and the inode is already in its place.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        })
    }
}

#[pinned_drop]
impl<T: InodeFile> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

/// The `struct file_operations` of a device.
struct DeviceOperations<T>(core::marker::PhantomData<T>);

impl<T: InodeFile> DeviceOperations<T> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        open: Some(Self::open),
        release: Some(Self::release),
        ..FileOperations::<T>::COMMON
    };

    /// # Safety
    ///
    /// Called by `misc_open()` for a device that was registered with this table.
    unsafe extern "C" fn open(node: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `misc_open()` has put the `miscdevice` there, the first field of a registration,
        // and holds off its deregistration for the call.
        let registration = unsafe { &*(*file).private_data.cast::<Registration<T>>() };
        let inode = registration.inode.clone();
        // SAFETY: The file is being opened, nobody else uses it. From here on it owns the
        // reference to the inode.
        unsafe { (*file).f_mapping = inode.page_cache().as_ptr() };
        let inode = ARef::into_raw(inode);

        let ret = match FileOperations::<T>::MISC.open {
            // SAFETY: The arguments are those of this call.
            Some(open) => unsafe { open(node, file) },
            None => 0,
        };
        if ret != 0 {
            // SAFETY: Nobody will use the file, so it gives back the reference.
            unsafe {
                (*file).f_mapping = (*node).i_mapping;
                drop(ARef::from_raw(inode));
            }
        }
        ret
    }

    /// # Safety
    ///
    /// Called by the VFS for a file that was opened by [`Self::open`], once nobody uses it.
    unsafe extern "C" fn release(node: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` has set the mapping; its host is an `Inode<T::Data>`, whose reference the
        // file owns.
        let inode: NonNull<Inode<T::Data>> =
            unsafe { NonNull::new_unchecked((*(*file).f_mapping).host.cast()) };
        let ret = match FileOperations::<T>::MISC.release {
            // SAFETY: The arguments are those of this call.
            Some(release) => unsafe { release(node, file) },
            None => 0,
        };
        // SAFETY: No mapping is left of a file that is released: the reference can be put.
        unsafe {
            (*file).f_mapping = (*node).i_mapping;
            drop(ARef::from_raw(inode));
        }
        ret
    }
}
