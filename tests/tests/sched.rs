//! `sched_op` and the scheduler: yielding, sleeping, polling, waking, slices, the end of a domain.

use std::sync::Arc;

use hypervisor::error::Crash;
use hypervisor::evtchn::virq::raise;
use hypervisor::exit::Next;
use hypervisor::platform::Clock;
use hypervisor::sched;
use hypervisor::sched::State;
use hypervisor::time;
use hypervisor::trap::Target;
use hypervisor::width::Width;
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::{EVENT_CHANNEL_OP, MULTICALL, SCHED_OP, XEN_VERSION};
use pv_abi::sched::*;
use pv_abi::types::{DomId, Port, U64A4, VcpuId};
use pv_abi::virq::VIRQ_TIMER;
use pv_abi::{x86_32, x86_64};
use pv_tests::guest::{Guest, Spec};
use zerocopy::FromZeros;

const EFAULT: i64 = Errno::EFAULT.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ENOSYS: i64 = Errno::ENOSYS.to_ret();

/// An address where nothing is mapped.
const NOWHERE: u64 = 0x10_0000;
/// Where guests have their event callback.
const CALLBACK: u64 = 0xc000_1230;

fn both() -> impl Iterator<Item = Guest> {
    [Width::Pv32, Width::Pv64]
        .into_iter()
        .map(|width| Guest::with(Spec { width, vcpus: 2, ..Spec::default() }))
}

/// Domains 0 and 1 on one CPU: 0 runs, 1 waits.
fn two() -> (Guest, Guest) {
    let mut zero = Guest::pv32();
    zero.enter(|ctx| sched::stopped_running(ctx));
    let spec = Spec { id: 1, privileged: false, ..Spec::default() };
    let one = Guest::on(Arc::clone(&zero.sys), spec);
    zero.load();
    assert_eq!(zero.vcpu().run.state(), State::Running);
    assert_eq!(one.vcpu().run.state(), State::Runnable);
    (zero, one)
}

/// Gives a guest an event callback and a stack.
fn accept_upcalls(guest: &mut Guest) {
    guest.regs.rsp = guest.page().va + 4096;
    let target = Target { cs: x86_32::FLAT_RING1_CS, address: CALLBACK };
    guest.vcpu().state.lock().callbacks.event = target;
}

fn sched_op(guest: &mut Guest, cmd: u32) -> i64 {
    guest.call(SCHED_OP, &[cmd.into(), NOWHERE])
}

fn bind_ipi(guest: &mut Guest) -> u32 {
    let arg = EvtchnBindIpi { vcpu: guest.vcpu, port: Port::new(0) };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_IPI, &arg);
    assert_eq!(result, 0);
    out.port.raw()
}

fn bind_timer(guest: &mut Guest) -> u32 {
    let arg = EvtchnBindVirq { virq: VIRQ_TIMER, vcpu: guest.vcpu, port: Port::new(0) };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_VIRQ, &arg);
    assert_eq!(result, 0);
    out.port.raw()
}

fn send(guest: &mut Guest, port: u32) {
    assert_eq!(guest.op(EVENT_CHANNEL_OP, EVTCHNOP_SEND, &port).0, 0);
}

/// `SCHEDOP_poll` on an array of ports at `at`.
fn poll_at(guest: &mut Guest, at: u64, nr_ports: u32, timeout_ns: u64) -> i64 {
    let arg = match guest.domain().width() {
        Width::Pv32 => {
            let timeout = U64A4::new(timeout_ns);
            guest.arg(&x86_32::SchedPoll { ports: at as u32, nr_ports, _pad: [], timeout })
        }
        Width::Pv64 => {
            guest.arg(&x86_64::SchedPoll { ports: at, nr_ports, _pad: [0; 4], timeout: timeout_ns })
        }
    };
    guest.call(SCHED_OP, &[SCHEDOP_POLL.into(), arg])
}

fn poll(guest: &mut Guest, ports: &[u32], timeout_ns: u64) -> i64 {
    let at = guest.arg(ports);
    poll_at(guest, at, ports.len() as u32, timeout_ns)
}

