//! The hypercall `event_channel_op(cmd, arg)`.
//!
//! Operations that tell the guest a port write it after the port is bound. If the
//! argument turns out not to be writable the guest gets `EFAULT` and has a port that it
//! does not know; it can find it with `EVTCHNOP_status`. So it is in Xen.

use pv_abi::errno::Errno;
use pv_abi::event_channel as abi;
use pv_abi::event_channel::{
    EvtchnAllocUnbound, EvtchnBindInterdomain, EvtchnBindIpi, EvtchnBindPirq, EvtchnBindVcpu,
    EvtchnBindVirq, EvtchnClose, EvtchnExpandArray, EvtchnInitControl, EvtchnReset, EvtchnSend,
    EvtchnSetPriority, EvtchnStatus, EvtchnStatusInterdomain, EvtchnUnmask,
};
use pv_abi::types::{DomId, Port, VcpuId};

use super::fifo::control;
use super::port::{Channel, State};
use super::reset::{self, Phase};
use super::{bind, close, delivery, pirq};
use crate::domain::Domain;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::Args;
use crate::platform::Platform;

/// `EVTCHNOP_reset_cont`: what is left of an `EVTCHNOP_reset` that was preempted. It is not
/// in the headers for guests.
const RESET_GO_ON: u32 = 14;

/// `event_channel_op(cmd, arg)`.
///
/// `ENOSYS` for commands that are not there, `EFAULT` if the argument cannot be read or written; else as each operation says.
#[inline(always)]
pub fn event_channel_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let [cmd, at, ..] = *args;
    // The one that is called all the time first.
    if cmd as u32 == abi::EVTCHNOP_SEND {
        let EvtchnSend { port } = ctx.read(at)?;
        send(ctx, port)?;
        return Ok(0);
    }
    // A copy, so that to send the arguments need not be in memory.
    let mut left = *args;
    let outcome = others(ctx, &mut left);
    *args = left;
    outcome
}

#[inline(never)]
fn others<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let (cmd, at) = (args[0] as u32, args[1]);
    match cmd {
        abi::EVTCHNOP_ALLOC_UNBOUND => {
            let arg: EvtchnAllocUnbound = ctx.read(at)?;
            let port = bind::alloc_unbound(ctx, &arg)?;
            ctx.write(at, &EvtchnAllocUnbound { port, ..arg })?;
        }
        abi::EVTCHNOP_BIND_INTERDOMAIN => {
            let arg: EvtchnBindInterdomain = ctx.read(at)?;
            let local_port = bind::bind_interdomain(ctx, &arg)?;
            ctx.write(at, &EvtchnBindInterdomain { local_port, ..arg })?;
        }
        abi::EVTCHNOP_BIND_VIRQ => {
            let arg: EvtchnBindVirq = ctx.read(at)?;
            let port = bind::bind_virq(ctx, &arg)?;
            ctx.write(at, &EvtchnBindVirq { port, ..arg })?;
        }
        abi::EVTCHNOP_BIND_IPI => {
            let arg: EvtchnBindIpi = ctx.read(at)?;
            let port = bind::bind_ipi(ctx, &arg)?;
            ctx.write(at, &EvtchnBindIpi { port, ..arg })?;
        }
        abi::EVTCHNOP_BIND_PIRQ => {
            let arg: EvtchnBindPirq = ctx.read(at)?;
            let port = pirq::bind_pirq(ctx, &arg)?;
            ctx.write(at, &EvtchnBindPirq { port, ..arg })?;
        }
        abi::EVTCHNOP_BIND_VCPU => {
            let arg: EvtchnBindVcpu = ctx.read(at)?;
            bind::bind_vcpu(ctx, &arg)?;
        }
        abi::EVTCHNOP_CLOSE => {
            let EvtchnClose { port } = ctx.read(at)?;
            close::close(ctx.sys, ctx.domain, port)?;
        }
        abi::EVTCHNOP_STATUS => {
            let arg: EvtchnStatus = ctx.read(at)?;
            ctx.write(at, &status(ctx, &arg)?)?;
        }
        abi::EVTCHNOP_UNMASK => {
            let EvtchnUnmask { port } = ctx.read(at)?;
            unmask(ctx, port)?;
        }
        abi::EVTCHNOP_RESET | RESET_GO_ON => {
            let arg: EvtchnReset = ctx.read(at)?;
            let phase = if cmd == RESET_GO_ON { Phase::GoOn } else { Phase::Begin };
            reset::reset(ctx, &arg, phase).inspect_err(|stop| {
                if *stop == Stop::Preempted {
                    args[0] = RESET_GO_ON.into();
                }
            })?;
        }
        abi::EVTCHNOP_INIT_CONTROL => {
            let arg: EvtchnInitControl = ctx.read(at)?;
            ctx.write(at, &control::init_control(ctx, &arg)?)?;
        }
        abi::EVTCHNOP_EXPAND_ARRAY => {
            let arg: EvtchnExpandArray = ctx.read(at)?;
            control::expand_array(ctx, &arg)?;
        }
        abi::EVTCHNOP_SET_PRIORITY => {
            let arg: EvtchnSetPriority = ctx.read(at)?;
            control::set_priority(ctx, &arg)?;
        }
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// `EVTCHNOP_send`: rings the other end of a port.
///
/// `EINVAL` for a port that does not exist or is not for sending. On one that nobody has
/// bound to yet the event is lost, and that is no error.
#[inline(always)]
fn send<P: Platform>(ctx: &Ctx<'_, P>, port: Port) -> Result<(), Errno> {
    let (sys, local) = (ctx.sys, ctx.domain);
    let channel = local.events.get(&sys.platform, port).ok_or(Errno::EINVAL)?;
    let (domain, notify, port) = match channel.state {
        State::Ipi => (local, channel.notify, port),
        State::Interdomain { remote, port: far } => match far_end(ctx, port, remote, far) {
            Some((remote, notify)) => (remote, notify, far),
            None => return Ok(()),
        },
        State::Unbound { .. } => return Ok(()),
        State::Virq { .. } | State::Pirq { .. } | State::Free | State::Reserved => {
            return Err(Errno::EINVAL);
        }
    };
    delivery::set_pending(sys, domain, notify, port);
    Ok(())
}

/// The other end of the caller's `port`: its domain, and the vCPU to tell; `None` if it has
/// been closed since the caller's was looked at.
#[inline(always)]
fn far_end<'a, P: Platform>(
    ctx: &Ctx<'a, P>,
    port: Port,
    remote: DomId,
    far: Port,
) -> Option<(&'a Domain, VcpuId)> {
    let local = ctx.domain;
    // A loop-back channel needs no look-up.
    let remote = if remote == local.id { local } else { ctx.sys.domain(remote)? };
    let ours = State::Interdomain { remote: local.id, port };
    let notify = remote.events.notify_if(&ctx.sys.platform, far, ours)?;
    Some((remote, notify))
}

