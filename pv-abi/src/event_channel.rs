//! `event_channel_op(cmd, args)` and the layouts of event delivery.
//!
//! The two-level bit arrays are in `SharedInfo` of the guest's width, as is
//! `EVTCHN_2L_NR_CHANNELS`.

use crate::types::{DomId, Port, VcpuId};

layouts! { in "event_channel.h";
    /// Argument of [`EVTCHNOP_ALLOC_UNBOUND`].
    struct EvtchnAllocUnbound("struct evtchn_alloc_unbound", 8) {
        /// IN: the domain that gets the port; unprivileged: `DOMID_SELF`.
        dom: DomId,
        /// IN: the domain that may bind to it.
        remote_dom: DomId,
        /// OUT: the new port, in `dom`.
        port: Port,
    }

    /// Argument of [`EVTCHNOP_BIND_INTERDOMAIN`].
    struct EvtchnBindInterdomain("struct evtchn_bind_interdomain", 12) {
        /// IN: the domain of the unbound port.
        remote_dom: DomId,
        /// Padding.
        _pad: [u8; 2] => [],
        /// IN: the unbound port, which accepts the caller.
        remote_port: Port,
        /// OUT: the new port of the caller; it is set pending at once.
        local_port: Port,
    }

    /// Argument of [`EVTCHNOP_BIND_VIRQ`].
    struct EvtchnBindVirq("struct evtchn_bind_virq", 12) {
        /// IN: one of [`crate::virq`].
        virq: u32,
        /// IN: the vCPU to notify; 0 for a global one.
        vcpu: VcpuId,
        /// OUT: the new port.
        port: Port,
    }

    /// Argument of [`EVTCHNOP_BIND_PIRQ`].
    struct EvtchnBindPirq("struct evtchn_bind_pirq", 12) {
        /// IN: the physical interrupt.
        pirq: u32,
        /// IN: 0 or [`BIND_PIRQ_WILL_SHARE`].
        flags: u32,
        /// OUT: the new port.
        port: Port,
    }

    /// Argument of [`EVTCHNOP_BIND_IPI`].
    struct EvtchnBindIpi("struct evtchn_bind_ipi", 8) {
        /// IN: the vCPU to notify, for good.
        vcpu: VcpuId,
        /// OUT: the new port.
        port: Port,
    }

    /// Argument of [`EVTCHNOP_CLOSE`].
    struct EvtchnClose("struct evtchn_close", 4) {
        /// IN: the port; the other end of an interdomain one becomes unbound.
        port: Port,
    }

    /// Argument of [`EVTCHNOP_SEND`].
    struct EvtchnSend("struct evtchn_send", 4) {
        /// IN: the local port; its other end is notified.
        port: Port,
    }

    /// Argument of [`EVTCHNOP_STATUS`].
    struct EvtchnStatus("struct evtchn_status", 24) {
        /// IN: the domain, `DOMID_SELF` if unprivileged.
        dom: DomId,
        /// Padding.
        _pad: [u8; 2] => [],
        /// IN: the port.
        port: Port,
        /// OUT: one of `EVTCHNSTAT_*`.
        status: u32,
        /// OUT: the vCPU that the port notifies.
        vcpu: VcpuId,
        /// OUT: the other end, by `status`; the union in its largest form.
        u: EvtchnStatusInterdomain => ["u", "u.interdomain", "u.unbound.dom", "u.pirq", "u.virq"],
    }

    /// The largest form of [`EvtchnStatus::u`]: the other end of an
    /// interdomain channel. An unbound one has `dom` alone; for a physical or
    /// virtual interrupt the first four bytes are its number
    /// ([`EvtchnStatusInterdomain::from_irq`]).
    struct EvtchnStatusInterdomain("__typeof__(((struct evtchn_status *)0)->u.interdomain)", 8) {
        /// OUT: the remote domain.
        dom: DomId,
        /// Padding, or bits 31..16 of an interrupt number.
        irq_hi: u16 => [],
        /// OUT: the remote port.
        port: Port,
    }

    /// Argument of [`EVTCHNOP_BIND_VCPU`].
    struct EvtchnBindVcpu("struct evtchn_bind_vcpu", 8) {
        /// IN: the port.
        port: Port,
        /// IN: the vCPU that it notifies from now on.
        vcpu: VcpuId,
    }

    /// Argument of [`EVTCHNOP_UNMASK`].
    struct EvtchnUnmask("struct evtchn_unmask", 4) {
        /// IN: the port to unmask; delivered if pending.
        port: Port,
    }

    /// Argument of [`EVTCHNOP_RESET`].
    struct EvtchnReset("struct evtchn_reset", 2) {
        /// IN: the domain, `DOMID_SELF` if unprivileged.
        dom: DomId,
    }

    /// Argument of [`EVTCHNOP_INIT_CONTROL`] (FIFO).
    struct EvtchnInitControl("struct evtchn_init_control", 24) {
        /// IN: frame of the control block.
        control_gfn: u64,
        /// IN: byte offset of the control block in it.
        offset: u32,
        /// IN: the vCPU.
        vcpu: VcpuId,
        /// OUT: number of link bits.
        link_bits: u8,
        /// Padding.
        _pad: [u8; 7],
    }

    /// Argument of [`EVTCHNOP_EXPAND_ARRAY`] (FIFO).
    struct EvtchnExpandArray("struct evtchn_expand_array", 8) {
        /// IN: frame of the next page of event words.
        array_gfn: u64,
    }

    /// Argument of [`EVTCHNOP_SET_PRIORITY`] (FIFO).
    struct EvtchnSetPriority("struct evtchn_set_priority", 8) {
        /// IN: the port.
        port: Port,
        /// IN: 0 (highest) to 15.
        priority: u32,
    }

    /// The FIFO control block of a vCPU, in shared memory.
    struct EvtchnFifoControlBlock("struct evtchn_fifo_control_block", 72) {
        /// Bitmap of the priorities that have events.
        ready: u32,
        /// Reserved.
        _rsvd: u32,
        /// First port of each priority's queue.
        head: [u32; EVTCHN_FIFO_MAX_QUEUES],
    }
}

