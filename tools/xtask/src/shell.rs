//! A person's part at a machine's console: lines are typed, and what comes is waited for.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::emulator::{Emulator, Watch};
use crate::outcome::{Outcome, Reason};

/// What a guest kernel's shell says when it waits for a line.
pub const PROMPT: &str = "ferrule# ";
/// The key that leaves a domain's console, `Ctrl-]`.
const LEAVE: &[u8] = b"\x1d";
/// Lines that [`end`] shows.
const LAST_LINES: usize = 20;

/// The end of what a machine has said, for who must be told why it failed.
pub fn end(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// A shell, at the machine's console.
pub struct Shell<'a> {
    emulator: Emulator,
    keys: Box<dyn Write + Send>,
    /// How long the machine may take altogether.
    patience: Duration,
    /// Everything that it has said, and how much of that was waited for.
    seen: &'a mut Vec<u8>,
    from: usize,
}

impl<'a> Shell<'a> {
    /// At a machine that may take so long altogether. What it says is added to `seen`.
    pub fn new(mut emulator: Emulator, patience: Duration, seen: &'a mut Vec<u8>) -> Result<Self> {
        let keys = emulator.take_input().context("the machine has no keys")?;
        Ok(Self { emulator, keys, patience, seen, from: 0 })
    }

    /// Waits until it says `text`.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        loop {
            let new = &self.seen[self.from..];
            if let Some(at) = new.windows(text.len()).position(|part| part == text.as_bytes()) {
                self.from += at + text.len();
                return Ok(());
            }
            if let Some(outcome) = self.watch(Duration::from_millis(20))? {
                bail!("{text:?} did not come: {}", outcome.describe());
            }
        }
    }

    /// Takes what it says; how the machine ended, if it did within `pause`.
    fn watch(&mut self, pause: Duration) -> Result<Option<Outcome>> {
        let (seen, patience) = (&mut *self.seen, self.patience);
        self.emulator.watch_for(pause, Some(patience), &mut |bytes| {
            seen.extend_from_slice(bytes);
            Ok(Watch::On)
        })
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        self.press(line.as_bytes())?;
        self.press(b"\r")
    }

    /// Presses keys.
    fn press(&mut self, keys: &[u8]) -> Result<()> {
        self.keys.write_all(keys)?;
        Ok(self.keys.flush()?)
    }

    /// Goes from a domain's console, begun by `xl`, back to domain 0's shell.
    pub fn leave_console(&mut self) -> Result<()> {
        self.press(LEAVE)?;
        self.wait_for(PROMPT)
    }

    /// Types a line and waits until it says `text` after that; what it said between.
    pub fn say(&mut self, line: &str, text: &str) -> Result<String> {
        self.type_line(line)?;
        self.wait_for(line)?;
        let from = self.from;
        self.wait_for(text)?;
        let said = self.seen.get(from..self.from - text.len()).unwrap_or_default();
        Ok(String::from_utf8_lossy(said).replace('\r', ""))
    }

    /// Types the last line: the machine ends.
    pub fn finish(&mut self, line: &str) -> Result<()> {
        self.type_line(line)?;
        loop {
            match self.watch(self.patience)? {
                None => {}
                Some(Outcome::Shutdown(Reason::Poweroff)) => return Ok(()),
                Some(outcome) => bail!("{}", outcome.describe()),
            }
        }
    }
}
