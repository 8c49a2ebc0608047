//! Event channel operations as a guest's kernel makes them: a negative result is an error.

use std::sync::Arc;

use hypervisor::width::Width;
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{DomId, Mfn, Port, VcpuId};
use zerocopy::FromZeros;

use crate::guest::{Guest, Spec};

/// A 32-bit and a 64-bit guest with three vCPUs.
pub fn both() -> impl Iterator<Item = Guest> {
    [Width::Pv32, Width::Pv64]
        .into_iter()
        .map(|width| Guest::with(Spec { width, vcpus: 3, ..Spec::default() }))
}

/// The ports that a guest can have with the two-level ABI.
pub fn limit(guest: &Guest) -> u32 {
    match guest.domain().width() {
        Width::Pv32 => 1024,
        Width::Pv64 => 4096,
    }
}

/// Two domains on one machine, 0 and 1, of which 0 is privileged.
pub fn two() -> (Guest, Guest) {
    let zero = Guest::pv32();
    let spec = Spec { id: 1, privileged: false, ..Spec::default() };
    let one = Guest::on(Arc::clone(&zero.sys), spec);
    (zero, one)
}

/// A port if the call succeeded.
fn as_result(result: i64, port: Port) -> Result<u32, i64> {
    if result == 0 { Ok(port.raw()) } else { Err(result) }
}

/// `EVTCHNOP_bind_ipi`.
pub fn bind_ipi(guest: &mut Guest, vcpu: u32) -> Result<u32, i64> {
    guest.load();
    let arg = EvtchnBindIpi { vcpu: VcpuId::new(vcpu), port: Port::new(0xdead) };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_IPI, &arg);
    as_result(result, out.port)
}

/// `EVTCHNOP_bind_virq`.
pub fn bind_virq(guest: &mut Guest, virq: u32, vcpu: u32) -> Result<u32, i64> {
    guest.load();
    let arg = EvtchnBindVirq { virq, vcpu: VcpuId::new(vcpu), port: Port::new(0) };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_VIRQ, &arg);
    as_result(result, out.port)
}

/// `EVTCHNOP_alloc_unbound`.
pub fn alloc_unbound(guest: &mut Guest, dom: u16, remote: u16) -> Result<u32, i64> {
    guest.load();
    let (dom, remote_dom) = (DomId::new(dom), DomId::new(remote));
    let arg = EvtchnAllocUnbound { dom, remote_dom, port: Port::new(0) };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_ALLOC_UNBOUND, &arg);
    as_result(result, out.port)
}

/// `EVTCHNOP_bind_interdomain`.
pub fn bind_interdomain(guest: &mut Guest, remote: u16, port: u32) -> Result<u32, i64> {
    guest.load();
    let arg = EvtchnBindInterdomain {
        remote_dom: DomId::new(remote),
        remote_port: Port::new(port),
        ..EvtchnBindInterdomain::new_zeroed()
    };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_INTERDOMAIN, &arg);
    as_result(result, out.local_port)
}

/// `EVTCHNOP_bind_vcpu`.
pub fn bind_vcpu(guest: &mut Guest, port: u32, vcpu: u32) -> i64 {
    guest.load();
    let arg = EvtchnBindVcpu { port: Port::new(port), vcpu: VcpuId::new(vcpu) };
    guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_VCPU, &arg).0
}

/// An operation whose argument is a port and nothing else.
pub fn port_op(guest: &mut Guest, cmd: u32, port: u32) -> i64 {
    guest.load();
    guest.op(EVENT_CHANNEL_OP, cmd, &port).0
}

/// `EVTCHNOP_send`.
pub fn send(guest: &mut Guest, port: u32) -> i64 {
    port_op(guest, EVTCHNOP_SEND, port)
}

/// `EVTCHNOP_close`.
pub fn close(guest: &mut Guest, port: u32) -> i64 {
    port_op(guest, EVTCHNOP_CLOSE, port)
}

/// `EVTCHNOP_status` of a port of domain `dom`.
pub fn status_of(guest: &mut Guest, dom: u16, port: u32) -> Result<EvtchnStatus, i64> {
    guest.load();
    let arg =
        EvtchnStatus { dom: DomId::new(dom), port: Port::new(port), ..EvtchnStatus::new_zeroed() };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_STATUS, &arg);
    if result == 0 { Ok(out) } else { Err(result) }
}

/// `EVTCHNOP_status` of a port of its own.
pub fn status(guest: &mut Guest, port: u32) -> Result<EvtchnStatus, i64> {
    status_of(guest, DomId::SELF.raw(), port)
}

/// `EVTCHNOP_unmask`.
pub fn unmask(guest: &mut Guest, port: u32) -> i64 {
    port_op(guest, EVTCHNOP_UNMASK, port)
}

/// `EVTCHNOP_bind_pirq`.
pub fn bind_pirq(guest: &mut Guest, pirq: u32) -> Result<u32, i64> {
    guest.load();
    let arg = EvtchnBindPirq { pirq, flags: BIND_PIRQ_WILL_SHARE, port: Port::new(0) };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_PIRQ, &arg);
    as_result(result, out.port)
}

/// `EVTCHNOP_reset`.
pub fn reset(guest: &mut Guest, dom: u16) -> i64 {
    guest.load();
    let arg = EvtchnReset { dom: DomId::new(dom) };
    guest.op(EVENT_CHANNEL_OP, EVTCHNOP_RESET, &arg).0
}

/// `EVTCHNOP_init_control`; the number of bits in a link.
pub fn init_control(guest: &mut Guest, vcpu: u32, mfn: Mfn, offset: u32) -> Result<u8, i64> {
    guest.load();
    let arg = EvtchnInitControl {
        control_gfn: mfn.raw(),
        offset,
        vcpu: VcpuId::new(vcpu),
        ..EvtchnInitControl::new_zeroed()
    };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_INIT_CONTROL, &arg);
    if result == 0 { Ok(out.link_bits) } else { Err(result) }
}

/// `EVTCHNOP_expand_array`.
pub fn expand_array(guest: &mut Guest, mfn: Mfn) -> i64 {
    guest.load();
    let arg = EvtchnExpandArray { array_gfn: mfn.raw() };
    guest.op(EVENT_CHANNEL_OP, EVTCHNOP_EXPAND_ARRAY, &arg).0
}

/// `EVTCHNOP_set_priority`.
pub fn set_priority(guest: &mut Guest, port: u32, priority: u32) -> i64 {
    guest.load();
    let arg = EvtchnSetPriority { port: Port::new(port), priority };
    guest.op(EVENT_CHANNEL_OP, EVTCHNOP_SET_PRIORITY, &arg).0
}
