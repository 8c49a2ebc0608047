//! What a stack leaves to its interface: checksums, and the cutting of a stream into frames of a wire.

use super::{ETHERNET_HEADER, ETHERNET_MTU};
use xenbus::net::{Checksum, Copes, Family, Frame, Segments, leave_blank};

/// What this kernel's stack copes with in frames that come: those of several segments, too, since it
/// takes as much of a stream at once as there is.
pub const COPES: Copes = Copes { segments_v6: false, ..Copes::ALL };

/// Bytes of a frame at most: the rings count them in 16 bits.
const LONGEST: usize = u16::MAX as usize;
/// Bytes of the headers of IPv4 and TCP, without options.
const HEADERS: usize = 40;

/// A stack's frame on its way out. One with more than a wire's frames carry is of TCP over IPv4, to be
/// cut where it gets to a wire, if it does; where it is anything else nothing is left of it there. None:
/// it is too long.
pub fn outgoing(bytes: &[u8]) -> Option<Frame> {
    if bytes.len() > LONGEST {
        return None;
    }
    let mut bytes = bytes.to_vec();
    let checksum = if leave_blank(&mut bytes) { Checksum::Blank } else { Checksum::Unchecked };
    let is_long = bytes.len() > ETHERNET_HEADER + ETHERNET_MTU;
    let size = (ETHERNET_MTU - HEADERS) as u16;
    let segments = is_long.then_some(Segments { family: Family::V4, size });
    Some(Frame { bytes, checksum, segments })
}

#[cfg(test)]
mod tests {
    use super::super::traffic;
    use super::*;

    #[test]
    fn what_a_wire_does_not_take_is_cut_there() {
        let bytes = |length| traffic::frame([2; 6], [4; 6], length).unwrap();
        let short = outgoing(&bytes(1514)).unwrap();
        assert_eq!((short.segments, short.checksum), (None, Checksum::Blank));
        assert_eq!(short.suit(Copes::WIRE).len(), 1);
        let long = outgoing(&bytes(LONGEST)).unwrap();
        assert_eq!(long.clone().suit(COPES), core::slice::from_ref(&long));
        let cut = long.suit(Copes::WIRE);
        assert_eq!(cut.len(), (LONGEST - 54).div_ceil(1460));
        assert!(cut.iter().all(|frame| frame.bytes.len() <= 1514 && frame.is_sound()));
        assert!(outgoing(&[0; LONGEST + 1]).is_none());
    }
}
