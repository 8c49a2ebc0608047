//! A server's state as bytes, for a restart that its clients do not notice.
//!
//! [`Server::dump`] writes everything but what only the embedder holds (rings, sockets, the
//! [actions](Server::take_action) that wait: take them first). [`Server::restore`] makes a server that
//! goes on as the old one would have: nodes, permissions, generations, watches, connections with the
//! bytes that wait in both directions, domains and quotas. [`ConnectionId`]s stay; the embedder gives
//! each its stream again, or disconnects it.
//!
//! [`Server::live_update`] does both at once, for an embedder that goes on itself.
//!
//! Open transactions keep their numbers but not their snapshots. Such a one sees the store as it is,
//! changes nothing, and its commit gives `EAGAIN`; so its client does it again, as for any conflict.
//!
//! # The format
//!
//! Eight bytes `xenstore`, the version in 32 bits, then records: kind in one byte, length in 32 bits,
//! and as many bytes. Numbers are little endian; texts and bytes are preceded by their length in 32
//! bits. The last record has the kind [`Kind::End`], so that a cut dump is known as one. A change of
//! what a record means, and any new record, is a new version.

mod bytes;
mod restore;
#[cfg(test)]
mod tests;
mod update;

pub use restore::RestoreError;

use alloc::vec::Vec;

use bytes::Writer;

use crate::perms::Permission;
use crate::server::{ConnectionId, Server};
use crate::watch::Special;

/// How a dump begins.
const MAGIC: &[u8; 8] = b"xenstore";

/// The version of the format.
const VERSION: u32 = 1;

/// What a record is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Kind {
    End,
    Quota,
    Counters,
    Node,
    Released,
    Introduced,
    Target,
    Special,
    Connection,
    Watch,
    Waiting,
    Transaction,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::End,
        Self::Quota,
        Self::Counters,
        Self::Node,
        Self::Released,
        Self::Introduced,
        Self::Target,
        Self::Special,
        Self::Connection,
        Self::Watch,
        Self::Waiting,
        Self::Transaction,
    ];
}

impl Server {
    /// The state as bytes; see [`dump`](crate::dump).
    #[must_use]
    pub fn dump(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.raw(MAGIC);
        out.u32(VERSION);
        for (name, value) in self.store.ledger.quotas.named() {
            out.record(Kind::Quota, |record| {
                record.bytes(name.as_bytes());
                record.u32(value);
            });
        }
        out.record(Kind::Counters, |record| {
            record.u64(self.store.generation);
            record.u64(self.store.changed);
            record.u32(self.next_connection);
        });
        self.dump_store(&mut out);
        self.dump_domains(&mut out);
        for id in self.connections.keys() {
            self.dump_connection(&mut out, *id);
        }
        for watch in self.watches.iter() {
            out.record(Kind::Watch, |record| {
                record.u32(watch.name.connection.raw());
                record.bytes(watch.name.path.as_bytes());
                record.bytes(&watch.name.token);
                record.flag(watch.relative);
                record.optional(watch.depth, Writer::u32);
            });
        }
        out.record(Kind::End, |_| {});
        out.into_bytes()
    }

    fn dump_store(&self, out: &mut Writer) {
        // Parents before their children.
        for node in self.store.tree.iter() {
            out.record(Kind::Node, |record| {
                record.bytes(node.path.as_bytes());
                record.bytes(&node.value);
                record.u64(node.written);
                record.u64(node.permitted);
                record.u64(node.listed);
                perms(record, &node.perms);
            });
        }
        for (domid, generation) in self.store.released.iter() {
            out.record(Kind::Released, |record| {
                record.u16(domid.raw());
                record.u64(*generation);
            });
        }
    }

    fn dump_domains(&self, out: &mut Writer) {
        for (domid, introduced) in self.introduced() {
            out.record(Kind::Introduced, |record| {
                record.u16(domid.raw());
                record.u64(introduced.gfn);
                record.u32(introduced.port);
                record.flag(introduced.shut_down);
            });
        }
        for (domid, target) in &self.domains.targets {
            out.record(Kind::Target, |record| {
                record.u16(domid.raw());
                record.u16(target.raw());
            });
        }
        for what in Special::ALL {
            out.record(Kind::Special, |record| {
                record.bytes(what.path().as_bytes());
                perms(record, self.domains.special_perms(what));
            });
        }
    }

    fn dump_connection(&self, out: &mut Writer, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        out.record(Kind::Connection, |record| {
            record.u32(id.raw());
            record.u16(connection.domid.raw());
            record.flag(connection.closed);
            record.u32(connection.last_transaction);
            record.bytes(connection.framer.rest());
        });
        for (message, rest) in connection.outbox.waiting() {
            out.record(Kind::Waiting, |record| {
                record.u32(id.raw());
                record.bytes(&rest);
                record.optional(message.event.as_deref(), Writer::bytes);
                let holder = message.ticket.and_then(|ticket| {
                    self.holder(ticket).map(|domid| (ticket.raw(), domid.raw()))
                });
                record.optional(holder, |record, (ticket, domid)| {
                    record.u64(ticket);
                    record.u16(domid);
                });
            });
        }
        for number in connection.transactions.keys() {
            out.record(Kind::Transaction, |record| {
                record.u32(id.raw());
                record.u32(*number);
            });
        }
    }
}

fn perms(record: &mut Writer, list: &[Permission]) {
    record.u32(u32::try_from(list.len()).unwrap_or(u32::MAX));
    for entry in list {
        // The letter is ASCII.
        record.u8(entry.access.letter() as u8);
        record.u16(entry.domid.raw());
    }
}
