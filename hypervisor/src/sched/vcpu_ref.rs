//! Naming a vCPU in one atomic word.

use core::sync::atomic::{AtomicU32, Ordering};

use pv_abi::types::{DomId, VcpuId};

use crate::domain::vcpu::Vcpu;
use crate::domain::{Domain, Domains};

/// Domain and vCPU number: what queues hold instead of pointers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VcpuRef(u32);

impl VcpuRef {
    /// The name of `vcpu`.
    #[inline(always)]
    pub fn of(vcpu: &Vcpu) -> VcpuRef {
        // vCPU numbers are below MAX_VCPUS, so the word is never NOBODY.
        VcpuRef(u32::from(vcpu.domain.raw()) << 16 | vcpu.id.raw() & 0xffff)
    }

    /// Its domain's number.
    pub fn domain(self) -> DomId {
        DomId::new((self.0 >> 16) as u16)
    }

    /// Its number in the domain.
    pub fn vcpu(self) -> VcpuId {
        VcpuId::new(self.0 & 0xffff)
    }

    /// The vCPU and its domain.
    #[inline(always)]
    pub fn resolve(self, domains: &Domains) -> Option<(&Domain, &Vcpu)> {
        let domain = domains.get(self.domain())?;
        Some((domain, domain.vcpu(self.vcpu())?))
    }
}

impl core::fmt::Display for VcpuRef {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}{}", self.domain(), self.vcpu())
    }
}

/// No vCPU.
const NOBODY: u32 = u32::MAX;

/// An `Option<VcpuRef>` that CPUs share.
pub struct AtomicVcpuRef(AtomicU32);

impl AtomicVcpuRef {
    /// `None`.
    pub const fn none() -> AtomicVcpuRef {
        AtomicVcpuRef(AtomicU32::new(NOBODY))
    }

    /// The current value.
    #[inline(always)]
    pub fn load(&self) -> Option<VcpuRef> {
        Some(VcpuRef(self.0.load(Ordering::SeqCst))).filter(|r| r.0 != NOBODY)
    }

    /// The current value, of one that a lock guards.
    #[inline(always)]
    pub(super) fn get(&self) -> Option<VcpuRef> {
        Some(VcpuRef(self.0.load(Ordering::Relaxed))).filter(|r| r.0 != NOBODY)
    }

    /// Replaces the value of one that a lock guards.
    #[inline(always)]
    pub(super) fn set(&self, vcpu: Option<VcpuRef>) {
        self.0.store(vcpu.map_or(NOBODY, |v| v.0), Ordering::Relaxed);
    }

    /// Replaces the value.
    #[inline(always)]
    pub fn store(&self, vcpu: Option<VcpuRef>) {
        self.0.store(vcpu.map_or(NOBODY, |v| v.0), Ordering::SeqCst);
    }
}
