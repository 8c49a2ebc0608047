//! The other ends of connections, and the log of what they ask.

use super::rings::Ring;
use super::{DOMAIN_0, local};
use crate::host;
use link::ChannelId;
use pv_abi::types::DomId;
use ring1::println;
use xenstore::server::ConnectionId;
use xenstore::wire::Trace;

/// Who is at the other end of a connection.
pub enum End {
    Host(ChannelId),
    Local(local::Number),
    Domain(Ring),
}

impl End {
    /// The domain that its requests are for.
    pub fn domain(&self) -> DomId {
        match self {
            End::Host(_) | End::Local(_) => DOMAIN_0,
            End::Domain(ring) => ring.domain(),
        }
    }
}

/// What is kept of a connection beside what the server keeps.
pub struct Peer {
    pub end: End,
    requests: Trace,
}

impl Peer {
    pub fn new(end: End) -> Self {
        Self { end, requests: Trace::default() }
    }

    /// Takes some bytes that have come; how many. None: the peer is gone.
    pub fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        match &mut self.end {
            End::Host(channel) => {
                // Asked first: what came before the end is not to be missed.
                let closed = host::is_closed(*channel);
                let taken = host::receive(*channel, |bytes| {
                    let taken = bytes.len().min(into.len());
                    into[..taken].copy_from_slice(&bytes[..taken]);
                    taken
                });
                (taken > 0 || !closed).then_some(taken)
            }
            End::Local(number) => local::take_requests(*number, into),
            End::Domain(ring) => ring.read(into),
        }
    }

    /// Gives the peer bytes; how many there was room for. None: the peer is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        match &mut self.end {
            End::Host(channel) => host::send(*channel, bytes),
            End::Local(number) => local::give_replies(*number, bytes),
            End::Domain(ring) => ring.write(bytes),
        }
    }

    /// Follows bytes that were read, and prints the requests that they complete if `logs`.
    pub fn trace(&mut self, id: ConnectionId, bytes: &[u8], logs: bool) {
        let domid = self.end.domain();
        self.requests.follow(bytes, |request| {
            if logs {
                println!("xenstored: client {} ({domid}): {request}", id.raw());
            }
        });
    }
}
