//! Families: what a task leaves, who hears of it, and who may be told what.
//!
//! A task's parent hears of its end, and of its stops (until it was asked about them). Groups are what
//! a terminal's signals go to; sessions are what a terminal belongs to.

use super::scheduler::{CHILDREN, SCHEDULER, Scheduler, current, schedule, wake};
use super::{State, Task, signal};
use crate::errno::{EACCES, EPERM, ESRCH};
use crate::shell::kernel::Errno;
use crate::signal::state::SA_NOCLDSTOP;
use crate::signal::{Info, SIGCHLD, SIGCONT, SIGHUP};
use crate::tty;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use ring1::events;

/// Wait status of a process that continued.
pub const CONTINUED: u32 = 0xffff;
/// Low byte of the wait status of a process that stopped; the next one is the signal.
pub const STOPPED: u32 = 0x7f;

impl Task {
    fn is_child_of(&self, parent: u32) -> bool {
        self.parent.load(Ordering::Relaxed) == parent
    }

    fn is_in_group(&self, group: u32) -> bool {
        self.group.load(Ordering::Relaxed) == group
    }

    fn is_alive(&self) -> bool {
        self.state() != State::Zombie
    }
}

/// Ends the running task: a zombie with this status. The caller has released what it had.
pub fn end(status: u32) -> ! {
    events::mask();
    let task = current();
    let session = task.session.load(Ordering::Relaxed);
    task.status.store(status, Ordering::Relaxed);
    task.alarm_at.store(0, Ordering::Relaxed);
    task.set_state(State::Zombie);
    SCHEDULER.with(|scheduler| {
        for child in scheduler.tasks.iter().filter(|child| child.is_child_of(task.pid)) {
            child.parent.store(0, Ordering::Relaxed);
        }
    });
    let parent = task.parent.load(Ordering::Relaxed);
    if parent != 0 {
        if disowns(parent) {
            task.parent.store(0, Ordering::Relaxed);
        }
        let _ = signal::send(parent, Info::child(task.pid, status));
        wake(CHILDREN + parent);
    }
    if session == task.pid {
        tty::hang_up(session);
    }
    release_orphans(session);
    schedule();
    unreachable!("a zombie runs")
}

/// Whether a parent has said that its children leave nothing to wait for.
fn disowns(parent: u32) -> bool {
    let disowns = |task: &Task| {
        let process = task.process.as_ref();
        process.is_some_and(|process| process.signals.with(|signals| signals.disowns_children()))
    };
    super::scheduler::with_task(parent, disowns).unwrap_or(false)
}

/// Notes that a process stopped or continued, as its parent's wait status has it, and tells the
/// parent.
pub fn report(pid: u32, status: u32) {
    let parent = super::scheduler::with_task(pid, |task| {
        task.report.store(status, Ordering::Relaxed);
        task.parent.load(Ordering::Relaxed)
    });
    let Some(parent) = parent.filter(|parent| *parent != 0) else { return };
    let wants = super::scheduler::with_task(parent, |task| {
        let process = task.process.as_ref();
        process.is_some_and(|process| {
            process.signals.with(|signals| signals.action(SIGCHLD).flags & SA_NOCLDSTOP == 0)
        })
    });
    if wants == Some(true) {
        let _ = signal::send(parent, Info::child(pid, status));
    }
    wake(CHILDREN + parent);
}

/// Whether nobody in its session could continue a group that stopped.
pub fn is_orphaned(group: u32) -> bool {
    SCHEDULER.with(|scheduler| scheduler.is_orphaned(group))
}

impl Scheduler {
    fn is_orphaned(&self, group: u32) -> bool {
        !self.tasks.iter().filter(|task| task.is_in_group(group) && task.is_alive()).any(|task| {
            let session = task.session.load(Ordering::Relaxed);
            let parent = task.parent.load(Ordering::Relaxed);
            self.tasks.iter().any(|other| {
                other.pid == parent
                    && !other.is_in_group(group)
                    && other.session.load(Ordering::Relaxed) == session
            })
        })
    }
}

