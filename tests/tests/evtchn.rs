//! `event_channel_op`: every operation, through the real dispatch, for guests of both widths.

use std::sync::Arc;

use hypervisor::evtchn::virq::raise;
use hypervisor::mm::frame::Owner;
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{DomId, VcpuId};
use pv_abi::virq::*;
use pv_tests::channels::*;
use pv_tests::check;
use pv_tests::guest::Guest;

const EPERM: i64 = Errno::EPERM.to_ret();
const ENOENT: i64 = Errno::ENOENT.to_ret();
const ESRCH: i64 = Errno::ESRCH.to_ret();
const ENOMEM: i64 = Errno::ENOMEM.to_ret();
const EFAULT: i64 = Errno::EFAULT.to_ret();
const EEXIST: i64 = Errno::EEXIST.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ENOSPC: i64 = Errno::ENOSPC.to_ret();
const ENOSYS: i64 = Errno::ENOSYS.to_ret();

/// `EVTCHNOP_reset_cont`, which the headers do not show to guests.
const RESET_CONT: u32 = 14;

/// An address where nothing is mapped.
const NOWHERE: u64 = 0x10_0000;

// ---- ports ------------------------------------------------------------------------------

#[test]
fn ports_begin_at_one_and_the_lowest_free_is_taken() {
    for mut guest in both() {
        for expected in 1..=70 {
            assert_eq!(bind_ipi(&mut guest, 0), Ok(expected));
        }
        assert_eq!(close(&mut guest, 40), 0);
        assert_eq!(close(&mut guest, 7), 0);
        assert_eq!(bind_ipi(&mut guest, 0), Ok(7));
        assert_eq!(bind_ipi(&mut guest, 0), Ok(40));
        assert_eq!(bind_ipi(&mut guest, 0), Ok(71));
    }
}

#[test]
fn a_domain_has_as_many_ports_as_its_bitmap() {
    for mut guest in both() {
        let limit = limit(&guest);
        for expected in 1..limit {
            assert_eq!(bind_ipi(&mut guest, 1), Ok(expected));
        }
        assert_eq!(bind_ipi(&mut guest, 1), Err(ENOSPC));
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, 0), Err(ENOSPC));
        assert_eq!(alloc_unbound(&mut guest, 0, 0), Err(ENOSPC));
        assert_eq!(bind_interdomain(&mut guest, 0, 5), Err(ENOSPC));
        let last = limit - 1;
        assert_eq!(send(&mut guest, last), 0);
        assert!(guest.pending(last));
        assert_eq!(guest.selector(1), 1 << if limit == 1024 { 31 } else { 63 });
        assert_eq!(close(&mut guest, last), 0);
        assert!(!guest.pending(last), "closing clears it");
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, 0), Ok(last));
        check::invariants(&guest.sys);
    }
}

#[test]
fn ports_exist_in_groups_of_64() {
    for mut guest in both() {
        let closed = Ok(EVTCHNSTAT_CLOSED);
        for port in [0, 1, 63] {
            assert_eq!(status(&mut guest, port).map(|s| s.status), closed, "{port}");
        }
        for port in [64, 511, 1023, 1024, 4095, 4096, u32::MAX] {
            assert_eq!(status(&mut guest, port), Err(EINVAL), "{port}");
        }
        for _ in 1..65 {
            bind_ipi(&mut guest, 0).unwrap();
        }
        assert_eq!(status(&mut guest, 127).map(|s| s.status), closed);
        assert_eq!(status(&mut guest, 128), Err(EINVAL));
    }
}

#[test]
fn without_memory_for_the_table_nothing_is_bound() {
    for mut guest in both() {
        let sys = Arc::clone(&guest.sys);
        let mut taken = Vec::new();
        while let Ok(mfn) = sys.memory.allocate(Owner::Hypervisor, 0) {
            taken.push(mfn);
        }
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, 0), Err(ENOMEM));
        assert_eq!(alloc_unbound(&mut guest, 0, 0), Err(ENOMEM));
        assert_eq!(bind_interdomain(&mut guest, 0, 5), Err(ENOMEM));
        for mfn in taken {
            sys.memory.release(mfn, 0);
        }
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, 0), Ok(1));
        check::invariants(&sys);
    }
}

