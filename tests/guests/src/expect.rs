//! Faults that must happen.
//!
//! Error codes are the ones that the guest sees. A selector's code is the selector without its RPL;
//! an interrupt gate's is `vector * 8 + 2`.

use crate::check;
use ring1::probe::{Fault, probe};
use ring1::trap::TrapFrame;

/// Divide error.
pub const DE: u32 = 0;
/// Debug exception.
pub const DB: u32 = 1;
/// Breakpoint.
pub const BP: u32 = 3;
/// Overflow.
pub const OF: u32 = 4;
/// Invalid opcode.
pub const UD: u32 = 6;
/// Device not available.
pub const NM: u32 = 7;
/// Segment not present.
pub const NP: u32 = 11;
/// Stack fault.
pub const SS: u32 = 12;
/// General protection fault.
pub const GP: u32 = 13;
/// Page fault.
pub const PF: u32 = 14;

/// Page fault error code: the page was present.
pub const PF_PRESENT: u32 = 1;
/// Page fault error code: it was a write.
pub const PF_WRITE: u32 = 2;
/// Page fault error code: it was Ring 3.
pub const PF_USER: u32 = 4;

/// Runs `f` in Ring 1, which must end in this fault.
pub fn fault<R>(what: &str, vector: u32, error: u32, f: impl FnOnce() -> R) -> Option<Fault> {
    match probe(f) {
        Ok(_) => {
            check!(false, "{what}: no fault, expected vector {vector} error {error:#x}");
            None
        }
        Err(fault) => {
            check!(
                (fault.vector, fault.error) == (vector, error),
                "{what}: vector {} error {:#x}, expected vector {vector} error {error:#x}",
                fault.vector,
                fault.error
            );
            Some(fault)
        }
    }
}

/// Runs `f` in Ring 1, which must end in #GP with this error code.
pub fn gp<R>(what: &str, error: u32, f: impl FnOnce() -> R) {
    fault(what, GP, error, f);
}

/// Runs `f` in Ring 1, which must end in a #PF at this address.
pub fn pf<R>(what: &str, address: u32, error: u32, f: impl FnOnce() -> R) {
    if let Some(fault) = fault(what, PF, error, f) {
        check!(fault.address == address, "{what}: cr2 {:#x}, not {address:#x}", fault.address);
    }
}

/// Runs `f` in Ring 1, which must not fault.
pub fn none<R>(what: &str, f: impl FnOnce() -> R) -> Option<R> {
    let result = probe(f);
    if let Err(fault) = &result {
        check!(
            false,
            "{what}: vector {} error {:#x} at {:#x}",
            fault.vector,
            fault.error,
            fault.eip
        );
    }
    result.ok()
}

/// What ended a stay in Ring 3 must be this.
pub fn frame(what: &str, frame: &TrapFrame, vector: u32, error: u32) {
    check!(
        (frame.vector, frame.error) == (vector, error),
        "{what}: vector {} error {:#x}, expected vector {vector} error {error:#x}",
        frame.vector,
        frame.error
    );
}
