//! Closing everything at once: `EVTCHNOP_reset`, and the end of a domain.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::error::Stop;
use hypervisor::evtchn::reset::release_all;
use hypervisor::evtchn::table::Abi;
use hypervisor::evtchn::virq;
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{DomId, Port, VcpuId};
use pv_abi::virq::*;
use pv_tests::channels::*;
use pv_tests::check;
use pv_tests::fifo::Fifo;
use pv_tests::guest::{Guest, Spec};

const EPERM: i64 = Errno::EPERM.to_ret();
const ESRCH: i64 = Errno::ESRCH.to_ret();
const EAGAIN: i64 = Errno::EAGAIN.to_ret();
const EBUSY: i64 = Errno::EBUSY.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();

/// `EVTCHNOP_reset_cont`.
const GO_ON: u64 = 14;
const SELF: u16 = DomId::SELF.raw();

fn closed(guest: &mut Guest, port: u32) -> bool {
    status(guest, port).map(|s| s.status) == Ok(EVTCHNSTAT_CLOSED)
}

#[test]
fn a_reset_closes_ports_of_every_kind() {
    for mut guest in both() {
        let ipi = bind_ipi(&mut guest, 1).unwrap();
        let timer = bind_virq(&mut guest, VIRQ_TIMER, 2).unwrap();
        let console = bind_virq(&mut guest, VIRQ_CONSOLE, 0).unwrap();
        assert_eq!(bind_vcpu(&mut guest, console, 2), 0);
        let unbound = alloc_unbound(&mut guest, SELF, 7).unwrap();
        let far = alloc_unbound(&mut guest, SELF, SELF).unwrap();
        let near = bind_interdomain(&mut guest, SELF, far).unwrap();
        assert_eq!(send(&mut guest, ipi), 0);
        assert_eq!(reset(&mut guest, SELF), 0);
        for port in [ipi, timer, console, unbound, far, near] {
            assert!(closed(&mut guest, port), "{port}");
            assert!(!guest.pending(port));
        }
        assert_eq!(bind_virq(&mut guest, VIRQ_CONSOLE, 0), Ok(1));
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, 2), Ok(2));
        assert_eq!(reset(&mut guest, 0), 0, "by its own number");
        assert_eq!(reset(&mut guest, SELF), 0, "with nothing to close");
    }
}

#[test]
fn a_reset_takes_a_domain_that_is_the_callers_to_touch() {
    let (mut zero, mut one) = two();
    assert_eq!(reset(&mut one, 0), EPERM);
    assert_eq!(reset(&mut one, 9), ESRCH);
    assert_eq!(reset(&mut zero, 9), ESRCH);
    assert_eq!(reset(&mut zero, 1), EINVAL, "it is not paused");
    let port = bind_ipi(&mut one, 0).unwrap();
    assert_eq!(reset(&mut zero, SELF), 0);
    assert!(!closed(&mut one, port));
    assert_eq!(zero.sys.pause(one.domain()), Ok(()));
    assert_eq!(reset(&mut zero, 1), 0);
    assert!(closed(&mut one, port));
    assert_eq!(zero.sys.unpause(one.domain()), Ok(()));
    assert_eq!(reset(&mut zero, 1), EINVAL);
}

#[test]
fn the_other_ends_wait_again() {
    let (mut zero, mut one) = two();
    let offered = alloc_unbound(&mut zero, SELF, 1).unwrap();
    let near = bind_interdomain(&mut one, 0, offered).unwrap();
    assert_eq!(reset(&mut one, SELF), 0);
    assert!(closed(&mut one, near));
    let left = status(&mut zero, offered).unwrap();
    assert_eq!((left.status, left.u.dom.raw()), (EVTCHNSTAT_UNBOUND, 1));
    assert_eq!(bind_interdomain(&mut one, 0, offered), Ok(near));
}

