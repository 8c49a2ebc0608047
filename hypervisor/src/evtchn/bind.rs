//! Making bindings: new ports for other domains, virtual interrupts, other vCPUs.
//!
//! Each operation checks everything under the lock, then allocates the port and sets its
//! state: nothing can fail after the first change.

use pv_abi::errno::Errno;
use pv_abi::event_channel::{
    EvtchnAllocUnbound, EvtchnBindInterdomain, EvtchnBindIpi, EvtchnBindVcpu, EvtchnBindVirq,
};
use pv_abi::types::{DomId, Port, VcpuId};
use pv_abi::virq::NR_VIRQS;

use super::port::{Channel, State};
use super::table::{self, Changes};
use super::{delivery, virq};
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::irq;
use crate::lock::Guard;
use crate::platform::Platform;

/// The domain that `id` names in an event channel operation: `ESRCH` if there is none.
pub(super) fn named<'a, P: Platform>(ctx: &Ctx<'a, P>, id: DomId) -> Result<&'a Domain, Errno> {
    if id == DomId::SELF {
        return Ok(ctx.domain);
    }
    ctx.sys.domain(id).ok_or(Errno::ESRCH)
}

/// Whether the caller may work on `domain`'s ports: on its own, or on all if it is privileged.
pub(super) fn permit<P: Platform>(ctx: &Ctx<'_, P>, domain: &Domain) -> Result<(), Errno> {
    if domain.id == ctx.domain.id || ctx.domain.privileged { Ok(()) } else { Err(Errno::EPERM) }
}

/// The locks of two domains, which may be the same one.
pub(super) struct Pair<'a> {
    /// Of the domain named first.
    first: Guard<'a, Changes>,
    /// Of the other; `None` if it is the same.
    second: Option<Guard<'a, Changes>>,
}

impl<'a> Pair<'a> {
    /// Takes both, the lower domain number first.
    pub(super) fn lock(first: &'a Domain, second: &'a Domain) -> Pair<'a> {
        if first.id == second.id {
            return Pair { first: first.events.changes(), second: None };
        }
        if first.id < second.id {
            let (first, second) = table::changes_of_both(&first.events, &second.events);
            Pair { first, second: Some(second) }
        } else {
            let (second, first) = table::changes_of_both(&second.events, &first.events);
            Pair { first, second: Some(second) }
        }
    }

    /// The right to change the first domain's ports.
    pub(super) fn first(&mut self) -> &mut Changes {
        &mut self.first
    }

    /// The right to change the second domain's ports.
    pub(super) fn second(&mut self) -> &mut Changes {
        self.second.as_mut().unwrap_or(&mut self.first)
    }
}

/// `EVTCHNOP_alloc_unbound`: a port of `dom` that `remote_dom` may bind to.
///
/// `ESRCH` if `dom` does not exist, `ENOSPC` or `ENOMEM` without a port, `EPERM` if `dom`
/// is not the caller's to touch. Nobody asks whether `remote_dom` exists: it may be yet to come.
pub fn alloc_unbound<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: &EvtchnAllocUnbound,
) -> Result<Port, Stop> {
    let domain = named(ctx, arg.dom)?;
    let remote = if arg.remote_dom == DomId::SELF { ctx.domain.id } else { arg.remote_dom };
    let mut changes = domain.events.changes();
    table::find_free(ctx.sys, domain, &mut changes)?;
    permit(ctx, domain)?;
    table::allocate(ctx.sys, domain, &mut changes, Channel::new(State::Unbound { remote }))
}

