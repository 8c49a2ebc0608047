//! Model-specific registers as a guest sees them (Xen 4.17 `arch/x86/msr.c` and
//! `pv/emul-priv-op.c`).
//!
//! | register | read | written |
//! |---|---|---|
//! | TSC | the time stamp | #GP |
//! | APIC_BASE | enabled, at 0xfee00000, the boot CPU is vCPU 0 | #GP |
//! | EFER | NXE; a 64-bit guest has SCE, LME, LMA as well | the same value only |
//! | PAT | the machine's | the same value only |
//! | TSC_AUX | the vCPU's, where there is RDTSCP or RDPID | 32 bits |
//! | MISC_FEATURES_ENABLES | 0 | 0 |
//! | BIOS_SIGN_ID (the microcode's revision) | the machine's; Intel and AMD | Intel: 0, to no effect |
//! | PLATFORM_INFO, MCG_CAP, MCG_STATUS, P5_MC_ADDR and TYPE, PERF_CAPABILITIES | 0: none of what they tell | the same value only |
//! | Intel: PLATFORM_ID | the machine's | #GP |
//! | Intel: FEATURE_CONTROL | locked, nothing enabled | #GP |
//! | Intel: MISC_ENABLE | the machine's, without performance counters and MONITOR; AMD has none (XSA-333) | nothing happens |
//! | Intel: PERF_STATUS, THERM_STATUS; PERF_CTL | 0 | #GP; nothing happens |
//! | Intel: THERM_CONTROL, ENERGY_PERF_BIAS | #GP | nothing happens |
//! | APERF, MPERF | #GP | nothing happens |
//! | performance counters of the vendor | 0 | nothing happens |
//! | AMD: HWCR, P-states | 0 | nothing happens |
//! | AMD: DE_CFG | LFENCE serialises | nothing happens |
//! | NB_CFG | 0 | nothing happens |
//! | 0x40000000 | #GP | fills the page of this frame with hypercall stubs |
//!
//! All others are a #GP, FS.base, GS.base and KERNEL_GS.base among them: a 32-bit guest has no such
//! registers (XSA-193 was a non-canonical value in them). A guest that has no #GP handler yet
//! reads 0 from registers that the machine has, as on Xen.

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;
use pv_abi::vectors;

use super::cpuid::{self, Vendor};
use crate::builder::hypercall_page;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::frame::Type;
use crate::platform::Platform;
use crate::width::Width;

const P5_MC_ADDR: u32 = 0x0;
const P5_MC_TYPE: u32 = 0x1;
const TSC: u32 = 0x10;
const PLATFORM_ID: u32 = 0x17;
const APIC_BASE: u32 = 0x1b;
const FEATURE_CONTROL: u32 = 0x3a;
const MICROCODE_REVISION: u32 = 0x8b;
const PLATFORM_INFO: u32 = 0xce;
const MPERF: u32 = 0xe7;
const APERF: u32 = 0xe8;
const MISC_FEATURES_ENABLES: u32 = 0x140;
const MCG_CAP: u32 = 0x179;
const MCG_STATUS: u32 = 0x17a;
const PERF_STATUS: u32 = 0x198;
const PERF_CTL: u32 = 0x199;
const THERM_CONTROL: u32 = 0x19a;
const THERM_STATUS: u32 = 0x19c;
const MISC_ENABLE: u32 = 0x1a0;
const ENERGY_PERF_BIAS: u32 = 0x1b0;
const PAT: u32 = 0x277;
const PERF_CAPABILITIES: u32 = 0x345;
/// Writing it makes a hypercall page (leaf 2 of the hypervisor's CPUID).
pub const HYPERCALL_PAGE: u32 = 0x4000_0000;
const EFER: u32 = 0xc000_0080;
const TSC_AUX: u32 = 0xc000_0103;
const HWCR: u32 = 0xc001_0015;
const NB_CFG: u32 = 0xc001_001f;
const DE_CFG: u32 = 0xc001_1029;

/// IA32_PAT after reset (SDM volume 3, 12.12.4).
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// EFER.NXE: page-table entries have a no-execute bit.
const EFER_NXE: u64 = 1 << 11;
/// EFER.LMA, LME, SCE: long mode, and its `syscall`.
const EFER_LONG: u64 = 1 << 10 | 1 << 8 | 1 << 0;
/// APIC_BASE: the usual address, the enable bit, and the boot CPU's mark.
const APIC_ENABLED: u64 = 0xfee0_0000 | 1 << 11;
const APIC_BOOT_CPU: u64 = 1 << 8;
/// FEATURE_CONTROL: locked.
const LOCKED: u64 = 1;
/// DE_CFG: LFENCE serialises.
const LFENCE_SERIALISES: u64 = 1 << 1;
/// MISC_ENABLE: performance monitoring, MONITOR, which are hidden; no branch trace, no PEBS, no
/// xTPR messages, which are shown.
const MISC_HIDDEN: u64 = 1 << 7 | 1 << 18;
const MISC_SHOWN: u64 = 1 << 11 | 1 << 12 | 1 << 23;

/// What `rdmsr` gives; `None`: #GP.
pub fn read<P: Platform>(ctx: &Ctx<'_, P>, index: u32) -> Option<u64> {
    // The one that kernels read most.
    if index == EFER {
        return Some(match ctx.width() {
            Width::Pv32 => EFER_NXE,
            Width::Pv64 => EFER_NXE | EFER_LONG,
        });
    }
    if let Some(value) = known(ctx, index) {
        return Some(value);
    }
    // Kernels probe before they can take a fault.
    let unguarded = !ctx.state.traps.get(vectors::GENERAL_PROTECTION).target.is_set();
    let exists = || ctx.sys.platform.read_msr(index).is_some();
    (unguarded && index >> 16 != HYPERCALL_PAGE >> 16 && exists()).then_some(0)
}

