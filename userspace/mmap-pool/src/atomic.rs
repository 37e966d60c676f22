// SPDX-License-Identifier: MIT OR GPL-2.0

//! Integers in mapped memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitOr, BitXor};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::access::Word;
use crate::Mapping;

/// An atomic integer in a mapping: a `u8`, `u16`, `u32` or `u64`.
///
/// [`Mapping::atomic_u32`] and similar functions return it. It works like
/// [`std::sync::atomic::AtomicU32`], but Rust does not see the accesses. So other processes, other
/// threads and [`Mapping::write_at`] may access the same bytes in other sizes; see
/// [the memory model](crate#the-memory-model). An operation can order more than its `Ordering` says.
///
/// ```no_run
/// use std::sync::atomic::Ordering;
/// # let pool = mmap_pool::Pool::open()?;
/// # let mapping = mmap_pool::MappingBuilder::shared().map(&pool)?;
///
/// let arrivals = mapping.atomic_u32(0)?;
/// println!("{} came before", arrivals.fetch_add(1, Ordering::Relaxed));
/// # Ok::<(), mmap_pool::Error>(())
/// ```
///
/// # Invariants
///
/// `at` points to an integer in memory that is mapped for reading and writing while the mapping is
/// borrowed. Its address is a multiple of its size.
#[derive(Clone, Copy)]
pub struct Atomic<'a, T> {
    at: NonNull<T>,
    _mapping: PhantomData<&'a Mapping>,
}

// SAFETY: Mapped memory belongs to the process, not to a thread, and every access is atomic.
unsafe impl<T: Send> Send for Atomic<'_, T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for Atomic<'_, T> {}

impl<T: Word> Atomic<'_, T> {
    /// # Safety
    ///
    /// `at` fulfils the type's invariant.
    pub(crate) unsafe fn new(at: *mut T) -> Self {
        Self {
            // SAFETY: The integer is not at address 0: the mapping's start is `NonNull`.
            at: unsafe { NonNull::new_unchecked(at) },
            _mapping: PhantomData,
        }
    }

    /// The address of the integer.
    #[must_use]
    pub fn as_ptr(self) -> *mut T {
        self.at.as_ptr()
    }

    /// Reads the integer.
    ///
    /// # Panics
    ///
    /// If `order` is [`Release`](Ordering::Release) or [`AcqRel`](Ordering::AcqRel).
    #[inline]
    #[must_use]
    pub fn load(self, order: Ordering) -> T {
        assert!(
            !matches!(order, Ordering::Release | Ordering::AcqRel),
            "a load cannot use Release or AcqRel"
        );
        // SAFETY: The type's invariant.
        unsafe { T::load(self.as_ptr(), order) }
    }

    /// Writes the integer.
    ///
    /// # Panics
    ///
    /// If `order` is [`Acquire`](Ordering::Acquire) or [`AcqRel`](Ordering::AcqRel).
    #[inline]
    pub fn store(self, value: T, order: Ordering) {
        assert!(
            !matches!(order, Ordering::Acquire | Ordering::AcqRel),
            "a store cannot use Acquire or AcqRel"
        );
        // SAFETY: The type's invariant.
        unsafe { T::store(self.as_ptr(), value, order) }
    }

    /// Writes the integer and returns the old value.
    #[inline]
    pub fn swap(self, value: T, order: Ordering) -> T {
        // SAFETY: The type's invariant.
        unsafe { T::swap(self.as_ptr(), value, order) }
    }

    /// Writes `new` if the integer is `current`, and returns the old value.
    ///
    /// # Errors
    ///
    /// The integer is not `current`. The error is its value.
    ///
    /// # Panics
    ///
    /// If `failure` is [`Release`](Ordering::Release) or [`AcqRel`](Ordering::AcqRel).
    #[inline]
    pub fn compare_exchange(
        self,
        current: T,
        new: T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<T, T> {
        assert!(
            !matches!(failure, Ordering::Release | Ordering::AcqRel),
            "a failed exchange cannot use Release or AcqRel"
        );
        // SAFETY: The type's invariant.
        let old = unsafe { T::compare_exchange(self.as_ptr(), current, new, success, failure) };
        if old == current {
            Ok(old)
        } else {
            Err(old)
        }
    }

    /// Adds to the integer, wrapping around, and returns the old value.
    #[inline]
    pub fn fetch_add(self, value: T, order: Ordering) -> T {
        // SAFETY: The type's invariant.
        unsafe { T::add(self.as_ptr(), value, order) }
    }

    /// Subtracts from the integer, wrapping around, and returns the old value.
    #[inline]
    pub fn fetch_sub(self, value: T, order: Ordering) -> T {
        self.fetch_add(value.negated(), order)
    }

    /// Clears the bits that are not in `value`, and returns the old value.
    #[inline]
    pub fn fetch_and(self, value: T, order: Ordering) -> T
    where
        T: BitAnd<Output = T>,
    {
        self.change(order, |old| old & value)
    }

    /// Sets the bits of `value`, and returns the old value.
    #[inline]
    pub fn fetch_or(self, value: T, order: Ordering) -> T
    where
        T: BitOr<Output = T>,
    {
        self.change(order, |old| old | value)
    }

    /// Flips the bits of `value`, and returns the old value.
    #[inline]
    pub fn fetch_xor(self, value: T, order: Ordering) -> T
    where
        T: BitXor<Output = T>,
    {
        self.change(order, |old| old ^ value)
    }

    #[inline]
    fn change(self, order: Ordering, new: impl Fn(T) -> T) -> T {
        let mut current = self.load(Ordering::Relaxed);
        loop {
            match self.compare_exchange(current, new(current), order, Ordering::Relaxed) {
                Ok(old) => return old,
                Err(old) => current = old,
            }
        }
    }
}

