//! Memory that somebody else writes at the same time, and who may do so with bad intent.
//!
//! Such memory is never behind a `&T` or a `&mut [u8]`: the compiler may take it for granted that
//! those do not change under it, and would read a length twice, once to check it and once to use
//! it. So all access is through [`SharedMemory`], which moves bytes between shared and private
//! memory and orders a few 32-bit words:
//!
//! * a [`store`](SharedMemory::store) of an index comes after all earlier accesses: who sees the
//!   index sees what was written before it, and what was read before it may be overwritten;
//! * a [`load`](SharedMemory::load) of the peer's index comes before all later accesses;
//! * a [`barrier`](SharedMemory::barrier) comes between a store and a later load of *another* word,
//!   which nothing else orders: "I have published; does the peer sleep?".
//!
//! [`Mapped`] is pages of a guest, [`Words`] is memory of this program, for both ends in one
//! process. loom has its own, in `pv-loom`.

mod mapped;
mod words;

pub use mapped::Mapped;
pub use words::Words;

use core::ops::Deref;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// One stretch of shared memory: a page, or several side by side.
///
/// Offsets are in bytes. They come from layouts and from indices reduced to the size of a ring,
/// never from a peer as they are; one past the end is a bug of the caller's and panics, as with a
/// slice.
pub trait SharedMemory {
    /// How many bytes there are: a multiple of 4.
    fn size(&self) -> usize;
    /// Reads the word at `offset`, a multiple of 4, before whatever is accessed later (acquire).
    fn load(&self, offset: usize) -> u32;
    /// Writes the word at `offset`, a multiple of 4, after whatever was accessed earlier (release).
    fn store(&self, offset: usize, value: u32);
    /// What was stored earlier is seen by others before anything is loaded later.
    fn barrier(&self);
    /// Copies bytes out of shared memory, each read once.
    fn copy_out(&self, offset: usize, into: &mut [u8]);
    /// Copies bytes into shared memory.
    fn copy_in(&self, offset: usize, from: &[u8]);
}

/// Shared memory is too small for what shall be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall;

/// A peer broke the protocol of a ring: an index claims what cannot be.
///
/// The ring is of no use any more; what to do about it is the caller's business: drop
/// the connection, close the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// Our index.
    pub ours: u32,
    /// The peer's.
    pub theirs: u32,
}

/// What points to shared memory is as good: a reference, an `Arc`, a mapping that knows how it is
/// to be undone.
impl<P: Deref> SharedMemory for P
where
    P::Target: SharedMemory,
{
    fn size(&self) -> usize {
        (**self).size()
    }
    fn load(&self, offset: usize) -> u32 {
        (**self).load(offset)
    }
    fn store(&self, offset: usize, value: u32) {
        (**self).store(offset, value);
    }
    fn barrier(&self) {
        (**self).barrier();
    }
    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        (**self).copy_out(offset, into);
    }
    fn copy_in(&self, offset: usize, from: &[u8]) {
        (**self).copy_in(offset, from);
    }
}
