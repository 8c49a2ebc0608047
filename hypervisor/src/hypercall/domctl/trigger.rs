//! NMIs for other domains' vCPUs.

use pv_abi::domctl as abi;
use pv_abi::domctl::Sendtrigger;
use pv_abi::errno::Errno;

use super::vcpu;
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::sched::wake;

/// `XEN_DOMCTL_sendtrigger`: as `VCPUOP_send_nmi`, for a vCPU of any domain.
///
/// `ESRCH`: no such vCPU; `EINVAL`: a button, which PV domains do not have; `ENOSYS`: what Xen
/// does not send either.
pub(super) fn sendtrigger<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    asked: &Sendtrigger,
) -> Result<(), Stop> {
    let vcpu = vcpu(domain, asked.vcpu).ok_or(Errno::ESRCH)?;
    match asked.trigger {
        abi::XEN_DOMCTL_SENDTRIGGER_NMI => wake::send_nmi(ctx.sys, domain, vcpu),
        abi::XEN_DOMCTL_SENDTRIGGER_POWER | abi::XEN_DOMCTL_SENDTRIGGER_SLEEP => {
            return Err(Errno::EINVAL.into());
        }
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(())
}
