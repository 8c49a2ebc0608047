//! Signals, groups, `poll` and `select`: what handlers see, what they interrupt, who is told.
//!
//! Expected, as on Linux: only `ok` lines; status 0.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: raw system calls, handlers, an access that faults.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::memory::{self, PAGE};
use guest_programs::signal::{self, DEFAULT, How, IGNORE, handler, long_handler};
use guest_programs::sys::{self, Ended, Errno, Result, nr};

guest_programs::entry!(main);

const SIGUSR1: u32 = 10;
const SIGSEGV: u32 = 11;
const SIGALRM: u32 = 14;
const SIGTERM: u32 = 15;
const SIGCHLD: u32 = 17;
const SIGCONT: u32 = 18;
const SIGSTOP: u32 = 19;
const WUNTRACED: usize = 2;
const WCONTINUED: usize = 8;

/// Calls of a handler since [`calls`] asked.
static CALLS: AtomicU32 = AtomicU32::new(0);
/// What a long handler found: sender or address, and its own stack.
static FOUND: AtomicUsize = AtomicUsize::new(0);
static STACK: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: u32) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: 1. The kernel keeps the interrupted FPU; this one is the handler's.
    unsafe { asm!("fninit", "fld1", "fldz", "std", "cld") };
}

extern "C" fn tell(_: u32, info: *mut u32, _: *mut u32) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: 1. The kernel hands over a `siginfo_t`, whose fourth word is the sender.
    FOUND.store(unsafe { info.add(3).read() } as usize, Ordering::Relaxed);
}

/// Skips the instruction of two bytes that faulted.
extern "C" fn skip(_: u32, info: *mut u32, context: *mut u32) {
    let here = 0u32;
    STACK.store((&raw const here).addr(), Ordering::Relaxed);
    // SAFETY: 1. The fourth word is the address. 2. In a `ucontext_t` five words come before the
    // registers, of which eip is the fifteenth.
    unsafe {
        FOUND.store(info.add(3).read() as usize, Ordering::Relaxed);
        *context.add(5 + 14) += 2;
    }
    CALLS.fetch_add(1, Ordering::Relaxed);
}

fn calls() -> u32 {
    CALLS.swap(0, Ordering::Relaxed)
}

/// Sends SIGALRM every two milliseconds while `f` waits: a single one might come before it waits.
fn with_alarms<R>(f: impl FnOnce() -> R) -> R {
    let timer = [0u32, 2000, 0, 2000];
    let _ = call(nr::SETITIMER, &[0, (&raw const timer).expose_provenance(), 0]);
    let result = f();
    let _ = call(nr::SETITIMER, &[0, 0, 0]);
    result
}

/// A call that changes no memory but what its addresses lend.
fn call(nr: usize, arguments: &[usize]) -> Result {
    // SAFETY: 1. As the callers of this function see to it.
    unsafe { sys::call(nr, arguments) }
}

fn pipe() -> (usize, usize) {
    sys::pipe().unwrap_or_default()
}

fn kill(pid: usize, signal: u32) -> Result {
    sys::kill(pid, signal as u8)
}

/// Starts a child that runs `f`.
fn child(f: impl FnOnce()) -> usize {
    match sys::fork() {
        Ok(0) => {
            f();
            sys::exit(0)
        }
        other => other.unwrap_or(0),
    }
}

/// Waits for news of a child: its wait status.
fn news(pid: usize, options: usize) -> Result<u32> {
    let mut status = 0u32;
    call(nr::WAIT4, &[pid, (&raw mut status).expose_provenance(), options, 0])?;
    Ok(status)
}

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    handlers(&mut checks);
    blocking(&mut checks);
    interrupting(&mut checks);
    faults(&mut checks);
    children(&mut checks);
    waiting(&mut checks);
    hostile(&mut checks);
    checks.status()
}

