// SPDX-License-Identifier: GPL-2.0

//! Character devices whose files give access to one inode.
//!
//! [`kernel::miscdevice`] does the work. This adds what it lacks: each file that is opened maps,
//! seeks and syncs the inode of the registration rather than the device node's own, so the page
//! cache is the same whichever node was opened. `drivers/dax/device.c` does so in C.

use super::pseudo::{Inode, InodeData};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    miscdevice::{MiscDevice, MiscDeviceOptions},
    prelude::*,
    sync::aref::ARef,
    types::Opaque,
};

/// A device whose files give access to an `Inode<Data>`.
///
/// In [`MiscDevice::open`] and after, [`Inode::of_file`] finds that inode.
///
/// [`Inode::of_file`]: crate::mm::vm_ops::FileObject::of_file
pub(crate) trait InodeDevice: MiscDevice {
    /// What the inode carries.
    type Data: InodeData;
}

/// A registered device.
///
/// # Invariants
///
/// `misc` is registered with the operations of [`FileOperations<T>`].
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct Registration<T: InodeDevice> {
    // First, so that a pointer to it is one to the registration.
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    inode: ARef<Inode<T::Data>>,
}

// SAFETY: A device may be deregistered by another thread than the one that registered it.
unsafe impl<T: InodeDevice> Send for Registration<T> {}
// SAFETY: `&Registration` gives no access to anything.
unsafe impl<T: InodeDevice> Sync for Registration<T> {}

impl<T: InodeDevice> Registration<T> {
    /// Registers a device whose files give access to `inode`.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: there is no minor number left.
    /// - `EEXIST`: there is a device of that name.
    ///
    /// C: `misc_register()`, `include/linux/miscdevice.h`.
    pub(crate) fn new(
        options: MiscDeviceOptions,
        inode: ARef<Inode<T::Data>>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inode,
            misc <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                let mut misc = options.into_raw::<T>();
                misc.fops = &FileOperations::<T>::TABLE;
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
impl<T: InodeDevice> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

/// The `struct file_operations` of an [`InodeDevice`].
struct FileOperations<T>(PhantomData<T>);

impl<T: InodeDevice> FileOperations<T> {
    /// The operations that [`MiscDevice`] makes of `T`.
    const BASE: &'static bindings::file_operations = {
        let misc = MiscDeviceOptions { name: c"" }.into_raw::<T>();
        // SAFETY: `into_raw()` points it to a static table.
        unsafe { &*misc.fops }
    };

    const TABLE: bindings::file_operations = bindings::file_operations {
        // An open file keeps the module loaded.
        owner: this_module(),
        open: Some(Self::open),
        release: Some(Self::release),
        llseek: Some(bindings::generic_file_llseek),
        fsync: Some(bindings::noop_fsync),
        ..*Self::BASE
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
        unsafe { (*file).f_mapping = inode.mapping().as_ptr() };
        let inode = ARef::into_raw(inode);

        let ret = match Self::BASE.open {
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
        let ret = match Self::BASE.release {
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

/// Returns this module's `THIS_MODULE`, in a constant on every supported kernel.
const fn this_module() -> *mut bindings::module {
    #[cfg(MODULE)]
    {
        extern "C" {
            // Only its address is used.
            static __this_module: u8;
        }
        (&raw const __this_module).cast_mut().cast()
    }
    #[cfg(not(MODULE))]
    core::ptr::null_mut()
}
