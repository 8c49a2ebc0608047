//! The terminal as a file.

use super::{TTY, Tty, foreground, wait};
use crate::errno::{EAGAIN, EINTR, EINVAL, ENOTTY, EPERM};
use crate::fs::file::{CHARACTERS, File, Flags, Ready, Result, Status, device};
use crate::signal::{Info, SIGTTIN, SIGTTOU, SIGWINCH};
use crate::task::{scheduler, signal};
use crate::terminal::termios::{self, Local, Termios, place};
use crate::time;
use core::sync::atomic::Ordering;
use ring1::console;
use ring1::events::Masked;
use ring1::uaccess::{copy_from_user, read_user, write_user};

/// Nanoseconds of the unit of `VTIME`.
const TENTH_NS: u64 = 100_000_000;

/// The terminal.
pub struct Terminal;

impl File for Terminal {
    fn status(&self) -> Result<Status> {
        Ok(Status { special: device(5, 1), ..Status::anonymous(CHARACTERS | 0o666) })
    }

    fn read(&self, _: u64, into: &mut [u8], flags: Flags) -> Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let _masked = Masked::new();
        let mut clock = Clock { at: time::now(), waiting: 0 };
        loop {
            foreground(SIGTTIN)?;
            let until = match TTY.with(|tty| tty.read(into, &mut clock)) {
                Step::Done(count) => {
                    console::flush();
                    return Ok(count);
                }
                Step::Wait(until) => until,
            };
            if flags.is_nonblocking() {
                return Err(EAGAIN);
            }
            if signal::is_pending() {
                return Err(EINTR);
            }
            wait(until);
        }
    }

    fn write(&self, _: u64, from: &[u8], _: Flags) -> Result<usize> {
        if TTY.with(|tty| tty.discipline.termios().local.contains(Local::TOSTOP)) {
            foreground(SIGTTOU)?;
        }
        console::write_bytes(from);
        console::flush();
        Ok(from.len())
    }

    fn ready(&self) -> Ready {
        let readable = TTY.with(|tty| {
            let session = scheduler::current().session.load(Ordering::Relaxed);
            // Nobody's reading passes what others are to read through the discipline.
            if tty.session == session {
                tty.pump();
            }
            tty.discipline.readable().is_some()
        });
        console::flush();
        if readable { Ready::READ | Ready::WRITE } else { Ready::WRITE }
    }

    fn channel(&self) -> u32 {
        scheduler::CONSOLE
    }

    fn ioctl(&self, request: u32, argument: u32) -> Result<u32> {
        match request {
            TCGETS => {
                let bytes = TTY.with(|tty| tty.discipline.termios().bytes());
                write_user(argument, &bytes)?;
            }
            TCSETS..=TCSETSF => {
                foreground(SIGTTOU)?;
                let mut bytes = [0; termios::BYTES];
                copy_from_user(&mut bytes, argument)?;
                TTY.with(|tty| {
                    if request == TCSETSF {
                        tty.flush();
                    }
                    tty.discipline.set_termios(Termios::from_bytes(&bytes));
                });
            }
            // Output does not wait anywhere, and nothing stops it.
            TCSBRK | TCSBRKP | TCXONC => {}
            TCFLSH => match argument {
                0 | 2 => TTY.with(Tty::flush),
                1 => {}
                _ => return Err(EINVAL),
            },
            TIOCSCTTY => take(argument)?,
            TIOCGPGRP => {
                let group = own().map(|tty| tty.0)?;
                write_user(argument, &group)?;
            }
            TIOCSPGRP => {
                own()?;
                foreground(SIGTTOU)?;
                give(read_user(argument)?)?;
            }
            TIOCGSID => {
                let session = own().map(|tty| tty.1)?;
                write_user(argument, &session)?;
            }
            TIOCOUTQ => write_user(argument, &0u32)?,
            TIOCGWINSZ => write_user(argument, &TTY.with(|tty| tty.size))?,
            TIOCSWINSZ => {
                let size = read_user(argument)?;
                let group = TTY.with(|tty| {
                    let before = core::mem::replace(&mut tty.size, size);
                    (before != size).then_some(tty.group)
                });
                if let Some(group) = group {
                    let _ = signal::send_group(group, Info::kernel(SIGWINCH));
                }
            }
            FIONREAD => {
                let waiting = TTY.with(|tty| {
                    tty.pump();
                    tty.discipline.readable().unwrap_or(0) as u32
                });
                write_user(argument, &waiting)?;
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

const TCGETS: u32 = 0x5401;
const TCSETS: u32 = 0x5402;
const TCSETSF: u32 = 0x5404;
const TCSBRK: u32 = 0x5409;
const TCXONC: u32 = 0x540a;
const TCFLSH: u32 = 0x540b;
const TIOCSCTTY: u32 = 0x540e;
const TIOCGPGRP: u32 = 0x540f;
const TIOCSPGRP: u32 = 0x5410;
const TIOCOUTQ: u32 = 0x5411;
const TIOCGWINSZ: u32 = 0x5413;
const TIOCSWINSZ: u32 = 0x5414;
const FIONREAD: u32 = 0x541b;
const TCSBRKP: u32 = 0x5425;
const TIOCGSID: u32 = 0x5429;

/// Group and session of the terminal, if it is that of the running process.
fn own() -> Result<(u32, u32)> {
    let session = scheduler::current().session.load(Ordering::Relaxed);
    let found = TTY.with(|tty| (tty.group, tty.session));
    if found.1 == session { Ok(found) } else { Err(ENOTTY) }
}

/// Gives the terminal to a group of the running process's session.
fn give(group: u32) -> Result {
    let session = scheduler::current().session.load(Ordering::Relaxed);
    let mut is_there = false;
    scheduler::for_each(|task| {
        is_there |= task.group.load(Ordering::Relaxed) == group
            && task.session.load(Ordering::Relaxed) == session;
    });
    if !is_there {
        return Err(EPERM);
    }
    TTY.with(|tty| tty.group = group);
    Ok(())
}

/// Makes it the terminal of the running process, a session's leader. One that has an owner is taken
/// only with `steal` 1.
fn take(steal: u32) -> Result {
    let task = scheduler::current();
    let session = task.session.load(Ordering::Relaxed);
    if session != task.pid {
        return Err(EPERM);
    }
    TTY.with(|tty| {
        if tty.session != session && tty.session != 0 && steal != 1 {
            return Err(EPERM);
        }
        tty.session = session;
        tty.group = task.group.load(Ordering::Relaxed);
        Ok(())
    })
}

/// What a read knows of time: when it began or the last byte came, and how many waited then.
struct Clock {
    at: u64,
    waiting: usize,
}

/// What a read does next.
enum Step {
    /// It has this many bytes.
    Done(usize),
    /// It waits, until this time if it is not 0.
    Wait(u64),
}

impl Tty {
    fn flush(&mut self) {
        self.typed.clear();
        self.discipline.flush();
    }

    fn read(&mut self, into: &mut [u8], clock: &mut Clock) -> Step {
        self.pump();
        let termios = *self.discipline.termios();
        if self.discipline.readable().is_some() {
            return Step::Done(self.discipline.read(into));
        }
        if termios.is_canonical() {
            return Step::Wait(0);
        }
        // termios(3), "canonical and noncanonical mode": MIN and TIME.
        let minimum = usize::from(termios.characters[place::MIN]);
        let patience = u64::from(termios.characters[place::TIME]) * TENTH_NS;
        let (waiting, now) = (self.discipline.waiting(), time::now());
        if waiting != clock.waiting {
            *clock = Clock { at: now, waiting };
        }
        let runs = patience > 0 && (minimum == 0 || waiting > 0);
        let is_over = runs && now >= clock.at + patience;
        if is_over || waiting >= minimum.min(into.len()) && (waiting > 0 || patience == 0) {
            return Step::Done(self.discipline.read(into));
        }
        Step::Wait(if runs { clock.at + patience } else { 0 })
    }
}
