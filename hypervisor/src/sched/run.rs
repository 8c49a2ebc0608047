//! The scheduler's state of one vCPU: a word that all CPUs change by compare-and-swap.
//!
//! ```text
//!           start, unblock, ...           pick
//!   asleep ---------------------> queued ------> on a CPU
//!     ^                             ^               |
//!     |                             | can run on    | stopped
//!     +---- else -------------------+---------------+
//! ```
//!
//! Why a vCPU may not run is a set of *reasons*, each a bit: it is down, it sleeps, it is held, and
//! so on. Each comes and goes by itself; a vCPU can run while there is none. Two more bits say where it is: `ON_CPU` while a CPU runs it, and `QUEUED`
//! while it is in a run queue or in the hands of a CPU that is about to put it there.
//!
//! 1. A vCPU is on a CPU or queued or neither, never both.
//! 2. Who takes the last reason away from a vCPU that is neither sets `QUEUED` in the same step,
//!    and has to queue it. One that is on a CPU is queued by that CPU when it stops.
//! 3. Reasons may come while it is queued. Then it stays where it is until it is picked, and is
//!    dropped there.
//!
//! So a vCPU is queued at most once, and one that can run is never forgotten.
//!
//! While it is on a CPU the word may carry requests to that CPU: to look at its queue, or
//! to deliver an NMI. So the way back to the guest asks one question of one word: is
//! it exactly `ON_CPU`?

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::Mutex;

use super::home::HomeLinks;
use super::list::Links;
use super::runstate::Runstate;

/// What a vCPU is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Not started, taken down, or shut down with its domain.
    Offline,
    /// Waiting for an event.
    Blocked,
    /// Waiting for a CPU, or kept from running though it could.
    Runnable,
    /// On a CPU.
    Running,
}

/// Why a vCPU may not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Bar {
    /// Not started, or taken down.
    Down = 1 << 0,
    /// It waits for an event.
    Blocked = 1 << 1,
    /// It is worked on from outside, or its domain is paused ([`super::hold`]).
    Held = 1 << 2,
    /// Its domain has shut down.
    ShutDown = 1 << 3,
    /// Its domain has used up its cap for now.
    Capped = 1 << 4,
}

/// All of them.
const REASONS: u32 = 0x1f;

/// A CPU runs it.
const ON_CPU: u32 = 1 << 8;
/// It is in a run queue, or about to be.
const QUEUED: u32 = 1 << 9;
/// The CPU that runs it is to look at its run queue before it goes back to the guest.
const RESCHEDULE: u32 = 1 << 10;
/// An NMI is to be delivered.
const NMI: u32 = 1 << 11;

/// "On no CPU."
const NO_CPU: u32 = u32::MAX;

/// What the scheduler knows of a vCPU.
pub struct VcpuRun {
    word: AtomicU32,
    /// Whether it has been given a state to start with.
    initialised: AtomicBool,
    /// The CPU whose queue it waits in, or that runs it.
    cpu: AtomicU32,
    /// The CPU whose registers hold its state.
    loaded: AtomicU32,
    /// The CPUs that it may run on.
    affinity: AtomicU32,
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
    pub(super) runstate: Mutex<Runstate>,
    /// Guest address of the registered runstate area; 0: none.
    pub(super) runstate_area: AtomicU64,
}

/// In [`VcpuRun::poll_port`]: more than one port, or only a timeout.
pub(crate) const POLL_ANY: u32 = u32::MAX;

/// Whether nothing keeps it from running.
#[inline(always)]
const fn runnable(word: u32) -> bool {
    word & REASONS == 0
}

impl VcpuRun {
    /// A vCPU that is down.
    pub const fn new() -> VcpuRun {
        VcpuRun {
            word: AtomicU32::new(Bar::Down as u32),
            initialised: AtomicBool::new(false),
            cpu: AtomicU32::new(NO_CPU),
            loaded: AtomicU32::new(NO_CPU),
            affinity: AtomicU32::new(u32::MAX),
            pinned: AtomicU32::new(0),
            vtime: AtomicU64::new(0),
            queue: Links::new(),
            home: HomeLinks::new(),
            poll_port: AtomicU32::new(0),
            runstate: Mutex::new(Runstate::new()),
            runstate_area: AtomicU64::new(0),
        }
    }

    /// What the vCPU is doing. One that is about to leave its CPU counts as what it will be.
    pub fn state(&self) -> State {
        let word = self.word.load(Ordering::SeqCst);
        if word & (Bar::Down as u32 | Bar::ShutDown as u32) != 0 {
            State::Offline
        } else if word & Bar::Blocked as u32 != 0 {
            State::Blocked
        } else if word & ON_CPU != 0 && runnable(word) {
            State::Running
        } else {
            State::Runnable
        }
    }

    /// Whether nothing keeps it from running.
    pub fn can_run(&self) -> bool {
        runnable(self.word.load(Ordering::SeqCst))
    }

