//! The interrupt descriptor table, shared by all CPUs.
//!
//! Every gate leads to 64-bit code in Ring 0 with interrupts off (interrupt gates). The
//! stubs of `entry` that the gates point to come as a table of addresses; the privilege level
//! says which rings may use a gate by `int n`: none but where a guest is meant to.

// UNSAFETY: writes the table that the CPU reads.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::VirtAddr;
use x86_64::instructions::tables;
use x86_64::structures::DescriptorTablePointer;

use super::gdt::HYPERVISOR_CS;
use super::tss::Ist;

/// Vectors, as the SDM names them (volume 3, table 6-1).
#[allow(missing_docs)] // The names are the SDM's.
pub mod vector {
    pub const DEBUG: u8 = 1;
    pub const NMI: u8 = 2;
    pub const BREAKPOINT: u8 = 3;
    pub const OVERFLOW: u8 = 4;
    pub const DOUBLE_FAULT: u8 = 8;
    pub const PAGE_FAULT: u8 = 14;
    pub const MACHINE_CHECK: u8 = 18;
    /// `int $0x80`, which a guest's trap table may give to its programs.
    pub const SYSTEM_CALL: u8 = 0x80;
    /// `int $0x82`: a pv32 guest's hypercalls.
    pub const HYPERCALL: u8 = 0x82;
}

/// 256 gates of two words.
static IDT: [[AtomicU64; 2]; 256] = [const { [const { AtomicU64::new(0) }; 2] }; 256];

/// The code selector of gates; the boot GDT's until the CPU has its own.
const BOOT_CS: u16 = 0x08;

/// Points the gate of `vector` at `handler`, in Ring 0. `dpl` is the least privileged ring that
/// may use it by `int n`; `ist` the stack, 0 for the ordinary one.
fn write_gate(vector: u8, selector: u16, handler: u64, dpl: u8, ist: u8) {
    const INTERRUPT_GATE: u64 = 0xe;
    let low = (handler & 0xffff)
        | u64::from(selector) << 16
        | u64::from(ist) << 32
        | INTERRUPT_GATE << 40
        | u64::from(dpl & 3) << 45
        | 1 << 47
        | (handler >> 16 & 0xffff) << 48;
    if let Some([first, second]) = IDT.get(usize::from(vector)) {
        second.store(handler >> 32, Ordering::Relaxed);
        first.store(low, Ordering::Release);
    }
}

/// Fills all gates for the time before the CPU has a GDT and TSS of its own: boot segments,
/// no stacks of their own.
///
/// # Safety
/// The addresses are of stubs that save everything and end in `iretq`.
pub unsafe fn init_for_boot(stubs: &[u64; 256]) {
    for (vector, &stub) in (0..=255).zip(stubs) {
        write_gate(vector, BOOT_CS, stub, 0, 0);
    }
}

/// Fills all gates for good: for Ring 0 but for four, and with stacks of their own where the
/// TSS has them.
///
/// # Safety
/// 1. As [`init_for_boot`]. 2. The CPU has its GDT and TSS.
pub unsafe fn init(stubs: &[u64; 256]) {
    for (vector, &stub) in (0..=255).zip(stubs) {
        let ist = match vector {
            vector::DOUBLE_FAULT => Some(Ist::DoubleFault),
            vector::NMI => Some(Ist::Nmi),
            vector::MACHINE_CHECK => Some(Ist::MachineCheck),
            vector::DEBUG => Some(Ist::Debug),
            _ => None,
        };
        let dpl = match vector {
            // As on any kernel; and the traditional system call.
            vector::BREAKPOINT | vector::OVERFLOW | vector::SYSTEM_CALL => 3,
            vector::HYPERCALL => 1,
            _ => 0,
        };
        write_gate(vector, HYPERVISOR_CS, stub, dpl, ist.map_or(0, |ist| ist as u8));
    }
}

/// Makes the table this CPU's.
///
/// # Safety
/// The gates have been filled.
pub unsafe fn load() {
    let base = VirtAddr::from_ptr(&raw const IDT);
    let pointer = DescriptorTablePointer { limit: size_of_val(&IDT) as u16 - 1, base };
    // SAFETY: the caller's duty; the table is a static.
    unsafe { tables::lidt(&pointer) };
}
