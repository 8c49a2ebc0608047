//! Replies and events on their way to clients, and who is stopped until they have arrived.
//!
//! A request of an unprivileged domain is *outstanding* until its reply and every event that it caused,
//! for whomever, was taken. So a domain whose writes nobody keeps up with is not read from, and what it
//! can make others hold is bounded by its quota.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pv_abi::types::DomId;

use super::{ConnectionId, Server};
use crate::perms::{Need, is_privileged};
use crate::store::Change;
use crate::watch::Special;
use crate::wire::limits::XENSTORE_PAYLOAD_MAX;
use crate::wire::{Header, Message};

/// Names an outstanding request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Ticket(u64);

impl Ticket {
    pub(crate) const fn new(raw: u64) -> Self {
        Self(raw)
    }

    pub(crate) const fn raw(self) -> u64 {
        self.0
    }
}

/// The outstanding requests: whose, and how many messages of each wait.
#[derive(Default)]
pub(crate) struct Tickets {
    open: BTreeMap<Ticket, (DomId, u32)>,
    last: u64,
}

impl Tickets {
    /// A ticket for a request that has no messages yet.
    fn draw(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }
}

impl Server {
    /// A ticket for a request of a domain; none for a privileged one.
    pub(super) fn ticket(&mut self, domid: DomId) -> Option<Ticket> {
        (!is_privileged(domid)).then(|| self.tickets.draw())
    }

    /// One more message of a request waits.
    pub(crate) fn hold(&mut self, ticket: Ticket, domid: DomId) {
        let (_, waiting) = self.tickets.open.entry(ticket).or_insert((domid, 0));
        *waiting += 1;
        self.tickets.last = self.tickets.last.max(ticket.0);
        if *waiting == 1 {
            self.store.ledger.of(domid).outstanding += 1;
        }
    }

    /// One message of a request is out.
    fn settle(&mut self, ticket: Ticket) {
        let Some((domid, waiting)) = self.tickets.open.get_mut(&ticket) else { return };
        let domid = *domid;
        *waiting -= 1;
        if *waiting > 0 {
            return;
        }
        self.tickets.open.remove(&ticket);
        let limit = self.store.ledger.quotas.outstanding;
        let account = self.store.ledger.of(domid);
        account.outstanding = account.outstanding.saturating_sub(1);
        if account.outstanding + 1 >= limit {
            let stopped = self.domains.connections(domid);
            self.touched.extend(stopped.clone());
            self.resumed.extend(stopped);
        }
    }

    /// A domain's requests hold nobody any more: what they caused may still wait for others.
    pub(super) fn forget_tickets(&mut self, domid: DomId) {
        self.tickets.open.retain(|_, (holder, _)| *holder != domid);
    }

    /// Whose request has this ticket.
    pub(crate) fn holder(&self, ticket: Ticket) -> Option<DomId> {
        self.tickets.open.get(&ticket).map(|(domid, _)| *domid)
    }

    /// Queues a reply.
    pub(super) fn reply(
        &mut self,
        id: ConnectionId,
        header: Header,
        payload: Vec<u8>,
        ticket: Option<Ticket>,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.closed {
            return;
        }
        let domid = connection.domid;
        self.store.ledger.of(domid).memory += Header::SIZE + payload.len();
        connection.outbox.reply(Message { header, payload }, ticket);
        self.touched.insert(id);
        if let Some(ticket) = ticket {
            self.hold(ticket, domid);
        }
    }

    /// Queues an event, unless it waits already. One for a domain that holds too much is dropped; a
    /// client of domain 0 that lets too much wait is cut off, for it can connect anew.
    pub(super) fn event(
        &mut self,
        id: ConnectionId,
        payload: Vec<u8>,
        once: bool,
        cause: Option<(Ticket, DomId)>,
    ) {
        let size = Header::SIZE + payload.len();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let repeated = once && connection.outbox.has_event(&payload);
        if connection.closed || repeated || payload.len() > XENSTORE_PAYLOAD_MAX {
            return;
        }
        let (domid, waiting) = (connection.domid, connection.outbox.len());
        let ledger = &mut self.store.ledger;
        if !ledger.has_memory(domid, size) {
            return;
        }
        if is_privileged(domid) && waiting + size > 2 * ledger.quotas.backlog as usize {
            self.close(id);
            return;
        }
        ledger.of(domid).memory += size;
        connection.outbox.event(payload.into(), once, cause.map(|(ticket, _)| ticket));
        self.touched.insert(id);
        if let Some((ticket, domid)) = cause {
            self.hold(ticket, domid);
        }
    }

    /// Bytes of a connection are out.
    pub(super) fn delivered(&mut self, id: ConnectionId, count: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let domid = connection.domid;
        for message in connection.outbox.sent(count) {
            let account = self.store.ledger.of(domid);
            account.memory = account.memory.saturating_sub(message.len);
            if let Some(ticket) = message.ticket {
                self.settle(ticket);
            }
        }
    }

    /// Tells watches of changes.
    pub(super) fn fire(&mut self, changes: &[Change], cause: Option<(Ticket, DomId)>) {
        for change in changes {
            let mut events = Vec::new();
            for watch in self.watches.matching(&change.path, change.exact) {
                let id = watch.name.connection;
                let Some(connection) = self.connections.get(&id) else { continue };
                let subject = self.subject(connection.domid);
                let mut nodes = [&change.before, &change.after].into_iter().flatten();
                if nodes.any(|node| self.store.may(subject, Need::Read, node)) {
                    events.push((id, watch.event(&change.path, connection.domid)));
                }
            }
            for (id, payload) in events {
                self.event(id, payload, true, cause);
            }
        }
    }

    /// Tells watches of a special event about a domain.
    pub(super) fn fire_special(&mut self, what: Special, about: DomId) {
        let perms = self.domains.special_perms(what);
        let mut events: Vec<(ConnectionId, Arc<[u8]>)> = Vec::new();
        for (watch, path) in self.watches.matching_special(what, about) {
            let id = watch.name.connection;
            let Some(connection) = self.connections.get(&id) else { continue };
            let subject = self.subject(connection.domid);
            if subject.may(Need::Read, perms, |_| true) {
                events.push((id, watch.event(&path, connection.domid).into()));
            }
        }
        for (id, payload) in events {
            self.event(id, payload.to_vec(), false, None);
        }
    }
}
