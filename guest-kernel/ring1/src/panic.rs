//! The end: a message, the registers, a backtrace, and the shutdown "crash".
//!
//! The backtrace follows the frame pointers that every function of this build keeps, and prints
//! return addresses; `addr2line -e guest-kernel.elf` names them. It reads through
//! [`probe`](crate::probe), so a broken chain ends it and nothing else.
#![allow(unsafe_code)] // UNSAFETY: reads ebp.

use crate::println;
use crate::probe::{probe, read_u32};
use crate::trap::TrapFrame;
use crate::{calls, entry, events};
use core::sync::atomic::{AtomicU32, Ordering};

/// How deep in panics we are: a panic within a panic says less, a third one nothing.
static DEPTH: AtomicU32 = AtomicU32::new(0);

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    events::mask();
    match DEPTH.fetch_add(1, Ordering::Relaxed) {
        0 => {
            println!("\nkernel panic: {}", info.message());
            if let Some(location) = info.location() {
                println!("  at {location}");
            }
            let ebp: u32;
            // SAFETY: 1. Reads a register.
            unsafe { core::arch::asm!("mov {}, ebp", out(reg) ebp, options(nomem, nostack)) };
            backtrace(None, ebp);
        }
        1 => println!("panic while panicking"),
        _ => {}
    }
    crash()
}

/// Reports a trap that nothing expected, and ends.
pub fn unexpected_trap(frame: &TrapFrame) -> ! {
    events::mask();
    let ring = frame.cs & 3;
    println!(
        "\nkernel panic: unexpected {} (vector {}, error {:#x}) in ring {ring}",
        vector_name(frame.vector),
        frame.vector,
        frame.error
    );
    registers(frame);
    if DEPTH.fetch_add(1, Ordering::Relaxed) == 0 && !frame.from_user() {
        backtrace(Some(frame.eip), frame.ebp);
    }
    crash()
}

/// Prints the registers of a frame, and cr2 where it means something.
pub fn registers(frame: &TrapFrame) {
    println!(
        "  eip {:04x}:{:08x}  esp {:08x}  eflags {:08x}",
        frame.cs as u16,
        frame.eip,
        frame.stack_pointer(),
        frame.eflags
    );
    println!(
        "  eax {:08x}  ebx {:08x}  ecx {:08x}  edx {:08x}",
        frame.eax, frame.ebx, frame.ecx, frame.edx
    );
    println!(
        "  esi {:08x}  edi {:08x}  ebp {:08x}  ds {:04x} es {:04x}",
        frame.esi, frame.edi, frame.ebp, frame.ds as u16, frame.es as u16
    );
    if frame.vector == 14 {
        println!("  cr2 {:08x}", frame.address);
    }
}

fn backtrace(eip: Option<u32>, mut ebp: u32) {
    let [text, ..] = entry::image();
    println!("backtrace:");
    if let Some(eip) = eip {
        println!("  {eip:#010x}");
    }
    for _ in 0..32 {
        let Ok((next, address)) = probe(|| (read_u32(ebp), read_u32(ebp.wrapping_add(4)))) else {
            break;
        };
        if !text.contains(&address) {
            break;
        }
        println!("  {address:#010x}");
        if next <= ebp {
            break;
        }
        ebp = next;
    }
}

/// The name of an exception.
pub fn vector_name(vector: u32) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug exception",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection fault",
        14 => "page fault",
        16 => "floating-point error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD floating-point error",
        0x80 => "system call",
        crate::trap::FAILSAFE => "failsafe callback",
        _ => "trap",
    }
}

/// Sends what the console still holds and shuts the domain down with reason "crash".
fn crash() -> ! {
    crate::console::flush();
    calls::shutdown(pv_abi::sched::SHUTDOWN_CRASH)
}
