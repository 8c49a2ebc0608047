//! Physical interrupts as events.
//!
//! A domain knows the interrupts that were given to it by numbers of its own (*pirqs*).
//! This is the event channel's half: which port each rings. Whether the domain may have
//! an interrupt, and what its line needs, is [`crate::irq`]'s half.
//!
//! [`irq::bound`] and [`irq::unbound`] are called with the domain's event lock held;
//! locks of `irq` lie below it. [`raise`] takes no lock but the receiver's queue (FIFO)
//! and a run queue, so `irq` may hold its own meanwhile.

use pv_abi::errno::Errno;
use pv_abi::event_channel::{BIND_PIRQ_WILL_SHARE, EvtchnBindPirq};
use pv_abi::types::{Port, VcpuId};

use super::delivery;
use super::port::{Channel, State};
use super::table::{self, Changes};

use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::irq;
use crate::platform::Platform;
use crate::system::System;

/// `EVTCHNOP_bind_pirq`: a port that a physical interrupt rings, at vCPU 0 to begin with.
///
/// `EINVAL` for a number that no domain can have, `EPERM` for one that the domain was not
/// given; `EEXIST` if it is bound already, `ENOSPC` or `ENOMEM` without a port; else what
/// the line says ([`irq::bound`]).
pub fn bind_pirq<P: Platform>(ctx: &Ctx<'_, P>, arg: &EvtchnBindPirq) -> Result<Port, Stop> {
    let (sys, domain, pirq) = (ctx.sys, ctx.domain, arg.pirq);
    irq::may_bind(sys, domain, pirq)?;
    let events = &domain.events;
    let mut changes = events.changes();
    if events.pirq_port(pirq).is_some() {
        return Err(Errno::EEXIST.into());
    }
    let port = table::find_free(sys, domain, &mut changes)?;
    // From here on the interrupt may come.
    events.set_pirq_port(&mut changes, pirq, Some(port));
    events.set(&mut changes, &sys.platform, port, Channel::new(State::Pirq { pirq }));
    let bound = irq::bound(sys, domain, pirq, arg.flags & BIND_PIRQ_WILL_SHARE != 0);
    if let Err(errno) = bound {
        events.set_pirq_port(&mut changes, pirq, None);
        events.set(&mut changes, &sys.platform, port, Channel::new(State::Free));
        return Err(errno.into());
    }
    Ok(port)
}

/// The port that `pirq` rings is being closed.
pub(super) fn unbind<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    changes: &mut Changes,
    pirq: u32,
) {
    irq::unbound(sys, domain, pirq);
    domain.events.set_pirq_port(changes, pirq, None);
}

/// The domain's interrupt `pirq` has come. Returns whether a port was rung: nobody will
/// end the interrupt otherwise.
pub fn raise<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32) -> bool {
    let Some((port, notify)) = rung(sys, domain, pirq) else { return false };
    delivery::set_pending(sys, domain, notify, port);
    true
}

/// Unmasks the port that `pirq` rings: what `PHYSDEVOP_eoi` does first for a guest that has
/// registered an EOI map of version 1.
pub fn unmask<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32) {
    if let Some((port, notify)) = rung(sys, domain, pirq) {
        delivery::unmask(sys, domain, notify, port);
    }
}

/// Whether `pirq` rings a port that the guest has not masked.
pub fn is_unmasked<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32) -> bool {
    rung(sys, domain, pirq).is_some_and(|(port, _)| !delivery::is_masked(sys, domain, port))
}

/// The port that `pirq` rings, and the vCPU that it tells.
fn rung<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32) -> Option<(Port, VcpuId)> {
    let port = domain.events.pirq_port(pirq)?;
    // It may have been closed, and bound to something else, since we looked.
    let notify = domain.events.notify_if(&sys.platform, port, State::Pirq { pirq })?;
    Some((port, notify))
}
