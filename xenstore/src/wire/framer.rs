//! Cuts a stream of bytes into messages, whatever the pieces it comes in.

use alloc::vec::Vec;
use core::fmt;

use super::Header;
use super::limits::XENSTORE_PAYLOAD_MAX;

/// A whole message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its head; `len` is the payload's length.
    pub header: Header,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// The bytes on the wire. The head's length becomes the payload's.
    #[must_use]
    pub fn encode(mut self) -> Vec<u8> {
        // A payload longer than the field cannot be sent at all; the peer refuses this length.
        self.header.len = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(Header::SIZE + self.payload.len());
        bytes.extend_from_slice(&self.header.encode());
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// A head announced more than [`XENSTORE_PAYLOAD_MAX`] bytes. Where the next message begins is not
/// known any more, so the connection is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong {
    /// Bytes that the head announced.
    pub len: u32,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of {} bytes, more than {XENSTORE_PAYLOAD_MAX}", self.len)
    }
}

impl core::error::Error for TooLong {}

/// Collects bytes and gives messages. Nothing is kept but what has not been given yet.
#[derive(Clone, Default, Debug)]
pub struct Framer {
    bytes: Vec<u8>,
    /// Bytes at the start of `bytes` that were given already.
    given: usize,
}

impl Framer {
    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        // Moving the rest to the front costs no more than giving what lay before it did.
        if self.given >= self.bytes.len() - self.given {
            self.bytes.drain(..self.given);
            self.given = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes that belong to no message given so far.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.given..]
    }

    /// Whether [`next_message`](Self::next_message) would give a message or an error.
    #[must_use]
    pub fn has_message(&self) -> bool {
        self.head().is_some_and(|head| {
            let len = head.len as usize;
            len > XENSTORE_PAYLOAD_MAX || self.rest().len() - Header::SIZE >= len
        })
    }

    /// The next message that is complete.
    ///
    /// # Errors
    /// The next head announces a payload that is too long. This stays so.
    pub fn next_message(&mut self) -> Result<Option<Message>, TooLong> {
        let Some(header) = self.head() else { return Ok(None) };
        let len = header.len as usize;
        if len > XENSTORE_PAYLOAD_MAX {
            return Err(TooLong { len: header.len });
        }
        let after_head = &self.rest()[Header::SIZE..];
        let Some(payload) = after_head.get(..len) else { return Ok(None) };
        let payload = payload.to_vec();
        self.given += Header::SIZE + len;
        Ok(Some(Message { header, payload }))
    }

    fn head(&self) -> Option<Header> {
        self.rest().first_chunk().map(|bytes| Header::decode(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MessageType;
    use proptest::prelude::*;
    use std::vec;

    fn message(payload: &[u8]) -> Message {
        let len = payload.len() as u32;
        let header = Header { len, request: 7, ..Header::unsolicited(MessageType::Read) };
        Message { header, payload: payload.to_vec() }
    }

    #[test]
    fn the_longest_payload_is_taken_and_one_byte_more_is_not() {
        let mut framer = Framer::default();
        let longest = message(&vec![1; XENSTORE_PAYLOAD_MAX]);
        framer.push(&longest.clone().encode());
        assert_eq!(framer.next_message(), Ok(Some(longest)));
        let head = Header { len: 4097, ..Header::unsolicited(MessageType::Read) };
        framer.push(&head.encode());
        assert!(framer.has_message());
        assert_eq!(framer.next_message(), Err(TooLong { len: 4097 }));
        framer.push(&message(b"a").encode());
        assert_eq!(framer.next_message(), Err(TooLong { len: 4097 }));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            pieces in prop::collection::vec(1usize..30, 1..60),
        ) {
            let messages: Vec<Message> = payloads.iter().map(|bytes| message(bytes)).collect();
            let stream: Vec<u8> = messages.iter().flat_map(|m| m.clone().encode()).collect();
            let mut framer = Framer::default();
            let mut given = Vec::new();
            let mut rest = &stream[..];
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                framer.push(now);
                while let Some(message) = framer.next_message().unwrap() {
                    given.push(message);
                }
                prop_assert!(!framer.has_message());
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(given, messages);
            prop_assert!(framer.rest().is_empty());
        }
    }
}
