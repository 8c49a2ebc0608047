//! Endings: what a task leaves, and who asks for it.

use super::scheduler::{CHILDREN, SCHEDULER, current, schedule, wake};
use super::{State, Task};
use crate::arch::events;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// Ends the running task: a zombie with this status. The caller has released what it had.
pub fn end(status: u32) -> ! {
    events::mask();
    let task = current();
    task.status.store(status, Ordering::Relaxed);
    task.set_state(State::Zombie);
    let parent = task.parent.load(Ordering::Relaxed);
    SCHEDULER.with(|scheduler| {
        for child in &scheduler.tasks {
            if child.parent.load(Ordering::Relaxed) == task.pid {
                child.parent.store(0, Ordering::Relaxed);
            }
        }
    });
    if parent != 0 {
        wake(CHILDREN + parent);
    }
    schedule();
    unreachable!("a zombie runs")
}

/// Forgets zombies that nobody will ask for.
pub fn bury() {
    let mut dead = Vec::new();
    SCHEDULER.with(|scheduler| {
        let current = current().pid;
        scheduler.tasks.retain(|task| {
            let gone = task.state() == State::Zombie
                && task.parent.load(Ordering::Relaxed) == 0
                && task.pid != current;
            if gone {
                dead.push(Arc::clone(task));
            }
            !gone
        });
    });
}

/// What [`reap`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaped {
    /// A zombie, forgotten now: its number and wait status.
    Ended(u32, u32),
    /// Children that all still run.
    Running,
    /// No such child.
    NoChild,
}

/// Looks for an ended child of `parent`: the one with this number, or any.
pub fn reap(parent: u32, pid: Option<u32>) -> Reaped {
    let mut dead = None;
    let found = SCHEDULER.with(|scheduler| {
        let mut found = Reaped::NoChild;
        let is_child = |task: &Task| {
            task.parent.load(Ordering::Relaxed) == parent && pid.is_none_or(|pid| pid == task.pid)
        };
        for index in 0..scheduler.tasks.len() {
            let task = &scheduler.tasks[index];
            if !is_child(task) {
                continue;
            }
            if task.state() == State::Zombie {
                found = Reaped::Ended(task.pid, task.status.load(Ordering::Relaxed));
                dead = Some(scheduler.tasks.remove(index));
                break;
            }
            found = Reaped::Running;
        }
        found
    });
    drop(dead);
    found
}
