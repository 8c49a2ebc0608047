//! The kernel's trap handler: upcalls, system calls, page faults, and what kills a process.

use crate::arch::trap::{FAILSAFE, SYSCALL, TrapFrame, UPCALL};
use crate::arch::uaccess::USER_END;
use crate::arch::{calls, probe};
use crate::mm::fault::{self, PROTECTION, Refusal, WRITING};
use crate::panic::{unexpected_trap, vector_name};
use crate::task::process::{self, STACK_LIMIT};
use crate::task::{scheduler, signal};
use crate::{nmi, ports, println, syscall};

/// Becomes the trap handler.
pub fn init() {
    crate::arch::trap::set_handler(handle);
    crate::arch::trap::set_user_work(signal::user_work);
}

fn handle(frame: &mut TrapFrame) {
    match frame.vector {
        UPCALL => {
            ports::run();
            nmi::report();
            scheduler::preempt();
        }
        SYSCALL if frame.from_user() && is_process() => syscall::dispatch(frame),
        2 => nmi::note(frame),
        14 => page_fault(frame),
        // The hypervisor's TS bit, which this kernel does not use: clear, and again.
        7 if frame.from_user() && is_process() => {
            let _ = calls::fpu_taskswitch(0);
        }
        FAILSAFE if !frame.from_user() => {}
        _ if frame.from_user() && is_process() => {
            let (signal, what) = cause(frame);
            die(frame, signal, format_args!("{what}"));
        }
        _ => {
            if !probe::expected(frame) {
                unexpected_trap(frame);
            }
        }
    }
}

fn is_process() -> bool {
    scheduler::try_current().is_some_and(|task| task.process.is_some())
}

/// The signal that a trap is to a process, and what to call it.
fn cause(frame: &TrapFrame) -> (u32, &'static str) {
    match frame.vector {
        0 => (signal::SIGFPE, "divide error"),
        1 | 3 => (signal::SIGTRAP, vector_name(frame.vector)),
        6 => (signal::SIGILL, "invalid opcode"),
        13 if frame.error == 0 => {
            (signal::SIGSEGV, "general protection fault (privileged instruction)")
        }
        13 => (signal::SIGSEGV, "general protection fault"),
        16 | 19 => (signal::SIGFPE, vector_name(frame.vector)),
        17 => (signal::SIGBUS, vector_name(frame.vector)),
        vector => (signal::SIGSEGV, vector_name(vector)),
    }
}

/// Says what the running process did, and ends it.
fn die(frame: &TrapFrame, signal: u32, what: core::fmt::Arguments<'_>) -> ! {
    let task = scheduler::current();
    if !crate::console::at_line_start() {
        println!();
    }
    println!("{}[{}]: {what} at eip {:#010x}", program(&task.name()), task.pid, frame.eip);
    process::exit(signal)
}

/// A task's name without its arguments.
fn program(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

fn page_fault(frame: &mut TrapFrame) {
    let (address, error) = (frame.address, frame.error);
    let process = scheduler::try_current().and_then(|task| task.process.as_ref());
    let Some(process) = process else {
        if !probe::expected(frame) {
            unexpected_trap(frame);
        }
        return;
    };
    let outcome = if address < USER_END {
        process.with_memory(|memory| {
            fault::resolve(&mut memory.space, &memory.regions, address, error)
        })
    } else {
        None
    };
    match outcome {
        Some(Ok(())) => {}
        _ if !frame.from_user() => {
            if !probe::expected(frame) {
                unexpected_trap(frame);
            }
        }
        Some(Err(Refusal::NoMemory)) => {
            die(frame, signal::SIGKILL, format_args!("out of memory at {address:#010x}"))
        }
        _ => {
            let below_stack = process
                .with_memory(|memory| memory.regions.is_below_stack(address, STACK_LIMIT / 8))
                .unwrap_or(false);
            let access = if error & WRITING != 0 {
                "writing"
            } else if error & fault::FETCH != 0 || address == frame.eip {
                "executing"
            } else {
                "reading"
            };
            let what = if address >= USER_END {
                "kernel address"
            } else if below_stack {
                "stack overflow"
            } else if address < 4096 {
                "null pointer"
            } else if error & PROTECTION != 0 {
                "not allowed"
            } else {
                "not mapped"
            };
            die(
                frame,
                signal::SIGSEGV,
                format_args!("page fault {access} {address:#010x} ({what})"),
            )
        }
    }
}
