//! `GNTTABOP_unmap_grant_ref` and `GNTTABOP_unmap_and_replace`.
//!
//! In three steps, each for a whole batch: the entries go; the caller's CPUs forget them; the
//! references and pins go ([`Done`] says which).

use core::mem::offset_of;

use pv_abi::grant_table as abi;
use pv_abi::grant_table::{GnttabUnmapAndReplace, GnttabUnmapGrantRef};
use pv_abi::types::GrantHandle;

use super::active::Pins;
use super::maptrack::Mapping;
use super::pin::Held;
use super::{Refused, domain, ops};
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::mm::granted::Place;
use crate::mm::pte;
use crate::mm::types::PageTypes;
use crate::platform::Platform;

/// Unmappings that share a flush (as many as in Xen).
pub const BATCH: usize = 32;

/// What one argument asks for.
struct Request {
    host_addr: u64,
    dev_bus_addr: u64,
    /// The address whose mapping takes the place of the one that goes; 0: none does.
    new_addr: u64,
    handle: GrantHandle,
}

/// What has been unmapped, and is to be given up after the flush.
struct Done {
    mapping: Mapping,
    host: bool,
    device: bool,
}

/// `GNTTABOP_unmap_grant_ref`.
#[inline(never)]
pub(super) fn unmap_grant_ref<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
) -> HypercallResult {
    const SIZE: usize = size_of::<GnttabUnmapGrantRef>();
    const STATUS: usize = offset_of!(GnttabUnmapGrantRef, status);
    in_batches(ctx, args, SIZE, STATUS, |ctx, at| {
        let op: GnttabUnmapGrantRef = ctx.read(at)?;
        let (host_addr, dev_bus_addr) = (op.host_addr, op.dev_bus_addr);
        Ok(Request { host_addr, dev_bus_addr, new_addr: 0, handle: op.handle })
    })
}

/// `GNTTABOP_unmap_and_replace`.
pub(super) fn unmap_and_replace<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
) -> HypercallResult {
    const SIZE: usize = size_of::<GnttabUnmapAndReplace>();
    const STATUS: usize = offset_of!(GnttabUnmapAndReplace, status);
    in_batches(ctx, args, SIZE, STATUS, |ctx, at| {
        let op: GnttabUnmapAndReplace = ctx.read(at)?;
        let (host_addr, new_addr) = (op.host_addr, op.new_addr);
        Ok(Request { host_addr, dev_bus_addr: 0, new_addr, handle: op.handle })
    })
}

/// Goes through the array in pieces of [`BATCH`], up to [`ops::BATCH`] elements.
#[inline(always)]
fn in_batches<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
    size: usize,
    status: usize,
    fetch: impl Fn(&Ctx<'_, P>, u64) -> Result<Request, Stop>,
) -> HypercallResult {
    let count = args[2] as u32;
    ops::check_array(ctx, args[1], count, size)?;
    let element = |index: u32| args[1].wrapping_add(u64::from(index) * size as u64);
    let mut index = 0;
    while index < count {
        if index >= ops::BATCH {
            let at = element(index);
            return ops::continued(args, at, count.saturating_sub(index));
        }
        let mut done: heapless::Vec<Done, BATCH> = heapless::Vec::new();
        let mut outcome = Ok(());
        let mut types = ctx.sys.page_types(ctx.domain);
        let end = count.min(index.saturating_add(BATCH as u32));
        while index < end && outcome.is_ok() {
            let at = element(index);
            outcome = fetch(ctx, at).and_then(|request| {
                let told = match unmap(ctx, &mut types, &request) {
                    Ok(Some(one)) => {
                        // There is room: one for each element.
                        let _ = done.push(one);
                        abi::GNTST_OKAY
                    }
                    Ok(None) => abi::GNTST_OKAY,
                    Err(refused) => refused,
                };
                Ok(ctx.write(at.wrapping_add(status as u64), &told)?)
            });
            index = index.saturating_add(1);
        }
        drop(types);
        finish(ctx, &done);
        outcome?;
    }
    Ok(0)
}

