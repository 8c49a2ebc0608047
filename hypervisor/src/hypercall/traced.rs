//! Hypercalls while the machine is traced: the same, with a record before and after.

use pv_abi::hypercall as nr;

use super::{Args, multicall, table};
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::trace::{self, What};

/// [`super::enter`], traced.
pub fn enter<P: Platform>(ctx: &mut Ctx<'_, P>) {
    let number = ctx.regs.rax as u32;
    // Numbers beyond a byte do not exist; all of them are shown as the last.
    let shown = u8::try_from(number).unwrap_or(u8::MAX);
    // Guest memory is looked at for records alone.
    let records = ctx.sys.trace.keeps_records();
    let (command, detail) = if records { describe(ctx, number, &ctx.args()) } else { (0, 0) };
    note(ctx, What::Hypercall { number: shown, command, detail });
    let ip = ctx.regs.rip;
    let mut args = ctx.args();
    let outcome = match number {
        nr::MULTICALL => multicall::noting(ctx, &mut args),
        _ => dispatch(ctx, number, &mut args),
    };
    super::finish(ctx, outcome, &args);
    let continued = ctx.regs.rip == ip.wrapping_sub(super::HYPERCALL_INSTRUCTION_LEN);
    note(ctx, What::HypercallDone { number: shown, result: ctx.regs.rax, continued });
}

/// [`table::dispatch`], but once for all traced calls: the other ways have their own copies of
/// the handlers, which are to stay small.
#[inline(never)]
pub(super) fn dispatch<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    number: u32,
    args: &mut Args,
) -> HypercallResult {
    table::dispatch(ctx, number, args)
}

fn note<P: Platform>(ctx: &Ctx<'_, P>, what: What) {
    trace::note(ctx.sys, ctx.domain.id, ctx.vcpu.id, what);
}

/// What a person wants to know of a call: the command and one more number.
///
/// What lies in the guest's memory is read here for the record only; the call reads it for itself.
fn describe<P: Platform>(ctx: &Ctx<'_, P>, number: u32, args: &Args) -> (u32, u64) {
    let [first, second, third, ..] = *args;
    let word = |at| ctx.read::<u32>(at).unwrap_or(0);
    match number {
        // The argument of the common ones begins with a port.
        nr::EVENT_CHANNEL_OP => (first as u32, word(second).into()),
        nr::MMUEXT_OP | nr::PLATFORM_OP | nr::DOMCTL | nr::SYSCTL => (word(first), second),
        nr::MULTICALL | nr::MMU_UPDATE => (0, second),
        nr::GRANT_TABLE_OP => (first as u32, third),
        _ => (first as u32, second),
    }
}
