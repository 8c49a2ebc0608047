//! The FIFO ABI: giving pages, delivering by priority, and guests that play tricks with them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::evtchn::table::Abi;
use hypervisor::mm::frame::Owner;
use hypervisor::platform::FrameAccess;
use hypervisor::width::Width;
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::types::{DomId, Mfn};
use pv_abi::virq::*;
use pv_tests::channels::*;
use pv_tests::check;
use pv_tests::fifo::{BUSY, Fifo, LINKED, MASKED, PENDING, WORDS};
use pv_tests::guest::{Guest, Spec};

const ENOENT: i64 = Errno::ENOENT.to_ret();
const ENOMEM: i64 = Errno::ENOMEM.to_ret();
const EACCES: i64 = Errno::EACCES.to_ret();
const EFAULT: i64 = Errno::EFAULT.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ENOSPC: i64 = Errno::ENOSPC.to_ret();
const ENOSYS: i64 = Errno::ENOSYS.to_ret();
const EOPNOTSUPP: i64 = Errno::EOPNOTSUPP.to_ret();

/// Ports of the FIFO ABI.
const PORTS: u32 = EVTCHN_FIFO_NR_CHANNELS;
/// The last place for a control block.
const LAST: u32 = 4096 - 72;

/// What must hold, and the guest's domain still delivers.
fn sound(guest: &mut Guest, fifo: &mut Fifo) {
    check::invariants(&guest.sys);
    let port = bind_ipi(guest, 0).unwrap();
    fifo.drain(guest, 0);
    assert_eq!(send(guest, port), 0);
    assert!(guest.upcall_pending(0));
    assert_eq!(fifo.drain(guest, 0), [port]);
}

// ---- giving pages -----------------------------------------------------------------------

