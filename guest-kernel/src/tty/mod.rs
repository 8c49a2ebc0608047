//! The terminal: what was typed, raw for the shell, by the line discipline for processes.
//!
//! Bytes come from the console when its event says so (or on a timer, where the hypervisor has none)
//! and wait in a queue. One process group has the terminal, the *foreground*: the shell's own, which
//! reads bytes as they come, or that of a program it waits for, or one that a program has put there.
//! Bytes that are signals go to that group at once; all others wait until somebody reads, and only then
//! pass the [`Discipline`], under the settings of that moment. So what is typed ahead is the next
//! reader's, whoever that is; and what a program has not read when the shell takes the terminal back
//! is the shell's.
//!
//! [`mod@file`] is the terminal as processes see it.

pub mod file;

use crate::errno::{EINTR, EIO};
use crate::shell::kernel::Errno;
use crate::signal::{Info, SIGCONT, SIGHUP, SIGTTIN};
use crate::sync::Guarded;
use crate::task::{children, scheduler, signal};
use crate::terminal::discipline::Discipline;
use crate::terminal::termios::Termios;
use crate::time;
use core::sync::atomic::{AtomicBool, Ordering};
use heapless::Deque;
use ring1::calls;
use ring1::console;
use ring1::events::{self, Masked};

/// Bytes typed ahead that are kept.
const QUEUE: usize = 4096;
/// How often input is looked for without an event, nanoseconds.
const POLL_NS: u64 = 20_000_000;
/// The shell's task, and so its group and session.
pub const SHELL: u32 = 1;

/// What Ctrl-C types.
pub const CTRL_C: u8 = 3;

static POLLING: AtomicBool = AtomicBool::new(false);

struct Tty {
    typed: Deque<u8, QUEUE>,
    discipline: Discipline,
    /// The foreground.
    group: u32,
    /// The session whose terminal it is; 0: nobody's.
    session: u32,
    /// Rows, columns, and two sizes in pixels.
    size: [u16; 4],
}

static TTY: Guarded<Tty> = Guarded::new(Tty {
    typed: Deque::new(),
    discipline: Discipline::new(),
    group: SHELL,
    session: SHELL,
    size: [24, 80, 0, 0],
});

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

impl Tty {
    /// Takes a byte; the signal that it is to the foreground, if it is one.
    fn receive(&mut self, byte: u8) -> Option<u32> {
        if self.group != SHELL
            && let Some(signal) = self.discipline.signal(byte)
        {
            if self.discipline.signals_flush() {
                self.typed.clear();
            }
            self.discipline.interrupt(byte, &mut console::write_bytes);
            return Some(signal);
        }
        // What does not fit is lost, as on any terminal.
        let _ = self.typed.push_back(byte);
        None
    }

    /// Passes what was typed through the discipline, unless the shell is to read it as it is: a program
    /// in the background may look at the terminal, and takes nothing by that.
    fn pump(&mut self) {
        while self.group != SHELL
            && self.discipline.has_room()
            && let Some(byte) = self.typed.pop_front()
        {
            self.discipline.input(byte, &mut console::write_bytes);
        }
    }

    /// What was typed and not read waits for the next reader; settings are what they were.
    fn take_back(&mut self) {
        let mut typed = Deque::new();
        for byte in self.discipline.take_all().chain(self.typed.iter().copied()) {
            let _ = typed.push_back(byte);
        }
        self.typed = typed;
        self.discipline.set_termios(Termios::new());
    }
}

/// Reads from the domain's console, or from the hypervisor's; how many bytes.
fn read(into: &mut [u8]) -> usize {
    let own = crate::domu::console::read(into);
    own.unwrap_or_else(|| calls::console_read(into).unwrap_or(0))
}

/// Takes what was typed. Called by the event, and before waiting.
pub fn receive() {
    let mut buffer = [0u8; 64];
    let mut any = false;
    while let count @ 1.. = read(&mut buffer) {
        any = true;
        for &byte in &buffer[..count.min(64)] {
            let (signal, group) = TTY.with(|tty| (tty.receive(byte), tty.group));
            if let Some(signal) = signal {
                console::flush();
                // A group that is empty by now hears nothing.
                let _ = signal::send_group(group, Info::kernel(signal));
            }
        }
    }
    if any {
        scheduler::wake(scheduler::CONSOLE);
    }
}

/// Gives the terminal to a group, as the shell does when it waits for a program, or back to the shell.
pub fn set_foreground(group: u32) {
    TTY.with(|tty| {
        tty.group = group;
        tty.session = SHELL;
        if group == SHELL {
            tty.take_back();
        }
    });
}

/// The leader of a session has ended: if the terminal was its, those who have it are told.
pub fn hang_up(session: u32) {
    let group = TTY.with(|tty| {
        let is_ours = tty.session == session && session != SHELL;
        is_ours.then(|| {
            tty.session = 0;
            core::mem::take(&mut tty.group)
        })
    });
    if let Some(group) = group {
        let _ = signal::send_group(group, Info::kernel(SIGHUP));
        let _ = signal::send_group(group, Info::kernel(SIGCONT));
    }
}

/// The foreground, if the terminal is this session's.
pub fn foreground_of(session: u32) -> Option<u32> {
    TTY.with(|tty| (tty.session == session).then_some(tty.group))
}

/// Whether the running process may go on with what only the foreground may do; a process in the
/// background gets `signal`, which stops it by default, and tries again when it continues.
///
/// Where the signal does nothing, reading fails, and all else is allowed.
fn foreground(signal: u32) -> Result<(), Errno> {
    let task = scheduler::current();
    let group = task.group.load(Ordering::Relaxed);
    let session = task.session.load(Ordering::Relaxed);
    let (foreground, owner) = TTY.with(|tty| (tty.group, tty.session));
    if owner == session && foreground == group {
        return Ok(());
    }
    let withstands = task
        .process
        .as_ref()
        .is_some_and(|process| process.signals.with(|signals| signals.withstands(signal)));
    if owner == session && withstands && signal != SIGTTIN {
        return Ok(());
    }
    if owner != session || withstands || children::is_orphaned(group) {
        return Err(EIO);
    }
    signal::send_group(group, Info::kernel(signal))?;
    Err(EINTR)
}

/// Whether a byte waits, for the shell.
pub fn has_input() -> bool {
    TTY.with(|tty| !tty.typed.is_empty())
}

/// Waits for something to be typed, or until `deadline` (0: none). Upcalls masked.
fn wait(deadline: u64) {
    console::flush();
    let polling = POLLING.load(Ordering::Relaxed);
    let soon = time::now() + POLL_NS;
    let until = match deadline {
        _ if !polling => deadline,
        0 => soon,
        deadline => deadline.min(soon),
    };
    scheduler::sleep(scheduler::CONSOLE, until);
    if polling {
        receive();
    }
}

/// Waits for the next byte, for the shell.
pub fn read_byte() -> u8 {
    console::flush();
    let _masked = Masked::new();
    loop {
        if let Some(byte) = TTY.with(|tty| tty.typed.pop_front()) {
            return byte;
        }
        wait(0);
    }
}
