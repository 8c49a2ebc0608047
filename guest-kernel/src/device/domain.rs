//! This domain as drivers know it: the traits of `xenbus::access`, by hypercalls.

use super::Bell;
use super::bell::ring_number;
use crate::grant::{self, Granted, Own};
use crate::ports::{self, Channels};
use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};
use ring1::events;
use xenbus::access::{Copies, Events, Grants, Piece, Shared};

/// The domain, for one device: events at the ports that it makes or binds ring the device's bell.
/// A copy serves as well, in any thread.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    bell: Bell,
}

impl Domain {
    /// For a device with this bell.
    pub fn new(bell: Bell) -> Domain {
        Domain { bell }
    }

    /// The device's bell.
    pub fn bell(&self) -> Bell {
        self.bell
    }

    /// Has events at a new port ring, those that came already included.
    fn listen(&self, port: Port) -> Port {
        ports::set_with(port, ring_number, self.bell.number());
        events::unmask_port(port);
        port
    }
}

impl Events for Domain {
    fn alloc_unbound(&mut self, remote: DomId) -> Result<Port, Errno> {
        Channels.alloc_unbound(remote).map(|port| self.listen(port))
    }

    fn bind(&mut self, remote: DomId, port: Port) -> Result<Port, Errno> {
        Channels.bind(remote, port).map(|port| self.listen(port))
    }

    fn send(&mut self, port: Port) -> Result<(), Errno> {
        Channels.send(port)
    }

    fn close(&mut self, port: Port) -> Result<(), Errno> {
        Channels.close(port)
    }
}

impl Grants for Domain {
    type Own = Own;
    type Foreign = Granted;

    fn share(&mut self, with: DomId, pages: usize) -> Result<Shared<Own>, Errno> {
        Own::share(with, pages)
    }

    fn end(&mut self, shared: Shared<Own>) -> Result<(), Shared<Own>> {
        Own::end(shared)
    }

    fn map(&mut self, of: DomId, grants: &[GrantRef]) -> Result<Granted, Errno> {
        Granted::map(of, grants)
    }

    fn unmap(&mut self, memory: Granted) {
        drop(memory);
    }
}

impl Copies for Domain {
    fn copy(&mut self, with: DomId, pieces: &mut [Piece<'_>]) {
        grant::copy(with, pieces);
    }
}
