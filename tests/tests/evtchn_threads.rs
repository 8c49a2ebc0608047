//! Events sent by other CPUs while a domain changes its ABI back and forth.
//!
//! The other CPUs are threads; what a guest does stays on one. Threads do not visit every
//! interleaving, as the models of `pv-loom` do, but they run all of the code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hypervisor::evtchn::{delivery, virq};
use hypervisor::platform::FrameAccess;
use hypervisor::system::System;
use pv_abi::types::{DomId, Port, VcpuId};
use pv_abi::virq::VIRQ_DEBUGGER;
use pv_tests::channels::*;
use pv_tests::check;
use pv_tests::fifo::{Fifo, WORDS};
use pv_tests::guest::{Guest, Page, Spec};
use pv_tests::machine::FakeMachine;

const ROUNDS: u32 = 150;
const PORTS: u32 = 4;

/// What another CPU does all the time: it rings, unmasks and looks at ports that may have been
/// closed a moment ago.
fn interfere(sys: &System<FakeMachine>, stop: &AtomicBool) {
    let domain = sys.domain(DomId::new(0)).expect("the domain exists");
    let mut round = 0u32;
    while !stop.load(Ordering::Relaxed) {
        round = round.wrapping_add(1);
        let vcpu = VcpuId::new(round % 2);
        for port in (1..=PORTS).chain([WORDS + 1]).map(Port::new) {
            delivery::set_pending(sys, domain, vcpu, port);
            delivery::unmask(sys, domain, vcpu, port);
            delivery::is_pending(sys, domain, port);
        }
        virq::raise(sys, domain, VcpuId::new(0), VIRQ_DEBUGGER);
    }
}

fn is_zero(guest: &Guest, page: Page) -> bool {
    guest.machine().half_words(page.mfn).iter().all(|word| word.load(Ordering::SeqCst) == 0)
}

/// XSA-343 (races with a reset), XSA-358 and XSA-359 (what is not there yet is used), XSA-505
/// (an expansion and a reset): whoever sends meanwhile never touches a page that was given back.
#[test]
fn xsa_343_358_359_505_senders_race_with_changes_of_the_abi() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    let (control, words) = (guest.page(), guest.page());
    let stop = AtomicBool::new(false);
    let sys = Arc::clone(&guest.sys);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| interfere(&sys, &stop));
        }
        for round in 0..ROUNDS {
            let mut fifo = Fifo::default();
            bind_virq(&mut guest, VIRQ_DEBUGGER, 0).unwrap();
            for vcpu in 0..2 {
                fifo.add_vcpu(&mut guest, control.mfn, vcpu * 128);
            }
            assert_eq!(expand_array(&mut guest, words.mfn), 0);
            fifo.pages.push(words.mfn);
            for vcpu in [0, 1, 0] {
                let port = bind_ipi(&mut guest, vcpu).unwrap();
                assert_eq!(set_priority(&mut guest, port, round % 16), 0);
                assert_eq!(send(&mut guest, port), 0);
            }
            fifo.drain_some(&guest, 0, 50);
            assert_eq!(reset(&mut guest, DomId::SELF.raw()), 0);
            // They are the guest's again: nobody else writes to them.
            guest.machine().zero(control.mfn);
            guest.machine().zero(words.mfn);
            for _ in 0..3 {
                let port = bind_ipi(&mut guest, 1).unwrap();
                assert_eq!(send(&mut guest, port), 0);
                assert_eq!(close(&mut guest, port), 0);
            }
            assert!(is_zero(&guest, control) && is_zero(&guest, words), "round {round}");
            guest.forget_events(0);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(reset(&mut guest, DomId::SELF.raw()), 0);
    check::invariants(&guest.sys);
}
