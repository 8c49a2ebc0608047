//! The first instructions: from the boot loader's 32-bit protected mode to Rust in long mode.
//!
//! A Multiboot loader leaves the CPU with paging off, flat 32-bit segments, `eax` holding
//! its magic number and `ebx` the physical address of its information block (Multiboot
//! Specification 0.6.96, section 3.2; Multiboot2 Specification 2.0, section 3.3). Both
//! versions' headers stand here and both lead to the same entry: QEMU and BIOS loaders speak
//! version 1, but only version 2 tells where a UEFI machine has its ACPI tables. The code here checks that the CPU can do what the
//! hypervisor stands on, builds page tables that map the low 4 GiB three times over
//! (identity, for itself and for the first Rust code; at `IMAGE_VIRT`, where the image is
//! linked; at `DIRECT_MAP`), enters long mode and calls `ferrule_main(magic, information)`.
//!
//! Until the jump to the high address everything runs at physical addresses, so symbols are
//! written as `symbol - IMAGE_VIRT`. A CPU that will not do gets one line on COM1 and a halt.
//!
//! The tables stay: application processors enter long mode on them (`smp`).

// UNSAFETY: the entry point is assembly; there is no other way to leave 32-bit mode.
#![allow(unsafe_code)]

use core::arch::global_asm;

use super::layout::{DIRECT_MAP, IMAGE_VIRT, slot};

/// What a Multiboot1 loader leaves in `eax`.
pub const MULTIBOOT_MAGIC: u32 = 0x2bad_b002;
/// What a Multiboot2 loader leaves in `eax`.
pub const MULTIBOOT2_MAGIC: u32 = 0x36d7_6289;

/// Bytes of the stack that the boot CPU uses until it has an area of its own. The machine's
/// description is built on it, by value; afterwards its pages are free memory.
const BOOT_STACK_SIZE: usize = 128 * 1024;

