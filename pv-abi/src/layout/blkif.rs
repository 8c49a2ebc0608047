//! Slots of a block device's ring.
//!
//! The same slot is a request of three shapes, told apart by its first byte, and a response.

use super::width::{U64, by_width};
use crate::io::blkif::{
    BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST, BLKIF_MAX_SEGMENTS_PER_REQUEST, BlkifRequestSegment,
};
use crate::types::GrantRef;

layouts! { in "io/blkif.h";
    /// A request; its whole slot.
    struct BlkifRequest("struct blkif_request", by_width(108, 112)) {
        /// One of `BLKIF_OP_*` of [`crate::io::blkif`].
        operation: u8,
        /// How many segments there are.
        nr_segments: u8,
        /// The device's number, which nobody looks at.
        handle: u16,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
        /// The front end's own; the response repeats it.
        id: U64,
        /// First sector on the disk, of 512 bytes.
        sector_number: U64,
        /// Where the data is, in the order of the sectors.
        seg: [BlkifRequestSegment; BLKIF_MAX_SEGMENTS_PER_REQUEST],
    }

    /// `BLKIF_OP_DISCARD`.
    struct BlkifRequestDiscard("struct blkif_request_discard", by_width(28, 32)) {
        /// `BLKIF_OP_DISCARD`.
        operation: u8,
        /// 0 or `BLKIF_DISCARD_SECURE`.
        flag: u8,
        /// The device's number.
        handle: u16,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
        /// The front end's own.
        id: U64,
        /// First sector on the disk.
        sector_number: U64,
        /// How many sectors.
        nr_sectors: U64,
    }

    /// `BLKIF_OP_INDIRECT`.
    struct BlkifRequestIndirect("struct blkif_request_indirect", 64) {
        /// `BLKIF_OP_INDIRECT`.
        operation: u8,
        /// `BLKIF_OP_READ` or `BLKIF_OP_WRITE`.
        indirect_op: u8,
        /// How many segments there are, in all pages.
        nr_segments: u16,
        /// Padding.
        _pad0: [u8; by_width(0, 4)] => [],
        /// The front end's own.
        id: U64,
        /// First sector on the disk.
        sector_number: U64,
        /// The device's number.
        handle: u16,
        /// Padding.
        _pad1: [u8; 2] => [],
        /// Pages full of segments.
        indirect_grefs: [GrantRef; BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST],
        /// Padding.
        _pad2: [u8; by_width(8, 4)] => [],
    }

    /// A response.
    struct BlkifResponse("struct blkif_response", by_width(12, 16)) {
        /// The request's.
        id: U64,
        /// The request's.
        operation: u8,
        /// Padding.
        _pad0: [u8; 1] => [],
        /// One of `BLKIF_RSP_*` of [`crate::io::blkif`].
        status: i16,
        /// Padding.
        _pad1: [u8; by_width(0, 4)] => [],
    }
}
