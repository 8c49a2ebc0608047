//! Which vCPU runs where, and when.
//!
//! Every CPU has a run queue of its own with a lock of its own, and takes from it whoever has had
//! the least CPU time by its weight ([`share`]). A vCPU that wakes up goes back to the CPU where it
//! was, unless another one idles; a CPU that has nothing to do, or only vCPUs that are
//! ahead of those elsewhere, takes one over ([`balance`]).
//!
//! | file | is |
//! |---|---|
//! | [`cpu`], `list` | each CPU's queue, slice and timers |
//! | [`word`], [`run`] | what a vCPU is doing, and why it may not run |
//! | [`share`], [`cap`] | who deserves a CPU, and how much at most |
//! | [`mod@wake`] | starting, waking, queueing, kicking |
//! | [`balance`] | which CPU runs whom |
//! | [`affinity`] | which may |
//! | [`idle`] | how long a CPU had nothing to do |
//! | [`hold`] | keeping a domain's vCPUs from running, and taking them off for good |
//! | [`home`] | which CPU serves whose timers |
//! | [`domain`] | a domain's share |
//! | [`runstate`], [`areas`] | time spent in each state, and where the guest sees it |
//! | [`ops`], `poll`, [`vcpu_op`], [`vcpu_info`] | the hypercalls |
//! | [`shutdown`], [`watchdog`] | the end of a domain |
//! | [`report`] | all of it in words |
//!
//! # How a CPU goes round
//!
//! `arch` runs this loop on each CPU, with interrupts closed but while it idles:
//!
//! ```text
//! guest --interrupt, trap, hypercall--> handler -> exit::prepare -+-> Resume: back to the guest
//!                                                                 |
//!    +------------------------------------------------------------+-> Switch
//!    v
//! stopped_running(ctx)   state and areas of the old vCPU are put in order; it may wait again
//! next(sys, cpu)         None: idle until an interrupt, then ask again; but before, the old vCPU
//!    |                   leaves the registers unless `VcpuRun::may_stay_loaded`
//!    |                   the same vCPU again: nothing to switch
//!    v
//! (switch registers and address space)
//! resumed(ctx)           its areas are brought up to date -> exit::prepare
//! ```
//!
//! Interrupts that matter here: the timer's, for which `arch` calls [`crate::time::expired`],
//! and the kick, for which it calls [`kicked`].

pub mod affinity;
pub mod areas;
pub mod balance;
pub mod cap;
pub mod cpu;
pub mod domain;
pub mod hold;
pub mod home;
pub mod idle;
mod list;
pub mod ops;
mod poll;
pub mod report;
pub mod run;
pub mod runstate;
pub mod share;
pub mod shutdown;
pub mod vcpu_info;
pub mod vcpu_op;
pub mod vcpu_ref;
pub mod wake;
pub mod watchdog;
pub mod word;

use core::sync::atomic::Ordering;

use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::system::System;
use crate::time;
use crate::trace::{self, What};
use cap::Allowance;
pub(crate) use cpu::Cpu;
pub use cpu::{MAX_CPUS, Scheduler};
pub use domain::DomainRun;
pub use poll::wake_pollers;
pub use run::VcpuRun;
use share::virtual_ns;
use vcpu_ref::VcpuRef;
pub use wake::{down, start, wake};
use word::Bar;
pub use word::State;

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// The vCPU that is to run on `cpu`, the one we are on, from now on; `None`: nothing to do.
///
/// It may be the one that ran last: then there is nothing to switch.
pub fn next<P: Platform>(sys: &System<P>, cpu: u32) -> Option<(&Domain, &Vcpu)> {
    sys.grace.pass(cpu);
    let here = sys.scheduler.cpu(cpu)?;
    here.slice_end_ns.store(NEVER, Ordering::Relaxed);
    let picked = pick(sys, here, cpu);
    here.current.store(picked.map(|(_, vcpu)| VcpuRef::of(vcpu)));
    let (domain, vcpu) = picked?;
    let now_ns = sys.platform.now_ns();
    vcpu.run.account(now_ns);
    here.since_ns.store(now_ns, Ordering::Relaxed);
    here.advance_clock(vcpu.run.vtime.load(Ordering::Relaxed));
    balance::no_longer_idle(sys, cpu);
    home::adopt(sys, cpu, vcpu);
    if vcpu.run.poll_port.load(Ordering::Relaxed) != 0 {
        poll::ended(domain, vcpu);
    }
    if let Some(Allowance::Run(left_ns)) = domain.run.cap.allowance(now_ns) {
        here.slice_end_ns.store(now_ns.saturating_add(left_ns), Ordering::Relaxed);
        time::arm(sys, here, here.slice_end_ns());
    }
    if here.has_waiting() {
        if here.begin_slice(now_ns) {
            time::arm(sys, here, here.slice_end_ns());
        }
        balance::call_help(sys, cpu);
    }
    time::scheduled(sys, here, domain, vcpu, now_ns);
    picked
}

