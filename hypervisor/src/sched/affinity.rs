//! On which CPUs a vCPU may run: what was set for it, and what it asks for itself.

use pv_abi::errno::Errno;
use pv_abi::sched::SchedPinOverride;

use super::cpu::bit;
use super::{balance, wake};
use crate::domain::vcpu::Vcpu;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::system::System;

/// Lets `vcpu` run on the CPUs whose bits are set, of those that there are.
///
/// `EINVAL` if there are none. If it runs on another, it leaves it soon.
pub fn set_affinity<P: Platform>(sys: &System<P>, vcpu: &Vcpu, cpus: u32) -> Result<(), Errno> {
    if cpus & balance::online(sys) == 0 {
        return Err(Errno::EINVAL);
    }
    vcpu.run.set_affinity(cpus);
    enforce(sys, vcpu);
    Ok(())
}

/// Ends what `SCHEDOP_pin_override` did for `vcpu`.
pub fn unpin<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    vcpu.run.set_pinned(0);
    enforce(sys, vcpu);
}

/// Moves a vCPU from where it must not run, or to an idle CPU on which it now may.
fn enforce<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    let Some(cpu) = vcpu.run.cpu() else { return };
    if sys.scheduler.cpu(cpu).is_some_and(|there| there.take(&sys.domains, vcpu)) {
        wake::queue(sys, vcpu);
    } else if vcpu.run.allowed() & bit(cpu) == 0 {
        // It is placed anew when it stops.
        vcpu.run.request_reschedule();
        wake::kick(sys, cpu);
    }
}

/// `SCHEDOP_pin_override`: binds the calling vCPU to one CPU, whatever its affinity, or (a negative
/// number) no longer.
///
/// `EPERM` for other domains than domain 0, `EFAULT` if the argument cannot be read, `EINVAL` for
/// a CPU that there is not, or if there is nothing to undo; `EBUSY` if it is bound to another.
pub(super) fn pin_override<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<(), Errno> {
    if !ctx.domain.privileged {
        return Err(Errno::EPERM);
    }
    let SchedPinOverride { pcpu } = ctx.read(arg)?;
    let run = &ctx.vcpu.run;
    let pinned = run.pinned();
    match u32::try_from(pcpu) {
        Err(_) if pinned == 0 => return Err(Errno::EINVAL),
        Err(_) => run.set_pinned(0),
        Ok(cpu) if cpu >= ctx.sys.platform.count() => return Err(Errno::EINVAL),
        Ok(cpu) if pinned != 0 && pinned != bit(cpu) => return Err(Errno::EBUSY),
        Ok(cpu) => run.set_pinned(bit(cpu)),
    }
    enforce(ctx.sys, ctx.vcpu);
    Ok(())
}
