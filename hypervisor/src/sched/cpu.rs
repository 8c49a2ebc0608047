//! One CPU's part of the scheduler: who waits, who runs until when, who lives there.
//!
//! Only its own CPU makes vCPUs run and begins slices; other CPUs push into its queue and
//! kick it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spin::Mutex;

use super::NEVER;
use super::policy::{Policy, RoundRobin, Waits};
use super::vcpu_ref::{AtomicVcpuRef, VcpuRef};
use crate::domain::vcpu::Vcpu;
use crate::domain::{Domain, Domains};

/// CPUs that can take part.
pub const MAX_CPUS: usize = 32;
const _: () = assert!(MAX_CPUS <= crate::mm::tlb::Cpus::BITS as usize);

/// The policy in use.
type Queue = RoundRobin;

/// The run queues of all CPUs.
pub struct Scheduler {
    cpus: [Cpu; MAX_CPUS],
}

/// One CPU's part. On cache lines of its own: its CPU looks at it all the time.
#[repr(align(64))]
pub(crate) struct Cpu {
    /// Who waits.
    queue: Mutex<Queue>,
    /// How many wait: to see without the lock that nobody does.
    waiting: AtomicU32,
    /// Who runs.
    pub(super) current: AtomicVcpuRef,
    /// Since when, in ns.
    pub(super) since_ns: AtomicU64,
    /// When its slice ends; [`NEVER`] while nobody waits.
    pub(super) slice_end_ns: AtomicU64,
    /// What the CPU's timer is set to.
    pub(crate) armed_ns: AtomicU64,
    /// Who lives here: the head of a list through `home_next`.
    home: Mutex<Option<VcpuRef>>,
    /// How many live here.
    pub(super) homes: AtomicU32,
}

impl Cpu {
    const fn new() -> Cpu {
        Cpu {
            queue: Mutex::new(Queue::new()),
            waiting: AtomicU32::new(0),
            current: AtomicVcpuRef::none(),
            since_ns: AtomicU64::new(0),
            slice_end_ns: AtomicU64::new(NEVER),
            armed_ns: AtomicU64::new(NEVER),
            home: Mutex::new(None),
            homes: AtomicU32::new(0),
        }
    }

    /// Lets a vCPU wait here.
    pub(super) fn push(&self, domains: &Domains, vcpu: VcpuRef, why: Waits) {
        let mut queue = self.queue.lock();
        queue.push(domains, vcpu, why);
        // Under the lock, as in `pop`: the count is the queue's length. Relaxed: who must
        // not miss the push gets a kick after it.
        self.waiting.store(queue.waiting(), Ordering::Relaxed);
    }

    /// Takes who is to run next.
    pub(super) fn pop(&self, domains: &Domains) -> Option<VcpuRef> {
        if !self.has_waiting() {
            return None;
        }
        let mut queue = self.queue.lock();
        let popped = queue.pop(domains);
        self.waiting.store(queue.waiting(), Ordering::Relaxed);
        popped
    }

    /// Tells the policy that a vCPU ran.
    pub(super) fn charge(&self, vcpu: VcpuRef, ran_ns: u64) {
        self.queue.lock().charge(vcpu, ran_ns);
    }

    /// Whether somebody waits.
    #[inline(always)]
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// Who runs here.
    pub(crate) fn current<'a>(&self, domains: &'a Domains) -> Option<(&'a Domain, &'a Vcpu)> {
        self.current.load()?.resolve(domains)
    }

    /// When the slice of who runs here ends.
    pub(crate) fn slice_end_ns(&self) -> u64 {
        self.slice_end_ns.load(Ordering::Relaxed)
    }

    /// Begins a slice if somebody waits and none has begun; returns whether it did.
    pub(super) fn begin_slice(&self, now_ns: u64) -> bool {
        if !self.has_waiting() || self.slice_end_ns() != NEVER {
            return false;
        }
        let end_ns = now_ns.saturating_add(self.queue.lock().slice_ns());
        self.slice_end_ns.store(end_ns, Ordering::Relaxed);
        true
    }

    /// When the running vCPU's slice ends, [`NEVER`] if it may run for ever; if it is over,
    /// the vCPU is asked to give way.
    pub(crate) fn slice(&self, running: &Vcpu, now_ns: u64) -> u64 {
        self.begin_slice(now_ns);
        let end_ns = self.slice_end_ns();
        if end_ns > now_ns {
            return end_ns;
        }
        running.run.request_reschedule();
        NEVER
    }

    /// Calls `f` for everyone who lives here.
    pub(crate) fn for_each_home(&self, domains: &Domains, mut f: impl FnMut(&Domain, &Vcpu)) {
        // The list grows at its head, and one that is taken out keeps its link until nobody can
        // be looking at it any more, so it can be walked without the lock.
        let mut at = *self.home.lock();
        while let Some((domain, vcpu)) = at.and_then(|v| v.resolve(domains)) {
            f(domain, vcpu);
            at = vcpu.run.home_next.load();
        }
    }

    /// Takes out a vCPU that will never run again: of the queue, and of those who live here.
    pub(super) fn forget(&self, domains: &Domains, vcpu: &Vcpu) {
        let name = VcpuRef::of(vcpu);
        let mut queue = self.queue.lock();
        queue.remove(domains, name);
        self.waiting.store(queue.waiting(), Ordering::Relaxed);
        drop(queue);
        let mut head = self.home.lock();
        let next = vcpu.run.home_next.load();
        if *head == Some(name) {
            *head = next;
        } else {
            let mut at = *head;
            while let Some((_, before)) = at.and_then(|at| at.resolve(domains)) {
                at = before.run.home_next.load();
                if at == Some(name) {
                    before.run.home_next.store(next);
                    break;
                }
            }
            if at != Some(name) {
                return;
            }
        }
        self.homes.fetch_sub(1, Ordering::Relaxed);
    }

    /// Adds a vCPU that was settled here.
    pub(super) fn settle(&self, vcpu: &Vcpu) {
        let mut head = self.home.lock();
        vcpu.run.home_next.store(*head);
        *head = Some(VcpuRef::of(vcpu));
        self.homes.fetch_add(1, Ordering::Relaxed);
    }
}

/// A CPU's run queue at a glance, for listings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance {
    /// Who runs.
    pub current: Option<VcpuRef>,
    /// How many wait.
    pub waiting: u32,
    /// How many live there.
    pub homes: u32,
    /// When the timer is due, in ns.
    pub timer_ns: Option<u64>,
}

impl Scheduler {
    /// Empty queues.
    pub const fn new() -> Scheduler {
        Scheduler { cpus: [const { Cpu::new() }; MAX_CPUS] }
    }

    /// The part of `cpu`.
    #[inline(always)]
    pub(crate) fn cpu(&self, cpu: u32) -> Option<&Cpu> {
        self.cpus.get(cpu as usize)
    }

    /// A look at `cpu`'s queue.
    pub fn glance(&self, cpu: u32) -> Option<Glance> {
        let cpu = self.cpu(cpu)?;
        Some(Glance {
            current: cpu.current.load(),
            waiting: cpu.waiting.load(Ordering::Relaxed),
            homes: cpu.homes.load(Ordering::Relaxed),
            timer_ns: Some(cpu.armed_ns.load(Ordering::Relaxed)).filter(|t| *t != NEVER),
        })
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Scheduler::new()
    }
}
