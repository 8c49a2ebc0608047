//! Extents of memory for a domain, and from it.
//!
//! As on Xen the result is how many extents were done, never an errno: whoever asked for more
//! sees that it got less, also when the request itself makes no sense.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Mfn};
use pv_abi::{memory, x86_32, x86_64};

use super::{COMMAND_BITS, MAX_EXTENT_ORDER};
use crate::domain::Domain;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::{Args, target};
use crate::mm::frame::Owner;
use crate::platform::Platform;
use crate::width::Width;

/// Frames handed out or taken back before other work gets a chance.
const BATCH: u64 = 64;

/// Extents that can be encoded in a continuation.
const MOST_EXTENTS: u64 = 0x03ff_ffff;

/// NUMA nodes that Xen's ABI has numbers for (`MAX_NUMNODES`).
const MAX_NODES: u8 = 64;
/// "No node" in `mem_flags`.
const NO_NODE: u8 = 0xff;

/// A `struct xen_memory_reservation` of either width.
#[derive(Clone, Copy)]
pub(super) struct Reservation {
    pub(super) extents: u64,
    pub(super) count: u64,
    pub(super) order: u32,
    pub(super) flags: u32,
    pub(super) domid: DomId,
}

impl From<x86_32::MemoryReservation> for Reservation {
    fn from(r: x86_32::MemoryReservation) -> Reservation {
        Reservation {
            extents: r.extent_start.into(),
            count: r.nr_extents.into(),
            order: r.extent_order,
            flags: r.mem_flags,
            domid: r.domid,
        }
    }
}

impl From<x86_64::MemoryReservation> for Reservation {
    fn from(r: x86_64::MemoryReservation) -> Reservation {
        Reservation {
            extents: r.extent_start,
            count: r.nr_extents,
            order: r.extent_order,
            flags: r.mem_flags,
            domid: r.domid,
        }
    }
}

pub(super) fn fetch<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<Reservation, Errno> {
    Ok(match ctx.width() {
        Width::Pv32 => ctx.read::<x86_32::MemoryReservation>(arg)?.into(),
        Width::Pv64 => ctx.read::<x86_64::MemoryReservation>(arg)?.into(),
    })
}

/// Where the frames that `flags` ask for may end: `None`, anywhere.
///
/// `EINVAL`: addresses that no frame has, or a node that cannot be (XSA-231). `ENOMEM`: exactly
/// that node is asked for, and there is but the first.
pub(super) fn end_of_frames<P: Platform>(
    ctx: &Ctx<'_, P>,
    flags: u32,
) -> Result<Option<Mfn>, Errno> {
    let node = memory::memf_get_node(flags);
    if node != NO_NODE && flags & memory::XENMEMF_VNODE == 0 {
        if node >= MAX_NODES {
            return Err(Errno::EINVAL);
        }
        if node != 0 && flags & memory::XENMEMF_EXACT_NODE_REQUEST != 0 {
            return Err(Errno::ENOMEM);
        }
    }
    let bits = u32::from(memory::memf_get_address_bits(flags));
    if bits == 0 {
        return Ok(None);
    }
    let frame_bits = bits.checked_sub(12).filter(|bits| *bits > 0).ok_or(Errno::EINVAL)?;
    let end = 1_u64.checked_shl(frame_bits).unwrap_or(u64::MAX);
    Ok(Some(Mfn::new(end)).filter(|_| end < ctx.sys.memory.frame_count()))
}

/// Does as many extents as it can; the value is how many, also when one fails.
pub(super) fn reservation<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
    command: u32,
) -> HypercallResult {
    let done_before = args[0] >> COMMAND_BITS & MOST_EXTENTS;
    let Some((r, domain, end)) = decode(ctx, args[1], done_before) else { return Ok(done_before) };
    let mut budget = BATCH;
    for i in done_before..r.count {
        let done = match command {
            memory::XENMEM_DECREASE_RESERVATION => give_back(ctx, domain, &r, i),
            _ => {
                let physmap = command == memory::XENMEM_POPULATE_PHYSMAP;
                populate(ctx, domain, &r, i, end, physmap)
            }
        };
        match done {
            Ok(()) => {}
            Err(Stop::Preempted) => return continued(args, command, i),
            // Less than all is not an error: the value says how much.
            Err(_) => return Ok(i),
        }
        budget = budget.saturating_sub(1 << r.order);
        if budget == 0 && i + 1 < r.count {
            return continued(args, command, i + 1);
        }
    }
    Ok(r.count)
}

