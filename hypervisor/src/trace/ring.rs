//! A CPU's ring of records: its own CPU writes, anybody may copy.
//!
//! ```text
//! write record n                           | copy record n
//! (everything before is visible) (A)       | n < count, and count - n < capacity   (a)
//! the four words of place n mod capacity   | the four words
//! count = n + 1                  (B)       | (what was seen is no older)           (b)
//!                                          | count - n < capacity still            (c)
//! ```
//!
//! Who sees a record's count (a) sees its words, by (B). Who saw a word of a record that came
//! later into the same place sees at (c) the count that was written before it, by (A) and
//! (b), and throws the copy away.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use pv_abi::types::Mfn;
use trace_format::{RECORD_WORDS, RECORDS_IN_FRAME, Record, capacity};

use crate::platform::FrameAccess;

/// Where a ring is.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// Its first frame.
    pub base: Mfn,
    /// Its frames.
    pub frames: u64,
}

impl Ring {
    /// Writes a record; the oldest is lost if the ring is full.
    ///
    /// By the ring's own CPU only.
    pub fn write(&self, access: &impl FrameAccess, record: &Record) {
        let Some(count) = access.words(self.base).first() else { return };
        let index = count.load(Ordering::Relaxed);
        // (A)
        fence(Ordering::Release);
        for (slot, word) in self.place(access, index).iter().zip(record.to_words()) {
            slot.store(word, Ordering::Relaxed);
        }
        // (B)
        count.store(index.wrapping_add(1), Ordering::Release);
    }

    /// How many records were ever written.
    pub fn written(&self, access: &impl FrameAccess) -> u64 {
        access.words(self.base).first().map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Copies record `index`; `None` if it is not there yet or not any more.
    pub fn copy(&self, access: &impl FrameAccess, index: u64) -> Option<Record> {
        let still = |count: u64| count.wrapping_sub(index) < capacity(self.frames);
        // (a)
        let count = self.written(access);
        if index >= count || !still(count) {
            return None;
        }
        let mut words = [0; RECORD_WORDS];
        for (word, slot) in words.iter_mut().zip(self.place(access, index)) {
            *word = slot.load(Ordering::Relaxed);
        }
        // (b) and (c)
        fence(Ordering::Acquire);
        still(self.written(access)).then(|| Record::from_words(words)).flatten()
    }

    /// The words of record `index`.
    fn place<'a>(&self, access: &'a impl FrameAccess, index: u64) -> &'a [AtomicU64] {
        let place = index.checked_rem(capacity(self.frames)).unwrap_or(0);
        let frame = Mfn::new(self.base.raw() + 1 + place / RECORDS_IN_FRAME);
        let first = (place % RECORDS_IN_FRAME) as usize * RECORD_WORDS;
        access.words(frame).get(first..first + RECORD_WORDS).unwrap_or(&[])
    }
}
