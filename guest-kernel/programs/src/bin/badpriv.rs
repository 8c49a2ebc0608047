//! Executes privileged instructions in Ring 3.
//!
//! Each must be deadly: signal 11 (the CPU's general protection fault), or 4 where the instruction
//! itself is refused. `badpriv` tries all in children; `badpriv NAME` does one itself. Expected: only
//! `ok` lines; status 0.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: privileged instructions.

use core::arch::asm;
use guest_programs::Args;
use guest_programs::check::{Deadly, deadly};

guest_programs::entry!(main);

/// A function of one instruction. It is deadly, so it need not say what it would clobber.
macro_rules! instruction {
    ($($text:literal),+) => {
        || {
            // SAFETY: 1. The process dies of it, or the kernel is broken.
            unsafe { asm!($($text),+, out("eax") _, out("ecx") _, out("edx") _) }
        }
    };
}

fn main(args: Args) -> u8 {
    let segv = |name, act| Deadly { name, signal: 11, act };
    deadly(
        args,
        &[
            segv("cli", instruction!("cli")),
            segv("sti", instruction!("sti")),
            segv("hlt", instruction!("hlt")),
            segv("in", instruction!("in al, 0x60")),
            segv("out", instruction!("mov al, 0", "out 0x80, al")),
            segv("insb", instruction!("push edi", "mov edi, esp", "mov edx, 0x60", "insb")),
            segv("mov-to-cr0", instruction!("xor eax, eax", "mov cr0, eax")),
            segv("mov-from-cr0", instruction!("mov eax, cr0")),
            segv("mov-to-cr3", instruction!("xor eax, eax", "mov cr3, eax")),
            segv("mov-from-cr3", instruction!("mov eax, cr3")),
            segv("mov-to-cr4", instruction!("xor eax, eax", "mov cr4, eax")),
            segv("mov-to-dr7", instruction!("xor eax, eax", "mov dr7, eax")),
            segv("clts", instruction!("clts")),
            segv("invlpg", instruction!("invlpg [esp]")),
            segv("wbinvd", instruction!("wbinvd")),
            segv("lgdt", instruction!("lgdt [esp]")),
            segv("lidt", instruction!("lidt [esp]")),
            segv("lldt", instruction!("xor eax, eax", "lldt ax")),
            segv("ltr", instruction!("xor eax, eax", "ltr ax")),
            segv("lmsw", instruction!("xor eax, eax", "lmsw ax")),
            segv("rdmsr", instruction!("mov ecx, 0xc0000080", "rdmsr")),
            segv("wrmsr", instruction!("mov ecx, 0xc0000080", "xor eax, eax", "wrmsr")),
            // The hypercall gate is the kernel's alone.
            segv("int-0x82", instruction!("mov eax, 17", "int 0x82")),
            segv("int-0x0e", instruction!("int 0x0e")),
            segv("far-jump-ring1", instruction!("push 0xe019", "push 0", "retf")),
            segv("load-ring1-stack", instruction!("mov eax, 0xe021", "mov ss, ax")),
            Deadly { name: "ud2", signal: 4, act: instruction!("ud2") },
        ],
    )
}
