//! `sched_op`: what is rare. Watchdogs, latched reasons, shutting down others, pinning; and what the
//! hypercall was called before.

use std::sync::Arc;

use hypervisor::exit::Next;
use hypervisor::platform::Clock;
use hypervisor::sched::{self, State};
use hypervisor::time;
use pv_abi::errno::Errno;
use pv_abi::event_channel::{EVTCHNOP_BIND_VIRQ, EvtchnBindVirq};
use pv_abi::hypercall::{EVENT_CHANNEL_OP, SCHED_OP, SCHED_OP_COMPAT, VCPU_OP};
use pv_abi::sched::*;
use pv_abi::types::{DomId, Port, VcpuId};
use pv_abi::vcpu::{VCPUOP_GET_PHYSID, VcpuGetPhysid};
use pv_abi::virq::VIRQ_DOM_EXC;
use pv_tests::guest::{Guest, Spec};

const EBUSY: i64 = Errno::EBUSY.to_ret();
const EFAULT: i64 = Errno::EFAULT.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ENOSPC: i64 = Errno::ENOSPC.to_ret();
const ENOSYS: i64 = Errno::ENOSYS.to_ret();
const EPERM: i64 = Errno::EPERM.to_ret();
const ESRCH: i64 = Errno::ESRCH.to_ret();

/// An address where nothing is mapped.
const NOWHERE: u64 = 0x10_0000;
const SECOND: u64 = 1_000_000_000;

/// Domain 0, which runs, and domain 1.
fn two() -> (Guest, Guest) {
    let mut zero = Guest::pv32();
    zero.enter(|ctx| sched::stopped_running(ctx));
    let spec = Spec { id: 1, privileged: false, ..Spec::default() };
    let one = Guest::on(Arc::clone(&zero.sys), spec);
    zero.load();
    (zero, one)
}

fn watchdog(guest: &mut Guest, id: u32, timeout: u32) -> i64 {
    guest.op(SCHED_OP, SCHEDOP_WATCHDOG, &SchedWatchdog { id, timeout }).0
}

fn pin(guest: &mut Guest, pcpu: i32) -> i64 {
    guest.op(SCHED_OP, SCHEDOP_PIN_OVERRIDE, &SchedPinOverride { pcpu }).0
}

fn reason(guest: &Guest) -> Option<u32> {
    guest.domain().shutdown_reason().map(u32::from)
}

#[test]
fn arguments_that_cannot_be_read_are_efault() {
    let mut guest = Guest::pv32();
    for cmd in
        [SCHEDOP_REMOTE_SHUTDOWN, SCHEDOP_SHUTDOWN_CODE, SCHEDOP_WATCHDOG, SCHEDOP_PIN_OVERRIDE]
    {
        assert_eq!(guest.call(SCHED_OP, &[cmd.into(), NOWHERE]), EFAULT, "{cmd}");
    }
}

// ---- watchdogs --------------------------------------------------------------------------

#[test]
fn a_watchdog_that_is_not_set_again_shuts_the_domain_down() {
    let mut guest = Guest::pv32();
    assert_eq!(watchdog(&mut guest, 0, 10), 1);
    assert_eq!(guest.machine().this().deadline_ns, Some(10 * SECOND));
    guest.machine().advance_ns(9 * SECOND);
    time::expired(&guest.sys, 0);
    assert_eq!(watchdog(&mut guest, 1, 10), 0, "set again");
    guest.machine().advance_ns(9 * SECOND);
    time::expired(&guest.sys, 0);
    assert_eq!(reason(&guest), None);
    assert_eq!(guest.machine().this().deadline_ns, Some(19 * SECOND));
    guest.machine().advance_ns(SECOND);
    time::expired(&guest.sys, 0);
    assert_eq!(reason(&guest), Some(SHUTDOWN_WATCHDOG));
    assert_eq!(guest.leave(), Next::Switch);
    time::expired(&guest.sys, 0);
    assert_eq!(guest.machine().devices().shut_down, [SHUTDOWN_WATCHDOG as u8], "once");
}

