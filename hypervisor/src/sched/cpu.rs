//! One CPU's part of the scheduler: who waits, who runs until when, whose timers it serves.
//!
//! Only its own CPU makes vCPUs run and begins slices. Others push into its queue and kick it,
//! and may take somebody out of its queue.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::NEVER;
use super::home::AtHome;
use super::idle::IdleTime;
use super::list::{Kind, Links, List};
use super::share::{SLICE_NS, virtual_ns};
use super::vcpu_ref::{AtomicVcpuRef, VcpuRef};
use crate::domain::vcpu::Vcpu;
use crate::domain::{Domain, Domains};
use crate::lock::{Lock, Rank};

/// CPUs that can take part: as many as fit in a word of bits.
pub const MAX_CPUS: usize = 32;
const _: () = assert!(MAX_CPUS <= crate::mm::tlb::Cpus::BITS as usize);

/// The run queues of all CPUs.
pub struct Scheduler {
    cpus: [Cpu; MAX_CPUS],
    /// A bit for each CPU that has nothing to do and sleeps, or is about to.
    pub(super) idle: AtomicU32,
    /// How long each has idled.
    pub(super) idle_times: [IdleTime; MAX_CPUS],
}

/// Lists of waiting vCPUs.
struct Waiting;

impl Kind for Waiting {
    #[inline(always)]
    fn links(vcpu: &Vcpu) -> &Links {
        &vcpu.run.queue
    }
}

/// One CPU's part. On cache lines of its own: its CPU looks at it all the time.
#[repr(align(64))]
pub(crate) struct Cpu {
    /// Who waits, by virtual time; equals in the order in which they came.
    queue: Lock<List<Waiting>>,
    /// How many wait: to see without the lock that nobody does.
    waiting: AtomicU32,
    /// The virtual time of the first; [`NEVER`] if nobody waits.
    first: AtomicU64,
    /// The virtual time of who was picked last.
    clock: AtomicU64,
    /// Who runs.
    pub(super) current: AtomicVcpuRef,
    /// Since when, in ns.
    pub(super) since_ns: AtomicU64,
    /// When its slice ends; [`NEVER`] while it may go on.
    pub(super) slice_end_ns: AtomicU64,
    /// What the CPU's timer is set to.
    pub(crate) armed_ns: AtomicU64,
    /// Whose timers are served here.
    pub(super) home: Lock<List<AtHome>>,
    /// How many run here or would.
    pub(super) residents: AtomicU32,
}

impl Cpu {
    const fn new() -> Cpu {
        Cpu {
            queue: Lock::new(Rank::RunQueue, List::new()),
            waiting: AtomicU32::new(0),
            first: AtomicU64::new(NEVER),
            clock: AtomicU64::new(0),
            current: AtomicVcpuRef::none(),
            since_ns: AtomicU64::new(0),
            slice_end_ns: AtomicU64::new(NEVER),
            armed_ns: AtomicU64::new(NEVER),
            home: Lock::new(Rank::Timers, List::new()),
            residents: AtomicU32::new(0),
        }
    }

    /// Lets a vCPU wait here.
    #[inline(always)]
    pub(super) fn push(&self, domains: &Domains, vcpu: &Vcpu) {
        let vtime = vcpu.run.vtime.load(Ordering::Relaxed);
        let mut queue = self.queue.lock();
        queue.insert(domains, vcpu, |other| other.run.vtime.load(Ordering::Relaxed) <= vtime);
        self.publish(domains, &queue);
    }

