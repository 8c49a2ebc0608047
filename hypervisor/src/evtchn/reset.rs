//! Closing all of a domain's ports: because it asks for it, or because it ends.
//!
//! There may be many, so both work in steps. Where a reset goes on is in the domain
//! ([`Changes::reset`]); the call that goes on with it is a command of its own that guests
//! do not make, though they can.
//!
//! [`Changes::reset`]: super::table::Changes

use pv_abi::errno::Errno;
use pv_abi::event_channel::EvtchnReset;
use pv_abi::types::Port;

use super::{bind, close, fifo};
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::system::System;

/// Ports that one step looks at.
const STEP: u32 = 1024;

/// Whether a reset begins, or goes on after a preemption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Begin,
    GoOn,
}

/// `EVTCHNOP_reset`: closes all ports of a domain, and ends its FIFO ABI.
///
/// `ESRCH`: no such domain. `EPERM`: another's, without privilege. `EINVAL`: another that
/// is not paused. `EBUSY`: it is being reset already (or, going on, is not). `EAGAIN`:
/// ports were bound meanwhile. `Preempted`: go on.
pub(super) fn reset<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: &EvtchnReset,
    phase: Phase,
) -> Result<(), Stop> {
    let domain = bind::named(ctx, arg.dom)?;
    bind::permit(ctx, domain)?;
    if domain.id != ctx.domain.id && !domain.pauses.any() {
        return Err(Errno::EINVAL.into());
    }
    let first = {
        let mut changes = domain.events.changes();
        match phase {
            Phase::Begin if changes.reset == 0 => changes.reset = 1,
            Phase::GoOn if changes.reset != 0 => {}
            _ => return Err(Errno::EBUSY.into()),
        }
        changes.reset
    };
    if let Some(next) = close_some(ctx.sys, domain, first) {
        domain.events.changes().reset = next;
        return Err(Stop::Preempted);
    }
    let held = {
        let mut changes = domain.events.changes();
        changes.reset = 0;
        if changes.used > 0 {
            return Err(Errno::EAGAIN.into());
        }
        fifo::control::end(domain, &mut changes)
    };
    if let Some(held) = held {
        held.release(ctx.sys, domain);
    }
    Ok(())
}

/// Closes ports from `first` on; returns where to go on, if not all are closed.
fn close_some<P: Platform>(sys: &System<P>, domain: &Domain, first: u32) -> Option<u32> {
    for number in first..first.saturating_add(STEP) {
        let port = Port::new(number);
        if !domain.events.exists(&sys.platform, port) || domain.events.changes().used == 0 {
            return None;
        }
        // What is closed already is refused.
        let _ = close::close(sys, domain, port);
    }
    Some(first.saturating_add(STEP))
}

/// Closes all ports of a domain that is being taken apart and gives up what its queues
/// held. None of its vCPUs runs any more; other domains may still try to bind to it.
///
/// `Preempted`: call it again. Once it is done it does nothing.
pub fn release_all<P: Platform>(sys: &System<P>, domain: &Domain) -> Result<(), Stop> {
    let first = {
        let mut changes = domain.events.changes();
        if !changes.ended {
            // From here on no port is given out, so one pass is enough. A reset that was
            // under way is over.
            changes.ended = true;
            changes.reset = 1;
        }
        changes.reset
    };
    if let Some(next) = close_some(sys, domain, first) {
        domain.events.changes().reset = next;
        return Err(Stop::Preempted);
    }
    let held = fifo::control::end(domain, &mut domain.events.changes());
    if let Some(held) = held {
        held.release(sys, domain);
    }
    sys.virq_handlers.forget(domain.id);
    Ok(())
}
