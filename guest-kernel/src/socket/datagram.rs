//! UDP.
//!
//! A datagram that is longer than a frame is refused: nothing is sent in fragments.

use super::ports;
use super::stack::{Body, Id, Result, Stack};
use crate::errno::{EACCES, EAGAIN, EDESTADDRREQ, EINVAL, EMSGSIZE, ENETUNREACH, ENOBUFS, EPIPE};
use crate::fs::file::Ready;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{self, UdpMetadata};
use smoltcp::wire::{IpAddress, IpListenEndpoint};

/// Bytes of datagrams that wait to be received.
const RECEIVED: usize = 32 << 10;
/// Bytes of datagrams that wait to be sent.
const SENT: usize = 8 << 10;
/// Datagrams that wait, in either direction.
const DATAGRAMS: usize = 32;
/// Bytes of a packet before what it carries: the headers of IP and UDP.
const HEADERS: usize = 20 + 8;

/// A datagram socket: smoltcp's, once it has a port.
#[derive(Default)]
pub(super) struct Datagram {
    handle: Option<SocketHandle>,
}

impl Datagram {
    pub(super) fn handle(&self) -> Option<SocketHandle> {
        self.handle
    }
}

impl Stack {
    fn udp(&mut self, handle: SocketHandle) -> &mut udp::Socket<'static> {
        self.pool.get_mut(handle)
    }

    fn datagram(&mut self, id: Id) -> Result<&mut Datagram> {
        match &mut self.entry(id)?.body {
            Body::Datagram(datagram) => Ok(datagram),
            _ => Err(EINVAL),
        }
    }

    /// Has a datagram socket hear at its address; nothing for other kinds.
    pub(super) fn bind_datagram(&mut self, id: Id) -> Result {
        let entry = self.entry(id)?;
        let (Body::Datagram(_), Some(local)) = (&entry.body, entry.local) else { return Ok(()) };
        if self.is_short {
            return Err(ENOBUFS);
        }
        let buffer = |bytes| {
            let packets = alloc::vec![udp::PacketMetadata::EMPTY; DATAGRAMS];
            udp::PacketBuffer::new(packets, alloc::vec![0; bytes])
        };
        let mut socket = udp::Socket::new(buffer(RECEIVED), buffer(SENT));
        let ip = (!local.ip().is_unspecified()).then_some(IpAddress::Ipv4(*local.ip()));
        socket.bind(IpListenEndpoint { addr: ip, port: local.port() }).map_err(|_| EINVAL)?;
        let handle = self.pool.add(socket);
        self.datagram(id)?.handle = Some(handle);
        Ok(())
    }

    /// smoltcp's socket, with a port of its own if it had none.
    fn bound(&mut self, id: Id) -> Result<SocketHandle> {
        if self.datagram(id)?.handle.is_none() {
            let local = self.take_port(id, super::address::ANY)?;
            self.entry(id)?.local = Some(local);
            self.bind_datagram(id)?;
        }
        self.datagram(id)?.handle.ok_or(EINVAL)
    }

    /// Says whom a datagram or raw socket sends to and hears.
    pub(super) fn connect_datagram(&mut self, id: Id, to: SocketAddrV4) -> Result {
        let to = ports::or_loopback(to);
        let source = self.source_to(*to.ip()).ok_or(ENETUNREACH)?;
        let entry = self.entry(id)?;
        if to.ip().is_broadcast() && !entry.options.broadcast {
            return Err(EACCES);
        }
        entry.peer = Some(to);
        if matches!(entry.body, Body::Datagram(_)) {
            self.bound(id)?;
        }
        let local = self.entry(id)?.local.get_or_insert(super::address::ANY);
        if local.ip().is_unspecified() {
            // Programs ask a connected socket what the host's address is on the way there.
            local.set_ip(source);
        }
        Ok(())
    }

    /// Whom to send to, and the address that it comes from.
    ///
    /// # Errors
    /// EDESTADDRREQ: nobody; ENETUNREACH: nothing leads there; EACCES: everybody, unasked.
    pub(super) fn route(
        &mut self,
        id: Id,
        to: Option<SocketAddrV4>,
    ) -> Result<(SocketAddrV4, Ipv4Addr)> {
        let entry = self.entry(id)?;
        let to = ports::or_loopback(to.or(entry.peer).ok_or(EDESTADDRREQ)?);
        let may_broadcast = entry.options.broadcast;
        let own = entry.local.map(|local| *local.ip()).filter(|ip| !ip.is_unspecified());
        let source = self.source_to(*to.ip()).ok_or(ENETUNREACH)?;
        let is_broadcast = to.ip().is_broadcast()
            || self.settings().is_some_and(|settings| settings.broadcast() == *to.ip());
        if is_broadcast && !may_broadcast {
            return Err(EACCES);
        }
        Ok((to, own.unwrap_or(source)))
    }

    pub(super) fn send_datagram(
        &mut self,
        id: Id,
        bytes: &[u8],
        to: Option<SocketAddrV4>,
    ) -> Result<usize> {
        let (to, source) = self.route(id, to)?;
        if to.port() == 0 {
            return Err(EINVAL);
        }
        if bytes.len() + HEADERS > self.link.mtu() {
            return Err(EMSGSIZE);
        }
        let handle = self.bound(id)?;
        let hop_limit = self.entry(id)?.options.hop_limit;
        let socket = self.udp(handle);
        socket.set_hop_limit(hop_limit);
        let mut meta = UdpMetadata::from(smoltcp::wire::IpEndpoint::from(to));
        meta.local_address = Some(IpAddress::Ipv4(source));
        match socket.send_slice(bytes, meta) {
            Ok(()) => Ok(bytes.len()),
            Err(udp::SendError::Unaddressable) => Err(EPIPE),
            Err(udp::SendError::BufferFull) => {
                self.ready(id);
                Err(EAGAIN)
            }
        }
    }

    pub(super) fn receive_datagram(
        &mut self,
        id: Id,
        into: &mut [u8],
        peek: bool,
    ) -> Result<(usize, Option<SocketAddrV4>)> {
        if let Some(error) = self.entry(id)?.error.take() {
            return Err(error);
        }
        if !self.ready(id).contains(Ready::READ) {
            return Err(EAGAIN);
        }
        let handle = self.bound(id)?;
        let socket = self.udp(handle);
        let (bytes, from) = if peek {
            socket.peek().map(|(bytes, meta)| (bytes, *meta)).map_err(|_| EAGAIN)?
        } else {
            socket.recv().map_err(|_| EAGAIN)?
        };
        for (place, byte) in into.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Ok((bytes.len(), super::listener::v4(from.endpoint)))
    }

    /// Drops what did not come from the peer of a connected socket, too.
    pub(super) fn ready_datagram(&mut self, id: Id) -> Ready {
        let Ok(entry) = self.entry(id) else { return Ready::ERROR };
        let peer = entry.peer;
        let Body::Datagram(Datagram { handle: Some(handle) }) = entry.body else {
            return Ready::WRITE;
        };
        let socket = self.udp(handle);
        while let Ok((_, meta)) = socket.peek() {
            if peer.is_none_or(|peer| super::listener::v4(meta.endpoint) == Some(peer)) {
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
