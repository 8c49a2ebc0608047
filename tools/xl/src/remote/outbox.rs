//! Bytes that wait to be sent.

use alloc::vec::Vec;

use super::frame::{FRAME_MAX, Kind};

/// A queue of frames as bytes.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// What waits.
    pub fn waiting(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or(&[])
    }

    /// Forgets the first `count` bytes of what waits.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.bytes.len());
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }

    /// Puts a frame, or as many as it takes for a long payload. One without a payload is put, too.
    pub(super) fn push(&mut self, kind: Kind, payload: &[u8]) {
        let mut pieces = payload.chunks(FRAME_MAX);
        self.push_one(kind, pieces.next().unwrap_or(&[]));
        pieces.for_each(|piece| self.push_one(kind, piece));
    }

    fn push_one(&mut self, kind: Kind, payload: &[u8]) {
        // Never longer than FRAME_MAX.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.bytes.push(kind as u8);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(payload);
    }
}
