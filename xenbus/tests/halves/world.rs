//! What two domains share, in one process: a store with watches and transactions, event channels,
//! grants. It counts what is in use, so that tests see what was let go.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::rc::Rc;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};
use xenbus::access::{End, Events, Grants, Shared, Store, Transaction};
use xenbus::back::Back;
use xenbus::console::{Console, FrontEnd};
use xenbus::device::{back_path, front_path, home};
use xenbus::front::Front;
use xenbus::memory::Words;

/// The domain of front ends.
pub const GUEST: DomId = DomId::new(1);
/// The domain of back ends.
pub const HOST: DomId = DomId::new(0);

type Tree = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
struct Shelf {
    tree: Tree,
    transactions: HashMap<u32, Open>,
    next: u32,
    watches: Vec<(DomId, String, String)>,
    /// Tokens of events that wait for a domain.
    fired: BTreeSet<(DomId, String)>,
    /// How many transactions are still to be refused.
    conflicts: u32,
    /// Whether all is refused.
    broken: bool,
    ports: HashMap<(DomId, u32), Channel>,
    pending: BTreeSet<(DomId, u32)>,
    grants: HashMap<(DomId, u32), Grant>,
}

/// A transaction: the tree when it began, and as it sees it; what it wrote.
struct Open {
    old: Tree,
    new: Tree,
    written: Vec<String>,
}

#[derive(Clone, Copy)]
struct Channel {
    remote: DomId,
    peer: Option<u32>,
}

struct Grant {
    to: DomId,
    memory: Words,
    mapped: u32,
}

/// A page of another domain's.
#[derive(Debug)]
pub struct Mapping {
    of: DomId,
    grant: u32,
    memory: Words,
}

impl Deref for Mapping {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.memory
    }
}

/// The machine; a clone is the same one.
#[derive(Clone, Default)]
pub struct World(Rc<RefCell<Shelf>>);

impl World {
    /// A machine with a console's directories, as a toolstack makes them.
    pub fn with_console() -> World {
        let world = World::default();
        world.make_device();
        world
    }

    pub fn make_device(&self) {
        let (front, back) = (front(), back());
        for (path, value) in [
            (format!("{front}/backend"), back.clone()),
            (format!("{front}/backend-id"), "0".into()),
            (format!("{front}/state"), "1".into()),
            (format!("{back}/frontend"), front.clone()),
            (format!("{back}/frontend-id"), "1".into()),
            (format!("{back}/online"), "1".into()),
            (format!("{back}/state"), "1".into()),
        ] {
            self.set(&path, &value);
        }
    }

    /// A domain's view of it.
    pub fn domain(&self, id: DomId) -> Domain {
        Domain { id, world: self.clone() }
    }

    /// Writes a node from nowhere.
    pub fn set(&self, path: &str, value: &str) {
        let mut shelf = self.0.borrow_mut();
        shelf.tree.insert(path.into(), value.into());
        shelf.fire(path);
    }

    /// Removes a directory from nowhere.
    pub fn remove(&self, path: &str) {
        let mut shelf = self.0.borrow_mut();
        let below = format!("{path}/");
        shelf.tree.retain(|node, _| node != path && !node.starts_with(&below));
        shelf.fire(path);
    }

    pub fn get(&self, path: &str) -> Option<String> {
        let shelf = self.0.borrow();
        shelf.tree.get(path).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Has the next transactions fail for the sake of others.
    pub fn conflict(&self, transactions: u32) {
        self.0.borrow_mut().conflicts = transactions;
    }

    /// Has the store refuse everything, or no longer.
    pub fn break_store(&self, broken: bool) {
        self.0.borrow_mut().broken = broken;
    }

    /// Whether events of a watch with this token wait for a domain; they no longer do.
    pub fn take_fired(&self, id: DomId, token: &str) -> bool {
        self.0.borrow_mut().fired.remove(&(id, token.into()))
    }

    /// Whether an event waits at a port; it no longer does.
    pub fn take_event(&self, id: DomId, port: Port) -> bool {
        self.0.borrow_mut().pending.remove(&(id, port.raw()))
    }

    /// A port of a domain that is gone is closed, its mappings are undone.
    pub fn kill(&self, id: DomId) {
        let ports: Vec<u32> =
            self.0.borrow().ports.keys().filter(|key| key.0 == id).map(|key| key.1).collect();
        for port in ports {
            let _ = self.domain(id).close(Port::new(port));
        }
        let mut shelf = self.0.borrow_mut();
        shelf.grants.retain(|key, _| key.0 != id);
        shelf.grants.values_mut().filter(|grant| grant.to == id).for_each(|grant| grant.mapped = 0);
        shelf.watches.retain(|watch| watch.0 != id);
    }

    /// Ports, grants and mappings of grants that are in use.
    pub fn in_use(&self) -> (usize, usize, u32) {
        let shelf = self.0.borrow();
        let mapped = shelf.grants.values().map(|grant| grant.mapped).sum();
        (shelf.ports.len(), shelf.grants.len(), mapped)
    }

    pub fn watches(&self) -> usize {
        self.0.borrow().watches.len()
    }

    /// The memory behind a grant of the guest's.
    pub fn memory(&self, grant: u32) -> Option<Words> {
        self.0.borrow().grants.get(&(GUEST, grant)).map(|grant| grant.memory.clone())
    }
}

impl Shelf {
    fn fire(&mut self, path: &str) {
        for (id, watched, token) in &self.watches {
            let within = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}/"));
            if within(path, watched) || within(watched, path) {
                self.fired.insert((*id, token.clone()));
            }
        }
    }

