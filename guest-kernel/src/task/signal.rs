//! Signals, as far as this kernel has them: the ones that end a process, and the ones that do nothing.
//!
//! A signal is a bit until the process is about to continue in Ring 3; there it dies of it. A sleeping
//! process is woken for that, and its system call returns `EINTR` to nobody.

use super::scheduler;
use crate::arch::trap::{TrapFrame, WORK};
use crate::arch::uaccess;
use crate::shell::kernel::Errno;
use crate::syscall::errno::{EINVAL, EPERM, ESRCH};
use core::sync::atomic::Ordering;

/// Illegal instruction.
pub const SIGILL: u32 = 4;
/// Breakpoint, single step.
pub const SIGTRAP: u32 = 5;
/// Misaligned access.
pub const SIGBUS: u32 = 7;
/// Arithmetic error.
pub const SIGFPE: u32 = 8;
/// Killed.
pub const SIGKILL: u32 = 9;
/// Memory that is not there.
pub const SIGSEGV: u32 = 11;
/// Wrote to a pipe that nobody reads.
pub const SIGPIPE: u32 = 13;
/// Interrupted from the terminal.
pub const SIGINT: u32 = 2;

/// Signals that do nothing unless a process asks for them: SIGCHLD, SIGCONT, SIGURG, SIGWINCH, and
/// the ones that stop, which this kernel has not: SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU.
const HARMLESS: [u32; 8] = [17, 18, 19, 20, 21, 22, 23, 28];

/// Sends a signal to a process; 0 only asks whether it is there.
pub fn send(pid: u32, signal: u32) -> Result<(), Errno> {
    if signal > 64 {
        return Err(EINVAL);
    }
    let sent = scheduler::with_task(pid, |task| {
        if task.state() == super::State::Zombie || signal == 0 {
            return Ok(false);
        }
        if task.process.is_none() {
            return Err(EPERM);
        }
        if HARMLESS.contains(&signal) || signal > 31 {
            return Ok(false);
        }
        task.signals.fetch_or(1 << (signal - 1), Ordering::Relaxed);
        Ok(true)
    });
    if sent.ok_or(ESRCH)?? {
        if scheduler::current().pid == pid {
            WORK.store(1, Ordering::Relaxed);
        } else {
            scheduler::interrupt(pid);
        }
    }
    Ok(())
}

/// Whether the running task is to die, so that a sleep must end.
pub fn is_pending() -> bool {
    scheduler::current().signals.load(Ordering::Relaxed) != 0
}

/// What is to be done before Ring 3 continues: a number to be written, or dying.
pub fn user_work(_frame: &mut TrapFrame) {
    WORK.store(0, Ordering::Relaxed);
    let task = scheduler::current();
    let tid_at = task.tid_at.swap(0, Ordering::Relaxed);
    if tid_at != 0 {
        // As Linux: an address that cannot be written is the program's loss.
        let _ = uaccess::write_user(tid_at, &task.pid);
    }
    let signals = task.signals.load(Ordering::Relaxed);
    if signals != 0 {
        // SIGKILL first; else the lowest.
        let kill = signals & (1 << (SIGKILL - 1));
        let signal = if kill != 0 { SIGKILL } else { signals.trailing_zeros() + 1 };
        super::process::exit(signal);
    }
}
