//! From the bytes of a serial terminal to keys.
//!
//! A terminal sends a letter as itself, Ctrl-A as 1, and an arrow as an escape sequence of several
//! bytes (VT100: `ESC [ A`), which may arrive in pieces, be cut off, or be one that we do not know.
//! [`KeyDecoder`] is a state machine of one byte in, at most one key out. Its promises:
//!
//! - no input makes it wait for ever: a control byte ends a broken sequence and counts itself, and
//!   a sequence longer than 16 bytes is dropped;
//! - what it does not know yields nothing (never stray letters such as `[A` on the line);
//! - bytes of 0x80 and above (UTF-8 of other letters) yield nothing: the line is ASCII, so that a
//!   byte is a character is a column;
//! - `\r`, `\n` and `\r\n` are each one [`Key::Enter`].

/// Bytes after which an unfinished escape sequence is given up.
const SEQUENCE_MAX: u8 = 16;

/// What the person pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A printable ASCII character, 0x20 to 0x7e.
    Char(u8),
    /// Return.
    Enter,
    /// Completion.
    Tab,
    /// Deletes the character before the cursor (0x7f or Ctrl-H).
    Backspace,
    /// Deletes the character under the cursor.
    Delete,
    /// One character to the left (or Ctrl-B).
    Left,
    /// One character to the right (or Ctrl-F).
    Right,
    /// One word to the left (Alt-B, Ctrl-Left).
    WordLeft,
    /// One word to the right (Alt-F, Ctrl-Right).
    WordRight,
    /// To the start of the line (or Ctrl-A).
    Home,
    /// To the end of the line (or Ctrl-E).
    End,
    /// The older line of the history (or Ctrl-P).
    Up,
    /// The newer line of the history (or Ctrl-N).
    Down,
    /// Deletes to the end of the line (Ctrl-K).
    KillToEnd,
    /// Deletes to the start of the line (Ctrl-U).
    KillToStart,
    /// Deletes the word before the cursor (Ctrl-W).
    KillWord,
    /// Clears the screen (Ctrl-L).
    ClearScreen,
    /// Gives the line up (Ctrl-C).
    Interrupt,
    /// End of input on an empty line, else [`Key::Delete`] (Ctrl-D).
    EndOfInput,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Ground,
    /// After ESC.
    Escape,
    /// After `ESC O`: one more byte.
    SingleShift,
    /// After `ESC [`.
    Sequence(Sequence),
}

/// The part of `ESC [ 1 ; 5 C` between the bracket and the last byte.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Sequence {
    /// The first two numbers; 0 where there is none.
    numbers: [u8; 2],
    /// How many `;` there were.
    field: u8,
    /// How many bytes there were.
    length: u8,
}

/// Turns bytes into keys, one at a time.
#[derive(Clone, Debug)]
pub struct KeyDecoder {
    state: State,
    after_return: bool,
}

impl Default for KeyDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyDecoder {
    /// A decoder at rest.
    pub const fn new() -> Self {
        Self { state: State::Ground, after_return: false }
    }

    /// Takes one byte; the key that it completes, if any.
    pub fn push(&mut self, byte: u8) -> Option<Key> {
        let after_return = core::mem::replace(&mut self.after_return, byte == b'\r');
        if byte < 0x20 || byte == 0x7f {
            self.state = State::Ground;
            return if byte == b'\n' && after_return { None } else { self.control(byte) };
        }
        match self.state {
            State::Ground => (byte < 0x7f).then_some(Key::Char(byte)),
            State::Escape => self.escape(byte),
            State::SingleShift => {
                self.state = State::Ground;
                Sequence::default().end(byte)
            }
            State::Sequence(sequence) => self.sequence(byte, sequence),
        }
    }

