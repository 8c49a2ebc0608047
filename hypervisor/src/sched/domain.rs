//! What the scheduler knows of a domain.

use core::sync::atomic::{AtomicU32, Ordering};

use pv_abi::errno::Errno;

use super::cap::Cap;
use super::share::{WEIGHT_DEFAULT, WEIGHT_MAX};
use super::wake;
use super::watchdog::Watchdogs;
use super::word::Bar;
use crate::domain::Domain;
use crate::platform::Platform;
use crate::system::System;

/// No reason was latched.
const NO_CODE: u32 = u32::MAX;

/// A domain's share of the CPUs, and why it may have none.
pub struct DomainRun {
    weight: AtomicU32,
    /// How much it may have in a while.
    pub(super) cap: Cap,
    /// What `SCHEDOP_shutdown_code` latched.
    code: AtomicU32,
    /// Its watchdogs.
    pub(super) watchdogs: Watchdogs,
}

impl DomainRun {
    /// The default weight, no cap.
    pub const fn new() -> DomainRun {
        DomainRun {
            weight: AtomicU32::new(WEIGHT_DEFAULT),
            cap: Cap::new(),
            code: AtomicU32::new(NO_CODE),
            watchdogs: Watchdogs::new(),
        }
    }

    /// The weight of each of its vCPUs.
    #[inline(always)]
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Sets it. `EINVAL`: 0, or more than 65535.
    pub fn set_weight(&self, weight: u32) -> Result<(), Errno> {
        if !(1..=WEIGHT_MAX).contains(&weight) {
            return Err(Errno::EINVAL);
        }
        self.weight.store(weight, Ordering::Relaxed);
        Ok(())
    }

    /// The most that all its vCPUs together get, in percent of one CPU; 0: no limit.
    pub fn cap(&self) -> u32 {
        self.cap.percent()
    }

    /// Latches a reason that is reported instead of the one with which it shuts down.
    pub(super) fn latch_code(&self, reason: u8) {
        self.code.store(reason.into(), Ordering::Relaxed);
    }

    /// No reason is latched any more.
    pub(super) fn forget_code(&self) {
        self.code.store(NO_CODE, Ordering::Relaxed);
    }

    /// The reason that was latched, or this one.
    pub(super) fn code_or(&self, reason: u8) -> u8 {
        u8::try_from(self.code.load(Ordering::Relaxed)).unwrap_or(reason)
    }
}

/// Sets the cap of `domain`: percent of one CPU, 0 for none.
pub fn set_cap<P: Platform>(sys: &System<P>, domain: &Domain, percent: u32) {
    domain.run.cap.set(percent, sys.platform.now_ns());
    for vcpu in domain.vcpus() {
        // Whoever waits for a budget has one now; whoever runs is to be stopped in time.
        wake::allow(sys, vcpu, Bar::Capped);
        vcpu.run.request_reschedule();
        if let Some(cpu) = vcpu.run.cpu() {
            wake::kick(sys, cpu);
        }
    }
}

impl Default for DomainRun {
    fn default() -> Self {
        DomainRun::new()
    }
}
