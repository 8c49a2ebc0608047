//! Starting and waking vCPUs, and making their CPUs notice.

use core::sync::atomic::Ordering;

use super::policy::Waits;
use super::run::State;
use super::vcpu_ref::VcpuRef;
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::platform::Platform;
use crate::system::System;
use crate::time;

/// Starts a vCPU that is down and has been given its initial state; returns whether it was down.
pub fn start<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) -> bool {
    vcpu.run.set_initialised();
    if vcpu.run.cpu().is_none() {
        settle(sys, vcpu);
    }
    if !vcpu.run.start() {
        return false;
    }
    time::publish(sys, domain, vcpu);
    enqueue(sys, vcpu);
    true
}

/// Takes a vCPU down. If it runs on another CPU, that one is told; until it looks, it runs on.
pub fn down<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    let was = vcpu.run.offline();
    vcpu.run.account(sys.platform.now_ns());
    if was == State::Running
        && let Some(cpu) = vcpu.run.cpu()
        && cpu != sys.platform.this_cpu()
    {
        sys.platform.kick(cpu);
    }
}

/// Settles a vCPU on the CPU where the fewest live.
fn settle<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    let homes = |cpu: &u32| {
        sys.scheduler.cpu(*cpu).map_or(u32::MAX, |cpu| cpu.homes.load(Ordering::Relaxed))
    };
    let cpu = (0..sys.platform.count()).min_by_key(homes).unwrap_or(0);
    if vcpu.run.settle(cpu)
        && let Some(home) = sys.scheduler.cpu(cpu)
    {
        home.settle(vcpu);
    }
}

/// Something that `vcpu` may be waiting for has happened: if it sleeps, it gets to run.
#[inline(always)]
pub fn wake<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    if vcpu.run.unblock() {
        woken(sys, domain, vcpu);
    }
}

/// As [`wake`], and if it runs on another CPU, that one is made to look at its upcalls.
///
/// If it runs on this CPU we are on its way back to the guest, and look in any case.
#[inline(always)]
pub fn notice<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    if vcpu.run.is_running() {
        let cpu = vcpu.run.home();
        if cpu != sys.platform.this_cpu() {
            sys.platform.kick(cpu);
        }
    } else {
        // One that waits for a CPU sees its upcalls when it runs; one that is down, never.
        wake(sys, domain, vcpu);
    }
}

/// The caller took `vcpu` from blocked to runnable; it is in no queue yet, so nobody else
/// can make it run and poll again while its last poll is being cleared up here.
#[cold]
fn woken<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    if vcpu.run.poll_port.load(Ordering::Relaxed) != 0 {
        super::poll::ended(domain, vcpu);
    }
    vcpu.run.account(sys.platform.now_ns());
    enqueue(sys, vcpu);
}

/// Puts a runnable vCPU into its CPU's queue, and sees to it that the CPU gets to it.
pub(super) fn enqueue<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    let Some(cpu) = vcpu.run.cpu() else { return };
    let Some(home) = sys.scheduler.cpu(cpu) else { return };
    home.push(&sys.domains, VcpuRef::of(vcpu), Waits::Woken);
    if cpu != sys.platform.this_cpu() {
        // It may be idle, or run somebody whose slice begins now.
        sys.platform.kick(cpu);
    } else if home.current.load().is_some() && home.begin_slice(sys.platform.now_ns()) {
        time::arm(sys, home, home.slice_end_ns());
    }
}
