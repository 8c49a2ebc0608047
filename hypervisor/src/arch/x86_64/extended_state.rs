//! Extended processor state (x87, SSE, AVX) of the vCPUs, and which of it each may use.
//!
//! State is switched eagerly with the vCPU, never lazily: what another vCPU left in a register
//! is never there to be found (XSA-267). A guest enables features in its own XCR0, which is in
//! the processor while it runs. Saved and restored is whatever its XCR0 ever had; what it never
//! had is not restored, and it cannot reach it. When it enables a feature for the first time,
//! that state is made initial, not what someone else left.

// UNSAFETY: saves and loads registers.
#![allow(unsafe_code)]

use core::arch::asm;

use pv_abi::types::Mfn;
use x86_64::registers::control::{Cr0, Cr0Flags};

use super::cpu;
use super::layout::DIRECT_MAP;
use crate::domain::special_registers::SpecialRegisters;

fn address(area: Mfn) -> u64 {
    DIRECT_MAP + (area.raw() << 12)
}

/// Moves the loaded vCPU's state to `area`; CR0.TS is clear afterwards.
pub fn save(area: Mfn, registers: &SpecialRegisters) {
    clear_ts();
    // SAFETY: 1. The area is a frame of the hypervisor's, page-aligned; XCR0 has x87, SSE and AVX
    //            at most (`cpu`), whose state is 832 bytes (SDM volume 1, 13.4). 2. CR0.TS is clear.
    unsafe {
        if cpu::uses_xsave() {
            cpu::set_xcr0(registers.xcr0_ever);
            asm!("xsave64 [{}]", in(reg) address(area), in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
        } else {
            asm!("fxsave64 [{}]", in(reg) address(area), options(nostack));
        }
    }
}

/// Moves a vCPU's state from `area` to the processor; CR0.TS is clear afterwards.
pub fn restore(area: Mfn, registers: &SpecialRegisters) {
    clear_ts();
    // SAFETY: 1. As above; the area holds what `save` put there, or the initial image.
    unsafe {
        if cpu::uses_xsave() {
            cpu::set_xcr0(registers.xcr0_ever);
            asm!("xrstor64 [{}]", in(reg) address(area), in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
            cpu::set_xcr0(registers.xcr0);
        } else {
            asm!("fxrstor64 [{}]", in(reg) address(area), options(nostack));
        }
    }
}

/// The loaded vCPU's XCR0 becomes `xcr0`; features in `new` were never in it before.
pub fn enable(area: Mfn, xcr0: u64, new: u64) {
    if !cpu::uses_xsave() {
        return;
    }
    let task_switched = Cr0::read().contains(Cr0Flags::TASK_SWITCHED);
    clear_ts();
    // SAFETY: 1. As in `save`. 2. The area's header names no state of `new`: none was ever saved,
    //            so XRSTOR makes it initial; and MXCSR, which it reads from the area, is
    //            what XSAVE has just put there. 3. TS ends up as it was.
    unsafe {
        if new != 0 {
            asm!("xsave64 [{}]", in(reg) address(area), in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
        }
        cpu::set_xcr0(xcr0);
        if new != 0 {
            asm!("xrstor64 [{}]", in(reg) address(area), in("eax") new as u32, in("edx") 0, options(nostack));
        }
        if task_switched {
            Cr0::write(Cr0::read() | Cr0Flags::TASK_SWITCHED);
        }
    }
}

fn clear_ts() {
    // SAFETY: 1. Clears CR0.TS alone; Ring 0 uses no x87 or SSE but here.
    unsafe { asm!("clts", options(nomem, nostack)) };
}
