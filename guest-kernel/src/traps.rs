//! The kernel's trap handler: upcalls, system calls, page faults, and what kills a process.

use crate::mm::fault::{self, PROTECTION, Refusal, WRITING};
use crate::signal::{Info, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGTRAP};
use crate::task::process::{self, Process, STACK_LIMIT};
use crate::task::{scheduler, signal};
use crate::{nmi, ports, syscall};
use alloc::string::String;
use core::fmt::Display;
use ring1::panic::{unexpected_trap, vector_name};
use ring1::println;
use ring1::trap::{FAILSAFE, TrapFrame, UPCALL};
use ring1::uaccess::USER_END;
use ring1::{calls, probe};

/// `si_code` of what the kernel itself found.
const SI_KERNEL: i32 = 0x80;
const ILL_ILLOPN: i32 = 2;
const FPE_INTDIV: i32 = 1;
const FPE_FLTINV: i32 = 7;
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRALN: i32 = 1;
const TRAP_BRKPT: i32 = 1;
const TRAP_TRACE: i32 = 2;

/// Becomes the trap handler.
pub fn init() {
    ring1::trap::set_handler(handle);
    ring1::trap::set_system_call(system_call);
    ring1::trap::set_page_fault(page_fault);
    ring1::trap::set_user_work(signal::user_work);
}

extern "C" fn system_call(frame: &mut TrapFrame) {
    if frame.from_user() {
        syscall::dispatch(frame);
    } else {
        handle(frame);
    }
}

fn handle(frame: &mut TrapFrame) {
    match frame.vector {
        UPCALL => {
            ports::run();
            nmi::report();
            scheduler::preempt();
        }
        2 => nmi::note(frame),
        // The hypervisor's TS bit, which this kernel does not use: clear, and again.
        7 if frame.from_user() && is_process() => {
            let _ = calls::fpu_taskswitch(0);
        }
        FAILSAFE if !frame.from_user() => {}
        _ if frame.from_user() && is_process() => {
            let (info, what) = cause(frame);
            raise(frame, info, || what);
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
fn cause(frame: &TrapFrame) -> (Info, &'static str) {
    let (signal, code, what) = match frame.vector {
        0 => (SIGFPE, FPE_INTDIV, "divide error"),
        1 => (SIGTRAP, TRAP_TRACE, vector_name(frame.vector)),
        3 => (SIGTRAP, TRAP_BRKPT, vector_name(frame.vector)),
        6 => (SIGILL, ILL_ILLOPN, "invalid opcode"),
        13 if frame.error == 0 => {
            (SIGSEGV, SI_KERNEL, "general protection fault (privileged instruction)")
        }
        13 => (SIGSEGV, SI_KERNEL, "general protection fault"),
        16 | 19 => (SIGFPE, FPE_FLTINV, vector_name(frame.vector)),
        17 => (SIGBUS, BUS_ADRALN, vector_name(frame.vector)),
        vector => (SIGSEGV, SI_KERNEL, vector_name(vector)),
    };
    let address = if code == SI_KERNEL { 0 } else { frame.eip };
    (Info::fault(signal, code, address), what)
}

/// Raises a signal that the running process's own instruction is the cause of: its handler's turn, or
/// its end.
fn raise<W: Display>(frame: &TrapFrame, info: Info, what: impl FnOnce() -> W) {
    if signal::is_handled(info.signal) {
        signal::force(info);
    } else {
        die(frame, info.signal, what());
    }
}

/// Says what the running process did, and ends it.
fn die(frame: &TrapFrame, signal: u32, what: impl Display) -> ! {
    let task = scheduler::current();
    if !ring1::console::at_line_start() {
        println!();
    }
    println!("{}[{}]: {what} at eip {:#010x}", program(&task.name()), task.pid, frame.eip);
    process::exit(signal)
}

/// A task's name without its arguments.
fn program(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

extern "C" fn page_fault(frame: &mut TrapFrame) {
    frame.restore_mask();
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
            die(frame, SIGKILL, format_args!("out of memory at {address:#010x}"))
        }
        _ => {
            let code = if error & PROTECTION != 0 { SEGV_ACCERR } else { SEGV_MAPERR };
            let info = Info::fault(SIGSEGV, code, address);
            raise(frame, info, || refused(process, frame));
        }
    }
}

/// What to call a page fault that the process has no right to.
fn refused(process: &Process, frame: &TrapFrame) -> String {
    let (address, error) = (frame.address, frame.error);
    let access = if error & WRITING != 0 {
        "writing"
    } else if error & fault::FETCH != 0 || address == frame.eip {
        "executing"
    } else {
        "reading"
    };
    let below_stack = process
        .with_memory(|memory| memory.regions.is_below_stack(address, STACK_LIMIT / 8))
        .unwrap_or(false);
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
    alloc::format!("page fault {access} {address:#010x} ({what})")
}