global_asm!(
    r#"
    .section .multiboot, "ax", @progbits
    .balign 4
    .long 0x1badb002
    .long 0x00000003                    /* modules on page boundaries, memory map wanted */
    .long -(0x1badb002 + 0x00000003)

    .balign 8
multiboot2_header:
    .long 0xe85250d6
    .long 0                             /* i386 */
    .long multiboot2_header_end - multiboot2_header
    .long -(0xe85250d6 + (multiboot2_header_end - multiboot2_header))
    .word 6, 0                          /* modules on page boundaries */
    .long 8
    .word 0, 0                          /* end */
    .long 8
multiboot2_header_end:

    .section .text.boot, "ax", @progbits
    .code32
    .global multiboot_entry
    .type multiboot_entry, @function
/* In: eax magic, ebx physical address of the information block; paging off, IF=0.
   Out: does not return. Keeps edi = magic, ebx = information until long mode. */
multiboot_entry:
    cld
    cli
    movl    %eax, %edi
    movl    $(boot_stack_top - {virt}), %esp

    movl    $(no_multiboot - {virt}), %esi
    cmpl    ${magic}, %edi
    je      1f
    cmpl    ${magic2}, %edi
    jne     boot_refuse
1:

    /* CPUID clobbers ebx. */
    movl    %ebx, %ebp
    movl    $(no_long_mode - {virt}), %esi
    movl    $0x80000000, %eax
    cpuid
    cmpl    $0x80000001, %eax
    jb      boot_refuse
    movl    $0x80000001, %eax
    cpuid
    btl     $29, %edx
    jnc     boot_refuse
    movl    $(no_nx - {virt}), %esi
    btl     $20, %edx
    jnc     boot_refuse
    movl    $1, %eax
    cpuid
    movl    $(no_pae - {virt}), %esi
    btl     $6, %edx
    jnc     boot_refuse
    movl    $(no_apic - {virt}), %esi
    btl     $9, %edx
    jnc     boot_refuse
    movl    $(no_sse2 - {virt}), %esi
    btl     $26, %edx
    jnc     boot_refuse
    movl    %ebp, %ebx

    /* Four page directories: 2048 entries of 2 MiB, present, writable. */
    pushl   %edi
    movl    $(boot_page_directories - {virt}), %edi
    movl    $0x83, %eax
    movl    $2048, %ecx
1:  movl    %eax, (%edi)
    addl    $8, %edi
    addl    $0x200000, %eax
    decl    %ecx
    jnz     1b
    popl    %edi

    movl    $(boot_page_directories - {virt} + 0x003), %eax
    movl    $(boot_l3 - {virt}), %edx
    movl    %eax, 0(%edx)
    addl    $0x1000, %eax
    movl    %eax, 8(%edx)
    addl    $0x1000, %eax
    movl    %eax, 16(%edx)
    addl    $0x1000, %eax
    movl    %eax, 24(%edx)

    movl    $(boot_l3 - {virt} + 0x003), %eax
    movl    $(boot_l4 - {virt}), %edx
    movl    %eax, (%edx)
    movl    %eax, 8*{image_slot}(%edx)
    movl    %eax, 8*{direct_slot}(%edx)

    movl    %edx, %cr3
    movl    $0x20, %eax                 /* CR4.PAE and nothing else */
    movl    %eax, %cr4
    movl    $0xc0000080, %ecx           /* EFER: SCE, LME, NXE */
    rdmsr
    orl     $0x901, %eax
    wrmsr
    movl    $0x80010033, %eax           /* CR0: PG WP NE ET MP PE; caches on */
    movl    %eax, %cr0
    lgdt    boot_gdt_pointer - {virt}
    ljmpl   $0x08, $(boot_long_mode - {virt})
    .size multiboot_entry, . - multiboot_entry

/* In: esi = physical address of a NUL-terminated message. Does not return.
   COM1 is set to 115200 8n1 first: nobody has done so yet on a real machine. */
boot_refuse:
    movl    $(uart_setup - {virt}), %ebp
1:  movzwl  (%ebp), %edx
    testl   %edx, %edx
    jz      2f
    movb    2(%ebp), %al
    outb    %al, %dx
    addl    $3, %ebp
    jmp     1b
2:  lodsb
    testb   %al, %al
    jz      4f
    movb    %al, %ah
    movw    $0x3fd, %dx
    movl    $0x100000, %ecx             /* a port that nobody drains must not hang us here */
3:  inb     %dx, %al
    testb   $0x20, %al
    loopz   3b
    movb    %ah, %al
    movw    $0x3f8, %dx
    outb    %al, %dx
    jmp     2b
4:  hlt
    jmp     4b

    .code64
/* In: edi magic, ebx information, identity-mapped, flat 64-bit CS. Does not return. */
boot_long_mode:
    movabsq $boot_high, %rax
    jmp     *%rax
boot_high:
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    leaq    boot_stack_top(%rip), %rsp
    xorl    %ebp, %ebp                  /* ends the chain of frame pointers */
    movl    %edi, %edi
    movl    %ebx, %esi
    pushq   $0
    pushq   $0
    call    ferrule_main
    ud2

    .section .rodata, "a", @progbits
    .balign 8
    .global boot_gdt
boot_gdt:
    .quad   0
    .quad   0x00af9b000000ffff          /* 0x08: 64-bit code, DPL 0 */
    .quad   0x00cf93000000ffff          /* 0x10: data, DPL 0 */
    .quad   0x00cf9b000000ffff          /* 0x18: 32-bit code, DPL 0 (the AP's way up) */
boot_gdt_end:
    .global boot_gdt_pointer
boot_gdt_pointer:
    .word   boot_gdt_end - boot_gdt - 1
    .long   boot_gdt - {virt}
    .long   0

uart_setup:                             /* port, value; ends with port 0 */
    .word 0x3fb; .byte 0x80
    .word 0x3f8; .byte 0x01
    .word 0x3f9; .byte 0x00
    .word 0x3fb; .byte 0x03
    .word 0x3fa; .byte 0x07
    .word 0x3fc; .byte 0x03
    .word 0
no_multiboot:
    .asciz "(FR) [0.000] PANIC: not started by a Multiboot loader\r\n"
no_long_mode:
    .asciz "(FR) [0.000] PANIC: this CPU has no 64-bit mode\r\n"
no_nx:
    .asciz "(FR) [0.000] PANIC: this CPU has no no-execute pages (NX), or the firmware turned them off\r\n"
no_pae:
    .asciz "(FR) [0.000] PANIC: this CPU has no physical address extension (PAE)\r\n"
no_apic:
    .asciz "(FR) [0.000] PANIC: this CPU has no local APIC, or the firmware turned it off\r\n"
no_sse2:
    .asciz "(FR) [0.000] PANIC: this CPU has no SSE2\r\n"

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .global boot_l4
boot_l4:                .skip 4096
boot_l3:                .skip 4096
boot_page_directories:  .skip 4 * 4096
    .global boot_stack, boot_stack_top
boot_stack:             .skip {stack}
boot_stack_top:
    "#,
    virt = const IMAGE_VIRT,
    magic = const MULTIBOOT_MAGIC,
    magic2 = const MULTIBOOT2_MAGIC,
    image_slot = const slot(IMAGE_VIRT),
    direct_slot = const slot(DIRECT_MAP),
    stack = const BOOT_STACK_SIZE,
    options(att_syntax)
);
