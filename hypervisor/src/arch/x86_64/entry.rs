//! Where guests enter Ring 0, and where they leave it.
//!
//! The processor has switched to the CPU's stack and pushed five words. The stubs complete
//! them to a [`UserRegs`](crate::guest::regs::UserRegs) right below `CpuInfo`, call one Rust
//! function, and return by the frame, whatever it says by then:
//!
//! ```text
//!   CpuInfo
//!   ss rsp rflags cs rip            <- the processor
//!   vector, error code              <- the stub (or processor and stub)
//!   rdi rsi rdx rcx rax r8 ... r15  <- regs
//!   (8 bytes, for alignment)        <- rsp at the call
//! ```
//!
//! Hypercalls, `int $0x80` and page faults of a pv32 guest take the short way: compatibility
//! mode cannot see r8 to r15, so their slots are left as they were, and are not restored.
//! A guest of another kind gets gates of its own, in an IDT of its own.
//!
//! What hits the hypervisor itself is told by CS in the frame, and saved in the same way where
//! the stack pointer happens to be.
//!
//! Nothing touches CR3, CR4 or a segment register on these paths.

// UNSAFETY: assembly.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{exceptions, guest_entry};

global_asm!(
    r#"
    .section .text.entry, "ax", @progbits
/* Completes a frame to UserRegs. In: error code and vector on top of an interrupt frame. */
    .macro save_registers
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
    .endm

/* The reverse. Out: the interrupt frame alone on top. */
    .macro restore_registers
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
    .endm

    .balign 16
/* One per vector, 16 bytes apart. In: the CPU's interrupt frame at rsp; IF=0.
   Out: jumps to any_entry with error code (low half) and vector (high half) on top. */
entry_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq   $0
    .endif
    movl    $vector, 4(%rsp)
    jmp     any_entry
    .set vector, vector + 1
    .endr

    .type any_entry, @function
/* In: error code and vector on top of an interrupt frame; IF=0; any ring.
   Out: from Ring 0, jumps to ring0_common. From a guest, calls guest_trap(rdi = regs) on the
   stack it entered on, then falls into resume_guest. */
any_entry:
    testb   $3, 16(%rsp)
    jz      ring0_common
    cld
    save_registers
    movq    %rsp, %rdi
    subq    $8, %rsp
    xorl    %ebp, %ebp
    call    {guest_trap}
    addq    $8, %rsp

    .globl resume_guest
    .type resume_guest, @function
/* In: rsp = the guest's UserRegs at the top of the CPU's stack; IF=0. Out: in the guest. */
resume_guest:
    restore_registers
    .globl resume_iretq
resume_iretq:
    iretq
    .size any_entry, . - any_entry

    .type ring0_common, @function
/* The hypervisor itself was interrupted. In: error code and vector on top of an interrupt frame
   from Ring 0; IF=0. Out: returns to what was interrupted, every register as the frame then
   says. */
ring0_common:
    cld
    save_registers
    movq    %rsp, %rdi
    /* A link for the backtrace: the interrupted rip as return address, rbp below it. */
    pushq   16*8(%rsp)
    pushq   %rbp
    movq    %rsp, %rbp
    andq    $-16, %rsp
    call    {handle_ring0}
    leaq    16(%rbp), %rsp
    restore_registers
    iretq
    .size ring0_common, . - ring0_common

/* Saves what a pv32 guest can see, calls \handler(rdi = regs), goes to resume_short.
   In: error code and vector on top of an interrupt frame of a pv32 guest; IF=0. */
    .macro short_entry handler
    pushq   %rdi
    pushq   %rsi
    pushq   %rdx
    pushq   %rcx
    pushq   %rax
    subq    $32, %rsp
    pushq   %rbx
    pushq   %rbp
    subq    $40, %rsp
    cld
    leaq    8(%rsp), %rdi
    xorl    %ebp, %ebp
    call    \handler
    .endm

    .balign 8
/* What stands for error code (none) and vector in the frames of the two. */
int80_slot:
    .long   0, 0x80
hypercall_slot:
    .long   0, 0x82

    .globl page_fault_entry
    .type page_fault_entry, @function
/* #PF. In: error code on top of an interrupt frame; any ring. Out: as any_entry. */
page_fault_entry:
    movl    $14, 4(%rsp)
    testb   $3, 16(%rsp)
    jz      ring0_common
    short_entry {guest_page_fault}
    jmp     resume_short
    .size page_fault_entry, . - page_fault_entry

    .globl int80_entry
    .type int80_entry, @function
/* int $0x80 from any guest ring: most often a system call. As hypercall_entry. */
int80_entry:
    pushq   int80_slot(%rip)
    short_entry {guest_int80}
    jmp     resume_short
    .size int80_entry, . - int80_entry

    .globl hypercall_entry
    .type hypercall_entry, @function
/* int $0x82 from Ring 1. In: interrupt frame at rsp; eax = number, ebx ecx edx esi edi (ebp)
   = arguments; IF=0. Out: in the guest; every register but eax as it was, bar continuations. */
hypercall_entry:
    pushq   hypercall_slot(%rip)
    short_entry {guest_hypercall}

/* In: rsp = UserRegs - 8, of a pv32 guest; r12 to r15 are dead. Out: in the guest. */
resume_short:
    addq    $40, %rsp
    popq    %rbp
    popq    %rbx
    addq    $32, %rsp
    popq    %rax
    popq    %rcx
    popq    %rdx
    popq    %rsi
    popq    %rdi
    addq    $8, %rsp
    .globl resume_short_iretq
resume_short_iretq:
    iretq
    .size hypercall_entry, . - hypercall_entry

/* The same three while the machine is traced. In and out: as each. */
    .globl traced_page_fault_entry
    .type traced_page_fault_entry, @function
traced_page_fault_entry:
    movl    $14, 4(%rsp)
    testb   $3, 16(%rsp)
    jz      ring0_common
    short_entry {traced_page_fault}
    jmp     resume_short
    .size traced_page_fault_entry, . - traced_page_fault_entry

    .globl traced_int80_entry
    .type traced_int80_entry, @function
traced_int80_entry:
    pushq   int80_slot(%rip)
    short_entry {traced_int80}
    jmp     resume_short
    .size traced_int80_entry, . - traced_int80_entry

    .globl traced_hypercall_entry
    .type traced_hypercall_entry, @function
traced_hypercall_entry:
    pushq   hypercall_slot(%rip)
    short_entry {traced_hypercall}
    jmp     resume_short
    .size traced_hypercall_entry, . - traced_hypercall_entry
    "#,
    handle_ring0 = sym exceptions::handle_ring0,
    guest_trap = sym guest_entry::guest_trap,
    guest_hypercall = sym guest_entry::guest_hypercall,
    guest_int80 = sym guest_entry::guest_int80,
    guest_page_fault = sym guest_entry::guest_page_fault,
    traced_hypercall = sym guest_entry::traced_hypercall,
    traced_int80 = sym guest_entry::traced_int80,
    traced_page_fault = sym guest_entry::traced_page_fault,
    options(att_syntax)
);

