//! The cap: how much of a CPU a domain gets at most, even if nobody else wants it.
//!
//! A capped domain has a budget for each period. Its vCPUs draw on it while they run, wherever
//! they run; several at once may overdraw it, and then the next period has less. Whose domain has
//! nothing left is [`Capped`](super::word::Bar::Capped) until the period ends; its timer sees to
//! it that it goes on then.

use crate::lock::{Lock, Rank};
use core::sync::atomic::{AtomicU32, Ordering};

/// A period.
const PERIOD_NS: u64 = 10_000_000;

/// A domain's cap.
pub(super) struct Cap {
    /// Percent of one CPU; 0: none.
    percent: AtomicU32,
    budget: Lock<Budget>,
}

/// What is left.
struct Budget {
    /// In ns; negative: overdrawn.
    left_ns: i64,
    /// The period that it is for, counted from boot.
    period: u64,
    /// When the cap was set: what ran before is not charged.
    set_ns: u64,
}

/// What a capped domain may do at some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Allowance {
    /// Its vCPUs may run for so long.
    Run(u64),
    /// They may not before this time.
    Wait(u64),
}

impl Cap {
    pub(super) const fn new() -> Cap {
        Cap {
            percent: AtomicU32::new(0),
            budget: Lock::new(Rank::Leaf, Budget { left_ns: 0, period: 0, set_ns: 0 }),
        }
    }

    #[inline(always)]
    pub(super) fn percent(&self) -> u32 {
        self.percent.load(Ordering::Relaxed)
    }

    /// Sets it; the present period begins anew.
    pub(super) fn set(&self, percent: u32, now_ns: u64) {
        self.percent.store(percent, Ordering::Relaxed);
        let mut budget = self.budget.lock();
        let period = now_ns / PERIOD_NS;
        *budget = Budget { left_ns: quota(percent), period, set_ns: now_ns };
    }

    /// Draws on the budget for a vCPU that ran until now. Nothing without a cap.
    #[inline(always)]
    pub(super) fn charge(&self, ran_ns: u64, now_ns: u64) {
        if self.percent() != 0 {
            let mut budget = self.budget.lock();
            let ran_ns = ran_ns.min(now_ns.saturating_sub(budget.set_ns));
            let ran_ns = i64::try_from(ran_ns).unwrap_or(i64::MAX);
            budget.left_ns = budget.left_ns.saturating_sub(ran_ns);
        }
    }

    /// What is left; `None` without a cap.
    #[inline(always)]
    pub(super) fn allowance(&self, now_ns: u64) -> Option<Allowance> {
        match self.percent() {
            0 => None,
            percent => Some(self.budget.lock().at(now_ns, quota(percent))),
        }
    }
}

/// The budget of one period.
fn quota(percent: u32) -> i64 {
    (PERIOD_NS as i64 / 100).saturating_mul(percent.into())
}

impl Budget {
    fn at(&mut self, now_ns: u64, quota_ns: i64) -> Allowance {
        let period = now_ns / PERIOD_NS;
        // What was overdrawn is made up for; what was not used is lost.
        let passed = i64::try_from(period.saturating_sub(self.period)).unwrap_or(i64::MAX);
        let refilled = self.left_ns.saturating_add(quota_ns.saturating_mul(passed));
        self.left_ns = refilled.min(quota_ns.max(self.left_ns));
        self.period = self.period.max(period);
        match u64::try_from(self.left_ns) {
            Ok(left_ns @ 1..) => Allowance::Run(left_ns),
            _ => Allowance::Wait(period.saturating_add(1).saturating_mul(PERIOD_NS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_for_a_period_and_debts_are_paid() {
        let cap = Cap::new();
        assert_eq!(cap.allowance(0), None);
        cap.charge(5, 5);
        cap.set(50, 0);
        assert_eq!(cap.allowance(0), Some(Allowance::Run(5_000_000)));
        cap.charge(3_000_000, 3_000_000);
        assert_eq!(cap.allowance(1), Some(Allowance::Run(2_000_000)));
        cap.charge(4_000_000, 9_000_000);
        assert_eq!(cap.allowance(9_999_999), Some(Allowance::Wait(PERIOD_NS)));
        assert_eq!(cap.allowance(PERIOD_NS), Some(Allowance::Run(3_000_000)));
        assert_eq!(cap.allowance(50 * PERIOD_NS), Some(Allowance::Run(5_000_000)), "not saved up");
        cap.charge(u64::MAX, u64::MAX);
        assert_eq!(cap.allowance(51 * PERIOD_NS), Some(Allowance::Wait(52 * PERIOD_NS)));
        assert_eq!(cap.allowance(u64::MAX), Some(Allowance::Wait(u64::MAX)));
        cap.set(0, 0);
        assert_eq!(cap.allowance(0), None);
    }

    #[test]
    fn more_than_one_cpu_may_be_allowed() {
        let cap = Cap::new();
        cap.set(250, 0);
        assert_eq!(cap.allowance(0), Some(Allowance::Run(25_000_000)));
        cap.set(u32::MAX, 0);
        assert!(matches!(cap.allowance(u64::MAX), Some(Allowance::Run(_))));
    }
}
