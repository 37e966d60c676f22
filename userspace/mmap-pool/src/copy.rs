// SPDX-License-Identifier: MIT OR GPL-2.0

//! Copies between ordinary memory and memory that others may write meanwhile.
//!
//! `ptr::copy` assumes that nobody writes what it reads. These copies are made of relaxed atomic
//! accesses, so a concurrent writer in this process is no data race, and one in another process
//! cannot make the compiler's assumptions wrong. Whole words where the mapped side is aligned,
//! bytes at its edges; no promise on the order.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

const WORD_LEN: usize = size_of::<usize>();

/// Copies from memory that others may write.
///
/// # Safety
///
/// `from` is the start of `to.len()` readable mapped bytes to which no reference exists, other than
/// to atomics.
pub(crate) unsafe fn read(from: *const u8, to: &mut [u8]) {
    let (head, words) = split(from, to.len());
    let mut at = from.cast_mut();
    let (edge, to) = to.split_at_mut(head);
    for byte in edge {
        // SAFETY: The caller vouches for `to.len()` bytes, and `at` has passed fewer.
        *byte = unsafe { AtomicU8::from_ptr(at) }.load(Relaxed);
        at = at.wrapping_add(1);
    }
    let (middle, edge) = to.split_at_mut(words * WORD_LEN);
    for word in middle.chunks_exact_mut(WORD_LEN) {
        // SAFETY: As above, for a whole word; `split` aligned `at`.
        let value = unsafe { AtomicUsize::from_ptr(at.cast()) }.load(Relaxed);
        word.copy_from_slice(&value.to_ne_bytes());
        at = at.wrapping_add(WORD_LEN);
    }
    for byte in edge {
        // SAFETY: As above.
        *byte = unsafe { AtomicU8::from_ptr(at) }.load(Relaxed);
        at = at.wrapping_add(1);
    }
}

/// Copies to memory that others may read and write.
///
/// # Safety
///
/// `to` is the start of `from.len()` writable mapped bytes to which no reference exists, other than
/// to atomics.
pub(crate) unsafe fn write(from: &[u8], to: *mut u8) {
    let (head, words) = split(to, from.len());
    let mut at = to;
    let (edge, from) = from.split_at(head);
    for byte in edge {
        // SAFETY: The caller vouches for `from.len()` bytes, and `at` has passed fewer.
        unsafe { AtomicU8::from_ptr(at) }.store(*byte, Relaxed);
        at = at.wrapping_add(1);
    }
    let (middle, edge) = from.split_at(words * WORD_LEN);
    for word in middle.chunks_exact(WORD_LEN) {
        let mut value = [0; WORD_LEN];
        value.copy_from_slice(word);
        // SAFETY: As above, for a whole word; `split` aligned `at`.
        unsafe { AtomicUsize::from_ptr(at.cast()) }.store(usize::from_ne_bytes(value), Relaxed);
        at = at.wrapping_add(WORD_LEN);
    }
    for byte in edge {
        // SAFETY: As above.
        unsafe { AtomicU8::from_ptr(at) }.store(*byte, Relaxed);
        at = at.wrapping_add(1);
    }
}

/// Bytes up to the first word boundary, and whole words after it.
fn split(start: *const u8, len: usize) -> (usize, usize) {
    let head = (start.addr().wrapping_neg() % WORD_LEN).min(len);
    (head, (len - head) / WORD_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alignment_and_length_arrives_whole_and_touches_nothing_else() {
        let source: Vec<u8> = (1..=64).collect();
        for start in 0..2 * WORD_LEN {
            for len in 0..4 * WORD_LEN {
                let mut memory = [0_u8; 64];
                let at = memory.as_mut_ptr().wrapping_add(start);
                // SAFETY: `start + len` is below 64 and nothing else uses `memory` meanwhile.
                unsafe { write(&source[..len], at) };
                let mut back = vec![0; len];
                // SAFETY: As above.
                unsafe { read(at, &mut back) };
                assert_eq!(back, source[..len]);
                assert_eq!(memory[start..start + len], source[..len]);
                assert!(memory[..start]
                    .iter()
                    .chain(&memory[start + len..])
                    .all(|&byte| byte == 0));
            }
        }
    }
}