    fn tree(&mut self, within: Transaction) -> Result<&mut Tree, Errno> {
        match within {
            _ if self.broken => Err(Errno::EIO),
            Transaction::NONE => Ok(&mut self.tree),
            Transaction(id) => {
                self.transactions.get_mut(&id).map(|open| &mut open.new).ok_or(Errno::ENOENT)
            }
        }
    }
}

/// A domain's hypercalls and its connection to the store.
#[derive(Clone)]
pub struct Domain {
    id: DomId,
    world: World,
}

impl Domain {
    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.into() } else { format!("{}/{path}", home(self.id)) }
    }
}

impl Events for Domain {
    fn alloc_unbound(&mut self, remote: DomId) -> Result<Port, Errno> {
        let mut shelf = self.world.0.borrow_mut();
        shelf.next += 1;
        let port = shelf.next;
        shelf.ports.insert((self.id, port), Channel { remote, peer: None });
        Ok(Port::new(port))
    }

    fn bind(&mut self, remote: DomId, port: Port) -> Result<Port, Errno> {
        let ours = self.alloc_unbound(remote)?.raw();
        let mut shelf = self.world.0.borrow_mut();
        let theirs = shelf.ports.get_mut(&(remote, port.raw()));
        match theirs.filter(|channel| channel.remote == self.id && channel.peer.is_none()) {
            Some(channel) => channel.peer = Some(ours),
            None => {
                shelf.ports.remove(&(self.id, ours));
                return Err(Errno::EINVAL);
            }
        }
        shelf.ports.insert((self.id, ours), Channel { remote, peer: Some(port.raw()) });
        // As Xen does: what was sent before is not lost.
        shelf.pending.insert((self.id, ours));
        Ok(Port::new(ours))
    }

    fn send(&mut self, port: Port) -> Result<(), Errno> {
        let mut shelf = self.world.0.borrow_mut();
        let channel = *shelf.ports.get(&(self.id, port.raw())).ok_or(Errno::EINVAL)?;
        if let Some(peer) = channel.peer {
            shelf.pending.insert((channel.remote, peer));
        }
        Ok(())
    }

    fn close(&mut self, port: Port) -> Result<(), Errno> {
        let mut shelf = self.world.0.borrow_mut();
        let channel = shelf.ports.remove(&(self.id, port.raw())).ok_or(Errno::EINVAL)?;
        let other = channel.peer.and_then(|peer| shelf.ports.get_mut(&(channel.remote, peer)));
        if let Some(other) = other {
            other.peer = None;
        }
        Ok(())
    }
}

impl Grants for Domain {
    type Own = Words;
    type Foreign = Mapping;

    fn share(&mut self, with: DomId, pages: usize) -> Result<Shared<Words>, Errno> {
        assert_eq!(pages, 1, "consoles have one page");
        let mut shelf = self.world.0.borrow_mut();
        shelf.next += 1;
        let grant = shelf.next;
        let memory = Words::pages(pages);
        let entry = Grant { to: with, memory: memory.clone(), mapped: 0 };
        shelf.grants.insert((self.id, grant), entry);
        Ok(Shared { memory, grants: vec![GrantRef::new(grant)] })
    }

    fn end(&mut self, shared: Shared<Words>) -> Result<(), Shared<Words>> {
        let mut shelf = self.world.0.borrow_mut();
        let keys: Vec<_> = shared.grants.iter().map(|grant| (self.id, grant.raw())).collect();
        if keys.iter().any(|key| shelf.grants[key].mapped > 0) {
            return Err(shared);
        }
        for key in keys {
            shelf.grants.remove(&key);
        }
        Ok(())
    }

    fn map(&mut self, of: DomId, grants: &[GrantRef]) -> Result<Self::Foreign, Errno> {
        let mut shelf = self.world.0.borrow_mut();
        let [grant] = grants else { return Err(Errno::EINVAL) };
        let entry = shelf.grants.get_mut(&(of, grant.raw())).ok_or(Errno::EINVAL)?;
        if entry.to != self.id {
            return Err(Errno::EPERM);
        }
        entry.mapped += 1;
        Ok(Mapping { of, grant: grant.raw(), memory: entry.memory.clone() })
    }

    fn unmap(&mut self, Mapping { of, grant, .. }: Mapping) {
        let mut shelf = self.world.0.borrow_mut();
        // The granter may have died meanwhile.
        if let Some(entry) = shelf.grants.get_mut(&(of, grant)) {
            entry.mapped -= 1;
        }
    }
}

