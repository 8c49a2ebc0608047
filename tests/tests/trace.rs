//! The trace: what is noted, for whom, and how rings go round.

use std::sync::atomic::{AtomicBool, Ordering};

use hypervisor::evtchn::virq;
use hypervisor::exit::Next;
use hypervisor::hypercall;
use hypervisor::platform::FrameAccess;
use hypervisor::trace::{self, What, ring::Ring};
use hypervisor::trap::traced;
use hypervisor::{sched, trap};
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall as nr;
use pv_abi::sched::SCHEDOP_YIELD;
use pv_abi::types::{Port, VcpuId};
use pv_abi::virq::VIRQ_TIMER;
use pv_abi::x86_32;
use pv_tests::boot;
use pv_tests::guest::{Guest, Spec};
use trace_format::{Record, capacity};

/// Bytes of a ring of two frames, the smallest.
const SMALL: u64 = 2 << 12;

/// A guest whose machine is traced.
fn traced_guest() -> Guest {
    let guest = Guest::pv32();
    trace::begin(&*guest.sys, 16 << 12).expect("there is memory");
    guest
}

/// What happened on a CPU so far.
fn seen(guest: &Guest, cpu: u32) -> Vec<Record> {
    let ring = guest.sys.trace.ring(cpu).expect("the CPU has a ring");
    (0..ring.written(guest.machine())).filter_map(|n| ring.copy(guest.machine(), n)).collect()
}

fn whats(guest: &Guest) -> Vec<What> {
    seen(guest, 0).into_iter().map(|record| record.what).collect()
}

/// Makes a hypercall as `arch` does while the machine is traced.
fn call(guest: &mut Guest, number: u32, args: &[u64]) {
    guest.set_call(number, args);
    guest.enter(hypercall::traced::enter);
}

#[test]
fn without_the_option_nothing_is_kept() {
    let mut guest = Guest::pv32();
    let (free, _) = guest.sys.memory.free_and_total();
    call(&mut guest, nr::XEN_VERSION, &[0, 0]);
    assert!(!guest.sys.trace.is_on());
    assert!(guest.sys.trace.ring(0).is_none());
    assert_eq!(guest.sys.memory.free_and_total().0, free);
}

#[test]
fn a_hypercall_has_a_beginning_and_an_end() {
    let mut guest = traced_guest();
    guest.machine().advance_ns(1000);
    call(&mut guest, nr::SCHED_OP, &[SCHEDOP_YIELD.into(), 7]);
    call(&mut guest, nr::SCHED_OP, &[99, 0]);
    let number = nr::SCHED_OP as u8;
    let result = Errno::ENOSYS.to_ret() as u64;
    assert_eq!(
        whats(&guest),
        [
            What::Hypercall { number, command: SCHEDOP_YIELD, detail: 7 },
            What::HypercallDone { number, result: 0, continued: false },
            What::Hypercall { number, command: 99, detail: 0 },
            What::HypercallDone { number, result, continued: false },
        ]
    );
    let first = seen(&guest, 0)[0];
    assert_eq!((first.tsc, first.domain, first.vcpu), (1000, 0, 0));
}

#[test]
fn numbers_that_do_not_exist_are_shown_as_the_last() {
    let mut guest = traced_guest();
    call(&mut guest, 0x1_0020, &[0, 0]);
    assert!(matches!(whats(&guest)[0], What::Hypercall { number: 255, .. }));
}

#[test]
fn details_come_from_memory_that_may_be_missing() {
    let mut guest = traced_guest();
    let at = guest.arg(&EvtchnSend { port: Port::new(5) });
    call(&mut guest, nr::EVENT_CHANNEL_OP, &[EVTCHNOP_SEND.into(), at]);
    call(&mut guest, nr::EVENT_CHANNEL_OP, &[EVTCHNOP_SEND.into(), 0xffff_f000]);
    let details: Vec<_> = whats(&guest)
        .into_iter()
        .filter_map(|what| match what {
            What::Hypercall { detail, .. } => Some(detail),
            _ => None,
        })
        .collect();
    assert_eq!(details, [5, 0]);
}

#[test]
fn the_entries_of_a_multicall_are_seen() {
    let mut guest = traced_guest();
    let entry = |op, first| x86_32::MulticallEntry { op, result: 0, args: [first, 0, 0, 0, 0, 0] };
    let list = [entry(nr::XEN_VERSION, 0), entry(nr::SCHED_OP, 0)];
    let at = guest.arg(list.as_slice());
    call(&mut guest, nr::MULTICALL, &[at, 2]);
    assert_eq!(
        whats(&guest)[1..3],
        [
            What::Subcall { number: nr::XEN_VERSION as u8, command: 0 },
            What::Subcall { number: nr::SCHED_OP as u8, command: 0 },
        ]
    );
}

