//! Who typed a verb: where its output goes, where keys come from, which files it can name.
//!
//! In domain 0 this is the shell's terminal with the files of the initial ramdisk, or a channel to
//! the host with the host's terminal and the files that came along. Nothing here waits: verbs wait
//! in one place, [`Toolstack::wait`].
//!
//! [`Toolstack::wait`]: crate::toolstack::Toolstack::wait

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Where output is meant to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output: what was asked for.
    Out,
    /// Standard error: what is said about it.
    Err,
}

/// How keys reach the verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputMode {
    /// Line by line, with echo and Ctrl-C, as before and after a verb.
    Line,
    /// Key by key, without echo: the verb sees Ctrl-C as a byte.
    Raw,
    /// The same, and output goes to a screen of its own without a cursor, until the mode ends: what
    /// was on the terminal before is there again then, however that comes about.
    Screen,
}

/// What has a terminal show another screen, without a cursor.
pub const ENTER_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
/// And the one before.
pub const LEAVE_SCREEN: &str = "\x1b[?25h\x1b[?1049l";

/// The window of a terminal, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// What has been typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing now and never again: the end of a file.
    End,
    /// Nobody is there any more: there is no point in going on.
    Gone,
}

/// Who typed the verb.
pub trait Terminal {
    /// Shows bytes. A terminal that is gone swallows them, and says so by [`Input::Gone`].
    fn write(&mut self, stream: Stream, bytes: &[u8]);

    /// Takes what has been typed, as much as `into` (not empty) has room for; does not wait.
    fn read(&mut self, into: &mut [u8]) -> Input;

    /// Whether [`Self::read`] would return anything but [`Input::Nothing`].
    fn has_input(&mut self) -> bool;

    /// Says how keys are wanted from now on. Whoever calls the verb resets it afterwards.
    fn set_input_mode(&mut self, mode: InputMode);

    /// The window; `None` when output goes into a file or a pipe.
    fn size(&self) -> Option<Size>;
}

/// A file's contents, which need not lie in one piece of memory.
pub trait Blob: Send {
    /// Its length, bytes.
    fn len(&self) -> u64;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes from `offset` on and returns how many: fewer than asked for at the end only,
    /// where `offset` may lie beyond it.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> usize;

    /// All of it, where it lies in one piece of memory: who needs that saves a copy.
    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

impl Blob for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn as_slice(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> usize {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let count = rest.map_or(0, <[u8]>::len).min(into.len());
        if let (Some(from), Some(into)) =
            (rest.and_then(|rest| rest.get(..count)), into.get_mut(..count))
        {
            into.copy_from_slice(from);
        }
        count
    }
}

/// The files that a verb can name.
pub trait Files {
    /// Opens a file, to keep: its contents do not change any more.
    fn open(&mut self, name: &str) -> Result<Box<dyn Blob>, FileError>;
}

/// Why a file cannot be had, in words that follow its name: "No such file or directory".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileError(pub String);

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Formats to one stream of a terminal.
pub struct Writer<'a> {
    terminal: &'a mut dyn Terminal,
    stream: Stream,
}

impl<'a> Writer<'a> {
    /// To `stream` of `terminal`.
    pub fn new(terminal: &'a mut dyn Terminal, stream: Stream) -> Self {
        Self { terminal, stream }
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.terminal.write(self.stream, text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn bytes_are_a_blob() {
        let blob = vec![1, 2, 3];
        let mut into = [0; 2];
        assert_eq!((Blob::len(&blob), Blob::is_empty(&blob)), (3, false));
        assert_eq!((blob.read_at(0, &mut into), into), (2, [1, 2]));
        assert_eq!((blob.read_at(2, &mut into), into[0]), (1, 3));
        assert_eq!(blob.read_at(3, &mut into), 0);
        assert_eq!(blob.read_at(u64::MAX, &mut into), 0);
    }
}
