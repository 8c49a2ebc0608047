//! Arguments of `grant_table_op` that have the guest's width.

use super::width::{Handle, ULong, by_width};
use crate::types::{DomId, GrantRef};

layouts! { in "grant_table.h";
    /// Argument of `GNTTABOP_setup_table`.
    struct GnttabSetupTable("struct gnttab_setup_table", by_width(16, 24)) {
        /// IN: the domain, `DOMID_SELF` if unprivileged.
        dom: DomId,
        /// Padding.
        _pad0: [u8; 2] => [],
        /// IN: the least number of frames, and the number to tell.
        nr_frames: u32,
        /// OUT: `GNTST_*`.
        status: i16,
        /// Padding.
        _pad1: [u8; by_width(2, 6)] => [],
        /// IN: address of an array of frame numbers (`ULong`); OUT there.
        frame_list: Handle,
    }

    /// Argument of `GNTTABOP_transfer`.
    struct GnttabTransfer("struct gnttab_transfer", by_width(16, 24)) {
        /// IN: the frame to give away.
        mfn: ULong,
        /// IN: to whom.
        domid: DomId,
        /// Padding.
        _pad0: [u8; 2] => [],
        /// IN: the entry of that domain that accepts it.
        r#ref: GrantRef => ["ref"],
        /// OUT: `GNTST_*`.
        status: i16,
        /// Padding.
        _pad1: [u8; by_width(2, 6)] => [],
    }

    /// One end of a [`GnttabCopy`].
    struct GnttabCopyPtr("struct gnttab_copy_ptr", by_width(8, 16)) {
        /// IN: a frame of the domain, or a reference in bits 31..0.
        u: ULong => ["u", "u.gmfn", "u.ref"],
        /// IN: the domain.
        domid: DomId,
        /// IN: first byte in the page.
        offset: u16,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
    }

    /// Argument of `GNTTABOP_copy`.
    struct GnttabCopy("struct gnttab_copy", by_width(24, 40)) {
        /// IN: from where.
        source: GnttabCopyPtr,
        /// IN: to where.
        dest: GnttabCopyPtr,
        /// IN: number of bytes.
        len: u16,
        /// IN: `GNTCOPY_*`.
        flags: u16,
        /// OUT: `GNTST_*`.
        status: i16,
        /// Padding.
        _pad: [u8; 2] => [],
    }

    /// Argument of `GNTTABOP_get_status_frames`.
    struct GnttabGetStatusFrames("struct gnttab_get_status_frames", by_width(12, 16)) {
        /// IN: room in the array.
        nr_frames: u32,
        /// IN: the domain, `DOMID_SELF` if unprivileged.
        dom: DomId,
        /// OUT: `GNTST_*`.
        status: i16,
        /// IN: address of an array of u64; OUT there: frames.
        frame_list: Handle,
    }
}
