//! Where a program begins, and how it ends when it panics.
#![allow(unsafe_code)] // UNSAFETY: the first instructions are assembly, on the kernel's stack layout.

use crate::{Args, sys};

core::arch::global_asm!(
    r#"
    .pushsection .text, "ax", @progbits
    .globl _start
    .type _start, @function
    /* In: esp points to argc, as the kernel laid it out; all other registers unspecified. */
_start:
    xorl %ebp, %ebp
    movl %esp, %eax
    andl $-16, %esp
    subl $12, %esp
    pushl %eax
    call {start}
    .popsection
    "#,
    start = sym start,
    options(att_syntax)
);

unsafe extern "C" {
    /// The program's own main function; [`entry!`](crate::entry) makes it.
    fn program_main(args: Args) -> u8;
}

/// # Safety
/// For `_start` alone, with the stack pointer that the kernel gave.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: 1. The caller's promise. 2. `entry!` defines `program_main` with this signature.
    let status = unsafe { program_main(Args::at(stack)) };
    sys::exit(status)
}

/// Makes `$main`, a `fn(Args) -> u8`, the program's main function; the result is its exit status.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// What the start code calls.
        #[allow(unsafe_code)] // UNSAFETY: the name is how the start code finds it.
        #[unsafe(no_mangle)]
        extern "C" fn program_main(args: $crate::Args) -> u8 {
            let main: fn($crate::Args) -> u8 = $main;
            main(args)
        }
    };
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    crate::println!("{info}");
    sys::exit(101)
}