/// `EVTCHNOP_bind_interdomain`: a port of the caller, connected to an unbound one.
///
/// `ESRCH` if `remote_dom` does not exist, `ENOSPC` or `ENOMEM` without a port, `EINVAL` if
/// `remote_port` does not wait for the caller. The domain may be the caller itself.
pub fn bind_interdomain<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: &EvtchnBindInterdomain,
) -> Result<Port, Stop> {
    let (sys, local) = (ctx.sys, ctx.domain);
    let remote = named(ctx, arg.remote_dom)?;
    let mut locks = Pair::lock(local, remote);
    let access = &sys.platform;
    let port = table::find_free(sys, local, locks.first())?;
    let Some(Channel { state: State::Unbound { remote: expected }, notify }) =
        remote.events.get(access, arg.remote_port)
    else {
        return Err(Errno::EINVAL.into());
    };
    if expected != local.id {
        return Err(Errno::EINVAL.into());
    }
    let near = State::Interdomain { remote: remote.id, port: arg.remote_port };
    local.events.set(locks.first(), access, port, Channel::new(near));
    let far = State::Interdomain { remote: local.id, port };
    remote.events.set(locks.second(), access, arg.remote_port, Channel { state: far, notify });
    // The other side may have rung while nobody was connected: have the caller look.
    delivery::set_pending(sys, local, VcpuId::new(0), port);
    Ok(port)
}

/// `EVTCHNOP_bind_virq`: a port that a virtual interrupt rings.
///
/// `EINVAL` for a number that does not exist, or for a global one with a vCPU other than
/// 0; `ENOENT` for a vCPU that does not exist; `EEXIST` if it is bound already.
pub fn bind_virq<P: Platform>(ctx: &Ctx<'_, P>, arg: &EvtchnBindVirq) -> Result<Port, Stop> {
    if arg.virq >= NR_VIRQS || virq::is_global(arg.virq) && arg.vcpu.raw() != 0 {
        return Err(Errno::EINVAL.into());
    }
    ctx.domain.vcpu(arg.vcpu).ok_or(Errno::ENOENT)?;
    let events = &ctx.domain.events;
    let mut changes = events.changes();
    if events.virq_port(arg.vcpu, arg.virq).is_some() {
        return Err(Errno::EEXIST.into());
    }
    // Below NR_VIRQS, so it fits.
    let channel = Channel { state: State::Virq { virq: arg.virq as u8 }, notify: arg.vcpu };
    let port = table::allocate(ctx.sys, ctx.domain, &mut changes, channel)?;
    events.set_virq_port(&mut changes, arg.vcpu, arg.virq, Some(port));
    Ok(port)
}

/// `EVTCHNOP_bind_ipi`: a port that the domain rings for one of its vCPUs.
///
/// `ENOENT` for a vCPU that does not exist.
pub fn bind_ipi<P: Platform>(ctx: &Ctx<'_, P>, arg: &EvtchnBindIpi) -> Result<Port, Stop> {
    ctx.domain.vcpu(arg.vcpu).ok_or(Errno::ENOENT)?;
    let channel = Channel { state: State::Ipi, notify: arg.vcpu };
    table::allocate(ctx.sys, ctx.domain, &mut ctx.domain.events.changes(), channel)
}

/// `EVTCHNOP_bind_vcpu`: has a port tell another vCPU from now on.
///
/// `ENOENT` for a vCPU that does not exist; `EINVAL` for a port that does not exist, is not
/// bound, or is bound to a vCPU for good: an IPI's, or a virtual interrupt's of one vCPU.
pub fn bind_vcpu<P: Platform>(ctx: &Ctx<'_, P>, arg: &EvtchnBindVcpu) -> Result<(), Errno> {
    ctx.domain.vcpu(arg.vcpu).ok_or(Errno::ENOENT)?;
    let (access, events) = (&ctx.sys.platform, &ctx.domain.events);
    let mut changes = events.changes();
    let channel = events.get(access, arg.port).ok_or(Errno::EINVAL)?;
    match channel.state {
        State::Unbound { .. } | State::Interdomain { .. } => {}
        State::Pirq { pirq } => irq::retarget(ctx.sys, ctx.domain, pirq, arg.vcpu),
        State::Virq { virq } if virq::is_global(u32::from(virq)) => {}
        State::Virq { .. } | State::Ipi | State::Free | State::Reserved => {
            return Err(Errno::EINVAL);
        }
    }
    events.set(&mut changes, access, arg.port, Channel { notify: arg.vcpu, ..channel });
    Ok(())
}
