//! ICMP's echo requests and replies, for `ping`.

/// Bytes that a request carries along, as Linux's `ping` has it.
pub const PAYLOAD: usize = 56;
/// Bytes of a request.
pub const REQUEST: usize = 8 + PAYLOAD;

/// The request number `sequence` of those with this identifier.
pub fn request(identifier: u16, sequence: u16) -> [u8; REQUEST] {
    let mut packet = [0; REQUEST];
    packet[0] = 8;
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    for (place, byte) in packet[8..].iter_mut().zip(0..) {
        *place = byte;
    }
    let checksum = checksum(&packet);
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// The number of the request that a packet (with its IP header) answers, if it answers one of those
/// with this identifier; and the routers that it could still have passed.
pub fn reply(packet: &[u8], identifier: u16) -> Option<(u16, u8)> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let hops = *packet.get(8)?;
    let [0, 0, _, _, i0, i1, s0, s1] = *packet.get(header..header + 8)? else { return None };
    (u16::from_be_bytes([i0, i1]) == identifier).then_some((u16::from_be_bytes([s0, s1]), hops))
}

/// The internet's checksum of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
        .sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}
