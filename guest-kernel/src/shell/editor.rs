//! The line editor: one line of ASCII, a cursor, a history, completion.
//!
//! It reads keys ([`super::keys`]) and keeps the terminal's line equal to its own, with a handful
//! of VT100 controls (`\r`, erase to end of line, cursor right, clear screen), so that any serial
//! terminal will do. Lines longer than the terminal scroll sideways instead of wrapping: nobody
//! needs to know then how the terminal wraps.
//!
//! Invariants, held after every key (the tests check them with random keys):
//!
//! - E1: `cursor <= line.len() <= LINE_MAX`, and the line holds only 0x20 to 0x7e;
//! - E2: what the terminal shows on its current line is the prompt and the visible part of the
//!   line, and nothing else; the terminal's cursor stands at the editor's.
//!
//! While more input waits already (a paste), only the line is kept up to date; it is redrawn when
//! the input pauses or the line ends.

use core::fmt::Write;

use heapless::{String, Vec};

use super::complete::{Complete, complete_word};
use super::history::History;
use super::kernel::Terminal;
use super::keys::{Key, KeyDecoder};

/// The longest line, in characters.
pub const LINE_MAX: usize = 512;

/// Columns assumed of the terminal.
const WIDTH: usize = 80;

/// Columns that stay free at the right: two for `^C`, and the last one, because a terminal that
/// writes there may wrap.
const MARGIN: usize = 3;

/// Room for one redrawn line with its control sequences.
const FRAME_MAX: usize = WIDTH + 32;

/// How a line ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By Return: the line is in [`Editor::line`].
    Entered,
    /// By Ctrl-C: forget it.
    Interrupted,
    /// By Ctrl-D on an empty line.
    EndOfInput,
    /// The terminal has no more input and never will.
    Closed,
}

/// What a key leads to.
enum Step {
    /// Go on; the screen shows the state already.
    Shown,
    /// Go on; the line must be redrawn.
    Redraw,
    /// Go on; nothing changed and the person should notice.
    Refused,
    /// The line is complete.
    End(Ended),
}

/// A line editor with its history.
#[derive(Debug, Default)]
pub struct Editor {
    line: Vec<u8, LINE_MAX>,
    cursor: usize,
    decoder: KeyDecoder,
    history: History,
    /// Which line of the history is shown; `None` for the new one.
    age: Option<usize>,
    /// The new line, while an old one is shown.
    draft: Vec<u8, LINE_MAX>,
    /// The key before was Tab, and could not complete.
    listing_next: bool,
    /// The screen does not show the state yet.
    stale: bool,
}

impl Editor {
    /// An editor with an empty history.
    pub const fn new() -> Self {
        Self {
            line: Vec::new(),
            cursor: 0,
            decoder: KeyDecoder::new(),
            history: History::new(),
            age: None,
            draft: Vec::new(),
            listing_next: false,
            stale: false,
        }
    }

    /// The line as it is now.
    pub fn line(&self) -> &str {
        // E1: always ASCII.
        core::str::from_utf8(&self.line).unwrap_or("")
    }

    /// Shows `prompt` (ASCII, shorter than the terminal is wide) and reads one line.
    pub fn read_line(
        &mut self,
        prompt: &str,
        terminal: &mut dyn Terminal,
        completer: &mut dyn Complete,
    ) -> Ended {
        self.line.clear();
        self.cursor = 0;
        self.age = None;
        self.listing_next = false;
        self.draw(prompt, terminal);
        loop {
            if self.stale && !terminal.has_input() {
                self.draw(prompt, terminal);
            }
            let Some(byte) = terminal.read_byte() else { return Ended::Closed };
            let Some(key) = self.decoder.push(byte) else { continue };
            if let Some(ended) = self.press(key, prompt, terminal, completer) {
                return ended;
            }
        }
    }

    /// Handles one key; how the line ended, if it did.
    fn press(
        &mut self,
        key: Key,
        prompt: &str,
        terminal: &mut dyn Terminal,
        completer: &mut dyn Complete,
    ) -> Option<Ended> {
        let step = match key {
            Key::Tab => self.complete(terminal, completer),
            Key::ClearScreen => {
                let _ = terminal.write_str("\x1b[H\x1b[2J");
                Step::Redraw
            }
            Key::Char(byte) => self.insert(byte, prompt, terminal),
            _ => self.edit(key),
        };
        if key != Key::Tab {
            self.listing_next = false;
        }
        match step {
            Step::Shown => {}
            Step::Redraw => self.stale = true,
            Step::Refused => {
                if !terminal.has_input() {
                    let _ = terminal.write_str("\x07");
                }
            }
            Step::End(ended) => {
                if ended == Ended::Entered {
                    self.history.push(&self.line);
                    // Leave the whole line on the screen, the cursor behind it.
                    self.stale |= self.cursor != self.line.len();
                    self.cursor = self.line.len();
                }
                if self.stale {
                    self.draw(prompt, terminal);
                }
                let _ = terminal.write_str(match ended {
                    Ended::Interrupted => "^C\n",
                    _ => "\n",
                });
                return Some(ended);
            }
        }
        None
    }

