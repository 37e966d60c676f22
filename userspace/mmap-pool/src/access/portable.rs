// SPDX-License-Identifier: MIT OR GPL-2.0

//! Accesses in Rust's own atomics, for processors without assembly.

use std::sync::atomic::{
    AtomicU16, AtomicU32, AtomicU64, AtomicU8,
    Ordering::{self, Relaxed},
};

use super::Word;

/// # Safety
///
/// `from` points to `len` readable mapped bytes. `to` points to `len` bytes that only the caller uses.
pub(super) unsafe fn read(from: *const u8, to: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: `at` is below `len`. The caller guarantees that `len` bytes are valid.
        let byte = unsafe { AtomicU8::from_ptr(from.add(at).cast_mut()) }.load(Relaxed);
        // SAFETY: As above.
        unsafe { to.add(at).write(byte) };
    }
}

/// # Safety
///
/// `to` points to `len` writable mapped bytes. `from` points to `len` bytes that only the caller uses.
pub(super) unsafe fn write(from: *const u8, to: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: `at` is below `len`. The caller guarantees that `len` bytes are valid.
        let byte = unsafe { from.add(at).read() };
        // SAFETY: As above.
        unsafe { AtomicU8::from_ptr(to.add(at)) }.store(byte, Relaxed);
    }
}

/// # Safety
///
/// `to` points to `len` writable mapped bytes.
pub(super) unsafe fn fill(to: *mut u8, len: usize, byte: u8) {
    for at in 0..len {
        // SAFETY: `at` is below `len`. The caller guarantees that `len` bytes are valid.
        unsafe { AtomicU8::from_ptr(to.add(at)) }.store(byte, Relaxed);
    }
}

macro_rules! words {
    ($($int:ident, $atomic:ident;)*) => {$(
        impl Word for $int {
            #[inline]
            fn negated(self) -> Self {
                self.wrapping_neg()
            }

            unsafe fn load(at: *mut Self, order: Ordering) -> Self {
                // SAFETY: The caller guarantees it.
                unsafe { $atomic::from_ptr(at) }.load(order)
            }

            unsafe fn store(at: *mut Self, value: Self, order: Ordering) {
                // SAFETY: The caller guarantees it.
                unsafe { $atomic::from_ptr(at) }.store(value, order);
            }

            unsafe fn swap(at: *mut Self, value: Self, order: Ordering) -> Self {
                // SAFETY: The caller guarantees it.
                unsafe { $atomic::from_ptr(at) }.swap(value, order)
            }

            unsafe fn add(at: *mut Self, value: Self, order: Ordering) -> Self {
                // SAFETY: The caller guarantees it.
                unsafe { $atomic::from_ptr(at) }.fetch_add(value, order)
            }

            unsafe fn compare_exchange(
                at: *mut Self,
                current: Self,
                new: Self,
                success: Ordering,
                failure: Ordering,
            ) -> Self {
                // SAFETY: The caller guarantees it.
                let word = unsafe { $atomic::from_ptr(at) };
                match word.compare_exchange(current, new, success, failure) {
                    Ok(old) | Err(old) => old,
                }
            }
        }
    )*};
}

words! {
    u8, AtomicU8;
    u16, AtomicU16;
    u32, AtomicU32;
    u64, AtomicU64;
}
