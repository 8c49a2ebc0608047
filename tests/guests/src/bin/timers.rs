//! The timers of a vCPU: set_timer_op, single-shot, periodic, and poll's timeout.
//!
//! `xen/include/public/vcpu.h`, `sched.h`; Xen 4.17 `common/schedule.c` (vcpu_singleshot_timer_fn,
//! vcpu_periodic_timer_fn), `common/domain.c`. Expected: VIRQ_TIMER comes after the deadline, not
//! before; a past deadline at once, -ETIME with VCPU_SSHOTTMR_future (Xen 4.17 ignores the flag that
//! its header describes); stopping stops.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::types::{Port, VcpuId};
use pv_abi::vcpu::*;
use pv_abi::virq::VIRQ_TIMER;
use pv_guests::clock::{MS, comes_until};
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, must};
use ring1::{calls, events};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    let vcpu = VcpuId::new(0);
    let port = must(calls::evtchn_bind_virq(VIRQ_TIMER), "bind_virq")?;
    let start = clock::now();
    // Xen starts a domain with a periodic timer of 10 ms.
    let _ = calls::vcpu_op(VCPUOP_STOP_PERIODIC_TIMER, vcpu);
    events::clear_port(port);
    check!(!comes_until(port, clock::now() + 25 * MS), "a timer event that nobody asked for");
    check!(clock::now() >= start + 25 * MS, "poll returned early");

    for delay in [MS, 5 * MS, 20 * MS] {
        let deadline = clock::now() + delay;
        must(calls::set_timer(deadline), "set_timer_op")?;
        check!(comes_until(port, deadline + 1000 * MS), "set_timer_op: no event in {delay} ns");
        check!(clock::now() >= deadline, "set_timer_op: {} ns early", deadline - clock::now());

        let deadline = clock::now() + delay;
        must(calls::set_singleshot_timer(deadline, 0), "singleshot")?;
        check!(comes_until(port, deadline + 1000 * MS), "singleshot: no event in {delay} ns");
        check!(clock::now() >= deadline, "singleshot: early");
        check!(!comes_until(port, clock::now() + 2 * delay), "singleshot came twice");
    }
    // The past.
    must(calls::set_timer(clock::now() - MS), "a past deadline")?;
    check!(comes_until(port, clock::now() + 1000 * MS), "a past deadline: no event");
    must(calls::set_singleshot_timer(1, 0), "a past single shot")?;
    check!(comes_until(port, clock::now() + 1000 * MS), "a past single shot: no event");
    let late = calls::set_singleshot_timer(clock::now() - MS, VCPU_SSHOTTMR_FUTURE);
    check_eq!(late, Err(Errno::ETIME), "a past single shot that must be in the future");
    check!(!comes_until(port, clock::now() + 5 * MS), "an event after -ETIME");

    // Stopped.
    must(calls::set_timer(clock::now() + 10 * MS), "set_timer_op")?;
    must(calls::set_timer(0), "set_timer_op 0")?;
    check!(!comes_until(port, clock::now() + 20 * MS), "set_timer_op 0 did not stop it");
    must(calls::set_singleshot_timer(clock::now() + 10 * MS, 0), "singleshot")?;
    must(calls::vcpu_op(VCPUOP_STOP_SINGLESHOT_TIMER, vcpu), "stop_singleshot")?;
    check!(!comes_until(port, clock::now() + 20 * MS), "stop_singleshot_timer did not");

    periodic(port)
}

fn periodic(port: Port) -> Outcome {
    let vcpu = VcpuId::new(0);
    let begin = clock::now();
    let mut period = VcpuSetPeriodicTimer { period_ns: 5 * MS };
    must(calls::vcpu_op_with(VCPUOP_SET_PERIODIC_TIMER, vcpu, &mut period), "periodic")?;
    for tick in 1..=4 {
        check!(comes_until(port, clock::now() + 1000 * MS), "no tick {tick}");
    }
    check!(clock::now() >= begin + 15 * MS, "four ticks in {} ns", clock::now() - begin);
    must(calls::vcpu_op(VCPUOP_STOP_PERIODIC_TIMER, vcpu), "stop_periodic")?;
    events::clear_port(port);
    check!(!comes_until(port, clock::now() + 20 * MS), "stop_periodic_timer did not");
    for period_ns in [0, 1, 999_999] {
        let mut period = VcpuSetPeriodicTimer { period_ns };
        let result = calls::vcpu_op_with(VCPUOP_SET_PERIODIC_TIMER, vcpu, &mut period);
        check_eq!(result, Err(Errno::EINVAL), "a period of {period_ns} ns");
    }
    Ok(())
}