#[test]
fn a_control_block_is_checked_before_anything_changes() {
    for mut guest in both() {
        let page = guest.page();
        let table = guest.tables[0];
        let stranger = guest.sys.memory.allocate(Owner::Hypervisor, 0).unwrap();
        assert_eq!(init_control(&mut guest, 3, page.mfn, 0), Err(ENOENT));
        assert_eq!(init_control(&mut guest, u32::MAX, page.mfn, 1), Err(ENOENT));
        for offset in [1, 4, 7, 12, LAST + 1, LAST + 8, 4096, 0x8000_0000, !7] {
            assert_eq!(init_control(&mut guest, 0, page.mfn, offset), Err(EINVAL), "{offset}");
        }
        for mfn in [table, stranger, Mfn::new(1 << 30), Mfn::new(1 << 52), Mfn::new(u64::MAX)] {
            assert_eq!(init_control(&mut guest, 0, mfn, 0), Err(EINVAL), "{mfn}");
        }
        assert_ne!(guest.domain().events.abi(), Abi::Fifo);
        assert_eq!(expand_array(&mut guest, page.mfn), EOPNOTSUPP);
        check::invariants(&guest.sys);
        // The last place that fits; then no second one.
        assert_eq!(init_control(&mut guest, 0, page.mfn, LAST), Ok(17));
        assert_eq!(init_control(&mut guest, 0, page.mfn, 0), Err(EINVAL));
        assert_eq!(init_control(&mut guest, 1, page.mfn, 8), Ok(17));
        assert_eq!(init_control(&mut guest, 1, table, 8), Err(EINVAL));
        assert_eq!(guest.domain().events.abi(), Abi::Fifo);
        check::invariants(&guest.sys);
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_fault_and_the_block_stays() {
    let mut guest = Guest::pv32();
    let page = guest.page();
    let arg = EvtchnInitControl {
        control_gfn: page.mfn.raw(),
        offset: 0,
        vcpu: pv_abi::types::VcpuId::new(0),
        link_bits: 0,
        _pad: [0; 7],
    };
    let at = guest.arg(&arg);
    assert_eq!(guest.call(EVENT_CHANNEL_OP, &[EVTCHNOP_INIT_CONTROL.into(), 0x10_0000]), EFAULT);
    assert_eq!(guest.domain().events.abi(), Abi::TwoLevel32);
    // The argument's page becomes read-only.
    let entry = page_entry(&guest, at) & !2;
    assert_eq!(guest.call(pv_abi::hypercall::UPDATE_VA_MAPPING, &[at, entry, 0, 2]), 0);
    assert_eq!(guest.call(EVENT_CHANNEL_OP, &[EVTCHNOP_INIT_CONTROL.into(), at]), EFAULT);
    assert_eq!(guest.domain().events.abi(), Abi::Fifo);
    check::invariants(&guest.sys);
}

/// The entry that maps `va`, of a pv32 guest.
fn page_entry(guest: &Guest, va: u64) -> u64 {
    let (table, index) = guest.l1_entry_of(va).unwrap();
    guest.entry(table, index)
}

#[test]
fn pages_of_words_are_checked_and_counted() {
    let mut guest = Guest::with(Spec { pages: 512, ..Spec::default() });
    let mut fifo = Fifo::default();
    let page = guest.page();
    fifo.add_vcpu(&mut guest, page.mfn, 0);
    let table = guest.tables[0];
    for mfn in [table, Mfn::new(1 << 30), Mfn::new(u64::MAX)] {
        assert_eq!(expand_array(&mut guest, mfn), EINVAL);
    }
    for _ in 0..PORTS / WORDS {
        fifo.add_page(&mut guest);
    }
    assert_eq!(expand_array(&mut guest, page.mfn), ENOSPC);
    assert_eq!(expand_array(&mut guest, table), ENOSPC, "that is looked at first");
    check::invariants(&guest.sys);
    sound(&mut guest, &mut fifo);
}

#[test]
fn priorities_are_the_fifo_abis() {
    for mut guest in both() {
        let port = bind_ipi(&mut guest, 0).unwrap();
        assert_eq!(set_priority(&mut guest, 64, 0), EINVAL, "no port");
        assert_eq!(set_priority(&mut guest, port, 99), ENOSYS, "no priorities");
        Fifo::new(&mut guest);
        assert_eq!(set_priority(&mut guest, u32::MAX, 0), EINVAL);
        assert_eq!(set_priority(&mut guest, 0, 0), EACCES);
        assert_eq!(set_priority(&mut guest, 63, 99), EACCES, "nothing is bound");
        assert_eq!(set_priority(&mut guest, port, 16), EINVAL);
        assert_eq!(set_priority(&mut guest, port, u32::MAX), EINVAL);
        assert_eq!(set_priority(&mut guest, port, 0), 0);
        assert_eq!(set_priority(&mut guest, port, 15), 0);
    }
}

#[test]
fn a_domain_has_131071_ports() {
    let mut guest = Guest::with(Spec { pages: 512, ..Spec::default() });
    let mut fifo = Fifo::new(&mut guest);
    for expected in 1..PORTS {
        assert_eq!(bind_ipi(&mut guest, 0), Ok(expected));
    }
    assert_eq!(bind_ipi(&mut guest, 0), Err(ENOSPC));
    assert_eq!(status(&mut guest, PORTS), Err(EINVAL));
    let last = PORTS - 1;
    assert_eq!(send(&mut guest, last), 0, "it waits for its page");
    assert_eq!(send(&mut guest, 1023), 0);
    assert_eq!(fifo.drain(&guest, 0), [1023]);
    for _ in 1..PORTS / WORDS {
        fifo.add_page(&mut guest);
    }
    assert_eq!(fifo.drain(&guest, 0), [last]);
    check::invariants(&guest.sys);
}

// ---- delivery ---------------------------------------------------------------------------

#[test]
fn events_come_in_order_and_by_priority() {
    for mut guest in both() {
        let mut fifo = Fifo::new(&mut guest);
        let ports: Vec<u32> = (0..8).map(|_| bind_ipi(&mut guest, 1).unwrap()).collect();
        for port in [ports[3], ports[0], ports[5]] {
            assert_eq!(send(&mut guest, port), 0);
        }
        assert!(guest.upcall_pending(1) && !guest.upcall_pending(0));
        assert_eq!(fifo.ready(&guest, 1), 1 << 7);
        assert_eq!(fifo.drain(&guest, 1), [ports[3], ports[0], ports[5]]);
        assert!(fifo.drain(&guest, 1).is_empty());
        assert_eq!(set_priority(&mut guest, ports[6], 0), 0);
        assert_eq!(set_priority(&mut guest, ports[7], 15), 0);
        assert_eq!(set_priority(&mut guest, ports[2], 6), 0);
        for port in [ports[7], ports[1], ports[2], ports[6], ports[4]] {
            assert_eq!(send(&mut guest, port), 0);
        }
        assert_eq!(fifo.ready(&guest, 1), 1 << 15 | 1 << 7 | 1 << 6 | 1);
        let expected = [ports[6], ports[2], ports[1], ports[4], ports[7]];
        assert_eq!(fifo.drain(&guest, 1), expected);
        // Nothing of the two-level ABI is touched.
        assert!((0..64).all(|port| !guest.pending(port)));
        assert_eq!(guest.selector(1), 0);
    }
}

#[test]
fn an_event_is_queued_once_and_the_vcpu_is_told_once() {
    for mut guest in both() {
        let mut fifo = Fifo::new(&mut guest);
        let (a, b) = (bind_ipi(&mut guest, 0).unwrap(), bind_ipi(&mut guest, 0).unwrap());
        assert_eq!(send(&mut guest, a), 0);
        guest.info_words(0)[0].fetch_and(!0xff, Ordering::SeqCst);
        assert_eq!((send(&mut guest, a), send(&mut guest, b)), (0, 0));
        assert!(!guest.upcall_pending(0), "the queue was not empty");
        assert!(fifo.has(&guest, a, PENDING | LINKED | b));
        assert_eq!(fifo.drain(&guest, 0), [a, b]);
        assert_eq!(fifo.word(&guest, a).load(Ordering::SeqCst), 0);
        // Out of the queue but not handled yet: it is queued anew.
        assert_eq!(send(&mut guest, a), 0);
        fifo.word(&guest, a).fetch_and(!LINKED, Ordering::SeqCst);
        assert_eq!(send(&mut guest, a), 0);
        assert!(fifo.has(&guest, a, PENDING | LINKED));
    }
}

#[test]
fn a_masked_event_is_pending_and_unmasking_queues_it() {
    for mut guest in both() {
        let mut fifo = Fifo::new(&mut guest);
        let port = bind_ipi(&mut guest, 0).unwrap();
        fifo.set_masked(&guest, port, true);
        assert_eq!(send(&mut guest, port), 0);
        assert!(fifo.has(&guest, port, PENDING | MASKED) && !fifo.has(&guest, port, LINKED));
        assert!(!guest.upcall_pending(0));
        assert_eq!(unmask(&mut guest, port), 0);
        assert!(guest.upcall_pending(0));
        assert_eq!(fifo.drain(&guest, 0), [port]);
        assert_eq!(unmask(&mut guest, port), 0);
        assert!(!guest.upcall_pending(0), "nothing was pending");
        // Masked while it is queued: the guest takes it out and leaves it.
        assert_eq!(send(&mut guest, port), 0);
        fifo.set_masked(&guest, port, true);
        assert!(fifo.drain(&guest, 0).is_empty());
        assert_eq!(unmask(&mut guest, port), 0);
        assert_eq!(fifo.drain(&guest, 0), [port]);
    }
}

#[test]
fn pending_events_survive_the_change_of_abi() {
    for mut guest in both() {
        let (a, b) = (bind_ipi(&mut guest, 0).unwrap(), bind_ipi(&mut guest, 2).unwrap());
        let closed = bind_ipi(&mut guest, 0).unwrap();
        for port in [a, b, closed] {
            assert_eq!(send(&mut guest, port), 0);
        }
        guest.take_selector(0);
        guest.take_selector(2);
        let mut fifo = Fifo::default();
        let page = guest.page();
        for vcpu in 0..3 {
            fifo.add_vcpu(&mut guest, page.mfn, vcpu * 72);
        }
        assert!(!guest.upcall_pending(0) && !guest.pending(a), "they wait for their words");
        assert_eq!(close(&mut guest, closed), 0);
        // One that comes meanwhile waits as well.
        let late = bind_virq(&mut guest, VIRQ_TIMER, 1).unwrap();
        assert_eq!(late, closed, "nothing of the closed one is left");
        assert_eq!(send(&mut guest, late), EINVAL);
        fifo.add_page(&mut guest);
        assert_eq!(fifo.drain(&guest, 0), [a]);
        assert!(fifo.drain(&guest, 1).is_empty());
        assert_eq!(fifo.drain(&guest, 2), [b]);
    }
}

#[test]
fn a_port_that_moves_goes_to_its_new_queue_next_time() {
    for mut guest in both() {
        let mut fifo = Fifo::new(&mut guest);
        let timer = bind_virq(&mut guest, VIRQ_DEBUGGER, 0).unwrap();
        let other = bind_virq(&mut guest, VIRQ_CONSOLE, 0).unwrap();
        let sys = Arc::clone(&guest.sys);
        let raise = |guest: &Guest, virq| {
            let vcpu = pv_abi::types::VcpuId::new(0);
            hypervisor::evtchn::virq::raise(&sys, guest.domain(), vcpu, virq);
        };
        raise(&guest, VIRQ_DEBUGGER);
        // It is the tail of vCPU 0's queue while it moves.
        assert_eq!(bind_vcpu(&mut guest, timer, 2), 0);
        assert_eq!(set_priority(&mut guest, timer, 3), 0);
        raise(&guest, VIRQ_DEBUGGER);
        assert_eq!(fifo.ready(&guest, 2), 0, "still in the old queue");
        raise(&guest, VIRQ_CONSOLE);
        assert_eq!(fifo.drain(&guest, 0), [timer, other]);
        raise(&guest, VIRQ_DEBUGGER);
        assert!(guest.upcall_pending(2));
        assert_eq!(fifo.ready(&guest, 2), 1 << 3);
        // Nothing may be appended to the old queue behind it.
        assert_eq!(bind_vcpu(&mut guest, timer, 0), 0);
        assert_eq!(fifo.drain(&guest, 2), [timer]);
        raise(&guest, VIRQ_DEBUGGER);
        raise(&guest, VIRQ_CONSOLE);
        assert_eq!(fifo.drain(&guest, 0), [timer, other]);
    }
}

#[test]
fn a_tail_that_moved_away_is_no_tail_any_more() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    let mut fifo = Fifo::new(&mut guest);
    let (a, b) = (bind_ipi(&mut guest, 0).unwrap(), bind_ipi(&mut guest, 0).unwrap());
    assert_eq!(send(&mut guest, a), 0);
    assert_eq!(fifo.drain(&guest, 0), [a]);
    // a is the tail of priority 7 for us; it is queued at 4, and b at 7.
    assert_eq!(set_priority(&mut guest, a, 4), 0);
    assert_eq!((send(&mut guest, a), send(&mut guest, b)), (0, 0));
    assert_eq!(fifo.ready(&guest, 0), 1 << 4 | 1 << 7, "b is not hung behind a");
    assert_eq!(fifo.drain(&guest, 0), [a, b]);
}

#[test]
fn a_closed_port_that_is_still_queued_is_not_given_out() {
    for mut guest in both() {
        let mut fifo = Fifo::new(&mut guest);
        let ports: Vec<u32> = (0..3).map(|_| bind_ipi(&mut guest, 0).unwrap()).collect();
        for port in &ports {
            assert_eq!(send(&mut guest, *port), 0);
        }
        assert_eq!(close(&mut guest, ports[1]), 0);
        assert!(!fifo.has(&guest, ports[1], PENDING) && fifo.has(&guest, ports[1], LINKED));
        assert_eq!(bind_ipi(&mut guest, 0), Ok(4));
        assert_eq!(fifo.drain(&guest, 0), [ports[0], ports[2]]);
        assert_eq!(bind_ipi(&mut guest, 0), Ok(ports[1]));
    }
}

#[test]
fn a_new_port_has_the_default_priority() {
    let mut guest = Guest::pv32();
    let mut fifo = Fifo::new(&mut guest);
    let port = bind_ipi(&mut guest, 0).unwrap();
    assert_eq!(set_priority(&mut guest, port, 1), 0);
    assert_eq!(close(&mut guest, port), 0);
    assert_eq!(bind_ipi(&mut guest, 0), Ok(port));
    assert_eq!(send(&mut guest, port), 0);
    assert_eq!(fifo.ready(&guest, 0), 1 << 7);
    assert_eq!(fifo.drain(&guest, 0), [port]);
}

#[test]
fn two_domains_of_both_abis_ring_each_other() {
    let (mut zero, mut one) = two();
    let mut fifo = Fifo::new(&mut one);
    let offered = alloc_unbound(&mut one, DomId::SELF.raw(), 0).unwrap();
    let near = bind_interdomain(&mut zero, 1, offered).unwrap();
    zero.forget_events(0);
    assert_eq!(send(&mut zero, near), 0);
    assert_eq!(fifo.drain(&one, 0), [offered]);
    assert_eq!(send(&mut one, offered), 0);
    assert!(zero.pending(near));
    // Connecting sets the connecting side's port pending, in its own ABI.
    assert_eq!(close(&mut zero, near), 0);
    let offered = alloc_unbound(&mut zero, DomId::SELF.raw(), 1).unwrap();
    let near = bind_interdomain(&mut one, 0, offered).unwrap();
    assert_eq!(fifo.drain(&one, 0), [near]);
}

#[test]
fn the_limit_of_a_domain_holds_for_both_abis() {
    for mut guest in both() {
        guest.domain().events.set_max_port(70);
        for expected in 1..=70 {
            assert_eq!(bind_ipi(&mut guest, 0), Ok(expected));
        }
        assert_eq!(bind_ipi(&mut guest, 0), Err(ENOSPC));
        Fifo::new(&mut guest);
        assert_eq!(bind_ipi(&mut guest, 0), Err(ENOSPC));
        guest.domain().events.set_max_port(71);
        assert_eq!(bind_ipi(&mut guest, 0), Ok(71));
        assert_eq!(alloc_unbound(&mut guest, 0, 0), Err(ENOSPC));
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, 0), Err(ENOSPC));
    }
}