fn shut_down(guest: &mut Guest, reason: u32) -> i64 {
    guest.op(SCHED_OP, SCHEDOP_SHUTDOWN, &SchedShutdown { reason }).0
}

// ---- yield, slices ----------------------------------------------------------------------

#[test]
fn yielding_alone_changes_nothing() {
    for mut guest in both() {
        assert_eq!(sched_op(&mut guest, SCHEDOP_YIELD), 0);
        assert!(guest.vcpu().run.may_run_on());
        assert_eq!(guest.leave(), Next::Resume);
    }
}

#[test]
fn who_yields_goes_behind_who_waits() {
    let (mut zero, mut one) = two();
    for _ in 0..3 {
        assert_eq!(sched_op(&mut zero, SCHEDOP_YIELD), 0);
        assert_eq!(zero.leave(), Next::Switch);
        assert_eq!(zero.pick(), Some((1, 0)));
        one.load();
        assert_eq!(one.leave(), Next::Resume);
        assert_eq!(sched_op(&mut one, SCHEDOP_YIELD), 0);
        assert_eq!(one.leave(), Next::Switch);
        assert_eq!(one.pick(), Some((0, 0)));
        zero.load();
    }
}

#[test]
fn a_slice_ends_only_when_somebody_waits() {
    let (mut zero, mut one) = two();
    let slice = zero.machine().this().deadline_ns.expect("somebody waits");
    zero.machine().advance_ns(slice - 1);
    time::expired(&zero.sys, 0);
    assert_eq!(zero.leave(), Next::Resume, "it has a nanosecond left");
    zero.machine().advance_ns(1);
    time::expired(&zero.sys, 0);
    assert_eq!(zero.leave(), Next::Switch);
    assert_eq!(zero.pick(), Some((1, 0)));
    one.load();
    assert_eq!(one.machine().this().deadline_ns, Some(2 * slice));
    // Domain 1 goes to sleep, so domain 0 has the CPU to itself.
    assert_eq!(sched_op(&mut one, SCHEDOP_BLOCK), 0);
    assert_eq!(one.leave(), Next::Switch);
    assert_eq!(one.pick(), Some((0, 0)));
    zero.load();
    for _ in 0..4 {
        zero.machine().advance_ns(slice);
        time::expired(&zero.sys, 0);
        assert_eq!(zero.leave(), Next::Resume);
    }
    assert_eq!(zero.machine().this().deadline_ns, None, "nothing to wait for");
    // Domain 1 has slept for long, and takes domain 0's place when it wakes up.
    sched::wake(&zero.sys, one.domain(), one.vcpu());
    assert_eq!(zero.leave(), Next::Switch);
    assert_eq!(zero.pick(), Some((1, 0)));
    one.load();
    // It runs and sleeps for a moment: not worth a switch, but a slice begins.
    one.machine().advance_ns(3_000_000);
    assert_eq!(sched_op(&mut one, SCHEDOP_BLOCK), 0);
    assert_eq!(one.leave(), Next::Switch);
    assert_eq!(one.pick(), Some((0, 0)));
    zero.load();
    let now = zero.machine().now_ns();
    sched::wake(&zero.sys, one.domain(), one.vcpu());
    time::expired(&zero.sys, 0);
    assert_eq!(zero.machine().this().deadline_ns, Some(now + slice));
    assert_eq!(zero.leave(), Next::Resume);
}

#[test]
fn unknown_commands_do_not_exist() {
    for mut guest in both() {
        for cmd in (8..20).chain([u32::MAX]) {
            assert_eq!(sched_op(&mut guest, cmd), ENOSYS, "{cmd}");
        }
        assert_eq!(sched_op(&mut guest, SCHEDOP_SHUTDOWN), EFAULT);
        assert_eq!(sched_op(&mut guest, SCHEDOP_POLL), EFAULT);
        assert_eq!(guest.leave(), Next::Resume);
    }
}

// ---- block ------------------------------------------------------------------------------

