//! What waits for a client.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Messages in the order in which they go out.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: VecDeque<u8>,
}

impl Outbox {
    pub(crate) fn push(&mut self, message: Vec<u8>) {
        self.bytes.extend(message);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
    }
}
