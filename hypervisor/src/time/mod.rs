//! Guest time: the clocks that guests read, and the timers that wake them.
//!
//! System time is nanoseconds since boot, the same on all CPUs. A guest reads it without
//! a hypercall from a scale in shared memory ([`clock`]), and sets timers in it
//! ([`ops`]). A vCPU has three timers, all absolute: a single-shot one, a periodic one,
//! and the timeout of `SCHEDOP_poll`. The first two raise `VIRQ_TIMER`.
//!
//! Each CPU has one hardware timer. It is set to the earliest of everything that the CPU
//! is responsible for: timers of the vCPUs that it ran last ([`sched::home`]), and the end of the
//! running vCPU's slice. Setting a timer compares with what is armed and at most moves that
//! forward; when the interrupt comes, [`expired`] walks the CPU's vCPUs and arms the next.
//! An interrupt that comes too early, because its timer was stopped, costs one walk.
//!
//! As in Xen the periodic timer ticks only while its vCPU runs: ticks that were due
//! meanwhile are one event when it runs next, and it wakes nobody.
//!
//! All sums saturate: a deadline beyond the end of time is `NEVER`, not a small number
//! (XSA-20).

pub mod clock;
pub mod ops;
pub mod wallclock;

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use pv_abi::types::VcpuId;
use pv_abi::virq::VIRQ_TIMER;

pub use clock::publish;

use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::evtchn::virq;
use crate::irq;
use crate::platform::Platform;
use crate::sched;
use crate::sched::{Cpu, NEVER};
use crate::system::System;

/// A vCPU's timers, in ns of system time; `NEVER` while they are stopped.
pub struct VcpuTime {
    single_shot_ns: AtomicU64,
    poll_ns: AtomicU64,
    /// When its domain, which has used up its cap, has a budget again.
    capped_ns: AtomicU64,
    /// When the periodic timer is due.
    periodic_ns: AtomicU64,
    /// Its period; 0: stopped.
    period_ns: AtomicU64,
}

impl VcpuTime {
    /// No timers.
    pub const fn new() -> VcpuTime {
        VcpuTime {
            single_shot_ns: AtomicU64::new(NEVER),
            poll_ns: AtomicU64::new(NEVER),
            capped_ns: AtomicU64::new(NEVER),
            periodic_ns: AtomicU64::new(NEVER),
            period_ns: AtomicU64::new(0),
        }
    }

    /// When the single-shot timer is due.
    pub fn single_shot_ns(&self) -> Option<u64> {
        Some(self.single_shot_ns.load(Ordering::Relaxed)).filter(|t| *t != NEVER)
    }

    /// When the poll that the vCPU sleeps in ends.
    pub fn poll_ns(&self) -> Option<u64> {
        Some(self.poll_ns.load(Ordering::Relaxed)).filter(|t| *t != NEVER)
    }

    /// The period of the periodic timer.
    pub fn period_ns(&self) -> Option<u64> {
        Some(self.period_ns.load(Ordering::Relaxed)).filter(|p| *p != 0)
    }

    /// Sets the timeout of a poll; [`NEVER`] for none.
    pub(crate) fn set_poll(&self, deadline_ns: u64) {
        self.poll_ns.store(deadline_ns, Ordering::Relaxed);
    }

    /// Sets when it may run again after its domain has used up its cap.
    pub(crate) fn set_capped(&self, until_ns: u64) {
        self.capped_ns.store(until_ns, Ordering::Relaxed);
    }

    /// When the first of those is due that are due whether it runs or not.
    pub(crate) fn next_ns(&self) -> u64 {
        let timers = [&self.single_shot_ns, &self.poll_ns, &self.capped_ns];
        timers.into_iter().map(|timer| timer.load(Ordering::Relaxed)).min().unwrap_or(NEVER)
    }

    /// Whether the periodic timer is due; if so, it is due next a period from now.
    fn take_period(&self, now_ns: u64) -> bool {
        let due = self.periodic_ns.load(Ordering::Relaxed) <= now_ns;
        if due {
            let next_ns = match self.period_ns() {
                Some(period_ns) => now_ns.saturating_add(period_ns),
                None => NEVER,
            };
            self.periodic_ns.store(next_ns, Ordering::Relaxed);
        }
        due
    }
}

impl Default for VcpuTime {
    fn default() -> Self {
        VcpuTime::new()
    }
}

