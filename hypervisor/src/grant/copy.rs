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
use super::claim::Wanted;
use super::pin::{At, Held};
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
    at: At<'a>,
}

/// What was pinned for one end of a copy. Both uses are written in place: they are large.
#[derive(Default)]
struct Uses<'a> {
    grant: Option<Use<'a>>,
    /// The grant that led there, if that one was transitive.
    through: Option<Use<'a>>,
}

/// One end of a copy, ready.
#[derive(Clone, Copy)]
struct End {
    mfn: Mfn,
    held: Held,
    /// The bytes that may be used: the first, and the first after them.
    start: u16,
    end: u32,
}

/// Makes one copy; the status is written into the argument.
#[inline(always)]
pub(super) fn copy<P: Platform>(ctx: &mut Ctx<'_, P>, at: u64) -> Result<(), Stop> {
    let (source, dest, len, flags, status) = match ctx.width() {
        Width::Pv32 => {
            let op: x86_32::GnttabCopy = ctx.read(at)?;
            let end = |p: x86_32::GnttabCopyPtr| Pointer {
                number: p.u.into(),
                domain: p.domid,
                offset: p.offset,
            };
            let status = core::mem::offset_of!(x86_32::GnttabCopy, status);
            (end(op.source), end(op.dest), op.len, op.flags, status)
        }
        Width::Pv64 => {
            let op: x86_64::GnttabCopy = ctx.read(at)?;
            let end = |p: x86_64::GnttabCopyPtr| Pointer {
                number: p.u,
                domain: p.domid,
                offset: p.offset,
            };
            let status = core::mem::offset_of!(x86_64::GnttabCopy, status);
            (end(op.source), end(op.dest), op.len, op.flags, status)
        }
    };
    let request = Request { source, dest, len, flags };
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
    let (mut from_uses, mut to_uses) = (Uses::default(), Uses::default());
    let source = claim(ctx, from, &request.source, by_ref.0 != 0, false, &mut from_uses)?;
    let outcome = match claim(ctx, to, &request.dest, by_ref.1 != 0, true, &mut to_uses) {
        Ok(dest) => {
            let outcome = check(request, &source, &dest);
            if outcome.is_ok() {
                let (from, to) = (request.source.offset, request.dest.offset);
                ctx.sys.platform.copy_bytes(source.mfn, from, dest.mfn, to, request.len);
            }
            release(ctx, dest, &to_uses, true);
            outcome
        }
        Err(refused) => Err(refused),
    };
    release(ctx, source, &from_uses, false);
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
fn check(request: &Request, source: &End, dest: &End) -> Result<(), Refused> {
    let len = u32::from(request.len);
    let (from, to) = (u32::from(request.source.offset), u32::from(request.dest.offset));
    if from + len > PAGE || to + len > PAGE {
        return Err(abi::GNTST_BAD_COPY_ARG);
    }
    let within = from >= u32::from(source.start)
        && from + len <= source.end
        && to >= u32::from(dest.start)
        && to + len <= dest.end;
    if within { Ok(()) } else { Err(abi::GNTST_GENERAL_ERROR) }
}

/// Gets one end ready.
#[inline(always)]
fn claim<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    owner: &'a Domain,
    pointer: &Pointer,
    by_ref: bool,
    write: bool,
    uses: &mut Uses<'a>,
) -> Result<End, Refused> {
    if by_ref {
        return claim_grant(ctx, owner, GrantRef::new(pointer.number as u32), write, uses);
    }
    let mfn = Mfn::new(pointer.number);
    let held = ctx.sys.hold(mfn, owner, write)?;
    if write {
        ctx.sys.make_writable(mfn, owner, held)?;
    }
    let held = if write { Held::Writable } else { Held::Plain };
    Ok(End { mfn, held, start: 0, end: PAGE })
}

#[inline(always)]
fn claim_grant<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    granter: &'a Domain,
    gref: GrantRef,
    write: bool,
    uses: &mut Uses<'a>,
) -> Result<End, Refused> {
    let want = Wanted {
        grantee: ctx.domain.id,
        pins: Pins::host(write),
        write,
        map: false,
        transitive: true,
    };
    let pinned = ctx.sys.pin_grant(granter, gref, &want)?;
    let grant = uses.grant.insert(Use { granter, gref, at: pinned.at });
    match pinned.target {
        Target::Page(mfn) => page_of(ctx, mfn, 0, PAGE, pinned.held, grant, write),
        Target::Part { mfn, start, length } => {
            let end = u32::from(start) + u32::from(length);
            page_of(ctx, mfn, start, end, pinned.held, grant, write)
        }
        Target::Transitive { domain, gref } => claim_inner(ctx, domain, gref, write, uses),
    }
}

/// Gets the page ready that the pinned transitive grant in `uses` leads to.
#[cold]
#[inline(never)]
fn claim_inner<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    other: DomId,
    gref: GrantRef,
    write: bool,
    uses: &mut Uses<'a>,
) -> Result<End, Refused> {
    let outer = uses.through.insert(uses.grant.take().ok_or(abi::GNTST_GENERAL_ERROR)?);
    let want = Wanted {
        grantee: outer.granter.id,
        pins: Pins::host(write),
        write,
        map: false,
        transitive: false,
    };
    let found = domain(ctx, other).filter(|other| other.id != outer.granter.id);
    let inner = found.ok_or(abi::GNTST_GENERAL_ERROR).and_then(|granter| {
        let pinned = ctx.sys.pin_grant(granter, gref, &want)?;
        let (mfn, start, end) = match pinned.target {
            Target::Page(mfn) => (mfn, 0, PAGE),
            Target::Part { mfn, start, length } => {
                (mfn, start, u32::from(start) + u32::from(length))
            }
            // Not asked for, so not given.
            Target::Transitive { .. } => return Err(abi::GNTST_GENERAL_ERROR),
        };
        let grant = uses.grant.insert(Use { granter, gref, at: pinned.at });
        page_of(ctx, mfn, start, end, pinned.held, grant, write)
    });
    inner.inspect_err(|_| unpin(ctx, outer, write))
}

/// The page of a pinned grant; if it cannot be used the grant is unpinned.
#[inline(always)]
fn page_of<P: Platform>(
    ctx: &Ctx<'_, P>,
    mfn: Mfn,
    start: u16,
    end: u32,
    mut held: Held,
    grant: &Use<'_>,
    write: bool,
) -> Result<End, Refused> {
    if write {
        if let Err(refused) = ctx.sys.make_writable(mfn, grant.granter, held) {
            unpin(ctx, grant, write);
            return Err(refused);
        }
        held = Held::Writable;
    }
    Ok(End { mfn, held, start, end })
}

#[inline(always)]
fn unpin<P: Platform>(ctx: &Ctx<'_, P>, grant: &Use<'_>, write: bool) {
    ctx.sys.unpin_at(grant.granter, grant.gref, &grant.at, Pins::host(write), write);
}

#[inline(always)]
fn release<P: Platform>(ctx: &Ctx<'_, P>, end: End, uses: &Uses<'_>, write: bool) {
    ctx.sys.let_go(end.mfn, end.held);
    if let Some(grant) = &uses.grant {
        unpin(ctx, grant, write);
    }
    if let Some(grant) = &uses.through {
        unpin(ctx, grant, write);
    }
}
