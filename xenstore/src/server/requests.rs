//! What each request means.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use super::delivery::Ticket;
use super::{ConnectionId, Server};
use crate::nodes::Nodes;
use crate::path::resolve;
use crate::perms::{Need, Permission, is_privileged};
use crate::transaction::Transaction;
use crate::watch::Special;
use crate::wire::limits::XENSTORE_PAYLOAD_MAX;
use crate::wire::{Header, Message, MessageType, errors, payload};

/// The reply of a request that has nothing to say.
pub(super) const OK: &[u8] = b"OK\0";

/// A request under way.
pub(super) struct Request<'a> {
    pub(super) id: ConnectionId,
    pub(super) domid: DomId,
    pub(super) header: Header,
    pub(super) payload: &'a [u8],
    pub(super) ticket: Option<Ticket>,
}

impl Request<'_> {
    /// The one string that the payload is to be.
    pub(super) fn one(&self) -> Result<&[u8], Errno> {
        payload::one(self.payload).ok_or(Errno::EINVAL)
    }

    /// What events of this request are counted for.
    pub(super) fn cause(&self) -> Option<(Ticket, DomId)> {
        self.ticket.map(|ticket| (ticket, self.domid))
    }

    fn is_privileged(&self) -> bool {
        is_privileged(self.domid)
    }

    fn path(&self, named: &[u8]) -> Result<Arc<str>, Errno> {
        resolve(named, self.domid).map(|resolved| resolved.path)
    }
}

impl Server {
    /// Answers a request.
    pub(super) fn answer(&mut self, id: ConnectionId, message: &Message) {
        let Some(connection) = self.connections.get(&id) else { return };
        let domid = connection.domid;
        let ticket = self.ticket(domid);
        let header = message.header;
        let request = Request { id, domid, header, payload: &message.payload, ticket };
        let result = match header.kind() {
            Some(kind) => self.perform(kind, &request),
            None => Err(Errno::ENOSYS),
        };
        let result = match result {
            Ok(payload) if payload.len() > XENSTORE_PAYLOAD_MAX => Err(Errno::E2BIG),
            result => result,
        };
        let watch_set = header.kind() == Some(MessageType::Watch) && result.is_ok();
        match result {
            Ok(payload) => self.reply(id, header, payload, ticket),
            Err(error) => {
                let header = Header { message_type: MessageType::Error.raw(), ..header };
                self.reply(id, header, payload::join(&[errors::name(error).as_bytes()]), ticket);
            }
        }
        if watch_set {
            self.first_event(&request);
        }
        self.give_up_old_transactions();
    }

    fn perform(&mut self, kind: MessageType, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        use MessageType as Is;
        let privileged = matches!(
            kind,
            Is::Control
                | Is::Introduce
                | Is::Release
                | Is::IsDomainIntroduced
                | Is::Resume
                | Is::SetTarget
        );
        if privileged && !request.is_privileged() {
            return Err(Errno::EACCES);
        }
        // Watches have nothing to do with transactions; for all else the transaction must exist.
        if !matches!(kind, Is::Watch | Is::Unwatch) {
            self.check_transaction(request)?;
        }
        match kind {
            Is::Control => self.control(request),
            Is::Directory
            | Is::DirectoryPart
            | Is::Read
            | Is::GetPerms
            | Is::Write
            | Is::Mkdir
            | Is::Rm
            | Is::SetPerms => self.on_nodes(kind, request),
            Is::Watch => self.watch(request),
            Is::Unwatch => self.unwatch(request),
            Is::ResetWatches => {
                self.reset(request.id);
                Ok(OK.to_vec())
            }
            Is::TransactionStart => self.start_transaction(request),
            Is::TransactionEnd => self.end_transaction(request),
            Is::Introduce => self.introduce(request),
            Is::Release => self.release(request),
            Is::GetDomainPath => self.domain_path(request),
            Is::IsDomainIntroduced => self.is_introduced(request),
            Is::Resume => self.resume_domain(request),
            Is::SetTarget => self.set_target(request),
            Is::WatchEvent | Is::Error => Err(Errno::ENOSYS),
        }
    }

