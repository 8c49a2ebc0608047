//! Memory of this program, for both ends of a ring in one process: tests, and services of one
//! kernel that talk as domains do.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use super::{PAGE_SIZE, SharedMemory};

/// Zeroed memory; a clone is the same memory.
#[derive(Clone, Debug)]
pub struct Words(Arc<[AtomicU32]>);

impl Words {
    /// Memory of so many pages.
    #[must_use]
    pub fn pages(count: usize) -> Words {
        let words = count * PAGE_SIZE / 4;
        Words(core::iter::repeat_with(|| AtomicU32::new(0)).take(words).collect())
    }

    #[allow(clippy::indexing_slicing)] // As the trait says, an offset outside is a bug.
    fn word(&self, offset: usize) -> &AtomicU32 {
        &self.0[offset / 4]
    }
}

impl SharedMemory for Words {
    fn size(&self) -> usize {
        4 * self.0.len()
    }

    fn load(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    fn store(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }

    fn barrier(&self) {
        fence(Ordering::SeqCst);
    }

    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        let mut at = offset;
        let mut rest = into;
        while !rest.is_empty() {
            let (part, later) = rest.split_at_mut((4 - at % 4).min(rest.len()));
            let word = self.word(at).load(Ordering::Relaxed).to_ne_bytes();
            for (byte, &shared) in part.iter_mut().zip(word.iter().skip(at % 4)) {
                *byte = shared;
            }
            at += part.len();
            rest = later;
        }
    }

    fn copy_in(&self, offset: usize, from: &[u8]) {
        let mut at = offset;
        let mut rest = from;
        while !rest.is_empty() {
            let (part, later) = rest.split_at((4 - at % 4).min(rest.len()));
            let merge = |old: u32| {
                let mut word = old.to_ne_bytes();
                for (shared, &byte) in word.iter_mut().skip(at % 4).zip(part) {
                    *shared = byte;
                }
                Some(u32::from_ne_bytes(word))
            };
            // Others may write the rest of the word meanwhile. The closure never refuses.
            let _ = self.word(at).fetch_update(Ordering::Relaxed, Ordering::Relaxed, merge);
            at += part.len();
            rest = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn parts_of_words_are_left_alone() {
        let memory = Words::pages(1);
        memory.copy_in(0, &[9; 16]);
        for offset in 0..5 {
            for size in 0..6 {
                memory.copy_in(0, &[9; 16]);
                memory.clone().copy_in(offset, &vec![1; size]);
                let mut expected = [9; 16];
                expected[offset..offset + size].fill(1);
                let mut found = [0; 16];
                memory.copy_out(0, &mut found);
                assert_eq!(found, expected, "{size} at {offset}");
                let mut part = vec![0; size];
                memory.copy_out(offset, &mut part);
                assert_eq!(part, vec![1; size]);
            }
        }
    }

    #[test]
    fn the_last_byte_is_there() {
        let memory = Words::pages(2);
        assert_eq!(memory.size(), 8192);
        memory.copy_in(8191, &[7]);
        assert_eq!(memory.load(8188), u32::from_ne_bytes([0, 0, 0, 7]));
    }
}
