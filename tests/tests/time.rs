//! Guest time: timers through `set_timer_op` and `vcpu_op`, and the clocks in shared memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::exit::Next;
use hypervisor::platform::{Clock, FrameAccess};
use hypervisor::width::Width;
use hypervisor::{sched, time};
use pv_abi::errno::Errno;
use pv_abi::event_channel::*;
use pv_abi::hypercall::{EVENT_CHANNEL_OP, SCHED_OP, SET_TIMER_OP, VCPU_OP};
use pv_abi::sched::SCHEDOP_BLOCK;
use pv_abi::time::VcpuTimeInfo;
use pv_abi::types::{Port, U64A4, VcpuId};
use pv_abi::vcpu::*;
use pv_abi::virq::VIRQ_TIMER;
use pv_abi::{x86_32, x86_64};
use pv_tests::guest::{Guest, Spec};

const EFAULT: i64 = Errno::EFAULT.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ETIME: i64 = Errno::ETIME.to_ret();
const ENOENT: i64 = Errno::ENOENT.to_ret();

/// An address where nothing is mapped.
const NOWHERE: u64 = 0x10_0000;
/// When tests begin, in ns.
const START: u64 = 5_000_000_000;
const MS: u64 = 1_000_000;

/// A guest of each width with two vCPUs, the first of which has a timer at port 1.
fn both() -> impl Iterator<Item = Guest> {
    [Width::Pv32, Width::Pv64].into_iter().map(|width| {
        let mut guest = Guest::with(Spec { width, vcpus: 2, ..Spec::default() });
        guest.machine().advance_ns(START);
        assert_eq!(bind_timer(&mut guest, 0), 1);
        guest
    })
}

fn bind_timer(guest: &mut Guest, vcpu: u32) -> u32 {
    let arg = EvtchnBindVirq { virq: VIRQ_TIMER, vcpu: VcpuId::new(vcpu), port: Port::new(0) };
    let (result, out) = guest.op(EVENT_CHANNEL_OP, EVTCHNOP_BIND_VIRQ, &arg);
    assert_eq!(result, 0);
    out.port.raw()
}

fn set_timer_op(guest: &mut Guest, deadline_ns: u64) -> i64 {
    match guest.domain().width() {
        Width::Pv32 => guest.call(SET_TIMER_OP, &[deadline_ns & 0xffff_ffff, deadline_ns >> 32]),
        Width::Pv64 => guest.call(SET_TIMER_OP, &[deadline_ns]),
    }
}

fn set_single_shot(guest: &mut Guest, vcpu: u32, timeout_ns: u64, flags: u32) -> i64 {
    match guest.domain().width() {
        Width::Pv32 => {
            let timeout_abs_ns = U64A4::new(timeout_ns);
            let arg = x86_32::VcpuSetSingleshotTimer { timeout_abs_ns, flags, _pad: [] };
            guest.vcpu_op(VCPUOP_SET_SINGLESHOT_TIMER, vcpu, &arg)
        }
        Width::Pv64 => {
            let timeout_abs_ns = timeout_ns;
            let arg = x86_64::VcpuSetSingleshotTimer { timeout_abs_ns, flags, _pad: [0; 4] };
            guest.vcpu_op(VCPUOP_SET_SINGLESHOT_TIMER, vcpu, &arg)
        }
    }
}

fn set_periodic(guest: &mut Guest, vcpu: u32, period_ns: u64) -> i64 {
    guest.vcpu_op(VCPUOP_SET_PERIODIC_TIMER, vcpu, &VcpuSetPeriodicTimer { period_ns })
}

fn armed(guest: &Guest) -> Option<u64> {
    guest.machine().this().deadline_ns
}

/// Moves the clock and lets the timer interrupt come; returns whether the timer's port rang,
/// and forgets it.
fn rings_after(guest: &Guest, ns: u64) -> bool {
    guest.machine().advance_ns(ns);
    time::expired(&guest.sys, 0);
    let rang = guest.pending(1);
    assert_eq!(guest.upcall_pending(0), rang);
    guest.forget_events(0);
    rang
}

// ---- the single-shot timer --------------------------------------------------------------

#[test]
fn a_timer_rings_once_at_its_time() {
    for mut guest in both() {
        assert_eq!(set_timer_op(&mut guest, START + 1000), 0);
        assert_eq!(armed(&guest), Some(START + 1000));
        assert!(!rings_after(&guest, 999), "an interrupt that comes early");
        assert_eq!(armed(&guest), Some(START + 1000), "is asked for again");
        assert!(rings_after(&guest, 1));
        assert_eq!(armed(&guest), None);
        assert!(!rings_after(&guest, 1_000_000_000));
    }
}

