//! `GNTTABOP_copy`: bytes from page to page, each given as a grant or as a frame of one's own.
//!
//! Nothing is mapped and no TLB is flushed: for short pieces this is faster than mapping.
//! Both pages are pinned and referenced for the time of the copy.
//!
//! A transitive grant leads from the named granter to what a third domain has granted it.
//! There it ends: what that one grants must be a page of its own (Xen's rule; XSA-226 shows
//! what unbounded chains cost). The outer grant is pinned first and remembers no page, so
//! there is nothing of the inner one that it could get wrong later.

use pv_abi::grant_table as abi;
use pv_abi::types::{DomId, GrantRef, Mfn};
use pv_abi::{x86_32, x86_64};

use super::active::{Pins, Target};
use super::pin::Held;
use super::shared::Wanted;
use super::{Refused, domain, domain_or_self};
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// Bytes of a page.
const PAGE: u32 = 4096;

/// One end of a copy as the guest names it.
#[derive(Clone, Copy)]
struct Pointer {
    /// A reference, or a frame.
    number: u64,
    domain: DomId,
    offset: u16,
}

/// `struct gnttab_copy` of either width.
struct Request {
    source: Pointer,
    dest: Pointer,
    len: u16,
    flags: u16,
}

/// A grant that is pinned for the copy.
struct Use<'a> {
    granter: &'a Domain,
    gref: GrantRef,
}

/// One end of a copy, ready.
struct End<'a> {
    mfn: Mfn,
    held: Held,
    /// The bytes that may be used.
    start: u16,
    length: u16,
    /// What was pinned for it.
    grant: Option<Use<'a>>,
    /// The grant that led there, if that one was transitive.
    through: Option<Use<'a>>,
}

/// Makes one copy; the status is written into the argument.
#[inline(always)]
pub(super) fn copy<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<(), Stop> {
    let (request, status) = match ctx.width() {
        Width::Pv32 => {
            let op: x86_32::GnttabCopy = ctx.read(at)?;
            let end = |p: x86_32::GnttabCopyPtr| Pointer {
                number: p.u.into(),
                domain: p.domid,
                offset: p.offset,
            };
            let request = Request {
                source: end(op.source),
                dest: end(op.dest),
                len: op.len,
                flags: op.flags,
            };
            (request, core::mem::offset_of!(x86_32::GnttabCopy, status))
        }
        Width::Pv64 => {
            let op: x86_64::GnttabCopy = ctx.read(at)?;
            let end = |p: x86_64::GnttabCopyPtr| Pointer {
                number: p.u,
                domain: p.domid,
                offset: p.offset,
            };
            let request = Request {
                source: end(op.source),
                dest: end(op.dest),
                len: op.len,
                flags: op.flags,
            };
            (request, core::mem::offset_of!(x86_64::GnttabCopy, status))
        }
    };
    let outcome = if request.len == 0 { Ok(()) } else { copy_one(ctx, &request) };
    ctx.write(at.wrapping_add(status as u64), &outcome.err().unwrap_or(abi::GNTST_OKAY))?;
    Ok(())
}

/// `GNTST_permission_denied`: a frame of another than `DOMID_SELF`; `GNTST_bad_domain`;
/// `GNTST_bad_page`: not a frame of the domain's; `GNTST_bad_copy_arg`: past the page's end;
/// `GNTST_general_error`: past what is granted, or not writable; else as [`pin`](super::pin).
#[inline(always)]
fn copy_one<P: Platform>(ctx: &Ctx<'_, P>, request: &Request) -> Result<(), Refused> {
    let by_ref = (request.flags & abi::GNTCOPY_SOURCE_GREF, request.flags & abi::GNTCOPY_DEST_GREF);
    let from = named(ctx, &request.source, by_ref.0 != 0)?;
    let to = named(ctx, &request.dest, by_ref.1 != 0)?;
    let source = claim(ctx, from, &request.source, by_ref.0 != 0, false)?;
    let outcome = match claim(ctx, to, &request.dest, by_ref.1 != 0, true) {
        Ok(dest) => {
            let outcome = check(request, &source, &dest);
            if outcome.is_ok() {
                let (from, to) = (request.source.offset, request.dest.offset);
                ctx.sys.platform.copy_bytes(source.mfn, from, dest.mfn, to, request.len);
            }
            release(ctx, &dest, true);
            outcome
        }
        Err(refused) => Err(refused),
    };
    release(ctx, &source, false);
    outcome
}

