//! A transaction: a snapshot, what was seen of it, and what is to change.
//!
//! Starting one copies the [`Tree`], which costs nothing. Its changes go into a second copy, so that it
//! reads what it wrote. At the commit, what it saw must be as it was: each fact that a reply or a
//! permission check was made of, the absence of nodes and the listings of children included. Facts,
//! not nodes: a node's value, its permissions (with its existence) and its listing count apart. So two
//! transactions that make different children of one node do not disturb each other, nor does one that
//! writes a value disturb one that only lists.
//!
//! Then the changes are done to the committed tree. Only what the transaction changed is touched; the
//! rest is as others left it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::quota::Quotas;
use crate::store::{Change, Released, Store};
use crate::tree::{Generation, Node, Tree};

/// Bytes that a touched node counts beside its path and value.
const TOUCHED_SIZE: usize = 64;

/// What a request can see of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fact {
    /// Whether it exists, and its permissions.
    Existence,
    /// Its value.
    Value,
    /// The names of its children.
    Listing,
}

/// The facts of one node that were seen.
#[derive(Clone, Copy, Default)]
struct Seen {
    existence: bool,
    value: bool,
    listing: bool,
}

/// What is to become of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Made, by a request for this node or for one below.
    Made,
    /// Removed by this transaction, then made again.
    MadeAnew,
    /// Written, or its permissions set.
    Changed,
    /// Removed, with all below.
    Removed,
}

/// One node's part of a commit.
#[derive(Clone, Copy)]
struct Planned {
    fate: Fate,
    /// Place among the transaction's changes: they are done in the order they were first made.
    order: usize,
    /// Whether watches are told: not of parents that were made along the way.
    told: bool,
}

/// See the [module](self).
pub(crate) struct Transaction {
    /// The store as it was, with the number of its last change.
    base: Tree,
    base_changed: Generation,
    /// The domains that had been released then.
    base_released: Released,
    /// The store as this transaction sees it.
    pub(crate) tree: Tree,
    seen: BTreeMap<Arc<str>, Seen>,
    planned: BTreeMap<Arc<str>, Planned>,
    next_order: usize,
    /// Whether it has removed anything.
    has_removed: bool,
    /// How many nodes it has touched.
    pub(crate) touched: usize,
    /// By how many the nodes of the transaction's domain grow.
    pub(crate) growth: isize,
    /// Bytes that count against the domain's memory.
    pub(crate) size: usize,
    /// When it began.
    pub(crate) began: Generation,
    /// Whether it can only end with `EAGAIN`: its snapshot was given up.
    pub(crate) lost: bool,
}

impl Transaction {
    pub(crate) fn new(store: &mut Store) -> Self {
        Self { began: store.draw(), ..Self::of(store) }
    }

    /// One whose snapshot there is no more. Its requests see the store as it is, change nothing, and
    /// its commit gives `EAGAIN`, so its client begins anew.
    pub(crate) fn lost() -> Self {
        Self { lost: true, ..Self::of(&Store::empty(Quotas::default())) }
    }

    /// One that has a snapshot, and has done nothing.
    fn of(store: &Store) -> Self {
        Self {
            tree: store.tree.clone(),
            base: store.tree.clone(),
            base_changed: store.changed,
            base_released: store.released.clone(),
            seen: BTreeMap::new(),
            planned: BTreeMap::new(),
            next_order: 0,
            has_removed: false,
            touched: 0,
            growth: 0,
            size: 0,
            began: 0,
            lost: false,
        }
    }

    /// Whether it has read or changed this node.
    pub(crate) fn has_touched(&self, path: &str) -> bool {
        self.seen.contains_key(path) || self.planned.contains_key(path)
    }

    fn touch(&mut self, path: &str) {
        if !self.has_touched(path) {
            self.touched += 1;
            self.size += path.len() + TOUCHED_SIZE;
        }
    }

    /// Looks at a node, and remembers what was seen of it. What the transaction itself has made so
    /// depends on nobody else.
    pub(crate) fn look(&mut self, path: &Arc<str>, fact: Fact) -> Option<Arc<Node>> {
        let now = self.tree.get(path).cloned();
        // What the transaction does draws higher numbers than its start did.
        let others = match (&now, fact) {
            (None, _) => !self.has_removed || self.base.get(path).is_none(),
            (Some(now), Fact::Value) => now.written < self.began,
            (Some(now), Fact::Existence) => now.permitted < self.began,
            (Some(now), Fact::Listing) => {
                now.permitted < self.began || self.base.get(path).is_some()
            }
        };
        if others {
            self.touch(path);
            let seen = self.seen.entry(path.clone()).or_default();
            match fact {
                Fact::Existence => seen.existence = true,
                Fact::Value => seen.value = true,
                Fact::Listing => seen.listing = true,
            }
        }
        now
    }