#[test]
fn a_reset_ends_the_fifo_abi_and_gives_its_pages_back() {
    for mut guest in both() {
        let fifo = Fifo::new(&mut guest);
        let port = bind_ipi(&mut guest, 0).unwrap();
        assert_eq!(send(&mut guest, port), 0);
        assert!(!guest.domain().events.frames_held().is_empty());
        assert_eq!(reset(&mut guest, SELF), 0);
        assert_ne!(guest.domain().events.abi(), Abi::Fifo);
        assert!(guest.domain().events.frames_held().is_empty());
        check::invariants(&guest.sys);
        guest.take_selector(0);
        let before = fifo.word(&guest, port).load(Ordering::SeqCst);
        assert_eq!(bind_ipi(&mut guest, 0), Ok(port), "a queue does not hold it any more");
        assert_eq!(send(&mut guest, port), 0);
        assert!(guest.pending(port) && guest.upcall_pending(0));
        assert_eq!(fifo.word(&guest, port).load(Ordering::SeqCst), before);
        // And once more.
        Fifo::new(&mut guest);
        check::invariants(&guest.sys);
    }
}

// ---- the end of a domain ----------------------------------------------------------------

#[test]
fn a_domain_that_ends_leaves_nothing() {
    let (mut zero, mut one) = two();
    Fifo::new(&mut one);
    let offered = alloc_unbound(&mut zero, SELF, 1).unwrap();
    let near = bind_interdomain(&mut one, 0, offered).unwrap();
    let unbound = alloc_unbound(&mut one, SELF, 0).unwrap();
    for _ in 0..3000 {
        bind_ipi(&mut one, 0).unwrap();
    }
    zero.sys.virq_handlers.set(VIRQ_DOM_EXC, DomId::new(1)).unwrap();
    let sys = Arc::clone(&zero.sys);
    let mut steps = 1;
    while release_all(&sys, one.domain()) == Err(Stop::Preempted) {
        steps += 1;
        // Meanwhile others ring and bind.
        assert_eq!(send(&mut zero, offered), 0);
        assert!(alloc_unbound(&mut zero, 1, 0).is_err());
        assert!(steps < 100);
    }
    assert!(steps > 2, "3000 ports at a stretch");
    assert!(closed(&mut one, near) && closed(&mut one, unbound));
    assert_eq!(status(&mut zero, offered).unwrap().status, EVTCHNSTAT_UNBOUND);
    assert_eq!(bind_interdomain(&mut zero, 1, unbound), Err(EINVAL));
    assert_eq!(alloc_unbound(&mut zero, 1, 0), Err(EINVAL), "no port is given out");
    assert!(one.domain().events.frames_held().is_empty());
    assert_eq!(sys.virq_handlers.of(VIRQ_DOM_EXC), DomId::new(0));
    assert_eq!(release_all(&sys, one.domain()), Ok(()), "once more is nothing");
    check::invariants(&sys);
    one.domain().events.free_table(&sys.memory);
    assert_eq!(one.domain().events.frames(), 0);
    check::invariants(&sys);
}

// ---- virtual interrupts of the machine --------------------------------------------------

#[test]
fn what_concerns_the_machine_is_told_one_domain() {
    let (mut zero, mut one) = two();
    let sys = Arc::clone(&zero.sys);
    let handlers = &sys.virq_handlers;
    let (a, b) = (
        bind_virq(&mut zero, VIRQ_DOM_EXC, 0).unwrap(),
        bind_virq(&mut one, VIRQ_DOM_EXC, 0).unwrap(),
    );
    virq::raise_global(&sys, VIRQ_DOM_EXC);
    assert!(zero.pending(a) && !one.pending(b));
    for (number, expected) in [
        (VIRQ_TIMER, Err(Errno::EINVAL)),
        (VIRQ_DEBUG, Err(Errno::EINVAL)),
        (NR_VIRQS, Err(Errno::EINVAL)),
        (u32::MAX, Err(Errno::EINVAL)),
        (VIRQ_DOM_EXC, Ok(())),
    ] {
        assert_eq!(handlers.set(number, DomId::new(1)), expected);
    }
    zero.forget_events(0);
    virq::raise_global(&sys, VIRQ_DOM_EXC);
    assert!(one.pending(b) && !zero.pending(a));
    // A number that nobody has, or that is none.
    handlers.set(VIRQ_CONSOLE, DomId::new(40)).unwrap();
    virq::raise_global(&sys, VIRQ_CONSOLE);
    virq::raise_global(&sys, NR_VIRQS);
}

