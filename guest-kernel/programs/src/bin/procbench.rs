//! What processes cost, in the manner of lmbench: its rows, measured as it measures them.
//!
//! `procbench [ROUNDS]`: a line `STAT row min median max` of TSC ticks per operation for each; light
//! operations are repeated more often. `procbench exit` ends at once: what is executed.
//!
//! | row | what is done |
//! |---|---|
//! | `null_call` | `getppid` |
//! | `fork_exit` | a child is forked, ends, and is waited for |
//! | `fork_exec` | the same, and the child executes this program (`procbench exit`) |
//! | `sh_c` | the same, and the child is `/bin/sh -c 'procbench exit'` |
//! | `pipe_latency` | a byte goes to another process through a pipe, and comes back through one |
//! | `context_switch` | half of that, less what a byte through a pipe of one's own takes |
//! | `mmap` | 4 MiB are mapped, a page in four of the first tenth is written, all is unmapped |
//! | `page_fault` | the first touch of a page of a file that is mapped |
//! | `page_fault_zero` | the first write to a page that is mapped and belongs to no file |
//! | `page_fault_copy` | the first write to a page that a child shares |
//! | `signal_handler` | a signal to oneself, to a handler and back, less what sending takes |
//! | `protection_fault` | a write to a read-only page, to a handler and back, less `signal_handler` |
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: maps, protects and touches pages of its own.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use guest_programs::memory::{self, PAGE, READ, WRITE};
use guest_programs::sys::{self, Ended, nr};
use guest_programs::{Args, measure, signal};

guest_programs::entry!(main);

const SELF: &CStr = c"/bin/procbench";
const SHELL: &CStr = c"/bin/sh";
/// Rounds of the heavy rows if nothing else is said.
const ROUNDS: u32 = 20;
/// How much more often a light row is done.
const LIGHT: u32 = 50;
/// Pages of the mapping whose page faults are counted.
const PAGES: usize = 64;

fn main(args: Args) -> u8 {
    if args.get(1) == Some("exit") {
        return 0;
    }
    let rounds = args.number(1).unwrap_or(ROUNDS).max(1);
    null_call(rounds * LIGHT);
    children(rounds);
    pipes(rounds * LIGHT);
    mappings(rounds);
    faults();
    signals(rounds * LIGHT);
    measure::done();
    0
}

fn null_call(rounds: u32) {
    measure::row("null_call", rounds, || {
        measure::repeat(rounds, || {
            core::hint::black_box(sys::getppid());
        })
    });
}

/// Forks a child that runs `f`, and waits for it; it is to end with 0.
fn child(f: impl FnOnce() -> u8) {
    let ended = match sys::fork() {
        Ok(0) => sys::exit(f()),
        Ok(pid) => sys::wait(pid),
        Err(errno) => Err(errno),
    };
    assert_eq!(ended, Ok(Ended::Exited(0)), "a child");
}

fn execute(path: &CStr, arguments: &[&CStr]) -> u8 {
    let mut list = [core::ptr::null(); 4];
    for (to, from) in list.iter_mut().zip(arguments) {
        *to = from.as_ptr();
    }
    sys::execve(path, &list, &[core::ptr::null()]);
    127
}

fn children(rounds: u32) {
    let row = |name: &str, f: &dyn Fn() -> u8| {
        measure::row(name, rounds, || measure::repeat(rounds, || child(f)));
    };
    row("fork_exit", &|| 0);
    row("fork_exec", &|| execute(SELF, &[c"procbench", c"exit"]));
    match sys::open(SHELL) {
        Ok(shell) => {
            let _ = sys::close(shell);
            row("sh_c", &|| execute(SHELL, &[c"sh", c"-c", c"/bin/procbench exit"]));
        }
        Err(_) => measure::skip("sh_c", "no /bin/sh"),
    }
}

/// A pipe's ends: to read, to write.
fn pipe() -> (usize, usize) {
    sys::pipe().unwrap_or_else(|errno| panic!("pipe: {errno:?}"))
}

/// Writes a byte to one end and reads one at the other.
fn pass(reader: usize, writer: usize) {
    let mut byte = [0];
    assert_eq!(sys::write(writer, &byte), Ok(1), "write to a pipe");
    assert_eq!(sys::read(reader, &mut byte), Ok(1), "read of a pipe");
}

fn pipes(rounds: u32) {
    let ((reader, to_child), (from_parent, writer)) = (pipe(), pipe());
    let [request, answer] = [(from_parent, writer), (reader, to_child)];
    let pid = match sys::fork() {
        Ok(0) => {
            let _ = sys::close(request.1);
            let mut byte = [0];
            // Until the other end is closed.
            while sys::read(request.0, &mut byte) == Ok(1) {
                let _ = sys::write(answer.1, &byte);
            }
            sys::exit(0)
        }
        other => other.unwrap_or(0),
    };
    let there_and_back = || measure::repeat(rounds, || pass(answer.0, request.1));
    measure::row("pipe_latency", rounds, there_and_back);
    let own = pipe();
    measure::row("context_switch", 2 * rounds, || {
        let alone = measure::repeat(2 * rounds, || pass(own.0, own.1));
        there_and_back().saturating_sub(alone)
    });
    for end in [request.0, request.1, answer.0, answer.1, own.0, own.1] {
        let _ = sys::close(end);
    }
    assert_eq!(sys::wait(pid), Ok(Ended::Exited(0)), "the other end of the pipes");
}

