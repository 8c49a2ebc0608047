//! The nodes of a store, or of a transaction's view of it. A copy costs nothing; see [`map`].

mod map;

use alloc::sync::Arc;
use alloc::vec::Vec;

use map::{Map, key};
use pv_abi::types::DomId;

use crate::path::{parent, split, stem};
use crate::perms::Permission;

/// A number that each change draws once, so that equal numbers mean unchanged.
pub(crate) type Generation = u64;

/// A node. What can change of it independently has a generation of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    /// In full.
    pub(crate) path: Arc<str>,
    pub(crate) value: Arc<[u8]>,
    /// Never empty; the first is the owner's.
    pub(crate) perms: Arc<[Permission]>,
    /// When the value was written.
    pub(crate) written: Generation,
    /// When the permissions were set, or the node made.
    pub(crate) permitted: Generation,
    /// When a child came or went.
    pub(crate) listed: Generation,
}

impl Node {
    pub(crate) fn new(
        path: Arc<str>,
        value: Arc<[u8]>,
        perms: Arc<[Permission]>,
        generation: Generation,
    ) -> Self {
        Self { path, value, perms, written: generation, permitted: generation, listed: generation }
    }

    /// The domain that owns it.
    pub(crate) fn owner(&self) -> DomId {
        self.perms.first().map_or(DomId::new(0), |entry| entry.domid)
    }

    /// Its name, empty for the root.
    pub(crate) fn name(&self) -> &str {
        split(&self.path).1
    }

    fn is_child(&self, stem: &str) -> bool {
        split(&self.path).0 == stem
    }

    /// Bytes that count against its owner's memory.
    pub(crate) fn size(&self) -> usize {
        self.path.len() + self.value.len() + self.perms.len() * size_of::<Permission>()
    }
}

/// Every node's parent is a node, up to the root, which is always there.
#[derive(Clone, Default)]
pub(crate) struct Tree {
    map: Map,
}

impl Tree {
    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Node>> {
        self.map.get(path)
    }

    /// All nodes, parents before their children.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.map.iter()
    }

    /// Puts in a node that is not there yet, below a parent that is.
    pub(crate) fn create(&mut self, node: Node) {
        if let Some(parent) = parent(&node.path).and_then(|path| self.map.get_mut(path)) {
            parent.listed = node.permitted;
        }
        self.map.insert(Arc::new(node));
    }

    /// Puts in a node as it is: its parent's listing counts as unchanged.
    pub(crate) fn restore(&mut self, node: Node) {
        self.map.insert(Arc::new(node));
    }

    pub(crate) fn set_value(&mut self, path: &str, value: Arc<[u8]>, generation: Generation) {
        if let Some(node) = self.map.get_mut(path) {
            node.value = value;
            node.written = generation;
        }
    }

    pub(crate) fn set_perms(
        &mut self,
        path: &str,
        perms: Arc<[Permission]>,
        generation: Generation,
    ) {
        if let Some(node) = self.map.get_mut(path) {
            node.perms = perms;
            node.permitted = generation;
        }
    }

    /// Removes a node and all below it. Returns them, children before their parent.
    pub(crate) fn remove(&mut self, path: &str, generation: Generation) -> Vec<Arc<Node>> {
        if let Some(parent) = parent(path).and_then(|path| self.map.get_mut(path)) {
            parent.listed = generation;
        }
        let mut removed = Vec::new();
        let mut waiting: Vec<Arc<Node>> = self.get(path).cloned().into_iter().collect();
        while let Some(node) = waiting.pop() {
            waiting.extend(self.children(&node.path).cloned());
            self.map.remove(&node.path);
            removed.push(node);
        }
        removed.reverse();
        removed
    }

    /// A node's children by name.
    pub(crate) fn children(&self, path: &str) -> impl Iterator<Item = &Arc<Node>> {
        let stem = stem(path);
        self.map.iter_children(stem).take_while(move |node| node.is_child(stem))
    }

    /// Bytes of the listing of a node's children: their names, each with a NUL.
    pub(crate) fn listing_len(&self, path: &str) -> usize {
        let stem = stem(path);
        self.map.listing_before(|(above, _)| above <= stem.as_bytes()) - self.listing_start(stem)
    }

    /// The bytes of that listing from `offset` on, in pieces: the end of a name, then whole names,
    /// each piece without its NUL.
    pub(crate) fn listing_from(&self, path: &str, offset: usize) -> impl Iterator<Item = &[u8]> {
        self.children_from(path, offset)
            .map(|(node, skip)| node.name().as_bytes().get(skip..).unwrap_or_default())
    }

    /// Children from the one whose name holds a byte of the listing, and how many bytes of its
    /// name lie before that one.
    fn children_from(
        &self,
        path: &str,
        offset: usize,
    ) -> impl Iterator<Item = (&Arc<Node>, usize)> {
        let stem = stem(path);
        let at = self.listing_start(stem).saturating_add(offset);
        let nodes = self.map.iter_from(at);
        let mut skip = nodes.clone().next().map_or(0, |first| {
            at.saturating_sub(self.map.listing_before(|there| there < key(&first.path)))
        });
        nodes
            .take_while(move |node| node.is_child(stem))
            .map(move |node| (node, core::mem::take(&mut skip)))
    }

    /// Bytes of all listings before that of the node with this stem.
    fn listing_start(&self, stem: &str) -> usize {
        self.map.listing_before(|(above, _)| above < stem.as_bytes())
    }
}
