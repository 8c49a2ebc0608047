//! Keeping a domain's vCPUs from running, while it is worked on from outside or for good.
//!
//! Holding is a mark on each vCPU, and marking twice is marking once. A CPU that runs a
//! marked vCPU is kicked and leaves it; one that idles with the vCPU's state still in the
//! processor moves it out. Nobody waits for that: [`stopped`] looks, and says "ask again".

use core::sync::atomic::Ordering;

use super::word::Bar;
use super::{balance, home, wake};
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::error::Stop;
use crate::platform::Platform;
use crate::system::System;

/// No vCPU of `domain` runs on from now on; CPUs that run one are told.
pub fn hold<P: Platform>(sys: &System<P>, domain: &Domain) {
    for vcpu in domain.vcpus() {
        wake::forbid(sys, vcpu, Bar::Held);
    }
}

/// `Preempted` until no CPU has the state of any of `domain`'s vCPUs, all of which are held.
pub fn stopped<P: Platform>(sys: &System<P>, domain: &Domain) -> Result<(), Stop> {
    let mut all = Ok(());
    for vcpu in domain.vcpus() {
        // Between picking a vCPU and loading it a CPU has it without its state. This one runs us.
        let this = Some(sys.platform.this_cpu());
        let elsewhere = vcpu.run.is_on_cpu() && vcpu.run.cpu() != this;
        if elsewhere || vcpu.run.loaded_on().is_some() || vcpu.state.try_lock().is_none() {
            for cpu in [vcpu.run.cpu(), vcpu.run.loaded_on()].into_iter().flatten() {
                wake::kick(sys, cpu);
            }
            all = Err(Stop::Preempted);
        }
    }
    all
}

/// Ends [`hold`]: those that can run wait for a CPU again.
pub fn release<P: Platform>(sys: &System<P>, domain: &Domain) {
    for vcpu in domain.vcpus() {
        wake::allow(sys, vcpu, Bar::Held);
    }
}

/// `vcpu`, held and [`stopped`], never runs again: it is down, and no queue or list names it any
/// more. `Preempted` while a CPU is about to put it into a queue.
pub fn forget<P: Platform>(sys: &System<P>, vcpu: &Vcpu) -> Result<(), Stop> {
    wake::forbid(sys, vcpu, Bar::Down);
    if vcpu.run.is_queued() {
        let there = vcpu.run.cpu().and_then(|cpu| sys.scheduler.cpu(cpu));
        if !there.is_some_and(|there| there.take(&sys.domains, vcpu)) {
            return Err(Stop::Preempted);
        }
        vcpu.run.unqueued();
    }
    home::leave(sys, vcpu);
    if vcpu.run.cpu().is_some() {
        balance::moved(sys, vcpu, None);
    }
    vcpu.run.poll_port.store(0, Ordering::Relaxed);
    Ok(())
}
