//! Jumps to where no code is.
//!
//! Expected: each act is deadly (signal 11; 8 for the division); status 0. `badjump NAME` does one
//! itself. Data is left out: without NX, it can be executed.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: wild jumps.

use core::arch::asm;
use guest_programs::Args;
use guest_programs::check::{Deadly, deadly};

guest_programs::entry!(main);

/// The hypervisor's own code segment.
const RING0_CODE: u16 = 0xe008;

fn jump(address: usize) {
    // SAFETY: 1. The process dies of it.
    unsafe { asm!("jmp {0}", in(reg) address, options(noreturn)) }
}

fn far(selector: u16) {
    // SAFETY: 1. The process dies of it.
    unsafe {
        asm!("push {0:e}", "push 0", "retf", in(reg) u32::from(selector), options(noreturn));
    }
}

fn main(args: Args) -> u8 {
    let segv = |name, act| Deadly { name, signal: 11, act };
    deadly(
        args,
        &[
            segv("null", || jump(0)),
            segv("unmapped", || jump(0x3000_0000)),
            segv("last-byte", || jump(0xffff_ffff)),
            segv("hypervisor-code", || far(RING0_CODE)),
            segv("ring0-selector", || far(0x08)),
            segv("null-selector", || far(0)),
            segv("beyond-the-table", || far(0xfff8 | 3)),
            Deadly {
                name: "divide",
                signal: 8,
                // SAFETY: 1. The process dies of it.
                act: || unsafe {
                    asm!("xor edx, edx", "mov eax, 1", "xor ecx, ecx", "div ecx", out("eax") _,
                    out("ecx") _, out("edx") _);
                },
            },
        ],
    )
}
