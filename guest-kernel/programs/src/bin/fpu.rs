//! The x87 state of two processes is kept apart.
//!
//! Parent and child each fill the FPU's eight registers with values of their own and look at them
//! again and again, while the timer switches between them. Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: x87 instructions; the compiler itself uses none (soft float).

use core::arch::asm;
use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::sys::{self, Ended};

guest_programs::entry!(main);

const ROUNDS: u32 = 20_000;

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    checks.same(sum(), 0, "a fresh FPU can be used");
    load(1000);
    // The child inherits the registers, then uses its own.
    let inherits = || u8::from(unload() != total(1000));
    checks.child(inherits, Ended::Exited(0), "a child inherits the FPU's registers");
    checks.same(unload(), total(1000), "the parent keeps them");

    let child = match sys::fork() {
        Ok(0) => sys::exit(u8::from(rounds(7) != 0)),
        other => other.unwrap_or(0),
    };
    checks.same(rounds(100_000), 0, "rounds with wrong values beside a child");
    checks.same(sys::wait(child), Ok(Ended::Exited(0)), "the child's rounds");

    // A control word of one's own survives a sleep, while another process resets it.
    let reset = match sys::fork() {
        Ok(0) => {
            // SAFETY: 1. Only the FPU's state changes, which nothing else here uses.
            unsafe { asm!("fninit") };
            sys::exit(u8::from(rounds(3) != 0))
        }
        other => other.unwrap_or(0),
    };
    // Single precision, round towards zero: nothing like the default 0x37f.
    control(Some(0x0c7f));
    let _ = sys::sleep_ms(30);
    checks.same(control(None), 0x0c7f, "the control word");
    checks.same(sys::wait(reset), Ok(Ended::Exited(0)), "the one that reset its own");
    checks.status()
}

/// Counts the rounds in which the registers did not hold what was put there.
fn rounds(base: u32) -> u32 {
    (0..ROUNDS).map(|round| u32::from(!round_trip(base + round))).sum()
}

fn round_trip(base: u32) -> bool {
    load(base);
    for _ in 0..50 {
        core::hint::spin_loop();
    }
    unload() == total(base)
}

fn total(base: u32) -> u32 {
    (0..8).map(|index| base + index).sum()
}

/// Pushes eight integers onto the FPU's stack.
fn load(base: u32) {
    for value in base..base + 8 {
        // SAFETY: 1. It reads `value`. 2. The FPU's stack has room: `unload` empties it.
        unsafe { asm!("fild dword ptr [{0}]", in(reg) &raw const value) };
    }
}

/// Pops them and adds them up.
fn unload() -> u32 {
    (0..8)
        .map(|_| {
            let mut value = 0u32;
            // SAFETY: 1. It writes `value`.
            unsafe { asm!("fistp dword ptr [{0}]", in(reg) &raw mut value) };
            value
        })
        .sum()
}

/// 1 + 2 - 3, on the FPU.
fn sum() -> u32 {
    let mut value = 0u32;
    // SAFETY: 1. It writes `value`.
    unsafe {
        asm!("fninit", "fld1", "fld1", "fld1", "faddp", "faddp", "fld1", "fld1", "fld1", "faddp",
            "faddp", "fsubp", "fistp dword ptr [{0}]", in(reg) &raw mut value);
    }
    value
}

/// Sets (if told) and returns the control word.
fn control(new: Option<u16>) -> u16 {
    let mut word = new.unwrap_or(0);
    // SAFETY: 1. They read and write `word`.
    unsafe {
        if new.is_some() {
            asm!("fldcw word ptr [{0}]", in(reg) &raw const word);
        }
        asm!("fnstcw word ptr [{0}]", in(reg) &raw mut word);
    }
    word
}