#[test]
fn what_is_no_bound_port_is_refused() {
    for mut guest in both() {
        let timer = bind_virq(&mut guest, VIRQ_TIMER, 0).unwrap();
        for port in [0, timer + 1, 63, 64, 511, 512, 1023, 1024, 4095, 4096, 0x8000_0000, u32::MAX]
        {
            assert_eq!(send(&mut guest, port), EINVAL, "send {port}");
            assert_eq!(close(&mut guest, port), EINVAL, "close {port}");
            assert_eq!(bind_vcpu(&mut guest, port, 0), EINVAL, "bind_vcpu {port}");
            assert_eq!(bind_interdomain(&mut guest, 0, port), Err(EINVAL), "{port}");
            let expected = if port < 64 { 0 } else { EINVAL };
            assert_eq!(unmask(&mut guest, port), expected, "unmask {port}");
        }
        assert_eq!(send(&mut guest, timer), EINVAL, "virtual interrupts are not for sending");
        assert!(!guest.upcall_pending(0));
    }
}

#[test]
fn other_operations_do_not_exist() {
    let mut guest = Guest::pv32();
    let known = [
        EVTCHNOP_BIND_INTERDOMAIN,
        EVTCHNOP_BIND_VIRQ,
        EVTCHNOP_BIND_PIRQ,
        EVTCHNOP_CLOSE,
        EVTCHNOP_SEND,
        EVTCHNOP_STATUS,
        EVTCHNOP_ALLOC_UNBOUND,
        EVTCHNOP_BIND_IPI,
        EVTCHNOP_BIND_VCPU,
        EVTCHNOP_UNMASK,
        EVTCHNOP_RESET,
        EVTCHNOP_INIT_CONTROL,
        EVTCHNOP_EXPAND_ARRAY,
        EVTCHNOP_SET_PRIORITY,
        RESET_CONT,
    ];
    for cmd in (0..40).chain([u32::MAX]).filter(|cmd| !known.contains(cmd)) {
        assert_eq!(guest.call(EVENT_CHANNEL_OP, &[cmd.into(), NOWHERE]), ENOSYS, "{cmd}");
    }
    for cmd in known {
        for at in [NOWHERE, 0, 0xffff_ffff, 0xf580_0000 - 1] {
            assert_eq!(guest.call(EVENT_CHANNEL_OP, &[cmd.into(), at]), EFAULT, "{cmd} at {at:#x}");
        }
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_fault_and_the_port_stays_bound() {
    let mut guest = Guest::pv32();
    // A page table is readable, and read as an argument it is all zeros somewhere.
    let table = guest.va_of(guest.tables[1]) + 8;
    for (cmd, port) in [(EVTCHNOP_BIND_IPI, 1), (EVTCHNOP_BIND_VIRQ, 2)] {
        assert_eq!(guest.call(EVENT_CHANNEL_OP, &[cmd.into(), table]), EFAULT);
        assert_ne!(status(&mut guest, port).unwrap().status, EVTCHNSTAT_CLOSED);
        assert_eq!(close(&mut guest, port), 0);
        assert_eq!(bind_ipi(&mut guest, 0), Ok(port));
    }
}

// ---- delivery ---------------------------------------------------------------------------

#[test]
fn an_event_sets_its_bits_from_the_bottom_up() {
    for mut guest in both() {
        for port in 1..=100 {
            assert_eq!(bind_ipi(&mut guest, port % 3), Ok(port));
        }
        for port in [1, 31, 32, 63, 64, 65, 100] {
            let vcpu = port % 3;
            assert_eq!(send(&mut guest, port), 0);
            assert!(guest.pending(port) && guest.upcall_pending(vcpu));
            let bits = if limit(&guest) == 1024 { 32 } else { 64 };
            assert_eq!(guest.selector(vcpu), 1 << (port / bits), "port {port}");
            for other in (0..3).filter(|other| *other != vcpu) {
                assert!(!guest.upcall_pending(other) && guest.selector(other) == 0);
            }
            guest.forget_events(vcpu);
        }
    }
}

#[test]
fn a_masked_event_is_pending_and_nothing_more() {
    for mut guest in both() {
        let port = bind_ipi(&mut guest, 0).unwrap();
        guest.set_masked(port, true);
        assert_eq!(send(&mut guest, port), 0);
        assert!(guest.pending(port));
        assert!(!guest.upcall_pending(0) && guest.selector(0) == 0);
        // Unmasking delivers it, once.
        assert_eq!(unmask(&mut guest, port), 0);
        assert!(!guest.masked(port) && guest.upcall_pending(0) && guest.selector(0) == 1);
        guest.forget_events(0);
        assert_eq!(unmask(&mut guest, port), 0);
        assert!(!guest.upcall_pending(0), "nothing was pending");
        // Pending but not masked before: the one who set it has told the guest.
        guest.set_masked(port, false);
        assert_eq!(send(&mut guest, port), 0);
        guest.take_selector(0);
        assert_eq!(unmask(&mut guest, port), 0);
        assert!(guest.pending(port) && !guest.upcall_pending(0) && guest.selector(0) == 0);
    }
}

#[test]
fn what_is_set_already_stops_the_sender() {
    for mut guest in both() {
        let port = bind_ipi(&mut guest, 0).unwrap();
        let other = bind_ipi(&mut guest, 0).unwrap();
        assert_eq!(send(&mut guest, port), 0);
        // The guest has cleared the byte, but not yet looked at the selector.
        guest.info_words(0)[0].fetch_and(!0xff, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(send(&mut guest, port), 0, "pending already");
        assert_eq!(send(&mut guest, other), 0, "selected already");
        assert!(guest.pending(other));
        assert!(!guest.upcall_pending(0), "the guest is about to look");
        // It has taken the selector as well, and is about to look at the ports.
        guest.take_selector(0);
        assert_eq!(send(&mut guest, port), 0);
        assert!(!guest.upcall_pending(0) && guest.selector(0) == 0, "it will find it");
    }
}

// ---- virtual interrupts -----------------------------------------------------------------

#[test]
fn virtual_interrupts_are_bound_once() {
    for mut guest in both() {
        assert_eq!(bind_virq(&mut guest, NR_VIRQS, 0), Err(EINVAL));
        assert_eq!(bind_virq(&mut guest, u32::MAX, 0), Err(EINVAL));
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, 3), Err(ENOENT));
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, u32::MAX), Err(ENOENT));
        // Global ones begin on vCPU 0, and that is checked first.
        assert_eq!(bind_virq(&mut guest, VIRQ_CONSOLE, 1), Err(EINVAL));
        assert_eq!(bind_virq(&mut guest, VIRQ_ARCH_0, 77), Err(EINVAL));
        for vcpu in 0..3 {
            let port = bind_virq(&mut guest, VIRQ_TIMER, vcpu).unwrap();
            assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, vcpu), Err(EEXIST));
            let found = status(&mut guest, port).unwrap();
            assert_eq!((found.status, found.vcpu.raw()), (EVTCHNSTAT_VIRQ, vcpu));
            assert_eq!(found.u.irq(), VIRQ_TIMER);
        }
        let console = bind_virq(&mut guest, VIRQ_CONSOLE, 0).unwrap();
        assert_eq!(bind_virq(&mut guest, VIRQ_CONSOLE, 0), Err(EEXIST));
        assert_eq!(close(&mut guest, console), 0);
        assert_eq!(bind_virq(&mut guest, VIRQ_CONSOLE, 0), Ok(console), "it is free again");
    }
}

