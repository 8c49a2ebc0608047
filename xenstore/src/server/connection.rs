//! One client's stream.

use alloc::collections::BTreeMap;
use core::fmt;

use pv_abi::types::DomId;

use super::outbox::Outbox;
use crate::transaction::Transaction;
use crate::wire::Framer;

/// Names a connection of one server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u32);

impl ConnectionId {
    pub(crate) const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// The number, for logs.
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

/// What the server keeps of a connection. Its watches are with the others.
pub(crate) struct Connection {
    pub(crate) domid: DomId,
    pub(crate) framer: Framer,
    pub(crate) outbox: Outbox,
    pub(crate) closed: bool,
    /// The open transactions by their id, which is never 0.
    pub(crate) transactions: BTreeMap<u32, Transaction>,
    pub(crate) last_transaction: u32,
}

impl Connection {
    pub(crate) fn new(domid: DomId) -> Self {
        Self {
            domid,
            framer: Framer::default(),
            outbox: Outbox::default(),
            closed: false,
            transactions: BTreeMap::new(),
            last_transaction: 0,
        }
    }
}