/// Those that are there for the guest, but for EFER.
#[inline(never)]
fn known<P: Platform>(ctx: &Ctx<'_, P>, index: u32) -> Option<u64> {
    let vendor = cpuid::vendor(ctx);
    let platform = &ctx.sys.platform;
    match (index, vendor) {
        (TSC, _) => Some(platform.pvclock().tsc_timestamp),
        (APIC_BASE, _) => {
            Some(APIC_ENABLED | if ctx.vcpu.id.raw() == 0 { APIC_BOOT_CPU } else { 0 })
        }
        (PAT, _) => Some(PAT_RESET),
        (TSC_AUX, _) => cpuid::has_tsc_aux(ctx).then_some(ctx.state.special.tsc_aux.into()),
        (MISC_FEATURES_ENABLES | PLATFORM_INFO | MCG_CAP | MCG_STATUS, _) => Some(0),
        (P5_MC_ADDR | P5_MC_TYPE | PERF_CAPABILITIES | NB_CFG, _) => Some(0),
        (MICROCODE_REVISION, Vendor::Intel | Vendor::Amd) => platform.read_msr(index),
        (PLATFORM_ID, Vendor::Intel) => platform.read_msr(index),
        (FEATURE_CONTROL, Vendor::Intel) => Some(LOCKED),
        (MISC_ENABLE, Vendor::Intel) => {
            platform.read_msr(index).map(|value| value & !MISC_HIDDEN | MISC_SHOWN)
        }
        (PERF_STATUS | PERF_CTL | THERM_STATUS, Vendor::Intel) => Some(0),
        (HWCR, Vendor::Amd) => Some(0),
        (DE_CFG, Vendor::Amd) => Some(LFENCE_SERIALISES),
        _ if is_counter(index, vendor) || is_p_state(index, vendor) => Some(0),
        _ => None,
    }
}

/// Performance counters and what selects their events.
const fn is_counter(index: u32, vendor: Vendor) -> bool {
    match vendor {
        Vendor::Intel => {
            matches!(index, 0xc1..=0xc8 | 0x186..=0x189 | 0x309..=0x30b | 0x38d..=0x390)
        }
        Vendor::Amd => matches!(index, 0xc001_0000..=0xc001_0007 | 0xc001_0200..=0xc001_020b),
        Vendor::Other => false,
    }
}

/// AMD's frequencies and voltages.
const fn is_p_state(index: u32, vendor: Vendor) -> bool {
    matches!(vendor, Vendor::Amd)
        && matches!(index, 0xc001_0041 | 0xc001_0042 | 0xc001_0061..=0xc001_006b)
}

/// What `wrmsr` does; an errno: #GP.
pub fn write<P: Platform>(ctx: &mut Ctx<'_, P>, index: u32, value: u64) -> Result<(), Stop> {
    let vendor = cpuid::vendor(ctx);
    match (index, vendor) {
        (TSC_AUX, _) if cpuid::has_tsc_aux(ctx) && value >> 32 == 0 => {
            ctx.state.special.tsc_aux = value as u32;
            ctx.sys.platform.set_tsc_aux(value as u32);
            Ok(())
        }
        (HYPERCALL_PAGE, _) => make_hypercall_page(ctx, value),
        (MICROCODE_REVISION, Vendor::Intel) if value == 0 => Ok(()),
        (MISC_ENABLE, Vendor::Intel) if known(ctx, index).is_some() => Ok(()),
        (PERF_CTL | THERM_CONTROL | ENERGY_PERF_BIAS, Vendor::Intel) => Ok(()),
        (MPERF | APERF, Vendor::Intel | Vendor::Amd) => Ok(()),
        (HWCR | DE_CFG, Vendor::Amd) | (NB_CFG, _) => Ok(()),
        _ if is_counter(index, vendor) || is_p_state(index, vendor) => Ok(()),
        (EFER, _) if read(ctx, index) == Some(value) => Ok(()),
        (PAT | MISC_FEATURES_ENABLES | MCG_CAP | MCG_STATUS, _)
        | (P5_MC_ADDR | P5_MC_TYPE | PERF_CAPABILITIES, _)
            if known(ctx, index) == Some(value) =>
        {
            Ok(())
        }
        _ => Err(Errno::EPERM.into()),
    }
}

/// Fills a frame of the guest's with the stubs of all hypercalls; `value` is its machine address.
fn make_hypercall_page<P: Platform>(ctx: &mut Ctx<'_, P>, value: u64) -> Result<(), Stop> {
    if value & 0xfff != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mfn = Mfn::new(value >> 12);
    let mut types = ctx.sys.page_types(ctx.domain);
    types.finish()?;
    types.get(mfn, Type::Writable)?;
    let bytes = ctx.sys.platform.bytes(mfn);
    for (number, slots) in (0..).zip(bytes.chunks(hypercall_page::STUB_LEN)) {
        for (to, from) in slots.iter().zip(hypercall_page::stub(ctx.width(), number)) {
            to.store(from, core::sync::atomic::Ordering::Relaxed);
        }
    }
    types.put(mfn);
    Ok(())
}
