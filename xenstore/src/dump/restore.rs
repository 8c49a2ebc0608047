//! From bytes to a server.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use pv_abi::types::DomId;

use super::bytes::Reader;
use super::{Kind, MAGIC, VERSION};
use crate::path;
use crate::perms::Permission;
use crate::quota::Quotas;
use crate::server::{Connection, ConnectionId, Introduced, Server, Ticket};
use crate::store::Store;
use crate::transaction::Transaction;
use crate::tree::Node;
use crate::watch::{Name, Special, Watch};

/// Why bytes are no server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestoreError {
    /// They do not begin as a dump does.
    NotADump,
    /// The dump has a version that this crate does not know.
    Version(u32),
    /// The dump ends too early.
    Cut,
    /// Something in it cannot be.
    Wrong(&'static str),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADump => f.write_str("not a dump of a XenStore"),
            Self::Version(version) => write!(f, "a dump of version {version}, not {VERSION}"),
            Self::Cut => f.write_str("a dump that ends too early"),
            Self::Wrong(what) => write!(f, "a damaged dump: {what}"),
        }
    }
}

impl core::error::Error for RestoreError {}

use RestoreError::Wrong;

/// What no counter reaches that counts what has happened.
const COUNTER_END: u64 = 1 << 62;

impl Server {
    /// The server that was [dumped](Self::dump). Every connection is
    /// [touched](Self::take_touched).
    ///
    /// # Errors
    /// The bytes are no dump, or a damaged one.
    pub fn restore(dump: &[u8]) -> Result<Self, RestoreError> {
        let mut reader = Reader::new(dump);
        if reader.raw(MAGIC.len()).is_ok_and(|magic| magic != MAGIC) || dump.is_empty() {
            return Err(RestoreError::NotADump);
        }
        match reader.u32()? {
            VERSION => {}
            other => return Err(RestoreError::Version(other)),
        }
        let mut server = Self::over(Store::empty(Quotas::default()));
        loop {
            let (kind, mut record) = reader.record()?;
            if kind == Kind::End {
                break;
            }
            server.restore_record(kind, &mut record)?;
            if !record.is_empty() {
                return Err(Wrong("a record is too long"));
            }
        }
        if !reader.is_empty() {
            return Err(Wrong("something follows the end"));
        }
        server.check().map_err(Wrong)?;
        server.check_counters()?;
        server.go_on();
        Ok(server)
    }

    /// Whether the counters are beyond all that was drawn from them, and far from their end.
    fn check_counters(&self) -> Result<(), RestoreError> {
        let last = self.store.generation;
        let mut nodes = self.store.tree.iter();
        let drawn = nodes.all(|node| node.written.max(node.permitted).max(node.listed) <= last);
        let released = self.store.released.values().all(|generation| *generation <= last);
        let connected = self.connections.keys().all(|id| id.raw() < self.next_connection);
        if last < COUNTER_END && drawn && released && connected {
            Ok(())
        } else {
            Err(Wrong("a counter"))
        }
    }

    fn restore_record(&mut self, kind: Kind, record: &mut Reader<'_>) -> Result<(), RestoreError> {
        match kind {
            Kind::End => {}
            Kind::Quota => {
                let (name, value) = (record.text()?, record.u32()?);
                if !self.store.ledger.quotas.set(name, value) {
                    return Err(Wrong("a quota of no known name"));
                }
            }
            Kind::Counters => {
                self.store.generation = record.u64()?;
                self.store.changed = record.u64()?;
                self.next_connection = record.u32()?;
            }
            Kind::Node => self.restore_node(record)?,
            Kind::Released => {
                let domid = DomId::new(record.u16()?);
                Arc::make_mut(&mut self.store.released).insert(domid, record.u64()?);
            }
            Kind::Introduced => {
                let domid = DomId::new(record.u16()?);
                let (gfn, port) = (record.u64()?, record.u32()?);
                let introduced = Introduced { gfn, port, shut_down: record.flag()? };
                self.domains.introduced.insert(domid, introduced);
            }
            Kind::Target => {
                let domid = DomId::new(record.u16()?);
                self.domains.targets.insert(domid, DomId::new(record.u16()?));
            }
            Kind::Special => {
                let what = Special::from_path(record.bytes()?);
                let what = what.ok_or(Wrong("a special event of no known name"))?;
                self.domains.set_special_perms(what, perms(record)?);
            }
            Kind::Connection => self.restore_connection(record)?,
            Kind::Watch => self.restore_watch(record)?,
            Kind::Waiting => self.restore_waiting(record)?,
            Kind::Transaction => {
                let (id, number) = (self.known_connection(record)?, record.u32()?);
                self.keep_transaction(id, number, Transaction::lost());
            }
        }
        Ok(())
    }

