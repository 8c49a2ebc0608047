//! Errors and states of event_channel_op.
//!
//! `xen/include/public/event_channel.h`; Xen 4.17 `common/event_channel.c`. Expected: the errno of
//! each row; EVTCHNOP_status names what a port is bound to; ports are given lowest first and reused.
#![no_std]
#![no_main]
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{DOMID_SELF, DomId, Port, VcpuId};
use pv_abi::virq::{VIRQ_CONSOLE, VIRQ_DEBUG, VIRQ_TIMER};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, must, with_argument};
use ring1::calls;
use zerocopy::FromZeros;

guest!(run);

const ENOENT: i32 = -2;
const EEXIST: i32 = -17;
const EINVAL: i32 = -22;
const ENOSYS: i32 = -38;

fn op<T>(command: u32, mut argument: T) -> i32 {
    with_argument(EVENT_CHANNEL_OP, command, &mut argument)
}

fn status(port: Port) -> (i32, u32, u32, u32) {
    let mut status = EvtchnStatus::new_zeroed();
    status.dom = DomId::new(DOMID_SELF);
    status.port = port;
    let result = with_argument(EVENT_CHANNEL_OP, EVTCHNOP_STATUS, &mut status);
    (result, status.status, status.vcpu.raw(), status.u.irq())
}

fn bind_virq(virq: u32, vcpu: u32) -> i32 {
    op(EVTCHNOP_BIND_VIRQ, EvtchnBindVirq { virq, vcpu: VcpuId::new(vcpu), port: Port::new(0) })
}

fn run(_: &'static StartInfo) -> Outcome {
    let first = must(calls::evtchn_bind_ipi(VcpuId::new(0)), "bind_ipi")?;
    let second = must(calls::evtchn_bind_virq(VIRQ_TIMER), "bind_virq timer")?;
    check_eq!(second.raw(), first.raw() + 1, "the next port");
    check_eq!(status(first), (0, EVTCHNSTAT_IPI, 0, 0), "status of an IPI port");
    check_eq!(status(second), (0, EVTCHNSTAT_VIRQ, 0, VIRQ_TIMER), "status of a VIRQ port");
    check_eq!(status(Port::new(second.raw() + 1)).1, EVTCHNSTAT_CLOSED, "status of a free port");
    check_eq!(status(Port::new(1024)).0, EINVAL, "status of port 1024");

    check_eq!(bind_virq(VIRQ_TIMER, 0), EEXIST, "the timer a second time");
    check_eq!(bind_virq(24, 0), EINVAL, "VIRQ 24");
    check_eq!(bind_virq(u32::MAX, 0), EINVAL, "VIRQ -1");
    check_eq!(bind_virq(VIRQ_DEBUG, 4096), ENOENT, "a VIRQ of vCPU 4096");
    check_eq!(bind_virq(VIRQ_CONSOLE, 1), EINVAL, "a global VIRQ of vCPU 1");
    let ipi = EvtchnBindIpi { vcpu: VcpuId::new(4096), port: Port::new(0) };
    check_eq!(op(EVTCHNOP_BIND_IPI, ipi), ENOENT, "an IPI of vCPU 4096");

    for (name, port) in [("port 0", 0), ("a free port", 500), ("port 1024", 1024), ("-1", u32::MAX)]
    {
        let port = Port::new(port);
        check_eq!(op(EVTCHNOP_SEND, EvtchnSend { port }), EINVAL, "send to {name}");
        check_eq!(op(EVTCHNOP_CLOSE, EvtchnClose { port }), EINVAL, "close {name}");
    }
    check_eq!(op(EVTCHNOP_SEND, EvtchnSend { port: second }), EINVAL, "send to a VIRQ");
    for port in [1024, u32::MAX] {
        let port = Port::new(port);
        check_eq!(op(EVTCHNOP_UNMASK, EvtchnUnmask { port }), EINVAL, "unmask {port:?}");
    }
    let bind = EvtchnBindVcpu { port: first, vcpu: VcpuId::new(0) };
    check_eq!(op(EVTCHNOP_BIND_VCPU, bind), EINVAL, "bind_vcpu of an IPI");
    for command in [15, 1000, u32::MAX] {
        check_eq!(op(command, [0u32; 8]), ENOSYS, "command {command}");
    }
    // A closed port is the next one given.
    must(calls::evtchn_close(first), "close")?;
    let again = must(calls::evtchn_bind_ipi(VcpuId::new(0)), "bind_ipi again")?;
    check_eq!(again, first, "the port after a close");
    must(calls::evtchn_close(second), "close the timer")?;
    check!(calls::evtchn_bind_virq(VIRQ_TIMER).is_ok(), "the timer after a close");
    Ok(())
}