unsafe extern "C" {
    safe static entry_stubs: u8;
    safe static hypercall_entry: u8;
    safe static int80_entry: u8;
    safe static page_fault_entry: u8;
    safe static traced_hypercall_entry: u8;
    safe static traced_int80_entry: u8;
    safe static traced_page_fault_entry: u8;
    safe static resume_guest: u8;
    safe static resume_iretq: u8;
    safe static resume_short_iretq: u8;
}

/// The gates' stubs, by vector.
pub fn addresses() -> [u64; 256] {
    let first = &raw const entry_stubs as u64;
    let mut stubs: [u64; 256] = core::array::from_fn(|vector| first + 16 * vector as u64);
    stubs[14] = &raw const page_fault_entry as u64;
    stubs[0x80] = &raw const int80_entry as u64;
    stubs[0x82] = &raw const hypercall_entry as u64;
    stubs
}

/// Whether [`traced_addresses`] are in use: the stubs of most vectors are the same.
static TRACED: AtomicBool = AtomicBool::new(false);

/// Whether the machine is traced.
#[inline(always)]
pub fn is_traced() -> bool {
    TRACED.load(Ordering::Relaxed)
}

/// The gates' stubs for a machine that is traced, which it is from now on.
pub fn traced_addresses() -> [u64; 256] {
    TRACED.store(true, Ordering::Relaxed);
    let mut stubs = addresses();
    stubs[14] = &raw const traced_page_fault_entry as u64;
    stubs[0x80] = &raw const traced_int80_entry as u64;
    stubs[0x82] = &raw const traced_hypercall_entry as u64;
    stubs
}

/// Whether `rip` is an instruction by which a guest is resumed: a fault there is the guest's doing.
pub fn is_resuming(rip: u64) -> bool {
    rip == &raw const resume_iretq as u64 || rip == &raw const resume_short_iretq as u64
}

/// Leaves for the guest whose registers are at `regs`.
///
/// # Safety
/// 1. `regs` is the frame at the top of this CPU's stack, and complete.
/// 2. The guest's state is loaded.
pub unsafe fn resume(regs: *mut crate::guest::regs::UserRegs) -> ! {
    let target = &raw const resume_guest as u64;
    // SAFETY: 1. Abandons the stack below the frame, whose owners never run again; nothing on
    //            it needs dropping. 2. Caller: the frame is what resume_guest expects.
    unsafe {
        core::arch::asm!(
            "mov rsp, {regs}",
            "jmp {target}",
            regs = in(reg) regs,
            target = in(reg) target,
            options(noreturn),
        );
    }
}
