//! A server and clients of it in one process, for tests.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::client::{Client, Error, Transport};
use crate::perms::Permission;
use crate::quota::Quotas;
use crate::server::{ConnectionId, Server};
use crate::wire::MessageType;

/// Nothing came: a client would wait for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Silence;

/// A connection to a server in the same process.
pub(crate) struct Wire {
    pub(crate) server: Rc<RefCell<Server>>,
    pub(crate) id: ConnectionId,
}

impl Transport for Wire {
    type Error = Silence;

    fn send(&mut self, bytes: &[u8]) -> Result<(), Silence> {
        self.server.borrow_mut().input(self.id, bytes);
        Ok(())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Silence> {
        let mut server = self.server.borrow_mut();
        let output = server.output(self.id);
        let count = output.len().min(bytes.len());
        bytes[..count].copy_from_slice(&output[..count]);
        server.sent(self.id, count);
        match count {
            0 if server.is_closed(self.id) => Ok(0),
            0 => Err(Silence),
            count => Ok(count),
        }
    }
}

/// Why a request of a test failed.
pub(crate) type Failure = Error<Silence>;

/// What a refused request gives.
pub(crate) const fn refused<T>(errno: Errno) -> Result<T, Failure> {
    Err(Error::Refused(errno))
}

/// A server.
pub(crate) struct World {
    pub(crate) server: Rc<RefCell<Server>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One with other quotas than Xen's.
    pub(crate) fn with(set: impl FnOnce(&mut Quotas)) -> Self {
        let mut quotas = Quotas::default();
        set(&mut quotas);
        Self { server: Rc::new(RefCell::new(Server::new(quotas))) }
    }

    /// A client of a domain.
    pub(crate) fn client(&self, domid: u16) -> Client<Wire> {
        let id = self.server.borrow_mut().connect(DomId::new(domid));
        Client::new(Wire { server: self.server.clone(), id })
    }

    /// A client of a domain that domain 0 has introduced and given a home.
    pub(crate) fn domain(&self, domid: u16) -> Client<Wire> {
        use crate::client::Store;
        let mut zero = self.client(0);
        let home = std::format!("/local/domain/{domid}");
        zero.mkdir(&home).unwrap();
        zero.set_perms(&home, &perms(&std::format!("n{domid}"))).unwrap();
        zero.introduce(DomId::new(domid), 1, 1).unwrap();
        self.server.borrow_mut().disconnect(zero.transport().id);
        self.client(domid)
    }
}

/// Permissions of their texts, blanks between.
pub(crate) fn perms(texts: &str) -> Vec<Permission> {
    Permission::parse_list(texts.split(' ').map(str::as_bytes)).unwrap()
}

/// A request by its number and bytes.
pub(crate) fn ask(
    client: &mut Client<Wire>,
    kind: MessageType,
    transaction: u32,
    payload: &[u8],
) -> Result<Vec<u8>, Failure> {
    client.exchange(kind, transaction, payload)
}

/// Every event that waits for a client, as `path token`.
pub(crate) fn events(client: &mut Client<Wire>) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(event) = client.next_event() {
        all.push(std::format!("{} {}", event.path, event.token));
    }
    all
}
