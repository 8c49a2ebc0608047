//! Raises every exception that a program can raise by itself, and tries the other doors to the kernel.
//!
//! Each exception is deadly by the signal that Linux gives it. Instructions whose effect depends on the CPU
//! (`syscall` and `sysenter` are doors under Linux) or on the emulator (QEMU 7.2 takes `icebp` for an
//! invalid opcode and null segments for flat ones) must only do no harm. Expected: only `ok` lines;
//! status 0. `badtrap NAME` does one itself.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: instructions that trap.

use core::arch::asm;
use guest_programs::check::{Checks, Deadly, deadly};
use guest_programs::sys::{self, Ended};
use guest_programs::{Args, println};

guest_programs::entry!(main);

const TRAP: u8 = 5;
const ILL: u8 = 4;
const FPE: u8 = 8;
const SEGV: u8 = 11;

/// A function of some instructions that end the process.
macro_rules! instructions {
    ($($text:literal),+) => {
        || {
            // SAFETY: 1. The process dies of it, or it changes nothing but these registers.
            unsafe { asm!($($text),+, out("eax") _, out("ecx") _, out("edx") _) }
        }
    };
}

const EXCEPTIONS: &[Deadly] = &[
    Deadly { name: "int3", signal: TRAP, act: instructions!("int3") },
    Deadly {
        name: "single-step",
        signal: TRAP,
        act: instructions!("pushfd", "or dword ptr [esp], 0x100", "popfd", "nop", "nop"),
    },
    Deadly { name: "divide", signal: FPE, act: instructions!("xor ecx, ecx", "div ecx") },
    Deadly {
        name: "x87-divide",
        signal: FPE,
        // All exceptions unmasked, 1 / 0, and the wait that reports it.
        act: instructions!("push 0x340", "fldcw word ptr [esp]", "fld1", "fldz", "fdivp", "fwait"),
    },
    Deadly { name: "overflow", signal: SEGV, act: instructions!("mov al, 127", "inc al", "into") },
    Deadly {
        name: "bound",
        signal: SEGV,
        act: instructions!("push 1", "push 0", "mov eax, 7", "bound eax, [esp]"),
    },
    Deadly { name: "ud2", signal: ILL, act: instructions!("ud2") },
    Deadly { name: "lock-nop", signal: ILL, act: instructions!(".byte 0xf0, 0x90") },
    Deadly {
        name: "wild-segment",
        signal: SEGV,
        act: instructions!("mov eax, 0xfffb", "mov fs, ax"),
    },
    Deadly { name: "code-as-stack", signal: SEGV, act: instructions!("mov eax, cs", "mov ss, ax") },
    Deadly {
        name: "long-instruction",
        signal: SEGV,
        act: instructions!(".fill 15, 1, 0x66", "nop"),
    },
    Deadly {
        name: "int-with-trap-flag",
        signal: TRAP,
        act: instructions!(
            "pushfd",
            "or dword ptr [esp], 0x100",
            "mov eax, 20",
            "popfd",
            "int 0x80",
            "nop"
        ),
    },
];

/// Instructions that may lead into a kernel, or not. 9999 is the number of no system call.
const DOORS: &[(&str, fn())] = &[
    ("icebp", instructions!(".byte 0xf1")),
    ("null-segment", instructions!("xor eax, eax", "mov fs, ax", "mov eax, fs:[0x08048000]")),
    ("syscall", instructions!("mov eax, 9999", "syscall")),
    ("sysenter", instructions!("mov eax, 9999", "push ebp", "mov ebp, esp", "sysenter")),
    ("sysret", instructions!("sysret")),
    ("sysexit", instructions!("sysexit")),
    (
        "nested-task-iret",
        instructions!(
            "pushfd",
            "or dword ptr [esp], 0x4000",
            "popfd",
            "push 0x202",
            "push 0x23",
            "push 0",
            "iretd"
        ),
    ),
    (
        "nested-task-int",
        instructions!("pushfd", "or dword ptr [esp], 0x4000", "popfd", "mov eax, 20", "int 0x80"),
    ),
    ("direction-flag", instructions!("std", "mov eax, 20", "int 0x80", "cld")),
    (
        "alignment-check",
        instructions!(
            "pushfd",
            "or dword ptr [esp], 0x40000",
            "popfd",
            "mov eax, [esp + 1]",
            "pushfd",
            "and dword ptr [esp], 0xfffbffff",
            "popfd"
        ),
    ),
];

fn main(args: Args) -> u8 {
    if let Some(&(_, act)) = DOORS.iter().find(|door| Some(door.0) == args.get(1)) {
        act();
        println!("still alive");
        return 0;
    }
    let status = deadly(args, EXCEPTIONS);
    if args.count() > 1 {
        return status;
    }
    let mut checks = Checks::new();
    for (name, act) in DOORS {
        let ended = match sys::fork() {
            Ok(0) => {
                act();
                sys::exit(0)
            }
            Ok(pid) => sys::wait(pid),
            Err(errno) => Err(errno),
        };
        let harmless = matches!(ended, Ok(Ended::Exited(0) | Ended::Killed(ILL | TRAP | 7 | SEGV)));
        checks.that(harmless, format_args!("{name} does no harm ({ended:?})"));
    }
    checks.status().max(status)
}
