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
//!
//! The word is one of [`Cell`]: an atomic on the machine, and one of loom's in the models of `pv-loom`.

use core::sync::atomic::AtomicU32;

use crate::cell::Cell;

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
pub enum Bar {
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

/// Whether nothing keeps it from running.
#[inline(always)]
const fn runnable(word: u32) -> bool {
    word & REASONS == 0
}

/// The word. Down at first.
pub struct Word<C = AtomicU32>(C);

impl Word {
    /// Of a vCPU that is down.
    pub const fn new() -> Word {
        Word(AtomicU32::new(Bar::Down as u32))
    }
}

impl Default for Word {
    fn default() -> Self {
        Word::new()
    }
}

impl<C: Cell> Word<C> {
    /// Of a vCPU that is on a CPU, in a cell made by `cell`.
    pub fn on_cpu(cell: impl FnOnce(u32) -> C) -> Word<C> {
        Word(cell(ON_CPU))
    }

    /// What the vCPU is doing. One that is about to leave its CPU counts as what it will be.
    pub fn state(&self) -> State {
        let word = self.0.load();
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
        runnable(self.0.load())
    }

    /// Whether a CPU runs it, or is about to stop doing so.
    pub fn is_on_cpu(&self) -> bool {
        self.0.load() & ON_CPU != 0
    }

    /// Whether it is in a queue, or about to be.
    pub fn is_queued(&self) -> bool {
        self.0.load() & QUEUED != 0
    }

    /// Whether it is on a CPU and does not sleep: whoever has something for it kicks that CPU.
    #[inline(always)]
    pub fn is_running(&self) -> bool {
        let word = self.0.load();
        word & (ON_CPU | Bar::Blocked as u32) == ON_CPU
    }

    /// Whether the vCPU has been started and not been taken down.
    pub fn is_up(&self) -> bool {
        self.0.load() & Bar::Down as u32 == 0
    }

    /// Whether the CPU that runs it may go back to the guest: nothing wants anything of it.
    #[inline(always)]
    pub fn may_run_on(&self) -> bool {
        self.0.load() == ON_CPU
    }

    /// Changes the word as `f` says; returns it before and after. `None`: `f` did not want to.
    #[inline(always)]
    fn update(&self, f: impl Fn(u32) -> Option<u32>) -> Option<(u32, u32)> {
        let mut old = self.0.load();
        loop {
            let new = f(old)?;
            match self.0.compare_exchange(old, new) {
                Ok(()) => return Some((old, new)),
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
    pub fn clear(&self, reason: Bar) -> bool {
        let changed = self.update(|old| Some(Self::without(old, reason as u32)));
        changed.is_some_and(|(old, new)| (old ^ new) & QUEUED != 0)
    }

    /// Adds a reason; returns whether a CPU runs the vCPU, and has to be told.
    pub fn set(&self, reason: Bar) -> bool {
        self.0.fetch_or(reason as u32) & ON_CPU != 0
    }

    /// Whether a reason is there.
    pub fn has(&self, reason: Bar) -> bool {
        self.0.load() & reason as u32 != 0
    }

    /// Keeps it from running, before anybody knows it.
    pub fn hold(&self) {
        self.set(Bar::Held);
    }

    /// Whether it is held.
    pub fn is_held(&self) -> bool {
        self.has(Bar::Held)
    }

    /// Queued to running; if it cannot run any more it is not queued any more either.
    #[inline(always)]
    pub fn pick(&self) -> bool {
        let changed = self
            .update(|old| Some(if runnable(old) { old & !QUEUED | ON_CPU } else { old & !QUEUED }));
        changed.is_some_and(|(_, new)| new & ON_CPU != 0)
    }

    /// No longer on its CPU, by that CPU; returns whether it can run, and has to be queued.
    #[inline(always)]
    pub fn stopped(&self) -> bool {
        let changed = self.update(|old| Some(Self::without(old & !(ON_CPU | RESCHEDULE), 0)));
        changed.is_some_and(|(_, new)| new & QUEUED != 0)
    }

    /// Goes to sleep, by itself.
    ///
    /// A full barrier: what the caller looks at next, it looks at after everyone can
    /// see that it sleeps. With a waker that changes that thing first and looks at the
    /// state second, one of the two always sees the other.
    #[inline(always)]
    pub fn block(&self) {
        self.0.fetch_or(Bar::Blocked as u32);
    }

    /// Stays awake after all, by itself: it has seen something to do in time.
    pub fn cancel_block(&self) {
        self.0.fetch_and(!(Bar::Blocked as u32));
    }

    /// Wakes it if it sleeps; returns whether the caller has to queue it.
    ///
    /// If it is still on its way out of its CPU, that CPU is made to go all the way.
    #[inline(always)]
    pub fn unblock(&self) -> bool {
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
    pub fn request_reschedule(&self) {
        self.update(|old| (old & ON_CPU != 0).then_some(old | RESCHEDULE));
    }

    /// Asks for an NMI to be delivered; returns whether a CPU runs the vCPU.
    pub fn request_nmi(&self) -> bool {
        self.0.fetch_or(NMI) & ON_CPU != 0
    }

    /// Takes that request, if there is one.
    pub fn take_nmi(&self) -> bool {
        self.0.load() & NMI != 0 && self.0.fetch_and(!NMI) & NMI != 0
    }

    /// Not in any queue, by the one who took it out of one for good.
    pub fn unqueued(&self) {
        self.0.fetch_and(!QUEUED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Word {
        let run = Word::new();
        assert!(run.clear(Bar::Down) && run.pick());
        run
    }

    #[test]
    fn one_caller_queues_a_vcpu_and_one_picks_it() {
        let run = Word::new();
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
        let run = Word::new();
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
}
