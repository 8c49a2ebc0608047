//! Unmaking bindings.

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Port, VcpuId};

use super::bind::Pair;
use super::port::{Channel, State};
use super::table::Changes;
use super::{delivery, pirq, virq};
use crate::domain::Domain;
use crate::platform::{FrameAccess, Platform};
use crate::system::System;

/// Closes a port of `domain`. The other end of a connection becomes unbound, and waits for
/// the same domain again.
///
/// `EINVAL` for a port that does not exist or is not bound.
pub fn close<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) -> Result<(), Errno> {
    let access = &sys.platform;
    // Which lock to take depends on the state, and the state may change until it is taken.
    let remote = match domain.events.get(access, port).ok_or(Errno::EINVAL)?.state {
        State::Interdomain { remote, .. } => remote,
        _ => domain.id,
    };
    let remote = sys.domain(remote).ok_or(Errno::EINVAL)?;
    let mut locks = Pair::lock(domain, remote);
    let Channel { state, notify } = domain.events.get(access, port).ok_or(Errno::EINVAL)?;
    match state {
        State::Free | State::Reserved => return Err(Errno::EINVAL),
        // It has been closed and bound anew since: as good as closed a moment later.
        State::Interdomain { remote: now, .. } if now != remote.id => return Err(Errno::EINVAL),
        State::Interdomain { port: far, .. } => {
            disconnect(access, remote, locks.second(), far, domain.id);
        }
        State::Virq { virq } => {
            let virq = u32::from(virq);
            let vcpu = if virq::is_global(virq) { VcpuId::new(0) } else { notify };
            domain.events.set_virq_port(locks.first(), vcpu, virq, None);
        }
        State::Pirq { pirq } => pirq::unbind(sys, domain, locks.first(), pirq),
        State::Unbound { .. } | State::Ipi => {}
    }
    // Pending events go, lest they surprise the next user of the number. One that is being
    // sent right now may still come.
    delivery::clear_pending(sys, domain, port);
    domain.events.set(locks.first(), access, port, Channel::new(State::Free));
    Ok(())
}

/// The far end of a connection to `gone` waits for it again; it keeps its vCPU.
fn disconnect(
    access: &impl FrameAccess,
    remote: &Domain,
    changes: &mut Changes,
    far: Port,
    gone: DomId,
) {
    if let Some(channel) = remote.events.get(access, far) {
        let state = State::Unbound { remote: gone };
        remote.events.set(changes, access, far, Channel { state, ..channel });
    }
}
