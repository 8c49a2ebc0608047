//! The way of interrupts and exceptions that hit the hypervisor itself.
//!
//! The stubs of `entry` come here when the frame says Ring 0. All registers are saved as a
//! `UserRegs` where the stack pointer happens to be, `handle_ring0` is called, and what was
//! interrupted goes on by the frame.

// UNSAFETY: assembly.
#![allow(unsafe_code)]

use core::arch::global_asm;

use super::exceptions;

global_asm!(
    r#"
    .section .text.entry, "ax", @progbits
    .balign 16
    .globl ring0_common
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
