//! Which CPU runs whom: placing those that wake up, and taking over those that wait elsewhere.
//!
//! *No CPU idles while somebody waits that it may run.* A vCPU that wakes up goes to an idle
//! CPU if there is one: the one where it was, if that is idle; one that it prefers before all. A CPU that has nothing to do marks
//! itself idle and then looks into all queues once more; who queues somebody looks for idle
//! CPUs afterwards. So one of the two sees the other.
//!
//! *Virtual time is the same everywhere.* A CPU that would go on with somebody who is ahead of
//! those that wait for another CPU, by more than [`STEAL_NS`], takes the first of them. A CPU
//! where nobody waits sets no slice timer; so one where somebody waits tells it when it has got
//! ahead ([`remind`]).

use core::cell::Cell;
use core::sync::atomic::Ordering;

use super::cpu::{Cpu, bit};
use super::share::{APART_NS, SLEEPER_NS, SLICE_NS, STEAL_NS, rebased, virtual_ns};
use super::{NEVER, wake};
use crate::domain::vcpu::Vcpu;
use crate::platform::Platform;
use crate::system::System;

/// All CPUs that take part.
pub(super) fn online<P: Platform>(sys: &System<P>) -> u32 {
    u32::MAX.checked_shr(32u32.saturating_sub(sys.platform.count())).unwrap_or(0)
}

/// The CPU for a vCPU that is to be queued.
#[inline(always)]
pub(super) fn place<P: Platform>(sys: &System<P>, vcpu: &Vcpu) -> u32 {
    let allowed = vcpu.run.allowed();
    let idle = best(sys.scheduler.idle.load(Ordering::SeqCst) & allowed, vcpu);
    match vcpu.run.cpu() {
        Some(cpu) if allowed & bit(cpu) != 0 && (idle == 0 || idle & bit(cpu) != 0) => {
            if idle != 0 {
                claim(sys, cpu);
            }
            cpu
        }
        _ => elsewhere(sys, idle, best(allowed & online(sys), vcpu)),
    }
}

/// Of these CPUs those that a vCPU prefers, if there are any.
#[inline(always)]
fn best(cpus: u32, vcpu: &Vcpu) -> u32 {
    match cpus & vcpu.run.preferred() {
        0 => cpus,
        preferred => preferred,
    }
}

/// One of the `idle` CPUs, or of `all`: one that the fewest vCPUs are on.
#[cold]
fn elsewhere<P: Platform>(sys: &System<P>, idle: u32, all: u32) -> u32 {
    let among = if idle != 0 { idle } else { all };
    let chosen = sys
        .scheduler
        .cpus(sys.platform.count())
        .filter(|(number, _)| among & bit(*number) != 0)
        .min_by_key(|(_, cpu)| cpu.residents.load(Ordering::Relaxed))
        .map_or(0, |(number, _)| number);
    claim(sys, chosen);
    chosen
}

/// The next one who looks for an idle CPU finds another.
fn claim<P: Platform>(sys: &System<P>, cpu: u32) {
    sys.scheduler.idle.fetch_and(!bit(cpu), Ordering::SeqCst);
}

/// Names `cpu` as the one on which `vcpu` waits or runs. If another has its state in its
/// registers, that one is told, for it has to give it up.
#[inline(always)]
pub(super) fn relocate<P: Platform>(sys: &System<P>, vcpu: &Vcpu, cpu: u32) {
    if vcpu.run.cpu() != Some(cpu) {
        moved(sys, vcpu, Some(cpu));
    }
}

/// The same, with a vCPU that was elsewhere, or to nowhere.
#[cold]
pub(super) fn moved<P: Platform>(sys: &System<P>, vcpu: &Vcpu, to: Option<u32>) {
    let residents = |cpu: Option<u32>| Some(&sys.scheduler.cpu(cpu?)?.residents);
    if let Some(count) = residents(vcpu.run.move_to(to)) {
        count.fetch_sub(1, Ordering::Relaxed);
    }
    if let Some(count) = residents(to) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    match vcpu.run.loaded_on() {
        Some(cpu) if Some(cpu) != to && cpu != sys.platform.this_cpu() => sys.platform.kick(cpu),
        _ => {}
    }
}

/// Sets the virtual time of a vCPU that wakes up, for the CPU where it will wait, and where
/// somebody with virtual time `running` runs.
#[inline(always)]
pub(super) fn awake<P: Platform>(sys: &System<P>, there: &Cpu, running: Option<u64>, vcpu: &Vcpu) {
    let clock = match running {
        // Who was picked last may have run for long, alone.
        Some(vtime) => there.clock().max(vtime.min(there.first_vtime())),
        None if sys.platform.count() == 1 => there.clock(),
        None => latest_clock(sys),
    };
    let least = clock.saturating_sub(SLEEPER_NS);
    if vcpu.run.vtime.load(Ordering::Relaxed) < least {
        vcpu.run.vtime.fetch_max(least, Ordering::Relaxed);
    }
}

/// The clock that is ahead of all: one of a CPU that was idle stands still.
fn latest_clock<P: Platform>(sys: &System<P>) -> u64 {
    sys.scheduler.cpus(sys.platform.count()).map(|(_, cpu)| cpu.clock()).max().unwrap_or(0)
}

