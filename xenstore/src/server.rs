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
//! Domain 0 is privileged: its connections (there may be many) may do everything. Any other domain is
//! bound by permissions and [`Quotas`].

mod action;
mod connection;
mod outbox;

pub use action::Action;
pub use connection::ConnectionId;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::quota::Quotas;
use crate::wire::{Header, Message, MessageType, errors};
use connection::Connection;

/// A store and its connections.
pub struct Server {
    quotas: Quotas,
    connections: BTreeMap<ConnectionId, Connection>,
    next_connection: u32,
    touched: BTreeSet<ConnectionId>,
    actions: VecDeque<Action>,
}

impl Server {
    /// An empty store.
    #[must_use]
    pub fn new(quotas: Quotas) -> Self {
        Self {
            quotas,
            connections: BTreeMap::new(),
            next_connection: 0,
            touched: BTreeSet::new(),
            actions: VecDeque::new(),
        }
    }

    /// A new connection with a domain at its other end.
    pub fn connect(&mut self, domid: DomId) -> ConnectionId {
        let id = ConnectionId::new(self.next_connection);
        self.next_connection = self.next_connection.wrapping_add(1);
        self.connections.insert(id, Connection::new(domid));
        id
    }

    /// Ends a connection: its watches and transactions with it. An unknown one is ignored.
    pub fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.touched.remove(&id);
    }

    /// Takes bytes that came over a connection, whatever the pieces. They are kept where the server
    /// does not [want](Self::wants_input) any now; bytes for a closed or unknown connection are not.
    pub fn input(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.framer.push(bytes);
            self.serve(id);
        }
    }

    /// Bytes that wait for the client. There may be more once these are [sent](Self::sent).
    #[must_use]
    pub fn output(&self, id: ConnectionId) -> &[u8] {
        self.connections.get(&id).map_or(&[], |connection| connection.outbox.bytes())
    }

    /// The first `count` bytes of [`output`](Self::output) have gone to the client.
    pub fn sent(&mut self, id: ConnectionId, count: usize) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.outbox.sent(count);
            self.serve(id);
        }
    }

    /// Whether bytes of this connection would be looked at now: not while it is closed, nor while
    /// too much waits for the client.
    #[must_use]
    pub fn wants_input(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|connection| {
            !connection.closed && connection.outbox.len() < self.quotas.backlog as usize
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

    /// Answers what requests of a connection are complete.
    fn serve(&mut self, id: ConnectionId) {
        while self.wants_input(id) {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            match connection.framer.next_message() {
                Ok(Some(request)) => self.answer(id, request),
                Ok(None) => return,
                Err(_) => {
                    connection.closed = true;
                    self.touched.insert(id);
                }
            }
        }
    }

    fn answer(&mut self, id: ConnectionId, request: Message) {
        let (kind, payload) = (MessageType::Error, error_payload(Errno::ENOSYS));
        let header = Header { message_type: kind.raw(), ..request.header };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.outbox.push(Message { header, payload }.encode());
            self.touched.insert(id);
        }
    }
}

fn error_payload(error: Errno) -> Vec<u8> {
    let mut payload = Vec::from(errors::name(error));
    payload.push(0);
    payload
}