#[test]
fn a_deadline_that_has_passed_rings_at_once() {
    for mut guest in both() {
        for past in [1, START - 1, START] {
            assert_eq!(set_timer_op(&mut guest, past), 0);
            assert!(guest.pending(1) && guest.upcall_pending(0), "{past}");
            guest.forget_events(0);
            assert_eq!(armed(&guest), None);
        }
        // It takes the place of one that was set.
        assert_eq!(set_timer_op(&mut guest, START + 50), 0);
        assert_eq!(set_timer_op(&mut guest, START - 50), 0);
        guest.forget_events(0);
        assert!(!rings_after(&guest, 100));
    }
}

#[test]
fn zero_stops_the_timer() {
    for mut guest in both() {
        assert_eq!(set_timer_op(&mut guest, 0), 0);
        assert_eq!(set_timer_op(&mut guest, START + 1000), 0);
        assert_eq!(set_timer_op(&mut guest, 0), 0);
        assert_eq!(guest.vcpu().time.single_shot_ns(), None);
        assert!(!rings_after(&guest, 1_000_000_000));
        assert_eq!(armed(&guest), None);
    }
}

#[test]
fn an_absurd_deadline_rings_in_100_ms() {
    for mut guest in both() {
        for absurd in [START + (1 << 50), i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX] {
            assert_eq!(set_timer_op(&mut guest, absurd), 0);
            assert_eq!(guest.vcpu().time.single_shot_ns(), Some(START + 100 * MS), "{absurd:#x}");
        }
        let far = START + (1 << 50) - 1;
        assert_eq!(set_timer_op(&mut guest, far), 0);
        assert_eq!(guest.vcpu().time.single_shot_ns(), Some(far), "far, but not absurd");
    }
}

#[test]
fn a_later_deadline_moves_the_interrupt_when_it_comes() {
    for mut guest in both() {
        assert_eq!(set_timer_op(&mut guest, START + 100), 0);
        assert_eq!(set_timer_op(&mut guest, START + 300), 0);
        assert_eq!(armed(&guest), Some(START + 100), "nothing is done before it must be");
        assert!(!rings_after(&guest, 100));
        assert_eq!(armed(&guest), Some(START + 300));
        assert_eq!(set_timer_op(&mut guest, START + 200), 0);
        assert_eq!(armed(&guest), Some(START + 200));
        assert!(rings_after(&guest, 100));
    }
}

#[test]
fn a_timer_wakes_its_vcpu() {
    for mut guest in both() {
        assert_eq!(set_timer_op(&mut guest, START + MS), 0);
        assert_eq!(guest.call(SCHED_OP, &[SCHEDOP_BLOCK.into(), 0]), 0);
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(guest.pick(), None);
        guest.machine().advance_ns(MS);
        time::expired(&guest.sys, 0);
        assert_eq!(guest.pick(), Some((0, 0)));
        assert!(guest.pending(1));
    }
}

#[test]
fn vcpu_op_sets_the_same_timer() {
    for mut guest in both() {
        assert_eq!(set_single_shot(&mut guest, 0, START + 1000, 0), 0);
        assert!(rings_after(&guest, 1000));
        let now = START + 1000;
        // Passed: it rings at once, unless the guest wants to be told.
        assert_eq!(set_single_shot(&mut guest, 0, now - 1, 0), 0);
        assert!(guest.pending(1));
        guest.forget_events(0);
        assert_eq!(set_single_shot(&mut guest, 0, 0, 0), 0, "0 is a time like others");
        assert!(guest.pending(1));
        guest.forget_events(0);
        assert_eq!(set_single_shot(&mut guest, 0, now - 1, VCPU_SSHOTTMR_FUTURE), ETIME);
        assert_eq!(set_single_shot(&mut guest, 0, 0, VCPU_SSHOTTMR_FUTURE), ETIME);
        assert!(!guest.pending(1));
        assert_eq!(set_single_shot(&mut guest, 0, now + 10, VCPU_SSHOTTMR_FUTURE), 0);
        assert!(rings_after(&guest, 10));
        // Beyond the end of time: never, and nothing overflows.
        for timeout in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
            assert_eq!(set_single_shot(&mut guest, 0, timeout, 0), 0);
            assert!(!rings_after(&guest, MS));
        }
        let soon = guest.machine().now_ns() + 10;
        assert_eq!(set_single_shot(&mut guest, 0, soon, 0), 0);
        assert_eq!(guest.vcpu_op(VCPUOP_STOP_SINGLESHOT_TIMER, 0, &0u64), 0);
        assert!(!rings_after(&guest, 1000));
    }
}

