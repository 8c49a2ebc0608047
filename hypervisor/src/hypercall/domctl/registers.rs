//! A vCPU's MSRs, as a toolstack takes them along when it moves a domain: there are none.
//!
//! What PV vCPUs have in MSRs stands in their context (`getvcpucontext`). Those that Xen tells besides
//! are of features that guests are not shown here ([`crate::trap`]: speculation control, `rdtscp`'s
//! number, breakpoints with masks). So the list is empty, and one that is not cannot be set.

use pv_abi::domctl::{Domctl, VcpuMsrs};
use pv_abi::errno::Errno;

use super::{Reply, answer, argument, vcpu};
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;

/// `XEN_DOMCTL_get_vcpu_msrs`: how many there are, which is how many are told.
///
/// `ESRCH`: no such vCPU; `EINVAL`: the caller's own.
pub(super) fn get_vcpu_msrs<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    op: &mut Domctl,
) -> Result<Reply, Stop> {
    let asked: VcpuMsrs = argument(op)?;
    others(ctx, domain, &asked)?;
    Ok(answer(op, &VcpuMsrs { msr_count: 0, ..asked }))
}

/// `XEN_DOMCTL_set_vcpu_msrs`.
///
/// `ESRCH`: no such vCPU; `EINVAL`: the caller's own, or there are some to set.
pub(super) fn set_vcpu_msrs<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    asked: &VcpuMsrs,
) -> Result<(), Stop> {
    others(ctx, domain, asked)?;
    if asked.msr_count == 0 { Ok(()) } else { Err(Errno::EINVAL.into()) }
}

/// Whether there is the vCPU, and it is not the caller.
fn others<P: Platform>(ctx: &Ctx<'_, P>, domain: &Domain, asked: &VcpuMsrs) -> Result<(), Errno> {
    let named = vcpu(domain, asked.vcpu).ok_or(Errno::ESRCH)?;
    if core::ptr::eq(named, ctx.vcpu) { Err(Errno::EINVAL) } else { Ok(()) }
}
