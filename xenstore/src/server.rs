//! The server: bytes of requests in, bytes of replies and events out.
//!
//! # How it is embedded
//!
//! A connection is a stream of bytes with a domain at its other end: a ring, a channel, a socket. The
//! embedder hands bytes over in any pieces ([`Server::input`]) while the server
//! [wants them](Server::wants_input), carries away what waits ([`Server::output`], [`Server::sent`]),
//! and drops a connection that is [closed](Server::is_closed). A request on one connection can give
//! others something to send: [`Server::take_touched`] names them, so that nobody has to look at all.
//! What only the embedder can do comes as an [`Action`]; what only the embedder can see it says with
//! [`Server::domain_died`] and [`Server::domain_shut_down`].
//!
//! # Who may do what
//!
//! Domain 0 is privileged: its connections (there may be many) may do everything. Any other domain is
//! bound by permissions and [`Quotas`]. A client that breaks the framing is closed; any other wrong
//! request gets an error. Who does not take replies and events is not read from any more, so a flood
//! ends at its sender.
//!
//! # Order
//!
//! Requests of a connection are answered in order. The events that a request causes come before its
//! reply, as Xen's do, except for the first event of a watch, which follows the reply to `WATCH`. An
//! event that waits already is not queued again.

mod action;
mod connection;
mod control;
mod delivery;
mod domains;
mod outbox;
mod requests;
#[cfg(test)]
mod tests;
mod transactions;
mod watching;

pub use action::Action;
pub(crate) use connection::Connection;
pub use connection::ConnectionId;
pub(crate) use delivery::Ticket;
pub use domains::Introduced;
pub(crate) use outbox::Outbox;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use pv_abi::types::DomId;

use crate::perms::{Subject, is_privileged};
use crate::quota::Quotas;
use crate::store::Store;
use crate::watch::Watches;
use delivery::Tickets;
use domains::Domains;
use transactions::Ages;

/// A store and its connections. See the [module](self).
pub struct Server {
    pub(crate) store: Store,
    pub(crate) watches: Watches,
    pub(crate) domains: Domains,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) next_connection: u32,
    tickets: Tickets,
    ages: Ages,
    /// Connections whose requests may be answered again.
    resumed: BTreeSet<ConnectionId>,
    touched: BTreeSet<ConnectionId>,
    pub(crate) actions: VecDeque<Action>,
}

impl Server {
    /// A server with the store that Xen begins with.
    #[must_use]
    pub fn new(quotas: Quotas) -> Self {
        Self::over(Store::new(quotas))
    }

    /// A server of a store, without connections.
    pub(crate) fn over(store: Store) -> Self {
        Self {
            store,
            watches: Watches::default(),
            domains: Domains::default(),
            connections: BTreeMap::new(),
            next_connection: 0,
            tickets: Tickets::default(),
            ages: Ages::default(),
            resumed: BTreeSet::new(),
            touched: BTreeSet::new(),
            actions: VecDeque::new(),
        }
    }

    /// A new connection with a domain at its other end.
    pub fn connect(&mut self, domid: DomId) -> ConnectionId {
        let id = ConnectionId::new(self.next_connection);
        self.next_connection = self.next_connection.wrapping_add(1);
        self.connections.insert(id, Connection::new(domid));
        self.domains.joined(domid, id);
        id
    }

    /// Ends a connection: its watches and transactions with it. An unknown one is ignored.
    pub fn disconnect(&mut self, id: ConnectionId) {
        self.close(id);
        if let Some(connection) = self.connections.remove(&id) {
            self.domains.left(connection.domid, id);
        }
        self.touched.remove(&id);
        self.resume();
    }

    /// Takes bytes that came over a connection, whatever the pieces. They are kept where the server
    /// does not [want](Self::wants_input) any now; bytes for a closed or unknown connection are not.
    pub fn input(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.closed
        {
            connection.framer.push(bytes);
            self.serve(id);
            self.resume();
        }
    }

    /// Bytes that wait for the client. There may be more once these are [sent](Self::sent).
    #[must_use]
    pub fn output(&self, id: ConnectionId) -> &[u8] {
        self.connections.get(&id).map_or(&[], |connection| connection.outbox.bytes())
    }

    /// The first `count` bytes of [`output`](Self::output) have gone to the client.
    pub fn sent(&mut self, id: ConnectionId, count: usize) {
        let wanted = self.wants_input(id);
        self.delivered(id, count);
        if !wanted && self.wants_input(id) {
            self.touched.insert(id);
            self.resumed.insert(id);
        }
        self.resume();
    }

    /// Whether bytes of this connection would be looked at now: not while it is closed, nor while
    /// too much waits for the client.
    #[must_use]
    pub fn wants_input(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|connection| {
            let (domid, waiting) = (connection.domid, connection.outbox.len());
            let quotas = &self.store.ledger.quotas;
            let account = self.store.ledger.get(domid);
            !connection.closed
                && if is_privileged(domid) {
                    waiting < quotas.backlog as usize
                } else {
                    account.is_none_or(|account| {
                        let full = account.memory >= quotas.memory as usize && waiting > 0;
                        account.outstanding < quotas.outstanding && !full
                    })
                }
        })
    }

    /// Whether the server is done with the connection: the client broke the protocol, or its domain
    /// was released. The embedder is to [disconnect](Self::disconnect) it. True for unknown ones.
    #[must_use]
    pub fn is_closed(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(|connection| connection.closed)
    }

    /// The next connection with something new for the embedder: bytes wait, it was closed, or it
    /// wants input again. Each is named once.
    pub fn take_touched(&mut self) -> Option<ConnectionId> {
        self.touched.pop_first()
    }

    /// The next thing for the embedder to do.
    pub fn take_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The connections and the domains at their other ends, oldest first.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, DomId)> {
        self.connections.iter().map(|(id, connection)| (*id, connection.domid))
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.store.tree.len()
    }

    /// Checks what must always hold of the store. It looks at every node.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), &'static str> {
        self.store.check()
    }

    /// Who asks, on a connection of a domain.
    fn subject(&self, domid: DomId) -> Subject {
        Subject { domid, target: self.domains.target(domid) }
    }

    /// Answers the requests of a connection that are complete.
    fn serve(&mut self, id: ConnectionId) {
        while self.wants_input(id) {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            match connection.framer.next_message() {
                Ok(Some(request)) => self.answer(id, &request),
                Ok(None) => return,
                Err(_) => self.close(id),
            }
        }
    }

    /// Answers requests that waited for their domain to take what others' requests gave it.
    fn resume(&mut self) {
        while let Some(id) = self.resumed.pop_first() {
            self.serve(id);
        }
    }

    /// Goes on after a restart: the embedder is to look at every connection.
    pub(crate) fn go_on(&mut self) {
        self.touched = self.connections.keys().copied().collect();
        self.resumed = self.touched.clone();
        self.resume();
    }

    /// Is done with a connection: what it had is gone.
    fn close(&mut self, id: ConnectionId) {
        self.reset(id);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.closed = true;
        connection.framer = crate::wire::Framer::default();
        let waiting = connection.outbox.len();
        self.delivered(id, waiting);
        self.touched.insert(id);
    }
}
