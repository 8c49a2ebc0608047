//! Overruns its stack: calls itself for ever.
//!
//! Expected: it dies (signal 11) and the kernel lives on; before that the stack grows to a decent
//! size. `badstack` tries in a child, status 0; `badstack run` does it itself.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: loads a wild stack pointer.

use guest_programs::check::{Deadly, deadly};
use guest_programs::{Args, memory};

guest_programs::entry!(main);

#[allow(unconditional_recursion)] // That is the point.
#[inline(never)]
fn deeper(level: usize) -> usize {
    let frame = [level as u8; 256];
    deeper(level + 1) + usize::from(memory::peek(frame.as_ptr().addr()))
}

fn wild(stack: usize) {
    // SAFETY: 1. The process dies of it: no code of it runs on that stack.
    unsafe {
        core::arch::asm!("mov esp, {0}", "push 0", "2: jmp 2b", in(reg) stack, options(noreturn));
    }
}

fn main(args: Args) -> u8 {
    let segv = |name, act| Deadly { name, signal: 11, act };
    deadly(
        args,
        &[
            segv("run", || {
                deeper(0);
            }),
            segv("null-stack", || wild(0)),
            segv("kernel-stack", || wild(0x8010_0000)),
            segv("hypervisor-stack", || wild(0xffff_fff0)),
        ],
    )
}