/// The request, if it makes sense and the caller may make it.
fn decode<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    arg: u64,
    done_before: u64,
) -> Option<(Reservation, &'a Domain, Option<Mfn>)> {
    let r = fetch(ctx, arg).ok()?;
    // A count that cannot be encoded in a continuation is more than any machine has.
    if r.count > MOST_EXTENTS || done_before >= r.count || r.order > MAX_EXTENT_ORDER {
        return None;
    }
    let domain = target(ctx, r.domid.raw()).ok()?;
    let end = end_of_frames(ctx, r.flags).ok()?;
    Some((r, domain, end))
}

fn continued(args: &mut Args, command: u32, done: u64) -> HypercallResult {
    args[0] = u64::from(command) | done << COMMAND_BITS;
    Err(Stop::Preempted)
}

/// Gives the domain one extent, zeroed before anybody can look into it (XSA-100). With `physmap` the element names its pseudo-physical frame.
fn populate<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    r: &Reservation,
    index: u64,
    end: Option<Mfn>,
    physmap: bool,
) -> Result<(), Stop> {
    let pfn = if physmap { Some(ctx.read_long(r.extents, index)?) } else { None };
    let mfn = allocate(ctx, domain, r.order as u8, end)?;
    if let Some(pfn) = pfn {
        for i in 0..1_u64 << r.order {
            ctx.sys.memory.set_m2p(Mfn::new(mfn.raw() + i), pfn.wrapping_add(i));
        }
    }
    ctx.sys.memory.hand_over(mfn, domain, r.order as u8);
    if physmap || r.extents != 0 {
        // The frames are the domain's even if it cannot be told which they are.
        ctx.write_long(r.extents, index, mfn.raw())?;
    }
    Ok(())
}

/// Takes 2^`order` frames for `domain`, within its limit, and counts them; the hypervisor has
/// them still. `ENOMEM`; `EINVAL` for a domain that is dying.
fn allocate<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    order: u8,
    end: Option<Mfn>,
) -> Result<Mfn, Errno> {
    // Asked once is enough: it is taken apart only after a grace period (`domain::destroy`).
    if domain.end.is_dying() {
        return Err(Errno::EINVAL);
    }
    let count = 1_u32 << order;
    domain.charge_pages(count)?;
    empty_block(ctx, order, end).inspect_err(|_| {
        domain.pages.fetch_sub(count, Ordering::Relaxed);
    })
}

/// Takes 2^`order` frames that end at `end` at the latest, and zeroes them.
pub(super) fn empty_block<P: Platform>(
    ctx: &Ctx<'_, P>,
    order: u8,
    end: Option<Mfn>,
) -> Result<Mfn, Errno> {
    let memory = &ctx.sys.memory;
    let first = match end {
        None => memory.allocate(Owner::Hypervisor, order),
        Some(end) => memory.allocate_below(Owner::Hypervisor, order, end),
    }?;
    for frame in 0..1_u64 << order {
        ctx.sys.platform.zero(Mfn::new(first.raw() + frame));
    }
    Ok(first)
}

/// Gives one extent back. Frames that are in use, or that the hypervisor lent, stay.
fn give_back<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    r: &Reservation,
    index: u64,
) -> Result<(), Stop> {
    let first = ctx.read_long(r.extents, index)?;
    let mut types = ctx.sys.page_types(domain);
    types.finish()?;
    for i in 0..1u64 << r.order {
        let mfn = Mfn::new(first.wrapping_add(i));
        let frame = ctx.sys.memory.get_page(mfn, domain.id)?;
        // A pin stands for the guest's wish to keep the table (XSA-252); what nobody
        // allocated (shared_info) is not the guest's to give.
        let taken = frame.update(|w| {
            if w.allocated() && !w.pinned() { Some(w.with_allocated(false)) } else { None }
        });
        if taken.is_ok() {
            ctx.sys.put_page(mfn);
        }
        ctx.sys.put_page(mfn);
        // Said, not passed over (XSA-222).
        taken.map_err(|_| Errno::EINVAL)?;
    }
    Ok(())
}
