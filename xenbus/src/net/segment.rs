//! Cutting a frame with more of a TCP stream than a wire's frames take.

use alloc::vec::Vec;

use super::checksum::{self, TCP, Transport, fill_ipv4_header, put, word};
use super::frame::{Checksum, Family, Frame, Segments};

/// Segments of a frame at most: as many as 64 KiB have with the least size that IPv4 has to carry.
/// More would be a guest's way to have memory filled for it.
const MOST: usize = 128;
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// The frames in `frame`, with their checksums. None: it has no TCP of that family, headers that do
/// not fit, or more segments than [`MOST`].
pub(super) fn cut(frame: &Frame, segments: Segments) -> Option<Vec<Frame>> {
    let bytes = &frame.bytes;
    let transport = Transport::find(bytes)?;
    let tcp = transport.body.start;
    if transport.family != segments.family || transport.protocol != TCP {
        return None;
    }
    let data = tcp + usize::from(bytes.get(tcp + 12)? >> 4) * 4;
    if data < tcp + 20 {
        return None;
    }
    let headers = bytes.get(..data)?;
    let stream = bytes.get(data..transport.body.end)?;
    let sequence = u32::from_be_bytes(*bytes.get(tcp + 4..)?.first_chunk()?);
    let pieces = stream.chunks(usize::from(segments.size).max(1));
    if pieces.len() > MOST {
        return None;
    }
    let last = pieces.len().saturating_sub(1);
    let mut cut = Vec::with_capacity(pieces.len());
    for (number, piece) in pieces.enumerate() {
        let mut bytes = Vec::with_capacity(headers.len() + piece.len());
        bytes.extend_from_slice(headers);
        bytes.extend_from_slice(piece);
        // As many bytes of IP as the frame has.
        let length = bytes.len() - transport.ip;
        match transport.family {
            Family::V4 => {
                put(&mut bytes, transport.ip + 2, length as u16);
                let id = word(headers, transport.ip + 4)?.wrapping_add(number as u16);
                put(&mut bytes, transport.ip + 4, id);
                fill_ipv4_header(&mut bytes, transport.ip..tcp);
            }
            Family::V6 => put(&mut bytes, transport.ip + 4, (length - 40) as u16),
        }
        let at = sequence.wrapping_add(number as u32 * u32::from(segments.size));
        bytes.get_mut(tcp + 4..tcp + 8)?.copy_from_slice(&at.to_be_bytes());
        let flags = bytes.get_mut(tcp + 13)?;
        // What ends the stream is said last, what answers a mark of congestion first.
        *flags &= if number == last { !0 } else { !FIN_PSH };
        *flags &= if number == 0 { !0 } else { !CWR };
        checksum::fill(&mut bytes);
        cut.push(Frame { bytes, checksum: Checksum::Valid, segments: None });
    }
    Some(cut)
}
