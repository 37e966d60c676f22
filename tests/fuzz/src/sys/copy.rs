// SPDX-License-Identifier: MIT OR GPL-2.0

//! A copy that may fault, byte by byte, so that it ends where the fault is. The only instructions of the
//! fuzzer that a machine has for itself.

use std::arch::global_asm;

#[cfg(target_arch = "x86_64")]
use crate::cast::{SignCast, UnsignedCast};

// Returns the number of bytes left. Only instructions between `_at` and `_end` touch memory, and there the
// number is where `_end` expects it.

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl mmap_pool_fuzz_copy",
    ".globl mmap_pool_fuzz_copy_at",
    ".globl mmap_pool_fuzz_copy_end",
    // rdi = to, rsi = from, rdx = len.
    "mmap_pool_fuzz_copy:",
    "mov rcx, rdx",
    "mmap_pool_fuzz_copy_at:",
    "rep movsb",
    "mmap_pool_fuzz_copy_end:",
    "mov rax, rcx",
    "ret",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl mmap_pool_fuzz_copy",
    ".globl mmap_pool_fuzz_copy_at",
    ".globl mmap_pool_fuzz_copy_end",
    // x0 = to, x1 = from, x2 = len.
    "mmap_pool_fuzz_copy:",
    "mov x3, x0",
    "mmap_pool_fuzz_copy_at:",
    "cbz x2, mmap_pool_fuzz_copy_end",
    "ldrb w4, [x1]",
    "strb w4, [x3]",
    "add x1, x1, #1",
    "add x3, x3, #1",
    "sub x2, x2, #1",
    "b mmap_pool_fuzz_copy_at",
    "mmap_pool_fuzz_copy_end:",
    "mov x0, x2",
    "ret",
);

unsafe extern "C" {
    pub(super) fn mmap_pool_fuzz_copy(to: *mut u8, from: *const u8, len: usize) -> usize;
    static mmap_pool_fuzz_copy_at: u8;
    static mmap_pool_fuzz_copy_end: u8;
}

#[cfg(target_arch = "x86_64")]
fn next(context: &libc::ucontext_t) -> u64 {
    context.uc_mcontext.gregs[libc::REG_RIP as usize].to_bits()
}

#[cfg(target_arch = "x86_64")]
fn set_next(context: &mut libc::ucontext_t, address: u64) {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = address.to_signed();
}

#[cfg(target_arch = "aarch64")]
fn next(context: &libc::ucontext_t) -> u64 {
    context.uc_mcontext.pc
}

#[cfg(target_arch = "aarch64")]
fn set_next(context: &mut libc::ucontext_t, address: u64) {
    context.uc_mcontext.pc = address;
}

/// Ends the copy that this signal has interrupted. Returns whether it was a copy.
pub(super) fn end(context: &mut libc::ucontext_t) -> bool {
    let [at, end] = [
        &raw const mmap_pool_fuzz_copy_at,
        &raw const mmap_pool_fuzz_copy_end,
    ]
    .map(|place| place.addr() as u64);
    let is_copy = (at..end).contains(&next(context));
    if is_copy {
        set_next(context, end);
    }
    is_copy
}
