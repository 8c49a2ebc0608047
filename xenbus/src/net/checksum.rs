//! TCP and UDP in a frame: where they are, and their checksums.
//!
//! Frames come from guests. What is not TCP or UDP in one piece, with headers that fit the frame, is
//! simply none.

use core::ops::Range;

use super::HEADER;
use super::frame::Family;

const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86dd;
const TYPE_VLAN: u16 = 0x8100;
pub(super) const TCP: u8 = 6;
const UDP: u8 = 17;
/// IPv6: hop-by-hop options, routing, destination options.
const EXTENSIONS: [u8; 3] = [0, 43, 60];
/// How many of them are looked past.
const EXTENSIONS_MOST: usize = 8;

/// TCP or UDP in a frame: places are counted from the frame's first byte.
pub(super) struct Transport {
    pub(super) family: Family,
    pub(super) protocol: u8,
    /// Where the IP header begins.
    pub(super) ip: usize,
    /// Both addresses of IP, side by side.
    pub(super) addresses: Range<usize>,
    /// Header and data.
    pub(super) body: Range<usize>,
}

impl Transport {
    /// Finds it.
    pub(super) fn find(frame: &[u8]) -> Option<Transport> {
        let (ip, kind) = match word(frame, 12)? {
            TYPE_VLAN => (HEADER + 4, word(frame, 16)?),
            kind => (HEADER, kind),
        };
        let transport = match kind {
            TYPE_IPV4 => Self::over_ipv4(frame, ip)?,
            TYPE_IPV6 => Self::over_ipv6(frame, ip)?,
            _ => return None,
        };
        let least = match transport.protocol {
            TCP => 20,
            UDP => 8,
            _ => return None,
        };
        let fits = transport.body.end <= frame.len() && transport.body.len() >= least;
        fits.then_some(transport)
    }

    fn over_ipv4(frame: &[u8], ip: usize) -> Option<Transport> {
        let first = *frame.get(ip)?;
        let header = usize::from(first & 0xf) * 4;
        let total = usize::from(word(frame, ip + 2)?);
        // A fragment has a part of the body only.
        let whole = word(frame, ip + 6)? & 0x3fff == 0;
        if first >> 4 != 4 || header < 20 || !whole {
            return None;
        }
        Some(Transport {
            family: Family::V4,
            protocol: *frame.get(ip + 9)?,
            ip,
            addresses: ip + 12..ip + 20,
            body: ip + header..ip + total,
        })
    }

    fn over_ipv6(frame: &[u8], ip: usize) -> Option<Transport> {
        let mut protocol = *frame.get(ip + 6)?;
        let end = ip + 40 + usize::from(word(frame, ip + 4)?);
        let mut at = ip + 40;
        for _ in 0..EXTENSIONS_MOST {
            if !EXTENSIONS.contains(&protocol) {
                break;
            }
            protocol = *frame.get(at)?;
            at += 8 + usize::from(*frame.get(at + 1)?) * 8;
        }
        let addresses = ip + 8..ip + 40;
        let is_ipv6 = *frame.get(ip)? >> 4 == 6;
        let transport = Transport { family: Family::V6, protocol, ip, addresses, body: at..end };
        is_ipv6.then_some(transport)
    }

    /// Where the checksum is.
    fn field(&self) -> usize {
        self.body.start + if self.protocol == TCP { 16 } else { 6 }
    }

    /// The sum of what is not in the body, but protected with it.
    fn pseudo_header(&self, frame: &[u8]) -> u32 {
        let addresses = frame.get(self.addresses.clone()).unwrap_or_default();
        // No body is longer than 64 KiB: by IPv4 and by IPv6 its length has 16 bits.
        sum(addresses) + u32::from(self.protocol) + self.body.len() as u32
    }
}

/// The IP in a frame that has TCP or UDP.
pub(super) fn family(frame: &[u8]) -> Option<Family> {
    Transport::find(frame).map(|transport| transport.family)
}

/// What tells the ends of a flow: the addresses, and the ports which follow them unless there are
/// options.
pub(super) fn ends(frame: &[u8]) -> Option<&[u8]> {
    let transport = Transport::find(frame)?;
    frame.get(transport.addresses.start..transport.body.start + 4)
}

/// Puts the checksum into a frame, whatever stands in its place. False: it has no TCP or UDP.
pub(super) fn fill(frame: &mut [u8]) -> bool {
    let Some(transport) = Transport::find(frame) else { return false };
    put(frame, transport.field(), 0);
    let body = frame.get(transport.body.clone()).unwrap_or_default();
    let sum = !fold(sum(body) + transport.pseudo_header(frame));
    // For UDP 0 means that there is none.
    let sum = if sum == 0 && transport.protocol == UDP { 0xffff } else { sum };
    put(frame, transport.field(), sum);
    true
}

/// Whether the checksum in a frame is right, or there is none.
pub(super) fn is_right(frame: &[u8]) -> bool {
    let Some(transport) = Transport::find(frame) else { return true };
    let is_left_out = transport.protocol == UDP && word(frame, transport.field()) == Some(0);
    let body = frame.get(transport.body.clone()).unwrap_or_default();
    is_left_out || fold(sum(body) + transport.pseudo_header(frame)) == 0xffff
}

/// Has a frame be [`Blank`](super::Checksum::Blank): puts the sum of the pseudo header in the
/// checksum's place, where the peer expects it. False: the frame has no TCP or UDP.
pub fn leave_blank(frame: &mut [u8]) -> bool {
    let Some(transport) = Transport::find(frame) else { return false };
    let sum = fold(transport.pseudo_header(frame));
    put(frame, transport.field(), sum);
    true
}

/// Puts the checksum of an IPv4 header into it.
pub(super) fn fill_ipv4_header(frame: &mut [u8], header: Range<usize>) {
    put(frame, header.start + 10, 0);
    let sum = !fold(sum(frame.get(header.clone()).unwrap_or_default()));
    put(frame, header.start + 10, sum);
}

/// The 16-bit number at `at`, in the network's order.
pub(super) fn word(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

/// Writes the 16-bit number at `at`; nothing past the end.
pub(super) fn put(frame: &mut [u8], at: usize, value: u16) {
    if let Some(place) = frame.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = value.to_be_bytes();
    }
}

/// The sum of 16-bit numbers, carries added in. Every byte of a frame may go through here, so they are
/// added four at a time, in the order in which the machine has them: as 2^16 is 1 in this arithmetic,
/// only the places within a pair matter, and the sum is right when its own are swapped.
fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks();
    let mut last = [0; 4];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    let words = words.iter().chain([&last]).map(|word| u64::from(u32::from_ne_bytes(*word)));
    // Of 64 KiB the sum has 46 bits.
    let sum: u64 = words.sum();
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    u32::from(u16::from_be_bytes(fold(sum as u32).to_ne_bytes()))
}

/// The sum with its carries added in.
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sum_is_that_of_pairs(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let pairs = bytes.chunks(2).map(|pair| {
                u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))
            });
            let pairs: u32 = pairs.sum();
            prop_assert_eq!(sum(&bytes), u32::from(fold(pairs)));
        }
    }

    #[test]
    fn the_longest_frame_s_sum_is_right() {
        for (byte, expected) in [(0, 0), (1, 0x8080), (0xff, 0xffff)] {
            assert_eq!(sum(&[byte; 0x1_0000]), expected, "{byte}");
        }
    }
}
