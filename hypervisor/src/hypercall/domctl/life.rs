//! Pausing domains, letting them go on, and ending them.

use pv_abi::domctl::Domctl;
use pv_abi::errno::Errno;

use super::Reply;
use crate::domain::Domain;
use crate::domain::destroy::{self, Control};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::sched::shutdown;

/// `XEN_DOMCTL_pausedomain`. `EINVAL`: the caller's own; `EOVERFLOW`: for the 256th time.
pub(super) fn pausedomain<P: Platform>(ctx: &Ctx<'_, P>, domain: &Domain) -> Result<(), Stop> {
    if domain.id == ctx.domain.id {
        return Err(Errno::EINVAL.into());
    }
    ctx.sys.pause(domain)
}

/// `XEN_DOMCTL_resumedomain`: lets a domain go on that was shut down. `EINVAL`: the caller's own.
pub(super) fn resumedomain<P: Platform>(ctx: &Ctx<'_, P>, domain: &Domain) -> Result<(), Stop> {
    if domain.id == ctx.domain.id {
        return Err(Errno::EINVAL.into());
    }
    shutdown::resume(ctx.sys, domain)
}

/// `XEN_DOMCTL_destroydomain`. `EINVAL`: the caller's own.
///
/// When it is done the domain has nothing any more, and is gone unless others still use frames
/// of its.
pub(super) fn destroydomain<P: Platform>(
    ctx: &Ctx<'_, P>,
    control: &mut Control,
    op: &Domctl,
) -> Result<Reply, Stop> {
    let id = op.domain;
    if id == ctx.domain.id {
        return Err(Errno::EINVAL.into());
    }
    match ctx.sys.domain(id) {
        Some(domain) => destroy::destroy(ctx.sys, control, domain)?,
        // This very call, made again, has taken it out of the table.
        None if control.has_gone(id) => return Ok(Reply::Nothing),
        None if !control.is_leaving(id) => return Err(Errno::ESRCH.into()),
        None => {}
    }
    destroy::reap(ctx.sys, control);
    if control.is_leaving(id) {
        return Err(Stop::Preempted);
    }
    control.has_gone(id);
    Ok(Reply::Nothing)
}
