//! What event channels ask of interrupts, and the end of an interrupt.
//!
//! [`crate::evtchn::pirq`] calls the first three with the domain's event lock held.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::VcpuId;

use super::eoi_page;
use super::line::Binding;
use super::pirq::{Meaning, NR_PIRQS};
use crate::domain::Domain;
use crate::evtchn;
use crate::platform::Platform;
use crate::system::System;

/// Whether `domain` may bind its interrupt `pirq`.
///
/// `EINVAL`: no domain has such a number (XSA-21); `EPERM`: it stands for no irq, or for one
/// that is not the domain's.
pub fn may_bind<P: Platform>(_: &System<P>, domain: &Domain, pirq: u32) -> Result<(), Errno> {
    let irq = domain.pirqs.get(pirq).ok_or(Errno::EINVAL)?.irq().ok_or(Errno::EPERM)?;
    if domain.permissions.has_irq(irq) { Ok(()) } else { Err(Errno::EPERM) }
}

/// A port of `domain` is bound to `pirq`: its source is started.
///
/// `EPERM`: it stands for no irq any more; `EINVAL`: there is no such source; `EBUSY`: somebody
/// else has it, whether the guest would share it or not; `ENOSPC`: no vector is left.
pub fn bound<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    pirq: u32,
    _will_share: bool,
) -> Result<(), Errno> {
    let table = domain.pirqs.table.lock();
    let entry = table.get(pirq as usize).ok_or(Errno::EINVAL)?;
    let irq = entry.irq().ok_or(Errno::EPERM)?;
    // As a port begins: with vCPU 0.
    let binding = Binding { domain: domain.id, pirq, cpu: cpu_of(domain, VcpuId::new(0)) };
    let mut line = sys.irq_line(irq)?.lock();
    line.start(sys, irq, binding)?;
    eoi_page::set(sys, domain, pirq, line.needs_end());
    Ok(())
}

/// The port is closed: nothing of `pirq`'s reaches `domain` any more, and an interrupt that
/// it has not ended is ended.
pub fn unbound<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32) {
    let table = domain.pirqs.table.lock();
    let Some(irq) = table.get(pirq as usize).and_then(|entry| entry.irq()) else { return };
    let Some(line) = sys.irqs.line(irq) else { return };
    let mut line = line.lock();
    if line.binding.is_some_and(|b| b.domain == domain.id && b.pirq == pirq) {
        line.stop(sys);
    }
}

/// Events of `pirq` go to vCPU `vcpu` from now on: has the source interrupt where that lives.
pub fn retarget<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32, vcpu: VcpuId) {
    let table = domain.pirqs.table.lock();
    let Some(irq) = table.get(pirq as usize).and_then(|entry| entry.irq()) else { return };
    let Some(line) = sys.irqs.line(irq) else { return };
    let mut line = line.lock();
    let cpu = cpu_of(domain, vcpu);
    if let Some(binding) = &mut line.binding
        && binding.domain == domain.id
        && binding.cpu != cpu
    {
        binding.cpu = cpu;
        line.aim(sys);
        line.reopen(sys);
    }
}

/// `PHYSDEVOP_eoi`: the guest has dealt with an interrupt. If it was a level, its input may
/// interrupt again; if the level is still there, it does.
///
/// `EINVAL`: no such pirq, or it stands for nothing.
pub fn end<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32) -> Result<(), Errno> {
    let entry = domain.pirqs.get(pirq).ok_or(Errno::EINVAL)?;
    if entry.meaning == Meaning::Nothing {
        return Err(Errno::EINVAL);
    }
    if domain.pirqs.end_unmasks.load(Ordering::Relaxed) {
        evtchn::pirq::unmask(sys, domain, pirq);
    }
    let Some(line) = entry.irq().and_then(|irq| sys.irqs.line(irq)) else { return Ok(()) };
    let mut line = line.lock();
    let ours = line.binding.is_some_and(|b| b.domain == domain.id && b.pirq == pirq);
    if ours && line.awaits_end {
        line.awaits_end = false;
        line.reopen(sys);
    }
    Ok(())
}

/// `PHYSDEVOP_IRQ_UNMASK_NOTIFY`: ends every interrupt whose port the guest has unmasked. Old
/// kernels call it instead of `PHYSDEVOP_eoi`.
pub fn end_unmasked<P: Platform>(sys: &System<P>, domain: &Domain) {
    for pirq in 0..NR_PIRQS {
        if evtchn::pirq::is_unmasked(sys, domain, pirq) {
            // A port that is left of an unmapped pirq has nothing to end.
            let _ = end(sys, domain, pirq);
        }
    }
}

/// Where a vCPU lives. It may have moved on when the interrupt comes, and is told all the same.
fn cpu_of(domain: &Domain, vcpu: VcpuId) -> u32 {
    domain.vcpu(vcpu).and_then(|vcpu| vcpu.run.cpu()).unwrap_or(0)
}