#[test]
fn a_poll_finds_a_queued_event() {
    let mut guest = Guest::pv32();
    Fifo::new(&mut guest);
    let port = bind_ipi(&mut guest, 0).unwrap();
    guest.vcpu().set_upcall_mask(guest.machine(), true);
    assert_eq!(send(&mut guest, port), 0);
    assert_eq!(poll(&mut guest, port), 0, "it would sleep for ever otherwise");
    assert_eq!(guest.domain().events.pollers(), 0);
}

/// `SCHEDOP_poll` of one port, without a timeout.
fn poll(guest: &mut Guest, port: u32) -> i64 {
    let ports = guest.arg(&port);
    let arg = pv_abi::x86_32::SchedPoll {
        ports: ports as u32,
        nr_ports: 1,
        _pad: [],
        timeout: pv_abi::x86_32::U64::new(0),
    };
    let at = guest.arg(&arg);
    guest.call(pv_abi::hypercall::SCHED_OP, &[pv_abi::sched::SCHEDOP_POLL.into(), at])
}

// ---- guests that play tricks ------------------------------------------------------------

#[test]
fn whatever_the_words_say_sending_ends() {
    for mut guest in both() {
        let mut fifo = Fifo::new(&mut guest);
        let ports: Vec<u32> = (0..6).map(|_| bind_ipi(&mut guest, 0).unwrap()).collect();
        for junk in
            [u32::MAX, 0, LINKED, LINKED | ports[0], LINKED | 0x1_ffff, BUSY, PENDING | BUSY]
        {
            for port in 0..WORDS {
                fifo.word(&guest, port).store(junk, Ordering::SeqCst);
            }
            for word in 0..18 {
                fifo.block(&guest, 0, word).store(junk, Ordering::SeqCst);
            }
            for port in &ports {
                assert_eq!(send(&mut guest, *port), 0);
                fifo.word(&guest, *port).store(LINKED | *port, Ordering::SeqCst);
                assert_eq!(unmask(&mut guest, *port), 0);
            }
        }
        // Only its own pages were written to, and an honest guest starts over.
        for port in 0..WORDS {
            fifo.word(&guest, port).store(0, Ordering::SeqCst);
        }
        for word in 0..18 {
            fifo.block(&guest, 0, word).store(0, Ordering::SeqCst);
        }
        sound(&mut guest, &mut fifo);
    }
}

