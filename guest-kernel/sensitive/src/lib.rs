//! The sensitive but unprivileged instructions of x86, as a table that executes itself.
//!
//! # Why this is the reason for paravirtualization
//!
//! A kernel can be moved out of Ring 0 without knowing it if every instruction that reads or changes
//! the state of the machine (a *sensitive* one) traps there, so that a hypervisor can do it in its
//! place (Popek and Goldberg, 1974). On x86 most do: `cli`'s relatives `hlt`, `lgdt`, `mov cr3` are
//! *privileged*. But some do not trap. They show the hypervisor's state instead of the kernel's, or
//! quietly do less than they would in Ring 0. Robin and Irvine counted 17 on the Pentium (USENIX
//! Security, 2000); texts that count forms apart reach 19. `POPF` is the most famous: with it a
//! kernel in Ring 1 believes it has closed interrupts, and it has not.
//!
//! The ways out are translating the kernel's code, a CPU with a mode for guests (VT-x, AMD-V), or a
//! kernel that does not use these instructions because it knows better ones: paravirtualization.
//! The last column of the table says which ones.
//!
//! # How it works
//!
//! [`ROWS`] is data: for each form of each instruction what Ring 0 would do, what the PV ABI gives
//! instead, and what must be [seen](Seen) in Ring 1 and in Ring 3 ([`Expect`]). [`report`] executes
//! the rows of the ring that it runs in, prints what happened, and says whether all was as expected.
//! The instructions need no privilege, so the same code serves the kernel in Ring 1 and a program in
//! Ring 3; only how a fault is survived differs, and that is the caller's [`Catch`].
//!
//! Some facts behind the expectations, on a 64-bit hypervisor: `SGDT` and `SIDT` in compatibility
//! mode store six bytes, so the table's address shows its low half only. Segment selectors carry the
//! ring in their low bits. IOPL is 0 in Ring 1, hence `POPF` leaves IF and IOPL alone without a
//! fault, and IF is always 1. UMIP, with which a CPU would refuse `SGDT`, `SIDT`, `SLDT`, `SMSW` and
//! `STR` outside Ring 0, is left off: with it those rows would show `#GP(0)`, and nothing would be won,
//! for a PV kernel uses none of them. QEMU 7.2 reports `INT n` on a closed gate with a wrong error
//! code (16n+2 for 8n+2), so the row of `int 0x20` differs there unless the hypervisor decodes the
//! instruction.
#![no_std]
#[cfg(test)]
extern crate std;

#[cfg(all(target_os = "none", target_arch = "x86"))]
mod instructions;
mod rows;
mod seen;
mod table;

pub use rows::{Act, ROWS, Row};
pub use seen::{Expect, Seen};

use core::fmt::{self, Write};

/// The rings that a PV guest has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ring {
    /// The kernel's.
    One,
    /// The programs'.
    Three,
}

/// Survives the traps that instructions raise.
pub trait Catch {
    /// Executes `act` (by calling it) and says what was seen. A trap that ends it is
    /// [`Seen::Trap`] where the trap itself arrives, [`Seen::Signal`] where only its signal does.
    fn catch(&mut self, act: fn() -> Seen) -> Seen;
}

/// Executes the rows of this ring with `run`, prints the table, and returns how many rows are not
/// as expected. `run` executes one act; `execute` makes one of a [`Catch`].
///
/// # Errors
/// When `out` fails.
pub fn report(
    ring: Ring,
    out: &mut dyn Write,
    run: &mut dyn FnMut(Act) -> Seen,
) -> Result<u32, fmt::Error> {
    table::head(ring, out)?;
    let mut differences = 0;
    for row in ROWS {
        let Some(expected) = row.expected(ring) else { continue };
        let seen = run(row.act);
        let good = expected.holds(seen);
        table::row(row, expected, seen, good, out)?;
        differences += u32::from(!good);
    }
    table::foot(ring, differences, out)?;
    Ok(differences)
}

/// Executes one act.
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub fn execute(catch: &mut dyn Catch, act: Act) -> Seen {
    catch.catch(instructions::function(act))
}

#[cfg(test)]
mod tests;
