//! Requests and responses, in either layout.
//!
//! 32-bit and 64-bit guests align a `uint64_t` differently, so slots differ in size and fields in
//! place. The front end says in its node `protocol` which [`Layout`] it writes.

use pv_abi::io::blkif::{
    BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST, BLKIF_MAX_SEGMENTS_PER_REQUEST, BLKIF_OP_DISCARD,
    BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_INDIRECT, BLKIF_OP_READ, BLKIF_OP_WRITE,
    BLKIF_OP_WRITE_BARRIER, BlkifRequestSegment,
};
use pv_abi::io::protocols::{XEN_IO_PROTO_ABI_X86_32, XEN_IO_PROTO_ABI_X86_64};
use pv_abi::types::GrantRef;
use pv_abi::{x86_32, x86_64};
use zerocopy::{FromBytes, FromZeros};

use crate::memory::{Corrupt, PAGE_SIZE, SharedMemory, TooSmall};
use crate::ring::{BackRing, Full, Message, Notify};

/// Segments in a page of them.
pub const SEGMENTS_PER_PAGE: usize = PAGE_SIZE / size_of::<BlkifRequestSegment>();

/// A request as it stands in its slot: nothing is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The front end's own; the response repeats it.
    pub id: u64,
    /// What is asked for (`BLKIF_OP_*`); the response repeats it.
    pub operation: u8,
    /// The rest, by what is asked for.
    pub body: Body,
}

/// What a request says beside its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Read, write, barrier, flush.
    Direct {
        /// The first sector.
        sector: u64,
        /// How many segments count.
        count: u8,
        /// Where the data is.
        segments: [BlkifRequestSegment; BLKIF_MAX_SEGMENTS_PER_REQUEST],
    },
    /// Read or write, with segments in pages of their own.
    Indirect {
        /// Read or write (`BLKIF_OP_*`).
        operation: u8,
        /// The first sector.
        sector: u64,
        /// How many segments there are.
        count: u16,
        /// The pages that they are in, as many as the count needs.
        pages: [GrantRef; BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST],
    },
    /// Discard.
    Discard {
        /// `BLKIF_DISCARD_SECURE`, or not.
        flag: u8,
        /// The first sector.
        sector: u64,
        /// How many.
        count: u64,
    },
    /// An operation that we know nothing of.
    Unknown,
}

/// A response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request's.
    pub id: u64,
    /// The request's.
    pub operation: u8,
    /// How it went (`BLKIF_RSP_*`).
    pub status: i16,
}

/// How a guest lays slots out.
pub trait Layout {
    /// What the front end writes into `protocol`.
    const PROTOCOL: &'static str;
    /// A request's slot.
    type Request: Message;
    /// A response in its slot.
    type Response: Message;

    /// Reads a request.
    fn decode(slot: &Self::Request) -> Request;
    /// Writes a request.
    fn encode(request: &Request) -> Self::Request;
    /// Reads a response.
    fn decode_response(slot: &Self::Response) -> Response;
    /// Writes a response.
    fn encode_response(response: &Response) -> Self::Response;
}

