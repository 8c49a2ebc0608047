//! Entering the guest kernel: the frame that the processor would have pushed, and the registers.
//!
//! A pv32 frame, from the lowest address up (Xen 4.17, `compat_create_bounce_frame`):
//!
//! ```text
//! [error code]  eip  cs | mask << 16  eflags  [esp  ss]
//! ```
//!
//! The error code is there for exceptions that have one; esp and ss when the guest was in
//! Ring 2 or 3, and then the frame is on the stack that `stack_switch` named, else on the
//! current one. `mask` is `evtchn_upcall_mask` as it was, and IF in eflags its negation.
//! IOPL in eflags is 0, or the virtual one under the assist `architectural_iopl`. The
//! handler starts with TF, VM, RF and NT clear.
//!
//! The frame is written with one copy. Where that fails the guest has no usable kernel
//! stack, and the domain ends. Stack segments may have a base; limits and types are not
//! checked here: a stack segment that is not one faults when the guest's registers are
//! loaded, which leads to the failsafe callback.

use pv_abi::vm_assist::VMASST_TYPE_ARCHITECTURAL_IOPL;
use zerocopy::IntoBytes;

use super::segment;
use super::{Target, Trap};
use crate::domain::vcpu::VcpuState;
use crate::error::{Crash, Stop};
use crate::guest::Ctx;
use crate::guest::regs::rflags;
use crate::platform::Platform;
use crate::width::Width;

/// Why nothing can be delivered to 64-bit guests yet.
const NO_64_BIT: Stop = Stop::Crash(Crash::Because("64-bit guests cannot take traps yet"));

/// Whether the guest runs its kernel, rather than its users.
#[inline(always)]
pub fn in_kernel<P: Platform>(ctx: &Ctx<'_, P>) -> bool {
    match ctx.width() {
        Width::Pv32 => ctx.regs.cs & 3 == 1,
        // Both run in Ring 3, and 64-bit guests do not start yet.
        Width::Pv64 => false,
    }
}

/// Enters the guest's handler for `vector`; `error_code` is part of the frame if there is one.
///
/// Without a handler the domain crashes.
#[inline(always)]
pub fn trap<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    vector: u8,
    error_code: Option<u32>,
) -> Result<(), Stop> {
    if !ctx.state.traps.get(vector).target.is_set() {
        return Err(Stop::Crash(Crash::NoHandler { vector }));
    }
    enter(ctx, error_code, |state| {
        let Trap { target, masks, .. } = *state.traps.get(vector);
        (target, masks)
    })
}

/// Enters the guest's event callback; events are masked.
#[inline(always)]
pub fn event<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
    if !ctx.state.callbacks.event.is_set() {
        return Err(Stop::Crash(Crash::Because(
            "an event is pending, but it has no event callback",
        )));
    }
    enter(ctx, None, |state| (state.callbacks.event, true))
}

/// Enters the guest's NMI handler.
pub fn nmi<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
    trap(ctx, pv_abi::vectors::NMI, None)
}

/// Enters the failsafe callback: the registers could not be loaded to return to the guest.
///
/// `segments` are ds, es, fs, gs as they should have been; they lie below the frame, ds
/// lowest. The caller has loaded null selectors in their place.
#[cold]
pub fn failsafe<P: Platform>(ctx: &mut Ctx<'_, P>, segments: [u16; 4]) -> Result<(), Stop> {
    let target = ctx.state.callbacks.failsafe;
    if !target.is_set() {
        return Err(Stop::Crash(Crash::Because(
            "its registers cannot be loaded, and it has no failsafe callback",
        )));
    }
    // It was to be entered, and that failed, too.
    if ctx.regs.cs == target.cs && ctx.regs.rip == target.address {
        return Err(Stop::Crash(Crash::Because("its failsafe callback cannot be entered")));
    }
    enter(ctx, None, |state| (target, state.callbacks.failsafe_masks))?;
    let (ss, esp) = (ctx.regs.ss, ctx.regs.rsp as u32);
    let esp = push(ctx, ss, esp, segments.map(u32::from))?;
    ctx.regs.rsp = esp.into();
    Ok(())
}

/// Pushes the frame, then sets the registers to enter `handler` (and whether that masks events).
#[inline(always)]
fn enter<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    error_code: Option<u32>,
    handler: impl FnOnce(&VcpuState) -> (Target, bool),
) -> Result<(), Stop> {
    if ctx.width() == Width::Pv64 {
        return Err(NO_64_BIT);
    }
    let (ss, esp) = push_frame32(ctx, error_code)?;
    let (target, masks) = handler(ctx.state);
    if masks {
        ctx.vcpu.set_upcall_mask(&ctx.sys.platform, true);
    }
    let r = &mut *ctx.regs;
    r.rip = target.address;
    r.cs = target.cs;
    r.rflags &= !(rflags::TF | rflags::VM | rflags::RF | rflags::NT);
    r.rsp = esp.into();
    r.ss = ss;
    Ok(())
}

/// Pushes the frame; returns the stack that it is on.
#[inline(always)]
fn push_frame32<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    error_code: Option<u32>,
) -> Result<(u16, u32), Stop> {
    let masked = ctx.vcpu.upcall_masked(&ctx.sys.platform);
    let r = &*ctx.regs;
    let mut eflags = r.rflags as u32 & !((rflags::IF | rflags::IOPL) as u32);
    if !masked {
        eflags |= rflags::IF as u32;
    }
    if ctx.domain.assists(VMASST_TYPE_ARCHITECTURAL_IOPL) {
        eflags |= u32::from(ctx.state.iopl) << rflags::IOPL.trailing_zeros();
    }
    let eip = r.rip as u32;
    let cs = u32::from(r.cs) | u32::from(masked) << 16;
    let (esp, stack) = (r.rsp as u32, r.ss);
    // From Ring 2 or 3, the stack changes.
    if r.cs & 2 != 0 {
        let ss = u32::from(stack);
        let (kernel_ss, top) = (ctx.state.kernel_ss, ctx.state.kernel_sp as u32);
        let esp = match error_code {
            Some(code) => push(ctx, kernel_ss, top, [code, eip, cs, eflags, esp, ss])?,
            None => push(ctx, kernel_ss, top, [eip, cs, eflags, esp, ss])?,
        };
        return Ok((kernel_ss, esp));
    }
    let esp = match error_code {
        Some(code) => push(ctx, stack, esp, [code, eip, cs, eflags])?,
        None => push(ctx, stack, esp, [eip, cs, eflags])?,
    };
    Ok((stack, esp))
}

/// Writes words below `top`; returns the new top.
#[inline(always)]
fn push<P: Platform, const N: usize>(
    ctx: &mut Ctx<'_, P>,
    ss: u16,
    top: u32,
    words: [u32; N],
) -> Result<u32, Stop> {
    let esp = top.wrapping_sub(4 * N as u32);
    write_stack(ctx, ss, esp, words.as_bytes())?;
    Ok(esp)
}

/// Writes to the guest's stack; where it cannot be written the domain crashes.
#[inline(always)]
fn write_stack<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    ss: u16,
    esp: u32,
    bytes: &[u8],
) -> Result<(), Stop> {
    let Some(base) = segment::base32(ctx, ss) else {
        return Err(Stop::Crash(Crash::Because("its kernel stack segment does not exist")));
    };
    let address = u64::from(base.wrapping_add(esp));
    let bad = Stop::Crash(Crash::BadKernelStack { address });
    if !Width::Pv32.range_ok(address, bytes.len() as u64) {
        return Err(bad);
    }
    ctx.sys.platform.copy_to_guest(address, bytes).map_err(|_| bad)
}
