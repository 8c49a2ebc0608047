//! `GNTTABOP_transfer`: a page changes hands for good.
//!
//! The receiver has prepared an entry that accepts a page; it finds the page's number there.
//! A page can be given away only if nothing uses it: no mapping, no type, one reference, the
//! domain's own. Once it is taken from the giver it does not come back: if the receiver does
//! not accept it, it is freed, as `grant_table.h` says.

use core::sync::atomic::Ordering;

use pv_abi::grant_table as abi;
use pv_abi::types::{DomId, GrantRef, Mfn};
use pv_abi::{x86_32, x86_64};

use super::shared::Body;
use super::{Refused, domain};
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// Transfers one page; the status is written into the argument.
pub(super) fn transfer<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<(), Stop> {
    let (mfn, to, gref, status) = match ctx.width() {
        Width::Pv32 => {
            let op: x86_32::GnttabTransfer = ctx.read(at)?;
            let status = core::mem::offset_of!(x86_32::GnttabTransfer, status);
            (u64::from(op.mfn), op.domid, op.r#ref, status)
        }
        Width::Pv64 => {
            let op: x86_64::GnttabTransfer = ctx.read(at)?;
            let status = core::mem::offset_of!(x86_64::GnttabTransfer, status);
            (op.mfn, op.domid, op.r#ref, status)
        }
    };
    let outcome = give(ctx, Mfn::new(mfn), to, gref);
    ctx.write(at.wrapping_add(status as u64), &outcome.err().unwrap_or(abi::GNTST_OKAY))?;
    Ok(())
}

/// `GNTST_bad_page`: not a page of the caller's that is free to go, which stays then; else it is
/// gone. `GNTST_bad_domain`; `GNTST_general_error`: the receiver has no room or does not accept.
fn give<P: Platform>(ctx: &Ctx<'_, P>, mfn: Mfn, to: DomId, gref: GrantRef) -> Result<(), Refused> {
    let (sys, memory) = (ctx.sys, &ctx.sys.memory);
    sys.steal_page(ctx.domain, mfn).map_err(|_| abi::GNTST_BAD_PAGE)?;
    let outcome = domain(ctx, to)
        .ok_or(abi::GNTST_BAD_DOMAIN)
        .and_then(|receiver| {
            charge(receiver)?;
            let accepted = commit(ctx, receiver, gref);
            if accepted.is_err() {
                receiver.pages.fetch_sub(1, Ordering::Relaxed);
            }
            accepted.map(|version| (receiver, version))
        })
        .inspect_err(|_| memory.release(mfn, 0));
    let (receiver, version) = outcome?;
    // A page that has never had a type: what it was to the giver must not shine through (XSA-214).
    memory.hand_over(mfn, receiver, 0);

    // The entry is the receiver's to change meanwhile; the page is its own in any case.
    let table = sys.grant_table(receiver);
    let entry = table.entry(&sys.platform, gref).filter(|_| table.version == version);
    let entry = entry.ok_or(abi::GNTST_GENERAL_ERROR)?;
    let pfn = match entry.body {
        Body::V1 { frame } => u64::from(frame.swap(mfn.raw() as u32, Ordering::AcqRel)),
        Body::V2 { frame, .. } => frame.swap(mfn.raw(), Ordering::AcqRel),
    };
    memory.set_m2p(mfn, pfn);
    entry.header.fetch_or(abi::GTF_TRANSFER_COMPLETED.into(), Ordering::AcqRel);
    Ok(())
}

/// Counts one more page of the receiver's.
fn charge(receiver: &Domain) -> Result<(), Refused> {
    if receiver.end.is_dying() {
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    receiver.charge_pages(1).map_err(|_| abi::GNTST_GENERAL_ERROR)
}

/// Marks the receiver's entry as taken, if it accepts a page of the caller's; its version.
fn commit<P: Platform>(
    ctx: &Ctx<'_, P>,
    receiver: &Domain,
    gref: GrantRef,
) -> Result<u32, Refused> {
    let table = ctx.sys.grant_table(receiver);
    let entry = table.entry(&ctx.sys.platform, gref).filter(|_| !table.closed);
    let header = entry.ok_or(abi::GNTST_GENERAL_ERROR)?.header;
    let accepts = u32::from(abi::GTF_ACCEPT_TRANSFER) | u32::from(ctx.domain.id.raw()) << 16;
    let committed = accepts | u32::from(abi::GTF_TRANSFER_COMMITTED);
    header
        .compare_exchange(accepts, committed, Ordering::AcqRel, Ordering::Relaxed)
        .map(|_| table.version)
        .map_err(|_| abi::GNTST_GENERAL_ERROR)
}
