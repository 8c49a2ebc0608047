//! What waits for a client.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::delivery::Ticket;
use crate::wire::{Header, Message, MessageType};

/// A message that is not out whole.
pub(crate) struct Waiting {
    /// Bytes of it.
    pub(crate) len: usize,
    /// The payload, of an event that need not be queued twice.
    pub(crate) event: Option<Arc<[u8]>>,
    /// The request that caused it.
    pub(crate) ticket: Option<Ticket>,
}

/// Messages in the order in which they go out.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: VecDeque<u8>,
    /// Bytes of the first message that are out.
    out: usize,
    messages: VecDeque<Waiting>,
    events: BTreeSet<Arc<[u8]>>,
}

impl Outbox {
    /// Queues a reply.
    pub(crate) fn reply(&mut self, message: Message, ticket: Option<Ticket>) {
        self.push(&message.encode(), None, ticket);
    }

    /// Queues a watch event.
    pub(crate) fn event(&mut self, payload: Arc<[u8]>, once: bool, ticket: Option<Ticket>) {
        let header = Header::unsolicited(MessageType::WatchEvent);
        let message = Message { header, payload: payload.to_vec() };
        self.push(&message.encode(), once.then_some(payload), ticket);
    }

    /// Queues bytes of one message, or of the rest of one.
    pub(crate) fn push(&mut self, bytes: &[u8], event: Option<Arc<[u8]>>, ticket: Option<Ticket>) {
        if let Some(event) = &event {
            self.events.insert(event.clone());
        }
        self.bytes.extend(bytes);
        self.messages.push_back(Waiting { len: bytes.len(), event, ticket });
    }

    /// Whether this event waits already.
    pub(crate) fn has_event(&self, payload: &[u8]) -> bool {
        self.events.contains(payload)
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The first of them.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    /// Forgets bytes that are out; returns the messages that are out whole.
    pub(crate) fn sent(&mut self, count: usize) -> Vec<Waiting> {
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.out += count;
        let mut whole = Vec::new();
        while self.messages.front().is_some_and(|first| first.len <= self.out) {
            let Some(first) = self.messages.pop_front() else { break };
            self.out -= first.len;
            if let Some(event) = &first.event {
                self.events.remove(event);
            }
            whole.push(first);
        }
        if self.bytes.is_empty() {
            // What a burst needed is not kept.
            self.bytes.shrink_to(4096);
        }
        whole
    }

    /// The messages with the bytes of each that are not out yet.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Waiting, Vec<u8>)> {
        let mut at = 0;
        let mut out = self.out;
        self.messages.iter().map(move |message| {
            let rest = message.len - core::mem::take(&mut out);
            let bytes = self.bytes.range(at..at + rest).copied().collect();
            at += rest;
            (message, bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_waits_until_its_last_byte_is_out() {
        let mut outbox = Outbox::default();
        outbox.event(b"/a\0t\0"[..].into(), true, None);
        assert!(outbox.has_event(b"/a\0t\0"));
        assert_eq!(outbox.len(), Header::SIZE + 5);
        assert!(outbox.sent(Header::SIZE + 4).is_empty());
        assert!(outbox.has_event(b"/a\0t\0"));
        assert_eq!(outbox.bytes(), [0]);
        assert_eq!(outbox.sent(100).len(), 1);
        assert!(!outbox.has_event(b"/a\0t\0"));
        assert!(outbox.bytes().is_empty());
    }

    #[test]
    fn rests_are_what_is_not_out() {
        let mut outbox = Outbox::default();
        outbox.push(b"abc", None, Some(Ticket::new(1)));
        outbox.push(b"def", None, None);
        outbox.sent(1);
        let rests: Vec<Vec<u8>> = outbox.waiting().map(|(_, bytes)| bytes).collect();
        assert_eq!(rests, [&b"bc"[..], b"def"]);
        let whole = outbox.sent(3);
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].ticket, Some(Ticket::new(1)));
    }
}
