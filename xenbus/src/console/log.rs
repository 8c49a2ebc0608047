//! What a console printed last.

use alloc::collections::VecDeque;

/// A bounded log of bytes. Bytes are numbered from the first that was ever printed, so that a
/// reader knows where it is, and what it has missed.
#[derive(Clone, Debug)]
pub struct Log {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The number of the next byte.
    end: u64,
    /// The number of the first byte that no reader has had.
    unread: u64,
}

/// Where bytes that were read from a [`Log`] stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The number of the first: later than was asked for if those before are forgotten.
    pub start: u64,
    /// How many there are.
    pub count: usize,
}

impl Log {
    /// A log of the last `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Log {
        Log { bytes: VecDeque::new(), capacity, end: 0, unread: 0 }
    }

    /// The number that the next byte will have: where a reader of only new bytes begins.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The number of the oldest byte that is remembered.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// The number of the oldest byte that is remembered and that no reader has had: where one begins
    /// who goes on for those who have left.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.unread.max(self.start())
    }

    /// Adds bytes, and forgets the oldest if it must.
    pub fn push(&mut self, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        let kept = bytes.len().min(self.capacity);
        let excess = (self.bytes.len() + kept).saturating_sub(self.capacity);
        self.bytes.drain(..excess);
        self.bytes.extend(bytes.iter().skip(bytes.len() - kept));
    }

    /// Copies bytes from number `position` on, or from the oldest if that is forgotten, as many as
    /// fit.
    pub fn read(&mut self, position: u64, into: &mut [u8]) -> Chunk {
        let chunk = self.look(position, into);
        self.unread = self.unread.max(chunk.start + chunk.count as u64);
        chunk
    }

    /// As [`read`](Log::read), for who is no reader: what is unread stays so.
    #[must_use]
    pub fn look(&self, position: u64, into: &mut [u8]) -> Chunk {
        let start = position.clamp(self.start(), self.end);
        let skip = (start - self.start()) as usize;
        let bytes = self.bytes.iter().skip(skip);
        let count = into.iter_mut().zip(bytes).map(|(to, &from)| *to = from).count();
        Chunk { start, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut log = Log::new(4);
        let mut into = [0; 8];
        assert_eq!(log.read(0, &mut into), Chunk { start: 0, count: 0 });
        log.push(b"abc");
        log.push(b"de");
        assert_eq!((log.start(), log.end()), (1, 5));
        assert_eq!(log.read(0, &mut into), Chunk { start: 1, count: 4 });
        assert_eq!(&into[..4], b"bcde");
        assert_eq!(log.read(3, &mut into), Chunk { start: 3, count: 2 });
        assert_eq!(&into[..2], b"de");
        assert_eq!(log.read(99, &mut into), Chunk { start: 5, count: 0 }, "not from the future");
        log.push(b"a long line");
        assert_eq!(log.read(5, &mut into), Chunk { start: 12, count: 4 });
        assert_eq!(&into[..4], b"line");
        assert_eq!(log.read(12, &mut into[..2]), Chunk { start: 12, count: 2 });
    }

    #[test]
    fn who_comes_later_begins_with_what_nobody_has_read() {
        let mut log = Log::new(4);
        log.push(b"boot");
        assert_eq!(log.unread(), 0);
        let mut into = [0; 3];
        assert_eq!(log.read(0, &mut into), Chunk { start: 0, count: 3 });
        assert_eq!(log.unread(), 3);
        assert_eq!(log.read(1, &mut into[..1]), Chunk { start: 1, count: 1 });
        assert_eq!(log.unread(), 3, "somebody has had more");
        log.push(b"more!");
        assert_eq!(log.unread(), 5, "what is forgotten is read by nobody");
        assert_eq!(log.read(99, &mut into), Chunk { start: 9, count: 0 });
        assert_eq!(log.unread(), 9, "who waits for new bytes has seen the old ones off");
    }

    #[test]
    fn a_log_of_nothing_counts_only() {
        let mut log = Log::new(0);
        log.push(b"gone");
        assert_eq!((log.start(), log.end()), (4, 4));
        assert_eq!(log.read(0, &mut [0; 4]), Chunk { start: 4, count: 0 });
    }
}