/// Takes vCPUs from the queues until one may run.
#[inline(always)]
fn pick<'a, P: Platform>(
    sys: &'a System<P>,
    here: &Cpu,
    cpu: u32,
) -> Option<(&'a Domain, &'a Vcpu)> {
    let mut idle = false;
    loop {
        let Some(vcpu) = balance::take(sys, here, cpu) else {
            // Once more after everybody can see that we idle.
            if core::mem::replace(&mut idle, true) {
                return None;
            }
            balance::go_idle(sys, cpu);
            continue;
        };
        // One that has got a reason not to run while it waited is dropped here.
        if vcpu.run.pick()
            && let Some(domain) = sys.domain(vcpu.domain)
            && !is_capped(sys, here, cpu, domain, vcpu)
        {
            return Some((domain, vcpu));
        }
    }
}

/// Whether `vcpu`, just picked, may not run because its domain has used up its cap: then it is
/// put aside until it has a budget again.
#[inline(always)]
fn is_capped<P: Platform>(
    sys: &System<P>,
    here: &Cpu,
    cpu: u32,
    domain: &Domain,
    vcpu: &Vcpu,
) -> bool {
    if domain.run.cap() == 0 {
        return false;
    }
    let now_ns = sys.platform.now_ns();
    let Some(Allowance::Wait(until_ns)) = domain.run.cap.allowance(now_ns) else { return false };
    home::adopt(sys, cpu, vcpu);
    vcpu.time.set_capped(until_ns);
    vcpu.run.set(Bar::Capped);
    time::arm(sys, here, until_ns);
    if vcpu.run.stopped() {
        // The cap was lifted just now.
        wake::push(sys, vcpu, cpu);
    }
    vcpu.run.account(now_ns);
    true
}

/// The CPU stops running `ctx`'s vCPU, whose address space is still loaded.
///
/// If it can run on, it waits for its next turn.
pub fn stopped_running<P: Platform>(ctx: &Ctx<'_, P>) {
    let (sys, run) = (ctx.sys, &ctx.vcpu.run);
    trace::note(sys, ctx.domain.id, ctx.vcpu.id, What::Stop);
    let cpu = sys.platform.this_cpu();
    let Some(here) = sys.scheduler.cpu(cpu) else { return };
    let now_ns = sys.platform.now_ns();
    let ran_ns = now_ns.saturating_sub(here.since_ns.load(Ordering::Relaxed));
    let domain = &ctx.domain.run;
    // Before it can be picked by another CPU. Others may be bringing it up to date, too.
    run.vtime.fetch_add(virtual_ns(ran_ns, domain.weight()), Ordering::Relaxed);
    domain.cap.charge(ran_ns, now_ns);
    here.current.store(None);
    let waits = run.stopped();
    run.account(now_ns);
    areas::update_runstate(ctx);
    if waits {
        wake::push(sys, ctx.vcpu, cpu);
    }
}

/// The CPU begins to run `ctx`'s vCPU, whose address space is loaded.
pub fn resumed<P: Platform>(ctx: &Ctx<'_, P>) {
    trace::note(ctx.sys, ctx.domain.id, ctx.vcpu.id, What::Run);
    areas::update_runstate(ctx);
}

/// Another CPU kicked `cpu`, the one we are on: something in its queue or its timers is new.
pub fn kicked<P: Platform>(sys: &System<P>, cpu: u32) {
    sys.grace.pass(cpu);
    time::expired(sys, cpu);
}

/// When the slice of `running`, on `cpu`, the one we are on, ends; [`NEVER`] if it may run for
/// ever. If it is over, or others deserve the CPU more, the vCPU is asked to give way.
pub(crate) fn slice<P: Platform>(
    sys: &System<P>,
    cpu: u32,
    here: &Cpu,
    running: &Vcpu,
    now_ns: u64,
) -> u64 {
    here.begin_slice(now_ns);
    balance::remind(sys, cpu, here, now_ns);
    let vtime = here.current_vtime(&sys.domains, now_ns).unwrap_or(0);
    let end_ns = here.slice_end_ns();
    if end_ns > now_ns && !balance::is_ahead(sys, cpu, running, vtime) {
        return end_ns;
    }
    running.run.request_reschedule();
    NEVER
}