    /// Whether a CPU runs it, or is about to stop doing so.
    pub fn is_on_cpu(&self) -> bool {
        self.word.load(Ordering::SeqCst) & ON_CPU != 0
    }

    /// Whether it is in a queue, or about to be.
    pub fn is_queued(&self) -> bool {
        self.word.load(Ordering::SeqCst) & QUEUED != 0
    }

    /// Whether it is on a CPU and does not sleep: whoever has something for it kicks that CPU.
    #[inline(always)]
    pub(super) fn is_running(&self) -> bool {
        let word = self.word.load(Ordering::SeqCst);
        word & (ON_CPU | Bar::Blocked as u32) == ON_CPU
    }

    /// Whether the vCPU has been started and not been taken down.
    pub fn is_up(&self) -> bool {
        self.word.load(Ordering::SeqCst) & Bar::Down as u32 == 0
    }

    /// Whether it has been given a state to start with, so that it can be brought up.
    pub fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::Acquire)
    }

    /// It has been given a state to start with.
    pub fn set_initialised(&self) {
        self.initialised.store(true, Ordering::Release);
    }

    /// Whether the CPU that runs it may go back to the guest: nothing wants anything of it.
    #[inline(always)]
    pub fn may_run_on(&self) -> bool {
        self.word.load(Ordering::Relaxed) == ON_CPU
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
        self.affinity.store(cpus, Ordering::Relaxed);
    }

    /// The CPUs of the override; 0: there is none.
    pub(super) fn pinned(&self) -> u32 {
        self.pinned.load(Ordering::Relaxed)
    }

    pub(super) fn set_pinned(&self, cpus: u32) {
        self.pinned.store(cpus, Ordering::Relaxed);
    }

    /// Changes the word as `f` says; returns it before and after. `None`: `f` did not want to.
    #[inline(always)]
    fn update(&self, f: impl Fn(u32) -> Option<u32>) -> Option<(u32, u32)> {
        let mut old = self.word.load(Ordering::SeqCst);
        loop {
            let new = f(old)?;
            match self.word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Some((old, new)),
                Err(found) => old = found,
            }
        }
    }

    /// `word` without a reason: if that makes the vCPU able to run and it is nowhere yet, it is
    /// the caller's to queue.
    #[inline(always)]
    fn without(word: u32, reason: u32) -> u32 {
        let new = word & !reason;
        if runnable(new) && new & (ON_CPU | QUEUED) == 0 { new | QUEUED } else { new }
    }

    /// Takes a reason away; returns whether the caller has to queue the vCPU.
    pub(super) fn clear(&self, reason: Bar) -> bool {
        let changed = self.update(|old| Some(Self::without(old, reason as u32)));
        changed.is_some_and(|(old, new)| (old ^ new) & QUEUED != 0)
    }

    /// Adds a reason; returns whether a CPU runs the vCPU, and has to be told.
    pub(super) fn set(&self, reason: Bar) -> bool {
        self.word.fetch_or(reason as u32, Ordering::SeqCst) & ON_CPU != 0
    }

    /// Whether a reason is there.
    pub(super) fn has(&self, reason: Bar) -> bool {
        self.word.load(Ordering::SeqCst) & reason as u32 != 0
    }

    /// Keeps it from running, before anybody knows it.
    pub(crate) fn hold(&self) {
        self.set(Bar::Held);
    }

    /// Whether it is held.
    pub fn is_held(&self) -> bool {
        self.has(Bar::Held)
    }

    /// Queued to running; if it cannot run any more it is not queued any more either.
    #[inline(always)]
    pub(super) fn pick(&self) -> bool {
        let changed = self
            .update(|old| Some(if runnable(old) { old & !QUEUED | ON_CPU } else { old & !QUEUED }));
        changed.is_some_and(|(_, new)| new & ON_CPU != 0)
    }

    /// No longer on its CPU, by that CPU; returns whether it can run, and has to be queued.
    #[inline(always)]
    pub(super) fn stopped(&self) -> bool {
        let changed = self.update(|old| Some(Self::without(old & !(ON_CPU | RESCHEDULE), 0)));
        changed.is_some_and(|(_, new)| new & QUEUED != 0)
    }

    /// Goes to sleep, by itself.
    ///
    /// A full barrier: what the caller looks at next, it looks at after everyone can
    /// see that it sleeps. With a waker that changes that thing first and looks at the
    /// state second, one of the two always sees the other.
    #[inline(always)]
    pub(super) fn block(&self) {
        self.word.fetch_or(Bar::Blocked as u32, Ordering::SeqCst);
    }

    /// Stays awake after all, by itself: it has seen something to do in time.
    pub(super) fn cancel_block(&self) {
        self.word.fetch_and(!(Bar::Blocked as u32), Ordering::SeqCst);
    }

    /// Wakes it if it sleeps; returns whether the caller has to queue it.
    ///
    /// If it is still on its way out of its CPU, that CPU is made to go all the way.
    #[inline(always)]
    pub(super) fn unblock(&self) -> bool {
        let changed = self.update(|old| {
            if old & Bar::Blocked as u32 == 0 {
                return None;
            }
            let new = Self::without(old, Bar::Blocked as u32);
            Some(if old & ON_CPU != 0 { new | RESCHEDULE } else { new })
        });
        changed.is_some_and(|(old, new)| (old ^ new) & QUEUED != 0)
    }

    /// Asks the CPU that runs it to look at its queue. Nothing if it is on none.
    pub(super) fn request_reschedule(&self) {
        self.update(|old| (old & ON_CPU != 0).then_some(old | RESCHEDULE));
    }

    /// Asks for an NMI to be delivered; returns whether a CPU runs the vCPU.
    pub(crate) fn request_nmi(&self) -> bool {
        self.word.fetch_or(NMI, Ordering::SeqCst) & ON_CPU != 0
    }

    /// Takes that request, if there is one.
    pub(crate) fn take_nmi(&self) -> bool {
        self.word.load(Ordering::Relaxed) & NMI != 0
            && self.word.fetch_and(!NMI, Ordering::SeqCst) & NMI != 0
    }

    /// Not in any queue, by the one who took it out of one for good.
    pub(super) fn unqueued(&self) {
        self.word.fetch_and(!QUEUED, Ordering::SeqCst);
    }

    /// Whether its state may stay in the registers of `cpu`, which idles: if it is to run
    /// again it will run there.
    pub fn may_stay_loaded(&self, cpu: u32) -> bool {
        const GONE: u32 = Bar::Down as u32 | Bar::Held as u32 | Bar::ShutDown as u32;
        self.cpu() == Some(cpu) && self.word.load(Ordering::SeqCst) & GONE == 0
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

    fn running() -> VcpuRun {
        let run = VcpuRun::new();
        assert!(run.clear(Bar::Down) && run.pick());
        run
    }

    #[test]
    fn one_caller_queues_a_vcpu_and_one_picks_it() {
        let run = VcpuRun::new();
        assert_eq!(run.state(), State::Offline);
        assert!(!run.unblock() && !run.is_queued());
        assert!(run.clear(Bar::Down));
        assert!(!run.clear(Bar::Down), "it is queued");
        assert_eq!((run.state(), run.is_queued()), (State::Runnable, true));
        assert!(run.pick() && run.may_run_on());
        assert_eq!((run.state(), run.is_queued()), (State::Running, false));
        assert!(run.stopped(), "it can run on");
        assert!(run.pick());
        run.block();
        assert!(!run.may_run_on() && !run.stopped());
        assert_eq!(run.state(), State::Blocked);
        assert!(run.unblock());
        assert!(!run.unblock(), "one waker wins");
    }

    #[test]
    fn who_wakes_one_that_is_on_its_way_out_leaves_it_to_its_cpu() {
        let run = running();
        run.block();
        assert!(!run.unblock());
        assert!(!run.may_run_on(), "it goes all the way");
        assert!(run.stopped());
        let run = running();
        run.block();
        run.cancel_block();
        assert!(run.may_run_on());
    }

    #[test]
    fn every_reason_must_go_before_it_runs_again() {
        let run = running();
        for bar in [Bar::Down, Bar::Held, Bar::ShutDown, Bar::Capped] {
            assert!(run.set(bar), "its CPU has to be told");
        }
        run.block();
        assert!(!run.stopped());
        for bar in [Bar::Held, Bar::Capped, Bar::Down, Bar::ShutDown] {
            assert!(!run.clear(bar));
        }
        assert!(run.unblock(), "that was the last");
        assert!(run.pick());
    }

    #[test]
    fn a_reason_that_comes_while_it_waits_is_found_when_it_is_picked() {
        let run = VcpuRun::new();
        assert!(run.clear(Bar::Down));
        assert!(!run.set(Bar::Down));
        assert!(!run.clear(Bar::Down), "it is still in its queue");
        run.hold();
        assert!(run.is_held() && !run.pick() && !run.is_queued() && !run.is_on_cpu());
        assert!(run.clear(Bar::Held), "and has to be queued anew");
    }

    #[test]
    fn requests_end_with_running() {
        let run = running();
        run.request_reschedule();
        assert!(!run.may_run_on());
        assert_eq!(run.state(), State::Running);
        assert!(run.stopped() && run.pick() && run.may_run_on());
        assert!(run.request_nmi() && !run.may_run_on());
        assert!(run.stopped() && run.pick() && !run.may_run_on(), "an NMI stays");
        assert!(run.take_nmi() && !run.take_nmi() && run.may_run_on());
        run.block();
        assert!(!run.stopped());
        run.request_reschedule();
        assert!(run.unblock() && run.pick() && run.may_run_on(), "it was on no CPU");
    }

    #[test]
    fn the_state_of_one_that_may_go_elsewhere_leaves_the_registers() {
        let run = running();
        run.move_to(Some(1));
        run.block();
        assert!(run.may_stay_loaded(1) && !run.may_stay_loaded(0));
        run.set(Bar::Held);
        assert!(!run.may_stay_loaded(1));
    }
}