/// Removes what one argument names from page table and record.
///
/// `GNTST_bad_handle`: no mapping; `GNTST_bad_dev_addr`: not the
/// device's address; `GNTST_general_error`: the entry does not map the frame so (XSA-234).
#[inline(always)]
fn unmap<P: Platform>(
    ctx: &Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    request: &Request,
) -> Result<Option<Done>, Refused> {
    let access = &ctx.sys.platform;
    // With `types` comes the paging lock, under which alone mappings are taken away.
    let records = &mut *ctx.domain.grants.maptrack.lock();
    let record = records.record(access, request.handle).ok_or(abi::GNTST_BAD_HANDLE)?;
    let mapping = record.get().ok_or(abi::GNTST_BAD_HANDLE)?;
    let done = remove(ctx, types, request, &mapping)?;
    let mut left = mapping;
    left.flags &= !(if done.host { abi::GNTMAP_HOST_MAP } else { 0 });
    left.flags &= !(if done.device { abi::GNTMAP_DEVICE_MAP } else { 0 });
    if left.is_mapped() {
        record.fill(&left);
    } else {
        records.free(&record);
    }
    Ok((done.host || done.device).then_some(done))
}

#[inline(always)]
fn remove<P: Platform>(
    ctx: &Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    request: &Request,
    mapping: &Mapping,
) -> Result<Done, Refused> {
    let host = request.host_addr != 0 && mapping.host();
    let device = request.dev_bus_addr != 0 && mapping.device();
    if device && request.dev_bus_addr != mapping.mfn.raw() << 12 {
        return Err(abi::GNTST_BAD_DEV_ADDR);
    }
    if host {
        leave(ctx, types, request, mapping).ok_or(abi::GNTST_GENERAL_ERROR)?;
    }
    Ok(Done { mapping: *mapping, host, device })
}

/// Takes the mapping's entry out of the page table; its reference is ours then. `None`: the
/// address has no entry, or another than it was given.
#[inline(always)]
fn leave<P: Platform>(
    ctx: &Ctx<'_, P>,
    types: &mut PageTypes<'_, P>,
    request: &Request,
    mapping: &Mapping,
) -> Option<()> {
    let by_machine_address = mapping.flags & abi::GNTMAP_CONTAINS_PTE != 0;
    let place = if by_machine_address {
        types.place_at(request.host_addr)?
    } else {
        types.place_of(ctx.state.root, request.host_addr)?
    };
    let replacement = match request.new_addr {
        0 => None,
        // Not where the entry is named by its own address: so the ABI has it.
        _ if by_machine_address => return None,
        address => Some(types.place_of(ctx.state.root, address)?),
    };
    let expected = if mapping.writable() { pte::P | pte::RW } else { pte::P };
    let fits = |entry| pte::mfn(entry) == mapping.mfn && entry & (pte::P | pte::RW) == expected;
    let mut replace = |place: Place, new, accept: &dyn Fn(u64) -> bool| {
        types.exchange_page_entry(place.table, place.index, new, false, accept).ok()
    };
    if request.new_addr == 0 {
        return replace(place, 0, &fits).map(|_| ());
    }
    let from = replacement.filter(|from| *from != place)?;
    let old = replace(place, 0, &fits)?;
    // The other entry moves here, and its reference with it. Both tables are there still: nobody
    // else has the lock.
    match replace(from, 0, &|_| true) {
        Some(moved) => replace(place, moved, &|_| true).map(|_| ()),
        None => {
            replace(place, old, &|_| true);
            None
        }
    }
}

/// Makes the caller's CPUs forget what was unmapped, then gives it up.
#[inline(always)]
fn finish<P: Platform>(ctx: &Ctx<'_, P>, done: &[Done]) {
    if done.iter().any(|one| one.host) {
        ctx.sys.flush_domain(ctx.domain);
    }
    for Done { mapping, host, device } in done {
        let write = mapping.writable();
        let held = if write { Held::Writable } else { Held::Plain };
        let mut pins = Pins::NONE;
        if *host {
            ctx.sys.let_go(mapping.mfn, held);
            pins = pins.with(Pins::host(write));
        }
        if *device {
            ctx.sys.let_go(mapping.mfn, held);
            pins = pins.with(Pins::device(write));
        }
        // A granter that is gone has taken its pins along.
        if let Some(granter) = domain(ctx, mapping.granter)
            && granter.grants.serial == mapping.serial
        {
            ctx.sys.unpin_grant(granter, mapping.gref, pins, write);
        }
    }
}
