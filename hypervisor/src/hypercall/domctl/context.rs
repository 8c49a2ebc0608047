//! A vCPU's state as a whole, set and told from outside.
//!
//! The structure is of the *domain's* width, whoever the caller is.

use pv_abi::domctl::Vcpucontext;
use pv_abi::errno::Errno;
use pv_abi::traps::VGCF_ONLINE;
use pv_abi::{x86_32, x86_64};

use super::vcpu;
use crate::domain::Domain;
use crate::domain::context::{Context, get, set};
use crate::domain::vcpu::Vcpu;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::sched;
use crate::width::Width;

/// `XEN_DOMCTL_setvcpucontext`: the vCPU's state, and whether it is up.
///
/// `EINVAL`: the caller's own domain, no such vCPU, or one that is dying; `EFAULT`; `EOPNOTSUPP`
/// for a null address, with which Xen resets the vCPU; else as [`set::set`].
// Not inlined, here and below: large values on a small stack.
#[inline(never)]
pub(super) fn setvcpucontext<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &Vcpucontext,
) -> Result<(), Stop> {
    let vcpu = others(ctx, domain, argument.vcpu)?;
    if domain.end.is_dying() {
        return Err(Errno::EINVAL.into());
    }
    if argument.ctxt == 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let context = match domain.width() {
        Width::Pv32 => Context::from_pv32(&ctx.read::<x86_32::VcpuGuestContext>(argument.ctxt)?),
        Width::Pv64 => Context::from_pv64(&ctx.read::<x86_64::VcpuGuestContext>(argument.ctxt)?),
    };
    ctx.sys.while_held(domain, || {
        set::set(ctx.sys, domain, vcpu, &context)?;
        if context.flags & VGCF_ONLINE == 0 {
            sched::down(ctx.sys, vcpu);
        } else {
            // Nothing if it is up.
            sched::start(ctx.sys, domain, vcpu);
        }
        Ok(())
    })
}

/// `XEN_DOMCTL_getvcpucontext`.
///
/// `EINVAL`: the caller's own domain (Xen refuses but the caller itself), or no such vCPU;
/// `ENODATA`: it has no state yet; `EFAULT`.
#[inline(never)]
pub(super) fn getvcpucontext<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &Vcpucontext,
) -> Result<(), Stop> {
    let vcpu = others(ctx, domain, argument.vcpu)?;
    if !vcpu.run.is_initialised() {
        return Err(Errno::ENODATA.into());
    }
    let context = ctx.sys.while_held(domain, || get::get(ctx.sys, domain, vcpu))?;
    match domain.width() {
        Width::Pv32 => ctx.write(argument.ctxt, &context.to_pv32())?,
        Width::Pv64 => ctx.write(argument.ctxt, &context.to_pv64())?,
    }
    Ok(())
}

/// A vCPU of a domain that is not the caller's.
fn others<'a, P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &'a Domain,
    number: u32,
) -> Result<&'a Vcpu, Errno> {
    if domain.id == ctx.domain.id {
        return Err(Errno::EINVAL);
    }
    vcpu(domain, number).ok_or(Errno::EINVAL)
}
