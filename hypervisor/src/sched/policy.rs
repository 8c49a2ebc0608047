//! Which of the waiting vCPUs of a CPU runs next, and for how long: the exchangeable part.
//!
//! A [`Policy`] is one CPU's queue with an order of its own. It sees when a vCPU begins to
//! wait and why, and how long it ran; everything about states, wake-ups and timers is
//! outside. It is always used under its CPU's lock.

use core::sync::atomic::Ordering;

use super::vcpu_ref::VcpuRef;
use crate::domain::Domains;

/// Why a vCPU begins to wait for a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// It was started, or something it slept for has happened.
    Woken,
    /// It ran, could run on, and gave way.
    GaveWay,
}

/// The order of one CPU's waiting vCPUs.
pub trait Policy {
    /// Adds a vCPU; one that is in the queue keeps its place.
    fn push(&mut self, domains: &Domains, vcpu: VcpuRef, why: Waits);
    /// Takes the vCPU that is to run.
    fn pop(&mut self, domains: &Domains) -> Option<VcpuRef>;
    /// Takes a vCPU out, if it is there.
    fn remove(&mut self, domains: &Domains, vcpu: VcpuRef);
    /// Takes note that a vCPU ran for `ran_ns`.
    fn charge(&mut self, vcpu: VcpuRef, ran_ns: u64);
    /// How many wait.
    fn waiting(&self) -> u32;
    /// How long a vCPU may run while others wait, in ns.
    fn slice_ns(&self) -> u64;
}

/// First come, first served, with equal slices.
///
/// A list through the vCPUs themselves, so that it has room for all of them.
pub struct RoundRobin {
    head: Option<VcpuRef>,
    tail: Option<VcpuRef>,
    len: u32,
}

/// The slice: long against the cost of a switch, short against human patience.
const SLICE_NS: u64 = 5_000_000;

impl RoundRobin {
    /// An empty queue.
    pub const fn new() -> RoundRobin {
        RoundRobin { head: None, tail: None, len: 0 }
    }
}

impl Default for RoundRobin {
    fn default() -> Self {
        RoundRobin::new()
    }
}

impl Policy for RoundRobin {
    fn push(&mut self, domains: &Domains, vcpu: VcpuRef, _why: Waits) {
        let Some((_, added)) = vcpu.resolve(domains) else { return };
        if added.run.queued.swap(true, Ordering::Relaxed) {
            return;
        }
        added.run.queue_next.store(None);
        match self.tail.and_then(|t| t.resolve(domains)) {
            Some((_, last)) => last.run.queue_next.store(Some(vcpu)),
            None => self.head = Some(vcpu),
        }
        self.tail = Some(vcpu);
        self.len = self.len.saturating_add(1);
    }

    fn pop(&mut self, domains: &Domains) -> Option<VcpuRef> {
        let first = self.head?;
        let (_, vcpu) = first.resolve(domains)?;
        self.head = vcpu.run.queue_next.load();
        if self.head.is_none() {
            self.tail = None;
        }
        self.len = self.len.saturating_sub(1);
        vcpu.run.queued.store(false, Ordering::Relaxed);
        Some(first)
    }

    fn remove(&mut self, domains: &Domains, vcpu: VcpuRef) {
        let (mut before, mut at) = (None::<VcpuRef>, self.head);
        while let Some((name, (_, found))) = at.and_then(|at| Some((at, at.resolve(domains)?))) {
            let next = found.run.queue_next.load();
            if name != vcpu {
                (before, at) = (Some(name), next);
                continue;
            }
            match before.and_then(|before| before.resolve(domains)) {
                Some((_, last)) => last.run.queue_next.store(next),
                None => self.head = next,
            }
            if next.is_none() {
                self.tail = before;
            }
            self.len = self.len.saturating_sub(1);
            found.run.queued.store(false, Ordering::Relaxed);
            return;
        }
    }

    fn charge(&mut self, _vcpu: VcpuRef, _ran_ns: u64) {}

    fn waiting(&self) -> u32 {
        self.len
    }

    fn slice_ns(&self) -> u64 {
        SLICE_NS
    }
}
