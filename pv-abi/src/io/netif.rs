//! The network device: two rings of requests and responses, and what they say of a frame.
//!
//! A frame takes one slot or several: the first says what holds for all of it; slots of
//! [`NetifExtraInfo`] may follow the first one, then those of the rest of its bytes. In what a guest
//! transmits, the first slot's size is the whole frame's; in what it receives, each slot's is its own.
//!
//! Slots have the size of the larger message: 12 bytes to transmit, 8 to receive. What overlays
//! another message in a slot, or leaves a part of it unused, is told apart by the slot before it.
//!
//! The control ring (for hashes that choose queues) is left out.

use crate::types::GrantRef;

layouts! { in "io/netif.h";
    /// A part of a frame that the guest transmits.
    struct NetifTxRequest("struct netif_tx_request", 12) {
        /// The page that has it.
        gref: GrantRef,
        /// Its first byte in the page.
        offset: u16,
        /// `NETTXF_*`.
        flags: u16,
        /// Comes back in the response.
        id: u16,
        /// Bytes: in the first request the whole frame's, else the part's.
        size: u16,
    }

    /// What became of a request to transmit.
    struct NetifTxResponse("struct netif_tx_response", 4) {
        /// The request's.
        id: u16,
        /// `NETIF_RSP_*`.
        status: i16,
    }

    /// A page for the back end to put received bytes into.
    struct NetifRxRequest("struct netif_rx_request", 8) {
        /// Comes back in the response.
        id: u16,
        /// Padding.
        pad: u16,
        /// The page.
        gref: GrantRef,
    }

    /// A part of a frame that the guest receives, in the slot of the request whose page has it.
    struct NetifRxResponse("struct netif_rx_response", 8) {
        /// The request's.
        id: u16,
        /// The first byte in the page.
        offset: u16,
        /// `NETRXF_*`.
        flags: u16,
        /// Bytes, or `NETIF_RSP_*` if negative.
        status: i16,
    }

    /// More about a frame than its first slot says, in a slot of its own.
    struct NetifExtraInfo("struct netif_extra_info", 8) {
        /// `XEN_NETIF_EXTRA_TYPE_*`.
        r#type: u8 => ["type"],
        /// `XEN_NETIF_EXTRA_FLAG_*`.
        flags: u8,
        /// By type: the segments' size, `XEN_NETIF_GSO_TYPE_*`, padding and features; an address;
        /// a hash's type, algorithm and value.
        u: [u8; 6] => ["u", "u.gso.size", "u.mcast.addr", "u.hash.type"],
    }
}

constants! { in "io/netif.h";
    /// Slots of a frame that every back end takes.
    XEN_NETIF_NR_SLOTS_MIN: u32 = 18;
    /// Bytes of the largest frame.
    XEN_NETIF_MAX_TX_SIZE: u32 = 0xffff;

    /// Transmit: the checksum of the frame's TCP or UDP is left to who transmits it.
    NETTXF_CSUM_BLANK: u16 = 1 << 0 => "NETTXF_csum_blank";
    /// Transmit: the frame's data is as it was sent.
    NETTXF_DATA_VALIDATED: u16 = 1 << 1 => "NETTXF_data_validated";
    /// Transmit: the frame goes on in the next request.
    NETTXF_MORE_DATA: u16 = 1 << 2 => "NETTXF_more_data";
    /// Transmit: the next slot is extra information.
    NETTXF_EXTRA_INFO: u16 = 1 << 3 => "NETTXF_extra_info";

    /// Receive: the frame's data is as it was sent.
    NETRXF_DATA_VALIDATED: u16 = 1 << 0 => "NETRXF_data_validated";
    /// Receive: the checksum of the frame's TCP or UDP has been left out.
    NETRXF_CSUM_BLANK: u16 = 1 << 1 => "NETRXF_csum_blank";
    /// Receive: the frame goes on in the next response.
    NETRXF_MORE_DATA: u16 = 1 << 2 => "NETRXF_more_data";
    /// Receive: the next slot is extra information.
    NETRXF_EXTRA_INFO: u16 = 1 << 3 => "NETRXF_extra_info";
    /// Receive: the slot is the information itself; not used any more.
    NETRXF_GSO_PREFIX: u16 = 1 << 4 => "NETRXF_gso_prefix";

    /// Extra information: none, which is an error.
    XEN_NETIF_EXTRA_TYPE_NONE: u8 = 0;
    /// Extra information: the frame is to be cut into segments.
    XEN_NETIF_EXTRA_TYPE_GSO: u8 = 1;
    /// Extra information: an address of a group that the guest wants frames for; there is no frame.
    XEN_NETIF_EXTRA_TYPE_MCAST_ADD: u8 = 2;
    /// Extra information: such an address is not wanted any more.
    XEN_NETIF_EXTRA_TYPE_MCAST_DEL: u8 = 3;
    /// Extra information: a hash of the frame's addresses.
    XEN_NETIF_EXTRA_TYPE_HASH: u8 = 4;
    /// Number of types.
    XEN_NETIF_EXTRA_TYPE_MAX: u8 = 5;

    /// Extra information: more of it in the next slot.
    XEN_NETIF_EXTRA_FLAG_MORE: u8 = 1 << 0;

    /// Segments: none.
    XEN_NETIF_GSO_TYPE_NONE: u8 = 0;
    /// Segments of TCP over IPv4.
    XEN_NETIF_GSO_TYPE_TCPV4: u8 = 1;
    /// Segments of TCP over IPv6.
    XEN_NETIF_GSO_TYPE_TCPV6: u8 = 2;

    /// The frame was not wanted.
    NETIF_RSP_DROPPED: i16 = -2;
    /// The frame or its pages are of no use.
    NETIF_RSP_ERROR: i16 = -1;
    /// Done.
    NETIF_RSP_OKAY: i16 = 0;
    /// The slot was extra information: no response.
    NETIF_RSP_NULL: i16 = 1;
}
