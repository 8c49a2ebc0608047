//! Block devices: what does not depend on the width. Requests and responses do: they are `Blkif*` in
//! [`crate::x86_32`] and [`crate::x86_64`], and which of the two a front end writes is in its node
//! `protocol`.

use crate::types::GrantRef;

layouts! { in "io/blkif.h";
    /// Whole sectors of 512 bytes in one granted page.
    struct BlkifRequestSegment("struct blkif_request_segment", 8) {
        /// The page.
        gref: GrantRef,
        /// First sector in it.
        first_sect: u8,
        /// Last sector in it.
        last_sect: u8,
        /// Padding.
        _pad: [u8; 2] => [],
    }
}

constants! { in "io/blkif.h";
    /// Read sectors.
    BLKIF_OP_READ: u8 = 0;
    /// Write sectors.
    BLKIF_OP_WRITE: u8 = 1;
    /// Write sectors, after all earlier writes and before all later ones.
    BLKIF_OP_WRITE_BARRIER: u8 = 2;
    /// Have what was written last.
    BLKIF_OP_FLUSH_DISKCACHE: u8 = 3;
    /// A packet for the device; not for others.
    BLKIF_OP_RESERVED_1: u8 = 4;
    /// Give up what sectors hold.
    BLKIF_OP_DISCARD: u8 = 5;
    /// A request whose segments are in pages of their own.
    BLKIF_OP_INDIRECT: u8 = 6;

    /// Segments in a request's slot.
    BLKIF_MAX_SEGMENTS_PER_REQUEST: usize = 11;
    /// Pages of segments that an indirect request can name.
    BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST: usize = 8;
    /// Flag of a discard: nothing of the contents may be found any more.
    BLKIF_DISCARD_SECURE: u8 = 1;

    /// Done.
    BLKIF_RSP_OKAY: i16 = 0;
    /// It failed.
    BLKIF_RSP_ERROR: i16 = -1;
    /// The back end does not do this.
    BLKIF_RSP_EOPNOTSUPP: i16 = -2;

    /// In the node `info`: the disk is a CD.
    VDISK_CDROM: u32 = 1;
    /// In the node `info`: the disk can be taken out.
    VDISK_REMOVABLE: u32 = 2;
    /// In the node `info`: the disk cannot be written.
    VDISK_READONLY: u32 = 4;
}