fn handlers(checks: &mut Checks) {
    let me = sys::getpid();
    let _ = signal::set(SIGUSR1, handler(count), 0);
    let mut value = 7u32;
    // SAFETY: 1. It reads `value`; the FPU's stack is empty.
    unsafe { asm!("fninit", "fild dword ptr [{0}]", in(reg) &raw const value) };
    checks.same(kill(me, SIGUSR1), Ok(0), "kill returns what it should, with a handler between");
    value = 0;
    // SAFETY: 1. It writes `value`.
    unsafe { asm!("fistp dword ptr [{0}]", in(reg) &raw mut value) };
    checks.same((calls(), value), (1, 7), "a handler is called, and leaves the FPU alone");
    let _ = signal::set(SIGUSR1, long_handler(tell), signal::SIGINFO | signal::ONCE);
    let _ = kill(me, SIGUSR1);
    let found = FOUND.load(Ordering::Relaxed);
    checks.same((calls(), found), (1, me), "a long handler learns who sent it");
    let dies = || {
        let _ = kill(sys::getpid(), SIGUSR1);
        0
    };
    checks.child(dies, Ended::Killed(SIGUSR1 as u8), "SA_RESETHAND: the default from then on");
}

fn blocking(checks: &mut Checks) {
    let me = sys::getpid();
    let _ = signal::set(SIGUSR1, handler(count), 0);
    let set = signal::set_of(&[SIGUSR1]);
    checks.same(signal::mask(How::Block, set), Ok([0; 2]), "nothing is blocked at first");
    let _ = kill(me, SIGUSR1);
    let _ = kill(me, SIGUSR1);
    let mut pending = [0u32; 2];
    let _ = call(nr::RT_SIGPENDING, &[(&raw mut pending).expose_provenance(), 8]);
    checks.same((calls(), pending), (0, set), "what is blocked is pending");
    checks.same(signal::mask(How::Unblock, set), Ok(set), "what was blocked is told");
    checks.same(calls(), 1, "it comes once when it is blocked no more");

    let _ = signal::mask(How::Block, set);
    let sender = child(|| {
        let _ = kill(sys::getpid(), 0);
        let _ = kill(me, SIGUSR1);
    });
    let none = [0u32; 2];
    let suspended = call(nr::RT_SIGSUSPEND, &[(&raw const none).expose_provenance(), 8]);
    checks.same((suspended, calls()), (Err(Errno::EINTR), 1), "sigsuspend waits for it");
    checks.same(signal::mask(How::Set, none), Ok(set), "and blocks again what was blocked");
    let _ = sys::wait(sender);
}

fn interrupting(checks: &mut Checks) {
    let (reader, writer) = pipe();
    let mut byte = [0];
    let _ = signal::set(SIGALRM, handler(count), 0);
    let read = with_alarms(|| sys::read(reader, &mut byte));
    checks.same((read, calls() > 0), (Err(Errno::EINTR), true), "a handler interrupts a read");

    let _ = signal::set(SIGALRM, handler(count), signal::RESTART);
    let read = with_alarms(|| {
        let late = child(|| {
            let _ = sys::sleep_ms(20);
            let _ = sys::write(writer, b"x");
        });
        let read = sys::read(reader, &mut byte);
        let _ = sys::wait(late);
        read
    });
    checks.same((read, calls() > 0), (Ok(1), true), "with SA_RESTART the read goes on");

    let (time, mut left) = ([5u32, 0], [0u32; 2]);
    let times = [(&raw const time).expose_provenance(), (&raw mut left).expose_provenance()];
    let slept = with_alarms(|| call(nr::NANOSLEEP, &times));
    checks.same(slept, Err(Errno::EINTR), "a handler ends a sleep, SA_RESTART or not");
    checks.that(left[0] == 4, format_args!("and what is left of it is told"));
    let _ = calls();

    with_alarms(|| {
        while CALLS.load(Ordering::Relaxed) < 3 {
            let _ = call(nr::PAUSE, &[]);
        }
    });
    checks.that(calls() >= 3, format_args!("a timer rings again and again"));
    checks.same(call(nr::ALARM, &[100]), Ok(0), "no alarm was set");
    checks.same(call(nr::ALARM, &[0]), Ok(100), "the alarm that was set is told");
    let _ = signal::set(SIGALRM, DEFAULT, 0);
}

