//! Rows about two vCPUs that wait for each other.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::entries::{self, hypercall, seen};
use crate::events::{send, unmask};
use crate::measure::{BATCHES, fail, report, row};
use pv_abi::event_channel::EvtchnSend;
use pv_abi::hypercall::{SCHED_OP, XEN_VERSION};
use pv_abi::sched::{SCHEDOP_BLOCK, SCHEDOP_POLL, SCHEDOP_YIELD};
use pv_abi::types::{Port, VcpuId};
use pv_abi::vcpu::{VCPUOP_DOWN, VCPUOP_IS_UP};
use pv_guests::call::address_of;
use pv_guests::vcpus;
use ring1::abi::SchedPoll;
use ring1::hypercall::rdtsc;
use ring1::println;
use ring1::{calls, events, shared};
use zerocopy::FromZeros;

/// What the second vCPU does.
static MODE: AtomicU32 = AtomicU32::new(0);
const POLL: u32 = 1;
const YIELD: u32 = 2;
const BLOCK: u32 = 3;

/// Port that wakes vCPU 0, and the one that wakes vCPU 1.
static FIRST: AtomicU32 = AtomicU32::new(0);
static SECOND: AtomicU32 = AtomicU32::new(0);
/// How often the second did what it does, and whether it runs at all.
static COUNT: AtomicU32 = AtomicU32::new(0);
static UP: AtomicU32 = AtomicU32::new(0);

const ROWS: [&str; 3] =
    ["pingpong_poll_2vcpu_roundtrip", "pingpong_block_2vcpu_roundtrip", "yield_switch_2vcpu"];

fn port(of: &AtomicU32) -> Port {
    Port::new(of.load(Ordering::Relaxed))
}

fn poll(port: Port) {
    let mut port = port.raw();
    let mut argument = SchedPoll::new_zeroed();
    (argument.ports, argument.nr_ports) = (address_of(&mut port), 1);
    hypercall!(SCHED_OP, SCHEDOP_POLL, address_of(&mut argument));
}

fn yields() {
    hypercall!(SCHED_OP, SCHEDOP_YIELD, 0u32);
}

/// Sleeps until an upcall if `idle` says so with upcalls masked; else lets upcalls come.
fn sleep(vcpu: u32, idle: impl Fn() -> bool) {
    let (mask, pending) = (vcpus::upcall_mask(vcpu), vcpus::upcall_pending(vcpu));
    mask.store(1, Ordering::SeqCst);
    if idle() {
        hypercall!(SCHED_OP, SCHEDOP_BLOCK, 0u32);
        return;
    }
    mask.store(0, Ordering::SeqCst);
    if vcpu == 0 || pending.load(Ordering::SeqCst) != 0 {
        hypercall!(XEN_VERSION, 0u32, 0u32);
    }
}

extern "C" fn second() -> ! {
    UP.store(1, Ordering::SeqCst);
    let (mine, mut other) = (port(&SECOND), EvtchnSend { port: port(&FIRST) });
    let mut answered = 0;
    loop {
        match MODE.load(Ordering::SeqCst) {
            YIELD => {
                yields();
                COUNT.fetch_add(1, Ordering::Relaxed);
            }
            BLOCK => {
                sleep(1, || {
                    !events::is_pending(mine)
                        && seen(mine) == answered
                        && MODE.load(Ordering::SeqCst) == BLOCK
                });
                if seen(mine) != answered {
                    answered = seen(mine);
                    COUNT.fetch_add(1, Ordering::Relaxed);
                    send(&mut other);
                }
            }
            mode => {
                poll(mine);
                if events::is_pending(mine) {
                    events::clear_port(mine);
                    COUNT.fetch_add(1, Ordering::Relaxed);
                    if mode == POLL {
                        send(&mut other);
                    }
                }
            }
        }
    }
}

/// Starts the second vCPU and measures; `first` is an IPI port of vCPU 0's.
pub fn two(first: Port) {
    let id = VcpuId::new(1);
    if calls::vcpu_op(VCPUOP_IS_UP, id).is_err() {
        ROWS.iter().for_each(|name| println!("SKIP {name} no second vCPU"));
        return;
    }
    let started = calls::evtchn_bind_ipi(id).and_then(|port| {
        FIRST.store(first.raw(), Ordering::SeqCst);
        SECOND.store(port.raw(), Ordering::SeqCst);
        events::mask_port(first);
        events::mask_port(port);
        MODE.store(POLL, Ordering::SeqCst);
        vcpus::start_with_upcall(1, second, entries::second_upcall)
    });
    if let Err(errno) = started {
        ROWS.iter().for_each(|name| fail(name, errno.to_ret() as i32));
        return;
    }
    for _ in 0..100_000 {
        if UP.load(Ordering::SeqCst) != 0 {
            break;
        }
        yields();
    }
    if UP.load(Ordering::SeqCst) == 0 {
        ROWS.iter().for_each(|name| fail(name, -1));
        return;
    }
    ping_pong(first);
    switches();
    let _ = calls::vcpu_op(VCPUOP_DOWN, id);
}

fn ping_pong(first: Port) {
    let mut other = EvtchnSend { port: port(&SECOND) };
    events::clear_port(first);
    row(ROWS[0], 200, || {
        send(&mut other);
        while !events::is_pending(first) {
            poll(first);
        }
        events::clear_port(first);
        0
    });

    MODE.store(BLOCK, Ordering::SeqCst);
    shared::upcall_pending().store(0, Ordering::SeqCst);
    vcpus::upcall_pending(1).store(0, Ordering::SeqCst);
    events::clear_port(other.port);
    unmask(first);
    unmask(other.port);
    let before = seen(first);
    send(&mut other);
    for _ in 0..100 {
        if seen(first) != before {
            break;
        }
        yields();
    }
    row(ROWS[1], 200, || {
        let before = seen(first);
        send(&mut other);
        while seen(first) == before {
            sleep(0, || seen(first) == before && !events::is_pending(first));
        }
        0
    });
}

/// Both yield to each other: instructions for each yield of either.
fn switches() {
    const YIELDS: u32 = 300;
    MODE.store(YIELD, Ordering::SeqCst);
    send(&mut EvtchnSend { port: port(&SECOND) });
    (0..50).for_each(|_| yields());
    let mut ticks = [0; BATCHES];
    for batch in &mut ticks {
        let (before, start) = (COUNT.load(Ordering::Relaxed), rdtsc());
        (0..YIELDS).for_each(|_| yields());
        let all = rdtsc().wrapping_sub(start) as u32;
        let both = YIELDS + COUNT.load(Ordering::Relaxed).wrapping_sub(before);
        *batch = (u64::from(all) * u64::from(YIELDS) / u64::from(both)) as u32;
    }
    report(ROWS[2], ticks, YIELDS);
}
