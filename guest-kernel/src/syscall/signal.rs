//! System calls about signals.

use super::errno::{EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, EPERM, ESRCH};
use super::time::{read_timespec, read_timespec64};
use super::{Call, Result, duration, microseconds, signed};
use crate::signal::frame;
use crate::signal::state::{Action, AltStack, SS_DISABLE, SS_ONSTACK};
use crate::signal::{Info, LAST, Set};
use crate::task::{scheduler, signal};
use crate::time as clock;
use core::sync::atomic::Ordering;
use ring1::events::Masked;
use ring1::uaccess::{copy_to_user, read_user, write_user};

/// Bytes of a `sigset_t`.
const SET_BYTES: u32 = 8;
/// Least bytes of an alternative stack (`MINSIGSTKSZ`).
const MIN_STACK: u32 = 2048;

pub(super) fn read_set(address: u32, bytes: u32) -> Result<Set> {
    if bytes != SET_BYTES {
        return Err(EINVAL);
    }
    Ok(Set::from_words(read_user(address)?))
}

/// `rt_sigaction(signal, *action, *old, bytes)`.
pub fn rt_sigaction(call: &mut Call<'_>) -> Result {
    let number = call.a();
    if call.d() != SET_BYTES || !(1..=LAST).contains(&number) {
        return Err(EINVAL);
    }
    let new = match call.b() {
        0 => None,
        _ if Set::UNSTOPPABLE.contains(number) => return Err(EINVAL),
        address => Some(Action::from_words(read_user(address)?)),
    };
    let old = call.process.signals.with(|signals| {
        let old = signals.action(number);
        if let Some(action) = new {
            signals.set_action(number, action);
        }
        old
    });
    if call.c() != 0 {
        write_user(call.c(), &old.words())?;
    }
    Ok(0)
}

/// `rt_sigprocmask(how, *set, *old, bytes)`.
pub fn rt_sigprocmask(call: &mut Call<'_>) -> Result {
    let set = match call.b() {
        0 if call.d() == SET_BYTES => None,
        address => Some(read_set(address, call.d())?),
    };
    let how = call.a();
    let old = call.process.signals.with(|signals| -> Result<Set> {
        let old = signals.blocked();
        if let Some(set) = set {
            signals.set_blocked(match how {
                0 => old.union(set),
                1 => old.difference(set),
                2 => set,
                _ => return Err(EINVAL),
            });
        }
        Ok(old)
    })?;
    signal::look_again();
    if call.c() != 0 {
        write_user(call.c(), &old.words())?;
    }
    Ok(0)
}

/// `rt_sigpending(*set, bytes)`.
pub fn rt_sigpending(call: &mut Call<'_>) -> Result {
    if call.b() != SET_BYTES {
        return Err(EINVAL);
    }
    let pending = call.process.signals.with(|signals| signals.pending());
    write_user(call.a(), &pending.words())?;
    Ok(0)
}

/// Sleeps until a signal is to be looked at.
fn sleep_until_signal() -> Result {
    let _masked = Masked::new();
    while !signal::is_pending() {
        scheduler::sleep(0, 0);
    }
    Err(EINTR)
}

/// `pause()`.
pub fn pause(_: &mut Call<'_>) -> Result {
    sleep_until_signal()
}

/// `rt_sigsuspend(*set, bytes)`.
pub fn rt_sigsuspend(call: &mut Call<'_>) -> Result {
    let set = read_set(call.a(), call.b())?;
    call.process.signals.with(|signals| signals.suspend(set));
    sleep_until_signal()
}

/// Waits for a signal of a set, which must be blocked, for at most `patience` nanoseconds.
fn wait_for(call: &Call<'_>, patience: Option<u64>) -> Result {
    let set = read_set(call.a(), call.d())?;
    let deadline = patience.map_or(0, |patience| clock::now().saturating_add(patience).max(1));
    let info = {
        let _masked = Masked::new();
        loop {
            if let Some(info) = call.process.signals.with(|signals| signals.take_from(set)) {
                break info;
            }
            if signal::is_pending() {
                return Err(EINTR);
            }
            if deadline != 0 && clock::now() >= deadline {
                return Err(EAGAIN);
            }
            // Posting one that is blocked wakes nobody: it must not be while this waits.
            call.process.signals.with(|signals| signals.suspend(signals.blocked().difference(set)));
            scheduler::sleep(0, deadline);
            call.process.signals.with(|signals| signals.resume());
        }
    };
    if call.b() != 0 {
        copy_to_user(call.b(), &info.bytes())?;
    }
    Ok(info.signal)
}

/// `rt_sigtimedwait(*set, *info, *timespec, bytes)`, 32 bits.
pub fn rt_sigtimedwait(call: &mut Call<'_>) -> Result {
    wait_for(call, read_timespec(call.c())?)
}

/// `rt_sigtimedwait_time64(*set, *info, *timespec, bytes)`.
pub fn rt_sigtimedwait_time64(call: &mut Call<'_>) -> Result {
    wait_for(call, read_timespec64(call.c())?)
}

/// `sigreturn()`, from a handler's short frame.
pub fn sigreturn(call: &mut Call<'_>) -> Result {
    let places = frame::short_places(call.frame.esp);
    Ok(signal::return_from_handler(call.frame, call.process, places))
}

