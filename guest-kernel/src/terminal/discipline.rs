//! The line discipline: typed bytes become lines, or stay bytes, with echo.
//!
//! With `ICANON` a byte goes into the line that is being edited; a line feed, or the end of input,
//! makes it readable. Without, it is readable at once. Each line is read by itself: a read gets no more
//! than one. When the settings change from lines to bytes, what was being edited becomes readable.
//!
//! A line is at most [`LINE`] bytes and no more than [`WAITING`] bytes wait to be read: what does not
//! fit is lost, as on any terminal.

use super::termios::{Input, Local, Termios, place};
use crate::signal::{SIGINT, SIGQUIT, SIGTSTP};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Most bytes of a line, its end included.
pub const LINE: usize = 4096;
/// Most bytes that wait to be read.
pub const WAITING: usize = 8192;

/// Where the echo goes.
pub type Echo<'a> = dyn FnMut(&[u8]) + 'a;

/// A terminal's input.
#[derive(Debug)]
pub struct Discipline {
    termios: Termios,
    edited: Vec<u8>,
    ready: VecDeque<u8>,
    /// Lengths of the lines in `ready`, each with its end; of an end of input, without. What is in
    /// `ready` behind them came as bytes.
    lines: VecDeque<usize>,
    quotes_next: bool,
}

impl Default for Discipline {
    fn default() -> Self {
        Self::new()
    }
}

impl Discipline {
    /// Nothing typed yet.
    pub const fn new() -> Self {
        Self {
            termios: Termios::new(),
            edited: Vec::new(),
            ready: VecDeque::new(),
            lines: VecDeque::new(),
            quotes_next: false,
        }
    }

    /// The settings.
    pub fn termios(&self) -> &Termios {
        &self.termios
    }

    /// Changes them.
    pub fn set_termios(&mut self, termios: Termios) {
        if self.termios.is_canonical() && !termios.is_canonical() {
            self.lines.clear();
            self.ready.extend(self.edited.drain(..));
        } else if !self.termios.is_canonical() && termios.is_canonical() && !self.ready.is_empty() {
            self.lines.push_back(self.ready.len());
        }
        self.quotes_next = false;
        self.termios = termios;
    }

    /// Forgets what was typed.
    pub fn flush(&mut self) {
        self.edited.clear();
        self.ready.clear();
        self.lines.clear();
        self.quotes_next = false;
    }

    /// Gives back what was typed and not read, and forgets it.
    pub fn take_all(&mut self) -> impl Iterator<Item = u8> {
        self.lines.clear();
        self.quotes_next = false;
        core::mem::take(&mut self.ready).into_iter().chain(core::mem::take(&mut self.edited))
    }

    /// The signal that a typed byte is, if it is one: looked at before anything else is done with it.
    pub fn signal(&self, byte: u8) -> Option<u32> {
        if !self.termios.local.contains(Local::ISIG) || self.quotes_next {
            return None;
        }
        [(place::INTR, SIGINT), (place::QUIT, SIGQUIT), (place::SUSP, SIGTSTP)]
            .into_iter()
            .find_map(|(place, signal)| self.termios.is(byte, place).then_some(signal))
    }

    /// Shows a byte that is a signal, and forgets what was typed before it if that is to be.
    pub fn interrupt(&mut self, byte: u8, echo: &mut Echo<'_>) {
        if self.signals_flush() {
            self.flush();
        }
        if self.termios.local.contains(Local::ECHO) {
            self.show(byte, echo);
        }
    }

    /// Whether a signal forgets what was typed before it.
    pub fn signals_flush(&self) -> bool {
        !self.termios.local.contains(Local::NOFLSH)
    }