impl EvtchnStatusInterdomain {
    /// The union holding the number of a physical or virtual interrupt.
    #[must_use]
    pub const fn from_irq(irq: u32) -> Self {
        let [a, b, c, d] = irq.to_le_bytes();
        Self {
            dom: DomId::new(u16::from_le_bytes([a, b])),
            irq_hi: u16::from_le_bytes([c, d]),
            port: Port::new(0),
        }
    }

    /// The union read as the number of a physical or virtual interrupt.
    #[must_use]
    pub const fn irq(self) -> u32 {
        let [a, b] = self.dom.raw().to_le_bytes();
        let [c, d] = self.irq_hi.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

constants! { in "event_channel.h";
    /// Connects a new port to an unbound one of another domain.
    EVTCHNOP_BIND_INTERDOMAIN: u32 = 0 => "EVTCHNOP_bind_interdomain";
    /// Binds a new port to a virtual interrupt.
    EVTCHNOP_BIND_VIRQ: u32 = 1 => "EVTCHNOP_bind_virq";
    /// Binds a new port to a physical interrupt.
    EVTCHNOP_BIND_PIRQ: u32 = 2 => "EVTCHNOP_bind_pirq";
    /// Closes a port.
    EVTCHNOP_CLOSE: u32 = 3 => "EVTCHNOP_close";
    /// Notifies the other end of a port.
    EVTCHNOP_SEND: u32 = 4 => "EVTCHNOP_send";
    /// Tells the state of a port.
    EVTCHNOP_STATUS: u32 = 5 => "EVTCHNOP_status";
    /// Allocates a port that another domain may bind to.
    EVTCHNOP_ALLOC_UNBOUND: u32 = 6 => "EVTCHNOP_alloc_unbound";
    /// Allocates a port that notifies a vCPU of the caller.
    EVTCHNOP_BIND_IPI: u32 = 7 => "EVTCHNOP_bind_ipi";
    /// Chooses the vCPU that a port notifies.
    EVTCHNOP_BIND_VCPU: u32 = 8 => "EVTCHNOP_bind_vcpu";
    /// Unmasks a port and delivers what is pending.
    EVTCHNOP_UNMASK: u32 = 9 => "EVTCHNOP_unmask";
    /// Closes all ports of a domain and goes back to the two-level ABI.
    EVTCHNOP_RESET: u32 = 10 => "EVTCHNOP_reset";
    /// Switches a vCPU to the FIFO ABI.
    EVTCHNOP_INIT_CONTROL: u32 = 11 => "EVTCHNOP_init_control";
    /// Adds a page of FIFO event words.
    EVTCHNOP_EXPAND_ARRAY: u32 = 12 => "EVTCHNOP_expand_array";
    /// Sets a port's FIFO priority.
    EVTCHNOP_SET_PRIORITY: u32 = 13 => "EVTCHNOP_set_priority";

    /// Flag of [`EvtchnBindPirq`]: the interrupt line is shared.
    BIND_PIRQ_WILL_SHARE: u32 = 1 => "BIND_PIRQ__WILL_SHARE";

    /// The port is not in use.
    EVTCHNSTAT_CLOSED: u32 = 0 => "EVTCHNSTAT_closed";
    /// The port waits for another domain to bind.
    EVTCHNSTAT_UNBOUND: u32 = 1 => "EVTCHNSTAT_unbound";
    /// The port is connected to another domain's.
    EVTCHNSTAT_INTERDOMAIN: u32 = 2 => "EVTCHNSTAT_interdomain";
    /// The port is bound to a physical interrupt.
    EVTCHNSTAT_PIRQ: u32 = 3 => "EVTCHNSTAT_pirq";
    /// The port is bound to a virtual interrupt.
    EVTCHNSTAT_VIRQ: u32 = 4 => "EVTCHNSTAT_virq";
    /// The port notifies a vCPU of its own domain.
    EVTCHNSTAT_IPI: u32 = 5 => "EVTCHNSTAT_ipi";

    /// Highest FIFO priority.
    EVTCHN_FIFO_PRIORITY_MAX: u32 = 0;
    /// FIFO priority of a new port.
    EVTCHN_FIFO_PRIORITY_DEFAULT: u32 = 7;
    /// Lowest FIFO priority.
    EVTCHN_FIFO_PRIORITY_MIN: u32 = 15;
    /// Number of FIFO queues a vCPU.
    EVTCHN_FIFO_MAX_QUEUES: usize = 16;
    /// Bit number of an event word: pending.
    EVTCHN_FIFO_PENDING: u32 = 31;
    /// Bit number of an event word: masked.
    EVTCHN_FIFO_MASKED: u32 = 30;
    /// Bit number of an event word: in a queue.
    EVTCHN_FIFO_LINKED: u32 = 29;
    /// Bit number of an event word: the link is being changed.
    EVTCHN_FIFO_BUSY: u32 = 28;
    /// Number of bits of an event word that link to the next port.
    EVTCHN_FIFO_LINK_BITS: u32 = 17;
    /// Mask of those bits.
    EVTCHN_FIFO_LINK_MASK: u32 = (1 << 17) - 1;
    /// Number of ports under the FIFO ABI.
    EVTCHN_FIFO_NR_CHANNELS: u32 = 1 << 17;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn irq_shares_the_bytes_of_the_domain() {
        let u = EvtchnStatusInterdomain::from_irq(0x1234_5678);
        assert_eq!((u.dom.raw(), u.irq()), (0x5678, 0x1234_5678));
    }
}
