//! Virtual interrupts: what the hypervisor itself has to say.
//!
//! Some are a vCPU's own (the timer's). The others are *global*: a domain binds them once,
//! and what they tell of (a console that has input, a domain that has ended) is told one
//! domain, the [`Handlers`] say which; others that bound it hear nothing.

use core::sync::atomic::{AtomicU16, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, VcpuId};
use pv_abi::virq as abi;

use super::delivery;
use super::port::State;
use crate::domain::Domain;
use crate::platform::Platform;
use crate::system::System;
use crate::trace::{self, What};

/// Whether a domain has one binding of `virq` rather than one for each vCPU.
///
/// Of the architecture's own, x86 has but global ones (`arch_virq_is_global`, Xen 4.17).
pub const fn is_global(virq: u32) -> bool {
    !matches!(virq, abi::VIRQ_TIMER | abi::VIRQ_DEBUG | abi::VIRQ_XENOPROF | abi::VIRQ_XENPMU)
}

/// Raises `virq` of `vcpu`, or of the domain if it is global. Nothing if it is not bound.
pub fn raise<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: VcpuId, virq: u32) {
    let vcpu = if is_global(virq) { VcpuId::new(0) } else { vcpu };
    let Some(port) = domain.events.virq_port(vcpu, virq) else { return };
    // It may have been closed, and bound to something else, since we looked. Numbers of
    // virtual interrupts are below 24.
    let state = State::Virq { virq: virq as u8 };
    if let Some(notify) = domain.events.notify_if(&sys.platform, port, state) {
        trace::note(sys, domain.id, notify, What::Virq { virq: virq as u8 });
        delivery::set_pending(sys, domain, notify, port);
    }
}

/// Raises the global `virq` of the domain that handles it.
pub fn raise_global<P: Platform>(sys: &System<P>, virq: u32) {
    if let Some(domain) = sys.domain(sys.virq_handlers.of(virq)) {
        raise(sys, domain, VcpuId::new(0), virq);
    }
}

/// Which domain handles each global virtual interrupt: domain 0, unless it has passed it on.
pub struct Handlers([AtomicU16; abi::NR_VIRQS as usize]);

impl Handlers {
    /// Domain 0 handles them all.
    pub const fn new() -> Handlers {
        Handlers([const { AtomicU16::new(0) }; abi::NR_VIRQS as usize])
    }

    /// The domain that handles `virq`.
    pub fn of(&self, virq: u32) -> DomId {
        let handler = self.0.get(virq as usize).map_or(0, |h| h.load(Ordering::Relaxed));
        DomId::new(handler)
    }

    /// Has `domain` handle `virq` (`XEN_DOMCTL_set_virq_handler`).
    ///
    /// `EINVAL`: no such virtual interrupt, or not a global one.
    pub fn set(&self, virq: u32, domain: DomId) -> Result<(), Errno> {
        let handler = self.0.get(virq as usize).filter(|_| is_global(virq));
        handler.ok_or(Errno::EINVAL)?.store(domain.raw(), Ordering::Relaxed);
        Ok(())
    }

    /// `domain` is gone: what it handled is domain 0's again.
    pub(super) fn forget(&self, domain: DomId) {
        for handler in &self.0 {
            let (id, ordering) = (domain.raw(), Ordering::Relaxed);
            let _ = handler.compare_exchange(id, 0, ordering, ordering);
        }
    }
}

impl Default for Handlers {
    fn default() -> Self {
        Handlers::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_debug_and_profiling_are_per_vcpu() {
        let per_vcpu: std::vec::Vec<u32> =
            (0..abi::NR_VIRQS).filter(|virq| !is_global(*virq)).collect();
        assert_eq!(per_vcpu, [0, 1, 7, 13]);
    }
}
