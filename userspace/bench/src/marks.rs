// SPDX-License-Identifier: MIT OR GPL-2.0

//! The instructions that tell QEMU's plugin `qemu/plugin/instructions.c` when to count.

use std::arch::asm;

/// Makes the plugin count, in the next phase. Without one, does nothing.
pub fn begin() {
    // SAFETY: Does nothing, whatever is in the register.
    unsafe {
        asm!(
            "nop dword ptr [rax + 0x6d6d7001]",
            options(nostack, preserves_flags)
        );
    }
}

/// Makes the plugin count no more. Without one, does nothing.
pub fn end() {
    // SAFETY: Does nothing, whatever is in the register.
    unsafe {
        asm!(
            "nop dword ptr [rax + 0x6d6d7000]",
            options(nostack, preserves_flags)
        );
    }
}
