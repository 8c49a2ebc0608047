//! An ordered map of nodes that is copied in an instant.
//!
//! It is a weight-balanced tree whose branches are shared: a copy is one more reference to the root,
//! and a change afterwards copies only the branches on the way to the changed node, about
//! log2(nodes) of them. Without a copy around, changes happen in place.
//!
//! Order is by [`split`]: by parent first, then by name. So the children of a node are neighbours,
//! sorted, whatever else is in the store. Each branch knows how many nodes are below it (for the
//! balance) and how many bytes their names take in a listing (so that a part of a long listing is found
//! without walking to it).
//!
//! Recursion is as deep as the tree is high, not as paths are long: below 60 for what fits in memory.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::mem;

use super::Node;
use crate::path::split;

type Link = Option<Arc<Branch>>;

/// What the order is by: the two parts of a path.
pub(super) type Key<'a> = (&'a [u8], &'a [u8]);

#[derive(Clone)]
struct Branch {
    /// The node's. It stands here too because a search reads it on every level.
    path: Arc<str>,
    /// Where its last `/` is, for the same reason.
    stem: usize,
    node: Arc<Node>,
    left: Link,
    right: Link,
    /// Nodes here and below.
    count: usize,
    /// Bytes of their names in listings.
    listing: usize,
}

/// See the [module](self).
#[derive(Clone, Default)]
pub(crate) struct Map {
    root: Link,
}

impl Map {
    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        count(&self.root)
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Node>> {
        let key = key(path);
        let mut link = &self.root;
        while let Some(branch) = link {
            link = match key.cmp(&branch.key()) {
                Ordering::Less => &branch.left,
                Ordering::Greater => &branch.right,
                Ordering::Equal => return Some(&branch.node),
            };
        }
        None
    }

    /// A node to change. Its path must stay.
    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        // Nothing is to be copied for a node that is not there.
        self.get(path)?;
        let key = key(path);
        let mut link = &mut self.root;
        loop {
            let branch = Arc::make_mut(link.as_mut()?);
            link = match key.cmp(&branch.key()) {
                Ordering::Less => &mut branch.left,
                Ordering::Greater => &mut branch.right,
                Ordering::Equal => return Some(Arc::make_mut(&mut branch.node)),
            };
        }
    }

    /// Puts a node in, in the place of one with the same path.
    pub(crate) fn insert(&mut self, node: Arc<Node>) {
        insert(&mut self.root, node);
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<Arc<Node>> {
        self.get(path)?;
        remove(&mut self.root, key(path))
    }

    /// Bytes of the names of all nodes before the first for whose parts `before` is false. `before`
    /// must be true up to some node and false from there on.
    pub(crate) fn listing_before(&self, before: impl Fn(Key<'_>) -> bool) -> usize {
        let (mut link, mut sum) = (&self.root, 0);
        while let Some(branch) = link {
            link = if before(branch.key()) {
                sum += listing(&branch.left) + branch.listed_len();
                &branch.right
            } else {
                &branch.left
            };
        }
        sum
    }

    /// The nodes in order, from the one whose name holds the byte `offset` of the listing of all.
    pub(crate) fn iter_from(&self, offset: usize) -> Iter<'_> {
        let mut iter = Iter { above: Vec::new() };
        let (mut link, mut rest) = (&self.root, offset);
        while let Some(branch) = link {
            let (left, own) = (listing(&branch.left), branch.listed_len());
            if rest < left + own {
                iter.above.push(branch);
                link = &branch.left;
            } else {
                rest -= left + own;
                link = &branch.right;
            }
        }
        iter
    }

    /// The nodes in order, from the first child of the node with this stem on, or where it would be.
    pub(crate) fn iter_children(&self, stem: &str) -> Iter<'_> {
        let mut iter = Iter { above: Vec::new() };
        let mut link = &self.root;
        while let Some(branch) = link {
            // The root's own name is empty, and it is nobody's child.
            link = if branch.key() > (stem.as_bytes(), &[]) {
                iter.above.push(branch);
                &branch.left
            } else {
                &branch.right
            };
        }
        iter
    }

    /// All nodes in order; the root, which is in no listing, first.
    pub(crate) fn iter(&self) -> Iter<'_> {
        let mut iter = Iter { above: Vec::new() };
        iter.down_left(&self.root);
        iter
    }
}

