//! Grace periods: until no CPU can still hold a reference that it found before.
//!
//! Domains are found without a lock ([`super::Domains::get`]), and a reference is good
//! until the CPU that found it goes back to a guest or idles. So once an object cannot be
//! found any more, and every CPU has been to such a point since, nobody has it: it can be
//! taken apart. Nothing is counted per reference, and nobody waits in Ring 0: whoever asks
//! comes back later.
//!
//! A CPU proves that it was there by counting ([`Grace::pass`]) when it looks for a vCPU to
//! run and when it takes a kick, which it does only while it runs a guest or idles. Both
//! come at the *begin* of a stretch of Ring 0, so a count that has moved on says that the
//! stretch before it is over.
//!
//! ```text
//! the one who takes away          a CPU
//! hide it              (A)        count               (a)
//! remember the counts  (B)        look for it         (b)
//! ```
//!
//! With a full barrier in both columns, a CPU that finds it at (b) in spite of (A) counted
//! before (B): its count has to move on before the period ends.

use core::sync::atomic::{AtomicU32, Ordering, fence};

use crate::sched::MAX_CPUS;

/// How often each CPU has passed a point at which it holds no references.
pub struct Grace {
    passes: [AtomicU32; MAX_CPUS],
}

/// The counts at the begin of a grace period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Began([u32; MAX_CPUS]);

impl Grace {
    /// Nobody has passed.
    pub const fn new() -> Grace {
        Grace { passes: [const { AtomicU32::new(0) }; MAX_CPUS] }
    }

    /// CPU `cpu`, the one we are on, holds no reference that it found before.
    #[inline(always)]
    pub fn pass(&self, cpu: u32) {
        if let Some(passes) = self.passes.get(cpu as usize) {
            // A full barrier on x86, as any locked instruction; the fence says it in words.
            passes.fetch_add(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
    }

    /// Begins a grace period: what was hidden before is nobody's when it [`Grace::is_over`].
    pub fn begin(&self) -> Began {
        fence(Ordering::SeqCst);
        let mut counts = [0; MAX_CPUS];
        for (count, passes) in counts.iter_mut().zip(&self.passes) {
            *count = passes.load(Ordering::SeqCst);
        }
        Began(counts)
    }

    /// Whether `cpu` has passed since.
    pub fn has_passed(&self, began: &Began, cpu: u32) -> bool {
        let now = self.passes.get(cpu as usize).map(|passes| passes.load(Ordering::SeqCst));
        now != began.0.get(cpu as usize).copied()
    }

    /// Whether all of the first `cpus` CPUs but `here`, the one we are on, have passed since.
    pub fn is_over(&self, began: &Began, cpus: u32, here: u32) -> bool {
        (0..cpus).all(|cpu| cpu == here || self.has_passed(began, cpu))
    }
}

impl Default for Grace {
    fn default() -> Self {
        Grace::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_cpu_has_to_pass() {
        let grace = Grace::new();
        grace.pass(1);
        let began = grace.begin();
        assert!(grace.is_over(&began, 1, 0), "there is nobody else");
        assert!(!grace.is_over(&began, 3, 0));
        grace.pass(1);
        grace.pass(1);
        assert!(!grace.is_over(&began, 3, 0));
        grace.pass(2);
        assert!(grace.is_over(&began, 3, 0));
        assert!(!grace.is_over(&began, 3, 1), "the one who began it passes, too");
    }

    #[test]
    fn a_count_that_wraps_is_a_count() {
        let grace = Grace::new();
        grace.passes[1].store(u32::MAX, Ordering::Relaxed);
        let began = grace.begin();
        grace.pass(1);
        assert!(grace.is_over(&began, 2, 0));
    }
}
