//! The hypercall `grant_table_op(cmd, uop, count)`.
//!
//! `uop` is an array of `count` arguments; each gets its own status. The call itself
//! fails for what concerns the whole array: `EINVAL` for a count or a command that makes
//! no sense, `EFAULT` for memory that is not the guest's, `ENOSYS` for unknown commands.
//! A long array is done in pieces; what is left is in the registers then.

use pv_abi::errno::Errno;
use pv_abi::grant_table as abi;
use pv_abi::{x86_32, x86_64};

use super::{cache, copy, map, report, setup, swap, transfer, unmap, version};
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;
use crate::width::Width;

/// The low bits of the command, which say which; the others are a continuation's.
const COMMAND: u32 = (1 << CONTINUED_SHIFT) - 1;
/// Where the upper part begins.
const CONTINUED_SHIFT: u32 = 12;
/// Arguments handled before other work gets a chance.
pub const BATCH: u32 = 64;

/// `grant_table_op(cmd, uop, count)`.
#[inline(always)]
pub fn grant_table_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let command = args[0] as u32;
    if (args[2] as u32).cast_signed() < 0 {
        return Err(Errno::EINVAL.into());
    }
    match command {
        abi::GNTTABOP_MAP_GRANT_REF => map_grant_ref(ctx, args),
        abi::GNTTABOP_UNMAP_GRANT_REF => unmap::unmap_grant_ref(ctx, args),
        abi::GNTTABOP_COPY => {
            let size = match ctx.width() {
                Width::Pv32 => size_of::<x86_32::GnttabCopy>(),
                Width::Pv64 => size_of::<x86_64::GnttabCopy>(),
            };
            each(ctx, args, size, copy::copy)
        }
        _ => others(ctx, args, command),
    }
}

// Not inlined: the frame that it needs is larger than what other hypercalls should make room for.
#[inline(never)]
fn map_grant_ref<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let size = size_of::<abi::GnttabMapGrantRef>();
    each(ctx, args, size, |ctx, at| map::map_grant_ref(ctx, at))
}

#[inline(never)]
fn others<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args, command: u32) -> HypercallResult {
    if command & COMMAND == abi::GNTTABOP_CACHE_FLUSH {
        return cache_flush(ctx, args, command & !COMMAND);
    }
    if command & !COMMAND != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (at, count) = (args[1], args[2] as u32);
    match command {
        abi::GNTTABOP_SETUP_TABLE | abi::GNTTABOP_GET_STATUS_FRAMES if count != 1 => {
            // Xen translates a narrow guest's array in a loop, which none leaves untouched.
            let nothing = count == 0 && ctx.width() == Width::Pv32;
            if nothing { Ok(0) } else { Err(Errno::EINVAL.into()) }
        }
        abi::GNTTABOP_SETUP_TABLE => setup::setup_table(ctx, at),
        abi::GNTTABOP_QUERY_SIZE => {
            if count != 1 {
                return Err(Errno::EINVAL.into());
            }
            setup::query_size(ctx, at)
        }
        abi::GNTTABOP_DUMP_TABLE => report::dump_table(ctx, at),
        abi::GNTTABOP_TRANSFER => {
            let size = match ctx.width() {
                Width::Pv32 => size_of::<x86_32::GnttabTransfer>(),
                Width::Pv64 => size_of::<x86_64::GnttabTransfer>(),
            };
            each(ctx, args, size, transfer::transfer)
        }
        abi::GNTTABOP_UNMAP_AND_REPLACE => unmap::unmap_and_replace(ctx, args),
        abi::GNTTABOP_SET_VERSION => version::set_version(ctx, at),
        abi::GNTTABOP_GET_STATUS_FRAMES => version::get_status_frames(ctx, at),
        abi::GNTTABOP_GET_VERSION => version::get_version(ctx, at),
        abi::GNTTABOP_SWAP_GRANT_REF => {
            each(ctx, args, size_of::<abi::GnttabSwapGrantRef>(), swap::swap_grant_ref)
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// Whether `count` elements of `size` bytes from `at` can be the guest's memory.
pub(super) fn check_array<P: Platform>(
    ctx: &Ctx<'_, P>,
    at: u64,
    count: u32,
    size: usize,
) -> Result<(), Errno> {
    let ok = ctx.width().range_ok(at, u64::from(count) * size as u64);
    if ok { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Does `one` for each element of the array, up to [`BATCH`] at a time.
#[inline(always)]
fn each<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
    size: usize,
    mut one: impl FnMut(&mut Ctx<'_, P>, u64) -> Result<(), Stop>,
) -> HypercallResult {
    let count = args[2] as u32;
    check_array(ctx, args[1], count, size)?;
    for done in 0..count {
        // Does not wrap: the array was checked.
        let at = args[1].wrapping_add(u64::from(done) * size as u64);
        let outcome = if done == BATCH { Err(Stop::Preempted) } else { one(ctx, at) };
        match outcome {
            Ok(()) => {}
            Err(Stop::Preempted) => return continued(args, at, count.saturating_sub(done)),
            Err(other) => return Err(other),
        }
    }
    Ok(0)
}

/// Makes the call go on at `at`, with `left` elements to do.
pub(super) fn continued(args: &mut Args, at: u64, left: u32) -> HypercallResult {
    args[1] = at;
    args[2] = u64::from(left);
    Err(Stop::Preempted)
}

/// `GNTTABOP_cache_flush`: the upper part of the command says where the search for the caller's
/// grant of the first element's page goes on.
fn cache_flush<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
    mut from: u32,
) -> HypercallResult {
    let outcome = each(ctx, args, size_of::<abi::GnttabCacheFlush>(), |ctx, at| {
        cache::cache_flush(ctx, at, &mut from)
    });
    args[0] = u64::from(abi::GNTTABOP_CACHE_FLUSH | from);
    outcome
}