#[test]
fn a_control_block_among_the_words_harms_nobody_else() {
    let mut guest = Guest::with(Spec { vcpus: 3, ..Spec::default() });
    let page = guest.page();
    let mut fifo = Fifo::default();
    // All three at once, over each other, in the page of words.
    for vcpu in 0..3 {
        fifo.add_vcpu(&mut guest, page.mfn, vcpu * 8);
    }
    assert_eq!(expand_array(&mut guest, page.mfn), 0);
    assert_eq!(expand_array(&mut guest, page.mfn), 0);
    for vcpu in 0..3 {
        for _ in 0..40 {
            let port = bind_ipi(&mut guest, vcpu).unwrap();
            assert_eq!(send(&mut guest, port), 0);
            assert_eq!(unmask(&mut guest, port), 0);
        }
    }
    check::invariants(&guest.sys);
    assert_eq!(reset(&mut guest, DomId::SELF.raw()), 0);
    check::invariants(&guest.sys);
}

#[test]
fn a_page_of_words_cannot_become_a_page_table() {
    let mut guest = Guest::pv32();
    let fifo = Fifo::new(&mut guest);
    let page = fifo.pages[0];
    // Unmapped, so that the words are all that holds it.
    let va = guest.va_of(page);
    assert_eq!(guest.call(pv_abi::hypercall::UPDATE_VA_MAPPING, &[va, 0, 0, 2]), 0);
    let pin = |guest: &mut Guest| {
        let op = pv_abi::x86_32::MmuextOp {
            cmd: pv_abi::mmu::MMUEXT_PIN_L1_TABLE,
            _pad: [],
            arg1: page.raw() as u32,
            arg2: 0,
        };
        let at = guest.arg(&op);
        guest.call(pv_abi::hypercall::MMUEXT_OP, &[at, 1, 0, DomId::SELF.raw().into()])
    };
    assert_eq!(pin(&mut guest), EINVAL);
    assert_eq!(reset(&mut guest, DomId::SELF.raw()), 0);
    assert_eq!(pin(&mut guest), 0, "it is the guest's again");
    check::invariants(&guest.sys);
}

