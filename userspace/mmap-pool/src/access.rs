// SPDX-License-Identifier: MIT OR GPL-2.0

//! Accesses to memory that others may write meanwhile.
//!
//! Another process, or another thread through another mapping, can write a mapped byte at any
//! moment. Rust calls two accesses to the same byte a data race if one of them writes, one of them
//! is not atomic, and nothing orders them; it also forbids unordered atomic accesses of different
//! sizes that overlap. A safe function cannot rule out either, so these accesses are not made of
//! Rust's own: they are instructions, and to Rust each is a call of something outside the program
//! that does the access, as `pread(2)` and `pwrite(2)` on the same file are.
//!
//! - [`read`], [`write`] and [`fill`] copy in pieces of 1 to 64 bytes. Each byte is read once and
//!   written once. Nothing is promised on the order of the pieces. A copy of 1, 2, 4 or 8 bytes
//!   from or to an aligned address is one access.
//! - [`Word`] is the integers that are accessed atomically. Each operation orders at least what its
//!   `Ordering` asks for.
//!
//! Assembly exists for `x86_64` and `aarch64`. Everywhere else, and in Miri, which runs no assembly,
//! the accesses are Rust's atomics: bytes for copies, and integers of their own size for [`Word`].
//! There a program must not let accesses of different sizes overlap without ordering them.

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

/// Copies from memory that others may write.
///
/// # Safety
///
/// `from` is the start of `to.len()` readable mapped bytes. `to` is none of them.
#[inline]
pub(crate) unsafe fn read(from: *const u8, to: &mut [u8]) {
    // SAFETY: The caller vouches for the one side, the slice for the other.
    unsafe { imp::read(from, to.as_mut_ptr(), to.len()) }
}

/// Copies to memory that others may read and write.
///
/// # Safety
///
/// `to` is the start of `from.len()` writable mapped bytes. `from` is none of them.
#[inline]
pub(crate) unsafe fn write(from: &[u8], to: *mut u8) {
    // SAFETY: The caller vouches for the one side, the slice for the other.
    unsafe { imp::write(from.as_ptr(), to, from.len()) }
}

/// Sets bytes of memory that others may read and write.
///
/// # Safety
///
/// `to` is the start of `len` writable mapped bytes.
#[inline]
pub(crate) unsafe fn fill(to: *mut u8, len: usize, byte: u8) {
    // SAFETY: The caller's promise.
    unsafe { imp::fill(to, len, byte) }
}

/// An integer that can be accessed atomically in memory that others may write.
///
/// # Safety
///
/// For all functions: `at` is aligned to the integer's size and the start of so many mapped bytes
/// that can be read and written.
pub trait Word: Copy + Eq {
    /// What added to `self` is 0.
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
    /// What was there. `new` has replaced it if it was `current`.
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

    /// Every length that takes another way through the pieces, at each place within a word.
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
            // SAFETY: `start + len` is below 10 400 and nothing else uses `memory` meanwhile.
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
            // SAFETY: `start + len` is below 10 400 and nothing else uses `memory` meanwhile.
            unsafe { fill(memory.as_mut_ptr().add(start), len, 0xa5) };
            assert!(memory[..start].iter().all(|&byte| byte == 0));
            assert!(memory[start..start + len].iter().all(|&byte| byte == 0xa5));
            assert!(memory[start + len..].iter().all(|&byte| byte == 0));
        });
    }

    /// Does everything with the second of three integers.
    fn try_word<T: Word + Debug>(all_ones: T, zero: T, one: T) {
        let mut words = [all_ones, zero, all_ones];
        let at = &raw mut words[1];
        // SAFETY: It is an integer of this function's own.
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