    /// Takes a typed byte that is no signal.
    pub fn input(&mut self, byte: u8, echo: &mut Echo<'_>) {
        let (input, local) = (self.termios.input, self.termios.local);
        let byte = if input.contains(Input::ISTRIP) { byte & 0x7f } else { byte };
        if core::mem::take(&mut self.quotes_next) {
            return self.insert(byte, echo);
        }
        let byte = match byte {
            b'\r' if input.contains(Input::IGNCR) => return,
            b'\r' if input.contains(Input::ICRNL) => b'\n',
            b'\n' if input.contains(Input::INLCR) => b'\r',
            byte => byte,
        };
        if !self.termios.is_canonical() {
            if self.ready.len() < WAITING {
                self.ready.push_back(byte);
                if local.contains(Local::ECHO) {
                    self.show(byte, echo);
                }
            }
            return;
        }
        let extended = local.contains(Local::IEXTEN);
        if byte == b'\n' {
            if local.intersects(Local::ECHO | Local::ECHONL) {
                echo(b"\n");
            }
            self.end_line(Some(byte));
        } else if self.termios.is(byte, place::EOF) {
            self.end_line(None);
        } else if self.termios.is(byte, place::EOL)
            || extended && self.termios.is(byte, place::EOL2)
        {
            if local.contains(Local::ECHO) {
                self.show(byte, echo);
            }
            self.end_line(Some(byte));
        } else if self.termios.is(byte, place::ERASE) {
            self.erase(echo);
        } else if extended && self.termios.is(byte, place::WERASE) {
            while self.edited.last().is_some_and(|byte| is_blank(*byte)) {
                self.erase(echo);
            }
            while self.edited.last().is_some_and(|byte| !is_blank(*byte)) {
                self.erase(echo);
            }
        } else if self.termios.is(byte, place::KILL) {
            self.erase_line(byte, echo);
        } else if extended && self.termios.is(byte, place::LNEXT) {
            self.quotes_next = true;
            if local.contains(Local::ECHO | Local::ECHOCTL) {
                echo(b"^\x08");
            }
        } else {
            self.insert(byte, echo);
        }
    }

    fn insert(&mut self, byte: u8, echo: &mut Echo<'_>) {
        // Room for the line's end stays.
        if self.edited.len() < LINE - 1 {
            self.edited.push(byte);
            if self.termios.local.contains(Local::ECHO) {
                self.show(byte, echo);
            }
        }
    }

    fn end_line(&mut self, end: Option<u8>) {
        if self.ready.len() + self.edited.len() < WAITING && self.lines.len() < WAITING {
            self.edited.extend(end);
            self.lines.push_back(self.edited.len());
            self.ready.extend(self.edited.drain(..));
        } else {
            self.edited.clear();
        }
    }

    fn show(&self, byte: u8, echo: &mut Echo<'_>) {
        match byte {
            b'\n' | b'\t' => echo(&[byte]),
            0..32 | 127 if self.termios.local.contains(Local::ECHOCTL) => echo(&[b'^', byte ^ 64]),
            _ => echo(&[byte]),
        }
    }

    /// Erases a character, with all its bytes.
    fn erase(&mut self, echo: &mut Echo<'_>) {
        let Some(mut byte) = self.edited.pop() else { return };
        while self.termios.input.contains(Input::IUTF8) && byte & 0xc0 == 0x80 {
            let Some(before) = self.edited.pop() else { break };
            byte = before;
        }
        if !self.termios.local.contains(Local::ECHO) {
            return;
        }
        if !self.termios.local.contains(Local::ECHOE) {
            return self.show(self.termios.characters[place::ERASE], echo);
        }
        let is_control = byte < 32 && byte != b'\t' || byte == 127;
        let columns = match (is_control, self.termios.local.contains(Local::ECHOCTL)) {
            (true, true) => 2,
            (true, false) => 0,
            (false, _) => 1,
        };
        (0..columns).for_each(|_| echo(b"\x08 \x08"));
    }

    fn erase_line(&mut self, byte: u8, echo: &mut Echo<'_>) {
        let local = self.termios.local;
        if local.contains(Local::ECHOKE | Local::ECHOE) {
            while !self.edited.is_empty() {
                self.erase(echo);
            }
            return;
        }
        self.edited.clear();
        if local.contains(Local::ECHO) {
            self.show(byte, echo);
            if local.contains(Local::ECHOK) {
                echo(b"\n");
            }
        }
    }

    /// Bytes that a read could get now, of the first line only; None: it would wait, for a line or (as
    /// bytes) for as many as the settings say.
    pub fn readable(&self) -> Option<usize> {
        if self.termios.is_canonical() {
            return self.lines.front().copied();
        }
        let minimum = usize::from(self.termios.characters[place::MIN]);
        let enough = self.ready.len() >= minimum.max(1);
        enough.then_some(self.ready.len())
    }

    /// Whether another line fits.
    pub fn has_room(&self) -> bool {
        self.ready.len() + LINE <= WAITING
    }

    /// Bytes that wait, whether or not a read would be content with them.
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Reads what is there, as [`readable`](Self::readable) counts it; 0 bytes are the end of input.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        let there = match self.lines.front() {
            Some(length) => *length,
            None if self.termios.is_canonical() => 0,
            None => self.ready.len(),
        };
        let count = there.min(into.len());
        for (slot, byte) in into.iter_mut().zip(self.ready.drain(..count)) {
            *slot = byte;
        }
        if let Some(length) = self.lines.front_mut() {
            *length -= count;
            if *length == 0 {
                self.lines.pop_front();
            }
        }
        count
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cfg(test)]
#[path = "discipline_tests.rs"]
mod tests;