#[test]
fn a_search_among_ports_that_a_guest_keeps_queued_is_preempted() {
    let mut guest = Guest::with(Spec { pages: 512, ..Spec::default() });
    let mut fifo = Fifo::new(&mut guest);
    for _ in 1..8 {
        fifo.add_page(&mut guest);
    }
    for expected in 1..8 * WORDS {
        assert_eq!(bind_ipi(&mut guest, 0), Ok(expected));
    }
    for port in 1..8 * WORDS {
        assert_eq!(close(&mut guest, port), 0);
        fifo.word(&guest, port).store(LINKED, Ordering::SeqCst);
    }
    let before = guest.continuations;
    assert_eq!(bind_ipi(&mut guest, 0), Ok(8 * WORDS));
    assert!(guest.continuations > before, "it looked at 8192 ports at a stretch");
    fifo.word(&guest, 5000).store(0, Ordering::SeqCst);
    assert_eq!(bind_ipi(&mut guest, 0), Ok(5000));
}

// ---- advisories -------------------------------------------------------------------------

/// An event for a vCPU without a control block.
#[test]
fn xsa_107_a_vcpu_without_a_control_block_gets_no_events() {
    for mut guest in both() {
        let mut fifo = Fifo::default();
        let page = guest.page();
        fifo.add_vcpu(&mut guest, page.mfn, 0);
        fifo.add_page(&mut guest);
        let port = bind_ipi(&mut guest, 1).unwrap();
        assert_eq!(send(&mut guest, port), 0);
        assert_eq!(unmask(&mut guest, port), 0);
        assert!(!guest.upcall_pending(1));
        fifo.add_vcpu(&mut guest, page.mfn, 128);
        assert_eq!(send(&mut guest, port), 0);
        assert_eq!(fifo.drain(&guest, 1), [port]);
        sound(&mut guest, &mut fifo);
    }
}

