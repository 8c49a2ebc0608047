//! Virtual interrupts: what the hypervisor itself has to say.

use pv_abi::types::VcpuId;
use pv_abi::virq as abi;

use super::port::State;
use super::two_level;
use crate::domain::Domain;
use crate::platform::Platform;
use crate::system::System;

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
    let Some(channel) = domain.events.get(port) else { return };
    // It may have been closed, and bound to something else, since we looked.
    if matches!(channel.state, State::Virq { virq: bound } if u32::from(bound) == virq) {
        two_level::set_pending(sys, domain, channel.notify, port);
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