macro_rules! layout {
    ($(#[$doc:meta])* $name:ident, $abi:ident, $protocol:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl Layout for $name {
            const PROTOCOL: &'static str = $protocol;
            type Request = $abi::BlkifRequest;
            type Response = $abi::BlkifResponse;

            fn decode(slot: &Self::Request) -> Request {
                let body = match slot.operation {
                    BLKIF_OP_READ | BLKIF_OP_WRITE | BLKIF_OP_WRITE_BARRIER
                    | BLKIF_OP_FLUSH_DISKCACHE => Body::Direct {
                        sector: slot.sector_number.into(),
                        count: slot.nr_segments,
                        segments: slot.seg,
                    },
                    BLKIF_OP_INDIRECT => {
                        let slot: $abi::BlkifRequestIndirect = of_slot(slot);
                        Body::Indirect {
                            operation: slot.indirect_op,
                            sector: slot.sector_number.into(),
                            count: slot.nr_segments,
                            pages: slot.indirect_grefs,
                        }
                    }
                    BLKIF_OP_DISCARD => {
                        let slot: $abi::BlkifRequestDiscard = of_slot(slot);
                        Body::Discard {
                            flag: slot.flag,
                            sector: slot.sector_number.into(),
                            count: slot.nr_sectors.into(),
                        }
                    }
                    _ => Body::Unknown,
                };
                // In all shapes the id is in the same place.
                Request { id: slot.id.into(), operation: slot.operation, body }
            }

            fn encode(request: &Request) -> Self::Request {
                let Request { id, operation, body } = request;
                let (id, operation) = ((*id).into(), *operation);
                let mut slot = $abi::BlkifRequest { id, operation, ..FromZeros::new_zeroed() };
                match body {
                    Body::Direct { sector, count, segments } => {
                        slot.sector_number = (*sector).into();
                        slot.nr_segments = *count;
                        slot.seg = *segments;
                    }
                    Body::Indirect { operation: indirect_op, sector, count, pages } => {
                        let indirect = $abi::BlkifRequestIndirect {
                            operation,
                            indirect_op: *indirect_op,
                            nr_segments: *count,
                            id,
                            sector_number: (*sector).into(),
                            indirect_grefs: *pages,
                            ..FromZeros::new_zeroed()
                        };
                        to_slot(&indirect, &mut slot);
                    }
                    Body::Discard { flag, sector, count } => {
                        let discard = $abi::BlkifRequestDiscard {
                            operation,
                            flag: *flag,
                            id,
                            sector_number: (*sector).into(),
                            nr_sectors: (*count).into(),
                            ..FromZeros::new_zeroed()
                        };
                        to_slot(&discard, &mut slot);
                    }
                    Body::Unknown => {}
                }
                slot
            }

            fn decode_response(slot: &Self::Response) -> Response {
                let id = slot.id.into();
                Response { id, operation: slot.operation, status: slot.status }
            }

            fn encode_response(response: &Response) -> Self::Response {
                let Response { id, operation, status } = *response;
                let id = id.into();
                $abi::BlkifResponse { id, operation, status, ..FromZeros::new_zeroed() }
            }
        }
    };
}

layout! {
    /// 32-bit guests: 32 slots of 108 bytes in a page.
    X86_32, x86_32, XEN_IO_PROTO_ABI_X86_32
}
layout! {
    /// 64-bit guests: 32 slots of 112 bytes in a page.
    X86_64, x86_64, XEN_IO_PROTO_ABI_X86_64
}

/// Reads a slot as another shape of request, which is no larger.
fn of_slot<T: FromBytes>(slot: &impl Message) -> T {
    T::read_from_prefix(slot.as_bytes()).map_or_else(|_| T::new_zeroed(), |(shape, _)| shape)
}

/// Writes another shape of request, which is no larger, into a slot.
fn to_slot(shape: &impl Message, slot: &mut impl Message) {
    for (to, from) in slot.as_mut_bytes().iter_mut().zip(shape.as_bytes()) {
        *to = *from;
    }
}

/// The layouts, as a back end tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// [`X86_32`].
    X86_32,
    /// [`X86_64`].
    X86_64,
}

impl Protocol {
    /// What the node `protocol` says.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Protocol> {
        let value = value.trim_ascii();
        let is = |name: &str| value == name.as_bytes();
        if is(X86_32::PROTOCOL) {
            Some(Protocol::X86_32)
        } else {
            is(X86_64::PROTOCOL).then_some(Protocol::X86_64)
        }
    }
}

type Of<M, L> = BackRing<M, <L as Layout>::Request, <L as Layout>::Response>;

/// The back half of a ring in either layout.
#[derive(Debug)]
pub enum AnyRing<M> {
    /// In [`X86_32`].
    X86_32(Of<M, X86_32>),
    /// In [`X86_64`].
    X86_64(Of<M, X86_64>),
}