#[test]
fn single_shot_timers_are_set_by_their_own_vcpus() {
    for mut guest in both() {
        assert_eq!(set_single_shot(&mut guest, 1, START + 1, 0), EINVAL);
        assert_eq!(guest.vcpu_op(VCPUOP_STOP_SINGLESHOT_TIMER, 1, &0u64), EINVAL);
        assert_eq!(set_single_shot(&mut guest, 2, START + 1, 0), ENOENT);
        let call = |vcpu: u64| [VCPUOP_SET_SINGLESHOT_TIMER.into(), vcpu, NOWHERE];
        assert_eq!(guest.call(VCPU_OP, &call(0)), EFAULT);
        // Xen's handler for 32-bit guests reads the argument first.
        let first = match guest.domain().width() {
            Width::Pv32 => EFAULT,
            Width::Pv64 => EINVAL,
        };
        assert_eq!(guest.call(VCPU_OP, &call(1)), first);
    }
}

// ---- the periodic timer -----------------------------------------------------------------

#[test]
fn a_periodic_timer_rings_again_and_again() {
    for mut guest in both() {
        assert_eq!(set_periodic(&mut guest, 0, 2 * MS), 0);
        for _ in 0..5 {
            assert_eq!(armed(&guest), Some(guest.machine().now_ns() + 2 * MS));
            assert!(!rings_after(&guest, MS));
            assert!(rings_after(&guest, MS));
        }
        // Periods that were missed are one.
        assert!(rings_after(&guest, 7 * MS));
        assert!(!rings_after(&guest, MS));
        assert_eq!(guest.vcpu_op(VCPUOP_STOP_PERIODIC_TIMER, 0, &0u64), 0);
        assert!(!rings_after(&guest, 10 * MS));
        assert_eq!(armed(&guest), None);
    }
}

#[test]
fn periods_have_bounds() {
    for mut guest in both() {
        for bad in [0, 1, MS - 1, (u64::MAX >> 2) + 1, u64::MAX] {
            assert_eq!(set_periodic(&mut guest, 0, bad), EINVAL, "{bad}");
        }
        assert_eq!(guest.vcpu().time.period_ns(), None);
        let call = [VCPUOP_SET_PERIODIC_TIMER.into(), 0, NOWHERE];
        assert_eq!(guest.call(VCPU_OP, &call), EFAULT);
        assert_eq!(set_periodic(&mut guest, 2, MS), ENOENT);
        for good in [MS, u64::MAX >> 2] {
            assert_eq!(set_periodic(&mut guest, 0, good), 0);
            assert!(!rings_after(&guest, MS - 1));
        }
    }
}

#[test]
fn a_periodic_timer_wakes_nobody() {
    for mut guest in both() {
        assert_eq!(set_periodic(&mut guest, 0, MS), 0);
        assert_eq!(guest.call(SCHED_OP, &[SCHEDOP_BLOCK.into(), 0]), 0);
        assert_eq!(guest.leave(), Next::Switch);
        assert_eq!(guest.pick(), None);
        guest.machine().advance_ns(10 * MS);
        time::expired(&guest.sys, 0);
        assert_eq!(guest.pick(), None);
        assert_eq!(armed(&guest), None, "the CPU idles undisturbed");
        sched::wake(&guest.sys, guest.domain(), guest.vcpu());
        assert_eq!(guest.pick(), Some((0, 0)));
        assert!(guest.pending(1), "but what was due is told when it runs");
        assert_eq!(armed(&guest), Some(START + 11 * MS));
    }
}

#[test]
fn a_vcpu_sets_the_periodic_timer_of_another() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    bind_timer(&mut guest, 0);
    guest.start_vcpu(1);
    let kicks = guest.machine().cpu(0).kicks;
    assert_eq!(set_periodic(&mut guest, 0, MS), 0);
    assert_eq!(guest.machine().cpu(0).kicks, kicks + 1);
    assert_eq!(guest.machine().cpu(1).deadline_ns, None);
    guest.run_as(0);
    sched::kicked(&guest.sys, 0);
    assert_eq!(armed(&guest), Some(MS));
    assert!(rings_after(&guest, MS));
}

