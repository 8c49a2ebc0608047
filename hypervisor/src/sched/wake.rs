//! Starting, waking and queueing vCPUs, and making their CPUs notice.

use super::cpu::bit;
use super::share::PREEMPT_NS;
use super::word::Bar;
use super::{NEVER, balance};
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::platform::Platform;
use crate::system::System;
use crate::time;

/// Starts a vCPU that is down and has been given its state.
pub fn start<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    vcpu.run.set_initialised();
    if !vcpu.run.has(Bar::Down) {
        return;
    }
    time::publish(sys, domain, vcpu);
    allow(sys, vcpu, Bar::Down);
}

/// Takes a vCPU down. If it runs on another CPU, that one is told; until it looks, it runs on.
pub fn down<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    forbid(sys, vcpu, Bar::Down);
}

/// Takes away a reason why a vCPU may not run.
pub(super) fn allow<P: Platform>(sys: &System<P>, vcpu: &Vcpu, reason: Bar) {
    let can_run = vcpu.run.clear(reason);
    go_on(sys, vcpu, can_run);
}

/// The domain of `vcpu` has a budget again.
pub(crate) fn uncap<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    allow(sys, vcpu, Bar::Capped);
}

/// After a reason was taken away: if the vCPU is the caller's to queue, it is queued.
pub(super) fn go_on<P: Platform>(sys: &System<P>, vcpu: &Vcpu, can_run: bool) {
    if can_run {
        queue(sys, vcpu);
    } else {
        settled(sys, vcpu);
    }
}

/// Adds one.
pub(super) fn forbid<P: Platform>(sys: &System<P>, vcpu: &Vcpu, reason: Bar) {
    let on_cpu = vcpu.run.set(reason);
    stop(sys, vcpu, on_cpu);
}

/// After a reason was added: the CPU that runs it is told, if one does.
pub(super) fn stop<P: Platform>(sys: &System<P>, vcpu: &Vcpu, on_cpu: bool) {
    if !on_cpu {
        settled(sys, vcpu);
    } else if let Some(cpu) = vcpu.run.cpu() {
        kick(sys, cpu);
    }
}

/// Accounts for the state of a vCPU that is on no CPU.
fn settled<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    if !vcpu.run.is_on_cpu() {
        vcpu.run.account(sys.platform.now_ns());
    }
}

/// Makes another CPU look at its queue; this one looks in any case, on its way out.
#[inline(always)]
pub(super) fn kick<P: Platform>(sys: &System<P>, cpu: u32) {
    if cpu != sys.platform.this_cpu() {
        sys.platform.kick(cpu);
    }
}

/// Something that `vcpu` may be waiting for has happened: if it sleeps, it gets to run.
#[inline(always)]
pub fn wake<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    debug_assert_eq!(domain.id, vcpu.domain);
    if vcpu.run.unblock() {
        queue(sys, vcpu);
    }
}

/// As [`wake`], and if it runs on another CPU, that one is made to look at its upcalls.
///
/// If it runs on this CPU we are on its way back to the guest, and look in any case.
#[inline(always)]
pub fn notice<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    if vcpu.run.is_running() {
        if let Some(cpu) = vcpu.run.cpu() {
            kick(sys, cpu);
        }
    } else {
        // One that waits for a CPU sees its upcalls when it runs; one that is down, never.
        wake(sys, domain, vcpu);
    }
}

/// Has a vCPU enter its NMI handler, asleep or not.
pub fn send_nmi<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    vcpu.run.request_nmi();
    notice(sys, domain, vcpu);
}

/// Queues a vCPU that can run again: the caller's right, by [`super::VcpuRun`].
#[inline(never)]
pub(super) fn queue<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    let now_ns = sys.platform.now_ns();
    vcpu.run.account(now_ns);
    let cpu = balance::place(sys, vcpu);
    balance::relocate(sys, vcpu, cpu);
    let Some(there) = sys.scheduler.cpu(cpu) else { return };
    let running = there.current_vtime(&sys.domains, now_ns);
    balance::awake(sys, there, running, vcpu);
    let preempts = running.is_some_and(|vtime| vcpu.run.vtime_behind(vtime, PREEMPT_NS));
    push(sys, vcpu, cpu);
    let running = there.current(&sys.domains);
    if cpu != sys.platform.this_cpu() {
        if preempts && let Some((_, running)) = running {
            running.run.request_reschedule();
        }
        // It may be idle, or run somebody whose slice begins now.
        if preempts || running.is_none() || there.slice_end_ns() == NEVER {
            sys.platform.kick(cpu);
        }
    } else if let Some((_, running)) = running {
        if preempts {
            running.run.request_reschedule();
        } else if there.begin_slice(now_ns) {
            time::arm(sys, there, there.slice_end_ns());
        }
    }
    if running.is_some() {
        balance::call_help(sys, cpu);
    }
}

/// Puts a vCPU into the queue of `cpu`, on which it has been placed; or of another, if it turns
/// out that it must not run there.
#[inline(always)]
pub(super) fn push<P: Platform>(sys: &System<P>, vcpu: &Vcpu, mut cpu: u32) {
    loop {
        let Some(there) = sys.scheduler.cpu(cpu) else { return };
        there.push(&sys.domains, vcpu);
        // Whoever changes the affinity looks into the queue afterwards; we did it the other way
        // round. If somebody has taken it out since, it is his.
        if vcpu.run.allowed() & bit(cpu) != 0 || !there.take(&sys.domains, vcpu) {
            return;
        }
        cpu = balance::place(sys, vcpu);
        balance::relocate(sys, vcpu, cpu);
        kick(sys, cpu);
    }
}