/// Does the same with the ring of either layout, which is called `$layout` meanwhile.
macro_rules! either {
    ($any:expr, $ring:ident as $layout:ident => $result:expr) => {
        match $any {
            AnyRing::X86_32($ring) => {
                type $layout = X86_32;
                $result
            }
            AnyRing::X86_64($ring) => {
                type $layout = X86_64;
                $result
            }
        }
    };
    ($any:expr, $ring:ident => $result:expr) => {
        match $any {
            AnyRing::X86_32($ring) => $result,
            AnyRing::X86_64($ring) => $result,
        }
    };
}

impl<M: SharedMemory> AnyRing<M> {
    /// Goes on with a ring that the front end made.
    ///
    /// # Errors
    /// No slot fits.
    pub fn attach(protocol: Protocol, memory: M) -> Result<Self, TooSmall> {
        Ok(match protocol {
            Protocol::X86_32 => AnyRing::X86_32(BackRing::attach(memory)?),
            Protocol::X86_64 => AnyRing::X86_64(BackRing::attach(memory)?),
        })
    }

    /// Takes the next request, if one waits.
    ///
    /// # Errors
    /// As [`BackRing::take`].
    pub fn take(&mut self) -> Result<Option<Request>, Corrupt> {
        either!(self, ring as L => Ok(ring.take()?.map(|slot| L::decode(&slot))))
    }

    /// Writes a response.
    ///
    /// # Errors
    /// As [`BackRing::push`].
    pub fn push(&mut self, response: &Response) -> Result<(), Full> {
        either!(self, ring as L => ring.push(&L::encode_response(response)))
    }

    /// Shows the peer all that was written.
    pub fn publish(&mut self) -> Notify {
        either!(self, ring => ring.publish())
    }

    /// As [`BackRing::final_check`].
    ///
    /// # Errors
    /// As [`BackRing::take`].
    pub fn final_check(&mut self) -> Result<bool, Corrupt> {
        either!(self, ring => ring.final_check())
    }

    /// Gives the memory back, for it to be unmapped.
    pub fn into_memory(self) -> M {
        either!(self, ring => ring.into_memory())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;
    use zerocopy::IntoBytes;

    fn bodies() -> [(u8, Body); 4] {
        let segment = BlkifRequestSegment {
            gref: GrantRef::new(9),
            first_sect: 1,
            last_sect: 7,
            _pad: [0; 2],
        };
        let (sector, pages) = (0x1_2345_6789, [GrantRef::new(0x55); 8]);
        [
            (BLKIF_OP_WRITE, Body::Direct { sector, count: 11, segments: [segment; 11] }),
            (
                BLKIF_OP_INDIRECT,
                Body::Indirect { operation: BLKIF_OP_READ, sector, count: 512, pages },
            ),
            (BLKIF_OP_DISCARD, Body::Discard { flag: 1, sector, count: 1 << 40 }),
            (77, Body::Unknown),
        ]
    }

    fn round<L: Layout>() {
        for (operation, body) in bodies() {
            let request = Request { id: u64::MAX - 1, operation, body };
            assert_eq!(L::decode(&L::encode(&request)), request);
        }
        let response = Response { id: 1 << 63, operation: 5, status: -2 };
        assert_eq!(L::decode_response(&L::encode_response(&response)), response);
    }

    #[test]
    fn what_is_written_is_read() {
        round::<X86_32>();
        round::<X86_64>();
    }

    #[test]
    fn layouts_differ_where_the_header_says() {
        let [(operation, body), ..] = bodies();
        let request = Request { id: 0x1122_3344_5566_7788, operation, body };
        let narrow: Vec<u8> = X86_32::encode(&request).as_bytes().into();
        let wide: Vec<u8> = X86_64::encode(&request).as_bytes().into();
        assert_eq!((narrow.len(), wide.len()), (108, 112));
        assert_eq!(narrow[4..12], wide[8..16], "id");
        assert_eq!(narrow[12..20], wide[16..24], "sector");
        assert_eq!(narrow[20..], wide[24..], "segments");
    }

    #[test]
    fn protocols_are_known_by_name() {
        assert_eq!(Protocol::parse(b"x86_32-abi"), Some(Protocol::X86_32));
        assert_eq!(Protocol::parse(b"x86_64-abi\n"), Some(Protocol::X86_64));
        assert_eq!(Protocol::parse(b"arm-abi"), None);
    }
}
