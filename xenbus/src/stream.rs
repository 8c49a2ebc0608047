//! Bytes through a ring in a shared page: XenStore's and the console's.
//!
//! Two indices run freely and wrap at 2^32; the place of a byte is its index modulo the ring's
//! size, a power of two. The writer moves `prod`, the reader `cons`; what lies between is on its
//! way:
//!
//! ```text
//!            cons            prod
//!   . . . . . #################. . . . . .      prod - cons <= size
//! ```
//!
//! **Order.** Bytes are in the ring before `prod` says so; they are out of it before `cons` says so
//! (`SharedMemory::store`).
//!
//! **Waking the peer.** These protocols have no field that says whether the peer sleeps: whoever
//! moved an index sends an event. That is enough: an event stays pending until it is taken, so a
//! peer that found the ring full (or empty) and goes to sleep is woken by the event of the index's
//! move, or the move came before it looked. So: **a call that returns more than zero is followed by
//! an event.**
//!
//! **Trust.** Each end keeps its own index, so that a peer that writes to both can only confuse
//! itself: a distance that is more than the ring's size is [`Corrupt`], all others are bytes that
//! the peer might have sent (or room for bytes that it will lose).

use crate::memory::{Corrupt, SharedMemory, TooSmall};

/// Where in shared memory a ring of bytes is; all in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Offset of the bytes.
    pub data: usize,
    /// How many there are: a power of two.
    pub size: u32,
    /// Offset of the reader's index.
    pub cons: usize,
    /// Offset of the writer's index.
    pub prod: usize,
}

impl Place {
    fn check(&self, memory: &impl SharedMemory) -> Result<(), TooSmall> {
        let end = (self.data + self.size as usize).max(self.cons + 4).max(self.prod + 4);
        if end <= memory.size() { Ok(()) } else { Err(TooSmall) }
    }

    /// Where `count` bytes from `index` on are, at most the ring's size: the offset of the first,
    /// and how many there are up to the ring's end. The rest begins at `self.data`.
    fn first_part(&self, index: u32, count: usize) -> (usize, usize) {
        let position = index & (self.size - 1);
        let until_end = (self.size - position) as usize;
        (self.data + position as usize, until_end.min(count))
    }
}

/// The end that writes.
#[derive(Debug)]
pub struct Writer {
    place: Place,
    prod: u32,
}

impl Writer {
    /// Goes on where the ring is: at the index in the page, which in a fresh page is 0.
    ///
    /// # Errors
    /// The ring is not inside of the memory.
    pub fn attach(memory: &impl SharedMemory, place: Place) -> Result<Writer, TooSmall> {
        place.check(memory)?;
        let mut writer = Writer { place, prod: 0 };
        writer.resume(memory);
        Ok(writer)
    }

    /// Takes over the index in the page: where somebody else left it.
    pub fn resume(&mut self, memory: &impl SharedMemory) {
        self.prod = memory.load(self.place.prod);
    }

    /// How many bytes can be written now.
    ///
    /// # Errors
    /// The reader claims to have read what was not written.
    pub fn room(&self, memory: &impl SharedMemory) -> Result<usize, Corrupt> {
        // Seen before the bytes that it frees are overwritten.
        let cons = memory.load(self.place.cons);
        let on_their_way = self.prod.wrapping_sub(cons);
        match self.place.size.checked_sub(on_their_way) {
            Some(room) => Ok(room as usize),
            None => Err(Corrupt { ours: self.prod, theirs: cons }),
        }
    }

    /// Writes as many of the bytes as fit; returns how many. If any, the caller sends an event; if
    /// not all, it waits for one before it tries again.
    ///
    /// # Errors
    /// As [`room`](Writer::room).
    pub fn write(&mut self, memory: &impl SharedMemory, bytes: &[u8]) -> Result<usize, Corrupt> {
        let count = self.room(memory)?.min(bytes.len());
        if count == 0 {
            return Ok(0);
        }
        let (offset, first) = self.place.first_part(self.prod, count);
        let (now, later) = bytes.split_at(count).0.split_at(first);
        memory.copy_in(offset, now);
        memory.copy_in(self.place.data, later);
        self.prod = self.prod.wrapping_add(count as u32);
        // The reader sees the bytes before the index.
        memory.store(self.place.prod, self.prod);
        Ok(count)
    }

    /// Empties the ring for both ends: both indices become 0. Only where the protocol has the
    /// reader keep off meanwhile.
    pub fn reset(&mut self, memory: &impl SharedMemory) {
        self.prod = 0;
        memory.store(self.place.cons, 0);
        memory.store(self.place.prod, 0);
    }
}

/// The end that reads.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    cons: u32,
}

impl Reader {
    /// Goes on where the ring is: at the index in the page, which in a fresh page is 0.
    ///
    /// # Errors
    /// The ring is not inside of the memory.
    pub fn attach(memory: &impl SharedMemory, place: Place) -> Result<Reader, TooSmall> {
        place.check(memory)?;
        let mut reader = Reader { place, cons: 0 };
        reader.resume(memory);
        Ok(reader)
    }

    /// Takes over the index in the page: where somebody else left it.
    pub fn resume(&mut self, memory: &impl SharedMemory) {
        self.cons = memory.load(self.place.cons);
    }

    /// How many bytes wait.
    ///
    /// # Errors
    /// The writer claims to have written more than fits.
    pub fn waiting(&self, memory: &impl SharedMemory) -> Result<usize, Corrupt> {
        // Seen before the bytes that it vouches for are read.
        let prod = memory.load(self.place.prod);
        let waiting = prod.wrapping_sub(self.cons);
        if waiting > self.place.size {
            return Err(Corrupt { ours: self.cons, theirs: prod });
        }
        Ok(waiting as usize)
    }

    /// Reads as many bytes as wait and fit; returns how many. If any, the caller sends an event:
    /// the writer may wait for room.
    ///
    /// # Errors
    /// As [`waiting`](Reader::waiting).
    pub fn read(&mut self, memory: &impl SharedMemory, into: &mut [u8]) -> Result<usize, Corrupt> {
        let count = self.waiting(memory)?.min(into.len());
        if count == 0 {
            return Ok(0);
        }
        let (offset, first) = self.place.first_part(self.cons, count);
        let (now, later) = into.split_at_mut(count).0.split_at_mut(first);
        memory.copy_out(offset, now);
        memory.copy_out(self.place.data, later);
        self.cons = self.cons.wrapping_add(count as u32);
        // The bytes are read before the writer may overwrite them.
        memory.store(self.place.cons, self.cons);
        Ok(count)
    }

    /// Empties the ring for both ends, as [`Writer::reset`].
    pub fn reset(&mut self, memory: &impl SharedMemory) {
        self.cons = 0;
        memory.store(self.place.cons, 0);
        memory.store(self.place.prod, 0);
    }
}

#[cfg(test)]
mod tests;
