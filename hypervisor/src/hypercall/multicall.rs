//! `multicall`: a list of hypercalls made with one crossing.

use pv_abi::errno::Errno;
use pv_abi::hypercall as nr;
use pv_abi::{x86_32, x86_64};

use super::{Args, errno_value, table, traced};
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::trace::{self, What};
use crate::width::Width;

/// Calls made before other work gets a chance.
const BATCH: u64 = 64;

/// `multicall(call_list, nr_calls)`: each entry's result goes into the entry; a failing entry does not end the list.
///
/// `EINVAL` for an entry that is itself a multicall or an `iret` (XSA-213: what follows
/// would run in another context); `EFAULT` if the list cannot be read or written.
pub fn multicall<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    list::<P, false>(ctx, args)
}

/// [`multicall`] while the machine is traced: with a record for each entry.
#[cold]
#[inline(never)]
pub(super) fn noting<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    list::<P, true>(ctx, args)
}

#[inline(always)]
fn list<P: Platform, const TRACED: bool>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let mut made = 0;
    while args[1] as u32 != 0 {
        if made == BATCH {
            return Err(Stop::Preempted);
        }
        let at = args[0];
        let size = match ctx.width() {
            Width::Pv32 => entry32::<P, TRACED>(ctx, at)?,
            Width::Pv64 => entry64::<P, TRACED>(ctx, at)?,
        };
        args[0] = at.wrapping_add(size);
        args[1] -= 1;
        made += 1;
    }
    Ok(0)
}

/// Makes the call at `at`; returns the entry's size.
#[inline(always)]
fn entry32<P: Platform, const TRACED: bool>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<u64, Stop> {
    let entry: x86_32::MulticallEntry = ctx.read(at)?;
    let mut args = entry.args.map(u64::from);
    match one::<P, TRACED>(ctx, entry.op, &mut args) {
        Ok(result) => ctx.write(at.wrapping_add(4), &(result as u32))?,
        Err(Stop::Preempted) => {
            ctx.write(at.wrapping_add(8), &args.map(|a| a as u32))?;
            return Err(Stop::Preempted);
        }
        Err(other) => return Err(other),
    }
    Ok(size_of::<x86_32::MulticallEntry>() as u64)
}

/// The same for a 64-bit guest.
fn entry64<P: Platform, const TRACED: bool>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<u64, Stop> {
    let entry: x86_64::MulticallEntry = ctx.read(at)?;
    let mut args = entry.args;
    match one::<P, TRACED>(ctx, entry.op as u32, &mut args) {
        Ok(result) => ctx.write(at.wrapping_add(8), &result)?,
        Err(Stop::Preempted) => {
            ctx.write(at.wrapping_add(16), &args)?;
            return Err(Stop::Preempted);
        }
        Err(other) => return Err(other),
    }
    Ok(size_of::<x86_64::MulticallEntry>() as u64)
}

/// Makes one call; `Err` only for what ends the whole list.
#[inline(always)]
fn one<P: Platform, const TRACED: bool>(
    ctx: &mut Ctx<'_, P>,
    op: u32,
    args: &mut Args,
) -> Result<u64, Stop> {
    if op == nr::MULTICALL || op == nr::IRET {
        return Ok(errno_value(Errno::EINVAL));
    }
    if TRACED {
        let [first, ..] = *args;
        let what = What::Subcall { number: op as u8, command: first as u32 };
        trace::note(ctx.sys, ctx.domain.id, ctx.vcpu.id, what);
    }
    let outcome =
        if TRACED { traced::dispatch(ctx, op, args) } else { table::dispatch(ctx, op, args) };
    match outcome {
        Err(Stop::Errno(errno)) => Ok(errno_value(errno)),
        other => other,
    }
}