/// Reads a byte at `address` with an instruction of two bytes.
fn touch(address: usize) {
    // SAFETY: 1. A read has no effect but a fault, which `skip` handles.
    unsafe { asm!("mov al, byte ptr [ecx]", in("ecx") address, out("al") _) };
}

fn faults(checks: &mut Checks) {
    let Ok(stack) = memory::map(4) else { return };
    let base = stack.as_ptr().expose_provenance();
    let length = stack.len();
    let description = [base, 0, length];
    let address = (&raw const description).expose_provenance();
    checks.same(call(nr::SIGALTSTACK, &[address, 0]), Ok(0), "a stack for handlers");
    let _ = signal::set(SIGSEGV, long_handler(skip), signal::SIGINFO | signal::ON_STACK);
    touch(0x123);
    let found = FOUND.load(Ordering::Relaxed);
    checks.same((calls(), found), (1, 0x123), "a fault is handled, its address told");
    let used = STACK.load(Ordering::Relaxed);
    checks.that((base..base + length).contains(&used), format_args!("on the other stack"));
    touch(0x456);
    checks.same(calls(), 1, "and again");
    let blocked = || {
        let _ = signal::mask(How::Block, signal::set_of(&[SIGSEGV]));
        touch(0x123);
        0
    };
    checks.child(blocked, Ended::Killed(SIGSEGV as u8), "a fault that is blocked ends the process");
    let nowhere = || {
        let _ = signal::set(SIGUSR1, handler(count), 0);
        // SAFETY: 1. None: the process ends, for its handler has no stack.
        unsafe {
            asm!("mov esp, 16", "int 0x80", in("eax") nr::KILL, in("ebx") sys::getpid(),
                in("ecx") SIGUSR1, options(noreturn));
        }
    };
    let _ = signal::set(SIGSEGV, DEFAULT, 0);
    checks.child(nowhere, Ended::Killed(SIGSEGV as u8), "without a stack no handler runs");
}

fn children(checks: &mut Checks) {
    let stops = child(|| {
        let _ = kill(sys::getpid(), SIGSTOP);
        let _ = call(nr::PAUSE, &[]);
    });
    checks.same(news(stops, WUNTRACED), Ok(SIGSTOP << 8 | 0x7f), "a child that stopped");
    let _ = kill(stops, SIGCONT);
    checks.same(news(stops, WCONTINUED), Ok(0xffff), "a child that continued");
    let _ = kill(stops, SIGSTOP);
    let _ = kill(stops, SIGTERM);
    let _ = kill(stops, SIGCONT);
    checks.same(sys::wait(stops), Ok(Ended::Killed(SIGTERM as u8)), "it ends when it continues");

    let waits = || {
        let _ = call(nr::PAUSE, &[]);
    };
    let (first, second) = (child(waits), child(waits));
    checks.same(call(nr::SETPGID, &[first, 0]), Ok(0), "a group of a child's own");
    checks.same(call(nr::SETPGID, &[second, first]), Ok(0), "another child joins");
    checks.same(call(nr::SETPGID, &[second, 9999]), Err(Errno::EPERM), "there is no such group");
    checks.same(kill(first.wrapping_neg(), SIGTERM), Ok(0), "a signal to a group");
    for pid in [first, second] {
        checks.same(sys::wait(pid), Ok(Ended::Killed(SIGTERM as u8)), "reaches all of it");
    }
    checks.same(kill(first.wrapping_neg(), 0), Err(Errno::ESRCH), "the group is no more");

    let _ = signal::set(SIGCHLD, handler(count), signal::RESTART);
    let ends = child(|| ());
    checks.same(sys::wait(ends), Ok(Ended::Exited(0)), "a child's end");
    checks.same(calls(), 1, "is a signal, too");
    let _ = signal::set(SIGCHLD, IGNORE, 0);
    let ends = child(|| ());
    checks.same(sys::wait(ends), Err(Errno::ECHILD), "an ignored child leaves nothing");
    let _ = signal::set(SIGCHLD, DEFAULT, 0);
    let leads = || u8::from(call(nr::SETSID, &[]) != Ok(sys::getpid()));
    checks.child(leads, Ended::Exited(0), "a session of a child's own");
}

