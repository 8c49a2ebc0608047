//! Tasks: kernel threads and processes, on one vCPU.
//!
//! A task is a kernel stack and a place in the [`scheduler`]; a process is a task with a
//! [`process::Process`]: address space, files, FPU. The kernel is preemptible wherever upcalls are
//! unmasked, so a task may lose the CPU at any such instruction; what tasks share is in
//! [`Guarded`] state. Blocking is by channel: [`scheduler::sleep`] under the mask after looking, and
//! [`scheduler::wake`] by whoever changes what was looked at.

pub mod children;
pub mod context;
pub mod process;
pub mod scheduler;
pub mod signal;
pub mod switch;

use crate::mm::stacks::Stack;
use crate::sync::Guarded;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use heapless::String;
use process::Process;
use switch::Saved;

/// Bytes of a task's name that are kept.
pub const NAME: usize = 64;

/// What a task does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// On the CPU.
    Running,
    /// In the queue.
    Ready,
    /// Waits on a channel or for a time.
    Sleeping,
    /// Ended; keeps its status for its parent.
    Zombie,
}

/// A task.
pub struct Task {
    /// Its number.
    pub pid: u32,
    /// Its parent's number; 0: none.
    pub parent: AtomicU32,
    /// Its name.
    pub name: Guarded<String<NAME>>,
    /// What makes it a process.
    pub process: Option<Process>,
    /// Wait status as `waitpid` reports it; valid once it is a zombie.
    pub status: AtomicU32,
    /// Nanoseconds on the CPU, up to the last switch.
    pub cpu_ns: AtomicU64,
    /// Signals that it has not died of yet, bit n - 1 for signal n.
    pub signals: AtomicU32,
    /// Where it is to write its number before it continues in Ring 3; 0: nowhere.
    pub tid_at: AtomicU32,
    state: AtomicU8,
    /// What it sleeps on; 0: only time.
    channel: AtomicU32,
    /// System time at which its sleep ends; 0: not by time.
    wake_at: AtomicU64,
    saved: Saved,
    /// None: the stack in the image.
    stack: Option<Stack>,
}

impl Task {
    fn new(
        pid: u32,
        parent: u32,
        name: &str,
        stack: Option<Stack>,
        saved: Saved,
        process: Option<Process>,
    ) -> Self {
        Self {
            pid,
            parent: AtomicU32::new(parent),
            name: Guarded::new(short(name)),
            process,
            status: AtomicU32::new(0),
            cpu_ns: AtomicU64::new(0),
            signals: AtomicU32::new(0),
            tid_at: AtomicU32::new(0),
            state: AtomicU8::new(State::Ready as u8),
            channel: AtomicU32::new(0),
            wake_at: AtomicU64::new(0),
            saved,
            stack,
        }
    }

    /// What it does now.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Running,
            1 => State::Ready,
            2 => State::Sleeping,
            _ => State::Zombie,
        }
    }

    fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Whether something is to be done before it continues in Ring 3.
    fn has_work(&self) -> bool {
        self.signals.load(Ordering::Relaxed) != 0 || self.tid_at.load(Ordering::Relaxed) != 0
    }

    /// Its name, as far as it is kept.
    pub fn name(&self) -> String<NAME> {
        self.name.with(|name| name.clone())
    }
}

/// A name as far as it is kept.
pub fn short(name: &str) -> String<NAME> {
    let mut kept = String::new();
    for character in name.chars() {
        if kept.push(character).is_err() {
            break;
        }
    }
    kept
}
