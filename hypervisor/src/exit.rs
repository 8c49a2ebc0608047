//! The last thing before a CPU goes back to the guest.

use crate::error::{Crash, Stop};
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::sched::{shutdown, wake};
use crate::trap::{bounce, nmi};

/// Where the CPU goes from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Back to the guest, by the registers as they are.
    Resume,
    /// To another vCPU, or to idle: this one does not run on now.
    Switch,
}

/// Decides how the CPU goes on after a hypercall, a trap or an interrupt from the guest.
///
/// To be called with interrupts closed, and they stay so until the guest runs: what comes
/// later interrupts the guest. An upcall that is due is made by changing the registers,
/// so that the guest resumes in its event callback; if its stack does not take the frame
/// the domain ends.
#[inline(always)]
pub fn prepare<P: Platform>(ctx: &mut Ctx<'_, P>) -> Next {
    if !ctx.vcpu.run.may_run_on() && !attend(ctx) {
        return Next::Switch;
    }
    if ctx.vcpu.upcall_due(&ctx.sys.platform) {
        return upcall(ctx);
    }
    Next::Resume
}

/// Something is wanted of the vCPU: delivers an NMI if that is it; returns whether it may run on.
#[inline(never)]
fn attend<P: Platform>(ctx: &mut Ctx<'_, P>) -> bool {
    if ctx.vcpu.run.take_nmi() {
        // It may have been sent to a vCPU that ran, and has gone to sleep by this hypercall: the
        // sender saw no sleeper.
        wake::wake(ctx.sys, ctx.domain, ctx.vcpu);
        if let Err(stop) = nmi::deliver(ctx) {
            stopped(ctx, stop);
        }
    }
    ctx.vcpu.run.may_run_on()
}

/// Makes the upcall. It masks further ones, so one is enough.
#[inline(always)]
fn upcall<P: Platform>(ctx: &mut Ctx<'_, P>) -> Next {
    if let Err(stop) = bounce::event(ctx) {
        stopped(ctx, stop);
    }
    if ctx.vcpu.run.may_run_on() { Next::Resume } else { Next::Switch }
}

/// What a trap or an upcall could not do ends its domain: there is nobody to return an errno to.
#[cold]
pub fn stopped<P: Platform>(ctx: &mut Ctx<'_, P>, stop: Stop) {
    match stop {
        Stop::Crash(why) => shutdown::crash(ctx, why),
        Stop::Errno(_) => shutdown::crash(ctx, Crash::Because("its trap could not be delivered")),
        // The instruction is executed again, or the upcall is due again.
        Stop::Preempted => {}
    }
}
