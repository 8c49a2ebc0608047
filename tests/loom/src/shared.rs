//! Shared memory under loom, with or without a mistake in how it orders things.

use loom::sync::atomic::{AtomicU32, Ordering, fence};
use xenbus::memory::SharedMemory;

/// What an implementation of [`SharedMemory`] may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Nothing.
    None,
    /// An index may be seen before what was written, or read, before it.
    StoreIsRelaxed,
    /// What follows an index may be seen as it was before.
    LoadIsRelaxed,
    /// A store may become visible after a later load was made.
    NoBarrier,
}

/// Zeroed words. Bytes are copied with no order among them.
#[derive(Debug)]
pub struct Memory {
    words: Vec<AtomicU32>,
    mistake: Mistake,
}

impl Memory {
    /// Memory of `size` bytes, a multiple of 4.
    pub fn new(size: usize, mistake: Mistake) -> Memory {
        let words = std::iter::repeat_with(|| AtomicU32::new(0)).take(size / 4).collect();
        Memory { words, mistake }
    }

    fn order(&self, wrong: Mistake, right: Ordering) -> Ordering {
        if self.mistake == wrong { Ordering::Relaxed } else { right }
    }
}

impl SharedMemory for Memory {
    fn size(&self) -> usize {
        4 * self.words.len()
    }

    fn load(&self, offset: usize) -> u32 {
        self.words[offset / 4].load(self.order(Mistake::LoadIsRelaxed, Ordering::Acquire))
    }

    fn store(&self, offset: usize, value: u32) {
        let order = self.order(Mistake::StoreIsRelaxed, Ordering::Release);
        self.words[offset / 4].store(value, order);
    }

    fn barrier(&self) {
        if self.mistake != Mistake::NoBarrier {
            fence(Ordering::SeqCst);
        }
    }

    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        for (byte, at) in into.iter_mut().zip(offset..) {
            *byte = self.words[at / 4].load(Ordering::Relaxed).to_ne_bytes()[at % 4];
        }
    }

    fn copy_in(&self, offset: usize, from: &[u8]) {
        for (&byte, at) in from.iter().zip(offset..) {
            let word = &self.words[at / 4];
            // One side writes a word of data at a time, so it knows what is in it.
            let mut bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            bytes[at % 4] = byte;
            word.store(u32::from_ne_bytes(bytes), Ordering::Relaxed);
        }
    }
}
