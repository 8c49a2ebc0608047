//! Exceptions and interrupts that arrive while the hypervisor itself runs.
//!
//! Ring 0 runs with interrupts off but in the idle loop, so a device interrupt here means an
//! idle CPU. An exception is either expected (listed in the exception table: a guest's memory
//! that is not there) or a bug: see `panic`.

// UNSAFETY: entered from assembly with a pointer.
#![allow(unsafe_code)]

use super::idt::vector;
use super::{entry, extable, guest_entry, interrupts, machine, panic};
use crate::guest::regs::UserRegs;

/// First vector that is no exception.
const FIRST_INTERRUPT: u32 = 32;

/// Where the stubs arrive.
///
/// # Safety
/// `frame` points to the frame that a stub has just built on this CPU's stack.
pub unsafe extern "C" fn handle_ring0(frame: *mut UserRegs) {
    // SAFETY: the caller's duty; nothing else refers to the frame while we run.
    handle(unsafe { &mut *frame });
}

fn handle(frame: &mut UserRegs) {
    match u8::try_from(frame.entry_vector) {
        Ok(vector::NMI) => nmi(),
        _ if frame.entry_vector >= FIRST_INTERRUPT => interrupts::dispatch(frame),
        // A guest's breakpoint on an address that the hypervisor touches for it: it is the
        // guest's DR7 that is live. Or one that waited behind a `mov ss` until the guest had
        // entered here (XSA-260). Nothing is wrong in Ring 0, and nothing is told the guest later.
        Ok(vector::DEBUG) => {
            frame.rflags &= !(1 << 8);
            machine::take_debug_status();
        }
        Ok(vector::DOUBLE_FAULT | vector::MACHINE_CHECK) => hardware(frame),
        _ if entry::is_resuming(frame.rip) => {
            // SAFETY: 1. The stub's frame. 2. It is not used again: this never returns.
            unsafe { guest_entry::resume_failed(frame) }
        }
        _ => match extable::fixup(frame.rip) {
            Some(continue_at) => frame.rip = continue_at,
            None => panic::exception(name(frame), frame),
        },
    }
}

/// NMI, machine check or double fault, whatever it interrupted: not a guest's doing.
pub fn hardware(frame: &UserRegs) {
    match frame.entry_vector as u8 {
        vector::NMI => nmi(),
        _ => panic::exception(name(frame), frame),
    }
}

/// An NMI: the order to stop, if a CPU panicked; else a sign of failing hardware, or of a
/// person with a button. It is counted (debug key `d` shows it) and the hypervisor goes on.
fn nmi() {
    if panic::is_panicking() {
        super::end::stop();
    }
    interrupts::note_nmi();
}

/// What the SDM calls the exception.
pub fn name(frame: &UserRegs) -> &'static str {
    const NAMES: [&str; 22] = [
        "divide error (#DE)",
        "debug exception (#DB)",
        "non-maskable interrupt",
        "breakpoint (#BP)",
        "overflow (#OF)",
        "bound range exceeded (#BR)",
        "invalid opcode (#UD)",
        "device not available (#NM)",
        "double fault (#DF)",
        "coprocessor segment overrun",
        "invalid TSS (#TS)",
        "segment not present (#NP)",
        "stack fault (#SS)",
        "general protection fault (#GP)",
        "page fault (#PF)",
        "reserved exception 15",
        "x87 floating-point error (#MF)",
        "alignment check (#AC)",
        "machine check (#MC)",
        "SIMD floating-point error (#XM)",
        "virtualization exception (#VE)",
        "control protection exception (#CP)",
    ];
    NAMES.get(frame.entry_vector as usize).copied().unwrap_or("unexpected interrupt")
}