    fn control(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Interrupt,
            0x04 => Key::EndOfInput,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x08 | 0x7f => Key::Backspace,
            b'\t' => Key::Tab,
            b'\n' | b'\r' => Key::Enter,
            0x0b => Key::KillToEnd,
            0x0c => Key::ClearScreen,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::KillToStart,
            0x17 => Key::KillWord,
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            _ => return None,
        })
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        self.state = match byte {
            b'[' => State::Sequence(Sequence::default()),
            b'O' => State::SingleShift,
            _ => State::Ground,
        };
        match byte {
            b'b' => Some(Key::WordLeft),
            b'f' => Some(Key::WordRight),
            _ => None,
        }
    }

    fn sequence(&mut self, byte: u8, mut sequence: Sequence) -> Option<Key> {
        self.state = State::Ground;
        // ECMA-48: parameters 0x30-0x3f, intermediates 0x20-0x2f, final 0x40-0x7e.
        match byte {
            0x40..=0x7e => return sequence.end(byte),
            b';' => sequence.field = sequence.field.saturating_add(1),
            b'0'..=b'9' => {
                if let Some(number) = sequence.numbers.get_mut(usize::from(sequence.field)) {
                    *number = number.saturating_mul(10).saturating_add(byte - b'0');
                }
            }
            0x20..=0x3f => {}
            _ => return None,
        }
        sequence.length += 1;
        if sequence.length < SEQUENCE_MAX {
            self.state = State::Sequence(sequence);
        }
        None
    }
}

impl Sequence {
    /// The key that the sequence means with this last byte.
    fn end(self, byte: u8) -> Option<Key> {
        // The second number says which of Shift, Alt and Ctrl are held, plus 1.
        let modified = self.numbers[1] >= 2;
        Some(match byte {
            b'A' => Key::Up,
            b'B' => Key::Down,
            b'C' if modified => Key::WordRight,
            b'C' => Key::Right,
            b'D' if modified => Key::WordLeft,
            b'D' => Key::Left,
            b'F' => Key::End,
            b'H' => Key::Home,
            b'~' => match self.numbers[0] {
                1 | 7 => Key::Home,
                3 => Key::Delete,
                4 | 8 => Key::End,
                _ => return None,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = KeyDecoder::new();
        bytes.iter().filter_map(|&byte| decoder.push(byte)).collect()
    }

    #[test]
    fn letters_and_control_keys() {
        assert_eq!(
            keys(b"a~\x01\x7f\x08"),
            [Key::Char(b'a'), Key::Char(b'~'), Key::Home, Key::Backspace, Key::Backspace]
        );
    }

    #[test]
    fn each_line_end_is_one_enter() {
        assert_eq!(keys(b"\r"), [Key::Enter]);
        assert_eq!(keys(b"\n"), [Key::Enter]);
        assert_eq!(keys(b"\r\n"), [Key::Enter]);
        assert_eq!(keys(b"\n\r\n\n"), [Key::Enter, Key::Enter, Key::Enter]);
    }

    #[test]
    fn arrows_in_both_modes() {
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[C\x1b[D"), [Key::Up, Key::Down, Key::Right, Key::Left]);
    }

    #[test]
    fn numbered_keys_and_modifiers() {
        assert_eq!(
            keys(b"\x1b[1~\x1b[3~\x1b[4~\x1b[7~\x1b[8~"),
            [Key::Home, Key::Delete, Key::End, Key::Home, Key::End]
        );
        assert_eq!(
            keys(b"\x1b[1;5C\x1b[1;5D\x1bb\x1bf"),
            [Key::WordRight, Key::WordLeft, Key::WordLeft, Key::WordRight]
        );
        // Page up and F5 are known to nobody here.
        assert_eq!(keys(b"\x1b[5~\x1b[15~"), []);
    }

    #[test]
    fn cut_off_sequences_do_not_swallow_what_follows() {
        assert_eq!(keys(b"\x1b\rx"), [Key::Enter, Key::Char(b'x')]);
        assert_eq!(keys(b"\x1b[\x03x"), [Key::Interrupt, Key::Char(b'x')]);
        assert_eq!(keys(b"\x1b[1;\x1b[Ax"), [Key::Up, Key::Char(b'x')]);
        let mut endless = b"\x1b[".to_vec();
        endless.extend([b'9'; 40]);
        let tail = keys(&endless);
        assert!(tail.len() < 40 && tail.iter().all(|&key| key == Key::Char(b'9')), "{tail:?}");
    }

    #[test]
    fn other_scripts_and_stray_bytes_yield_nothing() {
        assert_eq!(keys("äö€".as_bytes()), []);
        assert_eq!(keys(b"\x00\x1c\x1d\x1e\x1f\x80\xff"), []);
    }
}
