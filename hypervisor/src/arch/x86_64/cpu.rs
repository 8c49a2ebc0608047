//! Control registers of every CPU: what is on, what is off, and why.
//!
//! | bit | | why |
//! |---|---|---|
//! | CR0.WP | on, always | Ring 1 is a supervisor ring: read-only page tables, descriptor tables and the M2P window are read-only for a pv32 kernel only thanks to it |
//! | CR0.NE, MP | on | x87 errors as #MF; `wait` honours TS |
//! | CR0.AM | on | a program that sets EFLAGS.AC gets #AC, as under Xen; it concerns Ring 3 alone |
//! | CR4.PAE, OSFXSR, OSXMMEXCPT, MCE | on | long mode, SSE state and errors, machine checks |
//! | CR4.OSXSAVE | where the CPU has XSAVE | extended state is saved by it; XCR0 is the running guest's, of x87, SSE, AVX |
//! | CR4.TSD | as the running guest has it | its users' `rdtsc` traps if its kernel says so |
//! | CR4.PGE | off | guest entries may carry G; with PGE off it means nothing, so a switch of address space drops every guest translation |
//! | CR4.SMEP, SMAP | off | a pv32 kernel executes and touches U=1 pages in Ring 1, which is a supervisor; `stac` is #UD there; flipping CR4 on each crossing drops the TLB |
//! | CR4.UMIP | off | SGDT, SIDT, SLDT, STR and SMSW keep working in Rings 1 and 3, as under Xen; they show addresses and bits, and give no access |
//! | CR4.FSGSBASE | off | both GS bases are a pv64 guest's; it sets them by hypercall |
//! | CR4.DE, PCE, VME, PVI | off | |
//! | EFER.NXE | on | W^X, and guests' NX bits |
//! | EFER.SCE | off until a pv64 guest can run | with it on, `syscall` in a 32-bit program enters Ring 0 at CSTAR on AMD; off, it is #UD everywhere |
//! | SYSENTER_CS | 0 | `sysenter` is #GP instead of an entry with the firmware's leftovers |

// UNSAFETY: writes control registers and MSRs.
#![allow(unsafe_code)]

use core::arch::x86_64::{__cpuid, __cpuid_count, __rdtscp};
use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::Msr;
use x86_64::registers::xcontrol::{XCr0, XCr0Flags};

const IA32_SYSENTER_CS: u32 = 0x174;
const IA32_TSC_AUX: u32 = 0xc000_0103;

/// Whether this CPU has XSAVE, by CPUID leaf 1, ECX bit 26.
pub fn has_xsave() -> bool {
    __cpuid(1).ecx & 1 << 26 != 0
}

/// Whether [`init_control_registers`] found XSAVE and switched it on. CPUID would say, too, but
/// costs an exit in a virtual machine, and each switch of vCPUs asks.
pub fn uses_xsave() -> bool {
    Cr4::read_raw() & Cr4Flags::OSXSAVE.bits() != 0
}

/// Gives XCR0 a value.
///
/// # Safety
/// 1. XSAVE is on. 2. `value` is of x87, SSE and AVX, what CPUID lists, x87 always, AVX with SSE.
pub unsafe fn set_xcr0(value: u64) {
    // SAFETY: the caller's duty.
    unsafe {
        if XCr0::read_raw() != value {
            XCr0::write_raw(value);
        }
    }
}

/// Switches CR4.TSD.
pub fn set_time_stamp_disable(on: bool) {
    let now = Cr4::read_raw();
    let wanted = if on {
        now | Cr4Flags::TIMESTAMP_DISABLE.bits()
    } else {
        now & !Cr4Flags::TIMESTAMP_DISABLE.bits()
    };
    if now != wanted {
        // SAFETY: 1. Ring 0 may execute `rdtsc` whatever the bit says; nothing else changes.
        unsafe { Cr4::write_raw(wanted) };
    }
}

/// Whether there is RDTSCP, and with it TSC_AUX.
fn has_tsc_aux() -> bool {
    __cpuid(0x8000_0000).eax >= 0x8000_0001 && __cpuid(0x8000_0001).edx & 1 << 27 != 0
}

/// What [`has_tsc_aux`] said of this machine. Asked of CPUID once: it costs an exit in a virtual
/// machine, and each switch of vCPUs needs it.
static TSC_AUX: AtomicBool = AtomicBool::new(false);

/// Gives TSC_AUX a value, where there is one.
pub fn set_tsc_aux(value: u32) {
    if !TSC_AUX.load(Ordering::Relaxed) {
        return;
    }
    let mut now = 0;
    // SAFETY: 1. RDTSCP exists, and the MSR with it; the hypervisor does not use it.
    unsafe {
        __rdtscp(&raw mut now);
        if now != value {
            Msr::new(IA32_TSC_AUX).write(value.into());
        }
    }
}

/// Whether the TSC keeps one rate in all power states (CPUID 0x8000_0007, EDX bit 8).
pub fn has_invariant_tsc() -> bool {
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0
}

/// Whether the machine says that it is emulated (CPUID leaf 1, ECX bit 31).
pub fn is_virtual() -> bool {
    __cpuid(1).ecx & 1 << 31 != 0
}

/// Gives this CPU's control registers the values of the table above.
///
/// # Safety
/// 1. The loaded address space has no global entries and needs no execution from NX pages.
/// 2. Called on a CPU that runs no guest.
pub unsafe fn init_control_registers() {
    let cr0 = Cr0Flags::PROTECTED_MODE_ENABLE
        | Cr0Flags::MONITOR_COPROCESSOR
        | Cr0Flags::EXTENSION_TYPE
        | Cr0Flags::NUMERIC_ERROR
        | Cr0Flags::WRITE_PROTECT
        | Cr0Flags::ALIGNMENT_MASK
        | Cr0Flags::PAGING;
    let mut cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE
        | Cr4Flags::MACHINE_CHECK_EXCEPTION;
    if has_xsave() {
        cr4 |= Cr4Flags::OSXSAVE;
    }
    // SAFETY: 1. Paging, PAE and long mode stay as they are; what else changes is what the
    // table says (caller: nothing relies on the rest). 2. XCR0 gets only bits that CPUID leaf
    // 0xd lists, x87 always among them, and AVX only with SSE. 3. The MSRs exist on every
    // 64-bit CPU.
    unsafe {
        Cr0::write_raw(cr0.bits());
        Cr4::write_raw(cr4.bits());
        Efer::write_raw((EferFlags::LONG_MODE_ENABLE | EferFlags::NO_EXECUTE_ENABLE).bits());
        if has_xsave() {
            let wanted = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
            let supported = XCr0Flags::from_bits_truncate(__cpuid_count(0xd, 0).eax.into());
            XCr0::write(wanted & supported);
        }
        Msr::new(IA32_SYSENTER_CS).write(0);
        TSC_AUX.store(has_tsc_aux(), Ordering::Relaxed);
    }
}
