//! Rings of requests and responses, shared by the two halves of a driver.
//!
//! A ring is a [`RingHead`] and, after it, entries: as many as fit, rounded
//! down to a power of two. Requests and responses take the same entries, each
//! the size of the larger one. Indices run freely and wrap at 2^32.
//!
//! The header generates a type for each protocol; `RingHead` is what all have in
//! common (compared with the type for entries without size).

layouts! { in "io/ring.h";
    /// What a ring begins with; zeroed, but for the two events, which start at 1.
    struct RingHead("struct ring_head_sring", 64) {
        /// How far requests are written (by the front end).
        req_prod: u32,
        /// The back end wants an event when `req_prod` passes this.
        req_event: u32,
        /// How far responses are written (by the back end).
        rsp_prod: u32,
        /// The front end wants an event when `rsp_prod` passes this.
        rsp_event: u32,
        /// Private to a protocol.
        pvt: [u8; 4] => ["pvt", "pvt.pvt_pad"],
        /// Padding, to 64 bytes.
        __pad: [u8; 44],
    }
}
