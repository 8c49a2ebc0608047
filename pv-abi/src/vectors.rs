//! Exception vectors, as a trap table's `vector` and bounce frames know them.
//!
//! Xen's headers are silent: these are the processor's (Intel SDM volume 3,
//! table 6-1; AMD APM volume 2, table 8-1).

/// Division by zero, or overflow of a division. No error code.
pub const DIVIDE_ERROR: u8 = 0;
/// Debug exception. No error code.
pub const DEBUG: u8 = 1;
/// Non-maskable interrupt: not delivered by the trap table but by a callback.
pub const NMI: u8 = 2;
/// `int3`. No error code.
pub const BREAKPOINT: u8 = 3;
/// `into`. No error code.
pub const OVERFLOW: u8 = 4;
/// `bound`. No error code.
pub const BOUND_RANGE: u8 = 5;
/// Invalid instruction. No error code.
pub const INVALID_OPCODE: u8 = 6;
/// FPU used while CR0.TS is set. No error code.
pub const DEVICE_NOT_AVAILABLE: u8 = 7;
/// Double fault. Error code 0.
pub const DOUBLE_FAULT: u8 = 8;
/// Invalid task state segment. Error code: selector.
pub const INVALID_TSS: u8 = 10;
/// Segment not present. Error code: selector.
pub const SEGMENT_NOT_PRESENT: u8 = 11;
/// Fault of the stack segment. Error code: selector or 0.
pub const STACK_SEGMENT: u8 = 12;
/// General protection. Error code: selector, vector form, or 0.
pub const GENERAL_PROTECTION: u8 = 13;
/// Page fault. Error code: present, write, user, reserved, fetch.
pub const PAGE_FAULT: u8 = 14;
/// x87 error. No error code.
pub const X87_FLOATING_POINT: u8 = 16;
/// Unaligned access. Error code 0.
pub const ALIGNMENT_CHECK: u8 = 17;
/// Machine check. No error code.
pub const MACHINE_CHECK: u8 = 18;
/// SSE error. No error code.
pub const SIMD_FLOATING_POINT: u8 = 19;

/// Whether the processor, and so a bounce frame, has an error code for it.
#[must_use]
pub const fn has_error_code(vector: u8) -> bool {
    matches!(
        vector,
        DOUBLE_FAULT
            | INVALID_TSS
            | SEGMENT_NOT_PRESENT
            | STACK_SEGMENT
            | GENERAL_PROTECTION
            | PAGE_FAULT
            | ALIGNMENT_CHECK
    )
}