/// A first control block that fails leaves the domain where it was.
#[test]
fn xsa_188_a_failed_first_control_block_leaves_nothing_behind() {
    for mut guest in both() {
        let sys = Arc::clone(&guest.sys);
        let port = bind_ipi(&mut guest, 0).unwrap();
        let page = guest.page();
        let table = guest.tables[0];
        assert_eq!(init_control(&mut guest, 0, table, 0), Err(EINVAL));
        let mut taken = Vec::new();
        while let Ok(mfn) = sys.memory.allocate(Owner::Hypervisor, 0) {
            taken.push(mfn);
        }
        assert_eq!(init_control(&mut guest, 0, page.mfn, 0), Err(ENOMEM));
        for mfn in taken {
            sys.memory.release(mfn, 0);
        }
        check::invariants(&sys);
        assert_eq!(expand_array(&mut guest, page.mfn), EOPNOTSUPP);
        assert_eq!(send(&mut guest, port), 0);
        assert!(guest.pending(port) && guest.upcall_pending(0));
        assert_eq!(init_control(&mut guest, 0, page.mfn, 0), Ok(17));
        check::invariants(&sys);
    }
}

/// Polling ports that do not exist, or whose words do not.
#[test]
fn xsa_221_a_poll_of_a_port_without_a_word_is_harmless() {
    let mut guest = Guest::pv32();
    let mut fifo = Fifo::default();
    let page = guest.page();
    fifo.add_vcpu(&mut guest, page.mfn, 0);
    for port in [0, 5, 64, 1024, 5000, PORTS - 1, PORTS, u32::MAX] {
        assert_eq!(poll(&mut guest, port), EINVAL, "{port}");
    }
    // Bound, and no page: it is not pending, so the vCPU sleeps.
    let port = bind_ipi(&mut guest, 0).unwrap();
    guest.vcpu().set_upcall_mask(guest.machine(), true);
    assert_eq!(poll(&mut guest, port), 0);
    assert_eq!(guest.domain().events.pollers(), 1);
}

