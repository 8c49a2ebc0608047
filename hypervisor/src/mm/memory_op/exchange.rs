//! `XENMEM_exchange`: frames against as many others, of another order or below another address.
//!
//! It works in chunks of the larger order. A chunk's frames are *taken* first: each has one
//! reference, the domain's own, and gives it up in one step, so nobody can refer to it any
//! more; if one is in use, or there are no new frames, all are given back their reference. Only
//! then is anything changed. Both lists are read for each chunk before that, and the caller's
//! addresses go through the same checks as everybody's (XSA-29, XSA-159, XSA-212).
//!
//! How far it came stands in the argument (`nr_exchanged`), and there it goes on.

use core::mem::offset_of;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;
use pv_abi::{x86_32, x86_64};

use super::MAX_EXTENT_ORDER;
use super::reservation::{Reservation, empty_block, end_of_frames};
use crate::domain::Domain;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::target;
use crate::mm::memory::INVALID_M2P;
use crate::platform::Platform;
use crate::width::Width;

/// Frames of a chunk, at most.
const CHUNK: usize = 1 << MAX_EXTENT_ORDER;

/// What is asked for.
struct Request {
    give: Reservation,
    get: Reservation,
    exchanged: u64,
}

fn fetch<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<Request, Errno> {
    Ok(match ctx.width() {
        Width::Pv32 => {
            let x: x86_32::MemoryExchange = ctx.read(arg)?;
            Request { give: x.r#in.into(), get: x.out.into(), exchanged: x.nr_exchanged.into() }
        }
        Width::Pv64 => {
            let x: x86_64::MemoryExchange = ctx.read(arg)?;
            Request { give: x.r#in.into(), get: x.out.into(), exchanged: x.nr_exchanged }
        }
    })
}

/// `XENMEM_exchange`.
///
/// `EFAULT`; `EPERM`: too large an order (XSA-158); `EINVAL`: the two lists do not match, or a
/// frame is not the domain's or in use; `ESRCH`; `ENOMEM`. What was exchanged before stays so,
/// and the argument says how much that is.
pub(super) fn exchange<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    let request = fetch(ctx, arg)?;
    let Request { give, get, exchanged } = &request;
    if give.order > MAX_EXTENT_ORDER || get.order > MAX_EXTENT_ORDER {
        return Err(Errno::EPERM.into());
    }
    let frames = |list: &Reservation| list.count.checked_mul(1 << list.order);
    let all = frames(give).filter(|all| frames(get) == Some(*all)).ok_or(Errno::EINVAL)?;
    if *exchanged > give.count || give.domid != get.domid {
        return Err(Errno::EINVAL.into());
    }
    let domain = target(ctx, give.domid.raw())?;
    if domain.end.is_dying() {
        return Err(Errno::EINVAL.into());
    }
    let end = end_of_frames(ctx, get.flags)?;
    let per_chunk = 1_u64 << give.order.max(get.order);
    let mut done = (*exchanged << give.order) / per_chunk * per_chunk;
    if done < all {
        let outcome = chunk(ctx, domain, &request, done, end);
        done += if outcome.is_ok() { per_chunk } else { 0 };
        report(ctx, arg, done >> give.order)?;
        outcome?;
    }
    if done < all { Err(Stop::Preempted) } else { Ok(0) }
}

/// Says how many extents were exchanged.
fn report<P: Platform>(ctx: &Ctx<'_, P>, arg: u64, exchanged: u64) -> Result<(), Errno> {
    let at = match ctx.width() {
        Width::Pv32 => offset_of!(x86_32::MemoryExchange, nr_exchanged),
        Width::Pv64 => offset_of!(x86_64::MemoryExchange, nr_exchanged),
    };
    ctx.write_long(arg.wrapping_add(at as u64), 0, exchanged)
}

/// Exchanges the frames from number `first` of all on, one chunk of them.
// Not inlined: its lists are large.
#[inline(never)]
fn chunk<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    request: &Request,
    first: u64,
    end: Option<Mfn>,
) -> Result<(), Stop> {
    let (give, get) = (&request.give, &request.get);
    let frames = 1_u64 << give.order.max(get.order);
    let given = list(ctx, give, first, frames)?;
    let numbers = list(ctx, get, first, frames)?;
    let mut taken = 0;
    let mut outcome = Ok(());
    for mfn in &given {
        outcome = ctx.sys.withdraw_page(domain, Mfn::new((*mfn).into()));
        if outcome.is_err() {
            break;
        }
        taken += 1;
    }
    let new = match outcome {
        Ok(()) => allocate(ctx, get.order, frames, end),
        Err(errno) => Err(errno),
    };
    let new = match new {
        Ok(new) => new,
        Err(errno) => {
            for mfn in given.iter().take(taken) {
                ctx.sys.restore_page(Mfn::new((*mfn).into()));
            }
            return Err(errno.into());
        }
    };
    // Nothing can fail any more, but telling the caller.
    ctx.sys.flush_domain(domain);
    for mfn in given {
        let mfn = Mfn::new(mfn.into());
        ctx.sys.memory.set_m2p(mfn, INVALID_M2P);
        ctx.sys.memory.release(mfn, 0);
    }
    for (mfn, pfn) in each(&new, get.order).zip(numbers) {
        ctx.sys.memory.set_m2p(mfn, pfn.into());
    }
    let from = first >> get.order;
    let mut told = Ok(());
    for (extent, block) in (from..).zip(new) {
        ctx.sys.memory.hand_over(Mfn::new(block.into()), domain, get.order as u8);
        told = told.and(ctx.write_long(get.extents, extent, block.into()));
    }
    Ok(told?)
}

/// Frame numbers, one for each frame.
type Frames = heapless::Vec<u32, CHUNK>;

/// The frames of the extents of `list` that begin with frame `first` of all.
fn list<P: Platform>(
    ctx: &Ctx<'_, P>,
    list: &Reservation,
    first: u64,
    frames: u64,
) -> Result<Frames, Errno> {
    let mut all = Frames::new();
    for extent in first >> list.order..(first + frames) >> list.order {
        let start = ctx.read_long(list.extents, extent)?;
        for frame in 0..1_u64 << list.order {
            // One that does not fit is no frame's, of no machine's.
            let number = u32::try_from(start.wrapping_add(frame)).unwrap_or(u32::MAX);
            all.push(number).map_err(|_| Errno::EINVAL)?;
        }
    }
    Ok(all)
}

/// Allocates empty blocks, all or none; they are not counted, since as many go.
fn allocate<P: Platform>(
    ctx: &Ctx<'_, P>,
    order: u32,
    frames: u64,
    end: Option<Mfn>,
) -> Result<Frames, Errno> {
    let order = order as u8;
    let mut blocks = Frames::new();
    for _ in 0..frames >> order {
        let block = empty_block(ctx, order, end);
        // Frame numbers fit 32 bits, and there is room for as many as a chunk has.
        let kept = block.map(|mfn| blocks.push(mfn.raw() as u32).is_ok());
        if kept != Ok(true) {
            for block in blocks {
                ctx.sys.memory.release(Mfn::new(block.into()), order);
            }
            return Err(Errno::ENOMEM);
        }
    }
    Ok(blocks)
}

/// The frames of blocks of 2^`order`.
fn each(blocks: &Frames, order: u32) -> impl Iterator<Item = Mfn> {
    blocks.iter().flat_map(move |block| {
        let first = u64::from(*block);
        (first..first + (1 << order)).map(Mfn::new)
    })
}
