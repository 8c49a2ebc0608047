//! What two domains share, in one process: XenStore's server, event channels, grants. It counts
//! what is in use, so that tests see what was let go.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::rc::Rc;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};
use xenbus::access::{Events, Grants, Nodes, Shared, Store};
use xenbus::back::Back;
use xenbus::console::{Console, FrontEnd};
use xenbus::device::{back_path, front_path, home};
use xenbus::front::Front;
use xenbus::memory::Words;
use xenstore::client::{self, Client, Transport};
use xenstore::perms::{Access, Permission};
use xenstore::quota::Quotas;
use xenstore::server::{ConnectionId, Server};

/// The domain of front ends.
pub const GUEST: DomId = DomId::new(1);
/// The domain of back ends.
pub const HOST: DomId = DomId::new(0);
/// Another one, that takes over from it.
pub const HEIR: DomId = DomId::new(2);

struct Shelf {
    server: Rc<RefCell<Server>>,
    /// The toolstack's connection to the store.
    toolstack: Client<Wire>,
    /// The domains' connections.
    clients: HashMap<DomId, Rc<RefCell<Client<Wire>>>>,
    /// Tokens of events that came for a domain.
    fired: BTreeSet<(DomId, String)>,
    /// How many transactions are still to meet others in their way.
    conflicts: u32,
    /// Whether the store refuses all.
    broken: bool,
    watches: usize,
    next: u32,
    ports: HashMap<(DomId, u32), Channel>,
    pending: BTreeSet<(DomId, u32)>,
    grants: HashMap<(DomId, u32), Grant>,
}

/// A connection to the store, in this process.
struct Wire {
    server: Rc<RefCell<Server>>,
    id: ConnectionId,
}

impl Wire {
    fn client(server: &Rc<RefCell<Server>>, domain: DomId) -> Client<Wire> {
        let id = server.borrow_mut().connect(domain);
        Client::new(Wire { server: Rc::clone(server), id })
    }
}

impl Transport for Wire {
    /// Nothing came: a client would wait for ever.
    type Error = ();

