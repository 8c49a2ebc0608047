//! The scheduler's state of one vCPU: a word that all CPUs change by compare-and-swap.
//!
//! ```text
//!             start                next
//!  Offline ----------> Runnable ----------> Running
//!     ^                 ^    ^               |   |
//!     |          unblock|    | stopped       |   | block
//!     |                 |    +---------------+   |
//!     |               Blocked <------------------+
//!     +---- offline: from every state
//! ```
//!
//! Every arrow has one function here, and says whether *this* caller took it: a wake-up
//! and a shutdown that race cannot both win. Who takes the arrow to `Runnable` also puts
//! the vCPU into a run queue.
//!
//! While the vCPU runs the word may carry one more bit, `RESCHEDULE`. In any state it may
//! carry another, `HELD`: nobody lets it run until that is gone, though it may be woken or
//! taken down meanwhile. So the way back to the guest asks one question of one word: is it
//! exactly `Running`?

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::Mutex;

use super::runstate::Runstate;
use super::vcpu_ref::AtomicVcpuRef;

/// What a vCPU is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Not started, or taken down.
    Offline = 0,
    /// Waiting for an event.
    Blocked = 1,
    /// Waiting for a CPU; in a run queue, or about to be.
    Runnable = 2,
    /// On a CPU.
    Running = 3,
}

impl State {
    /// The state in a word.
    const fn of(word: u32) -> State {
        match word & 0xff {
            1 => State::Blocked,
            2 => State::Runnable,
            3 => State::Running,
            _ => State::Offline,
        }
    }
}

/// The CPU that runs the vCPU is to look at its run queue before it goes back to the guest.
const RESCHEDULE: u32 = 1 << 8;

/// The vCPU may not run, whatever its state ([`super::hold`]).
const HELD: u32 = 1 << 9;

/// "On no CPU yet."
const NO_CPU: u32 = u32::MAX;

/// What the scheduler knows of a vCPU.
pub struct VcpuRun {
    /// A [`State`], and perhaps [`RESCHEDULE`] and [`HELD`].
    word: AtomicU32,
    /// Whether it has been given a state to start with.
    initialised: AtomicBool,
    /// Whether it was up when its domain shut down.
    shut_down: AtomicBool,
    /// The CPU it lives on: in whose queue it waits, whose timer serves it.
    cpu: AtomicU32,
    /// The next in the run queue; guarded by that queue's lock, as is `queued`.
    pub(super) queue_next: AtomicVcpuRef,
    /// Whether it is in the run queue.
    pub(super) queued: AtomicBool,
    /// The next of those that live on the same CPU; set once.
    pub(super) home_next: AtomicVcpuRef,
    /// Which port it polls: 0 none, [`POLL_ANY`] one of several.
    pub(crate) poll_port: AtomicU32,
    /// Time spent in each state.
    pub(super) runstate: Mutex<Runstate>,
    /// Guest address of the registered runstate area; 0: none.
    pub(super) runstate_area: AtomicU64,
}

/// In [`VcpuRun::poll_port`]: more than one port, or only a timeout.
pub(crate) const POLL_ANY: u32 = u32::MAX;

impl VcpuRun {
    /// A vCPU that is down.
    pub const fn new() -> VcpuRun {
        VcpuRun {
            word: AtomicU32::new(State::Offline as u32),
            initialised: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
            cpu: AtomicU32::new(NO_CPU),
            queue_next: AtomicVcpuRef::none(),
            queued: AtomicBool::new(false),
            home_next: AtomicVcpuRef::none(),
            poll_port: AtomicU32::new(0),
            runstate: Mutex::new(Runstate::new()),
            runstate_area: AtomicU64::new(0),
        }
    }

    /// What the vCPU is doing.
    pub fn state(&self) -> State {
        State::of(self.word.load(Ordering::SeqCst))
    }

    /// Whether it is on a CPU.
    #[inline(always)]
    pub(super) fn is_running(&self) -> bool {
        self.word.load(Ordering::SeqCst) & !(RESCHEDULE | HELD) == State::Running as u32
    }

    /// Whether the vCPU has been started and not been taken down.
    pub fn is_up(&self) -> bool {
        self.state() != State::Offline
    }

    /// Records whether the domain's shutdown took it down.
    pub(super) fn set_shut_down(&self, on: bool) {
        self.shut_down.store(on, Ordering::Relaxed);
    }

    /// Whether the domain's shutdown took it down; asked once.
    pub(super) fn take_shut_down(&self) -> bool {
        self.shut_down.swap(false, Ordering::Relaxed)
    }