/// `poll` of one descriptor: how many are ready, and for what.
fn poll(fd: usize, wanted: u16, ms: usize) -> Result<(usize, u16)> {
    let mut entry = [fd as u32, u32::from(wanted)];
    let count = call(nr::POLL, &[(&raw mut entry).expose_provenance(), 1, ms])?;
    Ok((count, (entry[1] >> 16) as u16))
}

fn waiting(checks: &mut Checks) {
    const IN: u16 = 1;
    const OUT: u16 = 4;
    const ERROR: u16 = 8;
    const HANGUP: u16 = 16;
    const INVALID: u16 = 32;
    let (reader, writer) = pipe();
    checks.same(poll(reader, IN, 0), Ok((0, 0)), "nothing to read yet");
    checks.same(poll(writer, OUT, 0), Ok((1, OUT)), "room to write");
    checks.same(poll(77, IN, 0), Ok((1, INVALID)), "no such descriptor");
    let begin = sys::now_ms();
    checks.same(poll(reader, IN, 30), Ok((0, 0)), "nothing came");
    checks.that(sys::now_ms() - begin >= 29, format_args!("in 30 ms"));
    let late = child(|| {
        let _ = sys::sleep_ms(10);
        let _ = sys::write(writer, b"x");
    });
    checks.same(poll(reader, IN, usize::MAX), Ok((1, IN)), "poll waits for a byte");
    let _ = sys::wait(late);
    let mut sets = [1u32 << reader, 1 << writer, 0];
    let [read, write, except] = [0, 1, 2].map(|index| (&raw mut sets[index]).expose_provenance());
    let selected = call(nr::SELECT, &[32, read, write, except, 0]);
    checks.same((selected, sets), (Ok(2), [1 << reader, 1 << writer, 0]), "select finds both");
    let _ = sys::close(writer);
    checks.same(poll(reader, IN, 0), Ok((1, IN | HANGUP)), "the writer is gone");
    let (reader, writer) = pipe();
    let _ = sys::close(reader);
    checks.same(poll(writer, OUT, 0), Ok((1, OUT | ERROR)), "the reader is gone");
    let _ = signal::set(SIGALRM, handler(count), signal::RESTART);
    let (reader, _writer) = pipe();
    let polled = with_alarms(|| poll(reader, IN, usize::MAX));
    checks.same(polled, Err(Errno::EINTR), "a handler ends a poll");
    let _ = calls();
}

fn hostile(checks: &mut Checks) {
    let kernel = 0xc010_0000;
    checks.same(call(nr::RT_SIGACTION, &[10, kernel, 0, 8]), Err(Errno::EFAULT), "a bad action");
    checks.same(call(nr::RT_SIGACTION, &[9, 0, 0, 8]), Ok(0), "SIGKILL's action can be asked");
    checks.same(signal::set(9, IGNORE, 0), Err(Errno::EINVAL), "and not be changed");
    checks.same(call(nr::POLL, &[kernel, 1, 0]), Err(Errno::EFAULT), "a bad list for poll");
    checks.same(call(nr::POLL, &[0, 1 << 20, 0]), Err(Errno::EINVAL), "a list without end");
    for nr in [nr::SIGRETURN, nr::RT_SIGRETURN] {
        for esp in [kernel, 0, PAGE, usize::MAX] {
            let returns = || {
                // SAFETY: 1. None: the process ends of it.
                unsafe {
                    asm!("mov esp, ecx", "int 0x80", in("eax") nr, in("ecx") esp, options(noreturn))
                }
            };
            checks.child(returns, Ended::Killed(SIGSEGV as u8), "a return without a frame");
        }
    }
    let wild = || {
        // Registers of all ones: no segment, no flag and no address may be believed.
        let frame = [u32::MAX; 300];
        let esp = (&raw const frame).expose_provenance();
        // SAFETY: 1. None: the process ends of it.
        unsafe {
            asm!("mov esp, ecx", "int 0x80", in("eax") nr::SIGRETURN, in("ecx") esp, options(noreturn))
        }
    };
    checks.child(wild, Ended::Killed(SIGSEGV as u8), "a return to nowhere");
}
