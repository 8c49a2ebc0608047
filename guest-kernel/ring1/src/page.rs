//! Whole pages, cleared and copied 16 bytes at a time.
//!
//! The string instructions do four, and an emulator takes each round of theirs for an instruction. Every
//! CPU that a 64-bit hypervisor runs on has SSE2. Its registers are the running process's, so that one is
//! saved here while it is used, and upcalls are masked: no other task sees it meanwhile.
#![allow(unsafe_code)] // UNSAFETY: assembly on pages that are given by their addresses.

use crate::events::Masked;

core::arch::global_asm!(
    r#"
    .pushsection .text.memory, "ax", @progbits
    .type page_clear, @function
    .balign 16
    /* void page_clear(void *page): cdecl; upcalls masked. */
page_clear:
    movl 4(%esp), %eax
    subl $16, %esp
    movups %xmm0, (%esp)
    xorps %xmm0, %xmm0
    leal 4096(%eax), %ecx
    .balign 16
1:
    .set offset, 0
    .rept 32
    movaps %xmm0, offset(%eax)
    .set offset, offset + 16
    .endr
    addl $512, %eax
    cmpl %ecx, %eax
    jne 1b
    movups (%esp), %xmm0
    addl $16, %esp
    ret
    .size page_clear, . - page_clear

    .type page_copy, @function
    .balign 16
    /* void page_copy(void *to, const void *from): cdecl; upcalls masked. */
page_copy:
    movl 4(%esp), %eax
    movl 8(%esp), %edx
    subl $16, %esp
    movups %xmm0, (%esp)
    leal 4096(%eax), %ecx
    .balign 16
1:
    .set offset, 0
    .rept 32
    movaps offset(%edx), %xmm0
    movaps %xmm0, offset(%eax)
    .set offset, offset + 16
    .endr
    addl $512, %eax
    addl $512, %edx
    cmpl %ecx, %eax
    jne 1b
    movups (%esp), %xmm0
    addl $16, %esp
    ret
    .size page_copy, . - page_copy
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    fn page_clear(page: *mut u8);
    fn page_copy(to: *mut u8, from: *const u8);
}

/// Zeroes a page.
///
/// # Safety
/// `page` points to 4096 bytes, aligned to that, that may be written and that nothing refers to.
pub unsafe fn clear(page: *mut u8) {
    let _masked = Masked::new();
    // SAFETY: 1. The caller's promise. 2. Masked.
    unsafe { page_clear(page) }
}

/// Copies a page.
///
/// # Safety
/// Both point to 4096 bytes, aligned to that; `from` may be read, `to` may be written and nothing refers
/// to it. They do not overlap.
pub unsafe fn copy(to: *mut u8, from: *const u8) {
    let _masked = Masked::new();
    // SAFETY: 1. The caller's promise. 2. Masked.
    unsafe { page_copy(to, from) }
}
