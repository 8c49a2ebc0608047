//! One client's socket.

use std::io::{ErrorKind, Read, Write};

use mio::net::UnixStream;
use xenstore::DomId;
use xenstore::server::ConnectionId;
use xenstore::wire::Trace;

/// What is kept of a client beside what the server keeps.
///
/// The poll reports a change once. So it is remembered here what the socket can do, until it says
/// that it cannot.
pub(crate) struct Peer {
    pub(crate) id: ConnectionId,
    pub(crate) domid: DomId,
    stream: UnixStream,
    requests: Trace,
    /// Reading may give bytes, or the end of the stream.
    pub(crate) readable: bool,
    /// Writing may take bytes.
    pub(crate) writable: bool,
    /// It has closed its end, or the socket is broken: nothing will come any more.
    pub(crate) ended: bool,
}

impl Peer {
    pub(crate) fn new(stream: UnixStream, domid: DomId, id: ConnectionId) -> Self {
        let requests = Trace::default();
        Self { id, domid, stream, requests, readable: true, writable: true, ended: false }
    }

    /// For registering it with the poll.
    pub(crate) fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    /// What came, at most as much as fits into `buffer`.
    pub(crate) fn read<'a>(&mut self, buffer: &'a mut [u8]) -> &'a [u8] {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => break self.ended = true,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let (client, domid) = (self.id.raw(), self.domid);
                    self.requests.follow(bytes, |request| {
                        log::trace!("client {client} ({domid}): {request}")
                    });
                    return bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break self.readable = false,
                Err(_) => break self.ended = true,
            }
        }
        &[]
    }

    /// How many of these bytes the socket took.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        loop {
            match self.stream.write(bytes) {
                Ok(count) => return count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break self.writable = false,
                Err(_) => break self.ended = true,
            }
        }
        0
    }
}