#[test]
fn a_vcpu_sleeps_until_an_event_comes() {
    for mut guest in both() {
        let timer = bind_timer(&mut guest);
        guest.mask_upcalls(true);
        assert_eq!(sched_op(&mut guest, SCHEDOP_BLOCK), 0);
        assert!(!guest.upcalls_masked(), "upcalls are unmasked");
        assert_eq!(guest.vcpu().run.state(), State::Blocked);
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(guest.pick(), None);
        // A masked event wakes nobody.
        guest.set_masked(timer, true);
        raise(&guest.sys, guest.domain(), guest.vcpu, VIRQ_TIMER);
        assert_eq!(guest.pick(), None);
        guest.set_masked(timer, false);
        guest.clear_pending(timer);
        raise(&guest.sys, guest.domain(), guest.vcpu, VIRQ_TIMER);
        assert_eq!(guest.pick(), Some((0, 0)));
        assert!(guest.upcall_pending(0));
    }
}

#[test]
fn an_upcall_that_is_pending_keeps_a_vcpu_awake() {
    let mut guest = Guest::pv32();
    accept_upcalls(&mut guest);
    let port = bind_ipi(&mut guest);
    send(&mut guest, port);
    assert_eq!(guest.leave(), Next::Resume, "masked");
    assert_ne!(guest.regs.rip, CALLBACK);
    assert_eq!(sched_op(&mut guest, SCHEDOP_BLOCK), 0);
    assert_eq!(guest.leave(), Next::Resume);
    assert_eq!(guest.regs.rip, CALLBACK, "it was unmasked, so it comes");
    assert!(guest.upcalls_masked());
}

#[test]
fn an_event_to_itself_comes_on_the_way_back() {
    let mut guest = Guest::pv32();
    accept_upcalls(&mut guest);
    let port = bind_ipi(&mut guest);
    guest.mask_upcalls(false);
    send(&mut guest, port);
    assert_eq!(guest.machine().this().kicks, 0);
    assert_eq!(guest.leave(), Next::Resume);
    assert_eq!(guest.regs.rip, CALLBACK);
    assert_eq!(guest.leave(), Next::Resume, "masked now");
}

#[test]
fn an_upcall_without_a_callback_or_a_stack_ends_the_domain() {
    for with_callback in [false, true] {
        let mut guest = Guest::pv32();
        if with_callback {
            accept_upcalls(&mut guest);
            guest.regs.rsp = NOWHERE;
        }
        let port = bind_ipi(&mut guest);
        guest.mask_upcalls(false);
        send(&mut guest, port);
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(guest.domain().shutdown_reason(), Some(SHUTDOWN_CRASH as u8));
        assert_eq!(guest.pick(), None);
    }
}

#[test]
fn calls_go_on_in_a_list_whose_caller_has_gone_to_sleep() {
    let mut guest = Guest::pv32();
    let call = |op, first: u32| x86_32::MulticallEntry {
        op,
        result: 0xdead,
        args: [first, 0, 0, 0, 0, 0],
    };
    let list = [
        call(SCHED_OP, SCHEDOP_BLOCK),
        call(SCHED_OP, SCHEDOP_YIELD),
        call(SCHED_OP, SCHEDOP_BLOCK),
        call(XEN_VERSION, 0),
    ];
    let at = guest.arg(&list);
    assert_eq!(guest.call(MULTICALL, &[at, 4]), 0);
    let version: u32 = guest.read(at + 3 * 32 + 4);
    assert_eq!(version >> 16, 4);
    assert_eq!(guest.leave(), Next::Switch);
    assert_eq!(guest.pick(), None);
}

// ---- poll -------------------------------------------------------------------------------

