// SPDX-License-Identifier: MIT OR GPL-2.0

//! The instructions that tell QEMU's plugin `qemu/plugin/instructions.c` when to count.

use std::arch::asm;

/// Begins the plugin's next phase. Without the plugin it does nothing.
pub fn begin() {
    // SAFETY: A `nop` does nothing, for any value of the register.
    unsafe {
        asm!(
            "nop dword ptr [rax + 0x6d6d7001]",
            options(nostack, preserves_flags)
        );
    }
}

/// Ends the plugin's phase. Without the plugin it does nothing.
pub fn end() {
    // SAFETY: A `nop` does nothing, for any value of the register.
    unsafe {
        asm!(
            "nop dword ptr [rax + 0x6d6d7000]",
            options(nostack, preserves_flags)
        );
    }
}
