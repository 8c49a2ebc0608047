//! The FIFO ABI between two CPUs: vCPU 1 drains its queues while vCPU 0 sends, and nothing is lost.
//!
//! `xen/include/public/event_channel.h`. Expected: after any number of sends, the last event of
//! each port is handled after it was sent, also while its priority changes all the time.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::types::{Port, VcpuId};
use pv_guests::fifo::{self, Queues};
use pv_guests::pages::Page;
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, must, vcpus};
use ring1::{calls, events};

guest!(run);

const PORTS: usize = 4;
const ROUNDS: u32 = 3000;
const OFFSET: u32 = 128;

static WORDS: AtomicU32 = AtomicU32::new(0);
static CONTROL: AtomicU32 = AtomicU32::new(0);
/// By port: what was sent last, and what its handler saw last.
static SENT: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];
static SEEN: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];
static STOP: AtomicU32 = AtomicU32::new(0);

fn page(va: &AtomicU32) -> Page {
    let va = va.load(Ordering::SeqCst);
    Page { va, mfn: pv_guests::pages::mfn_of(va) }
}

fn handle(port: Port) {
    let index = port.raw() as usize % 64;
    SEEN[index].store(SENT[index].load(Ordering::SeqCst), Ordering::SeqCst);
}

extern "C" fn receiver() -> ! {
    let mut queues = Queues::new(1, page(&WORDS), page(&CONTROL), OFFSET);
    while STOP.load(Ordering::SeqCst) == 0 {
        queues.drain(handle);
        vcpus::yield_now();
    }
    loop {
        vcpus::vcpu_op(pv_abi::vcpu::VCPUOP_DOWN, VcpuId::new(1));
    }
}

/// Waits for the last event of a port to be handled.
fn seen(port: Port) -> bool {
    let index = port.raw() as usize % 64;
    let deadline = clock::now() + 10_000_000_000;
    while SEEN[index].load(Ordering::SeqCst) != SENT[index].load(Ordering::SeqCst) {
        if clock::now() > deadline {
            return false;
        }
        vcpus::yield_now();
    }
    true
}

fn send(port: Port) -> Outcome {
    SENT[port.raw() as usize % 64].fetch_add(1, Ordering::SeqCst);
    must(calls::evtchn_send(port), "send")
}

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    let (control, words) = (Page::take(), Page::take());
    WORDS.store(words.va, Ordering::SeqCst);
    CONTROL.store(control.va, Ordering::SeqCst);
    check_eq!(fifo::init_control(0, control, 0), 0, "init_control of vCPU 0");
    check_eq!(fifo::init_control(1, control, OFFSET), 0, "init_control of vCPU 1");
    check_eq!(fifo::expand_array(words), 0, "expand_array");
    let mut ports = [Port::new(0); PORTS];
    for (port, priority) in ports.iter_mut().zip([7, 7, 0, 15]) {
        *port = must(calls::evtchn_bind_ipi(VcpuId::new(1)), "bind_ipi")?;
        check_eq!(fifo::set_priority(*port, priority), 0, "set_priority");
    }
    vcpus::start(1, receiver)?;
    // One at a time, then as fast as they go.
    for round in 0..64 {
        let port = ports[round % PORTS];
        send(port)?;
        check!(seen(port), "event {round} of {port:?} was lost");
    }
    for round in 0..ROUNDS as usize {
        send(ports[round % PORTS])?;
        send(ports[(round / 7) % PORTS])?;
    }
    for port in ports {
        check!(seen(port), "the last event of {port:?} was lost");
    }
    // Priorities change under way: each event goes to one queue or the other.
    for round in 0..ROUNDS {
        let port = ports[round as usize % PORTS];
        check_eq!(fifo::set_priority(port, round % 16), 0, "set_priority");
        send(port)?;
    }
    for port in ports {
        check!(seen(port), "an event of {port:?} was lost between its queues");
    }
    STOP.store(1, Ordering::SeqCst);
    Ok(())
}
