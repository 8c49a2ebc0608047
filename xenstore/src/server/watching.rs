//! Setting watches and taking them away.

use alloc::vec::Vec;

use pv_abi::errno::Errno;

use super::requests::{OK, Request, number};
use super::{ConnectionId, Server};
use crate::watch::{Name, Watch};
use crate::wire::payload;

impl Server {
    pub(super) fn watch(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let domid = request.domid;
        let words: Vec<&[u8]> = payload::strings(request.payload).take(4).collect();
        let (path, token, depth) = match words[..] {
            [path, token] => (path, token, None),
            [path, token, depth] => (path, token, Some(number(depth)?)),
            _ => return Err(Errno::EINVAL),
        };
        if path.starts_with(b"@") && depth.is_some_and(|depth| depth > 1) {
            return Err(Errno::EINVAL);
        }
        let (name, relative) = Name::resolve(request.id, domid, path, token)?;
        if self.watches.contains(&name) {
            return Err(Errno::EEXIST);
        }
        let ledger = &mut self.store.ledger;
        if !ledger.allows(domid, |quotas| quotas.watches, |account| account.watches as usize, 1) {
            return Err(Errno::E2BIG);
        }
        if !ledger.has_memory(domid, name.size()) {
            return Err(Errno::ENOMEM);
        }
        self.add_watch(Watch { name, relative, depth });
        Ok(OK.to_vec())
    }

    /// Puts a watch in, and into its domain's account.
    pub(crate) fn add_watch(&mut self, watch: Watch) {
        let Some(connection) = self.connections.get(&watch.name.connection) else { return };
        let account = self.store.ledger.of(connection.domid);
        account.watches += 1;
        account.memory += watch.name.size();
        self.watches.add(watch);
    }

    /// A new watch fires once, whatever is at its path. It is told the path as its client wrote it.
    pub(super) fn first_event(&mut self, request: &Request<'_>) {
        let mut words = payload::strings(request.payload);
        if let (Some(path), Some(token)) = (words.next(), words.next()) {
            self.event(request.id, payload::join(&[path, token]), !path.starts_with(b"@"), None);
        }
    }

    pub(super) fn unwatch(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let mut words = payload::strings(request.payload);
        let (Some(path), Some(token)) = (words.next(), words.next()) else {
            return Err(Errno::EINVAL);
        };
        let named = Name::resolve(request.id, request.domid, path, token);
        let (name, _) = named.map_err(|_| Errno::ENOENT)?;
        if self.drop_watch(&name) { Ok(OK.to_vec()) } else { Err(Errno::ENOENT) }
    }

    fn drop_watch(&mut self, name: &Name) -> bool {
        let found = self.watches.remove(name);
        if found && let Some(connection) = self.connections.get(&name.connection) {
            let account = self.store.ledger.of(connection.domid);
            account.watches = account.watches.saturating_sub(1);
            account.memory = account.memory.saturating_sub(name.size());
        }
        found
    }

    /// Drops all watches and transactions of a connection.
    pub(super) fn reset(&mut self, id: ConnectionId) {
        for name in self.watches.of(id) {
            self.drop_watch(&name);
        }
        self.drop_transactions(id);
    }
}