#[test]
fn what_goes_on_later_says_so() {
    let mut guest = traced_guest();
    let entry = x86_32::MulticallEntry { op: nr::XEN_VERSION, result: 0, args: [0; 6] };
    let list = [entry; 65];
    let at = guest.arg(list.as_slice());
    guest.regs.rip = 0x1002;
    call(&mut guest, nr::MULTICALL, &[at, 65]);
    let last = whats(&guest).last().copied();
    assert!(matches!(last, Some(What::HypercallDone { continued: true, .. })), "{last:?}");
}

#[test]
fn a_page_fault_has_its_address() {
    let mut guest = traced_guest();
    let top = guest.page().va + 4096;
    let handler = trap::Trap {
        target: trap::Target { cs: x86_32::FLAT_RING1_CS, address: 0xc000_1000 },
        ..trap::Trap::NONE
    };
    guest.vcpu().state.lock().traps.set(14, handler);
    (guest.regs.rsp, guest.regs.rip, guest.regs.error_code) = (top, 0x1234, 2);
    guest.machine().this().page_fault_address = 0x55_0000;
    guest.enter(traced::page_fault);
    assert_eq!(
        whats(&guest),
        [
            What::Trap { vector: 14, code: 2, address: 0x55_0000, ip: 0x1234 },
            What::TrapDone { vector: 14, ip: 0xc000_1000 },
        ]
    );
}

#[test]
fn an_upcall_is_noted_when_it_is_made() {
    let mut guest = traced_guest();
    guest.regs.rsp = guest.page().va + 4096;
    let target = trap::Target { cs: x86_32::FLAT_RING1_CS, address: 0xc000_1230 };
    guest.vcpu().state.lock().callbacks.event = target;
    let arg = EvtchnBindVirq { virq: VIRQ_TIMER, vcpu: VcpuId::new(0), port: Port::new(0) };
    assert_eq!(guest.op(nr::EVENT_CHANNEL_OP, EVTCHNOP_BIND_VIRQ, &arg).0, 0);
    assert_eq!(guest.enter(traced::prepare), Next::Resume);
    virq::raise(&guest.sys, guest.domain(), VcpuId::new(0), VIRQ_TIMER);
    guest.vcpu().set_upcall_mask(guest.machine(), false);
    assert_eq!(guest.enter(traced::prepare), Next::Resume);
    assert_eq!(whats(&guest), [What::Virq { virq: VIRQ_TIMER as u8 }, What::Upcall]);
}

#[test]
fn a_switch_is_noted_on_the_cpu_that_made_it() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    trace::begin(&*guest.sys, SMALL).expect("there is memory");
    guest.enter(|ctx| sched::stopped_running(ctx));
    guest.enter(|ctx| sched::resumed(ctx));
    assert_eq!(whats(&guest), [What::Stop, What::Run]);
    assert_eq!(seen(&guest, 1), []);
}

#[test]
fn a_ring_keeps_the_newest() {
    let guest = Guest::pv32();
    trace::begin(&*guest.sys, SMALL).expect("there is memory");
    let ring = guest.sys.trace.ring(0).expect("the CPU has a ring");
    let room = capacity(ring.frames);
    for virq in 0..room + 3 {
        trace::note_cpu(&*guest.sys, What::Virq { virq: virq as u8 });
    }
    // The place that is written next is not looked at.
    let access = guest.machine();
    assert_eq!(ring.copy(access, 3), None);
    let kept: Vec<_> = (0..room + 5).filter_map(|n| ring.copy(access, n)).collect();
    assert_eq!(kept.len() as u64, room - 1);
    assert_eq!(kept[0].what, What::Virq { virq: 4 });
}

#[test]
fn a_copy_is_whole_or_not_there() {
    let sys = boot::system(boot::FRAMES, 1);
    let base = sys.memory.allocate(hypervisor::mm::frame::Owner::Hypervisor, 1).expect("memory");
    sys.platform.zero(base);
    let ring = Ring { base, frames: 2 };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..200_000u64 {
                let what = What::Trap { vector: 14, code: 0, address: n, ip: n };
                ring.write(&sys.platform, &Record { tsc: n, domain: 0, vcpu: 0, what });
            }
            done.store(true, Ordering::Release);
        });
        let mut copied = 0;
        while !done.load(Ordering::Acquire) || copied == 0 {
            let written = ring.written(&sys.platform);
            // The oldest that may still be there: the writer is about to take its place.
            for n in [written.saturating_sub(capacity(2) - 1), written.saturating_sub(1)] {
                if let Some(record) = ring.copy(&sys.platform, n) {
                    let what = What::Trap { vector: 14, code: 0, address: n, ip: n };
                    assert_eq!((record.tsc, record.what), (n, what));
                    copied += 1;
                }
            }
        }
    });
}

#[test]
fn rings_that_do_not_fit_are_refused() {
    let guest = Guest::pv32();
    assert_eq!(trace::begin(&*guest.sys, 1 << 40), Err(Errno::ENOMEM));
    assert!(!guest.sys.trace.is_on());
}