#[test]
fn a_virtual_interrupt_rings_the_port_of_its_vcpu() {
    for mut guest in both() {
        let sys = Arc::clone(&guest.sys);
        raise(&sys, guest.domain(), VcpuId::new(0), VIRQ_TIMER);
        raise(&sys, guest.domain(), VcpuId::new(99), VIRQ_TIMER);
        raise(&sys, guest.domain(), VcpuId::new(0), 99);
        assert!((0..3).all(|vcpu| !guest.upcall_pending(vcpu)), "nothing is bound");
        let ports: Vec<u32> =
            (0..3).map(|vcpu| bind_virq(&mut guest, VIRQ_TIMER, vcpu).unwrap()).collect();
        raise(&sys, guest.domain(), VcpuId::new(1), VIRQ_TIMER);
        assert!(guest.pending(ports[1]) && guest.upcall_pending(1));
        assert!(!guest.pending(ports[0]) && !guest.upcall_pending(0));
        // A global one goes where it was moved to, whatever vCPU is named.
        let console = bind_virq(&mut guest, VIRQ_CONSOLE, 0).unwrap();
        assert_eq!(bind_vcpu(&mut guest, console, 2), 0);
        raise(&sys, guest.domain(), VcpuId::new(1), VIRQ_CONSOLE);
        assert!(guest.pending(console) && guest.upcall_pending(2) && !guest.upcall_pending(0));
        // Closed from where it was moved to, it can be bound again.
        assert_eq!(close(&mut guest, console), 0);
        assert!(!guest.pending(console));
        raise(&sys, guest.domain(), VcpuId::new(0), VIRQ_CONSOLE);
        assert!(!guest.pending(console));
        assert_eq!(bind_virq(&mut guest, VIRQ_CONSOLE, 0), Ok(console));
    }
}

