//! What a program can see of the CPU by itself.
#![allow(unsafe_code)] // UNSAFETY: single instructions.

/// The code segment selector; its low two bits are the ring.
pub fn code_segment() -> u16 {
    let selector: u16;
    // SAFETY: 1. It reads a register.
    unsafe {
        core::arch::asm!("mov {0:x}, cs", out(reg) selector, options(nomem, nostack, preserves_flags));
    }
    selector
}