    /// The keys that touch nothing but the state.
    fn edit(&mut self, key: Key) -> Step {
        let (cursor, length) = (self.cursor, self.line.len());
        match key {
            Key::Enter => return Step::End(Ended::Entered),
            Key::Interrupt => return Step::End(Ended::Interrupted),
            Key::EndOfInput if length == 0 => return Step::End(Ended::EndOfInput),
            Key::Left if cursor > 0 => self.cursor -= 1,
            Key::Right if cursor < length => self.cursor += 1,
            Key::WordLeft => self.cursor = self.word_start(),
            Key::WordRight => self.cursor = self.word_end(),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = length,
            Key::Backspace if cursor > 0 => self.delete(cursor - 1, cursor),
            Key::Delete | Key::EndOfInput if cursor < length => self.delete(cursor, cursor + 1),
            Key::KillToEnd => self.delete(cursor, length),
            Key::KillToStart => self.delete(0, cursor),
            Key::KillWord => self.delete(self.word_start(), cursor),
            Key::Up => return self.older(),
            Key::Down => return self.newer(),
            _ => return Step::Refused,
        }
        Step::Redraw
    }

    fn insert(&mut self, byte: u8, prompt: &str, terminal: &mut dyn Terminal) -> Step {
        if self.line.insert(self.cursor, byte).is_err() {
            return Step::Refused;
        }
        self.cursor += 1;
        let at_end = self.cursor == self.line.len();
        if at_end && !self.stale && self.line.len() <= room(prompt) {
            // The common case, a letter typed at the end, costs one byte of output.
            let _ = terminal.write_char(char::from(byte));
            return Step::Shown;
        }
        Step::Redraw
    }

    fn delete(&mut self, start: usize, end: usize) {
        self.line.copy_within(end.., start);
        self.line.truncate(self.line.len() - (end - start));
        self.cursor = start;
    }

    /// Start of the word before the cursor.
    fn word_start(&self) -> usize {
        let before = &self.line[..self.cursor];
        let word = before.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
        before[..word].iter().rposition(|&byte| byte == b' ').map_or(0, |space| space + 1)
    }

    /// End of the word after the cursor.
    fn word_end(&self) -> usize {
        let after = &self.line[self.cursor..];
        let word = after.iter().position(|&byte| byte != b' ').unwrap_or(after.len());
        let length = after[word..].iter().position(|&byte| byte == b' ');
        length.map_or(self.line.len(), |length| self.cursor + word + length)
    }

    fn older(&mut self) -> Step {
        let age = self.age.map_or(0, |age| age + 1);
        let Some(old) = self.history.get(age) else { return Step::Refused };
        if self.age.is_none() {
            self.draft.clone_from(&self.line);
        }
        self.line.clear();
        // E1: the history holds only lines that were entered here.
        let _ = self.line.extend_from_slice(old);
        self.age = Some(age);
        self.cursor = self.line.len();
        Step::Redraw
    }

    fn newer(&mut self) -> Step {
        let Some(age) = self.age else { return Step::Refused };
        self.age = age.checked_sub(1);
        match self.age.and_then(|age| self.history.get(age)) {
            Some(line) => {
                self.line.clear();
                let _ = self.line.extend_from_slice(line);
            }
            None => self.line.clone_from(&self.draft),
        }
        self.cursor = self.line.len();
        Step::Redraw
    }

    /// Tab: extends the word as far as all candidates agree; a second Tab lists them.
    fn complete(&mut self, terminal: &mut dyn Terminal, completer: &mut dyn Complete) -> Step {
        let before = core::str::from_utf8(&self.line[..self.cursor]).unwrap_or("");
        let completion = complete_word(before, completer);
        if completion.insert.is_empty() {
            if !self.listing_next {
                self.listing_next = completion.candidates > 1;
                return Step::Refused;
            }
            let _ = terminal.write_str("\n");
            completion.list(before, completer, terminal, WIDTH);
            return Step::Redraw;
        }
        self.listing_next = false;
        for byte in completion.insert.bytes() {
            if self.line.insert(self.cursor, byte).is_err() {
                return Step::Refused;
            }
            self.cursor += 1;
        }
        Step::Redraw
    }

    /// The first visible character: as far left as keeps the cursor on the screen.
    fn first_visible(&self, room: usize) -> usize {
        self.cursor.saturating_sub(room)
    }

    /// Makes the terminal's line show the state (E2).
    fn draw(&mut self, prompt: &str, terminal: &mut dyn Terminal) {
        let room = room(prompt);
        let first = self.first_visible(room);
        let last = self.line.len().min(first + room);
        let visible = core::str::from_utf8(&self.line[first..last]).unwrap_or("");
        let mut frame: String<FRAME_MAX> = String::new();
        // Cannot overflow: at most WIDTH characters and some 16 of controls.
        let _ = write!(frame, "\r{prompt}{visible}\x1b[K");
        let behind = last - self.cursor;
        if behind > 0 {
            let _ = write!(frame, "\r\x1b[{}C", prompt.len() + self.cursor - first);
        }
        let _ = terminal.write_str(&frame);
        self.stale = false;
    }
}

/// How many characters of the line can be seen behind the prompt.
fn room(prompt: &str) -> usize {
    WIDTH.saturating_sub(prompt.len() + MARGIN)
}

#[cfg(test)]
#[path = "editor_tests.rs"]
mod tests;
