// SPDX-License-Identifier: MIT OR GPL-2.0

//! Accesses in `aarch64` instructions. Accesses of integers always acquire and release, for every
//! `Ordering`.

use std::arch::asm;
use std::sync::atomic::Ordering;

use super::Word;

pub(super) use copy as read;
pub(super) use copy as write;

/// Moves one integer.
macro_rules! move_one {
    ($from:ident, $to:ident, $load:literal, $store:literal) => {
        asm!(
            $load,
            $store,
            from = in(reg) $from,
            to = in(reg) $to,
            value = out(reg) _,
            options(nostack, preserves_flags),
        )
    };
}

/// # Safety
///
/// `from` points to `len` readable bytes, and `to` to `len` writable bytes. The two do not overlap.
#[inline]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: Each case moves `len` bytes. The caller guarantees that they are valid.
    unsafe {
        match len {
            1 => move_one!(
                from,
                to,
                "ldrb {value:w}, [{from}]",
                "strb {value:w}, [{to}]"
            ),
            2 => move_one!(
                from,
                to,
                "ldrh {value:w}, [{from}]",
                "strh {value:w}, [{to}]"
            ),
            4 => move_one!(from, to, "ldr {value:w}, [{from}]", "str {value:w}, [{to}]"),
            8 => move_one!(from, to, "ldr {value:x}, [{from}]", "str {value:x}, [{to}]"),
            _ => copy_any(from, to, len),
        }
    }
}

/// # Safety
///
/// As [`copy`].
unsafe fn copy_any(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: The code moves blocks of 64 bytes, then one piece for each bit of the rest. That is
    // `len` bytes on both sides. The caller guarantees that they are valid.
    unsafe {
        asm!(
            "subs {len}, {len}, #64",
            "b.lo 3f",
            "2:",
            "ldp {a:q}, {b:q}, [{from}], #32",
            "ldp {c:q}, {d:q}, [{from}], #32",
            "stp {a:q}, {b:q}, [{to}], #32",
            "stp {c:q}, {d:q}, [{to}], #32",
            "subs {len}, {len}, #64",
            "b.hs 2b",
            // The lowest six bits of {len} are still those of the length.
            "3:",
            "tbz {len}, #5, 4f",
            "ldp {a:q}, {b:q}, [{from}], #32",
            "stp {a:q}, {b:q}, [{to}], #32",
            "4:",
            "tbz {len}, #4, 5f",
            "ldr {a:q}, [{from}], #16",
            "str {a:q}, [{to}], #16",
            "5:",
            "tbz {len}, #3, 6f",
            "ldr {value:x}, [{from}], #8",
            "str {value:x}, [{to}], #8",
            "6:",
            "tbz {len}, #2, 7f",
            "ldr {value:w}, [{from}], #4",
            "str {value:w}, [{to}], #4",
            "7:",
            "tbz {len}, #1, 8f",
            "ldrh {value:w}, [{from}], #2",
            "strh {value:w}, [{to}], #2",
            "8:",
            "tbz {len}, #0, 9f",
            "ldrb {value:w}, [{from}]",
            "strb {value:w}, [{to}]",
            "9:",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            len = inout(reg) len => _,
            value = out(reg) _,
            a = out(vreg) _,
            b = out(vreg) _,
            c = out(vreg) _,
            d = out(vreg) _,
            options(nostack),
        );
    }
}

/// # Safety
///
/// `to` points to `len` writable bytes.
pub(super) unsafe fn fill(to: *mut u8, len: usize, byte: u8) {
    // SAFETY: As in `copy_any`. The code writes copies of the byte.
    unsafe {
        asm!(
            "dup {a:v}.16b, {value:w}",
            "subs {len}, {len}, #64",
            "b.lo 3f",
            "2:",
            "stp {a:q}, {a:q}, [{to}], #32",
            "stp {a:q}, {a:q}, [{to}], #32",
            "subs {len}, {len}, #64",
            "b.hs 2b",
            "3:",
            "tbz {len}, #5, 4f",
            "stp {a:q}, {a:q}, [{to}], #32",
            "4:",
            "tbz {len}, #4, 5f",
            "str {a:q}, [{to}], #16",
            "5:",
            "tbz {len}, #3, 6f",
            "str {a:d}, [{to}], #8",
            "6:",
            "tbz {len}, #2, 7f",
            "str {a:s}, [{to}], #4",
            "7:",
            "tbz {len}, #1, 8f",
            "str {a:h}, [{to}], #2",
            "8:",
            "tbz {len}, #0, 9f",
            "str {a:b}, [{to}]",
            "9:",
            to = inout(reg) to => _,
            len = inout(reg) len => _,
            value = in(reg) u32::from(byte),
            a = out(vreg) _,
            options(nostack),
        );
    }
}