/// Nodes in order.
#[derive(Clone)]
pub(crate) struct Iter<'a> {
    /// The branches whose node and right side are still to come, nearest last.
    above: Vec<&'a Branch>,
}

impl<'a> Iter<'a> {
    fn down_left(&mut self, mut link: &'a Link) {
        while let Some(branch) = link {
            self.above.push(branch);
            link = &branch.left;
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Arc<Node>;

    fn next(&mut self) -> Option<Self::Item> {
        let branch = self.above.pop()?;
        self.down_left(&branch.right);
        Some(&branch.node)
    }
}

fn count(link: &Link) -> usize {
    link.as_ref().map_or(0, |branch| branch.count)
}

fn listing(link: &Link) -> usize {
    link.as_ref().map_or(0, |branch| branch.listing)
}

/// Where a node with this path stands.
pub(super) fn key(path: &str) -> Key<'_> {
    let (stem, name) = split(path);
    (stem.as_bytes(), name.as_bytes())
}

/// Bytes of a name in its parent's listing, with the NUL. The root, which has none, is in no listing.
fn listed_len(name: &[u8]) -> usize {
    if name.is_empty() { 0 } else { name.len() + 1 }
}

/// What the balance compares.
fn weight(link: &Link) -> usize {
    count(link) + 1
}

fn insert(link: &mut Link, node: Arc<Node>) {
    let path = node.path.clone();
    insert_at(link, key(&path), node);
}

fn insert_at(link: &mut Link, key: Key<'_>, node: Arc<Node>) {
    let Some(shared) = link else {
        *link = Some(Arc::new(Branch::new(node)));
        return;
    };
    let branch = Arc::make_mut(shared);
    match key.cmp(&branch.key()) {
        Ordering::Less => insert_at(&mut branch.left, key, node),
        Ordering::Greater => insert_at(&mut branch.right, key, node),
        Ordering::Equal => branch.node = node,
    }
    branch.settle();
}

fn remove(link: &mut Link, key: Key<'_>) -> Option<Arc<Node>> {
    let branch = Arc::make_mut(link.as_mut()?);
    let removed = match key.cmp(&branch.key()) {
        Ordering::Less => remove(&mut branch.left, key),
        Ordering::Greater => remove(&mut branch.right, key),
        Ordering::Equal => {
            let Some(next) = take_first(&mut branch.right) else {
                let removed = branch.node.clone();
                *link = branch.left.take();
                return Some(removed);
            };
            let Branch { path, stem, node, .. } = Branch::new(next);
            (branch.path, branch.stem) = (path, stem);
            Some(mem::replace(&mut branch.node, node))
        }
    };
    branch.settle();
    removed
}

/// Takes the first node away.
fn take_first(link: &mut Link) -> Option<Arc<Node>> {
    let branch = Arc::make_mut(link.as_mut()?);
    if branch.left.is_none() {
        let first = branch.node.clone();
        *link = branch.right.take();
        return Some(first);
    }
    let first = take_first(&mut branch.left);
    branch.settle();
    first
}

impl Branch {
    /// One without sides.
    fn new(node: Arc<Node>) -> Self {
        let path = node.path.clone();
        let (stem, name) = key(&path);
        let (stem, listing) = (stem.len(), listed_len(name));
        Self { path, stem, node, left: None, right: None, count: 1, listing }
    }

    /// The node's path, [split].
    fn key(&self) -> Key<'_> {
        let (stem, rest) = self.path.as_bytes().split_at_checked(self.stem).unwrap_or_default();
        (stem, rest.get(1..).unwrap_or_default())
    }

    fn listed_len(&self) -> usize {
        listed_len(self.key().1)
    }