#[inline(always)]
fn named<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    pointer: &Pointer,
    by_ref: bool,
) -> Result<&'a Domain, Refused> {
    if !by_ref && pointer.domain != DomId::SELF {
        return Err(abi::GNTST_PERMISSION_DENIED);
    }
    domain_or_self(ctx, pointer.domain).ok_or(abi::GNTST_BAD_DOMAIN)
}

#[inline(always)]
fn check(request: &Request, source: &End<'_>, dest: &End<'_>) -> Result<(), Refused> {
    let len = u32::from(request.len);
    let ends = [(request.source.offset, source), (request.dest.offset, dest)];
    if ends.iter().any(|(offset, _)| u32::from(*offset) + len > PAGE) {
        return Err(abi::GNTST_BAD_COPY_ARG);
    }
    let outside = |offset: u16, end: &End<'_>| {
        offset < end.start || u32::from(offset) + len > u32::from(end.start) + u32::from(end.length)
    };
    if ends.iter().any(|(offset, end)| outside(*offset, end)) {
        return Err(abi::GNTST_GENERAL_ERROR);
    }
    Ok(())
}

/// Gets one end ready.
#[inline(always)]
fn claim<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    owner: &'a Domain,
    pointer: &Pointer,
    by_ref: bool,
    write: bool,
) -> Result<End<'a>, Refused> {
    if by_ref {
        return claim_grant(ctx, owner, GrantRef::new(pointer.number as u32), write);
    }
    let mfn = Mfn::new(pointer.number);
    let held = ctx.sys.hold(mfn, owner, write)?;
    if write {
        ctx.sys.make_writable(mfn, owner, held)?;
    }
    let held = if write { Held::Writable } else { Held::Plain };
    Ok(End { mfn, held, start: 0, length: PAGE as u16, grant: None, through: None })
}

#[inline(always)]
fn claim_grant<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    granter: &'a Domain,
    gref: GrantRef,
    write: bool,
) -> Result<End<'a>, Refused> {
    let want = Wanted {
        grantee: ctx.domain.id,
        pins: Pins::host(write),
        write,
        map: false,
        transitive: true,
    };
    let pinned = ctx.sys.pin_grant(granter, gref, &want)?;
    let grant = Use { granter, gref };
    if let Target::Transitive { domain: other, gref: inner } = pinned.target {
        let found = domain(ctx, other).filter(|other| other.id != granter.id);
        let end = found.ok_or(abi::GNTST_GENERAL_ERROR).and_then(|other| {
            let want = Wanted { grantee: granter.id, transitive: false, ..want };
            let pinned = ctx.sys.pin_grant(other, inner, &want)?;
            page_of(ctx, pinned, Use { granter: other, gref: inner }, write)
        });
        return match end {
            Ok(end) => Ok(End { through: Some(grant), ..end }),
            Err(refused) => {
                unpin(ctx, &grant, write);
                Err(refused)
            }
        };
    }
    page_of(ctx, pinned, grant, write)
}

/// The page of a pinned grant; if it cannot be used the grant is unpinned.
#[inline(always)]
fn page_of<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    pinned: super::pin::Pinned,
    grant: Use<'a>,
    write: bool,
) -> Result<End<'a>, Refused> {
    let (mfn, start, length) = match pinned.target {
        Target::Page(mfn) => (mfn, 0, PAGE as u16),
        Target::Part { mfn, start, length } => (mfn, start, length),
        // Not asked for; `pin` does not give it.
        Target::Transitive { .. } => {
            unpin(ctx, &grant, write);
            return Err(abi::GNTST_GENERAL_ERROR);
        }
    };
    let mut held = pinned.held;
    if write {
        if let Err(refused) = ctx.sys.make_writable(mfn, grant.granter, held) {
            unpin(ctx, &grant, write);
            return Err(refused);
        }
        held = Held::Writable;
    }
    Ok(End { mfn, held, start, length, grant: Some(grant), through: None })
}

#[inline(always)]
fn unpin<P: Platform>(ctx: &Ctx<'_, P>, grant: &Use<'_>, write: bool) {
    ctx.sys.unpin_grant(grant.granter, grant.gref, Pins::host(write), write);
}

#[inline(always)]
fn release<P: Platform>(ctx: &Ctx<'_, P>, end: &End<'_>, write: bool) {
    ctx.sys.let_go(end.mfn, end.held);
    for grant in [&end.grant, &end.through].into_iter().flatten() {
        unpin(ctx, grant, write);
    }
}
