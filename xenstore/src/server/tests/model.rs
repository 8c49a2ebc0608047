//! Random requests of several domains, in transactions and outside, against a model that is as simple
//! as it can be: a map of paths, transactions that copy it whole and are done again at their commit,
//! watches that are all looked at for each change. In the midst the server is dumped and restored.
//!
//! What the model leaves open: a commit must fail if doing the transaction again would answer anything
//! otherwise than it did, and must not if nothing that it named, nor a parent of that, has changed; in
//! between (a value written again as it was) it may do either.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use proptest::prelude::*;
use proptest::sample::select;
use pv_abi::errno::Errno;
use pv_abi::types::DomId;
use std::{format, vec};

use crate::harness::perms;
use crate::perms::{Access, Permission};
use crate::quota::Quotas;
use crate::server::{ConnectionId, Server};
use crate::wire::{Framer, Header, Message, MessageType, errors, payload};

/// The domains that take part.
const DOMAINS: [u16; 3] = [0, 5, 6];
/// Transactions that each may have open.
const SLOTS: usize = 2;

#[derive(Clone, Debug)]
enum Act {
    Read(&'static str),
    List(&'static str),
    GetPerms(&'static str),
    Write(&'static str, u8),
    Mkdir(&'static str),
    Rm(&'static str),
    SetPerms(&'static str, &'static str),
}

#[derive(Clone, Debug)]
enum Step {
    Act(usize, Option<usize>, Act),
    Start(usize, usize),
    End(usize, usize, bool),
    Watch(usize, &'static str),
    Unwatch(usize, &'static str),
    Take(usize),
    Release(usize),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let paths = || {
        select(vec![
            "/",
            "/a",
            "/a/b",
            "/a/b/c",
            "/a-b",
            "x",
            "x/y",
            "/local/domain/5/x",
            "/local/domain/6",
        ])
    };
    let lists = select(vec!["n0", "r0", "b0", "b5", "n5 r6", "n6 b5", "w0 r5", "b6 n5 r0"]);
    let act = prop_oneof![
        2 => paths().prop_map(Act::Read),
        2 => paths().prop_map(Act::List),
        1 => paths().prop_map(Act::GetPerms),
        4 => (paths(), 0u8..3).prop_map(|(path, value)| Act::Write(path, value)),
        2 => paths().prop_map(Act::Mkdir),
        2 => paths().prop_map(Act::Rm),
        2 => (paths(), lists).prop_map(|(path, list)| Act::SetPerms(path, list)),
    ];
    let who = || 0..DOMAINS.len();
    // What ends transactions for other reasons than their own is rare, so that some come to their end.
    let step = prop_oneof![
        60 => (who(), prop::option::of(0..SLOTS), act).prop_map(|(w, t, a)| Step::Act(w, t, a)),
        16 => (who(), 0..SLOTS).prop_map(|(who, slot)| Step::Start(who, slot)),
        16 => (who(), 0..SLOTS, prop::bool::weighted(0.9)).prop_map(|(w, s, c)| Step::End(w, s, c)),
        6 => (who(), paths()).prop_map(|(who, path)| Step::Watch(who, path)),
        2 => (who(), paths()).prop_map(|(who, path)| Step::Unwatch(who, path)),
        4 => who().prop_map(Step::Take),
        1 => (1..DOMAINS.len()).prop_map(Step::Release),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..200)
}

/// What the model knows of a node.
#[derive(Clone, PartialEq, Debug)]
struct Node {
    value: Vec<u8>,
    perms: Vec<Permission>,
}

/// A change: path, whether exact, and the permissions before and after.
type Change = (String, bool, Vec<Vec<Permission>>);

#[derive(Clone, Default, PartialEq, Debug)]
struct Tree(BTreeMap<String, Node>);

fn access(domid: u16, list: &[Permission]) -> Access {
    let named = list[1..].iter().find(|entry| entry.domid.raw() == domid);
    if owns(domid, list) { Access::Both } else { named.unwrap_or(&list[0]).access }
}

fn reads(domid: u16, list: &[Permission]) -> bool {
    access(domid, list).reads()
}

fn writes(domid: u16, list: &[Permission]) -> bool {
    access(domid, list).writes()
}

fn owns(domid: u16, list: &[Permission]) -> bool {
    domid == 0 || list[0].domid.raw() == domid
}

fn full(domid: u16, path: &str) -> String {
    if path.starts_with('/') { path.into() } else { format!("/local/domain/{domid}/{path}") }
}

fn above(path: &str) -> String {
    match path.rsplit_once('/').unwrap().0 {
        "" => "/".into(),
        parent => parent.into(),
    }
}

fn is_below(path: &str, above: &str) -> bool {
    above == "/" || path == above || path.starts_with(&format!("{above}/"))
}

impl Tree {
    fn find(
        &self,
        domid: u16,
        path: &str,
        allowed: fn(u16, &[Permission]) -> bool,
    ) -> Result<Node, Errno> {
        let mut nearest = path.to_string();
        while !self.0.contains_key(&nearest) {
            nearest = above(&nearest);
        }
        let node = &self.0[&nearest];
        match allowed(domid, &node.perms) {
            false => Err(Errno::EACCES),
            true if nearest == path => Ok(node.clone()),
            true => Err(Errno::ENOENT),
        }
    }

    fn make(&mut self, domid: u16, path: &str, value: &[u8]) {
        if !self.0.contains_key(&above(path)) {
            self.make(domid, &above(path), b"");
        }
        let mut perms = self.0[&above(path)].perms.clone();
        if domid != 0 {
            perms[0].domid = DomId::new(domid);
        }
        self.0.insert(path.into(), Node { value: value.to_vec(), perms });
    }

    fn remove(&mut self, path: &str) -> Vec<Change> {
        let mut gone: Vec<String> =
            self.0.keys().filter(|other| is_below(other, path)).cloned().collect();
        // Children before their parent, else by name.
        gone.sort_by_key(|path| {
            let names = path.split('/').map(|name| (0, name.to_string()));
            names.chain([(1, String::new())]).collect::<Vec<_>>()
        });
        let change = |other: String| {
            let node = self.0.remove(&other).unwrap();
            let exact = other != path;
            (other, exact, vec![node.perms])
        };
        gone.into_iter().map(change).collect()
    }

    /// Does a request; returns its reply, and what changed.
    fn act(&mut self, domid: u16, act: &Act) -> (Result<Vec<u8>, Errno>, Vec<Change>) {
        let mut changes = Vec::new();
        let reply = self.try_act(domid, act, &mut changes);
        (reply, changes)
    }

    fn try_act(
        &mut self,
        domid: u16,
        act: &Act,
        changes: &mut Vec<Change>,
    ) -> Result<Vec<u8>, Errno> {
        let path = full(domid, named(act));
        match act {
            Act::Read(_) => return Ok(self.find(domid, &path, reads)?.value),
            Act::GetPerms(_) => {
                let list = self.find(domid, &path, reads)?.perms;
                return Ok(list.iter().flat_map(|e| format!("{e}\0").into_bytes()).collect());
            }
            Act::List(_) => {
                self.find(domid, &path, reads)?;
                let children = self.0.keys().filter(|other| *other != "/" && above(other) == path);
                let names = children.map(|other| other.rsplit_once('/').unwrap().1);
                return Ok(names.flat_map(|name| format!("{name}\0").into_bytes()).collect());
            }
            Act::Write(..) | Act::Mkdir(_) => {
                let value = if let Act::Write(_, value) = act { vec![*value] } else { vec![] };
                match (self.find(domid, &path, writes), act) {
                    (Ok(node), Act::Write(..)) => {
                        changes.push((path.clone(), false, vec![node.perms]));
                        self.0.get_mut(&path).unwrap().value = value;
                    }
                    (Ok(_), _) => {}
                    (Err(Errno::ENOENT), _) => {
                        self.make(domid, &path, &value);
                        changes.push((path.clone(), false, vec![self.0[&path].perms.clone()]));
                    }
                    (Err(error), _) => return Err(error),
                }
            }
            Act::Rm(_) => match self.find(domid, &path, writes) {
                Ok(_) if path == "/" => return Err(Errno::EINVAL),
                Ok(_) => changes.append(&mut self.remove(&path)),
                Err(Errno::ENOENT) if self.0.contains_key(&above(&path)) => {}
                Err(error) => return Err(error),
            },
            Act::SetPerms(_, list) => {
                let node = self.find(domid, &path, owns)?;
                let list = perms(list);
                if domid != 0 && list[0].domid != node.perms[0].domid {
                    return Err(Errno::EPERM);
                }
                changes.push((path.clone(), false, vec![node.perms, list.clone()]));
                self.0.get_mut(&path).unwrap().perms = list;
            }
        }
        Ok(b"OK\0".to_vec())
    }
}

fn named(act: &Act) -> &'static str {
    match act {
        Act::Read(path) | Act::List(path) | Act::GetPerms(path) | Act::Write(path, _) => path,
        Act::Mkdir(path) | Act::Rm(path) | Act::SetPerms(path, _) => path,
    }
}

fn encode(act: &Act) -> (MessageType, Vec<u8>) {
    use MessageType as Is;
    let path = named(act).as_bytes();
    match act {
        Act::Read(_) => (Is::Read, payload::join(&[path])),
        Act::List(_) => (Is::Directory, payload::join(&[path])),
        Act::GetPerms(_) => (Is::GetPerms, payload::join(&[path])),
        Act::Write(_, value) => (Is::Write, [path, &[0, *value]].concat()),
        Act::Mkdir(_) => (Is::Mkdir, payload::join(&[path])),
        Act::Rm(_) => (Is::Rm, payload::join(&[path])),
        Act::SetPerms(_, list) => {
            let words: Vec<&[u8]> =
                [path].into_iter().chain(list.split(' ').map(str::as_bytes)).collect();
            (Is::SetPerms, payload::join(&words))
        }
    }
}

/// A transaction of the model.
struct Open {
    number: u32,
    tree: Tree,
    began: usize,
    done: Vec<(Act, Result<Vec<u8>, Errno>)>,
    /// Domains that were released since it began, and how many requests were done before.
    released: Vec<(usize, u16)>,
    /// The server was restarted since.
    lost: bool,
}

/// One domain's client.
struct Peer {
    domid: u16,
    id: ConnectionId,
    open: [Option<Open>; SLOTS],
    watches: Vec<&'static str>,
    /// Events that wait, as `path token`.
    waiting: VecDeque<String>,
}

struct Run {
    server: Server,
    peers: Vec<Peer>,
    tree: Tree,
    /// When each path, or its children, changed last.
    changed: BTreeMap<String, usize>,
    now: usize,
}

impl Run {
    fn new() -> Self {
        let mut server = Server::new(Quotas::default());
        let nobody = || Node { value: vec![], perms: perms("n0") };
        let first = ["/", "/tool", "/tool/xenstored"].map(|path| (path.to_string(), nobody()));
        let peers = DOMAINS.map(|domid| Peer {
            domid,
            id: server.connect(DomId::new(domid)),
            open: [None, None],
            watches: vec![],
            waiting: VecDeque::new(),
        });
        let tree = Tree(first.into());
        let mut run = Self { server, peers: peers.into(), tree, changed: BTreeMap::new(), now: 0 };
        for who in 1..DOMAINS.len() {
            run.introduce(who);
        }
        run
    }

    /// Domain 0 introduces a domain. Its connection is made before or after: that is the embedder's.
    fn introduce(&mut self, who: usize) {
        let domid = DOMAINS[who].to_string();
        let words = payload::join(&[domid.as_bytes(), b"1", b"1"]);
        assert_eq!(self.ask(0, MessageType::Introduce, 0, &words).0, Ok(b"OK\0".to_vec()));
        self.server.disconnect(self.peers[who].id);
        self.peers[who].id = self.server.connect(DomId::new(DOMAINS[who]));
    }

    /// Everything that waits for a client: replies, and events.
    fn take(&mut self, who: usize) -> (Vec<Message>, Vec<String>) {
        let (mut framer, id) = (Framer::default(), self.peers[who].id);
        while !self.server.output(id).is_empty() {
            let bytes = self.server.output(id).to_vec();
            framer.push(&bytes);
            self.server.sent(id, bytes.len());
        }
        let (mut replies, mut events) = (vec![], vec![]);
        while let Some(message) = framer.next_message().unwrap() {
            if message.header.kind() == Some(MessageType::WatchEvent) {
                let words = payload::strings(&message.payload).map(String::from_utf8_lossy);
                events.push(words.collect::<Vec<_>>().join(" "));
            } else {
                replies.push(message);
            }
        }
        (replies, events)
    }

    fn ask(
        &mut self,
        who: usize,
        kind: MessageType,
        transaction: u32,
        payload: &[u8],
    ) -> (Result<Vec<u8>, Errno>, Vec<String>) {
        let header = Header { transaction, ..Header::unsolicited(kind) };
        let request = Message { header, payload: payload.to_vec() }.encode();
        self.server.input(self.peers[who].id, &request);
        let (mut replies, events) = self.take(who);
        assert_eq!(replies.len(), 1);
        let reply = replies.remove(0);
        if reply.header.kind() == Some(MessageType::Error) {
            let name = payload::one(&reply.payload).unwrap();
            return (Err(errors::from_name(name).unwrap()), events);
        }
        assert_eq!(reply.header.kind(), Some(kind));
        (Ok(reply.payload), events)
    }

    /// The events that changes give a client, in order.
    fn events(&self, who: usize, changes: &[Change]) -> Vec<String> {
        let peer = &self.peers[who];
        let mut events = vec![];
        for (path, exact, lists) in changes {
            if !lists.iter().any(|list| reads(peer.domid, list)) {
                continue;
            }
            for watch in &peer.watches {
                let whole = full(peer.domid, watch);
                if *path == whole || (!exact && is_below(path, &whole)) {
                    let home = format!("/local/domain/{}/", peer.domid);
                    let shown = if watch.starts_with('/') { path } else { &path[home.len()..] };
                    events.push(format!("{shown} {watch}"));
                }
            }
        }
        events
    }

    fn expect(&mut self, changes: &[Change]) {
        for who in 0..self.peers.len() {
            for event in self.events(who, changes) {
                self.peers[who].wait(event);
            }
        }
    }

    /// Notes what differs from the tree before.
    fn note(&mut self, before: &Tree) {
        self.now += 1;
        let paths: BTreeSet<String> = before.0.keys().chain(self.tree.0.keys()).cloned().collect();
        for path in paths {
            if before.0.get(&path) != self.tree.0.get(&path) {
                self.touch(&path);
            }
        }
    }

    /// A path changed, and so may have its parent's listing.
    fn touch(&mut self, path: &str) {
        self.changed.insert(path.into(), self.now);
        self.changed.insert(if path == "/" { path.into() } else { above(path) }, self.now);
    }

    fn act(&mut self, who: usize, slot: Option<usize>, act: &Act) {
        let domid = self.peers[who].domid;
        let (kind, words) = encode(act);
        let open = slot.and_then(|slot| self.peers[who].open[slot].take());
        let Some(mut open) = open else {
            let before = self.tree.clone();
            let (expected, changes) = self.tree.act(domid, act);
            self.expect(&changes);
            self.note(&before);
            changes.iter().for_each(|(path, ..)| self.touch(path));
            self.compare(who, act, kind, 0, &words, &expected);
            return;
        };
        let expected = if open.lost {
            self.tree.clone().act(domid, act).0
        } else {
            open.tree.act(domid, act).0
        };
        open.done.push((act.clone(), expected.clone()));
        let number = open.number;
        self.peers[who].open[slot.unwrap()] = Some(open);
        self.compare(who, act, kind, number, &words, &expected);
    }

    fn compare(
        &mut self,
        who: usize,
        act: &Act,
        kind: MessageType,
        number: u32,
        words: &[u8],
        expected: &Result<Vec<u8>, Errno>,
    ) {
        let (reply, events) = self.ask(who, kind, number, words);
        assert_eq!(&reply, expected, "{act:?}");
        assert_eq!(events, self.peers[who].taken(), "{act:?}");
    }

    fn take_and_compare(&mut self, who: usize) {
        let (replies, events) = self.take(who);
        assert!(replies.is_empty());
        assert_eq!(events, self.peers[who].taken());
    }

    fn end(&mut self, who: usize, slot: usize, commit: bool) {
        let Some(open) = self.peers[who].open[slot].take() else { return };
        (0..self.peers.len()).for_each(|other| self.take_and_compare(other));
        let domid = self.peers[who].domid;
        let word: &[u8] = if commit { b"T\0" } else { b"F\0" };
        let (reply, mut own_events) = self.ask(who, MessageType::TransactionEnd, open.number, word);
        if !commit {
            assert_eq!(reply, Ok(b"OK\0".to_vec()));
            return;
        }
        let mut again = self.tree.clone();
        let mut changes = vec![];
        let mut differs = open.lost;
        let mut disturbed = open.lost;
        for (at, (act, answered)) in open.done.iter().enumerate() {
            let (answer, mut changed) = again.act(domid, act);
            // Until then the domain was permitted what the transaction says.
            for (_, gone) in open.released.iter().filter(|(done, _)| *done == at + 1) {
                again.forget(*gone, |path, node| self.tree.0.get(path) != Some(node));
            }
            differs |= answer != *answered;
            changes.append(&mut changed);
            let mut path = full(domid, named(act));
            loop {
                disturbed |= self.changed.get(&path).is_some_and(|at| *at > open.began);
                if path == "/" {
                    break;
                }
                path = above(&path);
            }
        }
        match reply {
            Ok(_) => assert!(!differs, "{:?}", open.done),
            Err(error) => {
                assert_eq!(error, Errno::EAGAIN);
                assert!(disturbed, "{:?}", open.done);
                assert!(own_events.is_empty());
                return;
            }
        }
        // It tells of a node once, and so also those who can read what was made in its place.
        for (path, _, lists) in &mut changes {
            lists.extend(again.0.get(path).map(|node| node.perms.clone()));
        }
        let before = core::mem::replace(&mut self.tree, again);
        self.note(&before);
        changes.iter().for_each(|(path, ..)| self.touch(path));
        for other in 0..self.peers.len() {
            let allowed = self.events(other, &changes);
            let told =
                if other == who { core::mem::take(&mut own_events) } else { self.take(other).1 };
            for event in told {
                assert!(allowed.contains(&event), "{event} of {allowed:?}");
            }
        }
    }

    fn release(&mut self, who: usize) {
        let domid = DOMAINS[who];
        let before = self.tree.clone();
        let mut changes = vec![];
        while let Some(path) = self.tree.first_owned(domid) {
            changes.append(&mut self.tree.remove(&path));
        }
        if owner(&self.tree.0["/"]) == domid {
            self.tree.0.get_mut("/").unwrap().perms = perms("n0");
        }
        // What was permitted to it is not to the next of its number.
        self.tree.forget(domid, |_, _| true);
        for open in self.peers.iter_mut().flat_map(|peer| &mut peer.open).flatten() {
            open.tree.forget(domid, |_, _| true);
            open.released.push((open.done.len(), domid));
        }
        self.note(&before);
        let peer = &mut self.peers[who];
        (peer.open, peer.watches) = ([None, None], vec![]);
        peer.waiting.clear();
        self.expect(&changes);
        let words = payload::join(&[domid.to_string().as_bytes()]);
        let (reply, events) = self.ask(0, MessageType::Release, 0, &words);
        assert_eq!(reply, Ok(b"OK\0".to_vec()));
        assert_eq!(events, self.peers[0].taken());
        assert!(self.server.is_closed(self.peers[who].id));
        self.introduce(who);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Act(who, slot, act) => self.act(*who, *slot, act),
            Step::Start(who, slot) => {
                if self.peers[*who].open[*slot].is_some() {
                    return;
                }
                let (reply, events) = self.ask(*who, MessageType::TransactionStart, 0, b"\0");
                assert_eq!(events, self.peers[*who].taken());
                let number = String::from_utf8(reply.unwrap()).unwrap();
                let number = number.trim_end_matches('\0').parse().unwrap();
                let (tree, began) = (self.tree.clone(), self.now);
                let open =
                    Open { number, tree, began, done: vec![], released: vec![], lost: false };
                self.peers[*who].open[*slot] = Some(open);
            }
            Step::End(who, slot, commit) => self.end(*who, *slot, *commit),
            Step::Watch(who, path) => {
                let words = payload::join(&[path.as_bytes(), path.as_bytes()]);
                let (reply, events) = self.ask(*who, MessageType::Watch, 0, &words);
                let peer = &mut self.peers[*who];
                if peer.watches.contains(path) {
                    assert_eq!(reply, Err(Errno::EEXIST));
                } else {
                    peer.watches.push(path);
                    peer.wait(format!("{path} {path}"));
                }
                assert_eq!(events, peer.taken());
            }
            Step::Unwatch(who, path) => {
                let words = payload::join(&[path.as_bytes(), path.as_bytes()]);
                let (reply, events) = self.ask(*who, MessageType::Unwatch, 0, &words);
                let peer = &mut self.peers[*who];
                let known = peer.watches.contains(path);
                peer.watches.retain(|watch| watch != path);
                assert_eq!(reply.is_ok(), known);
                assert_eq!(events, peer.taken());
            }
            Step::Take(who) => self.take_and_compare(*who),
            Step::Release(who) => self.release(*who),
            Step::Restart => {
                self.server = Server::restore(&self.server.dump()).unwrap();
                for open in self.peers.iter_mut().flat_map(|peer| &mut peer.open).flatten() {
                    open.lost = true;
                }
            }
        }
    }
}

fn owner(node: &Node) -> u16 {
    node.perms[0].domid.raw()
}

impl Tree {
    fn first_owned(&self, domid: u16) -> Option<String> {
        let mut owned = self.0.iter().filter(|(path, node)| *path != "/" && owner(node) == domid);
        owned.next().map(|(path, _)| path.clone())
    }

    fn forget(&mut self, domid: u16, at: impl Fn(&str, &Node) -> bool) {
        for (_, node) in self.0.iter_mut().filter(|(path, node)| at(path, node)) {
            let owner = node.perms[0];
            node.perms.retain(|entry| entry.domid.raw() != domid);
            if owner.domid.raw() == domid {
                node.perms.insert(0, owner);
            }
        }
    }
}

impl Peer {
    fn wait(&mut self, event: String) {
        if !self.waiting.contains(&event) {
            self.waiting.push_back(event);
        }
    }

    fn taken(&mut self) -> Vec<String> {
        self.waiting.drain(..).collect()
    }
}

proptest! {
    #[test]
    fn as_the_model(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
            prop_assert_eq!(run.server.check(), Ok(()));
        }
        // Nothing is left of the domains in the end.
        for who in 1..DOMAINS.len() {
            run.release(who);
        }
        let all: Vec<String> =
            run.server.store.tree.iter().map(|node| node.path.to_string()).collect();
        let mut expected: Vec<String> = run.tree.0.keys().cloned().collect();
        let mut all_sorted = all;
        all_sorted.sort();
        expected.sort();
        prop_assert_eq!(all_sorted, expected);
    }
}