/// Implements `Word` for `$int`. `$wide` is the type of the register operand. `$suffix` is the size
/// suffix of the instructions, `$m` the register modifier.
macro_rules! words {
    ($($int:ident, $wide:ident, $suffix:literal, $m:literal;)*) => {$(
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_lossless,
            trivial_numeric_casts,
            reason = "a register may be wider than the integer in it"
        )]
        impl Word for $int {
            #[inline]
            fn negated(self) -> Self {
                self.wrapping_neg()
            }

            #[inline]
            unsafe fn load(at: *mut Self, _: Ordering) -> Self {
                let value: $wide;
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        concat!("ldar", $suffix, " {value:", $m, "}, [{at}]"),
                        at = in(reg) at,
                        value = out(reg) value,
                        options(nostack, preserves_flags),
                    );
                }
                value as Self
            }

            #[inline]
            unsafe fn store(at: *mut Self, value: Self, _: Ordering) {
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        concat!("stlr", $suffix, " {value:", $m, "}, [{at}]"),
                        at = in(reg) at,
                        value = in(reg) value as $wide,
                        options(nostack, preserves_flags),
                    );
                }
            }

            #[inline]
            unsafe fn swap(at: *mut Self, value: Self, _: Ordering) -> Self {
                let old: $wide;
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        "2:",
                        concat!("ldaxr", $suffix, " {old:", $m, "}, [{at}]"),
                        concat!("stlxr", $suffix, " {failed:w}, {value:", $m, "}, [{at}]"),
                        "cbnz {failed:w}, 2b",
                        at = in(reg) at,
                        value = in(reg) value as $wide,
                        old = out(reg) old,
                        failed = out(reg) _,
                        options(nostack, preserves_flags),
                    );
                }
                old as Self
            }

            #[inline]
            unsafe fn add(at: *mut Self, value: Self, _: Ordering) -> Self {
                let old: $wide;
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        "2:",
                        concat!("ldaxr", $suffix, " {old:", $m, "}, [{at}]"),
                        concat!("add {new:", $m, "}, {old:", $m, "}, {value:", $m, "}"),
                        concat!("stlxr", $suffix, " {failed:w}, {new:", $m, "}, [{at}]"),
                        "cbnz {failed:w}, 2b",
                        at = in(reg) at,
                        value = in(reg) value as $wide,
                        old = out(reg) old,
                        new = out(reg) _,
                        failed = out(reg) _,
                        options(nostack, preserves_flags),
                    );
                }
                old as Self
            }

            #[inline]
            unsafe fn compare_exchange(
                at: *mut Self,
                current: Self,
                new: Self,
                _: Ordering,
                _: Ordering,
            ) -> Self {
                let old: $wide;
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        "2:",
                        concat!("ldaxr", $suffix, " {old:", $m, "}, [{at}]"),
                        concat!("cmp {old:", $m, "}, {current:", $m, "}"),
                        "b.ne 3f",
                        concat!("stlxr", $suffix, " {failed:w}, {new:", $m, "}, [{at}]"),
                        "cbnz {failed:w}, 2b",
                        "b 4f",
                        "3:",
                        "clrex",
                        "4:",
                        at = in(reg) at,
                        current = in(reg) current as $wide,
                        new = in(reg) new as $wide,
                        old = out(reg) old,
                        failed = out(reg) _,
                        options(nostack),
                    );
                }
                old as Self
            }
        }
    )*};
}

words! {
    u8, u32, "b", "w";
    u16, u32, "h", "w";
    u32, u32, "", "w";
    u64, u64, "", "x";
}
