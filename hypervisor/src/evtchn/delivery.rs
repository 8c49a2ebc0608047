//! Delivering events by the ABI that the domain has chosen.
//!
//! A domain begins with the two-level ABI ([`super::two_level`]) and may change to the FIFO
//! ABI ([`super::fifo`]) once, until it resets its event channels. Who sends looks at
//! [`Abi`] and takes no lock, so he may set bits of the two-level ABI that the change has
//! just read past. Therefore he looks again afterwards: the change first makes itself
//! known and then reads the bits, so either it sees his or he sees it, and sends again.

use pv_abi::types::{Port, VcpuId};

use super::bits;
use super::fifo::{
    self,
    queue::{LINKED, MASKED, PENDING},
};
use super::table::Abi;
use super::two_level::At;
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::platform::Platform;
use crate::sched;
use crate::system::System;
use crate::width::Width;

/// Makes `port` of `domain` pending, and tells vCPU `notify` if it is not masked.
#[inline(always)]
pub fn set_pending<P: Platform>(sys: &System<P>, domain: &Domain, notify: VcpuId, port: Port) {
    // Once with the constants of each width.
    let newly = match domain.events.abi() {
        Abi::TwoLevel32 => bits::set_pending(&At::new(sys, domain, Width::Pv32, notify, port)),
        Abi::TwoLevel64 => bits::set_pending(&At::new(sys, domain, Width::Pv64, notify, port)),
        Abi::Fifo => return fifo::set_pending(sys, domain, notify, port),
    };
    // Pollers announce themselves, then look at pending bits; we did it the other way
    // round, so one of us sees the other. A change of ABI likewise.
    if newly && domain.events.watched() {
        watched(sys, domain, notify, port);
    }
}

#[cold]
fn watched<P: Platform>(sys: &System<P>, domain: &Domain, notify: VcpuId, port: Port) {
    if domain.events.abi() == Abi::Fifo {
        At::new(sys, domain, domain.width(), notify, port).clear_pending();
        fifo::set_pending(sys, domain, notify, port);
    }
    sched::wake_pollers(sys, domain, port);
}

/// (D) Makes an upcall pending, and makes the vCPU notice.
#[inline(always)]
pub fn mark_upcall<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    // Before looking whether it sleeps: it falls asleep first and then looks at the byte.
    if !vcpu.set_upcall_pending(&sys.platform) {
        sched::wake::notice(sys, domain, vcpu);
    }
}

fn two_level<'a, P: Platform>(
    sys: &'a System<P>,
    domain: &'a Domain,
    notify: VcpuId,
    port: Port,
) -> Option<At<'a, P>> {
    let fifo = domain.events.abi() == Abi::Fifo;
    (!fifo).then(|| At::new(sys, domain, domain.width(), notify, port))
}

/// Unmasks `port`; if it is pending, its vCPU is told.
pub fn unmask<P: Platform>(sys: &System<P>, domain: &Domain, notify: VcpuId, port: Port) {
    match two_level(sys, domain, notify, port) {
        Some(at) => at.unmask(),
        None => fifo::unmask(sys, domain, notify, port),
    }
}

/// Makes `port` not pending.
pub fn clear_pending<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) {
    match two_level(sys, domain, VcpuId::new(0), port) {
        Some(at) => at.clear_pending(),
        None => fifo::clear_pending(sys, domain, port),
    }
}

/// Whether `port` is pending.
pub fn is_pending<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) -> bool {
    match two_level(sys, domain, VcpuId::new(0), port) {
        Some(at) => at.is_pending(),
        None => fifo::word(sys, domain, port).is_some_and(|word| word & PENDING != 0),
    }
}

/// Whether `port` is masked.
pub fn is_masked<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) -> bool {
    match two_level(sys, domain, VcpuId::new(0), port) {
        Some(at) => at.is_masked(),
        None => fifo::word(sys, domain, port).is_none_or(|word| word & MASKED != 0),
    }
}

/// Whether `port`, closed, is still in a queue of the guest's, and not to be bound anew.
#[inline(always)]
pub fn is_busy<P: Platform>(sys: &System<P>, domain: &Domain, port: Port) -> bool {
    domain.events.abi() == Abi::Fifo
        && fifo::word(sys, domain, port).is_some_and(|word| word & LINKED != 0)
}