#[test]
fn poll_refuses_what_makes_no_sense() {
    for mut guest in both() {
        let port = bind_ipi(&mut guest);
        let ports = guest.arg(&[port; 129]);
        assert_eq!(poll_at(&mut guest, ports, 129, 0), EINVAL);
        assert_eq!(poll_at(&mut guest, ports, u32::MAX, 0), EINVAL);
        assert_eq!(poll_at(&mut guest, NOWHERE, 1, 0), EFAULT);
        assert_eq!(poll_at(&mut guest, NOWHERE, 129, 0), EINVAL, "counted first");
        // The last ports would lie past the guest's memory.
        let end = match guest.domain().width() {
            Width::Pv32 => 0xffff_fff0,
            Width::Pv64 => 0x0000_7fff_ffff_fff0,
        };
        assert_eq!(poll_at(&mut guest, end, 5, 0), EFAULT);
        for bad in [0, port + 1, 64, 5000, u32::MAX] {
            assert_eq!(poll(&mut guest, &[bad], 0), EINVAL, "{bad}");
            assert_eq!(poll(&mut guest, &[port, bad], 0), EINVAL, "{bad}");
        }
        assert!(guest.vcpu().run.may_run_on());
        assert_eq!(guest.domain().events.pollers(), 0, "nothing is left of them");
        assert_eq!(guest.vcpu().time.poll_ns(), None);
        // What comes after a pending port is not looked at.
        guest.set_masked(port, true);
        send(&mut guest, port);
        assert_eq!(poll(&mut guest, &[port, u32::MAX], 0), 0);
        assert_eq!(guest.leave(), Next::Resume);
        assert!(guest.pending(port), "polling clears nothing");
    }
}

#[test]
fn a_poller_sleeps_until_its_port_is_pending_masked_or_not() {
    for mut guest in both() {
        guest.mask_upcalls(true);
        let (mine, other) = (bind_ipi(&mut guest), bind_ipi(&mut guest));
        guest.set_masked(mine, true);
        guest.set_masked(other, true);
        guest.start_vcpu(1);
        guest.run_as(0);
        assert_eq!(poll(&mut guest, &[mine], 0), 0);
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(guest.pick(), None);
        assert!(guest.upcalls_masked(), "the mask stays");
        // The other vCPU rings for it.
        guest.run_as(1);
        send(&mut guest, other);
        guest.run_as(0);
        assert_eq!(guest.pick(), None, "not the port that it polls");
        guest.run_as(1);
        let kicks = guest.machine().cpu(0).kicks;
        send(&mut guest, mine);
        assert_eq!(guest.machine().cpu(0).kicks, kicks + 1);
        guest.run_as(0);
        assert_eq!(guest.pick(), Some((0, 0)));
        assert_eq!(guest.domain().events.pollers(), 0);
        assert_eq!(guest.leave(), Next::Resume);
    }
}

#[test]
fn a_poller_of_many_ports_wakes_for_any_event() {
    for mut guest in both() {
        guest.mask_upcalls(true);
        let ports: Vec<u32> = (0..128).map(|_| bind_ipi(&mut guest)).collect();
        let last = *ports.last().unwrap();
        for port in &ports {
            guest.set_masked(*port, true);
        }
        assert_eq!(poll(&mut guest, &ports, 0), 0);
        assert_eq!(guest.leave(), Next::Switch);
        guest.start_vcpu(1);
        send(&mut guest, last);
        guest.run_as(0);
        assert_eq!(guest.pick(), Some((0, 0)));
        // With it pending the next poll is over at once.
        assert_eq!(poll(&mut guest, &ports, 0), 0);
        assert_eq!(guest.leave(), Next::Resume);
        assert_eq!(guest.domain().events.pollers(), 0);
    }
}

#[test]
fn an_upcall_ends_a_poll_and_one_that_is_due_prevents_it() {
    for mut guest in both() {
        guest.mask_upcalls(true);
        let (polled, other) = (bind_ipi(&mut guest), bind_ipi(&mut guest));
        assert_eq!(poll(&mut guest, &[polled], 0), 0);
        assert_eq!(guest.leave(), Next::Switch);
        guest.start_vcpu(1);
        send(&mut guest, other);
        guest.run_as(0);
        assert_eq!(guest.pick(), Some((0, 0)), "it has something to look at");
        assert_eq!(guest.domain().events.pollers(), 0);
        // Pending, but masked: a poll sleeps. Not masked: it does not even look at its ports.
        assert_eq!(poll(&mut guest, &[polled], 0), 0);
        assert_eq!(guest.leave(), Next::Switch);
        sched::wake(&guest.sys, guest.domain(), guest.vcpu());
        guest.pick();
        guest.mask_upcalls(false);
        assert_eq!(poll_at(&mut guest, NOWHERE, 1, 0), 0);
        assert!(guest.vcpu().run.may_run_on());
    }
}