    /// Whether it has been given a state to start with, so that it can be brought up.
    pub fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::Acquire)
    }

    /// It has been given a state to start with.
    pub fn set_initialised(&self) {
        self.initialised.store(true, Ordering::Release);
    }

    /// Whether the CPU that runs it may go back to the guest: nothing wants it to stop.
    #[inline(always)]
    pub fn may_run_on(&self) -> bool {
        self.word.load(Ordering::Relaxed) == State::Running as u32
    }

    /// The CPU it lives on, once it was started.
    #[inline(always)]
    pub fn cpu(&self) -> Option<u32> {
        Some(self.cpu.load(Ordering::Relaxed)).filter(|c| *c != NO_CPU)
    }

    /// The CPU it lives on, if it was ever started: of one that runs.
    #[inline(always)]
    pub(super) fn home(&self) -> u32 {
        self.cpu.load(Ordering::Relaxed)
    }

    /// Settles it on a CPU, once and for all; returns whether it was this call that did.
    pub(super) fn settle(&self, cpu: u32) -> bool {
        self.cpu.compare_exchange(NO_CPU, cpu, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Offline to runnable.
    pub(super) fn start(&self) -> bool {
        self.change(State::Offline, State::Runnable)
    }

    /// Runnable to running; not if it is held.
    pub(super) fn pick(&self) -> bool {
        let (from, to) = (State::Runnable as u32, State::Running as u32);
        self.word.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Running to blocked, by itself.
    ///
    /// A full barrier: what the caller looks at next, it looks at after everyone can
    /// see that it sleeps. With a waker that changes that thing first and looks at the
    /// state second, one of the two always sees the other.
    ///
    /// A vCPU that was taken down meanwhile stays so.
    pub(super) fn block(&self) -> bool {
        self.change(State::Running, State::Blocked)
    }

    /// Blocked back to running, by itself: it has seen something to do in time.
    pub(super) fn cancel_block(&self) -> bool {
        self.change(State::Blocked, State::Running)
    }

    /// Blocked to runnable.
    #[inline(always)]
    pub(super) fn unblock(&self) -> bool {
        self.change(State::Blocked, State::Runnable)
    }

    /// Running to runnable, by the CPU that stops running it.
    pub(super) fn stopped(&self) -> bool {
        self.change(State::Running, State::Runnable)
    }

    /// To offline, whatever it was; returns that.
    pub(super) fn offline(&self) -> State {
        State::of(self.word.fetch_and(HELD, Ordering::SeqCst))
    }

    /// Lets nobody run it from now on; returns its state.
    pub(crate) fn hold(&self) -> State {
        State::of(self.word.fetch_or(HELD, Ordering::SeqCst))
    }

    /// Ends [`VcpuRun::hold`]; returns its state, if it was held.
    pub(super) fn release(&self) -> Option<State> {
        let word = self.word.fetch_and(!HELD, Ordering::SeqCst);
        (word & HELD != 0).then_some(State::of(word))
    }

    /// Whether it is held.
    pub fn is_held(&self) -> bool {
        self.word.load(Ordering::SeqCst) & HELD != 0
    }

    /// Asks the CPU that runs it to look at its queue. Nothing if it is not running.
    pub(super) fn request_reschedule(&self) {
        let running = State::Running as u32;
        let asked = running | RESCHEDULE;
        let _ = self.word.compare_exchange(running, asked, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Takes an arrow, if it is in the state where that begins.
    #[inline(always)]
    fn change(&self, from: State, to: State) -> bool {
        let (plain, new) = (from as u32, to as u32);
        match self.word.compare_exchange(plain, new, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(found) if State::of(found) == from => self.change_marked(from, to),
            Err(_) => false,
        }
    }

    /// The same for a word that carries more: a request to reschedule ends, a hold stays.
    #[cold]
    fn change_marked(&self, from: State, to: State) -> bool {
        let change = |word| (State::of(word) == from).then_some(word & HELD | to as u32);
        self.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change).is_ok()
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
        assert!(run.start() && run.pick());
        run
    }

    #[test]
    fn only_the_drawn_arrows_exist() {
        let run = VcpuRun::new();
        assert!(!run.pick() && !run.block() && !run.unblock() && !run.stopped());
        assert!(!run.is_up() && !run.may_run_on());
        assert!(run.start());
        assert!(!run.start() && !run.block() && !run.unblock() && !run.stopped());
        assert!(run.pick() && run.may_run_on());
        assert!(!run.pick() && !run.unblock() && !run.start());
        assert!(run.block() && !run.may_run_on());
        assert!(run.unblock());
        assert!(!run.unblock(), "one waker wins");
        assert_eq!(run.state(), State::Runnable);
    }

    #[test]
    fn a_request_to_reschedule_ends_with_running() {
        let run = running();
        run.request_reschedule();
        assert!(!run.may_run_on());
        assert_eq!(run.state(), State::Running);
        assert!(run.stopped() && run.pick() && run.may_run_on());
        run.request_reschedule();
        assert!(run.block() && run.cancel_block() && run.may_run_on());
        let blocked = running();
        assert!(blocked.block());
        blocked.request_reschedule();
        assert_eq!(blocked.state(), State::Blocked);
        assert!(blocked.unblock());
    }

    #[test]
    fn one_that_is_held_goes_through_all_states_but_running() {
        let run = running();
        assert_eq!((run.hold(), run.is_held()), (State::Running, true));
        assert!(!run.may_run_on() && run.is_running());
        run.request_reschedule();
        assert!(run.block() && run.unblock() && !run.pick());
        assert_eq!(run.state(), State::Runnable);
        assert_eq!(run.offline(), State::Runnable);
        assert!(run.start() && !run.pick());
        assert_eq!(run.release(), Some(State::Runnable));
        assert_eq!(run.release(), None);
        assert!(run.pick() && run.may_run_on());
    }

    #[test]
    fn offline_is_final_for_the_one_who_runs() {
        let run = running();
        assert_eq!(run.offline(), State::Running);
        assert!(!run.block() && !run.stopped() && !run.cancel_block() && !run.unblock());
        assert!(run.start(), "it can be started again");
    }

    /// One sleeps, then looks; the other rings, then wakes: nobody sleeps through the bell.
    #[test]
    fn no_wake_up_is_lost() {
        use std::sync::atomic::AtomicBool;
        const ROUNDS: usize = 20_000;
        let (run, bell) = (running(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    assert!(run.block());
                    let awake = bell.load(Ordering::SeqCst) && run.cancel_block();
                    // Blocked until the other has woken us; then our turn comes.
                    while !awake && !run.pick() {
                        std::hint::spin_loop();
                    }
                    while !bell.swap(false, Ordering::SeqCst) {
                        std::hint::spin_loop();
                    }
                }
            });
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    while bell.swap(true, Ordering::SeqCst) {
                        std::hint::spin_loop();
                    }
                    run.unblock();
                }
            });
        });
    }
}
