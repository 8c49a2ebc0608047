//! Raw sockets: packets of one protocol of IP, for `ping`.
//!
//! As in Linux, what is received begins with its IP header and what is sent gets one here.

use super::stack::{Body, Id, Result, Stack};
use crate::errno::{EAGAIN, EINVAL, EMSGSIZE};
use crate::fs::file::Ready;
use core::net::SocketAddrV4;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::raw;
use smoltcp::wire::{IpProtocol, IpVersion, Ipv4Packet, Ipv4Repr};

/// Bytes of packets that wait, in either direction.
const BUFFER: usize = 16 << 10;
/// Packets that wait, in either direction.
const PACKETS: usize = 16;
/// Routers that a packet may pass.
const HOP_LIMIT: u8 = 64;
/// Bytes of the IP header.
const HEADER: usize = 20;

/// A raw socket.
pub(super) struct Raw {
    handle: SocketHandle,
    protocol: u8,
}

impl Raw {
    pub(super) fn handle(&self) -> SocketHandle {
        self.handle
    }
}

impl Stack {
    pub(super) fn open_raw(&mut self, protocol: u8) -> Raw {
        let buffer = || {
            let packets = alloc::vec![raw::PacketMetadata::EMPTY; PACKETS];
            raw::PacketBuffer::new(packets, alloc::vec![0; BUFFER])
        };
        let (version, number) = (Some(IpVersion::Ipv4), Some(IpProtocol::from(protocol)));
        let socket = raw::Socket::new(version, number, buffer(), buffer());
        Raw { handle: self.pool.add(socket), protocol }
    }

    fn raw(&mut self, id: Id) -> Result<(&mut raw::Socket<'static>, u8)> {
        match &self.entry(id)?.body {
            Body::Raw(raw) => {
                let Raw { handle, protocol } = *raw;
                Ok((self.pool.get_mut(handle), protocol))
            }
            _ => Err(EINVAL),
        }
    }

    pub(super) fn send_raw(
        &mut self,
        id: Id,
        bytes: &[u8],
        to: Option<SocketAddrV4>,
    ) -> Result<usize> {
        let (to, source) = self.route(id, to)?;
        if bytes.len() + HEADER > self.link.mtu() {
            return Err(EMSGSIZE);
        }
        let hop_limit = self.entry(id)?.options.hop_limit.unwrap_or(HOP_LIMIT);
        let (socket, protocol) = self.raw(id)?;
        let header = Ipv4Repr {
            src_addr: source,
            dst_addr: *to.ip(),
            next_header: IpProtocol::from(protocol),
            payload_len: bytes.len(),
            hop_limit,
        };
        let Ok(packet) = socket.send(HEADER + bytes.len()) else {
            self.ready(id);
            return Err(EAGAIN);
        };
        let mut packet = Ipv4Packet::new_unchecked(packet);
        header.emit(&mut packet, &ChecksumCapabilities::default());
        packet.payload_mut().copy_from_slice(bytes);
        Ok(bytes.len())
    }

    pub(super) fn receive_raw(
        &mut self,
        id: Id,
        into: &mut [u8],
        peek: bool,
    ) -> Result<(usize, Option<SocketAddrV4>)> {
        if !self.ready(id).contains(Ready::READ) {
            return Err(EAGAIN);
        }
        let (socket, _) = self.raw(id)?;
        let bytes = if peek { socket.peek() } else { socket.recv() }.map_err(|_| EAGAIN)?;
        for (place, byte) in into.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Ok((bytes.len(), source(bytes)))
    }

    /// Drops what did not come from the peer of a connected socket, too.
    pub(super) fn ready_raw(&mut self, id: Id) -> Ready {
        let peer = self.entry(id).ok().and_then(|entry| entry.peer);
        let Ok((socket, _)) = self.raw(id) else { return Ready::ERROR };
        while let Ok(bytes) = socket.peek() {
            let from = source(bytes);
            if peer.is_none_or(|peer| from.is_some_and(|from| from.ip() == peer.ip())) {
                break;
            }
            let _ = socket.recv();
        }
        let mut ready = Ready::empty();
        ready.set(Ready::READ, socket.can_recv());
        ready.set(Ready::WRITE, socket.can_send());
        ready
    }
}

/// Where a packet comes from: an address, and no port.
fn source(packet: &[u8]) -> Option<SocketAddrV4> {
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    Some(SocketAddrV4::new(packet.src_addr(), 0))
}