    fn send(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.server.borrow_mut().input(self.id, bytes);
        Ok(())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, ()> {
        let mut server = self.server.borrow_mut();
        let output = server.output(self.id);
        let count = output.len().min(bytes.len());
        bytes[..count].copy_from_slice(&output[..count]);
        server.sent(self.id, count);
        if count > 0 { Ok(count) } else { Err(()) }
    }
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
#[derive(Clone)]
pub struct World(Rc<RefCell<Shelf>>);

impl World {
    pub fn new() -> World {
        let server = Rc::new(RefCell::new(Server::new(Quotas::default())));
        let mut toolstack = Wire::client(&server, HOST);
        let guests = [Permission::new(Access::None, GUEST)];
        client::Store::mkdir(&mut toolstack, &home(GUEST)).expect("privileged");
        client::Store::set_perms(&mut toolstack, &home(GUEST), &guests).expect("privileged");
        World(Rc::new(RefCell::new(Shelf {
            server,
            toolstack,
            clients: HashMap::new(),
            fired: BTreeSet::new(),
            conflicts: 0,
            broken: false,
            watches: 0,
            next: 0,
            ports: HashMap::new(),
            pending: BTreeSet::new(),
            grants: HashMap::new(),
        })))
    }

    /// A machine with a console's directories.
    pub fn with_console() -> World {
        let world = World::new();
        world.make_device();
        world
    }

    /// Makes a console's directories as a toolstack does: each half owns its own, and may read the
    /// other's.
    pub fn make_device(&self) {
        self.link_to(HOST);
    }

    /// As [`make_device`](World::make_device), with the back end in another domain: the front end's
    /// directory is made anew.
    pub fn link_to(&self, host: DomId) {
        let (front, back) = (front(), back_of(host));
        self.remove(&front);
        for (path, owner, reader) in [(&front, GUEST, host), (&back, host, GUEST)] {
            let toolstack = &mut self.0.borrow_mut().toolstack;
            let perms =
                [Permission::new(Access::None, owner), Permission::new(Access::Read, reader)];
            client::Store::mkdir(toolstack, path).expect("privileged");
            client::Store::set_perms(toolstack, path, &perms).expect("privileged");
        }
        for (path, value) in [
            (format!("{front}/backend"), back.as_str()),
            (format!("{front}/backend-id"), &host.raw().to_string()),
            (format!("{front}/state"), "1"),
            (format!("{back}/frontend"), front.as_str()),
            (format!("{back}/frontend-id"), "1"),
            (format!("{back}/online"), "1"),
            (format!("{back}/state"), "1"),
        ] {
            self.set(&path, value);
        }
    }

    /// A domain, with its connection to the store.
    pub fn domain(&self, id: DomId) -> Domain {
        let mut shelf = self.0.borrow_mut();
        let server = Rc::clone(&shelf.server);
        let client = shelf
            .clients
            .entry(id)
            .or_insert_with(|| Rc::new(RefCell::new(Wire::client(&server, id))));
        let client = Rc::clone(client);
        Domain { id, client, world: self.clone() }
    }

    /// Writes a node as the toolstack.
    pub fn set(&self, path: &str, value: &str) {
        let toolstack = &mut self.0.borrow_mut().toolstack;
        client::Store::write(toolstack, path, value.as_bytes()).expect("privileged");
    }

    /// Removes a directory as the toolstack.
    pub fn remove(&self, path: &str) {
        // Its parent may be gone already.
        let _ = client::Store::rm(&mut self.0.borrow_mut().toolstack, path);
    }

    pub fn get(&self, path: &str) -> Option<String> {
        let value = client::Store::read(&mut self.0.borrow_mut().toolstack, path);
        value.expect("privileged").map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    /// Writes what a transaction has read, if others shall be in its way.
    fn meddle(&self) {
        if self.0.borrow().conflicts > 0 {
            self.0.borrow_mut().conflicts -= 1;
            for path in [front() + "/state", back() + "/state"] {
                if let Some(value) = self.get(&path) {
                    self.set(&path, &value);
                }
            }
        }
    }

    /// Has the next transactions fail for the sake of others.
    pub fn conflict(&self, transactions: u32) {
        self.0.borrow_mut().conflicts = transactions;
    }

    /// Has the store refuse everything, or no longer.
    pub fn break_store(&self, broken: bool) {
        self.0.borrow_mut().broken = broken;
    }

    /// Whether events of a watch with this token came for a domain; they no longer do.
    pub fn take_fired(&self, id: DomId, token: &str) -> bool {
        let domain = self.domain(id);
        while let Ok(event) = domain.client.borrow_mut().next_event() {
            self.0.borrow_mut().fired.insert((id, event.token));
        }
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
        if let Some(client) = shelf.clients.remove(&id) {
            let connection = client.borrow().transport().id;
            shelf.server.borrow_mut().disconnect(connection);
        }
    }

    /// Ports, grants and mappings of grants that are in use.
    pub fn in_use(&self) -> (usize, usize, u32) {
        let shelf = self.0.borrow();
        let mapped = shelf.grants.values().map(|grant| grant.mapped).sum();
        (shelf.ports.len(), shelf.grants.len(), mapped)
    }

    pub fn watches(&self) -> usize {
        self.0.borrow().watches
    }

    /// The memory behind a grant of the guest's.
    pub fn memory(&self, grant: u32) -> Option<Words> {
        self.0.borrow().grants.get(&(GUEST, grant)).map(|grant| grant.memory.clone())
    }
}

/// A domain's hypercalls and its connection to the store.
#[derive(Clone)]
pub struct Domain {
    id: DomId,
    client: Rc<RefCell<Client<Wire>>>,
    world: World,
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

impl Domain {
    fn refuse(&self) -> Result<(), Errno> {
        if self.world.0.borrow().broken { Err(Errno::EIO) } else { Ok(()) }
    }
}

impl Nodes for Domain {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, Errno> {
        self.refuse()?;
        Nodes::read(&mut *self.client.borrow_mut(), path)
    }

    fn write(&mut self, path: &str, value: &[u8]) -> Result<(), Errno> {
        self.refuse()?;
        Nodes::write(&mut *self.client.borrow_mut(), path, value)
    }

    fn directory(&mut self, path: &str) -> Result<Option<Vec<String>>, Errno> {
        self.refuse()?;
        Nodes::directory(&mut *self.client.borrow_mut(), path)
    }
}

impl Store for Domain {
    fn watch(&mut self, path: &str, token: &str) -> Result<(), Errno> {
        self.world.0.borrow_mut().watches += 1;
        Store::watch(&mut *self.client.borrow_mut(), path, token)
    }

    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Errno> {
        self.world.0.borrow_mut().watches -= 1;
        Store::unwatch(&mut *self.client.borrow_mut(), path, token)
    }

    fn transact(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Nodes) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.refuse()?;
        let world = self.world.clone();
        Store::transact(&mut *self.client.borrow_mut(), &mut |nodes| {
            work(nodes)?;
            world.meddle();
            Ok(())
        })
    }
}

pub fn front() -> String {
    format!("{}/{}", home(GUEST), front_path("console", 1))
}

pub fn back() -> String {
    back_of(HOST)
}

fn back_of(host: DomId) -> String {
    format!("{}/{}", home(host), back_path("console", GUEST, 1))
}

pub type FrontHalf = Front<Domain, FrontEnd<Words>>;
pub type BackHalf = Back<Domain, Console<Mapping>>;

pub fn open_front(world: &World) -> FrontHalf {
    let mut guest = world.domain(GUEST);
    Front::open(&mut guest, &front_path("console", 1), FrontEnd::default()).expect("a device")
}

pub fn open_back(world: &World) -> BackHalf {
    open_back_of(world, HOST)
}

pub fn open_back_of(world: &World, host: DomId) -> BackHalf {
    let mut host = world.domain(host);
    let path = back_path("console", GUEST, 1);
    Back::open(&mut host, &path, Console::new(1 << 16)).expect("a device")
}

/// Lets each half look as long as events come for it; fails if that does not end.
pub fn settle(world: &World, front: &mut FrontHalf, back: &mut BackHalf) {
    settle_with(world, front, (HOST, back));
}

pub fn settle_with(world: &World, front: &mut FrontHalf, (host, back): (DomId, &mut BackHalf)) {
    for _ in 0..50 {
        let ours = world.take_fired(GUEST, front.path());
        if ours {
            let (mut store, mut domain) = (world.domain(GUEST), world.domain(GUEST));
            let _ = front.look(&mut store, &mut domain).expect("the store works");
        }
        let theirs = world.take_fired(host, back.path());
        if theirs {
            let (mut store, mut domain) = (world.domain(host), world.domain(host));
            let _ = back.look(&mut store, &mut domain).expect("the store works");
        }
        if !ours && !theirs {
            return;
        }
    }
    panic!("{:?} and {:?} go round and round", front.state(), back.state());
}
