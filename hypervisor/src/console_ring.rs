//! What the hypervisor said: the latest 16 KiB of it, for whoever asks later (`xl dmesg`).
//!
//! Bytes have numbers, from 0 on and round after 2^32, as in Xen: a reader says from which on it
//! has not read yet. Who writes has the console's lock, so one does at a time. Readers take no
//! lock, and neither does the writer: a panic breaks the console's lock, and has to be written
//! down, too. What is written over while it is read comes out mixed.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Bytes that are kept: Xen's default (`CONFIG_CONSOLE_RING`, `conring_size`). A power of two, so
/// that the numbers of bytes may go round.
pub const KEPT: u32 = 16 << 10;

/// The latest words.
pub struct ConsoleRing {
    bytes: [AtomicU8; KEPT as usize],
    /// The number of the next byte.
    next: AtomicU32,
    /// The number of the first byte that is not forgotten.
    first: AtomicU32,
}

impl ConsoleRing {
    /// Nothing was said.
    pub const fn new() -> ConsoleRing {
        ConsoleRing {
            bytes: [const { AtomicU8::new(0) }; KEPT as usize],
            next: AtomicU32::new(0),
            first: AtomicU32::new(0),
        }
    }

    /// Adds words; the oldest go. One caller at a time.
    pub fn put(&self, words: &[u8]) {
        let mut next = self.next.load(Ordering::Relaxed);
        for byte in words {
            if let Some(slot) = self.bytes.get((next % KEPT) as usize) {
                slot.store(*byte, Ordering::Relaxed);
            }
            next = next.wrapping_add(1);
        }
        self.next.store(next, Ordering::Release);
        self.first.store(self.oldest(next), Ordering::Relaxed);
    }

    /// The number of the first byte that is there, and of the one after the last.
    pub fn range(&self) -> (u32, u32) {
        let next = self.next.load(Ordering::Acquire);
        (self.oldest(next), next)
    }

    fn oldest(&self, next: u32) -> u32 {
        let first = self.first.load(Ordering::Relaxed);
        if next.wrapping_sub(first) > KEPT { next.wrapping_sub(KEPT) } else { first }
    }

    /// Copies bytes, from number `from` on.
    pub fn copy(&self, from: u32, to: &mut [u8]) {
        for (slot, index) in to.iter_mut().zip(0..) {
            let place = from.wrapping_add(index) % KEPT;
            *slot = self.bytes.get(place as usize).map_or(0, |byte| byte.load(Ordering::Relaxed));
        }
    }

    /// Forgets what comes before number `first`.
    pub fn forget_before(&self, first: u32) {
        self.first.store(first, Ordering::Relaxed);
    }
}

impl Default for ConsoleRing {
    fn default() -> Self {
        ConsoleRing::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn all(ring: &ConsoleRing) -> Vec<u8> {
        let (first, next) = ring.range();
        let mut bytes = std::vec![0; next.wrapping_sub(first) as usize];
        ring.copy(first, &mut bytes);
        bytes
    }

    #[test]
    fn the_latest_words_are_kept() {
        let ring = ConsoleRing::new();
        assert_eq!(all(&ring), b"");
        ring.put(b"one ");
        ring.put(b"two");
        assert_eq!((all(&ring).as_slice(), ring.range()), (&b"one two"[..], (0, 7)));
        ring.forget_before(4);
        assert_eq!(all(&ring), b"two");
        ring.put(&[b'x'; KEPT as usize]);
        ring.put(b"end");
        let kept = all(&ring);
        assert_eq!((kept.len(), &kept[kept.len() - 4..]), (KEPT as usize, &b"xend"[..]));
    }

    #[test]
    fn numbers_go_round() {
        let ring = ConsoleRing::new();
        ring.next.store(u32::MAX - 2, Ordering::Relaxed);
        ring.forget_before(u32::MAX - 2);
        ring.put(b"abcdef");
        assert_eq!(ring.range(), (u32::MAX - 2, 3));
        assert_eq!(all(&ring), b"abcdef");
        ring.put(&[b'y'; KEPT as usize]);
        assert_eq!(ring.range(), (3, KEPT + 3));
    }
}
