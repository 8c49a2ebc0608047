//! The lines that were entered, oldest first, in one buffer of fixed size.
//!
//! Lines lie one behind the other, each ended by `\n` (which no line contains). When a new one does
//! not fit, the oldest go: so many short lines or a few long ones are kept.

use heapless::Vec;

/// Bytes kept in all.
pub const HISTORY_BYTES: usize = 4096;

/// The lines entered so far.
#[derive(Debug, Default)]
pub struct History {
    bytes: Vec<u8, HISTORY_BYTES>,
}

impl History {
    /// No lines yet.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// The line entered `age` lines ago; 0 is the newest.
    pub fn get(&self, age: usize) -> Option<&[u8]> {
        // The last piece of a split is what follows the last `\n`: nothing.
        self.bytes.rsplit(|&byte| byte == b'\n').skip(1).nth(age)
    }

    /// Adds a line, unless it is blank or the same as the newest.
    pub fn push(&mut self, line: &[u8]) {
        let blank = line.iter().all(|byte| byte.is_ascii_whitespace());
        if blank || line.contains(&b'\n') || self.get(0) == Some(line) {
            return;
        }
        let needed = line.len() + 1;
        if needed > HISTORY_BYTES {
            return;
        }
        while self.bytes.len() + needed > HISTORY_BYTES {
            let oldest = self.bytes.iter().position(|&byte| byte == b'\n');
            let oldest = oldest.map_or(self.bytes.len(), |end| end + 1);
            self.bytes.rotate_left(oldest);
            self.bytes.truncate(self.bytes.len() - oldest);
        }
        // Cannot fail: room was made above.
        let _ = self.bytes.extend_from_slice(line);
        let _ = self.bytes.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn newest_first_without_blanks_and_repeats() {
        let mut history = History::new();
        assert_eq!(history.get(0), None);
        for line in ["ls", "", "  ", "ps", "ps", "a\nb", "ls"] {
            history.push(line.as_bytes());
        }
        assert_eq!(history.get(0), Some(&b"ls"[..]));
        assert_eq!(history.get(1), Some(&b"ps"[..]));
        assert_eq!(history.get(2), Some(&b"ls"[..]));
        assert_eq!(history.get(3), None);
    }

    #[test]
    fn the_oldest_lines_go() {
        let mut history = History::new();
        for number in 0..1000 {
            history.push(format!("line number {number}").as_bytes());
        }
        assert_eq!(history.get(0), Some(&b"line number 999"[..]));
        assert_eq!(history.get(100), Some(&b"line number 899"[..]));
        assert!(history.bytes.len() <= HISTORY_BYTES && history.bytes.len() > HISTORY_BYTES - 32);
        history.push(&[b'x'; HISTORY_BYTES]);
        assert_eq!(history.get(0), Some(&b"line number 999"[..]), "too long to keep");
        history.push(&[b'x'; HISTORY_BYTES - 1]);
        assert_eq!(history.get(0), Some(&[b'x'; HISTORY_BYTES - 1][..]));
        assert_eq!(history.get(1), None);
    }
}