/// An allocation that fails for another reason than "taken" gives no port.
#[test]
fn xsa_317_an_allocation_that_fails_gives_no_port() {
    for mut guest in both() {
        guest.domain().events.set_max_port(63);
        for expected in 1..=63 {
            assert_eq!(bind_ipi(&mut guest, 0), Ok(expected));
        }
        for _ in 0..3 {
            assert_eq!(bind_ipi(&mut guest, 0), Err(ENOSPC));
        }
        assert_eq!(status(&mut guest, 64), Err(EINVAL));
        guest.domain().events.set_max_port(u32::MAX);
        let sys = Arc::clone(&guest.sys);
        for _ in 64..512 {
            bind_ipi(&mut guest, 0).unwrap();
        }
        let mut taken = Vec::new();
        while let Ok(mfn) = sys.memory.allocate(Owner::Hypervisor, 0) {
            taken.push(mfn);
        }
        assert_eq!(bind_ipi(&mut guest, 0), Err(ENOMEM));
        assert_eq!((send(&mut guest, 512), status(&mut guest, 512)), (EINVAL, Err(EINVAL)));
        for mfn in taken {
            sys.memory.release(mfn, 0);
        }
        assert_eq!(bind_ipi(&mut guest, 0), Ok(512));
    }
}

/// A 32-bit domain has 1024 ports, whatever its limit says.
#[test]
fn xsa_342_a_32_bit_domain_has_no_ports_past_its_bits() {
    let mut guest = Guest::with(Spec { width: Width::Pv32, ..Spec::default() });
    guest.domain().events.set_max_port(4095);
    for expected in 1..1024 {
        assert_eq!(bind_ipi(&mut guest, 0), Ok(expected));
    }
    assert_eq!(bind_ipi(&mut guest, 0), Err(ENOSPC));
    assert_eq!(status(&mut guest, 1024), Err(EINVAL));
    let mask = guest.masked(1);
    assert_eq!(send(&mut guest, 1024), EINVAL);
    assert_eq!(guest.masked(1), mask);
}