    /// Plans a change that was done to [`tree`](Self::tree).
    pub(crate) fn plan(&mut self, path: &Arc<str>, fate: Fate, told: bool) {
        if fate == Fate::Removed {
            self.has_removed = true;
            self.forget_below(path);
        }
        let before = self.planned.get(path).copied();
        // Made anew, a node comes after what the removal undid; changed later, it stays before those
        // below it.
        let is_new = fate == Fate::Removed || before.is_none_or(|it| it.fate == Fate::Removed);
        let fate = match (before.map(|planned| planned.fate), fate) {
            (Some(Fate::Removed), Fate::Made) => Fate::MadeAnew,
            (Some(made @ (Fate::Made | Fate::MadeAnew)), Fate::Changed) => made,
            (_, fate) => fate,
        };
        let order = match before {
            Some(planned) if !is_new => planned.order,
            _ => {
                self.next_order += 1;
                self.next_order
            }
        };
        self.touch(path);
        let told = told || before.is_some_and(|planned| planned.told);
        self.planned.insert(path.clone(), Planned { fate, order, told });
    }

    /// What was planned for nodes below one that is removed is void.
    fn forget_below(&mut self, path: &Arc<str>) {
        let below = |other: &str| {
            other.len() > path.len()
                && other.starts_with(&**path)
                && other.as_bytes().get(path.len()) == Some(&b'/')
        };
        // Paths between `path` and those below it may begin alike: "/a-b" lies between "/a" and
        // "/a/b".
        let begin_alike = self.planned.range(path.clone()..).map(|(other, _)| other);
        let begin_alike = begin_alike.take_while(|other| other.starts_with(&**path));
        let void: Vec<Arc<str>> = begin_alike.filter(|other| below(other)).cloned().collect();
        for other in void {
            self.planned.remove(&other);
        }
    }

    /// Whether what was seen is still so.
    fn holds(&self, store: &Store) -> bool {
        if store.changed == self.base_changed {
            return true;
        }
        self.seen.iter().all(|(path, seen)| match (self.base.get(path), store.tree.get(path)) {
            (None, None) => true,
            (Some(base), Some(now)) => {
                (!seen.existence
                    || base.permitted == now.permitted && !store.has_lost(now, &self.base_released))
                    && (!seen.value || base.written == now.written)
                    && (!seen.listing || base.listed == now.listed)
            }
            _ => false,
        })
    }

    /// Does the changes to the committed tree, and returns what watches are told.
    ///
    /// # Errors
    /// `EAGAIN`: what was seen is not so any more. `ENOSPC`: `domid` would own too many nodes.
    pub(crate) fn commit(self, store: &mut Store, domid: DomId) -> Result<Vec<Change>, Errno> {
        if self.lost || !self.holds(store) {
            return Err(Errno::EAGAIN);
        }
        let growth = usize::try_from(self.growth).unwrap_or(0);
        let ledger = &store.ledger;
        if growth > 0 && !ledger.allows(domid, |quotas| quotas.nodes, |a| a.nodes.len(), growth) {
            return Err(Errno::ENOSPC);
        }
        let mut planned: Vec<(Arc<str>, Planned)> = self.planned.into_iter().collect();
        planned.sort_unstable_by_key(|(_, planned)| planned.order);
        let mut changes = Vec::new();
        for (path, Planned { fate, told, .. }) in planned {
            let before = store.tree.get(&path).cloned();
            if matches!(fate, Fate::Removed | Fate::MadeAnew) && before.is_some() {
                let mut removed = store.remove(&path);
                if fate == Fate::MadeAnew {
                    // The node's own change is told of below.
                    removed.pop();
                }
                changes.append(&mut removed);
            }
            if fate == Fate::Removed {
                continue;
            }
            let Some(node) = self.tree.get(&path) else { continue };
            // Without what is permitted to a domain that was released meanwhile.
            let perms = store.current_perms(node);
            if fate == Fate::Changed {
                let base = self.base.get(&path);
                if base.is_none_or(|base| base.written != node.written) {
                    store.set_value(&path, node.value.clone());
                }
                if base.is_none_or(|base| base.permitted != node.permitted) {
                    store.set_perms(&path, perms);
                }
            } else {
                store.create(path.clone(), node.value.clone(), perms);
            }
            if told {
                let after = store.tree.get(&path).cloned();
                changes.push(Change { path, exact: false, before, after });
            }
        }
        Ok(changes)
    }
}
