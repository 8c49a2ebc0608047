//! Which vCPU runs where, and when.
//!
//! Every CPU has a run queue of its own with a lock of its own. A vCPU is settled on a
//! CPU when it is started and lives there: it waits in that CPU's queue, and that CPU's
//! timer serves it. So a CPU can decide all about its vCPUs without asking another, and a
//! wake-up from elsewhere is a push and a kick.
//!
//! | file | is |
//! |---|---|
//! | [`cpu`] | each CPU's queue, slice and residents |
//! | [`run`] | the states of a vCPU and the arrows between them |
//! | [`policy`] | who of the waiting is next, and for how long |
//! | [`mod@wake`] | waking, blocking, starting, kicking |
//! | [`hold`] | keeping a domain's vCPUs from running, and taking them off for good |
//! | [`runstate`], [`areas`] | time spent in each state, and where the guest sees it |
//! | [`ops`], `poll`, [`vcpu_op`], [`vcpu_info`] | the hypercalls |
//! | [`shutdown`] | the end of a domain |
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
//! next(sys, cpu)         None: idle until an interrupt, then ask again
//!    |                   the same vCPU again: nothing to switch
//!    v
//! (switch registers and address space)
//! resumed(ctx)           its areas are brought up to date -> exit::prepare
//! ```
//!
//! Interrupts that matter here: the timer's, for which `arch` calls [`crate::time::expired`],
//! and the kick, for which it calls [`kicked`].

pub mod areas;
pub mod cpu;
pub mod hold;
pub mod ops;
pub mod policy;
mod poll;
pub mod report;
pub mod run;
pub mod runstate;
pub mod shutdown;
pub mod vcpu_info;
pub mod vcpu_op;
pub mod vcpu_ref;
pub mod wake;

use core::sync::atomic::Ordering;

use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::system::System;
use crate::time;
use crate::trace::{self, What};
pub(crate) use cpu::Cpu;
pub use cpu::{MAX_CPUS, Scheduler};
use policy::Waits;
pub use poll::wake_pollers;
pub use run::{State, VcpuRun};
use vcpu_ref::VcpuRef;
pub use wake::{down, start, wake};

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// The vCPU that is to run on `cpu`, the one we are on, from now on; `None`: nothing to do.
///
/// It may be the one that ran last: then there is nothing to switch.
pub fn next<P: Platform>(sys: &System<P>, cpu: u32) -> Option<(&Domain, &Vcpu)> {
    sys.grace.pass(cpu);
    let here = sys.scheduler.cpu(cpu)?;
    here.slice_end_ns.store(NEVER, Ordering::Relaxed);
    let picked = loop {
        let Some(candidate) = here.pop(&sys.domains) else { break None };
        // One that was taken down while it waited is dropped here.
        match candidate.resolve(&sys.domains) {
            Some((domain, vcpu)) if vcpu.run.pick() => break Some((domain, vcpu)),
            _ => {}
        }
    };
    here.current.store(picked.map(|(_, vcpu)| VcpuRef::of(vcpu)));
    if let Some((domain, vcpu)) = picked {
        let now_ns = sys.platform.now_ns();
        vcpu.run.account(now_ns);
        here.since_ns.store(now_ns, Ordering::Relaxed);
        if here.begin_slice(now_ns) {
            time::arm(sys, here, here.slice_end_ns());
        }
        time::scheduled(sys, here, domain, vcpu, now_ns);
    }
    picked
}

/// The CPU stops running `ctx`'s vCPU, whose address space is still loaded.
///
/// If it could run on, it waits for its next turn.
pub fn stopped_running<P: Platform>(ctx: &Ctx<'_, P>) {
    let (sys, run) = (ctx.sys, &ctx.vcpu.run);
    trace::note(sys, ctx.domain.id, ctx.vcpu.id, What::Stop);
    let gave_way = run.stopped();
    let now_ns = sys.platform.now_ns();
    run.account(now_ns);
    areas::update_runstate(ctx);
    let Some(here) = run.cpu().and_then(|cpu| sys.scheduler.cpu(cpu)) else { return };
    let ran_ns = now_ns.saturating_sub(here.since_ns.load(Ordering::Relaxed));
    here.charge(VcpuRef::of(ctx.vcpu), ran_ns);
    here.current.store(None);
    if gave_way {
        here.push(&sys.domains, VcpuRef::of(ctx.vcpu), Waits::GaveWay);
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
