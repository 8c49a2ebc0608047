//! Rows about event channels.

use core::sync::atomic::Ordering;

use crate::entries::{self, hypercall};
use crate::measure::row;
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{DOMID_SELF, DomId, Port, VcpuId};
use pv_guests::call::{address_of, with_argument};
use pv_guests::{Outcome, must};
use ring1::println;
use ring1::{calls, events, shared};
use zerocopy::FromZeros;

/// `EVTCHNOP_send` with nothing around it.
pub fn send(argument: &mut EvtchnSend) -> i32 {
    hypercall!(EVENT_CHANNEL_OP, EVTCHNOP_SEND, address_of(argument))
}

/// Unmasks a port, and no more.
pub fn unmask(port: Port) {
    shared::mask((port.raw() / 32) as usize).fetch_and(!(1 << (port.raw() % 32)), Ordering::SeqCst);
}

/// IPIs to oneself; the port stays bound.
pub fn ipi() -> Outcome<Port> {
    let port = must(calls::evtchn_bind_ipi(VcpuId::new(0)), "bind_ipi")?;
    let mut argument = EvtchnSend { port };
    events::mask_port(port);
    send(&mut argument);
    row("evtchn_send_ipi_self_pending", 500, || send(&mut argument));
    row("evtchn_send_ipi_self_masked", 500, || {
        events::clear_port(port);
        send(&mut argument)
    });
    events::clear_port(port);
    shared::upcall_pending().store(0, Ordering::SeqCst);
    unmask(port);
    let before = entries::UPCALLS.load(Ordering::Relaxed);
    row("evtchn_send_ipi_self_upcall", 500, || send(&mut argument));
    println!("INFO upcalls={}", entries::UPCALLS.load(Ordering::Relaxed) - before);
    Ok(port)
}

/// A channel from the domain to itself; returns the domain's number.
pub fn interdomain() -> Outcome<DomId> {
    let myself = DomId::new(DOMID_SELF);
    let mut unbound = EvtchnAllocUnbound { dom: myself, remote_dom: myself, port: Port::new(0) };
    let result = with_argument(EVENT_CHANNEL_OP, EVTCHNOP_ALLOC_UNBOUND, &mut unbound);
    must(calls::outcome(result), "alloc_unbound")?;
    let far = unbound.port;
    let mut bind = EvtchnBindInterdomain::new_zeroed();
    (bind.remote_dom, bind.remote_port) = (myself, far);
    let result = with_argument(EVENT_CHANNEL_OP, EVTCHNOP_BIND_INTERDOMAIN, &mut bind);
    must(calls::outcome(result), "bind_interdomain")?;
    let mut argument = EvtchnSend { port: bind.local_port };
    events::mask_port(far);
    events::mask_port(bind.local_port);
    row("evtchn_send_interdomain_self_masked", 500, || {
        events::clear_port(far);
        send(&mut argument)
    });
    events::clear_port(far);
    unmask(far);
    row("evtchn_send_interdomain_self_upcall", 500, || send(&mut argument));
    let mut status = EvtchnStatus::new_zeroed();
    (status.dom, status.port) = (myself, bind.local_port);
    let result = with_argument(EVENT_CHANNEL_OP, EVTCHNOP_STATUS, &mut status);
    must(calls::outcome(result), "status")?;
    Ok(status.u.dom)
}
