//! `netio`: frames by the thousand, for who measures the way that they take.
//!
//! They are of TCP over IPv4, between addresses that are nobody's (RFC 5737): whose card they are
//! for, its stack takes them and throws them away.

use super::{ETHERNET_HEADER, Mac};
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of the headers of Ethernet, IPv4 and TCP: no frame is shorter.
const HEADERS: usize = ETHERNET_HEADER + 40;
/// Sender and receiver.
const ADDRESSES: [u8; 8] = [192, 0, 2, 1, 192, 0, 2, 2];

/// A frame of so many bytes. None: that is too few, or more than IPv4 can say.
pub fn frame(to: Mac, from: Mac, length: usize) -> Option<Vec<u8>> {
    let total = u16::try_from(length.checked_sub(ETHERNET_HEADER)?).ok()?;
    if length < HEADERS {
        return None;
    }
    let [high, low] = total.to_be_bytes();
    // Version and size of the header, length, may be no fragment, TTL, TCP, no checksum yet.
    let mut ip = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..].copy_from_slice(&ADDRESSES);
    let sum: u32 =
        ip.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    // Two additions bring in all that can be carried.
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let mut frame = vec![0; length];
    let parts: [&[u8]; 4] = [&to, &from, &[8, 0], &ip];
    let headers = parts.concat();
    frame.get_mut(..headers.len())?.copy_from_slice(&headers);
    // Where TCP's header ends.
    *frame.get_mut(headers.len() + 12)? = 5 << 4;
    Some(frame)
}

/// What `netio` is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whom the frames are for.
    pub to: Mac,
    /// Bytes of each.
    pub length: usize,
    /// How many.
    pub count: u64,
    /// After how many there is a pause, for a way that does not say when it is full.
    pub burst: u64,
}

impl Order {
    /// What the words `MAC BYTES COUNT [BURST]` say.
    pub fn parse(words: &[&str]) -> Option<Order> {
        let [to, length, count, burst @ ..] = words else { return None };
        let burst = burst.first().map_or(Some(u64::MAX), |burst| burst.parse().ok());
        Some(Order {
            to: xenbus::net::parse_mac(to)?,
            length: length.parse().ok()?,
            count: count.parse().ok()?,
            burst: burst.filter(|burst| *burst > 0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_they_say() {
        for length in [54, 64, 1514, 0xffff] {
            let frame = frame([1; 6], [2; 6], length).unwrap();
            assert_eq!(frame.len(), length);
            let parsed = smoltcp::wire::Ipv4Packet::new_checked(&frame[14..]).unwrap();
            assert!(parsed.verify_checksum());
            assert_eq!(usize::from(parsed.total_len()), length - 14);
            let tcp = smoltcp::wire::TcpPacket::new_checked(parsed.payload()).unwrap();
            assert_eq!(tcp.payload().len(), length - 54);
        }
        assert!(frame([1; 6], [2; 6], 53).is_none());
        assert!(frame([1; 6], [2; 6], 0x1_0000 + 14).is_none());
    }

    #[test]
    fn orders_are_read() {
        let order = Order { to: [0, 0x16, 0x3e, 0, 0, 1], length: 64, count: 10, burst: u64::MAX };
        assert_eq!(Order::parse(&["00:16:3e:00:00:01", "64", "10"]), Some(order));
        let burst = Order::parse(&["00:16:3e:00:00:01", "64", "10", "8"]);
        assert_eq!(burst, Some(Order { burst: 8, ..order }));
        for words in [
            &["00:16:3e:00:00:01", "64"][..],
            &["x", "64", "10"],
            &["0:0:0:0:0:0", "64", "10", "0"],
        ] {
            assert_eq!(Order::parse(words), None, "{words:?}");
        }
    }
}