    fn restore_node(&mut self, record: &mut Reader<'_>) -> Result<(), RestoreError> {
        let (path, value) = (record.text()?, record.bytes()?);
        let (written, permitted, listed) = (record.u64()?, record.u64()?, record.u64()?);
        let perms = perms(record)?;
        if !path::is_valid(path) || self.store.tree.get(path).is_some() {
            return Err(Wrong("a node's path is not valid, or there twice"));
        }
        let node =
            Node { path: path.into(), value: value.into(), perms, written, permitted, listed };
        self.store.ledger.enter(&node);
        self.store.tree.restore(node);
        Ok(())
    }

    fn restore_connection(&mut self, record: &mut Reader<'_>) -> Result<(), RestoreError> {
        let id = ConnectionId::new(record.u32()?);
        let mut connection = Connection::new(DomId::new(record.u16()?));
        connection.closed = record.flag()?;
        connection.last_transaction = record.u32()?;
        connection.framer.push(record.bytes()?);
        self.domains.joined(connection.domid, id);
        match self.connections.insert(id, connection) {
            None => Ok(()),
            Some(_) => Err(Wrong("a connection is there twice")),
        }
    }

    fn restore_watch(&mut self, record: &mut Reader<'_>) -> Result<(), RestoreError> {
        let connection = self.known_connection(record)?;
        let (path, token) = (record.text()?, record.bytes()?);
        let name = Name { connection, path: path.into(), token: token.into() };
        let (relative, depth) = (record.flag()?, record.optional(Reader::u32)?);
        if self.watches.contains(&name) {
            return Err(Wrong("a watch is there twice"));
        }
        self.add_watch(Watch { name, relative, depth });
        Ok(())
    }

    fn restore_waiting(&mut self, record: &mut Reader<'_>) -> Result<(), RestoreError> {
        let id = self.known_connection(record)?;
        let bytes = record.bytes()?;
        let event = record.optional(Reader::bytes)?.map(Arc::from);
        let holder = record
            .optional(|record| Ok((Ticket::new(record.u64()?), DomId::new(record.u16()?))))?;
        if let Some(connection) = self.connections.get_mut(&id) {
            self.store.ledger.of(connection.domid).memory += bytes.len();
            connection.outbox.push(bytes, event, holder.map(|(ticket, _)| ticket));
        }
        if let Some((ticket, domid)) = holder {
            if ticket.raw() >= COUNTER_END {
                return Err(Wrong("a counter"));
            }
            self.hold(ticket, domid);
        }
        Ok(())
    }

    fn known_connection(&self, record: &mut Reader<'_>) -> Result<ConnectionId, RestoreError> {
        let id = ConnectionId::new(record.u32()?);
        if self.connections.contains_key(&id) {
            Ok(id)
        } else {
            Err(Wrong("something belongs to no connection"))
        }
    }
}

fn perms(record: &mut Reader<'_>) -> Result<Arc<[Permission]>, RestoreError> {
    let count = record.u32()?;
    let mut list = Vec::new();
    for _ in 0..count {
        let letter = record.u8()?;
        let domid = DomId::new(record.u16()?);
        let access = crate::perms::Access::from_letter(letter).ok_or(Wrong("a permission"))?;
        list.push(Permission::new(access, domid));
    }
    if list.is_empty() { Err(Wrong("a node has no owner")) } else { Ok(list.into()) }
}