#[test]
fn a_poll_ends_at_its_time() {
    for mut guest in both() {
        guest.mask_upcalls(true);
        guest.machine().advance_ns(1000);
        for past in [1, 999, 1000] {
            assert_eq!(poll(&mut guest, &[], past), 0);
            assert_eq!(guest.leave(), Next::Resume, "{past} has passed");
        }
        assert_eq!(poll(&mut guest, &[], 1500), 0);
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(guest.machine().this().deadline_ns, Some(1500));
        guest.machine().advance_ns(499);
        time::expired(&guest.sys, 0);
        assert_eq!(guest.pick(), None);
        assert_eq!(guest.machine().this().deadline_ns, Some(1500), "armed again");
        guest.machine().advance_ns(1);
        time::expired(&guest.sys, 0);
        assert_eq!(guest.pick(), Some((0, 0)));
        assert!(!guest.upcall_pending(0), "no event comes with it");
        assert_eq!(guest.vcpu().time.poll_ns(), None);
        assert_eq!(guest.domain().events.pollers(), 0);
        // For ever, and for longer than that.
        for (timeout, armed) in [(0, None), (u64::MAX, None), (u64::MAX - 1, Some(u64::MAX - 1))] {
            assert_eq!(poll(&mut guest, &[], timeout), 0);
            assert_eq!(guest.leave(), Next::Switch);
            time::expired(&guest.sys, 0);
            assert_eq!(guest.pick(), None);
            assert_eq!(guest.machine().this().deadline_ns, armed);
            sched::wake(&guest.sys, guest.domain(), guest.vcpu());
            assert_eq!(guest.pick(), Some((0, 0)));
        }
    }
}

#[test]
fn the_timeout_of_a_poll_that_is_over_wakes_nobody() {
    let mut guest = Guest::pv32();
    guest.mask_upcalls(true);
    let port = bind_ipi(&mut guest);
    guest.set_masked(port, true);
    assert_eq!(poll(&mut guest, &[port], 1000), 0);
    assert_eq!(guest.leave(), Next::Switch);
    guest.enter(|ctx| {
        let port = Port::new(port);
        hypervisor::evtchn::delivery::set_pending(ctx.sys, ctx.domain, VcpuId::new(0), port);
    });
    assert_eq!(guest.pick(), Some((0, 0)));
    assert_eq!(sched_op(&mut guest, SCHEDOP_BLOCK), 0);
    assert_eq!(guest.leave(), Next::Switch);
    guest.machine().advance_ns(5000);
    time::expired(&guest.sys, 0);
    assert_eq!(guest.pick(), None);
}

// ---- CPUs -------------------------------------------------------------------------------

#[test]
fn an_event_for_a_vcpu_on_another_cpu_kicks_it() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    let port = bind_ipi(&mut guest);
    guest.start_vcpu(1);
    assert_eq!(guest.vcpu().run.cpu(), Some(1), "settled where nobody lives");
    let kicks = |guest: &Guest| (guest.machine().cpu(0).kicks, guest.machine().cpu(1).kicks);
    let before = kicks(&guest);
    send(&mut guest, port);
    assert_eq!(kicks(&guest), (before.0 + 1, before.1), "it runs there");
    send(&mut guest, port);
    assert_eq!(kicks(&guest), (before.0 + 1, before.1), "it has been told");
    guest.run_as(0);
    guest.forget_events(0);
    assert_eq!(sched_op(&mut guest, SCHEDOP_BLOCK), 0);
    assert_eq!(guest.leave(), Next::Switch);
    assert_eq!(guest.pick(), None);
    guest.run_as(1);
    send(&mut guest, port);
    assert_eq!(kicks(&guest), (before.0 + 2, before.1), "it slept there");
    guest.run_as(0);
    sched::kicked(&guest.sys, 0);
    assert_eq!(guest.pick(), Some((0, 0)));
}

