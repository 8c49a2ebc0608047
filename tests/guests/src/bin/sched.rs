//! sched_op: yield, block, poll.
//!
//! `xen/include/public/sched.h`; Xen 4.17 `common/sched/core.c` (vcpu_block, do_poll). Expected:
//! block clears the upcall mask and returns after an upcall; poll wakes for a port even if it is
//! masked, leaves the upcall mask alone, ends at its timeout with 0, and refuses bad ports.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::errno::Errno;
use pv_abi::hypercall::SCHED_OP;
use pv_abi::types::{Port, VcpuId};
use pv_abi::virq::VIRQ_TIMER;
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, hypercall, must};
use ring1::{calls, events, probe, shared};

guest!(run);

static UPCALLS: AtomicU32 = AtomicU32::new(0);
const MS: u64 = 1_000_000;

fn run(_: &'static StartInfo) -> Outcome {
    probe::set_upcall_handler(|| {
        UPCALLS.fetch_add(1, Ordering::Relaxed);
        events::dispatch(|_| {});
    });
    let timer = must(calls::evtchn_bind_virq(VIRQ_TIMER), "bind_virq")?;
    let ipi = must(calls::evtchn_bind_ipi(VcpuId::new(0)), "bind_ipi")?;
    let _ = calls::vcpu_op(pv_abi::vcpu::VCPUOP_STOP_PERIODIC_TIMER, VcpuId::new(0));
    events::clear_port(timer);
    calls::yield_now();

    // Block until the timer.
    events::unmask_port(timer);
    UPCALLS.store(0, Ordering::Relaxed);
    events::mask();
    let deadline = clock::now() + 10 * MS;
    must(calls::set_timer(deadline), "set_timer_op")?;
    calls::block();
    check!(!events::is_masked(), "block left upcalls masked");
    check_eq!(UPCALLS.load(Ordering::Relaxed), 1, "upcalls during block");
    check!(clock::now() >= deadline, "block returned early");
    // With an event pending it returns at once.
    events::mask();
    events::unmask_port(ipi);
    must(calls::evtchn_send(ipi), "send")?;
    calls::block();
    check_eq!(UPCALLS.load(Ordering::Relaxed), 2, "upcalls during a block with an event pending");

    // Poll.
    events::mask();
    events::mask_port(timer);
    let deadline = clock::now() + 10 * MS;
    must(calls::set_timer(deadline), "set_timer_op")?;
    must(calls::poll(&[ipi, timer], 0), "poll")?;
    check!(events::is_pending(timer), "poll returned without its port pending");
    check!(clock::now() >= deadline, "poll returned early");
    check!(events::is_masked(), "poll unmasked upcalls");
    must(calls::poll(&[timer], 0), "poll of a pending port")?;
    events::clear_port(timer);
    let deadline = clock::now() + 5 * MS;
    check_eq!(calls::poll(&[timer], deadline), Ok(()), "poll at its timeout");
    check!(clock::now() + MS / 10 >= deadline, "poll returned {} early", deadline - clock::now());
    check_eq!(calls::poll(&[timer], 1), Ok(()), "poll with a past timeout");
    for port in [1024, u32::MAX] {
        let result = calls::poll(&[Port::new(port)], clock::now() + MS);
        check_eq!(result, Err(Errno::EINVAL), "poll of port {port:#x}");
    }
    let many = [timer; 129];
    check_eq!(calls::poll(&many, clock::now() + MS), Err(Errno::EINVAL), "poll of 129 ports");
    check_eq!(calls::poll(&many[..128], clock::now() + MS), Ok(()), "poll of 128 ports");
    for command in [8, 100, u32::MAX] {
        check_eq!(hypercall(SCHED_OP, &[command, 0]), -38, "sched_op {command}");
    }
    check_eq!(shared::upcall_pending().load(Ordering::SeqCst), 0, "something is pending");
    Ok(())
}
