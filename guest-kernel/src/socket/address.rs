//! `struct sockaddr_in` of Linux: family, port and address, sixteen bytes.

use crate::errno::{EAFNOSUPPORT, EINVAL};
use crate::shell::kernel::Errno;
use core::net::{Ipv4Addr, SocketAddrV4};

/// `AF_UNSPEC`.
pub const AF_UNSPEC: u16 = 0;
/// `AF_UNIX`.
pub const AF_UNIX: u16 = 1;
/// `AF_INET`.
pub const AF_INET: u16 = 2;
/// Bytes of `struct sockaddr_in`.
pub const SIZE: usize = 16;
/// Bytes of `struct sockaddr_storage`: more than that is no address.
pub const LARGEST: usize = 128;

/// Any address and no port: what is not bound has it.
pub const ANY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// The family that an address begins with.
///
/// # Errors
/// EINVAL: it is too short to have one.
pub fn family(bytes: &[u8]) -> Result<u16, Errno> {
    let (family, _) = bytes.split_first_chunk().ok_or(EINVAL)?;
    Ok(u16::from_ne_bytes(*family))
}

/// Reads an address.
///
/// # Errors
/// EINVAL: it is too short; EAFNOSUPPORT: it is not one of IPv4.
pub fn decode(bytes: &[u8]) -> Result<SocketAddrV4, Errno> {
    let family = family(bytes)?;
    let [_, _, p0, p1, a, b, c, d, ..] = *bytes else { return Err(EINVAL) };
    if bytes.len() < SIZE {
        return Err(EINVAL);
    }
    if family != AF_INET {
        return Err(EAFNOSUPPORT);
    }
    Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1])))
}

/// Writes an address.
pub fn encode(address: SocketAddrV4) -> [u8; SIZE] {
    let [f0, f1] = AF_INET.to_ne_bytes();
    let [p0, p1] = address.port().to_be_bytes();
    let [a, b, c, d] = address.ip().octets();
    [f0, f1, p0, p1, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}
