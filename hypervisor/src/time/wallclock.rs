//! The wall clock of the machine: what time it is outside, as guests are told.
//!
//! At first it is what the CMOS clock said at boot. Domain 0 may know better
//! (`XENPF_settime`); then all domains are told.

use super::clock;
use crate::lock::{Guard, Lock, Rank};
use crate::platform::Platform;
use crate::system::System;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// The wall clock.
pub struct Wallclock {
    /// Nanoseconds from 1970 to system time 0, once somebody has said so.
    set_ns: Lock<Option<u64>>,
}

impl Wallclock {
    /// Nobody has set it.
    pub const fn new() -> Wallclock {
        Wallclock { set_ns: Lock::new(Rank::Leaf, None) }
    }
}

impl Default for Wallclock {
    fn default() -> Self {
        Wallclock::new()
    }
}

/// Nanoseconds from 1970 to system time 0, and the right to publish it: whoever holds that does
/// so alone. A leaf in the order of locks.
pub(super) struct Reading<'a> {
    /// The nanoseconds.
    pub base_ns: u64,
    _alone: Guard<'a, Option<u64>>,
}

/// Reads the wall clock.
pub(super) fn read<P: Platform>(sys: &System<P>) -> Reading<'_> {
    let guard = sys.wallclock.set_ns.lock();
    let base_ns = guard.unwrap_or_else(|| sys.platform.wallclock_base_ns());
    Reading { base_ns, _alone: guard }
}

/// It was `seconds` and `ns` after the beginning of 1970 at system time `system_ns`: tells every
/// domain. Sums wrap, as in Xen: the caller is believed.
pub fn set<P: Platform>(sys: &System<P>, seconds: u64, ns: u32, system_ns: u64) {
    let then_ns = seconds.wrapping_mul(NS_PER_SECOND).wrapping_add(ns.into());
    *sys.wallclock.set_ns.lock() = Some(then_ns.wrapping_sub(system_ns));
    // The shared page of one that is dying goes back to the heap, though only after a grace
    // period that we are in the way of.
    for domain in sys.domains.iter().filter(|domain| !domain.end.is_dying()) {
        clock::publish_wallclock(sys, domain);
    }
}
