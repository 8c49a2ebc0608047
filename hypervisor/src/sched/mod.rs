//! Which vCPU runs where, and when.
//!
//! Every CPU has a run queue of its own with a lock of its own. A vCPU is settled on a
//! CPU when it is started and lives there: it waits in that CPU's queue, and that CPU's
//! timer serves it. So a CPU can decide all about its vCPUs without asking another, and a
//! wake-up from elsewhere is a push and a kick.
//!
//! | file | is |
//! |---|---|
//! | [`run`] | the states of a vCPU and the arrows between them |
//! | [`policy`] | who of the waiting is next, and for how long |
//! | [`wake`] | waking, blocking, starting, kicking |
//! | [`runstate`], [`areas`] | time spent in each state, and where the guest sees it |
//! | [`ops`], [`poll`], [`vcpu_op`], [`vcpu_info`] | the hypercalls |
//! | [`shutdown`] | the end of a domain |
//! | [`report`] | all of it in words |
//!
//! # How a CPU goes round
//!
//! `arch` runs this loop on each CPU, with interrupts closed but while it idles:
//!
//! ```text
//! guest --interrupt, trap, hypercall--> handler -> exit::prepare -+-> Resume: back to the guest
//!                                                                 |
//!    +------------------------------------------------------------+-> Switch
//!    v
//! stopped_running(ctx)   state and areas of the old vCPU are put in order; it may wait again
//! next(sys, cpu)         None: idle until an interrupt, then ask again
//!    |                   the same vCPU again: nothing to switch
//!    v
//! (switch registers and address space)
//! resumed(ctx)           its areas are brought up to date -> exit::prepare
//! ```
//!
//! Interrupts that matter here: the timer's, for which `arch` calls [`crate::time::expired`],
//! and the kick, for which it calls [`kicked`].

pub mod areas;
pub mod ops;
pub mod policy;
mod poll;
pub mod report;
pub mod run;
pub mod runstate;
pub mod shutdown;
pub mod vcpu_info;
pub mod vcpu_op;
pub mod vcpu_ref;
pub mod wake;

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spin::Mutex;

use crate::domain::vcpu::Vcpu;
use crate::domain::{Domain, Domains};
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::system::System;
use crate::time;
use policy::{Policy, RoundRobin, Waits};
pub use poll::wake_pollers;
pub use run::{State, VcpuRun};
use vcpu_ref::{AtomicVcpuRef, VcpuRef};
pub use wake::{start, wake};

/// CPUs that can take part.
pub const MAX_CPUS: usize = 32;

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

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
    current: AtomicVcpuRef,
    /// Since when, in ns.
    since_ns: AtomicU64,
    /// When its slice ends; [`NEVER`] while nobody waits.
    slice_end_ns: AtomicU64,
    /// What the CPU's timer is set to.
    pub(crate) armed_ns: AtomicU64,
    /// Who lives here: the head of a list through `home_next`. Only grows.
    home: Mutex<Option<VcpuRef>>,
    /// How many live here.
    homes: AtomicU32,
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
    fn push(&self, domains: &Domains, vcpu: VcpuRef, why: Waits) {
        let mut queue = self.queue.lock();
        queue.push(domains, vcpu, why);
        // Under the lock, as in `pop`: the count is the queue's length. Relaxed: who must
        // not miss the push gets a kick after it.
        self.waiting.store(queue.waiting(), Ordering::Relaxed);
    }

    /// Takes who is to run next.
    fn pop(&self, domains: &Domains) -> Option<VcpuRef> {
        if !self.has_waiting() {
            return None;
        }
        let mut queue = self.queue.lock();
        let popped = queue.pop(domains);
        self.waiting.store(queue.waiting(), Ordering::Relaxed);
        popped
    }

    /// Whether somebody waits.
    #[inline(always)]
    fn has_waiting(&self) -> bool {
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
    fn begin_slice(&self, now_ns: u64) -> bool {
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
        // The list only grows at its head, so it can be walked without the lock.
        let mut at = *self.home.lock();
        while let Some((domain, vcpu)) = at.and_then(|v| v.resolve(domains)) {
            f(domain, vcpu);
            at = vcpu.run.home_next.load();
        }
    }

    /// Adds a vCPU that was settled here.
    fn settle(&self, vcpu: &Vcpu) {
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

/// The vCPU that is to run on `cpu`, the one we are on, from now on; `None`: nothing to do.
///
/// It may be the one that ran last: then there is nothing to switch.
pub fn next<P: Platform>(sys: &System<P>, cpu: u32) -> Option<(&Domain, &Vcpu)> {
    let here = sys.scheduler.cpu(cpu)?;
    here.slice_end_ns.store(NEVER, Ordering::Relaxed);
    let picked = loop {
        let Some(candidate) = here.pop(&sys.domains) else { break None };
        // One that was taken down while it waited is dropped here.
        match candidate.resolve(&sys.domains) {
            Some((domain, vcpu)) if vcpu.run.pick() => break Some((domain, vcpu)),
            _ => {}
        }
    };
    here.current.store(picked.map(|(_, vcpu)| VcpuRef::of(vcpu)));
    if let Some((domain, vcpu)) = picked {
        let now_ns = sys.platform.now_ns();
        vcpu.run.account(now_ns);
        here.since_ns.store(now_ns, Ordering::Relaxed);
        if here.begin_slice(now_ns) {
            time::arm(sys, here, here.slice_end_ns());
        }
        time::scheduled(sys, here, domain, vcpu, now_ns);
    }
    picked
}

/// The CPU stops running `ctx`'s vCPU, whose address space is still loaded.
///
/// If it could run on, it waits for its next turn.
pub fn stopped_running<P: Platform>(ctx: &Ctx<'_, P>) {
    let (sys, run) = (ctx.sys, &ctx.vcpu.run);
    let gave_way = run.stopped();
    let now_ns = sys.platform.now_ns();
    run.account(now_ns);
    areas::update_runstate(ctx);
    let Some(here) = run.cpu().and_then(|cpu| sys.scheduler.cpu(cpu)) else { return };
    let ran_ns = now_ns.saturating_sub(here.since_ns.load(Ordering::Relaxed));
    here.queue.lock().charge(VcpuRef::of(ctx.vcpu), ran_ns);
    here.current.store(None);
    if gave_way {
        here.push(&sys.domains, VcpuRef::of(ctx.vcpu), Waits::GaveWay);
    }
}

/// The CPU begins to run `ctx`'s vCPU, whose address space is loaded.
pub fn resumed<P: Platform>(ctx: &Ctx<'_, P>) {
    areas::update_runstate(ctx);
}

/// Another CPU kicked `cpu`, the one we are on: something in its queue or its timers is new.
pub fn kicked<P: Platform>(sys: &System<P>, cpu: u32) {
    time::expired(sys, cpu);
}
