//! Signals of tasks: who gets them, and what is done about them before Ring 3 continues.
//!
//! What a process has of signals is [`Signals`](crate::signal::state::Signals), which says what comes
//! next; here that is carried out. A signal wakes a process from its sleep: the system call that
//! slept returns `EINTR`, and [`user_work`] makes of that what Linux does: a handler sees the
//! error unless it was set with `SA_RESTART`; without a handler (the process stopped and continued, or
//! nothing came of the signal) the call begins again.

use super::context::Context;
use super::process::Process;
use super::{Task, children, process, scheduler};
use crate::errno::{EINVAL, EPERM, ESRCH};
use crate::shell::kernel::Errno;
use crate::signal::frame::{self, FXSAVE, Frame, Interrupted, Places, Registers};
use crate::signal::state::{Action, Delivery, SA_RESTART, SIG_DFL, SIG_IGN};
use crate::signal::{Info, LAST, SIGCONT, SIGKILL, SIGSEGV, SIGSTOP, Set};
use crate::syscall::{self, Restart};
use core::sync::atomic::Ordering;
use ring1::events::Masked;
use ring1::probe;
use ring1::trap::{TrapFrame, WORK};
use ring1::uaccess::{self, USER_END, copy_from_user, copy_to_user, read_user};

/// DF, TF and RF, which a handler begins without.
const HANDLER_CLEARS: u32 = 0x1_0500;

/// Posts a signal to a task. What to do then; the scheduler's list is in use now.
fn post(task: &Task, info: Info) -> Result<Wake, Errno> {
    if task.state() == super::State::Zombie || info.signal == 0 {
        return Ok(Wake::No);
    }
    let process = task.process.as_ref().ok_or(EPERM)?;
    let must_look = process.signals.with(|signals| signals.post(info));
    Ok(match info.signal {
        SIGKILL | SIGCONT => Wake::Continue,
        _ if must_look => Wake::Look,
        _ => Wake::No,
    })
}

enum Wake {
    /// Nothing.
    No,
    /// It looks at its signals.
    Look,
    /// It does, even if it is stopped.
    Continue,
}

fn wake(pid: u32, signal: u32, how: Wake) {
    if matches!(how, Wake::Continue) && scheduler::resume(pid) && signal == SIGCONT {
        children::report(pid, children::CONTINUED);
    }
    if matches!(how, Wake::No) {
        return;
    }
    // The one that ran last may sleep: the vCPU is idle on its stack.
    if scheduler::current().pid == pid {
        look_again();
    }
    scheduler::interrupt(pid);
}

/// Sends a signal to a process; signal 0 only asks whether it is there.
pub fn send(pid: u32, info: Info) -> Result<(), Errno> {
    if info.signal > LAST {
        return Err(EINVAL);
    }
    let how = scheduler::with_task(pid, |task| post(task, info)).ok_or(ESRCH)??;
    wake(pid, info.signal, how);
    Ok(())
}

/// Sends a signal to the running process, which caused it by a system call.
pub fn raise(signal: u32) {
    let me = scheduler::current().pid;
    // A kernel task has no signals, and refuses.
    let _ = send(me, Info::kernel(signal));
}

/// Sends a signal to each process that is `wanted`; whether there was one.
fn send_where(info: Info, wanted: impl Fn(&Task) -> bool) -> bool {
    // One at a time: to wake somebody needs the list, too.
    let (mut last, mut any) = (0, false);
    loop {
        let mut next = None;
        scheduler::for_each(|task| {
            if next.is_none() && task.pid > last && task.process.is_some() && wanted(task) {
                next = Some(task.pid);
            }
        });
        let Some(pid) = next else { return any };
        last = pid;
        any |= send(pid, info).is_ok();
    }
}

/// Sends a signal to all processes of a group.
pub fn send_group(group: u32, info: Info) -> Result<(), Errno> {
    if info.signal > LAST {
        return Err(EINVAL);
    }
    let is_member = |task: &Task| task.group.load(Ordering::Relaxed) == group;
    if send_where(info, is_member) { Ok(()) } else { Err(ESRCH) }
}

/// Sends a signal to all processes but the running one.
pub fn send_all(info: Info) -> Result<(), Errno> {
    if info.signal > LAST {
        return Err(EINVAL);
    }
    let me = scheduler::current().pid;
    if send_where(info, |task| task.pid != me) { Ok(()) } else { Err(ESRCH) }
}

/// Whether the running task has a signal to look at, so that a sleep must end.
pub fn is_pending() -> bool {
    let process = scheduler::current().process.as_ref();
    process.is_some_and(|process| process.signals.with(|signals| signals.is_deliverable()))
}

/// Looks again before Ring 3 continues: what is blocked has changed.
pub fn look_again() {
    WORK.store(1, Ordering::Relaxed);
}

/// Whether the running process would handle a signal that it raised itself.
pub fn is_handled(signal: u32) -> bool {
    let process = scheduler::current().process.as_ref();
    process.is_some_and(|process| {
        process.signals.with(|signals| {
            let handled = !matches!(signals.action(signal).handler, SIG_DFL | SIG_IGN);
            handled && !signals.blocked().contains(signal)
        })
    })
}

/// Raises a signal that the running process cannot put off.
pub fn force(info: Info) {
    if let Some(process) = &scheduler::current().process {
        process.signals.with(|signals| signals.force(info));
        look_again();
    }
}

