//! The committed state: the tree that everyone sees, and whose nodes they are.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pv_abi::types::DomId;

use crate::path::{ROOT, parent};
use crate::perms::{Access, Need, Permission, Subject};
use crate::quota::{Ledger, Quotas};
use crate::tree::{Generation, Node, Tree};

/// What there is in a new store, as in Xen's.
const FIRST_NODES: [&str; 3] = [ROOT, "/tool", "/tool/xenstored"];

/// A node changed, as watches are told of it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) path: Arc<str>,
    /// Only watches on this very path: one above has been told of, or will be.
    pub(crate) exact: bool,
    /// The node before the change and after it. Who could or can read it may know.
    pub(crate) before: Option<Arc<Node>>,
    pub(crate) after: Option<Arc<Node>>,
}

/// When a domain with this number was released last. A copy costs nothing.
pub(crate) type Released = Arc<BTreeMap<DomId, Generation>>;

/// See the [module](self).
pub(crate) struct Store {
    pub(crate) tree: Tree,
    pub(crate) ledger: Ledger,
    /// The last number drawn.
    pub(crate) generation: Generation,
    /// The number of the last change of the tree.
    pub(crate) changed: Generation,
    /// What was permitted to a domain before it was released is not permitted to the next domain of
    /// its number.
    pub(crate) released: Released,
}

impl Store {
    pub(crate) fn new(quotas: Quotas) -> Self {
        let mut store = Self::empty(quotas);
        let perms: Arc<[Permission]> = [Permission::new(Access::None, DomId::new(0))].into();
        for path in FIRST_NODES {
            store.create(path.into(), [].into(), perms.clone());
        }
        store
    }

    /// A store without even a root.
    pub(crate) fn empty(quotas: Quotas) -> Self {
        Self {
            tree: Tree::default(),
            ledger: Ledger::new(quotas),
            generation: 0,
            changed: 0,
            released: Released::default(),
        }
    }

    /// Draws a number that nothing has yet.
    pub(crate) fn draw(&mut self) -> Generation {
        self.generation += 1;
        self.generation
    }

    fn draw_for_change(&mut self) -> Generation {
        self.changed = self.draw();
        self.changed
    }

    /// Whether a permission for a domain, given at that time, is for the domain of that number now.
    pub(crate) fn counts(&self, domid: DomId, permitted: Generation) -> bool {
        counts(&self.released, domid, permitted)
    }

    /// Whether `subject` has what it `needs` of a node.
    pub(crate) fn may(&self, subject: Subject, needs: Need, node: &Node) -> bool {
        subject.may(needs, &node.perms, |domid| self.counts(domid, node.permitted))
    }

    /// A node's permissions without those for domains that are gone.
    pub(crate) fn current_perms(&self, node: &Node) -> Arc<[Permission]> {
        let stale = |entry: &&Permission| !self.counts(entry.domid, node.permitted);
        match node.perms.split_first() {
            Some((owner, others)) if others.iter().any(|entry| stale(&entry)) => {
                let others = others.iter().filter(|entry| !stale(entry));
                core::iter::once(owner).chain(others).copied().collect()
            }
            _ => node.perms.clone(),
        }
    }

    /// Whether a node's permissions are no longer what they were when only these domains had been
    /// released, though nobody has set them.
    pub(crate) fn has_lost(&self, node: &Node, released: &Released) -> bool {
        !Arc::ptr_eq(&self.released, released)
            && node.perms.iter().skip(1).any(|entry| {
                let counted = |released| counts(released, entry.domid, node.permitted);
                counted(released) && !counted(&self.released)
            })
    }

    pub(crate) fn create(&mut self, path: Arc<str>, value: Arc<[u8]>, perms: Arc<[Permission]>) {
        let generation = self.draw_for_change();
        let node = Node::new(path, value, perms, generation);
        self.ledger.enter(&node);
        self.tree.create(node);
    }

    pub(crate) fn set_value(&mut self, path: &str, value: Arc<[u8]>) {
        let generation = self.draw_for_change();
        self.change(path, |tree| tree.set_value(path, value, generation));
    }

    pub(crate) fn set_perms(&mut self, path: &str, perms: Arc<[Permission]>) {
        let generation = self.draw_for_change();
        self.change(path, |tree| tree.set_perms(path, perms, generation));
    }

    /// Changes a node, and its owner's account with it.
    fn change(&mut self, path: &str, how: impl FnOnce(&mut Tree)) {
        let Some(before) = self.tree.get(path).cloned() else { return };
        how(&mut self.tree);
        if let Some(after) = self.tree.get(path) {
            self.ledger.change(&before, after);
        }
    }

    /// Removes a node and all below. Returns what watches are told: children before their parent.
    pub(crate) fn remove(&mut self, path: &str) -> Vec<Change> {
        let generation = self.draw_for_change();
        let removed = self.tree.remove(path, generation);
        removed
            .into_iter()
            .map(|node| {
                self.ledger.leave(&node);
                let exact = *node.path != *path;
                Change { path: node.path.clone(), exact, before: Some(node), after: None }
            })
            .collect()
    }

    /// Removes what a domain owns, with all below, and forgets what it was permitted. The root stays
    /// and becomes domain 0's.
    pub(crate) fn release(&mut self, domid: DomId) -> Vec<Change> {
        let owned = self.ledger.get(domid).map(|account| account.nodes.clone());
        let mut changes = Vec::new();
        for path in owned.unwrap_or_default() {
            if *path == *ROOT {
                let owner = Permission::new(Access::None, DomId::new(0));
                self.set_perms(ROOT, [owner].into());
            } else if self.tree.get(&path).is_some() {
                changes.append(&mut self.remove(&path));
            }
        }
        let now = self.draw_for_change();
        Arc::make_mut(&mut self.released).insert(domid, now);
        changes
    }

    /// Checks what must always hold of the tree and the accounts.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let mut owned = 0_usize;
        for node in self.tree.iter() {
            if parent(&node.path).is_some_and(|parent| self.tree.get(parent).is_none()) {
                return Err("a node has no parent");
            }
            let account = self.ledger.get(node.owner());
            if !account.is_some_and(|account| account.nodes.contains(&node.path)) {
                return Err("a node is missing in its owner's account");
            }
            owned += 1;
        }
        if self.tree.get(ROOT).is_none() {
            return Err("there is no root");
        }
        if owned != self.ledger.nodes() || owned != self.tree.len() {
            return Err("an account has a node that does not exist");
        }
        Ok(())
    }
}

fn counts(released: &Released, domid: DomId, permitted: Generation) -> bool {
    released.get(&domid).is_none_or(|released| permitted > *released)
}
