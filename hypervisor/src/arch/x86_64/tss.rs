//! The task state segment: which stack the CPU takes when it enters Ring 0.
//!
//! Entries from a guest start at `rsp0`, just below the CPU's `CpuInfo`. NMI, machine check,
//! double fault and debug exceptions can come at any instruction, in the middle of an entry
//! too, so each has a stack of its own (SDM volume 3, section 7.14.5, the interrupt stack
//! table). There is no I/O permission bitmap: guests' port accesses always trap.

// UNSAFETY: writes the TSS through its address.
#![allow(unsafe_code)]

use super::layout::{IST_BOTTOM, IST_SIZE, PAGE_SIZE, cpu_area};
use super::percpu::CpuInfo;

/// Which stack of the interrupt stack table a vector uses. The number is the gate's IST field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ist {
    /// Double fault.
    DoubleFault = 1,
    /// Non-maskable interrupt.
    Nmi = 2,
    /// Machine check.
    MachineCheck = 3,
    /// Debug exception.
    Debug = 4,
}

/// The 64-bit TSS (SDM volume 3, figure 7-11).
#[repr(C, packed(4))]
struct Tss {
    reserved_0: u32,
    /// Stacks for entries into Rings 0 to 2; only Ring 0 is entered.
    rsp: [u64; 3],
    reserved_1: u64,
    ist: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    io_map: u16,
}

/// The segment's limit.
pub const LIMIT: u32 = size_of::<Tss>() as u32 - 1;

const _: () = assert!(size_of::<Tss>() == 104 && size_of::<Tss>() < PAGE_SIZE as usize);

/// Writes the TSS of CPU `cpu` at `at`.
///
/// # Safety
/// `at` is the CPU's TSS page under some mapping, and the CPU does not use it yet.
pub unsafe fn fill(cpu: usize, at: u64) {
    let block = cpu_area(cpu);
    let mut ist = [0; 7];
    for (index, top) in ist.iter_mut().take(4).enumerate() {
        *top = block + IST_BOTTOM + (index as u64 + 1) * IST_SIZE;
    }
    let tss = Tss {
        reserved_0: 0,
        rsp: [CpuInfo::address(cpu), 0, 0],
        reserved_1: 0,
        ist,
        reserved_2: 0,
        reserved_3: 0,
        // Past the limit: no bitmap.
        io_map: size_of::<Tss>() as u16,
    };
    // SAFETY: 1. Mapped and nobody else's (caller). 2. Page-aligned.
    unsafe { (at as *mut Tss).write(tss) };
}
