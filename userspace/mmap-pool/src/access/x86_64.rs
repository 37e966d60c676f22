// SPDX-License-Identifier: MIT OR GPL-2.0

//! Accesses in `x86_64` instructions. There, a plain load acquires and a plain store releases.

use std::arch::asm;
use std::sync::atomic::Ordering;

use super::Word;

pub(super) use copy as read;
pub(super) use copy as write;

/// Moves one integer.
macro_rules! move_one {
    ($from:ident, $to:ident, $register:ident, $int:ty, $load:literal, $store:literal) => {
        asm!(
            $load,
            $store,
            from = in(reg) $from,
            to = in(reg) $to,
            value = out($register) _,
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
                reg_byte,
                u8,
                "mov {value}, [{from}]",
                "mov [{to}], {value}"
            ),
            2 => move_one!(
                from,
                to,
                reg,
                u16,
                "mov {value:x}, [{from}]",
                "mov [{to}], {value:x}"
            ),
            4 => move_one!(
                from,
                to,
                reg,
                u32,
                "mov {value:e}, [{from}]",
                "mov [{to}], {value:e}"
            ),
            8 => move_one!(
                from,
                to,
                reg,
                u64,
                "mov {value:r}, [{from}]",
                "mov [{to}], {value:r}"
            ),
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
            "sub {len}, 64",
            "jb 3f",
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "sub {len}, 64",
            "jae 2b",
            // The lowest six bits of {len} are still those of the length.
            "3:",
            "test {len:l}, 32",
            "jz 4f",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "add {from}, 32",
            "add {to}, 32",
            "4:",
            "test {len:l}, 16",
            "jz 5f",
            "movups {a}, [{from}]",
            "movups [{to}], {a}",
            "add {from}, 16",
            "add {to}, 16",
            "5:",
            "test {len:l}, 8",
            "jz 6f",
            "mov {value}, [{from}]",
            "mov [{to}], {value}",
            "add {from}, 8",
            "add {to}, 8",
            "6:",
            "test {len:l}, 4",
            "jz 7f",
            "mov {value:e}, [{from}]",
            "mov [{to}], {value:e}",
            "add {from}, 4",
            "add {to}, 4",
            "7:",
            "test {len:l}, 2",
            "jz 8f",
            "mov {value:x}, [{from}]",
            "mov [{to}], {value:x}",
            "add {from}, 2",
            "add {to}, 2",
            "8:",
            "test {len:l}, 1",
            "jz 9f",
            "mov {value:l}, [{from}]",
            "mov [{to}], {value:l}",
            "9:",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            len = inout(reg) len => _,
            value = out(reg) _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// # Safety
///
/// `to` points to `len` writable bytes.
pub(super) unsafe fn fill(to: *mut u8, len: usize, byte: u8) {
    // SAFETY: As in `copy_any`. The code writes eight copies of the byte at a time.
    unsafe {
        asm!(
            "movq {a}, {value}",
            "punpcklqdq {a}, {a}",
            "sub {len}, 64",
            "jb 3f",
            "2:",
            "movups [{to}], {a}",
            "movups [{to} + 16], {a}",
            "movups [{to} + 32], {a}",
            "movups [{to} + 48], {a}",
            "add {to}, 64",
            "sub {len}, 64",
            "jae 2b",
            "3:",
            "test {len:l}, 32",
            "jz 4f",
            "movups [{to}], {a}",
            "movups [{to} + 16], {a}",
            "add {to}, 32",
            "4:",
            "test {len:l}, 16",
            "jz 5f",
            "movups [{to}], {a}",
            "add {to}, 16",
            "5:",
            "test {len:l}, 8",
            "jz 6f",
            "mov [{to}], {value}",
            "add {to}, 8",
            "6:",
            "test {len:l}, 4",
            "jz 7f",
            "mov [{to}], {value:e}",
            "add {to}, 4",
            "7:",
            "test {len:l}, 2",
            "jz 8f",
            "mov [{to}], {value:x}",
            "add {to}, 2",
            "8:",
            "test {len:l}, 1",
            "jz 9f",
            "mov [{to}], {value:l}",
            "9:",
            to = inout(reg) to => _,
            len = inout(reg) len => _,
            value = in(reg) u64::from_ne_bytes([byte; 8]),
            a = out(xmm_reg) _,
            options(nostack),
        );
    }
}

macro_rules! words {
    ($($int:ident, $register:ident, $accumulator:tt, $value:literal;)*) => {$(
        impl Word for $int {
            #[inline]
            fn negated(self) -> Self {
                self.wrapping_neg()
            }

            #[inline]
            unsafe fn load(at: *mut Self, _: Ordering) -> Self {
                let value;
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        concat!("mov ", $value, ", [{at}]"),
                        at = in(reg) at,
                        value = out($register) value,
                        options(nostack, preserves_flags),
                    );
                }
                value
            }

            #[inline]
            unsafe fn store(at: *mut Self, value: Self, order: Ordering) {
                if order == Ordering::SeqCst {
                    // SAFETY: The caller guarantees it.
                    unsafe { Self::swap(at, value, order) };
                    return;
                }
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        concat!("mov [{at}], ", $value),
                        at = in(reg) at,
                        value = in($register) value,
                        options(nostack, preserves_flags),
                    );
                }
            }

            #[inline]
            unsafe fn swap(at: *mut Self, mut value: Self, _: Ordering) -> Self {
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        concat!("xchg [{at}], ", $value),
                        at = in(reg) at,
                        value = inout($register) value,
                        options(nostack, preserves_flags),
                    );
                }
                value
            }

            #[inline]
            unsafe fn add(at: *mut Self, mut value: Self, _: Ordering) -> Self {
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        concat!("lock xadd [{at}], ", $value),
                        at = in(reg) at,
                        value = inout($register) value,
                        options(nostack),
                    );
                }
                value
            }

            #[inline]
            unsafe fn compare_exchange(
                at: *mut Self,
                mut current: Self,
                new: Self,
                _: Ordering,
                _: Ordering,
            ) -> Self {
                // SAFETY: The caller guarantees it.
                unsafe {
                    asm!(
                        concat!("lock cmpxchg [{at}], ", $value),
                        at = in(reg) at,
                        value = in($register) new,
                        inout($accumulator) current,
                        options(nostack),
                    );
                }
                current
            }
        }
    )*};
}

words! {
    u8, reg_byte, "al", "{value}";
    u16, reg, "ax", "{value:x}";
    u32, reg, "eax", "{value:e}";
    u64, reg, "rax", "{value:r}";
}
