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
use alloc::vec::Vec;
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
    /// Stopped by a signal.
    Stopped,
    /// Ended; keeps its status for its parent.
    Zombie,
}

/// Where a new task belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Family {
    /// Its parent's number; 0: none.
    pub parent: u32,
    /// Its group; None: its own.
    pub group: Option<u32>,
    /// Its session; None: its own.
    pub session: Option<u32>,
}

impl Family {
    /// A child in a group and a session of its own.
    pub const fn apart(parent: u32) -> Self {
        Self { parent, group: None, session: None }
    }
}

/// A task.
pub struct Task {
    /// Its number.
    pub pid: u32,
    /// Its parent's number; 0: none.
    pub parent: AtomicU32,
    /// Its process group.
    pub group: AtomicU32,
    /// Its session.
    pub session: AtomicU32,
    /// Its name.
    pub name: Guarded<String<NAME>>,
    /// What makes it a process.
    pub process: Option<Process>,
    /// Wait status as `waitpid` reports it; valid once it is a zombie.
    pub status: AtomicU32,
    /// When it began, nanoseconds after the kernel did.
    pub started_ns: u64,
    /// Nanoseconds on the CPU, up to the last switch.
    pub cpu_ns: AtomicU64,
    /// The same of its children that were waited for, and theirs.
    pub children_cpu_ns: AtomicU64,
    /// Wait status of a stop or a continuation that its parent has not asked about yet; 0: none.
    pub report: AtomicU32,
    /// When it has itself woken by `SIGALRM`; 0: never.
    pub alarm_at: AtomicU64,
    /// Nanoseconds from then to the next alarm; 0: none.
    pub alarm_interval: AtomicU64,
    /// Where it is to write its number before it continues in Ring 3; 0: nowhere.
    pub tid_at: AtomicU32,
    state: AtomicU8,
    /// What it sleeps on; 0: only time.
    channel: AtomicU32,
    /// What else it sleeps on.
    channels: Guarded<Vec<u32>>,
    /// System time at which its sleep ends; 0: not by time.
    wake_at: AtomicU64,
    saved: Saved,
    /// None: the stack in the image.
    stack: Option<Stack>,
}

impl Task {
    fn new(
        pid: u32,
        family: Family,
        name: &str,
        stack: Option<Stack>,
        saved: Saved,
        process: Option<Process>,
    ) -> Self {
        Self {
            pid,
            parent: AtomicU32::new(family.parent),
            group: AtomicU32::new(family.group.unwrap_or(pid)),
            session: AtomicU32::new(family.session.unwrap_or(pid)),
            name: Guarded::new(short(name)),
            process,
            status: AtomicU32::new(0),
            started_ns: crate::time::uptime(),
            cpu_ns: AtomicU64::new(0),
            children_cpu_ns: AtomicU64::new(0),
            report: AtomicU32::new(0),
            alarm_at: AtomicU64::new(0),
            alarm_interval: AtomicU64::new(0),
            tid_at: AtomicU32::new(0),
            state: AtomicU8::new(State::Ready as u8),
            channel: AtomicU32::new(0),
            channels: Guarded::new(Vec::new()),
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
            3 => State::Stopped,
            _ => State::Zombie,
        }
    }

    fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Whether something is to be done before it continues in Ring 3.
    fn has_work(&self) -> bool {
        let is_news = |process: &Process| {
            process.signals.with(|signals| signals.is_deliverable())
                || process.interrupted.with(|number| number.is_some())
        };
        self.process.as_ref().is_some_and(is_news) || self.tid_at.load(Ordering::Relaxed) != 0
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
