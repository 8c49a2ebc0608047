//! Exceptions and software interrupts of the running guest.

use pv_abi::vectors;

use super::{bounce, control, emulate, page_fault};
use crate::error::Stop;
use crate::exit;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// The vector of the traditional system call, `int $0x80`: the one software interrupt with a
/// gate of its own.
pub(super) const SYSTEM_CALL: u8 = 0x80;

/// Bytes of an `int $n`.
const INT_LEN: u64 = 2;

/// The guest caused an exception or executed `int $0x80`: cures it, enters the guest's
/// handler, or ends the domain.
///
/// Vector, error code and registers are in `ctx.regs`.
#[inline(always)]
pub fn exception<P: Platform>(ctx: &mut Ctx<'_, P>) {
    let vector = ctx.regs.entry_vector as u8;
    match vector {
        vectors::PAGE_FAULT => page_fault(ctx),
        SYSTEM_CALL => int80(ctx),
        _ => {
            if let Err(stop) = other(ctx, vector) {
                exit::stopped(ctx, stop);
            }
        }
    }
}

/// [`exception`] for a page fault, which has an entry of its own.
#[inline(always)]
pub fn page_fault<P: Platform>(ctx: &mut Ctx<'_, P>) {
    if let Err(stop) = page_fault::page_fault(ctx) {
        exit::stopped(ctx, stop);
    }
}

/// [`exception`] for `int $0x80`, which has an entry of its own.
#[inline(always)]
pub fn int80<P: Platform>(ctx: &mut Ctx<'_, P>) {
    if let Err(stop) = system_call(ctx) {
        exit::stopped(ctx, stop);
    }
}

/// `int $0x80`, which goes to the guest's handler if its trap table lets the ring use it.
#[inline(always)]
fn system_call<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
    if may_raise(ctx, SYSTEM_CALL) {
        return bounce::trap(ctx, SYSTEM_CALL, None);
    }
    // What a gate out of reach would have done: a fault, with the instruction to come.
    ctx.regs.rip = ctx.regs.rip.wrapping_sub(INT_LEN);
    refuse_interrupt(ctx, SYSTEM_CALL)
}

/// DR6.BS: a single step.
pub(super) const SINGLE_STEP: u64 = 1 << 14;

/// Whether `int $vector` is allowed where the guest runs. A kernel counts as ring 1.
#[inline(always)]
pub(super) fn may_raise<P: Platform>(ctx: &Ctx<'_, P>, vector: u8) -> bool {
    let ring = match ctx.width() {
        Width::Pv32 => ctx.regs.cs as u8 & 3,
        Width::Pv64 if bounce::in_kernel(ctx) => 1,
        Width::Pv64 => 3,
    };
    let trap = ctx.state.traps.get(vector);
    trap.dpl >= ring && trap.target.is_set()
}

/// The #GP of an `int $vector` that is not allowed: the error code names the gate.
#[cold]
pub(super) fn refuse_interrupt<P: Platform>(ctx: &mut Ctx<'_, P>, vector: u8) -> Result<(), Stop> {
    bounce::trap(ctx, vectors::GENERAL_PROTECTION, Some(u32::from(vector) << 3 | 2))
}

/// Exceptions but for page faults.
#[inline(never)]
fn other<P: Platform>(ctx: &mut Ctx<'_, P>, vector: u8) -> Result<(), Stop> {
    match vector {
        vectors::GENERAL_PROTECTION => emulate::general_protection(ctx),
        vectors::INVALID_OPCODE => {
            if emulate::forced(ctx)? {
                return Ok(());
            }
            bounce::trap(ctx, vector, None)
        }
        vectors::DEVICE_NOT_AVAILABLE => {
            bounce::trap(ctx, vector, None)?;
            // The ABI: the guest's handler finds TS clear.
            control::set_task_switched(ctx, false);
            Ok(())
        }
        vectors::DEBUG => debug(ctx),
        _ => {
            let code = vectors::has_error_code(vector).then_some(ctx.regs.error_code);
            bounce::trap(ctx, vector, code)
        }
    }
}

/// A breakpoint or a single step: the guest finds the cause in its DR6.
fn debug<P: Platform>(ctx: &mut Ctx<'_, P>) -> Result<(), Stop> {
    /// DR6 bits that say why: B0 to B3, BD, BS, BT.
    const CAUSES: u64 = 0xe00f;
    let status = ctx.sys.platform.take_debug_status() & CAUSES;
    raise_debug(ctx, status)
}

/// Delivers a #DB for `causes`, bits of DR6.
#[cold]
#[inline(never)]
pub(super) fn raise_debug<P: Platform>(ctx: &mut Ctx<'_, P>, causes: u64) -> Result<(), Stop> {
    let [.., dr6, _dr7] = &mut ctx.state.debug_registers;
    *dr6 |= causes;
    bounce::trap(ctx, vectors::DEBUG, None)
}