/// Continues, and hangs up, the stopped groups of a session that nobody could continue any more.
fn release_orphans(session: u32) {
    loop {
        let stopped = SCHEDULER.with(|scheduler| {
            let task = scheduler.tasks.iter().find(|task| {
                task.state() == State::Stopped
                    && task.session.load(Ordering::Relaxed) == session
                    && scheduler.is_orphaned(task.group.load(Ordering::Relaxed))
            })?;
            Some(task.group.load(Ordering::Relaxed))
        });
        let Some(group) = stopped else { return };
        let _ = signal::send_group(group, Info::kernel(SIGHUP));
        let _ = signal::send_group(group, Info::kernel(SIGCONT));
    }
}

/// Forgets zombies that nobody will ask for.
pub fn bury() {
    let mut dead = Vec::new();
    SCHEDULER.with(|scheduler| {
        let current = current().pid;
        scheduler.tasks.retain(|task| {
            let gone = !task.is_alive() && task.is_child_of(0) && task.pid != current;
            if gone {
                dead.push(Arc::clone(task));
            }
            !gone
        });
    });
}

/// Which children are asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All.
    Any,
    /// The one with this number.
    Pid(u32),
    /// Those of this group.
    Group(u32),
}

/// What of them is told, besides their end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct News {
    /// That one stopped.
    pub stops: bool,
    /// That one continued.
    pub continues: bool,
}

/// What [`reap`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaped {
    /// A zombie, forgotten now: its number and wait status, and nanoseconds that it and its children
    /// had the CPU.
    Ended(u32, u32, u64),
    /// One that stopped or continued: its number and wait status.
    Changed(u32, u32),
    /// Children of whom there is no news.
    Running,
    /// No such child.
    NoChild,
}

/// Looks for a child of `parent` that has ended, or of whom there is other news.
pub fn reap(parent: u32, wanted: Wanted, news: News) -> Reaped {
    let mut dead = None;
    let found = SCHEDULER.with(|scheduler| {
        let is_wanted = |task: &Task| {
            task.is_child_of(parent)
                && match wanted {
                    Wanted::Any => true,
                    Wanted::Pid(pid) => task.pid == pid,
                    Wanted::Group(group) => task.is_in_group(group),
                }
        };
        let mut found = Reaped::NoChild;
        for index in 0..scheduler.tasks.len() {
            let task = &scheduler.tasks[index];
            if !is_wanted(task) {
                continue;
            }
            if !task.is_alive() {
                let status = task.status.load(Ordering::Relaxed);
                let time = &[&task.cpu_ns, &task.children_cpu_ns];
                let time = time.iter().map(|time| time.load(Ordering::Relaxed)).sum();
                found = Reaped::Ended(task.pid, status, time);
                dead = Some(scheduler.tasks.remove(index));
                break;
            }
            let status = task.report.load(Ordering::Relaxed);
            let is_told = match status {
                0 => false,
                CONTINUED => news.continues,
                _ => news.stops,
            };
            if is_told {
                task.report.store(0, Ordering::Relaxed);
                found = Reaped::Changed(task.pid, status);
                break;
            }
            found = Reaped::Running;
        }
        found
    });
    drop(dead);
    found
}

/// Puts a process into a group: the running one or a child of it that has not begun a program; into
/// its own or one of its session.
pub fn set_group(pid: u32, group: u32) -> Result<(), Errno> {
    let me = current();
    SCHEDULER.with(|scheduler| {
        let task = scheduler.tasks.iter().find(|task| task.pid == pid).ok_or(ESRCH)?;
        let session = me.session.load(Ordering::Relaxed);
        if task.pid != me.pid {
            let child = task.process.as_ref().filter(|_| task.is_child_of(me.pid)).ok_or(ESRCH)?;
            if child.executed.load(Ordering::Relaxed) {
                return Err(EACCES);
            }
        }
        if task.session.load(Ordering::Relaxed) != session || session == task.pid {
            return Err(EPERM);
        }
        let is_there = group == pid
            || scheduler.tasks.iter().any(|other| {
                other.is_in_group(group) && other.session.load(Ordering::Relaxed) == session
            });
        if !is_there {
            return Err(EPERM);
        }
        task.group.store(group, Ordering::Relaxed);
        Ok(())
    })
}

/// Makes the running process the leader of a session and a group of its own.
pub fn set_session() -> Result<u32, Errno> {
    let me = current();
    SCHEDULER.with(|scheduler| {
        if scheduler.tasks.iter().any(|task| task.is_in_group(me.pid)) {
            return Err(EPERM);
        }
        me.group.store(me.pid, Ordering::Relaxed);
        me.session.store(me.pid, Ordering::Relaxed);
        Ok(me.pid)
    })
}
