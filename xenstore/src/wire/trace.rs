//! Requests as log lines.
//!
//! The server takes bytes and gives bytes; what a client asked is seen by looking at the bytes that go
//! by. Where messages begin is followed always, since logging may be switched on at any time, but
//! without keeping more of a payload than is shown.

use alloc::vec::Vec;
use core::fmt;

use super::Header;

/// How many bytes of a payload a line shows.
const SHOWN: usize = 80;

/// Follows one client's stream.
#[derive(Default, Debug)]
pub struct Trace {
    head: [u8; Header::SIZE],
    /// Bytes of `head` that have come.
    filled: usize,
    /// Bytes of payload that are still to come.
    rest: usize,
    /// The beginning of the payload.
    shown: Vec<u8>,
}

impl Trace {
    /// Bytes went by. `see` gets each request that is complete with them.
    pub fn follow(&mut self, mut bytes: &[u8], mut see: impl FnMut(&Seen<'_>)) {
        while !bytes.is_empty() {
            let want =
                if self.filled < Header::SIZE { Header::SIZE - self.filled } else { self.rest };
            let (now, later) = bytes.split_at(want.min(bytes.len()));
            if self.filled < Header::SIZE {
                for (place, byte) in self.head.iter_mut().skip(self.filled).zip(now) {
                    *place = *byte;
                }
                self.filled += now.len();
                if self.filled == Header::SIZE {
                    self.rest = Header::decode(self.head).len as usize;
                }
            } else {
                self.rest -= now.len();
                let room = SHOWN - self.shown.len();
                self.shown.extend(now.iter().take(room));
            }
            if self.filled == Header::SIZE && self.rest == 0 {
                see(&Seen { head: Header::decode(self.head), shown: &self.shown });
                self.filled = 0;
                self.shown.clear();
            }
            bytes = later;
        }
    }
}

/// A request that went by. It is shown as `XS_WRITE in transaction 3 "/path\x00value"`.
#[derive(Debug)]
pub struct Seen<'a> {
    head: Header,
    /// The beginning of the payload.
    shown: &'a [u8],
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.head.kind().map_or("a request of no known type", |kind| kind.name()))?;
        if self.head.transaction != 0 {
            write!(f, " in transaction {}", self.head.transaction)?;
        }
        let more = if self.head.len as usize > self.shown.len() { "..." } else { "" };
        write!(f, " \"{}{more}\"", self.shown.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, MessageType};
    use std::string::{String, ToString};

    #[test]
    fn requests_are_seen_whatever_the_pieces() {
        let message = |kind, transaction, payload: &[u8]| {
            let header = Header { transaction, ..Header::unsolicited(kind) };
            Message { header, payload: payload.to_vec() }.encode()
        };
        let mut unknown = message(MessageType::Read, 0, b"");
        unknown[0] = 99;
        let stream = [
            message(MessageType::Write, 3, b"/a\0\xff"),
            unknown,
            message(MessageType::Mkdir, 0, &[b'x'; SHOWN + 1]),
        ]
        .concat();
        let long = std::format!("XS_MKDIR \"{}...\"", "x".repeat(SHOWN));
        let lines = [
            "XS_WRITE in transaction 3 \"/a\\x00\\xff\"",
            "a request of no known type \"\"",
            &long,
        ];
        for size in [1, 7, 16, stream.len()] {
            let mut trace = Trace::default();
            let mut seen: Vec<String> = Vec::new();
            for piece in stream.chunks(size) {
                trace.follow(piece, |request| seen.push(request.to_string()));
            }
            assert_eq!(seen, lines, "{size}");
        }
    }
}
