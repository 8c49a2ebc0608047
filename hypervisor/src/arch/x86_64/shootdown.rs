//! Making other CPUs drop what they remember of page tables: an interrupt for each, and the
//! protocol of [`crate::mm::requests`].
//!
//! A CPU answers in the interrupt's handler or, with interrupts closed, wherever it waits for
//! somebody ([`answer`]).

use super::layout::MAX_CPUS;
use super::percpu::CpuInfo;
use super::{apic, interrupts};
use crate::mm::requests::{Requests, Ticket};

/// On a cache line of its own.
#[repr(align(64))]
struct Line(Requests);

static REQUESTS: [Line; MAX_CPUS] = [const { Line(Requests::new()) }; MAX_CPUS];

/// The CPUs of a set with their requests.
fn each(cpus: u32) -> impl Iterator<Item = (u32, &'static Requests)> {
    (0..)
        .zip(&REQUESTS)
        .filter(move |(cpu, _)| cpus.checked_shr(*cpu).unwrap_or(0) & 1 != 0)
        .map(|(cpu, Line(requests))| (cpu, requests))
}

/// Makes each CPU of the set, not this one, call `flush` and waits until it has. `flush` is also
/// how this CPU answers others meanwhile.
pub fn flush_others(cpus: u32, flush: impl Fn()) {
    let mut tickets = [Ticket::default(); MAX_CPUS];
    for ((cpu, requests), ticket) in each(cpus).zip(&mut tickets) {
        *ticket = requests.ask();
        apic::send_to_cpu(cpu, interrupts::FLUSH);
    }
    for ((_, requests), ticket) in each(cpus).zip(&tickets) {
        while !requests.is_answered(*ticket) {
            answer(&flush);
            core::hint::spin_loop();
        }
    }
}

/// Answers what was asked of this CPU so far, if anything.
pub fn answer(flush: impl Fn()) {
    if let Some(Line(requests)) = REQUESTS.get(CpuInfo::this().cpu as usize) {
        requests.answer(flush);
    }
}
