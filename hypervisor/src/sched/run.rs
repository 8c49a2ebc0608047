//! What the scheduler knows of one vCPU.

use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::home::HomeLinks;
use super::list::Links;
use super::runstate::Runstate;
use super::word::{Bar, Word};
use crate::lock::{Lock, Rank};

/// "On no CPU."
const NO_CPU: u32 = u32::MAX;

/// What the scheduler knows of a vCPU: its [`Word`], and what goes with it.
pub struct VcpuRun {
    word: Word,
    /// Whether it has been given a state to start with.
    initialised: AtomicBool,
    /// The CPU whose queue it waits in, or that runs it.
    cpu: AtomicU32,
    /// The CPU whose registers hold its state.
    loaded: AtomicU32,
    /// The CPUs that it may run on.
    affinity: AtomicU32,
    /// The CPUs that it is to run on if one of them is free.
    preferred: AtomicU32,
    /// The CPUs that it may run on while the affinity is overridden (`SCHEDOP_pin_override`); 0: it
    /// is not.
    pinned: AtomicU32,
    /// Virtual time: how much it has had, by its weight.
    pub(super) vtime: AtomicU64,
    /// Its place in a run queue.
    pub(super) queue: Links,
    /// Its place among those whose timers a CPU serves.
    pub(super) home: HomeLinks,
    /// Which port it polls: 0 none, [`POLL_ANY`] one of several.
    pub(crate) poll_port: AtomicU32,
    /// Time spent in each state.
    pub(super) runstate: Lock<Runstate>,
    /// Guest address of the registered runstate area; 0: none.
    pub(super) runstate_area: AtomicU64,
}

/// In [`VcpuRun::poll_port`]: more than one port, or only a timeout.
pub(crate) const POLL_ANY: u32 = u32::MAX;

impl VcpuRun {
    /// A vCPU that is down.
    pub const fn new() -> VcpuRun {
        VcpuRun {
            word: Word::new(),
            initialised: AtomicBool::new(false),
            cpu: AtomicU32::new(NO_CPU),
            loaded: AtomicU32::new(NO_CPU),
            affinity: AtomicU32::new(u32::MAX),
            preferred: AtomicU32::new(u32::MAX),
            pinned: AtomicU32::new(0),
            vtime: AtomicU64::new(0),
            queue: Links::new(),
            home: HomeLinks::new(),
            poll_port: AtomicU32::new(0),
            runstate: Lock::new(Rank::Leaf, Runstate::new()),
            runstate_area: AtomicU64::new(0),
        }
    }

    /// Whether it has been given a state to start with, so that it can be brought up.
    pub fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::Acquire)
    }

    /// It has been given a state to start with.
    pub fn set_initialised(&self) {
        self.initialised.store(true, Ordering::Release);
    }

    /// The CPU whose queue it waits in, or that runs it; `None` if it was never started.
    #[inline(always)]
    pub fn cpu(&self) -> Option<u32> {
        Some(self.cpu.load(Ordering::SeqCst)).filter(|c| *c != NO_CPU)
    }

    /// Names another CPU; returns the one before. For whoever has the right to queue it.
    pub(super) fn move_to(&self, cpu: Option<u32>) -> Option<u32> {
        let before = self.cpu.swap(cpu.unwrap_or(NO_CPU), Ordering::SeqCst);
        Some(before).filter(|c| *c != NO_CPU)
    }

    /// Whether it has had less than a virtual time, by at least `by_ns`.
    #[inline(always)]
    pub(super) fn vtime_behind(&self, vtime: u64, by_ns: u64) -> bool {
        self.vtime.load(Ordering::Relaxed).saturating_add(by_ns) <= vtime
    }

    /// Lets one with this virtual time go first.
    pub(super) fn let_pass(&self, vtime: u64) {
        self.vtime.fetch_max(vtime, Ordering::Relaxed);
    }

    /// The CPU whose registers hold its state.
    pub fn loaded_on(&self) -> Option<u32> {
        Some(self.loaded.load(Ordering::SeqCst)).filter(|c| *c != NO_CPU)
    }

    /// Tells where its state is from now on: what `arch` calls when it has moved it.
    pub fn set_loaded_on(&self, cpu: Option<u32>) {
        self.loaded.store(cpu.unwrap_or(NO_CPU), Ordering::SeqCst);
    }

    /// The CPUs that it may run on: a bit each.
    #[inline(always)]
    pub fn allowed(&self) -> u32 {
        match self.pinned.load(Ordering::Relaxed) {
            0 => self.affinity.load(Ordering::Relaxed),
            pinned => pinned,
        }
    }

    /// The affinity that was set for it.
    pub fn affinity(&self) -> u32 {
        self.affinity.load(Ordering::Relaxed)
    }

    pub(super) fn set_affinity(&self, cpus: u32) {
        // Before looking into queues: see `wake::push`.
        self.affinity.store(cpus, Ordering::SeqCst);
    }

    /// The CPUs that it is to run on if one of them is free, of those that it may run on.
    #[inline(always)]
    pub fn preferred(&self) -> u32 {
        self.preferred.load(Ordering::Relaxed)
    }

    /// Sets them. They count when it wakes up the next time.
    pub fn set_preferred(&self, cpus: u32) {
        self.preferred.store(cpus, Ordering::Relaxed);
    }

    /// The CPUs of the override; 0: there is none.
    pub(super) fn pinned(&self) -> u32 {
        self.pinned.load(Ordering::Relaxed)
    }

    pub(super) fn set_pinned(&self, cpus: u32) {
        self.pinned.store(cpus, Ordering::SeqCst);
    }

    /// Whether its state may stay in the registers of `cpu`, which idles: if it is to run
    /// again it will run there.
    pub fn may_stay_loaded(&self, cpu: u32) -> bool {
        const GONE: [Bar; 3] = [Bar::Down, Bar::Held, Bar::ShutDown];
        self.cpu() == Some(cpu) && !GONE.into_iter().any(|bar| self.has(bar))
    }
}

impl Deref for VcpuRun {
    type Target = Word;
    #[inline(always)]
    fn deref(&self) -> &Word {
        &self.word
    }
}

impl Default for VcpuRun {
    fn default() -> Self {
        VcpuRun::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_one_that_may_go_elsewhere_leaves_the_registers() {
        let run = VcpuRun::new();
        assert!(run.clear(Bar::Down) && run.pick());
        run.move_to(Some(1));
        run.block();
        assert!(run.may_stay_loaded(1) && !run.may_stay_loaded(0));
        run.set(Bar::Held);
        assert!(!run.may_stay_loaded(1));
    }
}
