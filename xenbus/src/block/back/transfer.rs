//! Data between a front end's pages and ours, by copies that the hypervisor makes.
//!
//! **Why by copies.** The other ways were measured in the guest kernel, as `cargo xtask bench --split`
//! does it: instructions of all sides for a block of 4 KiB, read from a RAM disk alone, and from a virtio
//! disk in requests of 1 MiB.
//!
//! | way | alone | in large requests |
//! |---|---|---|
//! | copies by the hypervisor | 14 800 | 4 000 |
//! | mapped, copied, unmapped | 17 000 | 5 100 |
//! | mapped once and kept, copied | 14 300 | 3 900 |
//! | mapped, unmapped, nothing copied (a device's DMA) | 15 900 | 3 900 |
//! | mapped once and kept, nothing copied | 13 200 | 2 800 |
//!
//! (The last two were measured beside a front end whose own copies cost 1 900 and 1 600 more, which is
//! taken off here.) What is kept mapped is quicker by 2 to 4 %, and by a third where a device reaches the
//! front end's pages itself. But no front end could take back a page that is kept, no back end may hold
//! one of a domain that is gone, and front ends that grant other pages for each request, as Linux's may,
//! would gain nothing. Copies need none of that.

use alloc::vec;
use alloc::vec::Vec;

use pv_abi::io::blkif::{BLKIF_RSP_ERROR, BlkifRequestSegment};
use pv_abi::types::DomId;
use zerocopy::{FromZeros, IntoBytes};

use crate::access::{Copies, Piece};
use crate::block::check::{Segment, indirect_segments};
use crate::block::storage::{Chunk, Storage};
use crate::block::wire::{Body, Request, SEGMENTS_PER_PAGE};

/// Why there is no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There is no memory for it at present.
    Memory,
    /// A page is not granted to us, or not so.
    Grant,
}

/// Copies all pieces; whether all went well.
fn copy(domain: &mut impl Copies, front: DomId, pieces: &mut [Piece<'_>]) -> bool {
    domain.copy(front, pieces);
    pieces.iter().all(|piece| piece.done.is_ok())
}

/// The segments of an indirect request; none of another.
///
/// # Errors
/// There are too many, or they are out of reach: the response's status.
pub fn indirect(
    domain: &mut impl Copies,
    front: DomId,
    request: &Request,
) -> Result<Vec<BlkifRequestSegment>, i16> {
    let Body::Indirect { count, pages, .. } = &request.body else { return Ok(Vec::new()) };
    let mut segments = vec![BlkifRequestSegment::new_zeroed(); indirect_segments(*count)?];
    let parts = segments.chunks_mut(SEGMENTS_PER_PAGE).zip(pages);
    let mut pieces: Vec<Piece<'_>> =
        parts.map(|(part, grant)| Piece::read(*grant, 0, part.as_mut_bytes())).collect();
    if copy(domain, front, &mut pieces) { Ok(segments) } else { Err(BLKIF_RSP_ERROR) }
}

/// Pages for the data of segments: a chunk for each.
///
/// # Errors
/// There is no memory.
pub fn room<S: Storage>(
    storage: &mut S,
    segments: &[Segment],
) -> Result<Vec<Chunk<S::Page>>, Failed> {
    let chunk = |segment: &Segment| {
        let page = storage.page().ok_or(Failed::Memory)?;
        Ok(Chunk { page, range: 0..segment.length.into() })
    };
    segments.iter().map(chunk).collect()
}

/// The data of segments.
///
/// # Errors
/// There is no memory, or it is out of reach.
pub fn bring_in<S: Storage>(
    domain: &mut impl Copies,
    front: DomId,
    storage: &mut S,
    segments: &[Segment],
) -> Result<Vec<Chunk<S::Page>>, Failed> {
    let mut chunks = room(storage, segments)?;
    let mut pieces = Vec::with_capacity(segments.len());
    for (segment, chunk) in segments.iter().zip(&mut chunks) {
        let into = chunk.page.as_mut().get_mut(chunk.range.clone()).ok_or(Failed::Memory)?;
        pieces.push(Piece::read(segment.grant, segment.offset, into));
    }
    let copied = copy(domain, front, &mut pieces);
    drop(pieces);
    if copied { Ok(chunks) } else { Err(Failed::Grant) }
}

/// Copies what was read to where it shall be; whether all of it got there.
pub fn hand_out<P: AsRef<[u8]>>(
    domain: &mut impl Copies,
    front: DomId,
    segments: &[Segment],
    chunks: &[Chunk<P>],
) -> bool {
    let mut pieces = Vec::with_capacity(segments.len());
    for (segment, chunk) in segments.iter().zip(chunks) {
        let bytes = chunk.page.as_ref().get(chunk.range.clone()).unwrap_or_default();
        pieces.push(Piece::write(segment.grant, segment.offset, bytes));
    }
    pieces.len() == segments.len() && copy(domain, front, &mut pieces)
}
