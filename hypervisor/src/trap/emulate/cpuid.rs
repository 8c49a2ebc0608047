//! `cpuid` with the prefix that has it emulated: the processor, less what a PV guest cannot
//! use, plus the hypervisor's leaves (`arch-x86/cpuid.h`).
//!
//! Without the prefix the instruction does not trap, and tells the whole truth about the
//! processor; that is the guest's to know.

use pv_abi::cpuid::{
    XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD, XEN_CPUID_FIRST_LEAF,
    XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK, XEN_CPUID_MAX_NUM_LEAVES, XEN_CPUID_SIGNATURE_EBX,
    XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX,
};

use crate::guest::Ctx;
use crate::hypercall::version::{MAJOR, MINOR};
use crate::platform::Platform;
use crate::width::Width;

/// The last leaf of each range that is shown.
const BASIC_MAX: u32 = 0xd;
const EXTENDED_FIRST: u32 = 0x8000_0000;
const EXTENDED_MAX: u32 = 0x8000_0008;

/// Features of leaf 1 that a PV guest cannot use, as (ecx, edx). Names in the SDM, volume 2,
/// `CPUID`: DTES64 MONITOR DS-CPL VMX SMX EST TM2 PDCM PCID DCA x2APIC TSC-deadline; XSAVE
/// OSXSAVE and what needs them, FMA AVX F16C; VME PSE APIC SEP MTRR PGE PSE-36 DS ACPI TM PBE.
const LEAF_1_HIDDEN: (u32, u32) = (
    bits(&[2, 3, 4, 5, 6, 7, 8, 15, 17, 18, 21, 24]) | bits(&[12, 26, 27, 28, 29]),
    bits(&[1, 3, 9, 11, 12, 13, 17, 21, 22, 29, 31]),
);
/// Leaf 1, ecx: a hypervisor is present.
const HYPERVISOR: u32 = 1 << 31;

/// Features of leaf 7 that are shown, as ebx: BMI1 BMI2 ERMS RDSEED ADX CLFLUSHOPT CLWB SHA.
const LEAF_7_SHOWN: u32 = bits(&[3, 8, 9, 18, 19, 23, 24, 29]);

/// Features of leaf 0x80000001 that a guest cannot use, as (ecx, edx): SVM, extended APIC,
/// IBS, XOP, SKINIT, FMA4, performance counters; what leaf 1 hides, and large pages.
const LEAF_EXTENDED_HIDDEN: (u32, u32) =
    (bits(&[2, 3, 10, 11, 12, 16, 23, 24, 28]), bits(&[1, 3, 9, 12, 13, 17, 26]));
/// The same leaf's edx: `syscall` and long mode, which a pv32 guest has not.
const LONG_MODE: u32 = bits(&[11, 29]);

const fn bits(numbers: &[u32]) -> u32 {
    let mut set = 0;
    let mut rest = numbers;
    while let Some((number, others)) = rest.split_first() {
        set |= 1 << *number;
        rest = others;
    }
    set
}

/// eax, ebx, ecx, edx of a leaf.
pub fn leaf<P: Platform>(ctx: &Ctx<'_, P>, leaf: u32, subleaf: u32) -> [u32; 4] {
    let machine = || ctx.sys.platform.cpuid(leaf, subleaf);
    match leaf {
        0 => {
            let [max, b, c, d] = machine();
            [max.min(BASIC_MAX), b, c, d]
        }
        1 => {
            let [a, b, c, d] = machine();
            // ebx: no initial APIC id.
            [a, b & 0x00ff_ffff, c & !LEAF_1_HIDDEN.0 | HYPERVISOR, d & !LEAF_1_HIDDEN.1]
        }
        2 | 4 => machine(),
        7 if subleaf == 0 => [0, machine()[1] & LEAF_7_SHOWN, 0, 0],
        XEN_CPUID_FIRST_LEAF.. if leaf < EXTENDED_FIRST => hypervisor(ctx, leaf),
        EXTENDED_FIRST => {
            let [max, b, c, d] = machine();
            [max.min(EXTENDED_MAX), b, c, d]
        }
        0x8000_0001 => {
            let [a, b, c, d] = machine();
            let long = if ctx.width() == Width::Pv32 { LONG_MODE } else { 0 };
            [a, b, c & !LEAF_EXTENDED_HIDDEN.0, d & !(LEAF_EXTENDED_HIDDEN.1 | long)]
        }
        0x8000_0002..=0x8000_0006 => machine(),
        EXTENDED_MAX => [machine()[0], 0, 0, 0],
        // Extended state (0xd) included: XSAVE is not offered.
        _ => [0; 4],
    }
}

/// The hypervisor's own leaves.
fn hypervisor<P: Platform>(ctx: &Ctx<'_, P>, leaf: u32) -> [u32; 4] {
    const LAST: u32 = XEN_CPUID_FIRST_LEAF + XEN_CPUID_MAX_NUM_LEAVES;
    match leaf - XEN_CPUID_FIRST_LEAF {
        0 => [LAST, XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX],
        1 => [MAJOR << 16 | MINOR, 0, 0, 0],
        // No hypercall pages are made by writing an MSR: the builder fills the one that the ELF notes name.
        2 => [0, 0, XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD, 0],
        5 => {
            let address_bits = ctx.sys.platform.cpuid(EXTENDED_MAX, 0)[0];
            [0, address_bits & XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK, 0, 0]
        }
        // 3 (the TSC's mode) and 4 (HVM) have nothing to say.
        _ => [0; 4],
    }
}