#[test]
fn a_vcpu_is_started_once_and_settled_for_good() {
    let mut guest = Guest::with(Spec { vcpus: 3, ..Spec::default() });
    guest.start_vcpu(2);
    guest.start_vcpu(1);
    let cpus = [0, 1, 2].map(|n| guest.domain().vcpu(VcpuId::new(n)).unwrap().run.cpu());
    assert_eq!(cpus, [Some(0), Some(2), Some(1)], "one each, in the order of starting");
    let domain = guest.sys.domain(guest.id).unwrap();
    sched::start(&guest.sys, domain, guest.vcpu());
    assert_eq!(guest.pick(), None, "not queued twice");
}

// ---- the end ----------------------------------------------------------------------------

#[test]
fn a_domain_shuts_down_once_with_all_its_vcpus() {
    for reason in [0, 1, 2, 3, 4, 5, 6, 254, 255] {
        let mut guest = Guest::with(Spec { vcpus: 3, ..Spec::default() });
        guest.start_vcpu(1);
        guest.run_as(0);
        let kicks = guest.machine().cpu(1).kicks;
        assert_eq!(shut_down(&mut guest, reason), 0);
        assert_eq!(guest.domain().shutdown_reason(), Some(reason as u8));
        assert_eq!(guest.machine().devices().shut_down, [reason as u8]);
        assert_eq!(guest.machine().cpu(1).kicks, kicks + 1, "the other CPU has to stop");
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(guest.pick(), None);
        guest.run_as(1);
        assert_eq!(shut_down(&mut guest, 1), 0, "what it still says changes nothing");
        assert_eq!(guest.domain().shutdown_reason(), Some(reason as u8));
        assert_eq!(guest.machine().devices().shut_down, [reason as u8]);
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(guest.pick(), None);
    }
}

#[test]
fn a_reason_has_eight_bits() {
    let mut guest = Guest::pv32();
    assert_eq!(shut_down(&mut guest, 0x101), 0);
    assert_eq!(guest.domain().shutdown_reason(), Some(1));
}

#[test]
fn the_machine_outlives_other_domains() {
    let (mut zero, mut one) = two();
    assert_eq!(sched_op(&mut zero, SCHEDOP_YIELD), 0);
    assert_eq!(zero.leave(), Next::Switch);
    one.pick();
    one.load();
    assert_eq!(shut_down(&mut one, SHUTDOWN_REBOOT), 0);
    assert_eq!(one.leave(), Next::Switch);
    assert_eq!(one.pick(), Some((0, 0)));
    assert!(zero.machine().devices().shut_down.is_empty());
    // Its timers and events are in vain.
    sched::wake(&zero.sys, one.domain(), one.vcpu());
    time::expired(&zero.sys, 0);
    zero.load();
    assert_eq!(sched_op(&mut zero, SCHEDOP_YIELD), 0);
    assert_eq!(zero.leave(), Next::Resume);
}

#[test]
fn a_waiting_vcpu_that_is_taken_down_is_never_picked() {
    let (zero, one) = two();
    sched::shutdown::shutdown(&zero.sys, one.domain(), SHUTDOWN_CRASH as u8);
    assert_eq!(zero.pick(), None);
    assert_eq!(one.vcpu().run.state(), State::Offline);
}

#[test]
fn a_crash_ends_the_domain_and_no_other() {
    let (mut zero, mut one) = two();
    // A frame pointer chain that leads nowhere, and one that turns in circles.
    one.load();
    let stack = one.page();
    one.write(stack.va, &[stack.va as u32, 0xc000_0001]);
    one.regs.rbp = stack.va;
    one.enter(|ctx| sched::shutdown::crash(ctx, Crash::Because("of a test")));
    assert_eq!(one.domain().shutdown_reason(), Some(SHUTDOWN_CRASH as u8));
    assert_eq!(zero.domain().shutdown_reason(), None);
    zero.load();
    zero.regs.rbp = u64::MAX;
    zero.enter(|ctx| sched::shutdown::crash(ctx, Crash::BadIret));
    assert_eq!(zero.machine().devices().shut_down, [SHUTDOWN_CRASH as u8]);
    let unknown = EvtchnStatus { dom: DomId::SELF, ..EvtchnStatus::new_zeroed() };
    assert_eq!(zero.op(EVENT_CHANNEL_OP, EVTCHNOP_STATUS, &unknown).0, 0, "others live on");
}
