//! Keeping a domain's vCPUs from running, while it is worked on from outside or for good.
//!
//! Holding is a mark on each vCPU, and marking twice is marking once. A CPU that runs a
//! marked vCPU is kicked and leaves it; one that idles with the vCPU's state still in the
//! processor moves it out. Nobody waits for that: [`stopped`] looks, and says "ask again".

use super::run::State;
use super::wake::enqueue;
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::error::Stop;
use crate::platform::Platform;
use crate::system::System;

/// No vCPU of `domain` runs on from now on; CPUs that run one are told.
pub fn hold<P: Platform>(sys: &System<P>, domain: &Domain) {
    for vcpu in domain.vcpus() {
        let was = vcpu.run.hold();
        vcpu.run.account(sys.platform.now_ns());
        if was == State::Running {
            kick_home(sys, vcpu);
        }
    }
}

/// `Preempted` until no CPU has the state of any of `domain`'s vCPUs, all of which are held.
pub fn stopped<P: Platform>(sys: &System<P>, domain: &Domain) -> Result<(), Stop> {
    let mut all = Ok(());
    for vcpu in domain.vcpus() {
        // Between picking a vCPU and loading it a CPU has it without its state.
        let elsewhere = vcpu.run.is_running() && vcpu.run.cpu() != Some(sys.platform.this_cpu());
        if elsewhere || vcpu.state.try_lock().is_none() {
            kick_home(sys, vcpu);
            all = Err(Stop::Preempted);
        }
    }
    all
}

/// Ends [`hold`]: those that can run wait for their CPU again.
pub fn release<P: Platform>(sys: &System<P>, domain: &Domain) {
    for vcpu in domain.vcpus() {
        let Some(state) = vcpu.run.release() else { continue };
        vcpu.run.account(sys.platform.now_ns());
        if state == State::Runnable {
            enqueue(sys, vcpu);
        }
    }
}

/// Makes the CPU that has `vcpu`, or had it last, look what is new.
pub(crate) fn kick_home<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    if let Some(cpu) = vcpu.run.cpu()
        && cpu != sys.platform.this_cpu()
    {
        sys.platform.kick(cpu);
    }
}

/// `vcpu` never runs again: it is taken down, and no queue or list names it any more.
pub fn forget<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    vcpu.run.offline();
    vcpu.run.account(sys.platform.now_ns());
    if let Some(home) = vcpu.run.cpu().and_then(|cpu| sys.scheduler.cpu(cpu)) {
        home.forget(&sys.domains, vcpu);
    }
}