/// `rt_sigreturn()`, from a handler's long frame.
pub fn rt_sigreturn(call: &mut Call<'_>) -> Result {
    let places = frame::long_places(call.frame.esp);
    Ok(signal::return_from_handler(call.frame, call.process, places))
}

/// `sigaltstack(*new, *old)`.
pub fn sigaltstack(call: &mut Call<'_>) -> Result {
    let esp = call.frame.esp;
    let stack = call.process.signals.with(|signals| signals.alt_stack);
    let is_used = stack.contains(esp);
    if call.a() != 0 {
        let [base, flags, length]: [u32; 3] = read_user(call.a())?;
        let new = match flags {
            SS_DISABLE => AltStack::default(),
            0 | SS_ONSTACK if length < MIN_STACK => return Err(ENOMEM),
            0 | SS_ONSTACK => AltStack { base, length },
            _ => return Err(EINVAL),
        };
        if is_used {
            return Err(EPERM);
        }
        call.process.signals.with(|signals| signals.alt_stack = new);
    }
    if call.b() != 0 {
        write_user(call.b(), &[stack.base, stack.flags(esp), stack.length])?;
    }
    Ok(0)
}

/// `kill(pid, signal)`: to a process, to a group (0: one's own; below -1: its number negated), or
/// (-1) to all others.
pub fn kill(call: &mut Call<'_>) -> Result {
    let me = scheduler::current();
    let info = Info::sent(call.b(), me.pid);
    match signed(call.a()) {
        pid @ 1.. => signal::send(pid.unsigned_abs(), info)?,
        0 => signal::send_group(me.group.load(Ordering::Relaxed), info)?,
        -1 => signal::send_all(info)?,
        group => signal::send_group(group.unsigned_abs(), info)?,
    }
    Ok(0)
}

/// Sends to one thread, which is a process here.
fn send_to_thread(thread: u32, number: u32) -> Result {
    if signed(thread) <= 0 {
        return Err(EINVAL);
    }
    signal::send(thread, Info::sent_to_thread(number, scheduler::current().pid))?;
    Ok(0)
}

/// `tkill(thread, signal)`.
pub fn tkill(call: &mut Call<'_>) -> Result {
    send_to_thread(call.a(), call.b())
}

/// `tgkill(process, thread, signal)`.
pub fn tgkill(call: &mut Call<'_>) -> Result {
    if call.a() != call.b() {
        return Err(if signed(call.a()) <= 0 { EINVAL } else { ESRCH });
    }
    send_to_thread(call.b(), call.c())
}

/// Least nanoseconds between two alarms: a process that has itself woken without end runs no more.
const LEAST_INTERVAL_NS: u64 = 1_000_000;

/// What is left until the alarm that was set, and its interval, in nanoseconds.
fn left(before: (u64, u64)) -> (u64, u64) {
    let (at, interval) = before;
    // One that is due has at least a moment left: 0 would say that there is none.
    let left = if at == 0 { 0 } else { at.saturating_sub(clock::now()).max(1000) };
    (left, interval)
}

/// Sets the alarm in so many nanoseconds (0: not at all).
fn set_alarm(after: u64, interval: u64) -> (u64, u64) {
    let at = if after == 0 { 0 } else { clock::now().saturating_add(after) };
    let interval = if interval == 0 { 0 } else { interval.max(LEAST_INTERVAL_NS) };
    left(scheduler::set_alarm(at, interval))
}

/// `alarm(seconds)`.
pub fn alarm(call: &mut Call<'_>) -> Result {
    let (left, _) = set_alarm(u64::from(call.a()) * 1_000_000_000, 0);
    // As Linux: rounded, but never down to nothing.
    let seconds = (left + 500_000_000) / 1_000_000_000;
    Ok(if left > 0 { seconds.max(1) as u32 } else { 0 })
}

/// The real-time timer (`ITIMER_REAL`) is the only one.
const ITIMER_REAL: u32 = 0;

/// `setitimer(which, *new, *old)`.
pub fn setitimer(call: &mut Call<'_>) -> Result {
    if call.a() != ITIMER_REAL {
        return Err(EINVAL);
    }
    let words: [u32; 4] = match call.b() {
        0 => [0; 4],
        address => read_user(address)?,
    };
    let ns = |seconds, microseconds: u32| {
        duration(seconds, microseconds.checked_mul(1000).ok_or(EINVAL)?)
    };
    let (interval, after) = (ns(words[0], words[1])?, ns(words[2], words[3])?);
    let (left, interval) = set_alarm(after, interval);
    tell_timer(call.c(), left, interval)
}

/// `getitimer(which, *current)`.
pub fn getitimer(call: &mut Call<'_>) -> Result {
    if call.a() != ITIMER_REAL {
        return Err(EINVAL);
    }
    if call.b() == 0 {
        return Err(EFAULT);
    }
    let me = scheduler::current();
    let (at, interval) = (&me.alarm_at, &me.alarm_interval);
    let (left, interval) = left((at.load(Ordering::Relaxed), interval.load(Ordering::Relaxed)));
    tell_timer(call.b(), left, interval)
}

fn tell_timer(address: u32, left: u64, interval: u64) -> Result {
    if address != 0 {
        write_user(address, &[microseconds(interval), microseconds(left)])?;
    }
    Ok(0)
}