// ---- advisories -------------------------------------------------------------------------

/// A port that was valid stays so after the ABI that had it is gone.
#[test]
fn xsa_338_a_port_past_the_two_level_abi_stays_a_port() {
    for mut guest in both() {
        Fifo::new(&mut guest);
        let limit = limit(&guest);
        for expected in 1..limit + 100 {
            assert_eq!(bind_ipi(&mut guest, 0), Ok(expected));
        }
        assert_eq!(reset(&mut guest, SELF), 0);
        for port in [limit - 1, limit, limit + 99] {
            assert!(closed(&mut guest, port), "{port}");
            assert_eq!(unmask(&mut guest, port), 0);
            assert_eq!(send(&mut guest, port), EINVAL);
        }
        for expected in 1..limit {
            assert_eq!(bind_ipi(&mut guest, 0), Ok(expected));
        }
        assert_eq!(bind_ipi(&mut guest, 0), Err(Errno::ENOSPC.to_ret()));
        // A sender who saw such a port bound just before the reset harms nothing.
        let words = |guest: &Guest| -> Vec<u32> {
            use hypervisor::platform::FrameAccess;
            let words = guest.machine().half_words(guest.domain().shared_info);
            words.iter().map(|word| word.load(Ordering::SeqCst)).collect()
        };
        let before = words(&guest);
        for port in [limit, limit + 99, 0x1_ffff, u32::MAX] {
            let (sys, port) = (&guest.sys, Port::new(port));
            hypervisor::evtchn::delivery::set_pending(sys, guest.domain(), VcpuId::new(0), port);
        }
        assert_eq!(words(&guest), before);
    }
}

/// Ports that are bound while a reset is under way are not forgotten.
#[test]
fn xsa_343_and_344_a_reset_is_preempted_and_notices_what_was_bound_meanwhile() {
    for mut guest in both() {
        Fifo::new(&mut guest);
        for _ in 0..3000 {
            bind_ipi(&mut guest, 0).unwrap();
        }
        let arg = guest.arg(&EvtchnReset { dom: DomId::SELF });
        let go_on = |guest: &mut Guest, cmd: u64| {
            guest.set_call(EVENT_CHANNEL_OP, &[cmd, arg]);
            guest.step()
        };
        assert_eq!(go_on(&mut guest, EVTCHNOP_RESET.into()), None, "all at a stretch");
        // Another vCPU meanwhile: a second reset, and a port behind the first one's back.
        assert_eq!(go_on(&mut guest, EVTCHNOP_RESET.into()), Some(EBUSY));
        assert_eq!(bind_ipi(&mut guest, 0), Ok(1));
        let mut steps = 0;
        let result = loop {
            steps += 1;
            if let Some(result) = go_on(&mut guest, GO_ON) {
                break result;
            }
        };
        assert_eq!((steps, result), (2, EAGAIN));
        assert_eq!(guest.domain().events.abi(), Abi::Fifo, "its ports may still be queued");
        assert!(!closed(&mut guest, 1));
        assert_eq!(go_on(&mut guest, GO_ON), Some(EBUSY), "nothing is under way");
        assert_eq!(reset(&mut guest, SELF), 0);
        assert_ne!(guest.domain().events.abi(), Abi::Fifo);
        check::invariants(&guest.sys);
    }
}

/// Pages that come after a reset are refused, and what was taken for them is given back.
#[test]
fn xsa_505_a_page_that_comes_after_a_reset_is_not_kept() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    Fifo::new(&mut guest);
    let page = guest.page();
    assert_eq!(reset(&mut guest, SELF), 0);
    assert_eq!(expand_array(&mut guest, page.mfn), Errno::EOPNOTSUPP.to_ret());
    assert!(guest.domain().events.frames_held().is_empty());
    check::invariants(&guest.sys);
}