    /// A request that reads or changes nodes, in its transaction if it names one.
    fn on_nodes(&mut self, kind: MessageType, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        if kind == MessageType::SetPerms && request.payload.starts_with(b"@") {
            return self.set_special_perms(request);
        }
        let subject = self.subject(request.domid);
        let number = request.header.transaction;
        let connection = self.connections.get_mut(&request.id).ok_or(Errno::EIO)?;
        let mut transaction = match connection.transactions.remove(&number) {
            // It sees the store as it is, and what it does is dropped.
            Some(lost) if lost.lost => {
                connection.transactions.insert(number, lost);
                Some(Transaction::new(&mut self.store))
            }
            other => other,
        };
        let size = transaction.as_ref().map_or(0, |transaction| transaction.size);
        let mut nodes = Nodes {
            store: &mut self.store,
            transaction: transaction.as_mut(),
            subject,
            changes: Vec::new(),
        };
        let result = nodes.perform(kind, request);
        let changes = nodes.changes;
        if let Some(transaction) = transaction
            && let Some(connection) = self.connections.get_mut(&request.id)
        {
            let kept = !connection.transactions.contains_key(&number);
            if kept {
                self.store.ledger.of(request.domid).memory += transaction.size - size;
                connection.transactions.insert(number, transaction);
            }
        }
        self.fire(&changes, request.cause());
        result
    }
}

impl Nodes<'_> {
    fn perform(&mut self, kind: MessageType, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        use MessageType as Is;
        match kind {
            Is::Read => Ok(self.read(&request.path(request.one()?)?)?.to_vec()),
            Is::GetPerms => {
                let perms = self.perms(&request.path(request.one()?)?)?;
                Ok(texts(&perms))
            }
            Is::Directory => {
                let path = request.path(request.one()?)?;
                let (tree, _) = self.list(&path)?;
                if tree.listing_len(&path) > XENSTORE_PAYLOAD_MAX {
                    return Err(Errno::E2BIG);
                }
                Ok(tree.listing_from(&path, 0).flat_map(ended).collect())
            }
            Is::DirectoryPart => self.directory_part(request),
            Is::Write => {
                let (path, value) = payload::split(request.payload).ok_or(Errno::EINVAL)?;
                self.write(&request.path(path)?, value).map(|()| OK.to_vec())
            }
            Is::Mkdir => self.mkdir(&request.path(request.one()?)?).map(|()| OK.to_vec()),
            Is::Rm => self.rm(&request.path(request.one()?)?).map(|()| OK.to_vec()),
            _ => {
                let (path, texts) = payload::split(request.payload).ok_or(Errno::EINVAL)?;
                let perms = self.parse_perms(texts)?;
                self.set_perms(&request.path(path)?, perms).map(|()| OK.to_vec())
            }
        }
    }

    /// A generation and the names from a byte of the listing on; an empty name ends the last part.
    fn directory_part(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let mut words = payload::strings(request.payload);
        let (Some(path), Some(offset), None) = (words.next(), words.next(), words.next()) else {
            return Err(Errno::EINVAL);
        };
        let (path, offset) = (request.path(path)?, number::<u32>(offset)? as usize);
        let (tree, node) = self.list(&path)?;
        let len = tree.listing_len(&path);
        let mut part = payload::join(&[format!("{}", node.listed).as_bytes()]);
        let mut at = offset;
        if offset < len {
            for name in tree.listing_from(&path, offset) {
                // One byte is kept for the end.
                if part.len() + name.len() + 2 > XENSTORE_PAYLOAD_MAX {
                    break;
                }
                part.extend(ended(name));
                at += name.len() + 1;
            }
        }
        if at >= len {
            part.push(0);
        }
        Ok(part)
    }

    fn parse_perms(&self, texts: &[u8]) -> Result<Arc<[Permission]>, Errno> {
        let perms = Permission::parse_list(payload::strings(texts)).ok_or(Errno::EINVAL)?;
        let ledger = &self.store.ledger;
        if !ledger.allows(self.subject.domid, |quotas| quotas.permissions, |_| 0, perms.len()) {
            return Err(Errno::ENOSPC);
        }
        Ok(perms.into())
    }
}

/// A name with its NUL.
fn ended(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().copied().chain([0])
}

/// Permissions as texts.
fn texts(perms: &[Permission]) -> Vec<u8> {
    perms.iter().flat_map(|entry| format!("{entry}\0").into_bytes()).collect()
}

/// A decimal number.
pub(super) fn number<N: core::str::FromStr>(text: &[u8]) -> Result<N, Errno> {
    let text = core::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
    text.parse().map_err(|_| Errno::EINVAL)
}

impl Server {
    /// Sets who is told of a special event.
    fn set_special_perms(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let (path, texts) = payload::split(request.payload).ok_or(Errno::EINVAL)?;
        let what = Special::from_path(path).ok_or(Errno::EINVAL)?;
        let perms = Permission::parse_list(payload::strings(texts)).ok_or(Errno::EINVAL)?;
        let subject = self.subject(request.domid);
        let now = self.domains.special_perms(what);
        if !subject.may(Need::Own, now, |_| true) {
            return Err(Errno::EACCES);
        }
        self.domains.set_special_perms(what, perms.into());
        Ok(OK.to_vec())
    }
}