/// Takes a timer that is due: it is stopped, and `true` is returned.
fn take(timer: &AtomicU64, now_ns: u64) -> bool {
    let due_ns = timer.load(Ordering::Relaxed);
    due_ns <= now_ns
        && timer.compare_exchange(due_ns, NEVER, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// Sees to it that the timer of `here`, the CPU we are on, fires at `deadline_ns` at the latest.
#[inline(always)]
pub(crate) fn arm<P: Platform>(sys: &System<P>, here: &Cpu, deadline_ns: u64) {
    if deadline_ns < here.armed_ns.load(Ordering::Relaxed) {
        here.armed_ns.store(deadline_ns, Ordering::Relaxed);
        sys.platform.set_deadline(Some(deadline_ns));
    }
}

/// As [`arm`], for the CPU that runs `vcpu`, which must be this one.
#[inline(always)]
pub(crate) fn arm_for<P: Platform>(sys: &System<P>, vcpu: &Vcpu, deadline_ns: u64) {
    if let Some(here) = vcpu.run.cpu().and_then(|cpu| sys.scheduler.cpu(cpu)) {
        arm(sys, here, deadline_ns);
    }
}

/// Has the timer of `cpu`, the one we are on, fire at `deadline_ns` at the latest.
pub fn wake_by<P: Platform>(sys: &System<P>, cpu: u32, deadline_ns: u64) {
    if let Some(here) = sys.scheduler.cpu(cpu) {
        arm(sys, here, deadline_ns);
    }
}

/// The timer interrupt of `cpu`, the one we are on: does all that is due, and arms the next.
pub fn expired<P: Platform>(sys: &System<P>, cpu: u32) {
    let Some(here) = sys.scheduler.cpu(cpu) else { return };
    let now_ns = sys.platform.now_ns();
    // Whoever sets a timer from here on finds nothing armed, and arms.
    here.armed_ns.store(NEVER, Ordering::Relaxed);
    let next_ns = Cell::new(NEVER);
    let due = |at_ns: u64| next_ns.set(next_ns.get().min(at_ns));
    here.for_each_home(&sys.domains, |domain, vcpu| {
        let time = &vcpu.time;
        if take(&time.single_shot_ns, now_ns) {
            virq::raise(sys, domain, vcpu.id, VIRQ_TIMER);
        }
        if take(&time.poll_ns, now_ns) {
            sched::wake(sys, domain, vcpu);
        }
        if take(&time.capped_ns, now_ns) {
            sched::wake::uncap(sys, vcpu);
        }
        due(time.next_ns());
        if vcpu.id == VcpuId::new(0) {
            due(sched::watchdog::expired(sys, domain, now_ns));
        }
    });
    due(irq::storm::let_go(sys, now_ns));
    if let Some((domain, vcpu)) = here.current(&sys.domains) {
        if vcpu.time.take_period(now_ns) {
            virq::raise(sys, domain, vcpu.id, VIRQ_TIMER);
        }
        due(vcpu.time.periodic_ns.load(Ordering::Relaxed));
        due(sched::slice(sys, cpu, here, vcpu, now_ns));
    }
    let next_ns = next_ns.get();
    // One that was armed on the way (a wake-up began a slice) is in `next_ns` as well.
    here.armed_ns.store(next_ns, Ordering::Relaxed);
    sys.platform.set_deadline(Some(next_ns).filter(|t| *t != NEVER));
}

/// `vcpu` begins to run on `here`, the CPU we are on: periodic ticks that were due while it
/// did not run are one event now.
pub(crate) fn scheduled<P: Platform>(
    sys: &System<P>,
    here: &Cpu,
    domain: &Domain,
    vcpu: &Vcpu,
    now_ns: u64,
) {
    if vcpu.time.period_ns().is_none() {
        return;
    }
    if vcpu.time.take_period(now_ns) {
        virq::raise(sys, domain, vcpu.id, VIRQ_TIMER);
    }
    arm(sys, here, vcpu.time.periodic_ns.load(Ordering::Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_fires_once_and_not_early() {
        let timer = AtomicU64::new(100);
        assert!(!take(&timer, 99));
        assert!(take(&timer, 100));
        assert!(!take(&timer, u64::MAX - 1));
        assert_eq!(timer.load(Ordering::Relaxed), NEVER);
    }

    #[test]
    fn periods_missed_are_one() {
        let time = VcpuTime::new();
        assert!(!time.take_period(1_000_000));
        time.period_ns.store(10, Ordering::Relaxed);
        time.periodic_ns.store(10, Ordering::Relaxed);
        assert!(!time.take_period(9));
        assert!(time.take_period(55));
        assert!(!time.take_period(64));
        assert!(time.take_period(65));
        time.period_ns.store(u64::MAX, Ordering::Relaxed);
        assert!(time.take_period(100), "due as it was set before");
        assert!(!time.take_period(NEVER - 1), "the next is never, not soon");
    }
}
