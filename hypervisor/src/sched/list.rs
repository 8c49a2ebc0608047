//! Lists of vCPUs that run through the vCPUs themselves: room for all, and no allocation.
//!
//! Every list is guarded by a lock of its owner's, and so are the links of those in it.

use core::marker::PhantomData;

use super::vcpu_ref::{AtomicVcpuRef, VcpuRef};
use crate::domain::Domains;
use crate::domain::vcpu::Vcpu;

/// A vCPU's neighbours in a list.
pub(super) struct Links {
    next: AtomicVcpuRef,
    previous: AtomicVcpuRef,
}

impl Links {
    pub(super) const fn new() -> Links {
        Links { next: AtomicVcpuRef::none(), previous: AtomicVcpuRef::none() }
    }
}

/// Which of a vCPU's links a kind of list uses.
pub(super) trait Kind {
    /// They.
    fn links(vcpu: &Vcpu) -> &Links;
}

/// A list.
pub(super) struct List<K: Kind> {
    first: Option<VcpuRef>,
    last: Option<VcpuRef>,
    len: u32,
    kind: PhantomData<K>,
}

impl<K: Kind> List<K> {
    pub(super) const fn new() -> List<K> {
        List { first: None, last: None, len: 0, kind: PhantomData }
    }

    /// How many are in it.
    #[inline(always)]
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Adds a vCPU, which is in no list of this kind, behind the last one that `earlier` says
    /// comes before it.
    pub(super) fn insert(
        &mut self,
        domains: &Domains,
        vcpu: &Vcpu,
        earlier: impl Fn(&Vcpu) -> bool,
    ) {
        let (mut before, mut after) = (self.last, None);
        while let Some((_, other)) = before.and_then(|other| other.resolve(domains))
            && !earlier(other)
        {
            after = before;
            before = K::links(other).previous.get();
        }
        K::links(vcpu).previous.set(before);
        K::links(vcpu).next.set(after);
        let name = Some(VcpuRef::of(vcpu));
        self.set_next(domains, before, name);
        self.set_previous(domains, after, name);
        self.len = self.len.saturating_add(1);
    }

    /// Takes out a vCPU, which is in this list.
    pub(super) fn remove(&mut self, domains: &Domains, vcpu: &Vcpu) {
        let links = K::links(vcpu);
        let (before, after) = (links.previous.get(), links.next.get());
        self.set_next(domains, before, after);
        self.set_previous(domains, after, before);
        self.len = self.len.saturating_sub(1);
    }

    /// The first one that is as `wanted` says.
    #[inline(always)]
    pub(super) fn find<'a>(
        &self,
        domains: &'a Domains,
        wanted: impl Fn(&Vcpu) -> bool,
    ) -> Option<&'a Vcpu> {
        let mut at = self.first;
        while let Some((_, vcpu)) = at?.resolve(domains) {
            if wanted(vcpu) {
                return Some(vcpu);
            }
            at = K::links(vcpu).next.get();
        }
        None
    }

    fn set_next(&mut self, domains: &Domains, of: Option<VcpuRef>, to: Option<VcpuRef>) {
        match of.and_then(|of| of.resolve(domains)) {
            Some((_, vcpu)) => K::links(vcpu).next.set(to),
            None => self.first = to,
        }
    }

    fn set_previous(&mut self, domains: &Domains, of: Option<VcpuRef>, to: Option<VcpuRef>) {
        match of.and_then(|of| of.resolve(domains)) {
            Some((_, vcpu)) => K::links(vcpu).previous.set(to),
            None => self.last = to,
        }
    }
}
