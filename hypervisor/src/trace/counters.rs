//! How often things happen to each domain: `XEN_SYSCTL_perfc_op`, and `xl top` by it.
//!
//! What is counted are the events of the trace. With `perfc` on the command line they are noted
//! as for a trace, on the same ways, and counted; so counting costs nothing where it is off.

use core::sync::atomic::{AtomicU64, Ordering};

use trace_format::What;

/// What is counted, by the names under which a toolstack finds it.
pub const NAMES: [&str; 7] = [
    "hypercalls",
    "page faults",
    "system calls",
    "other exceptions",
    "event callbacks",
    "virtual interrupts",
    "turns on a CPU",
];

/// A domain's counters.
pub struct Counters([AtomicU64; NAMES.len()]);

impl Counters {
    /// Nothing has happened.
    pub const fn new() -> Counters {
        Counters([const { AtomicU64::new(0) }; NAMES.len()])
    }

    /// Counts what happened. The end of something is no event of its own.
    pub fn count(&self, what: &What) {
        let counter = match what {
            What::Hypercall { .. } | What::Subcall { .. } => 0,
            What::Trap { vector: 14, .. } => 1,
            What::Trap { vector: 0x80, .. } => 2,
            What::Trap { .. } => 3,
            What::Upcall => 4,
            What::Virq { .. } => 5,
            What::Run => 6,
            What::HypercallDone { .. }
            | What::TrapDone { .. }
            | What::Stop
            | What::Interrupt { .. } => return,
        };
        if let Some(counter) = self.0.get(counter) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often what has place `counter` in [`NAMES`] happened.
    pub fn get(&self, counter: usize) -> u64 {
        self.0.get(counter).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Begins anew.
    pub fn reset(&self) {
        for counter in &self.0 {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Counters::new()
    }
}