/// `EVTCHNOP_unmask`: clears the mask of a port, and delivers what waited behind it.
///
/// `EINVAL` for a port that does not exist.
fn unmask<P: Platform>(ctx: &Ctx<'_, P>, port: Port) -> Result<(), Errno> {
    let channel = ctx.domain.events.get(&ctx.sys.platform, port).ok_or(Errno::EINVAL)?;
    if channel.is_usable() {
        delivery::unmask(ctx.sys, ctx.domain, channel.notify, port);
    }
    Ok(())
}

/// `EVTCHNOP_status`: what a port is bound to.
///
/// `ESRCH` for a domain that does not exist, `EINVAL` for a port that does not exist,
/// `EPERM` for another domain's port without privilege.
fn status<P: Platform>(ctx: &Ctx<'_, P>, arg: &EvtchnStatus) -> Result<EvtchnStatus, Errno> {
    let domain = bind::named(ctx, arg.dom)?;
    let Channel { state, notify } =
        domain.events.get(&ctx.sys.platform, arg.port).ok_or(Errno::EINVAL)?;
    bind::permit(ctx, domain)?;
    let mut out = EvtchnStatus { vcpu: notify, ..*arg };
    match state {
        State::Free | State::Reserved => out.status = abi::EVTCHNSTAT_CLOSED,
        State::Unbound { remote } => {
            out.status = abi::EVTCHNSTAT_UNBOUND;
            out.u.dom = remote;
        }
        State::Interdomain { remote, port } => {
            out.status = abi::EVTCHNSTAT_INTERDOMAIN;
            out.u.dom = remote;
            out.u.port = port;
        }
        State::Virq { virq } => {
            out.status = abi::EVTCHNSTAT_VIRQ;
            let number = EvtchnStatusInterdomain::from_irq(u32::from(virq));
            out.u = EvtchnStatusInterdomain { port: arg.u.port, ..number };
        }
        State::Pirq { pirq } => {
            out.status = abi::EVTCHNSTAT_PIRQ;
            let number = EvtchnStatusInterdomain::from_irq(pirq);
            out.u = EvtchnStatusInterdomain { port: arg.u.port, ..number };
        }
        State::Ipi => out.status = abi::EVTCHNSTAT_IPI,
    }
    Ok(out)
}
