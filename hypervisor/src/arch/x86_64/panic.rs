//! The hypervisor's own failure: say what is known, then end as the command line says.
//!
//! Two ways lead here: a Rust panic, and an exception in Ring 0 that nothing expected. Both
//! print one line that starts with `PANIC`, the registers, who called whom, and, if a guest
//! was running on this CPU, its registers. The console's lock is broken first, and the other
//! CPUs are stopped by NMI: nothing they still do could be trusted.

// UNSAFETY: breaks the console's lock, reads the frame pointer.
#![allow(unsafe_code)]

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use spin::Once;
use x86_64::registers::control::{Cr2, Cr3};

use super::backtrace::{self, Code};
use super::logger::Timestamp;
use super::{apic, cpus, end, serial};
use crate::guest::regs::UserRegs;

/// Nobody has panicked.
const NOBODY: u32 = u32::MAX;

/// The CPU that panicked first.
static WHO: AtomicU32 = AtomicU32::new(NOBODY);
/// Prints what runs on this CPU; the library's, once it runs guests.
static GUEST_REPORT: Once<fn()> = Once::new();

/// Sets the function that prints the state of the guest that runs on this CPU, if one does.
/// It may use the console, and must not take a lock.
pub fn set_guest_report(report: fn()) {
    GUEST_REPORT.call_once(|| report);
}

/// Whether a CPU has panicked: an NMI then means "stop".
pub fn is_panicking() -> bool {
    WHO.load(Ordering::Acquire) != NOBODY
}

/// Makes this CPU the one that reports. A second panic, be it of another CPU or within the
/// report, ends without a word.
fn claim() {
    let cpu = cpus::number();
    match WHO.compare_exchange(NOBODY, cpu, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            x86_64::instructions::interrupts::disable();
            apic::stop_others();
            // SAFETY: 1. This CPU never returns to what it did, the others have been stopped.
            unsafe { serial::break_lock() };
        }
        Err(first) if first == cpu => end::finish(end::code::PANIC),
        Err(_) => end::stop(),
    }
}

fn line(text: core::fmt::Arguments<'_>) {
    let cpu = cpus::number();
    serial::write_fmt(format_args!("(FR) [{}] PANIC: CPU {cpu}: {text}\n", Timestamp::now()));
}

fn callers_and_guest(rbp: u64) {
    serial::write_fmt(format_args!("  called from:\n"));
    backtrace::print(rbp);
    if let Some(report) = GUEST_REPORT.get() {
        report();
    }
}

/// A Rust panic.
pub fn rust_panic(info: &PanicInfo<'_>) -> ! {
    claim();
    match info.location() {
        Some(at) => line(format_args!("{}, at {}:{}", info.message(), at.file(), at.line())),
        None => line(format_args!("{}", info.message())),
    }
    let rbp: u64;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags));
    }
    callers_and_guest(rbp);
    end::finish(end::code::PANIC)
}

/// An exception that nothing expected: in Ring 0, or the machine's own failure.
pub fn exception(name: &str, frame: &UserRegs) -> ! {
    claim();
    let ring = frame.cs & 3;
    line(format_args!("{name} in Ring {ring}, error code {:#x}", frame.error_code));
    print_registers(frame);
    callers_and_guest(frame.rbp);
    end::finish(end::code::PANIC)
}

/// Prints all registers of `frame`, and the control registers.
pub fn print_registers(frame: &UserRegs) {
    let code = Code(frame.rip);
    serial::write_fmt(format_args!(
        "  rip {code}\n  cs {:#06x} ss {:#06x} rflags {:#010x} rsp {:#018x}\n",
        frame.cs, frame.ss, frame.rflags, frame.rsp
    ));
    let rows = [
        [("rax", frame.rax), ("rbx", frame.rbx), ("rcx", frame.rcx), ("rdx", frame.rdx)],
        [("rsi", frame.rsi), ("rdi", frame.rdi), ("rbp", frame.rbp), ("r8 ", frame.r8)],
        [("r9 ", frame.r9), ("r10", frame.r10), ("r11", frame.r11), ("r12", frame.r12)],
        [("r13", frame.r13), ("r14", frame.r14), ("r15", frame.r15), ("cr2", Cr2::read_raw())],
    ];
    for [(a, av), (b, bv), (c, cv), (d, dv)] in rows {
        serial::write_fmt(format_args!(
            "  {a} {av:016x} {b} {bv:016x} {c} {cv:016x} {d} {dv:016x}\n"
        ));
    }
    let root = Cr3::read_raw().0.start_address().as_u64();
    serial::write_fmt(format_args!("  cr3 {root:016x}\n"));
}