/// Shows the integer's value.
impl<T: Word + fmt::Debug> fmt::Debug for Atomic<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load(Ordering::Relaxed).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::memfd;
    use crate::MappingBuilder;
    use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
    use std::thread;

    fn mapping() -> Mapping {
        MappingBuilder::shared().map(&memfd(1)).unwrap()
    }

    #[test]
    fn every_operation_answers_what_was_there() {
        let mapping = mapping();
        let word = mapping.atomic_u16(2).unwrap();
        assert_eq!(word.swap(0b1100, Relaxed), 0);
        assert_eq!(word.fetch_and(0b0110, Relaxed), 0b1100);
        assert_eq!(word.fetch_or(0b0011, Relaxed), 0b0100);
        assert_eq!(word.fetch_xor(0b0101, Relaxed), 0b0111);
        assert_eq!(word.fetch_add(0xffff, Relaxed), 0b0010);
        assert_eq!(word.fetch_sub(2, Relaxed), 1);
        assert_eq!(word.compare_exchange(0, 7, Relaxed, Relaxed), Err(0xffff));
        assert_eq!(
            word.compare_exchange(0xffff, 7, Relaxed, Relaxed),
            Ok(0xffff)
        );
        assert_eq!(word.load(Relaxed), 7);
        assert_eq!(format!("{word:?}"), "7");
        assert_eq!(word.as_ptr().addr() - mapping.as_ptr().addr(), 2);
    }

    #[test]
    fn orders_that_mean_nothing_panic() {
        let mapping = mapping();
        let word = mapping.atomic_u32(0).unwrap();
        let panics = |operation: &dyn Fn()| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(operation)).is_err()
        };
        assert!(panics(&|| _ = word.load(Release)));
        assert!(panics(&|| word.store(0, Acquire)));
        assert!(panics(&|| _ = word.compare_exchange(0, 1, Relaxed, Release)));
    }

    #[test]
    fn no_increment_of_two_threads_is_lost() {
        const EACH: u16 = if cfg!(miri) { 50 } else { 20_000 };
        let mapping = mapping();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        mapping.atomic_u16(0).unwrap().fetch_add(1, Relaxed);
                        mapping.atomic_u32(4).unwrap().fetch_xor(5, Relaxed);
                        mapping.atomic_u64(8).unwrap().fetch_sub(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(mapping.atomic_u16(0).unwrap().load(Relaxed), 2 * EACH);
        assert_eq!(mapping.atomic_u32(4).unwrap().load(Relaxed), 0);
        let word = mapping.atomic_u64(8).unwrap().load(Relaxed);
        assert_eq!(word.wrapping_neg(), 2 * u64::from(EACH));
    }

    /// A copy that was written before a release is complete after an acquire.
    #[test]
    fn a_released_copy_is_read_whole() {
        const TURNS: u8 = if cfg!(miri) { 5 } else { 200 };
        let mapping = mapping();
        thread::scope(|scope| {
            scope.spawn(|| {
                let turn = mapping.atomic_u32(0).unwrap();
                for value in 1..TURNS {
                    mapping.fill(64, 1000, value).unwrap();
                    turn.store(u32::from(value), Release);
                    while turn.load(Acquire) != 0 {
                        thread::yield_now();
                    }
                }
            });
            let turn = mapping.atomic_u32(0).unwrap();
            let mut bytes = [0; 1000];
            for value in 1..TURNS {
                while turn.load(Acquire) == 0 {
                    thread::yield_now();
                }
                mapping.read_at(&mut bytes, 64).unwrap();
                assert_eq!(bytes, [value; 1000]);
                turn.store(0, Release);
            }
        });
    }

    #[test]
    fn copies_that_overlap_mix_and_do_nothing_worse() {
        const TURNS: usize = if cfg!(miri) { 50 } else { 20_000 };
        let mapping = mapping();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..TURNS {
                    mapping.write_at(&[1; 9], 0).unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..TURNS {
                    mapping.fill(4, 9, 2).unwrap();
                }
            });
            let mut bytes = [0; 16];
            for _ in 0..TURNS {
                mapping.read_at(&mut bytes, 0).unwrap();
                assert!(bytes[..4].iter().all(|&byte| byte < 2), "{bytes:?}");
                assert!(bytes[4..9].iter().all(|&byte| byte < 3), "{bytes:?}");
                assert!(bytes[9..13].iter().all(|&byte| byte % 2 == 0), "{bytes:?}");
                assert_eq!(bytes[13..], [0; 3]);
            }
        });
    }

    /// Two threads write parts of the same words in different sizes, and a third thread reads. Rust's
    /// own accesses must not do this.
    #[cfg(all(any(target_arch = "aarch64", target_arch = "x86_64"), not(miri)))]
    #[test]
    fn accesses_of_different_sizes_may_overlap() {
        let mapping = mapping();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    mapping.write_at(&[1; 6], 0).unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..20_000 {
                    mapping.write_at(&[2; 9], 4).unwrap();
                    mapping.atomic_u8(13).unwrap().fetch_add(1, Relaxed);
                }
            });
            for _ in 0..20_000 {
                let word = mapping.atomic_u64(0).unwrap().load(Relaxed);
                let both = word.to_ne_bytes();
                assert!(both[..4].iter().all(|&byte| byte < 2), "{both:?}");
                assert!(both[4..6].iter().all(|&byte| byte < 3), "{both:?}");
            }
        });
    }
}
