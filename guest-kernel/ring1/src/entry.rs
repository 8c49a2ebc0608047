//! Where a Ring 1 program begins: Xen ELF notes, hypercall page, boot stack, `_start`.
//!
//! The domain builder reads the notes, fills the hypercall page and enters `_start` in Ring 1 with
//! flat segments, `esi` = virtual address of the start info page and `esp` = top of the boot stack
//! that it laid out (Xen 4.17, `arch/x86/pv/dom0_build.c`; `xen/arch-x86/xen.h` beside
//! `start_info`). The notes say what the link script says: keep `VIRT_BASE` the same in both.
//!
//! A program gives its main function to [`entry!`](crate::entry!). `_start` moves to a stack in
//! the program's own image and calls it.
#![allow(unsafe_code)] // UNSAFETY: assembly, and the addresses that it and the link script define.

use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::x86_32::StartInfo;

/// Virtual address of pseudo-physical address 0: everything that the builder maps lies above.
pub const VIRT_BASE: u32 = 0x8000_0000;

/// Where the hypervisor's addresses begin at the earliest (note `HV_START_LOW`).
pub const HV_START_LOW: u32 = 0xf580_0000;

/// Bytes of the stack that `main` runs on.
pub const BOOT_STACK_BYTES: u32 = 0x8000;

core::arch::global_asm!(
    r#"
    .macro XENNOTE kind, contents:vararg
        .pushsection .note.Xen, "a", @note
        .balign 4
        .long 4, 772f - 771f, \kind
        .asciz "Xen"
    771: \contents
    772: .balign 4
        .popsection
    .endm

    XENNOTE 6, .asciz "Ferrule"          /* XEN_ELFNOTE_GUEST_OS */
    XENNOTE 7, .asciz "0.1"              /* XEN_ELFNOTE_GUEST_VERSION */
    XENNOTE 5, .asciz "xen-3.0"          /* XEN_ELFNOTE_XEN_VERSION */
    XENNOTE 8, .asciz "generic"          /* XEN_ELFNOTE_LOADER */
    XENNOTE 9, .asciz "yes"              /* XEN_ELFNOTE_PAE_MODE */
    XENNOTE 10, .asciz "!writable_page_tables|pae_pgdir_above_4gb"  /* XEN_ELFNOTE_FEATURES */
    XENNOTE 3, .long {virt_base}         /* XEN_ELFNOTE_VIRT_BASE */
    XENNOTE 4, .long 0                   /* XEN_ELFNOTE_PADDR_OFFSET */
    XENNOTE 1, .long _start              /* XEN_ELFNOTE_ENTRY */
    XENNOTE 2, .long hypercall_page      /* XEN_ELFNOTE_HYPERCALL_PAGE */
    XENNOTE 12, .long {hv_start_low}     /* XEN_ELFNOTE_HV_START_LOW */

    .pushsection .text.hypercall_page, "ax", @progbits
    .globl hypercall_page
    .type hypercall_page, @object
    .balign 4096
hypercall_page:
    .skip 4096, 0xcc
    .size hypercall_page, 4096
    .popsection

    .pushsection .bss.page_aligned, "aw", @nobits
    .balign 4096
boot_stack_guard:
    .skip 4096
    .globl boot_stack
boot_stack:
    .skip {stack_bytes}
    .globl boot_stack_top
boot_stack_top:
    .globl shared_info_page
shared_info_page:
    .skip 4096
    .popsection

    .pushsection .text, "ax", @progbits
    .globl _start
    .type _start, @function
    /* In: esi = start info, esp = builder's boot stack, flat segments, upcalls masked. */
_start:
    cld
    movl %esp, {builder_stack}
    movl $boot_stack_top, %esp
    xorl %ebp, %ebp
    movl %esi, {start_info}
    call guest_main
    ud2
    .size _start, . - _start
    .popsection
    "#,
    virt_base = const VIRT_BASE,
    hv_start_low = const HV_START_LOW,
    stack_bytes = const BOOT_STACK_BYTES,
    builder_stack = sym BUILDER_STACK,
    start_info = sym START_INFO,
    options(att_syntax)
);

/// Stack pointer at `_start`: the top of the boot stack that the builder laid out.
static BUILDER_STACK: AtomicU32 = AtomicU32::new(0);
/// Address of the start info page, as `_start` received it.
static START_INFO: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    static hypercall_page: [u8; 4096];
    static _start: u8;
    static shared_info_page: [u8; 4096];
    static boot_stack: [u8; BOOT_STACK_BYTES as usize];
    static __kernel_start: u8;
    static __rodata_start: u8;
    static __data_start: u8;
    static __kernel_end: u8;
}

/// Where a program begins.
pub fn start_address() -> u32 {
    (&raw const _start).addr() as u32
}

/// Virtual address of the hypercall page, which the hypervisor fills.
pub fn hypercall_page_address() -> u32 {
    (&raw const hypercall_page).addr() as u32
}

/// Virtual address of the page in the image that `crate::shared::map` turns into a window on the
/// shared info frame.
pub fn shared_info_address() -> u32 {
    (&raw const shared_info_page).addr() as u32
}

/// The page below the boot stack, which nobody uses: a kernel that takes it out of its address space
/// hears of a stack that overflows.
pub fn boot_stack_guard() -> u32 {
    (&raw const boot_stack).addr() as u32 - 4096
}

/// Stack pointer with which the builder started the program.
pub fn builder_stack() -> u32 {
    BUILDER_STACK.load(Ordering::Relaxed)
}

/// The image's parts as virtual addresses, each of whole pages: code, read-only data, data.
pub fn image() -> [core::ops::Range<u32>; 3] {
    let start = (&raw const __kernel_start).addr() as u32;
    let rodata = (&raw const __rodata_start).addr() as u32;
    let data = (&raw const __data_start).addr() as u32;
    let end = (&raw const __kernel_end).addr() as u32;
    [start..rodata, rodata..data, data..end]
}

/// The start info page.
pub fn start_info() -> &'static StartInfo {
    let address = START_INFO.load(Ordering::Relaxed) as usize;
    assert!(address != 0, "no start info");
    // SAFETY: 1. `_start` stored the address of the page that the builder filled and mapped.
    // 2. The page is the domain's own; this program never writes to it or gives it back.
    // 3. `StartInfo` is valid for any bytes and aligned to at most 4.
    unsafe { &*core::ptr::with_exposed_provenance::<StartInfo>(address) }
}

/// Makes `$main`, a `fn(&'static StartInfo) -> !`, the main function of a Ring 1 program.
///
/// At its start event delivery is masked, no trap handler is set, and only what the builder mapped
/// is mapped.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// Called by `_start`.
        #[unsafe(no_mangle)]
        extern "C" fn guest_main() -> ! {
            let main: fn(&'static $crate::abi::StartInfo) -> ! = $main;
            main($crate::init())
        }
    };
}
