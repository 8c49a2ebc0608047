//! The page of a PV console (`struct xencons_interface`): a ring of bytes each way.
//!
//! `out` is what the guest prints, `in` what is typed. [`GuestEnd`] is the guest's, [`BackEnd`]
//! that of the console daemon. As with every [stream](crate::stream), who got more than 0 from a
//! call sends an event. Nobody loses bytes: a writer that finds no room keeps them until the reader
//! has made some.

use core::mem::offset_of;

use pv_abi::console::XenconsInterface as Page;

use crate::memory::{Corrupt, SharedMemory, TooSmall};
use crate::stream::{Place, Reader, Writer};

/// Bytes of the ring to the guest.
pub const IN_SIZE: usize = 1024;
/// Bytes of the ring from the guest.
pub const OUT_SIZE: usize = 2048;
const _: () = assert!(offset_of!(Page, out) == IN_SIZE);
const _: () = assert!(offset_of!(Page, in_cons) == IN_SIZE + OUT_SIZE);

const IN: Place = Place {
    data: offset_of!(Page, r#in),
    size: IN_SIZE as u32,
    cons: offset_of!(Page, in_cons),
    prod: offset_of!(Page, in_prod),
};
const OUT: Place = Place {
    data: offset_of!(Page, out),
    size: OUT_SIZE as u32,
    cons: offset_of!(Page, out_cons),
    prod: offset_of!(Page, out_prod),
};

/// The guest's end.
#[derive(Debug)]
pub struct GuestEnd<M> {
    memory: M,
    input: Reader,
    output: Writer,
}

impl<M: SharedMemory> GuestEnd<M> {
    /// Takes a console's page over with what is in it.
    ///
    /// # Errors
    /// The memory is smaller than the page's contents.
    pub fn attach(memory: M) -> Result<GuestEnd<M>, TooSmall> {
        let input = Reader::attach(&memory, IN)?;
        let output = Writer::attach(&memory, OUT)?;
        Ok(GuestEnd { memory, input, output })
    }

    /// Prints as many bytes as fit; returns how many.
    ///
    /// # Errors
    /// The back end broke the ring.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        self.output.write(&self.memory, bytes)
    }

    /// Reads as many typed bytes as wait and fit; returns how many.
    ///
    /// # Errors
    /// The back end broke the ring.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Corrupt> {
        self.input.read(&self.memory, into)
    }

    /// How many bytes can be printed now.
    ///
    /// # Errors
    /// The back end broke the ring.
    pub fn room(&self) -> Result<usize, Corrupt> {
        self.output.room(&self.memory)
    }

    /// How many typed bytes wait.
    ///
    /// # Errors
    /// The back end broke the ring.
    pub fn waiting(&self) -> Result<usize, Corrupt> {
        self.input.waiting(&self.memory)
    }

    /// Gives the memory back.
    #[must_use]
    pub fn into_memory(self) -> M {
        self.memory
    }
}

/// The console daemon's end.
#[derive(Debug)]
pub struct BackEnd<M> {
    memory: M,
    input: Writer,
    output: Reader,
}

impl<M: SharedMemory> BackEnd<M> {
    /// Takes a console's page over with what is in it.
    ///
    /// # Errors
    /// The memory is smaller than the page's contents.
    pub fn attach(memory: M) -> Result<BackEnd<M>, TooSmall> {
        let input = Writer::attach(&memory, IN)?;
        let output = Reader::attach(&memory, OUT)?;
        Ok(BackEnd { memory, input, output })
    }

    /// Reads as many printed bytes as wait and fit; returns how many.
    ///
    /// # Errors
    /// The guest broke the ring.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Corrupt> {
        self.output.read(&self.memory, into)
    }

    /// Types as many bytes as fit; returns how many.
    ///
    /// # Errors
    /// The guest broke the ring.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        self.input.write(&self.memory, bytes)
    }

    /// How many bytes can be typed now.
    ///
    /// # Errors
    /// The guest broke the ring.
    pub fn room(&self) -> Result<usize, Corrupt> {
        self.input.room(&self.memory)
    }

    /// How many printed bytes wait.
    ///
    /// # Errors
    /// The guest broke the ring.
    pub fn waiting(&self) -> Result<usize, Corrupt> {
        self.output.waiting(&self.memory)
    }

    /// Gives the memory back.
    #[must_use]
    pub fn into_memory(self) -> M {
        self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Words;

    fn ends() -> (Words, GuestEnd<Words>, BackEnd<Words>) {
        let memory = Words::pages(1);
        let guest = GuestEnd::attach(memory.clone()).expect("a page is enough");
        let back = BackEnd::attach(memory.clone()).expect("a page is enough");
        (memory, guest, back)
    }

    #[test]
    fn what_is_printed_and_what_is_typed() {
        let (memory, mut guest, mut back) = ends();
        assert_eq!(guest.write(b"login: "), Ok(7));
        assert_eq!(memory.load(3084), 7, "out_prod, as Xen has it");
        assert_eq!(back.waiting(), Ok(7));
        let mut bytes = [0; 16];
        assert_eq!(back.read(&mut bytes), Ok(7));
        assert_eq!(&bytes[..7], b"login: ");
        assert_eq!(back.write(b"root\r"), Ok(5));
        assert_eq!(memory.load(3076), 5, "in_prod, as Xen has it");
        assert_eq!(guest.waiting(), Ok(5));
        assert_eq!(guest.read(&mut bytes), Ok(5));
        assert_eq!(&bytes[..5], b"root\r");
    }

    #[test]
    fn both_ways_have_their_size() {
        let (_, mut guest, mut back) = ends();
        assert_eq!((guest.room(), back.room()), (Ok(2048), Ok(1024)));
        assert_eq!(guest.write(&[0; 5000]), Ok(2048));
        assert_eq!(back.write(&[0; 5000]), Ok(1024));
        assert_eq!((guest.room(), back.room()), (Ok(0), Ok(0)));
    }

    #[test]
    fn a_daemon_that_comes_back_goes_on() {
        let (memory, mut guest, mut back) = ends();
        let mut bytes = [0; 3];
        assert_eq!(guest.write(b"abcdef"), Ok(6));
        assert_eq!(back.read(&mut bytes), Ok(3));
        drop(back);
        let mut back = BackEnd::attach(memory).expect("a page is enough");
        assert_eq!(back.read(&mut bytes), Ok(3));
        assert_eq!(&bytes, b"def");
    }

    #[test]
    fn indices_that_cannot_be_are_errors() {
        let (memory, mut guest, mut back) = ends();
        memory.store(OUT.prod, 2049);
        assert_eq!(back.read(&mut [0; 8]), Err(Corrupt { ours: 0, theirs: 2049 }));
        memory.store(IN.prod, 1025);
        assert_eq!(guest.read(&mut [0; 8]), Err(Corrupt { ours: 0, theirs: 1025 }));
        memory.store(OUT.cons, 7);
        assert_eq!(guest.write(b"x"), Err(Corrupt { ours: 0, theirs: 7 }));
        memory.store(IN.cons, 7);
        assert_eq!(back.write(b"x"), Err(Corrupt { ours: 0, theirs: 7 }));
    }
}