/// Takes whom `cpu`, the one we are on, is to run next: the one that has had the least.
#[inline(always)]
pub(super) fn take<'a, P: Platform>(sys: &'a System<P>, here: &Cpu, cpu: u32) -> Option<&'a Vcpu> {
    let count = sys.platform.count();
    if count > 1 {
        let own = here.first_vtime();
        if let Some(stolen) = steal(sys, here, cpu, own) {
            return Some(stolen);
        }
    }
    if !here.has_waiting() {
        return None;
    }
    here.take_first(&sys.domains, |_| true)
}

/// Takes somebody who waits for another CPU, if one there is behind those that wait here.
fn steal<'a, P: Platform>(sys: &'a System<P>, here: &Cpu, cpu: u32, own: u64) -> Option<&'a Vcpu> {
    // The one that is furthest behind first; the others if nobody may leave there.
    let mut tried = bit(cpu);
    loop {
        let (from, there) = sys
            .scheduler
            .cpus(sys.platform.count())
            .filter(|(number, other)| tried & bit(*number) == 0 && other.has_waiting())
            .min_by_key(|(_, other)| other.first_vtime())?;
        if there.first_vtime().saturating_add(STEAL_NS) >= own {
            return None;
        }
        tried |= bit(from);
        // One that is not running anything has been told to take somebody, and will: it is left those
        // who are better off there.
        let busy = there.current.load().is_some();
        let wanted = |vcpu: &Vcpu| {
            let stays = vcpu.run.loaded_on() == Some(from)
                || vcpu.run.preferred() & (bit(from) | bit(cpu)) == bit(from);
            vcpu.run.allowed() & bit(cpu) != 0 && (busy || !stays)
        };
        if let Some(vcpu) = there.take_first(&sys.domains, wanted) {
            if own != NEVER {
                let weight = sys.domain(vcpu.domain).map_or(0, |domain| domain.run.weight());
                let vtime = vcpu.run.vtime.load(Ordering::Relaxed);
                vcpu.run.vtime.store(rebased(vtime, here.clock(), weight), Ordering::Relaxed);
            }
            relocate(sys, vcpu, cpu);
            return Some(vcpu);
        }
    }
}

/// `cpu`, the one we are on, finds nothing to do: marks it idle; returns whether it was.
pub(super) fn go_idle<P: Platform>(sys: &System<P>, cpu: u32) -> bool {
    sys.scheduler.idle.fetch_or(bit(cpu), Ordering::SeqCst) & bit(cpu) != 0
}

/// `cpu`, the one we are on, has something to do.
#[inline(always)]
pub(super) fn no_longer_idle<P: Platform>(sys: &System<P>, cpu: u32) {
    if sys.scheduler.idle.load(Ordering::Relaxed) & bit(cpu) != 0 {
        claim(sys, cpu);
    }
}

/// Somebody waits for a CPU that runs another: idle ones are to look for work.
#[inline(always)]
pub(super) fn call_help<P: Platform>(sys: &System<P>, busy: u32) {
    let idle = sys.scheduler.idle.load(Ordering::SeqCst) & !bit(busy);
    if idle != 0 {
        call(sys, busy, idle);
    }
}

/// Kicks, for each who waits, one of the idle CPUs that may run it: another's would look in vain.
#[cold]
fn call<P: Platform>(sys: &System<P>, busy: u32, idle: u32) {
    let chosen = Cell::new(0_u32);
    sys.scheduler.for_each_waiting(&sys.domains, busy, |vcpu| {
        let free = idle & !chosen.get() & vcpu.run.allowed();
        chosen.set(chosen.get() | free & free.wrapping_neg());
    });
    for cpu in (0..sys.platform.count()).filter(|cpu| chosen.get() & bit(*cpu) != 0) {
        wake::kick(sys, cpu);
    }
}

/// Whether somebody waits elsewhere who has had less than who runs here with virtual time `vtime`.
/// Bounds how far that one may be away from the rest.
pub(super) fn is_ahead<P: Platform>(sys: &System<P>, cpu: u32, running: &Vcpu, vtime: u64) -> bool {
    let count = sys.platform.count();
    if count == 1 {
        return false;
    }
    let others = sys.scheduler.cpus(count).filter(|(number, _)| *number != cpu);
    let first = others.map(|(_, other)| other.first_vtime()).min().unwrap_or(NEVER);
    if first == NEVER {
        return false;
    }
    let weight = sys.domain(running.domain).map_or(0, |domain| domain.run.weight());
    let most = first.saturating_add(APART_NS).saturating_add(virtual_ns(SLICE_NS, weight));
    if vtime > most {
        running.run.vtime.fetch_min(most, Ordering::Relaxed);
    }
    first.saturating_add(STEAL_NS) < vtime
}

/// `cpu`, the one we are on, has somebody waiting: CPUs where nobody waits are told if they got
/// ahead of that, and are not left behind by too much.
pub(super) fn remind<P: Platform>(sys: &System<P>, cpu: u32, here: &Cpu, now_ns: u64) {
    let first = here.first_vtime();
    if first == NEVER {
        return;
    }
    let others = sys.scheduler.cpus(sys.platform.count());
    for (number, other) in others.filter(|(number, _)| *number != cpu) {
        if other.has_waiting() {
            continue;
        }
        match other.current_vtime(&sys.domains, now_ns) {
            Some(vtime) if first.saturating_add(STEAL_NS) < vtime => sys.platform.kick(number),
            Some(vtime) if vtime.saturating_add(APART_NS) < first => {
                if let Some((_, running)) = other.current(&sys.domains) {
                    running.run.vtime.fetch_max(first.saturating_sub(APART_NS), Ordering::Relaxed);
                }
            }
            _ => {}
        }
    }
}