// ---- physical interrupts ----------------------------------------------------------------

#[test]
fn a_physical_interrupt_takes_permission() {
    for mut guest in both() {
        for (pirq, expected) in [(0, EPERM), (255, EPERM), (256, EINVAL), (u32::MAX, EINVAL)] {
            assert_eq!(bind_pirq(&mut guest, pirq), Err(expected));
            assert!(!hypervisor::evtchn::pirq::raise(&guest.sys, guest.domain(), pirq));
        }
        assert_eq!(bind_ipi(&mut guest, 0), Ok(1), "nothing was bound");
    }
}

// ---- vCPUs ------------------------------------------------------------------------------

#[test]
fn events_move_to_another_vcpu_if_their_kind_can() {
    for mut guest in both() {
        let ipi = bind_ipi(&mut guest, 0).unwrap();
        let timer = bind_virq(&mut guest, VIRQ_TIMER, 0).unwrap();
        let debugger = bind_virq(&mut guest, VIRQ_DEBUGGER, 0).unwrap();
        let unbound = alloc_unbound(&mut guest, DomId::SELF.raw(), 0).unwrap();
        assert_eq!(bind_ipi(&mut guest, 3), Err(ENOENT));
        assert_eq!(bind_vcpu(&mut guest, ipi, 1), EINVAL);
        assert_eq!(bind_vcpu(&mut guest, timer, 1), EINVAL);
        assert_eq!(bind_vcpu(&mut guest, debugger, 3), ENOENT);
        assert_eq!(bind_vcpu(&mut guest, 99, u32::MAX), ENOENT, "the vCPU is looked at first");
        assert_eq!(bind_vcpu(&mut guest, debugger, 2), 0);
        assert_eq!(bind_vcpu(&mut guest, unbound, 1), 0);
        // The vCPU survives being connected and disconnected.
        let local = bind_interdomain(&mut guest, 0, unbound).unwrap();
        guest.forget_events(0);
        assert_eq!(send(&mut guest, local), 0);
        assert!(guest.pending(unbound) && guest.upcall_pending(1) && !guest.upcall_pending(0));
        assert_eq!(close(&mut guest, local), 0);
        assert_eq!(status(&mut guest, unbound).unwrap().vcpu.raw(), 1);
        // A port that is bound anew begins on vCPU 0.
        assert_eq!(close(&mut guest, unbound), 0);
        assert_eq!(alloc_unbound(&mut guest, 0, 0), Ok(unbound.min(local)));
        assert_eq!(status(&mut guest, unbound.min(local)).unwrap().vcpu.raw(), 0);
    }
}

// ---- connections ------------------------------------------------------------------------