#[test]
fn there_are_two_watchdogs() {
    let mut guest = Guest::pv32();
    for bad in [1, 2, 3, u32::MAX] {
        assert_eq!(watchdog(&mut guest, bad, 1), EINVAL, "{bad} is not set up");
    }
    assert_eq!(watchdog(&mut guest, 0, 5), 1);
    assert_eq!(watchdog(&mut guest, 0, u32::MAX), 2);
    assert_eq!(watchdog(&mut guest, 0, 5), ENOSPC);
    assert_eq!(watchdog(&mut guest, 3, 5), EINVAL);
    assert_eq!(watchdog(&mut guest, 1, 0), 0, "ended");
    assert_eq!(watchdog(&mut guest, 1, 1), EINVAL);
    guest.machine().advance_ns(100 * SECOND);
    time::expired(&guest.sys, 0);
    assert_eq!(reason(&guest), None);
    assert_eq!(watchdog(&mut guest, 0, 0), 1, "it can be had again; this one is due at once");
    time::expired(&guest.sys, 0);
    assert_eq!(reason(&guest), Some(SHUTDOWN_WATCHDOG));
}

#[test]
fn any_vcpu_sets_the_watchdogs_of_the_domain() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    guest.start_vcpu(1);
    let kicks = guest.machine().cpu(0).kicks;
    assert_eq!(watchdog(&mut guest, 0, 1), 1);
    assert_eq!(guest.machine().cpu(0).kicks, kicks + 1, "CPU 0 serves vCPU 0");
    guest.run_as(0);
    sched::kicked(&guest.sys, 0);
    assert_eq!(guest.machine().this().deadline_ns, Some(SECOND));
}

// ---- ends -------------------------------------------------------------------------------

#[test]
fn a_latched_reason_is_the_one_that_counts() {
    let mut guest = Guest::pv32();
    let latch = |guest: &mut Guest, reason| {
        guest.op(SCHED_OP, SCHEDOP_SHUTDOWN_CODE, &SchedShutdown { reason }).0
    };
    assert_eq!(latch(&mut guest, SHUTDOWN_CRASH), 0);
    assert_eq!(latch(&mut guest, 0x100 | SHUTDOWN_REBOOT), 0, "the last one, and eight bits of it");
    assert_eq!(reason(&guest), None, "it runs on");
    let poweroff = SchedShutdown { reason: SHUTDOWN_POWEROFF };
    assert_eq!(guest.op(SCHED_OP, SCHEDOP_SHUTDOWN, &poweroff).0, 0);
    assert_eq!(reason(&guest), Some(SHUTDOWN_REBOOT));
}

fn remote(guest: &mut Guest, domain: u16, reason: u32) -> i64 {
    let arg = SchedRemoteShutdown { domain_id: DomId::new(domain), _pad: [0; 2], reason };
    guest.op(SCHED_OP, SCHEDOP_REMOTE_SHUTDOWN, &arg).0
}

#[test]
fn domain_0_shuts_others_down_and_is_told() {
    let (mut zero, mut one) = two();
    let bind = EvtchnBindVirq { virq: VIRQ_DOM_EXC, vcpu: VcpuId::new(0), port: Port::new(0) };
    let (result, bound) = zero.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_VIRQ, &bind);
    assert_eq!(result, 0);
    for nobody in [2, 63, 64, DomId::SELF.raw(), u16::MAX] {
        assert_eq!(remote(&mut zero, nobody, 1), ESRCH, "{nobody:#x}");
    }
    one.load();
    assert_eq!(remote(&mut one, 9, 1), ESRCH, "looked for first");
    assert_eq!(remote(&mut one, 0, 1), EPERM);
    assert_eq!(remote(&mut one, 1, 1), EPERM, "not even itself");
    zero.load();
    assert!(!zero.pending(bound.port.raw()));
    assert_eq!(remote(&mut zero, 1, SHUTDOWN_CRASH), 0);
    assert_eq!(reason(&one), Some(SHUTDOWN_CRASH));
    assert!(zero.pending(bound.port.raw()), "VIRQ_DOM_EXC");
    assert_eq!(one.vcpu().run.state(), State::Offline);
    assert!(one.vcpu().run.is_up(), "its vCPUs are up, but none runs");
    zero.forget_events(0);
    assert_eq!(remote(&mut zero, 1, SHUTDOWN_REBOOT), 0);
    assert_eq!(reason(&one), Some(SHUTDOWN_CRASH), "once");
    assert!(!zero.pending(bound.port.raw()));
}