#[test]
fn the_earliest_timer_of_the_cpu_is_armed() {
    // Two domains on one CPU, each with timers of its own.
    let mut zero = Guest::pv32();
    bind_timer(&mut zero, 0);
    zero.enter(|ctx| sched::stopped_running(ctx));
    let spec = Spec { id: 1, privileged: false, ..Spec::default() };
    let mut one = Guest::on(Arc::clone(&zero.sys), spec);
    let slice = armed(&zero).expect("domain 1 waits");
    zero.load();
    assert_eq!(set_timer_op(&mut zero, 3 * slice), 0);
    assert_eq!(armed(&zero), Some(slice));
    zero.machine().advance_ns(slice);
    time::expired(&zero.sys, 0);
    assert_eq!(zero.leave(), Next::Switch);
    assert_eq!(zero.pick(), Some((1, 0)));
    one.load();
    bind_timer(&mut one, 0);
    assert_eq!(set_timer_op(&mut one, slice + 10), 0);
    assert_eq!(armed(&one), Some(slice + 10));
    assert!(rings_after(&one, 10));
    assert!(!zero.pending(1));
    assert_eq!(armed(&one), Some(2 * slice), "its slice");
    one.machine().advance_ns(2 * slice);
    time::expired(&one.sys, 0);
    assert!(zero.pending(1) && !one.pending(1), "domain 0's rings while domain 1 runs");
}

// ---- clocks -----------------------------------------------------------------------------

/// The clock in a vCPU's `vcpu_info`.
fn clock(guest: &Guest, vcpu: u32) -> VcpuTimeInfo {
    let bytes: Vec<u8> = guest
        .info_words(vcpu)
        .iter()
        .skip(32 / 4)
        .flat_map(|word| word.load(Ordering::SeqCst).to_le_bytes())
        .collect();
    zerocopy::FromBytes::read_from_bytes(&bytes).unwrap()
}

/// What a guest computes from it.
fn system_time(clock: &VcpuTimeInfo, tsc: u64) -> u64 {
    let ticks = u128::from(tsc - clock.tsc_timestamp) << clock.tsc_shift;
    clock.system_time + ((ticks * u128::from(clock.tsc_to_system_mul)) >> 32) as u64
}

#[test]
fn the_clock_is_there_when_a_vcpu_starts() {
    for width in [Width::Pv32, Width::Pv64] {
        let guest = Guest::with(Spec { width, vcpus: 2, ..Spec::default() });
        let found = clock(&guest, 0);
        assert_eq!((found.version, found.flags), (2, 1), "written once; the TSC is stable");
        guest.machine().advance_ns(12345);
        assert_eq!(system_time(&found, 12345), guest.machine().now_ns());
        assert_eq!(clock(&guest, 1).version, 0, "vCPU 1 is down");
        let domain = guest.domain();
        time::publish(&guest.sys, domain, guest.vcpu());
        let found = clock(&guest, 0);
        assert_eq!((found.version, found.system_time), (4, 12345));
        // A guest that makes the version odd does not lock itself out for ever.
        guest.info_words(0)[32 / 4].store(u32::MAX, Ordering::SeqCst);
        time::publish(&guest.sys, domain, guest.vcpu());
        assert_eq!(clock(&guest, 0).version, 0);
    }
}

#[test]
fn the_wall_clock_is_in_shared_info() {
    for width in [Width::Pv32, Width::Pv64] {
        let guest = Guest::with(Spec { width, ..Spec::default() });
        guest.machine().devices().wallclock_base_ns = 0x1_2345_6789 * 1_000_000_000 + 987_654_321;
        time::clock::publish_wallclock(&guest.sys, guest.domain());
        let words = guest.machine().half_words(guest.domain().shared_info);
        let word = |at: usize| words[at / 4].load(Ordering::SeqCst);
        // After 32 vcpu_info and two bitmaps; the high half at the end of arch on 32 bits.
        let (version, high) = match width {
            Width::Pv32 => (2048 + 2 * 128, 2048 + 2 * 128 + 12 + 24),
            Width::Pv64 => (2048 + 2 * 512, 2048 + 2 * 512 + 12),
        };
        assert_eq!(word(version), 2);
        assert_eq!((word(version + 4), word(high)), (0x2345_6789, 1));
        assert_eq!(word(version + 8), 987_654_321);
    }
}
