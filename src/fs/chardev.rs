// SPDX-License-Identifier: GPL-2.0

//! Character devices whose files give access to one inode.
//!
//! An open file of the device has the page cache of the registration's inode, not that of the
//! device node's inode. So all device nodes give access to the same page cache.
//! `drivers/dax/device.c` does the same in C.
//!
//! C header: `include/linux/miscdevice.h`.

use super::{
    file::{
        FileOperations,
        InodeFile, //
    },
    inode::Inode, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    miscdevice::MiscDeviceOptions,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// A registered device.
///
/// # Invariants
///
/// `misc` is registered with the operations of [`DeviceOperations`].
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct Registration<T: InodeFile> {
    // The first field: `open` casts a pointer to it to one to the registration.
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    inode: ARef<Inode<T::Data>>,
}

// SAFETY: Any thread may deregister a device.
unsafe impl<T: InodeFile> Send for Registration<T> {}
// SAFETY: `&Registration` has no methods.
unsafe impl<T: InodeFile> Sync for Registration<T> {}

impl<T: InodeFile> Registration<T> {
    /// Registers a device whose files give access to `inode`.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: no minor number is left.
    /// - `EEXIST`: a device with that name exists.
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
                // SAFETY: The slot is complete and pinned, and it is deregistered before it is
                // freed. From here on files can be opened; the `inode` field is initialised
                // already.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        })
    }
}

#[pinned_drop]
impl<T: InodeFile> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the device is registered.
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
    /// Called by `misc_open()` for a device with this table.
    unsafe extern "C" fn open(node: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `misc_open()` has set `private_data` to the `miscdevice`, the first field of a
        // registration. It holds a lock that prevents deregistration.
        let registration = unsafe { &*(*file).private_data.cast::<Registration<T>>() };
        let inode = registration.inode.clone();
        // SAFETY: The file is being opened and not shared yet. From here on it owns a reference to
        // the inode.
        unsafe { (*file).f_mapping = inode.page_cache().as_ptr() };
        let inode = ARef::into_raw(inode);

        let ret = match FileOperations::<T>::MISC.open {
            // SAFETY: The arguments of this call are passed on.
            Some(open) => unsafe { open(node, file) },
            None => 0,
        };
        if ret != 0 {
            // SAFETY: The open fails, so the file is not used. It gives up its reference.
            unsafe {
                (*file).f_mapping = (*node).i_mapping;
                drop(ARef::from_raw(inode));
            }
        }
        ret
    }

    /// # Safety
    ///
    /// Called by the VFS when the last user of a file that [`Self::open`] opened is gone.
    unsafe extern "C" fn release(node: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` has set `f_mapping`. Its host is an `Inode<T::Data>`, and the file owns a
        // reference to it.
        let inode: NonNull<Inode<T::Data>> =
            unsafe { NonNull::new_unchecked((*(*file).f_mapping).host.cast()) };
        let ret = match FileOperations::<T>::MISC.release {
            // SAFETY: The arguments of this call are passed on.
            Some(release) => unsafe { release(node, file) },
            None => 0,
        };
        // SAFETY: A file is released when it has no mapping left, so the reference is not needed.
        unsafe {
            (*file).f_mapping = (*node).i_mapping;
            drop(ARef::from_raw(inode));
        }
        ret
    }
}