impl Store for Domain {
    fn read(&mut self, within: Transaction, path: &str) -> Result<Vec<u8>, Errno> {
        let mut shelf = self.world.0.borrow_mut();
        shelf.tree(within)?.get(&self.absolute(path)).cloned().ok_or(Errno::ENOENT)
    }

    fn write(&mut self, within: Transaction, path: &str, value: &[u8]) -> Result<(), Errno> {
        let mut shelf = self.world.0.borrow_mut();
        let path = self.absolute(path);
        shelf.tree(within)?.insert(path.clone(), value.into());
        match shelf.transactions.get_mut(&within.0) {
            Some(open) => open.written.push(path),
            None => shelf.fire(&path),
        }
        Ok(())
    }

    fn remove(&mut self, within: Transaction, path: &str) -> Result<(), Errno> {
        let mut shelf = self.world.0.borrow_mut();
        let path = self.absolute(path);
        shelf.tree(within)?.remove(&path).ok_or(Errno::ENOENT)?;
        shelf.fire(&path);
        Ok(())
    }

    fn directory(&mut self, within: Transaction, path: &str) -> Result<Vec<String>, Errno> {
        let mut shelf = self.world.0.borrow_mut();
        let below = format!("{}/", self.absolute(path));
        let tree = shelf.tree(within)?;
        let names: BTreeSet<String> = tree
            .keys()
            .filter_map(|node| node.strip_prefix(&below))
            .map(|rest| rest.split('/').next().unwrap_or(rest).to_string())
            .collect();
        if names.is_empty() { Err(Errno::ENOENT) } else { Ok(names.into_iter().collect()) }
    }

    fn watch(&mut self, path: &str, token: &str) -> Result<(), Errno> {
        let mut shelf = self.world.0.borrow_mut();
        shelf.watches.push((self.id, self.absolute(path), token.into()));
        shelf.fired.insert((self.id, token.into()));
        Ok(())
    }

    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Errno> {
        let mut shelf = self.world.0.borrow_mut();
        let watch = (self.id, self.absolute(path), token.to_string());
        let before = shelf.watches.len();
        shelf.watches.retain(|other| *other != watch);
        if shelf.watches.len() < before { Ok(()) } else { Err(Errno::ENOENT) }
    }

    fn begin(&mut self) -> Result<Transaction, Errno> {
        let mut shelf = self.world.0.borrow_mut();
        shelf.next += 1;
        let (id, tree) = (shelf.next, shelf.tree.clone());
        let open = Open { old: tree.clone(), new: tree, written: Vec::new() };
        shelf.transactions.insert(id, open);
        Ok(Transaction(id))
    }

    fn end(&mut self, transaction: Transaction, how: End) -> Result<(), Errno> {
        let mut shelf = self.world.0.borrow_mut();
        let open = shelf.transactions.remove(&transaction.0).ok_or(Errno::ENOENT)?;
        if how == End::Abort {
            return Ok(());
        }
        if shelf.conflicts > 0 {
            shelf.conflicts -= 1;
            return Err(Errno::EAGAIN);
        }
        assert!(open.old == shelf.tree, "nobody else runs meanwhile");
        shelf.tree = open.new;
        for path in open.written {
            shelf.fire(&path);
        }
        Ok(())
    }
}

pub fn front() -> String {
    format!("{}/{}", home(GUEST), front_path("console", 1))
}

pub fn back() -> String {
    format!("{}/{}", home(HOST), back_path("console", GUEST, 1))
}

pub type FrontHalf = Front<Domain, FrontEnd<Words>>;
pub type BackHalf = Back<Domain, Console<Mapping>>;

pub fn open_front(world: &World) -> FrontHalf {
    let mut guest = world.domain(GUEST);
    Front::open(&mut guest, &front_path("console", 1), FrontEnd::default()).expect("a device")
}

pub fn open_back(world: &World) -> BackHalf {
    let mut host = world.domain(HOST);
    let path = back_path("console", GUEST, 1);
    Back::open(&mut host, &path, Console::new(1 << 16)).expect("a device")
}

/// Lets each half look as long as events come for it; fails if that does not end.
pub fn settle(world: &World, front: &mut FrontHalf, back: &mut BackHalf) {
    for _ in 0..50 {
        let ours = world.take_fired(GUEST, front.path());
        if ours {
            let (mut store, mut domain) = (world.domain(GUEST), world.domain(GUEST));
            let _ = front.look(&mut store, &mut domain).expect("the store works");
        }
        let theirs = world.take_fired(HOST, back.path());
        if theirs {
            let (mut store, mut domain) = (world.domain(HOST), world.domain(HOST));
            let _ = back.look(&mut store, &mut domain).expect("the store works");
        }
        if !ours && !theirs {
            return;
        }
    }
    panic!("{:?} and {:?} go round and round", front.state(), back.state());
}
