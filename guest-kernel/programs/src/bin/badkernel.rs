//! Touches memory that is the kernel's or the hypervisor's.
//!
//! Each act must be deadly (signal 11), and the kernel must live on. `badkernel` tries all in
//! children; `badkernel NAME` does one itself. Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: writes and jumps to where it must not.

use guest_programs::check::{Deadly, deadly};
use guest_programs::{Args, memory};

guest_programs::entry!(main);

/// The kernel's image begins here.
const KERNEL: usize = 0x8010_0000;
/// The kernel's first page: the frames below 1 MiB, page tables and p2m among what follows.
const KERNEL_START: usize = 0x8000_0000;
/// The hypervisor's window onto the machine-to-physical table.
const M2P: usize = 0xf580_0000;
/// The last page below 4 GiB.
const LAST: usize = 0xffff_f000;

fn read(address: usize) {
    memory::peek(address);
}

fn write(address: usize) {
    // SAFETY: 1. The process dies of it, or the kernel is broken, which is what this finds out.
    unsafe { memory::poke(address, 0) }
}

fn jump(address: usize) {
    // SAFETY: 1. As in `write`.
    unsafe { core::arch::asm!("call {0}", in(reg) address, clobber_abi("C")) }
}

fn main(args: Args) -> u8 {
    let segv = |name, act| Deadly { name, signal: 11, act };
    deadly(
        args,
        &[
            segv("read-kernel", || read(KERNEL)),
            segv("write-kernel", || write(KERNEL)),
            segv("jump-kernel", || jump(KERNEL)),
            segv("read-first", || read(KERNEL_START)),
            segv("write-first", || write(KERNEL_START)),
            segv("read-below-3g", || read(0xbfff_ffff)),
            segv("read-m2p", || read(M2P)),
            segv("write-m2p", || write(M2P)),
            segv("jump-m2p", || jump(M2P)),
            segv("read-last", || read(LAST)),
            segv("write-last", || write(LAST)),
            segv("read-null", || read(0)),
            segv("write-null", || write(0)),
        ],
    )
}
