//! Where a vCPU's timers are served: on the CPU that ran it last.
//!
//! A vCPU sets its timers while it runs, so they are the business of the CPU that it runs on. When
//! another one takes it over, that one looks after what is still to come.

use core::sync::atomic::{AtomicU32, Ordering};

use super::list::{Kind, Links};
use crate::domain::vcpu::Vcpu;
use crate::platform::Platform;
use crate::system::System;
use crate::time;

/// No CPU.
const NOWHERE: u32 = u32::MAX;

/// A vCPU's place among those whose timers a CPU serves.
pub(super) struct HomeLinks {
    /// The CPU.
    cpu: AtomicU32,
    links: Links,
}

impl HomeLinks {
    pub(super) const fn new() -> HomeLinks {
        HomeLinks { cpu: AtomicU32::new(NOWHERE), links: Links::new() }
    }

    /// The CPU that serves its timers.
    #[inline(always)]
    pub(super) fn cpu(&self) -> Option<u32> {
        Some(self.cpu.load(Ordering::Relaxed)).filter(|cpu| *cpu != NOWHERE)
    }
}

/// Lists of vCPUs by the CPU that serves their timers.
pub(super) struct AtHome;

impl Kind for AtHome {
    #[inline(always)]
    fn links(vcpu: &Vcpu) -> &Links {
        &vcpu.run.home.links
    }
}

/// `cpu`, the one we are on, serves `vcpu`'s timers from now on. The caller is the one that
/// just picked it, or nobody serves them yet.
#[inline(always)]
pub(super) fn adopt<P: Platform>(sys: &System<P>, cpu: u32, vcpu: &Vcpu) {
    if vcpu.run.home.cpu() != Some(cpu) {
        moved(sys, cpu, vcpu);
    }
}

#[cold]
fn moved<P: Platform>(sys: &System<P>, cpu: u32, vcpu: &Vcpu) {
    leave(sys, vcpu);
    let Some(here) = sys.scheduler.cpu(cpu) else { return };
    {
        let mut list = here.home.lock();
        vcpu.run.home.cpu.store(cpu, Ordering::Relaxed);
        list.insert(&sys.domains, vcpu, |_| true);
    }
    time::arm(sys, here, vcpu.time.next_ns());
}

/// Nobody serves `vcpu`'s timers any more.
pub(super) fn leave<P: Platform>(sys: &System<P>, vcpu: &Vcpu) {
    let home = &vcpu.run.home;
    let Some(old) = home.cpu().and_then(|cpu| sys.scheduler.cpu(cpu)) else { return };
    let mut list = old.home.lock();
    home.cpu.store(NOWHERE, Ordering::Relaxed);
    list.remove(&sys.domains, vcpu);
}
