//! `GNTTABOP_map_grant_ref`: another domain's page into one's own address space.

use pv_abi::grant_table as abi;
use pv_abi::grant_table::GnttabMapGrantRef;
use pv_abi::types::{GrantHandle, Mfn};

use super::active::{Pins, Target};
use super::claim::Wanted;
use super::maptrack::{self, Mapping};
use super::pin::Held;
use super::{Refused, domain};
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::frame::Type;
use crate::mm::pte;
use crate::platform::Platform;

/// Maps one grant; the outcome is in the argument, which is written back whole.
#[inline(always)]
pub(super) fn map_grant_ref<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<(), Stop> {
    let mut op: GnttabMapGrantRef = ctx.read(at)?;
    op.status = match map(ctx, &op) {
        Ok((handle, mfn)) => {
            op.handle = handle;
            op.dev_bus_addr = mfn.raw() << 12;
            abi::GNTST_OKAY
        }
        Err(refused) => refused,
    };
    ctx.write(at, &op)?;
    Ok(())
}

/// The pins that a mapping with these flags takes.
pub(super) fn pins(flags: u32) -> Pins {
    let write = flags & abi::GNTMAP_READONLY == 0;
    let host = if flags & abi::GNTMAP_HOST_MAP != 0 { Pins::host(write) } else { Pins::NONE };
    if flags & abi::GNTMAP_DEVICE_MAP != 0 { host.with(Pins::device(write)) } else { host }
}

/// `GNTST_bad_gntref`: the flags ask for no mapping, or no such reference; `GNTST_bad_domain`;
/// `GNTST_no_space`: the caller has no handle left; `GNTST_general_error`: nothing is granted, or
/// nothing can be mapped at the address; else as [`pin`](super::pin).
#[inline(always)]
fn map<P: Platform>(
    ctx: &Ctx<'_, P>,
    op: &GnttabMapGrantRef,
) -> Result<(GrantHandle, Mfn), Refused> {
    let (sys, access) = (ctx.sys, &ctx.sys.platform);
    let want = Wanted {
        grantee: ctx.domain.id,
        pins: pins(op.flags),
        write: op.flags & abi::GNTMAP_READONLY == 0,
        map: true,
        transitive: false,
    };
    if want.pins.is_none() {
        return Err(abi::GNTST_BAD_GNTREF);
    }
    let granter = domain(ctx, op.dom).ok_or(abi::GNTST_BAD_DOMAIN)?;
    let grants = &ctx.domain.grants;
    let limit = ctx.domain.limits.maptrack_frames.min(maptrack::MAX_FRAMES);
    let record = grants.maptrack.lock().reserve(&sys.memory, access, limit);
    let record = record.map_err(|_| abi::GNTST_NO_SPACE)?;

    match pin_and_enter(ctx, granter, op, &want) {
        Ok(mfn) => {
            let mapping = Mapping {
                granter: granter.id,
                serial: granter.grants.serial,
                gref: op.r#ref,
                mfn,
                flags: op.flags,
            };
            record.fill(&mapping);
            Ok((record.handle, mfn))
        }
        Err(refused) => {
            grants.maptrack.lock().free(&record);
            Err(refused)
        }
    }
}

/// Pins the grant and gives each mapping its page reference; undoes all of it if one is refused.
#[inline(always)]
fn pin_and_enter<P: Platform>(
    ctx: &Ctx<'_, P>,
    granter: &Domain,
    op: &GnttabMapGrantRef,
    want: &Wanted,
) -> Result<Mfn, Refused> {
    let sys = ctx.sys;
    let pinned = sys.pin_grant(granter, op.r#ref, want)?;
    let unpin = |refused: Refused| {
        sys.unpin_grant(granter, op.r#ref, want.pins, want.write);
        refused
    };
    // Nothing else can be pinned for a mapping.
    let Target::Page(mfn) = pinned.target else { return Err(unpin(abi::GNTST_GENERAL_ERROR)) };
    let held = if want.write {
        sys.make_writable(mfn, granter, pinned.held).map_err(unpin)?;
        Held::Writable
    } else {
        Held::Plain
    };
    let release = |refused: Refused| {
        sys.let_go(mfn, held);
        unpin(refused)
    };
    if op.flags & abi::GNTMAP_HOST_MAP != 0 {
        let both = op.flags & abi::GNTMAP_DEVICE_MAP != 0;
        if both {
            sys.hold_again(mfn, granter, want.write).map_err(release)?;
        }
        enter(ctx, op, mfn).map_err(|refused| {
            if both {
                sys.let_go(mfn, held);
            }
            release(refused)
        })?;
    }
    Ok(mfn)
}

/// The page-table entry of a mapping with these flags.
fn entry_for<P: Platform>(ctx: &Ctx<'_, P>, flags: u32, mfn: Mfn) -> u64 {
    let mut bits = pte::P | pte::A | pte::D | pte::NX;
    if flags & abi::GNTMAP_APPLICATION_MAP != 0 {
        bits |= pte::US;
    }
    if flags & abi::GNTMAP_READONLY == 0 {
        bits |= pte::RW;
    }
    let available = u64::from(flags >> abi::GNTMAP_GUEST_AVAIL0) << pte::AVAIL.trailing_zeros();
    pte::adjust(ctx.width(), Type::L1, pte::make(mfn, bits | available & pte::AVAIL))
}

/// Writes the entry, which takes over the caller's reference, where the argument says.
#[inline(always)]
fn enter<P: Platform>(ctx: &Ctx<'_, P>, op: &GnttabMapGrantRef, mfn: Mfn) -> Result<(), Refused> {
    let mut types = ctx.sys.page_types(ctx.domain);
    let place = if op.flags & abi::GNTMAP_CONTAINS_PTE != 0 {
        types.place_at(op.host_addr)
    } else {
        types.place_of(ctx.state.root, op.host_addr)
    };
    let place = place.ok_or(abi::GNTST_GENERAL_ERROR)?;
    let entry = entry_for(ctx, op.flags, mfn);
    let old = types.exchange_page_entry(place.table, place.index, entry, false, |_| true);
    types.drop_entry(old.map_err(|_| abi::GNTST_GENERAL_ERROR)?);
    Ok(())
}
