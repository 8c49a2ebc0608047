//! The guest's control registers: CR0.TS, and the rest as the emulation of `mov` shows them.
//!
//! FPU state is switched eagerly with the vCPU. CR0.TS is kept for guests that switch the
//! FPU lazily among their own tasks: the ABI says that #NM clears it on delivery.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;
use pv_abi::x86_32::{cr3_to_pfn, pfn_to_cr3};

use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::mm::mmuext;
use crate::platform::Platform;
use crate::trap::emulate::cpuid;
use crate::width::Width;

/// CR0 as a guest sees it, without TS: PG, AM, WP, NE, ET, MP, PE.
const CR0: u64 = 0x8005_0033;
/// CR0.TS.
const CR0_TS: u64 = 1 << 3;
/// CR4.DE: the aliases DR4 and DR5 are gone.
pub const CR4_DE: u64 = 1 << 3;
/// CR4.TSD: `rdtsc` is the kernel's alone. In the processor while the vCPU runs; its kernel's
/// `rdtsc` traps then, too, and is carried out.
pub const CR4_TSD: u64 = 1 << 2;
/// CR4.OSXSAVE: the kernel switches extended state itself, and sets XCR0. Emulated: the real bit
/// is always on, and an XCR0 that was never set has x87 and SSE alone.
pub const CR4_OSXSAVE: u64 = 1 << 18;
/// CR4 bits that are on for every guest: PAE, MCE, OSFXSR, OSXMMEXCPT.
const CR4_ON: u64 = 1 << 5 | 1 << 6 | 1 << 9 | 1 << 10;

/// `fpu_taskswitch(set)`: sets or clears CR0.TS.
#[inline(always)]
pub fn fpu_taskswitch<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    set_task_switched(ctx, args[0] as u32 != 0);
    Ok(0)
}

/// Sets or clears CR0.TS.
#[inline(always)]
pub fn set_task_switched<P: Platform>(ctx: &mut Ctx<'_, P>, on: bool) {
    // Writing CR0 is slow; kernels clear what is clear all the time.
    if ctx.state.task_switched != on {
        ctx.state.task_switched = on;
        ctx.sys.platform.set_task_switched(on);
    }
}

/// Offset of `arch.cr2` in the guest's `vcpu_info`.
const fn cr2_offset(width: Width) -> u64 {
    match width {
        Width::Pv32 => 8,
        Width::Pv64 => 16,
    }
}

/// The words of `vcpu_info.arch.cr2`: low, high. The structure never crosses a page.
#[inline(always)]
fn cr2_words<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
) -> Option<(&'a core::sync::atomic::AtomicU32, &'a core::sync::atomic::AtomicU32)> {
    let at = ctx.vcpu.info_address().wrapping_add(cr2_offset(ctx.width()));
    let sys = ctx.sys;
    let words = sys.platform.half_words(Mfn::new(at >> 12));
    let index = (at & 0xfff) as usize >> 2;
    Some((words.get(index)?, words.get(index | 1)?))
}

/// Publishes the address of a page fault in the `vcpu_info`.
#[inline(always)]
pub fn set_cr2<P: Platform>(ctx: &Ctx<'_, P>, address: u64) {
    let Some((low, high)) = cr2_words(ctx) else { return };
    low.store(address as u32, Ordering::Relaxed);
    if ctx.width() == Width::Pv64 {
        high.store((address >> 32) as u32, Ordering::Relaxed);
    }
}

/// What `mov` from control register `number` gives; `None`: there is no such register.
pub fn read<P: Platform>(ctx: &Ctx<'_, P>, number: u8) -> Option<u64> {
    Some(match number {
        0 if ctx.state.task_switched => CR0 | CR0_TS,
        0 => CR0,
        2 => {
            let (low, high) = cr2_words(ctx)?;
            let low = u64::from(low.load(Ordering::Relaxed));
            match ctx.width() {
                Width::Pv32 => low,
                Width::Pv64 => low | u64::from(high.load(Ordering::Relaxed)) << 32,
            }
        }
        3 => match ctx.width() {
            Width::Pv32 => u64::from(pfn_to_cr3(ctx.state.root.raw() as u32)),
            Width::Pv64 => ctx.state.root.raw() << 12,
        },
        4 => ctx.state.cr4 | CR4_ON,
        _ => return None,
    })
}

/// What `mov` to control register `number` does; `EINVAL`: the guest gets a #GP.
///
/// CR0: only TS may change. CR3 is a change of the root page table. CR4: TSD, DE and, where there
/// is XSAVE, OSXSAVE are the guest's (`pv_fixup_guest_cr4`); other bits are ignored, FSGSBASE among
/// them, which is off for everybody (XSA-293).
pub fn write<P: Platform>(ctx: &mut Ctx<'_, P>, number: u8, value: u64) -> Result<(), Stop> {
    match number {
        0 if value & !CR0_TS == CR0 => set_task_switched(ctx, value & CR0_TS != 0),
        2 => set_cr2(ctx, value),
        3 => {
            let root = match ctx.width() {
                Width::Pv32 => u64::from(cr3_to_pfn(value as u32)),
                Width::Pv64 => value >> 12,
            };
            let mut types = ctx.sys.page_types(ctx.domain);
            types.finish()?;
            mmuext::new_baseptr(ctx, &mut types, Mfn::new(root))?;
        }
        4 => {
            ctx.state.cr4 = guest_cr4(&ctx.sys.platform, value);
            ctx.sys.platform.set_time_stamp_disable(value & CR4_TSD != 0);
        }
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(())
}

/// Of a value for CR4, the bits that a guest decides.
pub fn guest_cr4<P: Platform>(platform: &P, value: u64) -> u64 {
    let extended = if cpuid::xcr0_offered(platform) != 0 { CR4_OSXSAVE } else { 0 };
    value & (CR4_TSD | CR4_DE | extended)
}

/// What `xsetbv` does to XCR `number`; `EINVAL`: the guest gets a #GP.
///
/// Features that are not offered, or that lack what they build on, are refused (XSA-54 was a
/// value that the processor refuses reaching it).
pub fn set_xcr<P: Platform>(ctx: &mut Ctx<'_, P>, number: u32, value: u64) -> Result<(), Errno> {
    /// x87, which is always on; SSE, on which AVX builds.
    const X87: u64 = 1 << 0;
    const SSE: u64 = 1 << 1;
    let lacks_sse = value & cpuid::XCR0_AVX != 0 && value & SSE == 0;
    let refused =
        value & !cpuid::xcr0_offered(&ctx.sys.platform) != 0 || value & X87 == 0 || lacks_sse;
    if number != 0 || ctx.state.cr4 & CR4_OSXSAVE == 0 || refused {
        return Err(Errno::EINVAL);
    }
    let new = value & !ctx.state.special.xcr0_ever;
    ctx.state.special.xcr0 = value;
    ctx.state.special.xcr0_ever |= value;
    ctx.sys.platform.set_xcr0(ctx.state.fpu, value, new);
    Ok(())
}
