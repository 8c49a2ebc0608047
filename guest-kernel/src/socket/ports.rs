//! Which addresses and ports sockets may have.

use super::stack::{Body, Id, Result, Stack};
use crate::errno::{EADDRINUSE, EADDRNOTAVAIL};
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::socket::tcp;

/// The ports that are given to those who ask for none: those of Linux.
const FIRST: u16 = 32768;
/// How many there are.
const COUNT: u16 = 28232;

/// Where the search for a free port goes on.
pub(super) struct Ports {
    next: u16,
}

impl Ports {
    /// Begins somewhere.
    pub(super) fn new(seed: u64) -> Self {
        Self { next: (seed % u64::from(COUNT)) as u16 }
    }

    fn next(&mut self) -> u16 {
        self.next = (self.next + 1) % COUNT;
        FIRST + self.next
    }
}

/// The address as a destination: 0.0.0.0 is the host itself, as in Linux.
pub(super) fn or_loopback(to: SocketAddrV4) -> SocketAddrV4 {
    if to.ip().is_unspecified() { SocketAddrV4::new(Ipv4Addr::LOCALHOST, to.port()) } else { to }
}

/// Whether two sockets at these addresses would get each other's packets.
fn overlap(one: Ipv4Addr, other: Ipv4Addr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

impl Stack {
    /// The address, if sockets of this host can have it.
    ///
    /// # Errors
    /// EADDRNOTAVAIL: it is not the host's.
    pub(super) fn own(&self, address: SocketAddrV4) -> Result<SocketAddrV4> {
        let ip = *address.ip();
        let is_own = ip.is_unspecified() || ip.is_broadcast() || self.is_own(ip);
        if is_own { Ok(address) } else { Err(EADDRNOTAVAIL) }
    }

    /// An address for a socket: the one asked for, with a port that is free if it has none.
    ///
    /// # Errors
    /// EADDRNOTAVAIL: it is not the host's; EADDRINUSE: another socket has it, or all ports.
    pub(super) fn take_port(&mut self, id: Id, wanted: SocketAddrV4) -> Result<SocketAddrV4> {
        let mut address = self.own(wanted)?;
        if wanted.port() != 0 {
            return if self.is_taken(id, wanted)? { Err(EADDRINUSE) } else { Ok(wanted) };
        }
        for _ in 0..COUNT {
            address.set_port(self.ports.next());
            if !self.is_taken(id, address)? {
                return Ok(address);
            }
        }
        Err(EADDRINUSE)
    }

    /// Whether a socket may not have an address since another has it.
    fn is_taken(&mut self, id: Id, address: SocketAddrV4) -> Result<bool> {
        let own = self.entry(id)?;
        let reuse = own.options.reuse_address;
        let is_stream = is_stream(&own.body);
        let taken = self.entries.iter().enumerate().any(|(index, entry)| {
            let Some(entry) = entry.as_ref().filter(|_| index != id.number() as usize) else {
                return false;
            };
            let Some(local) = entry.local.filter(|_| is_stream == self::is_stream(&entry.body))
            else {
                return false;
            };
            // As in Linux: sharing needs the consent of both, and no stream shares with a listener.
            let shares = reuse
                && entry.options.reuse_address
                && !(is_stream && matches!(entry.body, Body::Listener(_)));
            !matches!(entry.body, Body::Raw(_))
                && local.port() == address.port()
                && overlap(*local.ip(), *address.ip())
                && !shares
        });
        let is_lingering = is_stream
            && !reuse
            && self.orphans.iter().any(|handle| {
                let endpoint = self.pool.get::<tcp::Socket<'_>>(*handle).local_endpoint();
                endpoint.is_some_and(|local| local.port == address.port())
            });
        Ok(taken || is_lingering)
    }
}

fn is_stream(body: &Body) -> bool {
    matches!(body, Body::Fresh | Body::Listener(_) | Body::Connection(_))
}