/// A table's frame is emptied before it is published: no port of a new group ever looks
/// bound, whatever the frame held.
#[test]
fn xsa_47_and_340_a_new_part_of_the_table_is_empty() {
    for mut guest in both() {
        let sys = Arc::clone(&guest.sys);
        let mut taken = Vec::new();
        while let Ok(mfn) = sys.memory.allocate(Owner::Hypervisor, 0) {
            for word in sys.platform.words(mfn) {
                word.store(u64::MAX, Ordering::Relaxed);
            }
            taken.push(mfn);
        }
        for mfn in taken {
            sys.memory.release(mfn, 0);
        }
        assert_eq!(bind_ipi(&mut guest, 0), Ok(1));
        for port in 2..64 {
            assert_eq!(status(&mut guest, port).map(|s| s.status), Ok(EVTCHNSTAT_CLOSED));
        }
        for port in 64..512 {
            assert_eq!(status(&mut guest, port), Err(EINVAL), "{port}");
        }
    }
}

/// An error in binding a virtual interrupt undoes all of it.
#[test]
fn xsa_496_a_virtual_interrupt_that_got_no_port_is_not_bound() {
    for mut guest in both() {
        guest.domain().events.set_max_port(1);
        assert_eq!(bind_virq(&mut guest, VIRQ_TIMER, 0), Ok(1));
        for virq in [VIRQ_DOM_EXC, VIRQ_CONSOLE, VIRQ_DEBUG] {
            assert_eq!(bind_virq(&mut guest, virq, 0), Err(ENOSPC));
            assert_eq!(guest.domain().events.virq_port(pv_abi::types::VcpuId::new(0), virq), None);
        }
        guest.domain().events.set_max_port(9);
        assert_eq!(bind_virq(&mut guest, VIRQ_DOM_EXC, 0), Ok(2));
        hypervisor::evtchn::virq::raise_global(&guest.sys, VIRQ_DOM_EXC);
        assert!(guest.pending(2));
    }
}
