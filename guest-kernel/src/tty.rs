//! Text in: what was typed, raw for the shell and line by line for processes.
//!
//! Bytes come from the console when its event says so (or on a timer, where the hypervisor has none)
//! and wait in a small queue. While the shell waits for a process, the console is that
//! process's: Ctrl-C interrupts it, its reads get whole lines with echo, backspace, Ctrl-U and Ctrl-D.

use crate::arch::calls;
use crate::arch::events::{self, Masked};
use crate::shell::kernel::Errno;
use crate::sync::Guarded;
use crate::syscall::errno::EINTR;
use crate::task::{scheduler, signal};
use crate::{console, time};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use heapless::Deque;

/// Bytes typed ahead that are kept.
const QUEUE: usize = 256;
/// Most bytes of a line.
const LINE: usize = 512;
/// How often input is looked for without an event, nanoseconds.
const POLL_NS: u64 = 20_000_000;

/// What Ctrl-C types.
pub const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_U: u8 = 21;

static TYPED: Guarded<Deque<u8, QUEUE>> = Guarded::new(Deque::new());
/// The process that has the console; 0: none.
static FOREGROUND: AtomicU32 = AtomicU32::new(0);
static POLLING: AtomicBool = AtomicBool::new(false);

/// Finished lines that a process has not read altogether.
static LINES: Guarded<Lines> =
    Guarded::new(Lines { ready: Vec::new(), edited: Vec::new(), end: false });

struct Lines {
    ready: Vec<u8>,
    edited: Vec<u8>,
    end: bool,
}

/// Binds the console's event.
pub fn init() {
    let port = match crate::domu::console::port() {
        Some(port) => Ok(port),
        None => calls::evtchn_bind_virq(pv_abi::virq::VIRQ_CONSOLE),
    };
    match port {
        Ok(port) => {
            crate::ports::set(port, receive);
            events::unmask_port(port);
        }
        Err(_) => POLLING.store(true, Ordering::Relaxed),
    }
}

/// Takes what was typed. Called by the event, and before waiting.
pub fn receive() {
    let mut buffer = [0u8; 64];
    let mut any = false;
    while let count @ 1.. = console::read(&mut buffer) {
        any = true;
        for &byte in &buffer[..count.min(64)] {
            let foreground = FOREGROUND.load(Ordering::Relaxed);
            if byte == CTRL_C && foreground != 0 {
                console::write_bytes(b"^C\n");
                let _ = signal::send(foreground, signal::SIGINT);
            } else {
                // What does not fit is lost, as on any terminal.
                let _ = TYPED.with(|typed| typed.push_back(byte));
            }
        }
    }
    if any {
        scheduler::wake(scheduler::CONSOLE);
    }
}

/// Gives the console to a process, or (0) back to the shell.
pub fn set_foreground(pid: u32) {
    FOREGROUND.store(pid, Ordering::Relaxed);
    LINES.with(|lines| {
        lines.ready.clear();
        lines.edited.clear();
        lines.end = false;
    });
}

/// Whether a byte waits.
pub fn has_input() -> bool {
    TYPED.with(|typed| !typed.is_empty())
}

fn next_byte(interruptible: bool) -> Option<u8> {
    console::flush();
    let _masked = Masked::new();
    loop {
        if let Some(byte) = TYPED.with(Deque::pop_front) {
            return Some(byte);
        }
        if interruptible && signal::is_pending() {
            return None;
        }
        let polling = POLLING.load(Ordering::Relaxed);
        scheduler::sleep(scheduler::CONSOLE, if polling { time::now() + POLL_NS } else { 0 });
        if polling {
            receive();
        }
    }
}

/// Waits for the next byte.
pub fn read_byte() -> u8 {
    loop {
        if let Some(byte) = next_byte(false) {
            return byte;
        }
    }
}

/// Reads from the terminal as a process does: up to a line. 0: end of input (Ctrl-D).
pub fn read_line(buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        let done = LINES.with(|lines| {
            if !lines.ready.is_empty() {
                let line = lines.ready.iter().position(|byte| *byte == b'\n');
                let length = line.map_or(lines.ready.len(), |at| at + 1).min(buffer.len());
                buffer[..length].copy_from_slice(&lines.ready[..length]);
                lines.ready.drain(..length);
                return Some(length);
            }
            core::mem::take(&mut lines.end).then_some(0)
        });
        if let Some(length) = done {
            return Ok(length);
        }
        let byte = next_byte(true).ok_or(EINTR)?;
        edit(byte);
        console::flush();
    }
}

fn edit(byte: u8) {
    LINES.with(|lines| match byte {
        b'\r' | b'\n' => {
            console::write_bytes(b"\n");
            lines.edited.push(b'\n');
            let line = core::mem::take(&mut lines.edited);
            lines.ready.extend_from_slice(&line);
        }
        8 | 127 => {
            if lines.edited.pop().is_some() {
                console::write_bytes(b"\x08 \x08");
            }
        }
        CTRL_U => {
            for _ in 0..lines.edited.len() {
                console::write_bytes(b"\x08 \x08");
            }
            lines.edited.clear();
        }
        CTRL_D if lines.edited.is_empty() => lines.end = true,
        CTRL_D => {
            let line = core::mem::take(&mut lines.edited);
            lines.ready.extend_from_slice(&line);
        }
        byte if lines.edited.len() < LINE => {
            lines.edited.push(byte);
            console::write_bytes(&[byte]);
        }
        _ => {}
    });
}