// ---- pinning ----------------------------------------------------------------------------

#[test]
fn domain_0_pins_its_vcpus() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    assert_eq!(pin(&mut guest, -1), EINVAL, "nothing to undo");
    for nowhere in [2, 31, 32, i32::MAX] {
        assert_eq!(pin(&mut guest, nowhere), EINVAL, "{nowhere}");
    }
    assert_eq!(pin(&mut guest, 0), 0);
    assert_eq!(guest.leave(), Next::Resume, "it is there");
    assert_eq!(pin(&mut guest, 1), EBUSY);
    assert_eq!(pin(&mut guest, 0), 0);
    assert_eq!(pin(&mut guest, i32::MIN), 0);
    assert_eq!(pin(&mut guest, 1), 0);
    assert_eq!(guest.leave(), Next::Switch, "off to the other CPU");
    assert_eq!(guest.pick(), None);
    assert_eq!(guest.vcpu().run.cpu(), Some(1));
    assert_eq!(guest.machine().cpu(1).kicks, 1);
    guest.machine().run_on(1);
    assert_eq!(guest.pick(), Some((0, 0)));
    let (_, mut one) = two();
    one.load();
    assert_eq!(pin(&mut one, 0), EPERM);
}

#[test]
fn physical_ids_are_told_of_vcpus_that_are_bound_to_a_cpu() {
    let mut guest = Guest::with(Spec { vcpus: 3, ..Spec::default() });
    let at = guest.page().va;
    let ask = |guest: &mut Guest, at| guest.call(VCPU_OP, &[VCPUOP_GET_PHYSID.into(), 1, at]);
    assert_eq!(ask(&mut guest, at), EINVAL, "any CPU");
    let one = guest.domain().vcpu(VcpuId::new(1)).unwrap();
    sched::affinity::set_affinity(&guest.sys, one, 0b100).unwrap();
    assert_eq!(ask(&mut guest, NOWHERE), EFAULT);
    assert_eq!(ask(&mut guest, at), 0);
    assert_eq!(guest.read::<VcpuGetPhysid>(at).phys_id, 4 << 32 | 4, "the APIC id of CPU 2");
    let (_, mut other) = two();
    other.load();
    let call = [VCPUOP_GET_PHYSID.into(), 0, NOWHERE];
    assert_eq!(other.call(VCPU_OP, &call), EINVAL, "not for everyone");
}

// ---- the old name -----------------------------------------------------------------------

#[test]
fn sched_op_compat_has_three_commands() {
    let mut guest = Guest::pv32();
    for cmd in (3..9).chain([u32::MAX]) {
        assert_eq!(guest.call(SCHED_OP_COMPAT, &[cmd.into(), 0]), ENOSYS, "{cmd}");
    }
    assert_eq!(guest.call(SCHED_OP_COMPAT, &[SCHEDOP_YIELD.into(), 0]), 0);
    assert_eq!(guest.leave(), Next::Resume);
    guest.mask_upcalls(true);
    assert_eq!(guest.call(SCHED_OP_COMPAT, &[SCHEDOP_BLOCK.into(), 0]), 0);
    assert!(!guest.upcalls_masked());
    assert_eq!(guest.vcpu().run.state(), State::Blocked);
    // The reason is the argument itself.
    let reboot = [SCHEDOP_SHUTDOWN.into(), SHUTDOWN_REBOOT.into()];
    assert_eq!(guest.call(SCHED_OP_COMPAT, &reboot), 0);
    assert_eq!(reason(&guest), Some(SHUTDOWN_REBOOT));
    assert_eq!(guest.machine().now_ns(), 0);
}
