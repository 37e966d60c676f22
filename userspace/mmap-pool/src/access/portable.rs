// SPDX-License-Identifier: MIT OR GPL-2.0

//! Accesses made of Rust's own atomics, where there is no assembly.

use std::sync::atomic::{
    AtomicU16, AtomicU32, AtomicU64, AtomicU8,
    Ordering::{self, Relaxed},
};

use super::Word;

/// # Safety
///
/// `len` bytes from `from` are mapped and can be read, and as many from `to` are the caller's own.
pub(super) unsafe fn read(from: *const u8, to: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: `at` is below `len`, and the caller vouches for so many bytes.
        let byte = unsafe { AtomicU8::from_ptr(from.add(at).cast_mut()) }.load(Relaxed);
        // SAFETY: As above.
        unsafe { to.add(at).write(byte) };
    }
}

/// # Safety
///
/// `len` bytes from `to` are mapped and can be written, and as many from `from` are the caller's
/// own.
pub(super) unsafe fn write(from: *const u8, to: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: `at` is below `len`, and the caller vouches for so many bytes.
        let byte = unsafe { from.add(at).read() };
        // SAFETY: As above.
        unsafe { AtomicU8::from_ptr(to.add(at)) }.store(byte, Relaxed);
    }
}

/// # Safety
///
/// `len` bytes from `to` are mapped and can be written.
pub(super) unsafe fn fill(to: *mut u8, len: usize, byte: u8) {
    for at in 0..len {
        // SAFETY: `at` is below `len`, and the caller vouches for so many bytes.
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
                // SAFETY: The caller's promise.
                unsafe { $atomic::from_ptr(at) }.load(order)
            }

            unsafe fn store(at: *mut Self, value: Self, order: Ordering) {
                // SAFETY: The caller's promise.
                unsafe { $atomic::from_ptr(at) }.store(value, order);
            }

            unsafe fn swap(at: *mut Self, value: Self, order: Ordering) -> Self {
                // SAFETY: The caller's promise.
                unsafe { $atomic::from_ptr(at) }.swap(value, order)
            }

            unsafe fn add(at: *mut Self, value: Self, order: Ordering) -> Self {
                // SAFETY: The caller's promise.
                unsafe { $atomic::from_ptr(at) }.fetch_add(value, order)
            }

            unsafe fn compare_exchange(
                at: *mut Self,
                current: Self,
                new: Self,
                success: Ordering,
                failure: Ordering,
            ) -> Self {
                // SAFETY: The caller's promise.
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
