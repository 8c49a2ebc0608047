//! How far the carrying of files is, on a terminal, if it takes a while.

use std::io::{self, IsTerminal, Write};

/// Less than this is carried before anybody could read the line.
const WORTH_SHOWING: u64 = 4 << 20;

/// A line that is written over and over.
pub struct Progress {
    total: u64,
    shown_percent: Option<u64>,
}

impl Progress {
    /// Of so many bytes.
    pub fn of(total: u64) -> Self {
        Self { total, shown_percent: None }
    }

    /// So many have been sent.
    pub fn sent(&mut self, bytes: u64) {
        if self.total < WORTH_SHOWING || !io::stderr().is_terminal() {
            return;
        }
        let percent = bytes.saturating_mul(100) / self.total;
        if self.shown_percent == Some(percent) {
            return;
        }
        self.shown_percent = Some(percent);
        let mib = |bytes: u64| format!("{}.{}", bytes >> 20, (bytes >> 10 & 1023) * 10 / 1024);
        let line =
            format!("\rcarrying files: {} of {} MiB, {percent} %", mib(bytes), mib(self.total));
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if self.shown_percent.take().is_some() {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}