#[test]
fn a_loop_back_channel_connects_a_domain_with_itself() {
    for mut guest in both() {
        let far = alloc_unbound(&mut guest, DomId::SELF.raw(), DomId::SELF.raw()).unwrap();
        let near = bind_interdomain(&mut guest, DomId::SELF.raw(), far).unwrap();
        assert_ne!(near, far);
        assert!(guest.pending(near), "set on connecting, lest an event was lost");
        assert!(!guest.pending(far));
        guest.forget_events(0);
        assert_eq!(send(&mut guest, near), 0);
        assert!(guest.pending(far) && !guest.pending(near));
        assert_eq!(send(&mut guest, far), 0);
        assert!(guest.pending(near));
        let (a, b) = (status(&mut guest, near).unwrap(), status(&mut guest, far).unwrap());
        assert_eq!((a.status, a.u.dom.raw(), a.u.port.raw()), (EVTCHNSTAT_INTERDOMAIN, 0, far));
        assert_eq!((b.status, b.u.dom.raw(), b.u.port.raw()), (EVTCHNSTAT_INTERDOMAIN, 0, near));
        assert_eq!(close(&mut guest, far), 0);
        let left = status(&mut guest, near).unwrap();
        assert_eq!((left.status, left.u.dom.raw()), (EVTCHNSTAT_UNBOUND, 0));
        guest.forget_events(0);
        assert_eq!(send(&mut guest, near), 0, "lost, and no error");
        assert!(!guest.pending(far) && !guest.pending(near));
        assert_eq!(bind_interdomain(&mut guest, 0, near), Ok(far), "connected again");
    }
}

#[test]
fn two_domains_ring_each_other() {
    let (mut zero, mut one) = two();
    // Domain 1 offers a port to domain 0; port numbers differ on both sides.
    bind_ipi(&mut zero, 0).unwrap();
    let offered = alloc_unbound(&mut one, DomId::SELF.raw(), 0).unwrap();
    let waiting = status(&mut one, offered).unwrap();
    assert_eq!((waiting.status, waiting.u.dom.raw()), (EVTCHNSTAT_UNBOUND, 0));
    assert_eq!(bind_interdomain(&mut one, 1, offered), Err(EINVAL), "not for domain 1");
    let near = bind_interdomain(&mut zero, 1, offered).unwrap();
    assert_eq!((near, offered), (2, 1));
    assert_eq!(bind_interdomain(&mut zero, 1, offered), Err(EINVAL), "taken");
    assert!(zero.pending(near));
    zero.forget_events(0);
    assert_eq!(send(&mut zero, near), 0);
    assert!(one.pending(offered) && one.upcall_pending(0) && !zero.upcall_pending(0));
    assert_eq!(send(&mut one, offered), 0);
    assert!(zero.pending(near) && zero.upcall_pending(0));
    // Privilege lets domain 0 look at domain 1, and not the other way round.
    assert_eq!(status_of(&mut zero, 1, offered).unwrap().u.port.raw(), near);
    assert_eq!(status_of(&mut one, 0, near), Err(EPERM));
    assert_eq!(status_of(&mut one, 0, 999), Err(EINVAL), "the port is looked at first");
    assert_eq!(status_of(&mut one, 1, offered).unwrap().u.dom.raw(), 0);
    assert_eq!(close(&mut zero, near), 0);
    let left = status(&mut one, offered).unwrap();
    assert_eq!((left.status, left.u.dom.raw()), (EVTCHNSTAT_UNBOUND, 0));
    assert_eq!(bind_interdomain(&mut zero, 1, offered), Ok(near));
    assert_eq!(close(&mut one, offered), 0);
    assert_eq!(status(&mut zero, near).unwrap().u.dom.raw(), 1);
}

#[test]
fn ports_of_other_domains_take_privilege() {
    let (mut zero, mut one) = two();
    assert_eq!(alloc_unbound(&mut one, 0, 1), Err(EPERM));
    assert_eq!(alloc_unbound(&mut one, 5, 1), Err(ESRCH), "whether it exists is looked at first");
    for nobody in [2, 63, 64, 0x7fef, 0x7ff1, 0x7fff, 0xffff] {
        assert_eq!(alloc_unbound(&mut zero, nobody, 0), Err(ESRCH));
        assert_eq!(bind_interdomain(&mut zero, nobody, 1), Err(ESRCH));
        assert_eq!(status_of(&mut zero, nobody, 1), Err(ESRCH));
    }
    // For a domain that is yet to come; and domain 0 makes ports for others.
    assert_eq!(alloc_unbound(&mut zero, 1, 0x1234), Ok(1));
    let made = status(&mut one, 1).unwrap();
    assert_eq!((made.status, made.u.dom.raw()), (EVTCHNSTAT_UNBOUND, 0x1234));
    assert_eq!(alloc_unbound(&mut zero, 1, DomId::SELF.raw()), Ok(2));
    assert_eq!(status(&mut one, 2).unwrap().u.dom.raw(), 0, "SELF is the caller");
}