fn map(pages: usize) -> usize {
    match memory::map(pages) {
        Ok(bytes) => bytes.as_ptr().expose_provenance(),
        Err(errno) => panic!("mmap: {errno:?}"),
    }
}

fn unmap(address: usize, pages: usize) {
    // SAFETY: 1. Callers unmap what `map` gave them, and keep nothing of it.
    let done = unsafe { memory::unmap(address, pages * PAGE) };
    assert_eq!(done, Ok(0), "munmap");
}

/// Writes a byte to each page, `step` pages apart.
fn touch(address: usize, pages: usize, step: usize) {
    for page in (0..pages).step_by(step) {
        // SAFETY: 1. Callers pass pages that they mapped and that nothing refers to.
        unsafe { memory::poke(address + page * PAGE, 1) };
    }
}

fn mappings(rounds: u32) {
    const MAPPED: usize = 1024;
    measure::row("mmap", rounds, || {
        measure::repeat(rounds, || {
            let address = map(MAPPED);
            touch(address, MAPPED / 10, 4);
            unmap(address, MAPPED);
        })
    });
}

fn faults() {
    let operations = PAGES as u32;
    let Ok(file) = sys::open(SHELL).or_else(|_| sys::open(SELF)) else { panic!("no program") };
    // SAFETY: 1. Without `MAP_FIXED` the kernel picks addresses that are not in use.
    let map_file = || unsafe { sys::call(nr::MMAP2, &[0, PAGES * PAGE, READ, 2, file, 0]) };
    measure::row("page_fault", operations, || {
        let address = map_file().unwrap_or_else(|errno| panic!("mmap: {errno:?}"));
        let mut at = address;
        let ticks = measure::repeat(operations, || {
            core::hint::black_box(memory::peek(at));
            at += PAGE;
        });
        unmap(address, PAGES);
        ticks
    });
    let _ = sys::close(file);
    measure::row("page_fault_zero", operations, || {
        let address = map(PAGES);
        let ticks = measure::repeat(1, || touch(address, PAGES, 1));
        unmap(address, PAGES);
        ticks
    });
    let address = map(PAGES);
    measure::row("page_fault_copy", operations, || {
        touch(address, PAGES, 1);
        // The child keeps the pages shared until it sees the end of its pipe.
        let (reader, writer) = pipe();
        let pid = match sys::fork() {
            Ok(0) => {
                let _ = sys::close(writer);
                let _ = sys::read(reader, &mut [0]);
                sys::exit(0)
            }
            other => other.unwrap_or(0),
        };
        let ticks = measure::repeat(1, || touch(address, PAGES, 1));
        let _ = sys::close(writer);
        let _ = sys::close(reader);
        assert_eq!(sys::wait(pid), Ok(Ended::Exited(0)), "who shares the pages");
        ticks
    });
    unmap(address, PAGES);
}

/// Signal 0: nothing is sent, but all is checked.
const NONE: u8 = 0;
const SIGUSR1: u8 = 10;
const SIGSEGV: u8 = 11;

/// The page that is written to.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);
/// Faults until it may be.
static LEFT: AtomicU32 = AtomicU32::new(0);

fn protect(protection: usize) {
    let address = PROTECTED.load(Ordering::Relaxed);
    // SAFETY: 1. The page is this row's alone.
    let done = unsafe { sys::call(nr::MPROTECT, &[address, PAGE, protection]) };
    assert_eq!(done, Ok(0), "mprotect");
}

extern "C" fn caught(_: u32) {}

/// Lets the write fail again, so many times.
extern "C" fn refused(_: u32) {
    if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        protect(READ | WRITE);
    }
}

fn signals(rounds: u32) {
    let me = sys::getpid();
    let address = map(1);
    PROTECTED.store(address, Ordering::Relaxed);
    let _ = signal::set(SIGUSR1.into(), signal::handler(caught), 0);
    let _ = signal::set(SIGSEGV.into(), signal::handler(refused), 0);
    let send = |signal| {
        measure::repeat(rounds, || {
            let _ = sys::kill(me, signal);
        })
    };
    let catch = || send(SIGUSR1).saturating_sub(send(NONE));
    measure::row("signal_handler", rounds, catch);
    measure::row("protection_fault", rounds, || {
        protect(READ);
        LEFT.store(rounds, Ordering::Relaxed);
        measure::repeat(1, || touch(address, 1, 1)).saturating_sub(catch())
    });
    for signal in [SIGUSR1, SIGSEGV] {
        let _ = signal::set(signal.into(), signal::DEFAULT, 0);
    }
    unmap(address, 1);
}
