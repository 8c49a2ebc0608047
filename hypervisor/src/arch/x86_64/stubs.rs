//! Entry stubs for interrupts and exceptions that hit the hypervisor itself.
//!
//! One stub of 16 bytes per vector: pushes a zero where the CPU pushes no error code, pushes
//! the vector into the upper half of that slot, and jumps to the common part, which saves all
//! registers as a `TrapFrame` and calls `handle_ring0`.

// UNSAFETY: assembly.
#![allow(unsafe_code)]

use core::arch::global_asm;

use super::exceptions;

global_asm!(
    r#"
    .section .text.entry, "ax", @progbits
    .balign 16
/* One per vector, 16 bytes apart. In: the CPU's interrupt frame at rsp; IF=0.
   Out: jumps to ring0_common with error code (low half) and vector (high half) on top. */
ring0_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    /* The vectors for which the CPU pushes an error code: 8, 10-14, 17, 21, 29, 30. */
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq   $0
    .endif
    movl    $vector, 4(%rsp)
    jmp     ring0_common
    .set vector, vector + 1
    .endr

    .type ring0_common, @function
/* In: error code and vector on top of an interrupt frame from Ring 0; IF=0.
   Out: returns to what was interrupted, every register as the frame then says. */
ring0_common:
    cld
    pushq   %rdi
    pushq   %rsi
    pushq   %rdx
    pushq   %rcx
    pushq   %rax
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    movq    %rsp, %rdi
    /* A link for the backtrace: the interrupted rip as return address, rbp below it. */
    pushq   16*8(%rsp)
    pushq   %rbp
    movq    %rsp, %rbp
    andq    $-16, %rsp
    call    {handler}
    leaq    16(%rbp), %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rax
    popq    %rcx
    popq    %rdx
    popq    %rsi
    popq    %rdi
    addq    $8, %rsp
    iretq
    .size ring0_common, . - ring0_common
    "#,
    handler = sym exceptions::handle_ring0,
    options(att_syntax)
);

unsafe extern "C" {
    safe static ring0_stubs: u8;
}

/// The stubs' addresses by vector.
pub fn addresses() -> [u64; 256] {
    let first = &raw const ring0_stubs as u64;
    core::array::from_fn(|vector| first + 16 * vector as u64)
}