    /// Takes out the first who is as `wanted` says.
    #[inline(always)]
    pub(super) fn take_first<'a>(
        &self,
        domains: &'a Domains,
        wanted: impl Fn(&Vcpu) -> bool,
    ) -> Option<&'a Vcpu> {
        let mut queue = self.queue.lock();
        let found = queue.find(domains, wanted)?;
        queue.remove(domains, found);
        self.publish(domains, &queue);
        Some(found)
    }

    /// Takes out `vcpu`, if it waits here.
    pub(super) fn take(&self, domains: &Domains, vcpu: &Vcpu) -> bool {
        self.take_first(domains, |other| core::ptr::eq(other, vcpu)).is_some()
    }

    /// Under the lock: what can be seen without is what it guards.
    #[inline(always)]
    fn publish(&self, domains: &Domains, queue: &List<Waiting>) {
        let first = queue.find(domains, |_| true);
        let vtime = first.map_or(NEVER, |vcpu| vcpu.run.vtime.load(Ordering::Relaxed));
        self.first.store(vtime, Ordering::Relaxed);
        // A full barrier: who queues somebody looks for idle CPUs afterwards, and who idles
        // looks for somebody who waits; one of them sees the other.
        self.waiting.store(queue.len(), Ordering::SeqCst);
    }

    /// Whether somebody waits.
    #[inline(always)]
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting() != 0
    }

    /// How many wait.
    #[inline(always)]
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// The virtual time of the first who waits; [`NEVER`] if nobody does.
    #[inline(always)]
    pub(super) fn first_vtime(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    /// The virtual time of who was picked last.
    #[inline(always)]
    pub(super) fn clock(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Somebody with this virtual time is picked. By this CPU.
    #[inline(always)]
    pub(super) fn advance_clock(&self, vtime: u64) {
        if vtime > self.clock() {
            self.clock.store(vtime, Ordering::Relaxed);
        }
    }

    /// Who runs here.
    #[inline(always)]
    pub(crate) fn current<'a>(&self, domains: &'a Domains) -> Option<(&'a Domain, &'a Vcpu)> {
        self.current.load()?.resolve(domains)
    }

    /// The virtual time of who runs here, with what it has had since it was picked.
    pub(super) fn current_vtime(&self, domains: &Domains, now_ns: u64) -> Option<u64> {
        let (domain, vcpu) = self.current(domains)?;
        let ran_ns = now_ns.saturating_sub(self.since_ns.load(Ordering::Relaxed));
        let vtime = vcpu.run.vtime.load(Ordering::Relaxed);
        Some(vtime.saturating_add(virtual_ns(ran_ns, domain.run.weight())))
    }

    /// When the slice of who runs here ends.
    #[inline(always)]
    pub(crate) fn slice_end_ns(&self) -> u64 {
        self.slice_end_ns.load(Ordering::Relaxed)
    }

    /// Begins a slice if somebody waits and none has begun; returns whether it did.
    #[inline(always)]
    pub(super) fn begin_slice(&self, now_ns: u64) -> bool {
        if !self.has_waiting() || self.slice_end_ns() != NEVER {
            return false;
        }
        self.slice_end_ns.store(now_ns.saturating_add(SLICE_NS), Ordering::Relaxed);
        true
    }

    /// Calls `f` for everyone whose timers are served here.
    pub(crate) fn for_each_home(&self, domains: &Domains, f: impl Fn(&Domain, &Vcpu)) {
        self.home.lock().find(domains, |vcpu| {
            if let Some(domain) = domains.get(vcpu.domain) {
                f(domain, vcpu);
            }
            false
        });
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
    pub residents: u32,
    /// When the timer is due, in ns.
    pub timer_ns: Option<u64>,
}

impl Scheduler {
    /// Empty queues.
    pub const fn new() -> Scheduler {
        Scheduler {
            cpus: [const { Cpu::new() }; MAX_CPUS],
            idle: AtomicU32::new(0),
            idle_times: [const { IdleTime::new() }; MAX_CPUS],
        }
    }

    /// The part of `cpu`.
    #[inline(always)]
    pub(crate) fn cpu(&self, cpu: u32) -> Option<&Cpu> {
        self.cpus.get(cpu as usize)
    }

    /// The parts of the first `count` CPUs, with their numbers.
    pub(super) fn cpus(&self, count: u32) -> impl Iterator<Item = (u32, &Cpu)> {
        (0..count).zip(&self.cpus)
    }

    /// A look at `cpu`'s queue.
    pub fn glance(&self, cpu: u32) -> Option<Glance> {
        let cpu = self.cpu(cpu)?;
        Some(Glance {
            current: cpu.current.load(),
            waiting: cpu.waiting(),
            residents: cpu.residents.load(Ordering::Relaxed),
            timer_ns: Some(cpu.armed_ns.load(Ordering::Relaxed)).filter(|t| *t != NEVER),
        })
    }

    /// Everyone who waits for `cpu`, in order.
    pub fn for_each_waiting(&self, domains: &Domains, cpu: u32, f: impl Fn(&Vcpu)) {
        if let Some(cpu) = self.cpu(cpu) {
            cpu.queue.lock().find(domains, |vcpu| {
                f(vcpu);
                false
            });
        }
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Scheduler::new()
    }
}

/// The bit of a CPU in a set.
#[inline(always)]
pub(super) const fn bit(cpu: u32) -> u32 {
    1u32.wrapping_shl(cpu)
}
