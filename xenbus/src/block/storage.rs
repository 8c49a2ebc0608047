//! What stands behind a block device: a disk, a part of one, a file, memory.
//!
//! A back end submits work and asks later what has been completed, so that a disk which can do
//! several things at a time does; one that cannot does it at once, or in a thread of its own. Who
//! drives the back end has it look when something is completed.

use alloc::vec::Vec;
use core::ops::Range;

use pv_abi::errno::Errno;

/// What a disk is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// How many sectors of 512 bytes it has.
    pub sectors: u64,
    /// Bytes of its own sectors: a power of two, 512 at least.
    pub sector_size: u32,
    /// It cannot be written.
    pub read_only: bool,
    /// It can discard.
    pub discard: bool,
}

/// A part of a page of memory: data of consecutive sectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<P> {
    /// The page.
    pub page: P,
    /// Which bytes of it.
    pub range: Range<usize>,
}

/// What is to be done. Chunks follow each other on the disk, from the sector on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work<P> {
    /// Read.
    Read {
        /// The first sector, of 512 bytes.
        sector: u64,
        /// Where the data goes.
        chunks: Vec<Chunk<P>>,
    },
    /// Write.
    Write {
        /// The first sector, of 512 bytes.
        sector: u64,
        /// The data.
        chunks: Vec<Chunk<P>>,
    },
    /// Have all last whose completion was told before.
    Flush,
    /// Give up what sectors hold.
    Discard {
        /// The first sector, of 512 bytes.
        sector: u64,
        /// How many.
        count: u64,
    },
}

/// Work that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done<P> {
    /// The number under which it was submitted.
    pub tag: u32,
    /// The chunks that came with it, with what was read.
    pub chunks: Vec<Chunk<P>>,
    /// How it went.
    pub result: Result<(), Errno>,
}

/// What stands behind a device. Ranges are within it, and whole sectors of its own: the back end has
/// seen to that.
pub trait Storage {
    /// A page of memory for data.
    type Page: AsRef<[u8]> + AsMut<[u8]>;

    /// What it is like. It stays so as long as the back end has it.
    fn properties(&self) -> Properties;

    /// A page for data, of 4096 bytes. None: there is no memory at present.
    fn page(&mut self) -> Option<Self::Page>;

    /// Begins something. `tag` is of none that is under way.
    fn submit(&mut self, tag: u32, work: Work<Self::Page>);

    /// Something that has been completed, in any order.
    fn completed(&mut self) -> Option<Done<Self::Page>>;
}
