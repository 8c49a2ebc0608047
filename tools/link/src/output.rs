//! Bytes that wait to be sent, in order.

use alloc::vec::Vec;

use crate::frame::Frame;

/// Data frames are added up to about this many waiting bytes, so that what is said in a quiet
/// channel does not wait behind much of a busy one's.
const LIMIT: usize = 64 << 10;

/// Frames as bytes, of which the first ones may have been sent.
#[derive(Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    /// What waits.
    pub fn waiting(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// The first `count` bytes of what waits have been sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.bytes.len());
        if self.sent * 2 >= self.bytes.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Whether there is room for another frame within the limit.
    pub fn has_room(&self) -> bool {
        self.waiting().len() < LIMIT
    }

    /// Adds a frame.
    pub fn push(&mut self, frame: &Frame<'_>) {
        frame.encode(&mut self.bytes);
    }

    /// Drops what waits, even in the middle of a frame: only for a RESET to follow.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }
}
