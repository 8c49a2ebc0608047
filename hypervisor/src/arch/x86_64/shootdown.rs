//! Making other CPUs drop what they remember of page tables.
//!
//! A request is a number: each CPU has a counter of what was asked of it and one of what it has
//! answered. Who asks raises the first, interrupts the CPU, and waits until the second has caught
//! up; several who ask at once are answered by one flush. A CPU answers in the interrupt's
//! handler or, with interrupts closed, wherever it waits for somebody ([`answer`]): so two CPUs
//! that ask each other do not wait for ever.

use core::sync::atomic::{AtomicU64, Ordering};

use super::layout::MAX_CPUS;
use super::percpu::CpuInfo;
use super::{apic, interrupts};

/// What one CPU was asked and has answered; on a cache line of its own.
#[repr(align(64))]
struct Requests {
    asked: AtomicU64,
    answered: AtomicU64,
}

static REQUESTS: [Requests; MAX_CPUS] =
    [const { Requests { asked: AtomicU64::new(0), answered: AtomicU64::new(0) } }; MAX_CPUS];

/// The CPUs of a set with their requests.
fn each(cpus: u32) -> impl Iterator<Item = (u32, &'static Requests)> {
    (0..).zip(&REQUESTS).filter(move |(cpu, _)| cpus.checked_shr(*cpu).unwrap_or(0) & 1 != 0)
}

/// Makes each CPU of the set, not this one, call `flush` and waits until it has. `flush` is also
/// how this CPU answers others meanwhile.
pub fn flush_others(cpus: u32, flush: impl Fn()) {
    let mut tickets = [0; MAX_CPUS];
    for ((cpu, requests), ticket) in each(cpus).zip(&mut tickets) {
        // Release: who answers has seen every change that was made before.
        *ticket = requests.asked.fetch_add(1, Ordering::AcqRel) + 1;
        apic::send_to_cpu(cpu, interrupts::FLUSH);
    }
    for ((_, requests), ticket) in each(cpus).zip(&tickets) {
        while requests.answered.load(Ordering::Acquire) < *ticket {
            answer(&flush);
            core::hint::spin_loop();
        }
    }
}

/// Answers what was asked of this CPU so far, if anything.
pub fn answer(flush: impl Fn()) {
    let Some(requests) = REQUESTS.get(CpuInfo::this().cpu as usize) else { return };
    let asked = requests.asked.load(Ordering::Acquire);
    if requests.answered.load(Ordering::Relaxed) < asked {
        flush();
        requests.answered.store(asked, Ordering::Release);
    }
}
