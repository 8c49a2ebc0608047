//! What a console has said: the last bytes of it, for any number of readers.
//!
//! Bytes are numbered from the first that was ever said. A reader is the number of the byte that
//! it wants next; one that is too slow misses what has been dropped, and nobody waits for it.

use alloc::vec::Vec;

/// Bytes that are kept.
pub const KEPT: usize = 16 * 1024;

/// The last bytes.
#[derive(Debug, Default)]
pub struct Scrollback {
    /// Byte n is at n modulo [`KEPT`], once there are so many.
    bytes: Vec<u8>,
    said: u64,
    /// The first byte that no reader has seen.
    unseen: u64,
}

impl Scrollback {
    /// Nothing was said yet.
    pub const fn new() -> Scrollback {
        Scrollback { bytes: Vec::new(), said: 0, unseen: 0 }
    }

    /// Adds bytes; the oldest are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let at = (self.said % KEPT as u64) as usize;
            match self.bytes.get_mut(at) {
                Some(place) => *place = byte,
                None => self.bytes.push(byte),
            }
            self.said += 1;
        }
    }

    /// How many bytes were ever said.
    pub fn said(&self) -> u64 {
        self.said
    }

    /// Where a new reader begins: with what nobody has seen, as far as it is kept.
    pub fn unseen(&self) -> u64 {
        self.unseen.max(self.oldest())
    }

    /// Copies bytes from number `from` on; returns how many, and the number after them.
    pub fn read(&mut self, from: u64, into: &mut [u8]) -> (usize, u64) {
        let first = from.max(self.oldest());
        let mut next = first;
        for place in into.iter_mut() {
            if next >= self.said {
                break;
            }
            *place = self.bytes.get((next % KEPT as u64) as usize).copied().unwrap_or(0);
            next += 1;
        }
        self.unseen = self.unseen.max(next);
        ((next - first) as usize, next)
    }

    fn oldest(&self) -> u64 {
        self.said.saturating_sub(KEPT as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn each_reader_reads_everything_once() {
        let mut said = Scrollback::new();
        said.push(b"hello");
        let mut into = [0; 3];
        let (mut one, two) = (said.unseen(), said.unseen());
        let (count, next) = said.read(one, &mut into);
        assert_eq!((count, &into), (3, b"hel"));
        one = next;
        assert_eq!(said.read(one, &mut into), (2, 5));
        assert_eq!(&into[..2], b"lo");
        assert_eq!(said.read(5, &mut into), (0, 5));
        assert_eq!(said.read(two, &mut into), (3, 3));
    }

    #[test]
    fn who_comes_later_begins_with_what_nobody_has_seen() {
        let mut said = Scrollback::new();
        said.push(b"boot");
        assert_eq!(said.unseen(), 0);
        let (_, next) = said.read(0, &mut [0; 4]);
        assert_eq!((next, said.unseen()), (4, 4));
        said.push(b"more");
        assert_eq!(said.unseen(), 4);
    }

    #[test]
    fn the_oldest_bytes_are_dropped() {
        let mut said = Scrollback::new();
        for number in 0..KEPT + 10 {
            said.push(&[number as u8]);
        }
        assert_eq!((said.unseen(), said.said()), (10, KEPT as u64 + 10));
        let mut into = vec![0; KEPT + 10];
        let (count, next) = said.read(0, &mut into);
        assert_eq!((count, next), (KEPT, KEPT as u64 + 10));
        assert_eq!(into[0], 10);
        assert_eq!(into[KEPT - 1], (KEPT + 9) as u8);
        // A reader that was told of a future byte gets nothing, and harms nobody.
        assert_eq!(said.read(u64::MAX, &mut into), (0, u64::MAX));
    }
}
