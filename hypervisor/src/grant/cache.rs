//! `GNTTABOP_cache_flush`: writes a piece of a page, one's own or granted, back to memory.

use pv_abi::errno::Errno;
use pv_abi::grant_table as abi;
use pv_abi::grant_table::GnttabCacheFlush;
use pv_abi::types::{GrantRef, Mfn};

use super::active::Target;
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::frame::Owner;
use crate::platform::Platform;

/// Entries of a granter's table that are looked at before other work gets a chance; a continuation
/// says where to go on in units of it.
const STEP: u32 = 1 << 12;

/// Flushes one piece. `from`: where in the granter's table the search goes on.
///
/// `EINVAL`: more than a page, an unknown operation, no RAM, or a page that the caller has no
/// grant of in use; `EPERM`: nobody's page or the hypervisor's (XSA-232); `EILSEQ`: a
/// continuation of nothing; `EOPNOTSUPP`: invalidating without writing back, which x86 has not.
pub(super) fn cache_flush<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    at: u64,
    from: &mut u32,
) -> Result<(), Stop> {
    let op: GnttabCacheFlush = ctx.read(at)?;
    let end = u32::from(op.offset) + u32::from(op.length);
    let known = abi::GNTTAB_CACHE_CLEAN | abi::GNTTAB_CACHE_INVAL;
    if op.offset >= 4096 || op.length > 4096 || end > 4096 || op.op & !known != 0 {
        return Err(Errno::EINVAL.into());
    }
    if op.length == 0 || op.op == 0 {
        return if *from == 0 { Ok(()) } else { Err(Errno::EILSEQ.into()) };
    }
    let mfn = Mfn::new(op.a >> 12);
    let owner = match ctx.sys.memory.frame(mfn).ok_or(Errno::EINVAL)?.owner() {
        Owner::Domain(id) => super::domain(ctx, id).ok_or(Errno::EPERM)?,
        Owner::Nobody | Owner::Hypervisor => return Err(Errno::EPERM.into()),
    };
    ctx.sys.memory.get_page(mfn, owner.id).map_err(|_| Errno::EPERM)?;
    let outcome =
        if owner.id == ctx.domain.id { Ok(()) } else { is_granted(ctx, owner, mfn, from) };
    let outcome = outcome.and_then(|()| {
        if op.op & abi::GNTTAB_CACHE_CLEAN == 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        ctx.sys.platform.flush_lines(mfn, op.offset, op.length);
        *from = 0;
        Ok(())
    });
    ctx.sys.put_page(mfn);
    outcome
}

/// Whether the caller has a grant of the page in use; looks at [`STEP`] entries a time.
fn is_granted<P: Platform>(
    ctx: &Ctx<'_, P>,
    owner: &Domain,
    mfn: Mfn,
    from: &mut u32,
) -> Result<(), Stop> {
    let table = ctx.sys.grant_table(owner);
    let end = table.entries().min(from.saturating_add(STEP));
    for number in *from..end {
        let Some(slot) = table.slot(&ctx.sys.platform, GrantRef::new(number)) else { break };
        if slot.pins().is_none() {
            continue;
        }
        let active = slot.load();
        let here = match active.target {
            Target::Page(page) | Target::Part { mfn: page, .. } => page == mfn,
            Target::Transitive { .. } => false,
        };
        if here && active.grantee == ctx.domain.id {
            return Ok(());
        }
    }
    if end < table.entries() {
        *from = end;
        return Err(Stop::Preempted);
    }
    Err(Errno::EINVAL.into())
}
