//! How long CPUs had nothing to do.
//!
//! `arch` says when a CPU begins to wait for an interrupt, and when it has had one: nothing is
//! counted on the ways of a CPU that has work. What interrupts take in between counts as idle.

use core::sync::atomic::{AtomicU64, Ordering};

use super::NEVER;
use crate::platform::Platform;
use crate::system::System;

/// How long a CPU has idled.
pub(super) struct IdleTime {
    /// Since when it does, in ns; [`NEVER`] if it does not.
    since_ns: AtomicU64,
    /// How long it did before that, in ns.
    before_ns: AtomicU64,
}

impl IdleTime {
    /// Not yet.
    pub(super) const fn new() -> IdleTime {
        IdleTime { since_ns: AtomicU64::new(NEVER), before_ns: AtomicU64::new(0) }
    }

    /// How long it has idled by `now_ns` since it began the last time.
    fn lately_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.since_ns.load(Ordering::Relaxed))
    }
}

/// `cpu`, the one we are on, begins to wait for an interrupt.
pub fn begin<P: Platform>(sys: &System<P>, cpu: u32) {
    if let Some(time) = sys.scheduler.idle_times.get(cpu as usize) {
        time.since_ns.store(sys.platform.now_ns(), Ordering::Relaxed);
    }
}

/// `cpu`, the one we are on, has had one.
pub fn end<P: Platform>(sys: &System<P>, cpu: u32) {
    if let Some(time) = sys.scheduler.idle_times.get(cpu as usize) {
        let lately_ns = time.lately_ns(sys.platform.now_ns());
        time.since_ns.store(NEVER, Ordering::Relaxed);
        time.before_ns.fetch_add(lately_ns, Ordering::Relaxed);
    }
}

/// Nanoseconds that `cpu` has idled.
pub fn idle_ns<P: Platform>(sys: &System<P>, cpu: u32) -> u64 {
    let Some(time) = sys.scheduler.idle_times.get(cpu as usize) else { return 0 };
    let lately_ns = time.lately_ns(sys.platform.now_ns());
    time.before_ns.load(Ordering::Relaxed).saturating_add(lately_ns)
}
