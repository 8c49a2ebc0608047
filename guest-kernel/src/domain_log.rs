//! What all other domains say, in one log, line by line, each line behind whose it is: `(d1) text`.
//!
//! Each console has a log of its own, of bytes, for who sits at it ([`xenbus::console::Log`]). This one is for
//! who wants to know what happened on the machine, in which order, by whom, and also of domains that are
//! gone. A line is added when it has ended. Bytes that a terminal would act on are left out: what one domain
//! prints must not pass for another's.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use pv_abi::types::DomId;

/// Bytes of one line; what is longer becomes several.
const LONGEST: usize = 256;

/// A bounded log of lines.
pub struct DomainLog {
    lines: VecDeque<String>,
    /// Bytes of all lines.
    size: usize,
    capacity: usize,
    /// By domain: the line that has not ended.
    unfinished: BTreeMap<u16, Vec<u8>>,
}

impl DomainLog {
    /// A log of lines that have together `capacity` bytes at most.
    pub const fn new(capacity: usize) -> DomainLog {
        DomainLog { lines: VecDeque::new(), size: 0, capacity, unfinished: BTreeMap::new() }
    }

    /// A domain has printed something.
    pub fn push(&mut self, domain: DomId, bytes: &[u8]) {
        for &byte in bytes {
            let line = self.unfinished.entry(domain.raw()).or_default();
            if !byte.is_ascii_control() || byte == b'\t' {
                line.push(byte);
            }
            if byte == b'\n' || line.len() == LONGEST {
                let line = core::mem::take(line);
                self.add(domain, &line);
            }
        }
    }

    /// A domain prints nothing any more: what it said last is a line.
    pub fn end(&mut self, domain: DomId) {
        if let Some(line) = self.unfinished.remove(&domain.raw()).filter(|line| !line.is_empty()) {
            self.add(domain, &line);
        }
    }

    fn add(&mut self, domain: DomId, line: &[u8]) {
        let mut text = String::new();
        // Writing to memory does not fail.
        let _ = writeln!(text, "({domain}) {}", String::from_utf8_lossy(line));
        self.note(text);
    }

    /// Adds a line of somebody who is no domain, its end included.
    pub fn note(&mut self, line: String) {
        self.size += line.len();
        self.lines.push_back(line);
        while self.size > self.capacity
            && let Some(oldest) = self.lines.pop_front()
        {
            self.size -= oldest.len();
        }
    }

    /// All lines that are kept, the oldest first.
    pub fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;

    const D1: DomId = DomId::new(1);
    const D2: DomId = DomId::new(2);

    #[test]
    fn lines_are_added_when_they_end() {
        let mut log = DomainLog::new(1000);
        log.push(D1, b"one ");
        log.push(D2, b"two\r\nthree\n\n");
        log.push(D1, b"line\nrest");
        log.note("toolstack: d2 is gone\n".to_owned());
        log.end(D1);
        log.end(D2);
        log.end(D1);
        let expected =
            "(d2) two\n(d2) three\n(d2) \n(d1) one line\ntoolstack: d2 is gone\n(d1) rest\n";
        assert_eq!(log.text(), expected);
    }

    #[test]
    fn nobody_passes_for_another() {
        let mut log = DomainLog::new(1000);
        log.push(D1, b"\x1b[2K\r(d2) a\xff\tb\x7f\x08\n");
        assert_eq!(log.text(), "(d1) [2K(d2) a\u{fffd}\tb\n");
    }

    #[test]
    fn long_lines_are_several_and_old_ones_go() {
        let mut log = DomainLog::new(600);
        log.push(D1, &[b'x'; LONGEST + 1]);
        log.push(D1, b"\n");
        let lines: Vec<usize> = log.text().lines().map(str::len).collect();
        assert_eq!(lines, [LONGEST + 5, 6]);
        (0..1000).for_each(|_| log.push(D2, b"0123456789\n"));
        assert!(log.text().len() <= 600 && log.text().starts_with("(d2) 0123"));
        // Without an end there is no end either.
        (0..1000).for_each(|_| log.push(D1, b"0123456789"));
        assert!(log.size <= 600 && log.unfinished[&1].len() < LONGEST);
    }
}
