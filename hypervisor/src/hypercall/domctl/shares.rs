//! A domain's share of the CPUs, and where its vCPUs may run.

use pv_abi::domctl as abi;
use pv_abi::domctl::{Bitmap, Domctl, SchedCredit, SchedulerOp, Vcpuaffinity};
use pv_abi::errno::Errno;

use super::{Reply, answer, argument, vcpu};
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::hypercall::bitmap;
use crate::platform::Platform;
use crate::sched::{affinity, domain as share};

/// A cap that stays as it is.
const KEEP_CAP: u16 = u16::MAX;

/// `XEN_DOMCTL_scheduler_op`: weight and cap, as the scheduler `credit` has them: a weight of 0
/// and a cap of 0xffff stay what they are.
///
/// `EINVAL`: another scheduler, an unknown command, or one for single vCPUs.
pub(super) fn scheduler_op<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    op: &mut Domctl,
) -> Result<Reply, Stop> {
    let mut asked: SchedulerOp = argument(op)?;
    if asked.sched_id != abi::XEN_SCHEDULER_CREDIT {
        return Err(Errno::EINVAL.into());
    }
    match asked.cmd {
        abi::XEN_DOMCTL_SCHEDOP_PUTINFO => {
            let SchedCredit { weight, cap } = asked.credit;
            if weight != 0 {
                domain.run.set_weight(weight.into())?;
            }
            if cap != KEEP_CAP {
                share::set_cap(ctx.sys, domain, cap.into());
            }
        }
        abi::XEN_DOMCTL_SCHEDOP_GETINFO => {
            // Both were set by such a call, or are the defaults.
            let (weight, cap) = (domain.run.weight() as u16, domain.run.cap() as u16);
            asked.credit = SchedCredit { weight, cap };
        }
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(answer(op, &asked))
}

/// `XEN_DOMCTL_setvcpuaffinity`: where a vCPU may run, and where it is to run if it can; the caller
/// gets what of it counts.
///
/// `EINVAL`: beyond the domain's vCPUs, nothing or nowhere asked for; `ESRCH`: not made yet;
/// `EFAULT`: a bitmap; what stands before it in the structure is done.
pub(super) fn set_affinity<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    op: &mut Domctl,
) -> Result<Reply, Stop> {
    let asked: Vcpuaffinity = argument(op)?;
    let vcpu = named(domain, &asked)?;
    if asked.flags & abi::XEN_VCPUAFFINITY_FORCE != 0 {
        affinity::unpin(ctx.sys, vcpu);
    }
    if asked.flags & abi::XEN_VCPUAFFINITY_HARD != 0 {
        affinity::set_affinity(ctx.sys, vcpu, bitmap::read(ctx, &asked.cpumap_hard)?)?;
        bitmap::write(ctx, &asked.cpumap_hard, vcpu.run.affinity() & bitmap::cpus(ctx))?;
    }
    if asked.flags & abi::XEN_VCPUAFFINITY_SOFT != 0 {
        let preferred = bitmap::read(ctx, &asked.cpumap_soft)?;
        vcpu.run.set_preferred(preferred);
        let counts = preferred & vcpu.run.affinity() & bitmap::cpus(ctx);
        bitmap::write(ctx, &asked.cpumap_soft, counts)?;
    }
    Ok(Reply::Nothing)
}

/// `XEN_DOMCTL_getvcpuaffinity`. Errnos as above.
pub(super) fn get_affinity<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    op: &mut Domctl,
) -> Result<Reply, Stop> {
    let asked: Vcpuaffinity = argument(op)?;
    let vcpu = named(domain, &asked)?;
    if asked.flags & abi::XEN_VCPUAFFINITY_HARD != 0 {
        bitmap::write(ctx, &asked.cpumap_hard, vcpu.run.affinity())?;
    }
    if asked.flags & abi::XEN_VCPUAFFINITY_SOFT != 0 {
        bitmap::write(ctx, &asked.cpumap_soft, vcpu.run.preferred())?;
    }
    Ok(Reply::Nothing)
}

/// The vCPU that is meant, if the request makes sense.
fn named<'a>(domain: &'a Domain, asked: &Vcpuaffinity) -> Result<&'a Vcpu, Errno> {
    if asked.vcpu >= domain.limits.vcpus {
        return Err(Errno::EINVAL);
    }
    let vcpu = vcpu(domain, asked.vcpu).ok_or(Errno::ESRCH)?;
    let without = |flag, map: &Bitmap| asked.flags & flag != 0 && map.bitmap == 0;
    if asked.flags == 0
        || without(abi::XEN_VCPUAFFINITY_HARD, &asked.cpumap_hard)
        || without(abi::XEN_VCPUAFFINITY_SOFT, &asked.cpumap_soft)
    {
        return Err(Errno::EINVAL);
    }
    Ok(vcpu)
}
