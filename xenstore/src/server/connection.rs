//! One client's stream.

use core::fmt;

use pv_abi::types::DomId;

use super::outbox::Outbox;
use crate::wire::Framer;

/// Names a connection of one server. Never used again after its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u32);

impl ConnectionId {
    pub(crate) const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// A number for logs.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection:{}", self.0)
    }
}

/// What the server keeps of a connection.
pub(crate) struct Connection {
    pub(crate) domid: DomId,
    pub(crate) framer: Framer,
    pub(crate) outbox: Outbox,
    pub(crate) closed: bool,
}

impl Connection {
    pub(crate) fn new(domid: DomId) -> Self {
        Self { domid, framer: Framer::default(), outbox: Outbox::default(), closed: false }
    }
}