/// What is to be done before Ring 3 continues: a number to be written, signals.
pub fn user_work(frame: &mut TrapFrame) {
    WORK.store(0, Ordering::Relaxed);
    let task = scheduler::current();
    let Some(process) = &task.process else { return };
    let tid_at = task.tid_at.swap(0, Ordering::Relaxed);
    if tid_at != 0 {
        // As Linux: an address that cannot be written is the program's loss.
        let _ = uaccess::write_user(tid_at, &task.pid);
    }
    loop {
        // Between finding a signal that stops and stopping, nothing may continue the process.
        let masked = Masked::new();
        match process.signals.with(|signals| signals.take_next()) {
            None => break,
            Some(Delivery::End(signal)) => {
                drop(masked);
                process::exit(signal)
            }
            Some(Delivery::Stop(signal)) => {
                if signal == SIGSTOP || !children::is_orphaned(task.group.load(Ordering::Relaxed)) {
                    children::report(task.pid, signal << 8 | children::STOPPED);
                    scheduler::stop();
                }
            }
            Some(Delivery::Handle(info, action)) => {
                drop(masked);
                call_handler(frame, process, info, &action);
                if is_pending() {
                    look_again();
                }
                return;
            }
        }
    }
    process.signals.with(|signals| signals.resume());
    if let Some(number) = process.interrupted.with(Option::take)
        && syscall::restart(number) != Restart::Never
    {
        begin_again(frame, number);
    }
}

/// Has the system call that was interrupted made again.
fn begin_again(frame: &mut TrapFrame, number: u32) {
    frame.eax = number;
    frame.eip = frame.eip.wrapping_sub(syscall::INSTRUCTION_BYTES);
}

fn registers(frame: &TrapFrame, selectors: u32) -> Registers {
    Registers {
        gs: selectors >> 16,
        fs: selectors & 0xffff,
        es: frame.es,
        ds: frame.ds,
        edi: frame.edi,
        esi: frame.esi,
        ebp: frame.ebp,
        esp: frame.esp,
        ebx: frame.ebx,
        edx: frame.edx,
        ecx: frame.ecx,
        eax: frame.eax,
        vector: frame.vector,
        error: frame.error,
        eip: frame.eip,
        cs: frame.cs,
        eflags: frame.eflags,
        ss: frame.ss,
        fault_address: frame.address,
    }
}

/// Makes the process continue in its handler.
fn call_handler(frame: &mut TrapFrame, process: &Process, info: Info, action: &Action) {
    if let Some(number) = process.interrupted.with(Option::take)
        && action.flags & SA_RESTART != 0
        && syscall::restart(number) == Restart::Always
    {
        begin_again(frame, number);
    }
    process.deadline.store(0, Ordering::Relaxed);
    let (fpu, selectors) = process.context.snapshot();
    let (mask, alt_stack) =
        process.signals.with(|signals| (signals.mask_to_return_to(), signals.alt_stack));
    let registers = registers(frame, selectors);
    let interrupted = Interrupted { registers, fpu: &fpu, mask, alt_stack };
    let is_written = |built: &Frame| {
        copy_to_user(built.at, &built.bytes).is_ok() && copy_to_user(built.image_at(), &fpu).is_ok()
    };
    let built = frame::build(&info, action, &interrupted)
        .filter(|built| action.handler < USER_END && is_written(built));
    let Some(built) = built else {
        // No room for the frame: the process ends, if it is not the stack that it handles.
        process.signals.with(|signals| {
            if info.signal == SIGSEGV {
                signals.set_action(SIGSEGV, Action::default());
            }
            signals.force(Info::kernel(SIGSEGV));
        });
        return;
    };
    process.signals.with(|signals| signals.enter(info.signal, action));
    let fresh = probe::user_registers(action.handler, built.at);
    let [eax, edx, ecx] = built.arguments;
    let eflags = frame.eflags & !HANDLER_CLEARS;
    *frame = TrapFrame {
        eax,
        edx,
        ecx,
        eflags,
        eip: fresh.eip,
        cs: fresh.cs,
        esp: fresh.esp,
        ss: fresh.ss,
        ds: fresh.ds,
        es: fresh.es,
        ..*frame
    };
    Context::reset_fpu();
}

/// Goes back to what a handler interrupted; what eax is then. A frame that cannot be read, or that
/// leads out of the process, ends it.
pub fn return_from_handler(frame: &mut TrapFrame, process: &Process, places: Places) -> u32 {
    if restore(frame, process, places).is_none() {
        force(Info::kernel(SIGSEGV));
    }
    frame.eax
}

fn restore(frame: &mut TrapFrame, process: &Process, places: Places) -> Option<()> {
    let words = read_user(places.context).ok()?;
    let (wanted, image, low) = frame::decode(&words);
    let mask: [u32; 2] = match places.alt_stack {
        Some(_) => read_user(places.mask).ok()?,
        None => [low, read_user(places.mask).ok()?],
    };
    let mut fpu = [0; FXSAVE as usize];
    if image == 0 {
        fpu = process.context.snapshot().0;
    } else {
        copy_from_user(&mut fpu, image).ok()?;
    }
    // An address that is none of the process's would not fault there but on the way.
    if wanted.eip >= USER_END {
        return None;
    }
    let registers = registers(frame, 0).sanitize(wanted);
    *frame = TrapFrame {
        ebx: registers.ebx,
        ecx: registers.ecx,
        edx: registers.edx,
        esi: registers.esi,
        edi: registers.edi,
        ebp: registers.ebp,
        eax: registers.eax,
        ds: registers.ds,
        es: registers.es,
        eip: registers.eip,
        eflags: registers.eflags,
        esp: registers.esp,
        ..*frame
    };
    process.context.restore(&fpu, registers.fs | registers.gs << 16);
    process.signals.with(|signals| signals.set_blocked(Set::from_words(mask)));
    look_again();
    Some(())
}
