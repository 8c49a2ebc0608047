//! `memcpy` and its kin, which the compiler calls for what it does not open-code.
//!
//! Those that come with the compiler copy and compare byte by byte on this target: ten instructions for
//! each byte of a path in XenStore, and more than a millisecond for the image of a new domain. Here the
//! string instructions do whole words. They are strong symbols, so the linker leaves the compiler's out.
//!
//! Assembly, because a loop written in Rust would be recognised, and become a call of itself. The
//! direction flag is clear: the ABI says so, and every entry sees to it.
#![allow(unsafe_code)] // UNSAFETY: assembly that other code calls by the names of C's functions.

core::arch::global_asm!(
    r#"
    .macro FUNCTION name
        .globl \name
        .type \name, @function
        .balign 16
    \name:
    .endm

    .pushsection .text.memory, "ax", @progbits

    /* void *memcpy(void *to, const void *from, size_t count) */
    FUNCTION memcpy
        pushl %esi
        pushl %edi
        movl 12(%esp), %edi
        movl 16(%esp), %esi
        movl 20(%esp), %edx
    .Lforwards:
        movl %edi, %eax
        movl %edx, %ecx
        shrl $2, %ecx
        rep movsl
        movl %edx, %ecx
        andl $3, %ecx
        rep movsb
        popl %edi
        popl %esi
        ret
        .size memcpy, . - memcpy

    /* void *memmove(void *to, const void *from, size_t count): they may overlap */
    FUNCTION memmove
        pushl %esi
        pushl %edi
        movl 12(%esp), %edi
        movl 16(%esp), %esi
        movl 20(%esp), %edx
        movl %edi, %eax
        subl %esi, %eax
        /* Backwards only where `to` lies inside of what is copied. */
        cmpl %edx, %eax
        jae .Lforwards
        movl %edi, %eax
        leal -1(%esi, %edx), %esi
        leal -1(%edi, %edx), %edi
        std
        movl %edx, %ecx
        andl $3, %ecx
        rep movsb
        subl $3, %esi
        subl $3, %edi
        movl %edx, %ecx
        shrl $2, %ecx
        rep movsl
        cld
        popl %edi
        popl %esi
        ret
        .size memmove, . - memmove

    /* void *memset(void *to, int byte, size_t count) */
    FUNCTION memset
        pushl %edi
        movl 8(%esp), %edi
        movzbl 12(%esp), %eax
        imull $0x01010101, %eax, %eax
        movl 16(%esp), %edx
        movl %edx, %ecx
        shrl $2, %ecx
        rep stosl
        movl %edx, %ecx
        andl $3, %ecx
        rep stosb
        movl 8(%esp), %eax
        popl %edi
        ret
        .size memset, . - memset

    /* int memcmp(const void *a, const void *b, size_t count); bcmp asks less of the result */
    .globl bcmp
    .type bcmp, @function
    FUNCTION memcmp
    bcmp:
        pushl %esi
        pushl %edi
        movl 12(%esp), %esi
        movl 16(%esp), %edi
        movl 20(%esp), %ecx
        movl %ecx, %edx
        andl $-4, %ecx
        /* From the ends of the words up to zero. */
        addl %ecx, %esi
        addl %ecx, %edi
        negl %ecx
        jz 2f
    1:  movl (%esi, %ecx), %eax
        cmpl (%edi, %ecx), %eax
        jne 4f
        addl $4, %ecx
        jnz 1b
    2:  andl $3, %edx
        jz 5f
    3:  movzbl (%esi, %ecx), %eax
        cmpb (%edi, %ecx), %al
        jne 6f
        incl %ecx
        cmpl %edx, %ecx
        jne 3b
    5:  xorl %eax, %eax
        jmp 7f
        /* The first byte that differs is the lowest of the word: the most significant one, swapped. */
    4:  movl (%edi, %ecx), %edx
        bswapl %eax
        bswapl %edx
        cmpl %edx, %eax
        /* 1 above, -1 below. */
    6:  sbbl %eax, %eax
        orl $1, %eax
    7:  popl %edi
        popl %esi
        ret
        .size memcmp, . - memcmp
        .size bcmp, . - memcmp

    .popsection
    "#,
    options(att_syntax)
);
