// SPDX-License-Identifier: MIT OR GPL-2.0

//! Accesses to memory that other threads and processes write at the same time.
//!
//! Another process, or another thread through another mapping, can write a mapped byte at any
//! moment. In Rust, two accesses to the same byte are a data race if one of them writes, one of them
//! is not atomic, and they are not ordered. Unordered atomic accesses of different sizes must not
//! overlap either. A safe function cannot prevent such accesses, so this module does not use Rust's own.
//! It uses inline assembly. To Rust, each access is a call of code outside the program, like `pread(2)`
//! and `pwrite(2)` on the same file.
//!
//! - [`read`], [`write`] and [`fill`] copy in pieces of 1 to 64 bytes. They read each byte once and
//!   write each byte once. The order of the pieces is unspecified. A copy of 1, 2, 4 or 8 bytes from
//!   or to an aligned address is a single access.
//! - [`Word`] is the trait of integers that support atomic access. Each operation orders other accesses
//!   at least as strongly as its `Ordering` says.
//!
//! The assembly is written for `x86_64` and `aarch64`. Other processors use Rust's atomics: bytes for
//! copies, and integers of the same size for [`Word`]. So does Miri, which does not run assembly. There,
//! a program must order overlapping accesses of different sizes.

use std::sync::atomic::Ordering;

#[cfg(all(target_arch = "aarch64", not(miri)))]
#[path = "access/aarch64.rs"]
mod imp;
#[cfg(not(all(any(target_arch = "aarch64", target_arch = "x86_64"), not(miri))))]
#[path = "access/portable.rs"]
mod imp;
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[path = "access/x86_64.rs"]
mod imp;

/// Copies from memory that other threads and processes can write.
///
/// # Safety
///
/// `from` points to `to.len()` readable mapped bytes. They do not overlap `to`.
#[inline]
pub(crate) unsafe fn read(from: *const u8, to: &mut [u8]) {
    // SAFETY: The caller guarantees that the mapped side is valid, and the slice is valid.
    unsafe { imp::read(from, to.as_mut_ptr(), to.len()) }
}

/// Copies to memory that other threads and processes can read and write.
///
/// # Safety
///
/// `to` points to `from.len()` writable mapped bytes. They do not overlap `from`.
#[inline]
pub(crate) unsafe fn write(from: &[u8], to: *mut u8) {
    // SAFETY: The caller guarantees that the mapped side is valid, and the slice is valid.
    unsafe { imp::write(from.as_ptr(), to, from.len()) }
}

/// Sets bytes of memory that other threads and processes can read and write.
///
/// # Safety
///
/// `to` points to `len` writable mapped bytes.
#[inline]
pub(crate) unsafe fn fill(to: *mut u8, len: usize, byte: u8) {
    // SAFETY: The caller guarantees it.
    unsafe { imp::fill(to, len, byte) }
}

/// An integer that supports atomic access in memory that other threads and processes can write.
///
/// # Safety
///
/// For all functions: `at` points to an integer in mapped memory that is readable and writable. Its
/// address is a multiple of its size.
pub trait Word: Copy + Eq {
    /// Returns the integer that, added to `self`, gives 0.
    #[doc(hidden)]
    fn negated(self) -> Self;
    #[doc(hidden)]
    unsafe fn load(at: *mut Self, order: Ordering) -> Self;
    #[doc(hidden)]
    unsafe fn store(at: *mut Self, value: Self, order: Ordering);
    #[doc(hidden)]
    unsafe fn swap(at: *mut Self, value: Self, order: Ordering) -> Self;
    #[doc(hidden)]
    unsafe fn add(at: *mut Self, value: Self, order: Ordering) -> Self;
    /// Writes `new` if the integer is `current`, and returns the old value.
    #[doc(hidden)]
    unsafe fn compare_exchange(
        at: *mut Self,
        current: Self,
        new: Self,
        success: Ordering,
        failure: Ordering,
    ) -> Self;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

    /// Visits every length that uses other pieces, at each offset within a word.
    fn each_place(mut visit: impl FnMut(usize, usize)) {
        for start in 0..16 {
            for len in (0..200).chain([255, 256, 257, 1000, 4096, 10_240]) {
                visit(start, len);
            }
        }
    }

    #[test]
    fn a_copy_arrives_whole_and_touches_nothing_else() {
        let source: Vec<u8> = (1..=251).cycle().take(10_400).collect();
        let mut memory = vec![0; 10_400];
        each_place(|start, len| {
            memory.fill(0);
            // SAFETY: `start + len` is below 10 400, and no other code uses `memory` at the same time.
            unsafe { write(&source[..len], memory.as_mut_ptr().add(start)) };
            assert!(memory[..start].iter().all(|&byte| byte == 0));
            assert!(memory[start..start + len] == source[..len], "{start} {len}");
            assert!(memory[start + len..].iter().all(|&byte| byte == 0));

            let mut back = vec![0xee; len + 2];
            // SAFETY: As above.
            unsafe { read(memory.as_ptr().add(start), &mut back[1..=len]) };
            assert!(back[1..=len] == source[..len], "{start} {len}");
            assert_eq!((back[0], back[len + 1]), (0xee, 0xee));
        });
    }

    #[test]
    fn filling_sets_every_byte_and_no_other() {
        let mut memory = vec![0; 10_400];
        each_place(|start, len| {
            memory.fill(0);
            // SAFETY: `start + len` is below 10 400, and no other code uses `memory` at the same time.
            unsafe { fill(memory.as_mut_ptr().add(start), len, 0xa5) };
            assert!(memory[..start].iter().all(|&byte| byte == 0));
            assert!(memory[start..start + len].iter().all(|&byte| byte == 0xa5));
            assert!(memory[start + len..].iter().all(|&byte| byte == 0));
        });
    }

    /// Does every operation on the second of three integers.
    fn try_word<T: Word + Debug>(all_ones: T, zero: T, one: T) {
        let mut words = [all_ones, zero, all_ones];
        let at = &raw mut words[1];
        // SAFETY: The integer is a local variable of this function.
        unsafe {
            T::store(at, one, Relaxed);
            assert_eq!(T::load(at, Relaxed), one);
            T::store(at, zero, Release);
            assert_eq!(T::load(at, Acquire), zero);
            T::store(at, all_ones, SeqCst);
            assert_eq!(T::load(at, SeqCst), all_ones);
            assert_eq!(T::add(at, one, AcqRel), all_ones);
            assert_eq!(T::add(at, one.negated(), AcqRel), zero);
            assert_eq!(T::swap(at, one, AcqRel), all_ones);
            let exchange = |current, new| T::compare_exchange(at, current, new, AcqRel, Acquire);
            assert_eq!(exchange(zero, all_ones), one);
            assert_eq!(exchange(one, all_ones), one);
            assert_eq!(T::swap(at, zero, Relaxed), all_ones);
        }
        assert_eq!(words, [all_ones, zero, all_ones]);
    }

    #[test]
    fn integers_of_every_size_change_and_their_neighbours_do_not() {
        try_word(u8::MAX, 0, 1);
        try_word(u16::MAX, 0, 1);
        try_word(u32::MAX, 0, 1);
        try_word(u64::MAX, 0, 1);
    }
}