    /// Restores counts and balance after a side has changed by one node.
    ///
    /// The factors 3 and 2 are the pair that keeps the balance under insertion and removal (Hirai and
    /// Yamamoto, "Balancing weight-balanced trees", 2011).
    fn settle(&mut self) {
        let (left, right) = (weight(&self.left), weight(&self.right));
        if left > 3 * right {
            if let Some(shared) = &mut self.left {
                let side = Arc::make_mut(shared);
                if weight(&side.right) >= 2 * weight(&side.left) {
                    side.rotate_left();
                }
            }
            self.rotate_right();
        } else if right > 3 * left {
            if let Some(shared) = &mut self.right {
                let side = Arc::make_mut(shared);
                if weight(&side.left) >= 2 * weight(&side.right) {
                    side.rotate_right();
                }
            }
            self.rotate_left();
        } else {
            self.sum();
        }
    }

    fn sum(&mut self) {
        self.count = count(&self.left) + 1 + count(&self.right);
        self.listing = listing(&self.left) + self.listed_len() + listing(&self.right);
    }

    /// The left side comes up into this place, and what was here becomes its right side.
    fn rotate_right(&mut self) {
        if let Some(mut side) = self.left.take() {
            let below = Arc::make_mut(&mut side);
            self.left = below.right.take();
            self.sum();
            mem::swap(self, below);
            self.right = Some(side);
        }
        self.sum();
    }

    /// The mirror image of [`rotate_right`](Self::rotate_right).
    fn rotate_left(&mut self) {
        if let Some(mut side) = self.right.take() {
            let below = Arc::make_mut(&mut side);
            self.right = below.left.take();
            self.sum();
            mem::swap(self, below);
            self.left = Some(side);
        }
        self.sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::format;

    fn node(number: u16, generation: u64) -> Arc<Node> {
        Arc::new(Node::new(format!("/n{number}").into(), (*b"").into(), [].into(), generation))
    }

    /// Checks sums, order and balance; returns the height.
    fn check(link: &Link) -> usize {
        let Some(branch) = link else { return 0 };
        let height = check(&branch.left).max(check(&branch.right)) + 1;
        let (left, right) = (weight(&branch.left), weight(&branch.right));
        assert!(left <= 3 * right && right <= 3 * left);
        let mut copy = Branch::clone(branch);
        copy.sum();
        assert_eq!((copy.count, copy.listing), (branch.count, branch.listing));
        height
    }

    proptest! {
        #[test]
        fn as_a_map_of_std(steps in prop::collection::vec((0u16..60, any::<bool>()), 0..300)) {
            let mut map = Map::default();
            let mut model = BTreeMap::new();
            let mut copies = Vec::new();
            for (at, (number, put)) in steps.into_iter().enumerate() {
                if at % 50 == 25 {
                    copies.push((map.clone(), model.clone()));
                }
                if put {
                    map.insert(node(number, at as u64));
                    model.insert(format!("/n{number}"), at as u64);
                } else {
                    let removed = map.remove(&format!("/n{number}"));
                    let expected = model.remove(&format!("/n{number}"));
                    prop_assert_eq!(removed.map(|node| node.written), expected);
                }
                check(&map.root);
            }
            copies.push((map, model));
            for (map, model) in copies {
                prop_assert_eq!(map.len(), model.len());
                let all: Vec<(String, u64)> =
                    map.iter().map(|node| (node.path.to_string(), node.written)).collect();
                prop_assert_eq!(&all, &model.clone().into_iter().collect::<Vec<_>>());
                let mut offset = 0;
                for (at, (path, generation)) in all.iter().enumerate() {
                    prop_assert_eq!(map.get(path).map(|node| node.written), Some(*generation));
                    prop_assert_eq!(map.listing_before(|there| there < key(path)), offset);
                    prop_assert_eq!(&*map.iter_from(offset).next().unwrap().path, path.as_str());
                    prop_assert_eq!(map.iter_from(offset + 1).count(), all.len() - at);
                    prop_assert_eq!(map.iter_children(path).count(), 0);
                    offset += path.len();
                }
            }
        }
    }

    #[test]
    fn stays_low_when_filled_in_order() {
        let mut map = Map::default();
        for number in 0..4096 {
            map.insert(node(number, 0));
        }
        assert!(check(&map.root) <= 20);
        for number in 0..4000 {
            map.remove(&format!("/n{number}"));
        }
        assert!(check(&map.root) <= 12);
    }

    use std::string::{String, ToString};
}
