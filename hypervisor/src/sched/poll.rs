//! `SCHEDOP_poll`: sleeping until one of some ports is pending, masked or not.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Port;
use pv_abi::{x86_32, x86_64};

use super::run::POLL_ANY;
use super::{NEVER, wake};
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::evtchn::delivery;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::system::System;
use crate::time;
use crate::width::Width;

/// The most ports in one call.
const PORTS_MAX: u32 = 128;

/// What is polled, and until when.
struct Poll {
    /// Guest address of the ports.
    ports: u64,
    count: u32,
    /// In ns of system time; 0: for ever.
    timeout_ns: u64,
}

fn decode<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<Poll, Errno> {
    Ok(match ctx.width() {
        Width::Pv32 => {
            let poll: x86_32::SchedPoll = ctx.read(arg)?;
            let ports = u64::from(poll.ports);
            Poll { ports, count: poll.nr_ports, timeout_ns: poll.timeout.get() }
        }
        Width::Pv64 => {
            let poll: x86_64::SchedPoll = ctx.read(arg)?;
            Poll { ports: poll.ports, count: poll.nr_ports, timeout_ns: poll.timeout }
        }
    })
}

/// Sleeps until one of the ports is pending, an upcall can be made, or the time has come;
/// not at all if that is so already. The mask stays as it is, and no port is cleared.
///
/// `EFAULT` if the argument or a port cannot be read; `EINVAL` for more than 128 ports, or
/// a port that is not bound, unless an earlier one is pending.
pub(super) fn poll<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<(), Errno> {
    let poll = decode(ctx, arg)?;
    if poll.count > PORTS_MAX {
        return Err(Errno::EINVAL);
    }
    if !ctx.width().range_ok(poll.ports, u64::from(poll.count) * 4) {
        return Err(Errno::EFAULT);
    }
    announce(ctx, &poll);
    let run = &ctx.vcpu.run;
    run.block();
    // Whoever makes a port pending looks for pollers afterwards; we announced ourselves
    // and slept first, so either we see the port or he sees us.
    match look(ctx, &poll) {
        Ok(false) => {
            if poll.timeout_ns != 0 {
                time::arm_for(ctx.sys, ctx.vcpu, poll.timeout_ns);
            }
            Ok(())
        }
        done => {
            run.cancel_block();
            ended(ctx.domain, ctx.vcpu);
            done.map(|_| ())
        }
    }
}

/// Makes senders and the timer aware of the poll, before the vCPU sleeps.
fn announce<P: Platform>(ctx: &Ctx<'_, P>, poll: &Poll) {
    ctx.vcpu.run.poll_port.store(POLL_ANY, Ordering::Relaxed);
    let timeout_ns = if poll.timeout_ns == 0 { NEVER } else { poll.timeout_ns };
    ctx.vcpu.time.set_poll(timeout_ns);
    ctx.domain.events.add_poller(bit(ctx.vcpu));
}

/// Whether there is a reason not to sleep.
fn look<P: Platform>(ctx: &Ctx<'_, P>, poll: &Poll) -> Result<bool, Errno> {
    let access = &ctx.sys.platform;
    if ctx.vcpu.upcall_pending(access) && !ctx.vcpu.upcall_masked(access) {
        return Ok(true);
    }
    for index in 0..u64::from(poll.count) {
        let port: Port = ctx.read(poll.ports + index * 4)?;
        let usable = ctx.domain.events.get(access, port).is_some_and(|channel| channel.is_usable());
        if !usable {
            return Err(Errno::EINVAL);
        }
        if delivery::is_pending(ctx.sys, ctx.domain, port) {
            return Ok(true);
        }
        if poll.count == 1 {
            // Events on other ports need not wake it from now on.
            ctx.vcpu.run.poll_port.store(port.raw(), Ordering::Relaxed);
        }
    }
    Ok(poll.timeout_ns != 0 && poll.timeout_ns <= access.now_ns())
}

/// Wakes whoever may be polling `port` of `domain`.
#[cold]
pub fn wake_pollers<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) {
    let pollers = domain.events.pollers();
    for vcpu in domain.vcpus().filter(|vcpu| pollers & bit(vcpu) != 0) {
        let polled = vcpu.run.poll_port.load(Ordering::SeqCst);
        if polled == POLL_ANY || polled == port.raw() {
            wake(sys, domain, vcpu);
        }
    }
}

/// A poll of `vcpu`'s is over: cleared up on the vCPU's own CPU, when it stays awake or runs again.
/// Until then events may wake it that it has no need of.
pub(super) fn ended(domain: &Domain, vcpu: &Vcpu) {
    vcpu.run.poll_port.store(0, Ordering::Relaxed);
    vcpu.time.set_poll(NEVER);
    domain.events.remove_poller(bit(vcpu));
}

/// A vCPU's bit among the pollers.
fn bit(vcpu: &Vcpu) -> u32 {
    // vCPU numbers are below 32 (`domain::MAX_VCPUS`).
    1u32.wrapping_shl(vcpu.id.raw())
}
