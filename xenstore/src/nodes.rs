//! The requests that read and change nodes, in a transaction or outside.

use alloc::sync::Arc;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::path::{ROOT, parent, upwards};
use crate::perms::{Need, Permission, Subject};
use crate::quota::Account;
use crate::store::{Change, Store};
use crate::transaction::{Fact, Fate, Transaction};
use crate::tree::{Node, Tree};

/// The nodes as one request sees them.
pub(crate) struct Nodes<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) transaction: Option<&'a mut Transaction>,
    pub(crate) subject: Subject,
    /// What watches are to be told at once. In a transaction nothing is, before its commit.
    pub(crate) changes: Vec<Change>,
}

impl Nodes<'_> {
    /// A node's value.
    pub(crate) fn read(&mut self, path: &Arc<str>) -> Result<Arc<[u8]>, Errno> {
        let node = self.require(path, Need::Read)?;
        self.remember(path, Fact::Value);
        Ok(node.value.clone())
    }

    /// The tree in which the children of `path` may be listed now.
    pub(crate) fn list(&mut self, path: &Arc<str>) -> Result<(&Tree, Arc<Node>), Errno> {
        let node = self.require(path, Need::Read)?;
        self.remember(path, Fact::Listing);
        Ok((self.tree(), node))
    }

    /// A node's permissions.
    pub(crate) fn perms(&mut self, path: &Arc<str>) -> Result<Arc<[Permission]>, Errno> {
        let node = self.require(path, Need::Read)?;
        Ok(self.store.current_perms(&node))
    }

    /// Writes a value; makes the node where missing.
    pub(crate) fn write(&mut self, path: &Arc<str>, value: &[u8]) -> Result<(), Errno> {
        let before = match self.require(path, Need::Write) {
            Ok(before) => before,
            Err(Errno::ENOENT) => return self.make(path, value),
            Err(error) => return Err(error),
        };
        let after = Node { value: value.into(), ..Node::clone(&before) };
        self.check_size(Some(&before), &after)?;
        match &mut self.transaction {
            None => self.store.set_value(path, after.value),
            Some(transaction) => {
                transaction.size += value.len();
                transaction.tree.set_value(path, after.value, self.store.draw());
                transaction.plan(path, Fate::Changed, true);
            }
        }
        self.changed(path, Some(before));
        Ok(())
    }

    /// Makes a node where missing.
    pub(crate) fn mkdir(&mut self, path: &Arc<str>) -> Result<(), Errno> {
        match self.require(path, Need::Write) {
            Err(Errno::ENOENT) => self.make(path, &[]),
            other => other.map(drop),
        }
    }

    /// Removes a node and all below.
    pub(crate) fn rm(&mut self, path: &Arc<str>) -> Result<(), Errno> {
        match self.require(path, Need::Write) {
            Ok(_) if **path == *ROOT => return Err(Errno::EINVAL),
            Ok(_) => {}
            Err(Errno::ENOENT) => {
                let parent = parent(path).ok_or(Errno::EINVAL)?;
                let parent = self.look(&parent.into())?;
                return parent.map(drop).ok_or(Errno::ENOENT);
            }
            Err(error) => return Err(error),
        }
        match &mut self.transaction {
            None => self.changes.append(&mut self.store.remove(path)),
            Some(transaction) => {
                let removed = transaction.tree.remove(path, self.store.draw());
                let own = removed.iter().filter(|node| node.owner() == self.subject.domid);
                transaction.growth -= own.count() as isize;
                transaction.plan(path, Fate::Removed, true);
            }
        }
        Ok(())
    }

    /// Sets a node's permissions.
    pub(crate) fn set_perms(
        &mut self,
        path: &Arc<str>,
        perms: Arc<[Permission]>,
    ) -> Result<(), Errno> {
        let before = self.require(path, Need::Own)?;
        let after = Node { perms, ..Node::clone(&before) };
        if !self.subject.is_privileged() && after.owner() != before.owner() {
            return Err(Errno::EPERM);
        }
        self.check_size(Some(&before), &after)?;
        match &mut self.transaction {
            None => self.store.set_perms(path, after.perms),
            Some(transaction) => {
                transaction.size += size_of_val(&*after.perms);
                transaction.tree.set_perms(path, after.perms, self.store.draw());
                transaction.plan(path, Fate::Changed, true);
            }
        }
        self.changed(path, Some(before));
        Ok(())
    }

    /// A node of which the subject has what it `needs`.
    ///
    /// # Errors
    /// `EACCES`: it has not. `ENOENT`: there is no such node, and what it `needs` it has of the nearest
    /// node above; else nothing is said about absence either, and it is `EACCES`.
    fn require(&mut self, path: &Arc<str>, needs: Need) -> Result<Arc<Node>, Errno> {
        let mut missing = false;
        for above in upwards(path) {
            let above = if missing { above.into() } else { path.clone() };
            let Some(node) = self.look(&above)? else {
                missing = true;
                continue;
            };
            return match (self.store.may(self.subject, needs, &node), missing) {
                (false, _) => Err(Errno::EACCES),
                (true, true) => Err(Errno::ENOENT),
                (true, false) => Ok(node),
            };
        }
        Err(Errno::EIO)
    }

    /// Makes a node that is missing, and its parents that are. Each has its parent's permissions; what
    /// an unprivileged domain makes is its own.
    fn make(&mut self, path: &Arc<str>, value: &[u8]) -> Result<(), Errno> {
        let above = upwards(path).find_map(|above| self.tree().get(above)).cloned();
        let above = above.ok_or(Errno::EIO)?;
        let mut perms = self.store.current_perms(&above);
        if !self.subject.is_privileged() {
            let mut own = perms.to_vec();
            for owner in own.iter_mut().take(1) {
                owner.domid = self.subject.domid;
            }
            perms = own.into();
        }
        let mut missing: Vec<Arc<str>> =
            upwards(path).take_while(|name| **name != *above.path).map(Arc::from).collect();
        missing.reverse();
        self.check_growth(&missing, value, &perms)?;
        for name in missing {
            let named = *name == **path;
            let value: Arc<[u8]> = if named { value.into() } else { [].into() };
            match &mut self.transaction {
                None => self.store.create(name, value, perms.clone()),
                Some(transaction) => {
                    transaction.size += value.len();
                    transaction.growth += 1;
                    let node = Node::new(name.clone(), value, perms.clone(), self.store.draw());
                    transaction.tree.create(node);
                    transaction.plan(&name, Fate::Made, named);
                }
            }
        }
        self.changed(path, None);
        Ok(())
    }

    /// Tells watches, outside a transaction.
    fn changed(&mut self, path: &Arc<str>, before: Option<Arc<Node>>) {
        if self.transaction.is_none() {
            let after = self.store.tree.get(path).cloned();
            self.changes.push(Change { path: path.clone(), exact: false, before, after });
        }
    }

    fn tree(&self) -> &Tree {
        match &self.transaction {
            None => &self.store.tree,
            Some(transaction) => &transaction.tree,
        }
    }

    /// Remembers, in a transaction, that one more fact was seen of a node that was looked at.
    fn remember(&mut self, path: &Arc<str>, fact: Fact) {
        if let Some(transaction) = &mut self.transaction {
            transaction.look(path, fact);
        }
    }

    /// Looks whether there is a node, and at its permissions. A transaction remembers that it did.
    ///
    /// # Errors
    /// `ENOSPC`: the transaction touches too many nodes.
    fn look(&mut self, path: &Arc<str>) -> Result<Option<Arc<Node>>, Errno> {
        let Some(transaction) = &mut self.transaction else {
            return Ok(self.store.tree.get(path).cloned());
        };
        let domid = self.subject.domid;
        let ledger = &self.store.ledger;
        let more = transaction.touched + 1;
        if !transaction.has_touched(path)
            && !ledger.allows(domid, |quotas| quotas.transaction_nodes, |_| 0, more)
        {
            return Err(Errno::ENOSPC);
        }
        Ok(transaction.look(path, Fact::Existence))
    }

    /// Whether the owner's quotas let a node become this.
    fn check_size(&self, before: Option<&Node>, after: &Node) -> Result<(), Errno> {
        let ledger = &self.store.ledger;
        let size = after.value.len() + size_of_val(&*after.perms);
        if !ledger.allows(self.subject.domid, |quotas| quotas.node_size, |_| 0, size) {
            return Err(Errno::ENOSPC);
        }
        let growth = after.size().saturating_sub(before.map_or(0, Node::size));
        if growth > 0 && !ledger.has_memory(self.payer(after.owner()), growth) {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Whether quotas let these nodes be made, the last with a value.
    fn check_growth(
        &self,
        names: &[Arc<str>],
        value: &[u8],
        perms: &Arc<[Permission]>,
    ) -> Result<(), Errno> {
        let Some((last, parents)) = names.split_last() else { return Ok(()) };
        let ledger = &self.store.ledger;
        let planned = self.transaction.as_ref().map_or(0, |transaction| transaction.growth);
        let has = |account: &Account| account.nodes.len().saturating_add_signed(planned);
        if !ledger.allows(self.subject.domid, |quotas| quotas.nodes, has, names.len()) {
            return Err(Errno::ENOSPC);
        }
        let node = Node::new(last.clone(), value.into(), perms.clone(), 0);
        self.check_size(None, &node)?;
        let sizes = parents.iter().map(|name| name.len() + size_of_val(&**perms));
        let all = sizes.sum::<usize>() + node.size();
        if ledger.has_memory(self.payer(node.owner()), all) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Whose memory a change takes: the owner's, in a transaction first its domain's.
    fn payer(&self, owner: DomId) -> DomId {
        if self.transaction.is_some() { self.subject.domid } else { owner }
    }
}
