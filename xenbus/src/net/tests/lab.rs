//! Two domains in one process: event channels, grants, copies, and a store without rules. Both ends
//! may be in threads of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::string::{String, ToString};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};

use crate::access::{Copies, Events, Grants, Local, Nodes, Piece, Shared, Store};
use crate::device::{self, Fault, Keys, Node};
use crate::memory::{SharedMemory, Words};
use crate::net::front::Plan;
use crate::net::{Copes, back, front};
use crate::state::State;

pub const GUEST: DomId = DomId::new(1);
pub const HOST: DomId = DomId::new(0);
pub const FRONT: &str = "/front";
pub const BACK: &str = "/back";

#[derive(Default)]
struct Tables {
    next: u32,
    /// Each port's other end.
    ports: HashMap<u32, Option<u32>>,
    pending: BTreeSet<u32>,
    /// Each grant's page: the memory and its number in it.
    grants: HashMap<u32, (Words, usize)>,
    mapped: BTreeMap<u32, u32>,
    nodes: BTreeMap<String, Vec<u8>>,
    /// How many more shares and ports there are.
    left: usize,
}

/// What both domains use; a clone is the same.
#[derive(Clone)]
pub struct Lab(Arc<(Mutex<Tables>, Condvar)>);

/// A page that the other domain granted.
#[derive(Debug)]
pub struct Mapping(Words, u32);

impl Deref for Mapping {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.0
    }
}

impl Lab {
    pub fn new() -> Lab {
        let mut tables = Tables { left: usize::MAX, ..Tables::default() };
        for path in [FRONT, BACK] {
            tables.nodes.insert(std::format!("{path}/state"), b"1".to_vec());
        }
        Lab(Arc::new((Mutex::new(tables), Condvar::new())))
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.0.lock().expect("no test panics with it")
    }

    /// Has so many more shares and ports succeed, and then none.
    pub fn allow(&self, left: usize) {
        self.tables().left = left;
    }

    pub fn set(&self, path: &str, value: &str) {
        self.tables().nodes.insert(path.to_string(), value.as_bytes().to_vec());
    }

    pub fn get(&self, path: &str) -> Option<String> {
        let value = self.tables().nodes.get(path).cloned();
        value.map(|value| String::from_utf8(value).expect("text"))
    }

    /// Writes nodes as a half does.
    pub fn publish(&mut self, path: &str, keys: &Keys, to: State) {
        let _ = device::switch(self, path, keys, to).expect("a store without rules");
    }

    /// Ports, grants, and mappings that are in use.
    pub fn in_use(&self) -> (usize, usize, u32) {
        let tables = self.tables();
        (tables.ports.len(), tables.grants.len(), tables.mapped.values().sum())
    }

    /// The page behind a grant.
    pub fn page(&self, grant: u32) -> Words {
        self.tables().grants[&grant].0.clone()
    }

    /// Whether an event waits at one of these ports; it no longer does.
    pub fn take_events(&self, ports: &[Port]) -> bool {
        let mut tables = self.tables();
        ports.iter().fold(false, |any, port| tables.pending.remove(&port.raw()) | any)
    }

    /// Waits for an event at one of these ports.
    pub fn wait(&self, ports: &[Port]) {
        let tables = self.tables();
        let none = |tables: &mut Tables| {
            !ports.iter().fold(false, |any, port| tables.pending.remove(&port.raw()) | any)
        };
        drop(self.0.1.wait_while(tables, none).expect("no test panics with it"));
    }

    fn take_one(tables: &mut Tables) -> Result<u32, Errno> {
        tables.left = tables.left.checked_sub(1).ok_or(Errno::ENOSPC)?;
        tables.next += 1;
        Ok(tables.next)
    }
}

impl Events for Lab {
    fn alloc_unbound(&mut self, _: DomId) -> Result<Port, Errno> {
        let mut tables = self.tables();
        let port = Lab::take_one(&mut tables)?;
        tables.ports.insert(port, None);
        Ok(Port::new(port))
    }

    fn bind(&mut self, _: DomId, port: Port) -> Result<Port, Errno> {
        let mut tables = self.tables();
        if tables.ports.get(&port.raw()) != Some(&None) {
            return Err(Errno::EINVAL);
        }
        let ours = Lab::take_one(&mut tables)?;
        tables.ports.insert(ours, Some(port.raw()));
        tables.ports.insert(port.raw(), Some(ours));
        tables.pending.insert(ours);
        Ok(Port::new(ours))
    }

    fn send(&mut self, port: Port) -> Result<(), Errno> {
        let mut tables = self.tables();
        let peer = *tables.ports.get(&port.raw()).ok_or(Errno::EINVAL)?;
        tables.pending.extend(peer);
        self.0.1.notify_all();
        Ok(())
    }

    fn close(&mut self, port: Port) -> Result<(), Errno> {
        let mut tables = self.tables();
        let peer = tables.ports.remove(&port.raw()).ok_or(Errno::EINVAL)?;
        if let Some(peer) = peer.and_then(|peer| tables.ports.get_mut(&peer)) {
            *peer = None;
        }
        Ok(())
    }
}

impl Grants for Lab {
    type Own = Words;
    type Foreign = Mapping;

    fn share(&mut self, _: DomId, pages: usize) -> Result<Shared<Words>, Errno> {
        let mut tables = self.tables();
        let memory = Words::pages(pages);
        let mut grants = Vec::new();
        let first = Lab::take_one(&mut tables)?;
        tables.next += pages as u32;
        for page in 0..pages {
            tables.grants.insert(first + page as u32, (memory.clone(), page));
            grants.push(GrantRef::new(first + page as u32));
        }
        Ok(Shared { memory, grants })
    }

    fn end(&mut self, shared: Shared<Words>) -> Result<(), Shared<Words>> {
        let mut tables = self.tables();
        if shared.grants.iter().any(|grant| tables.mapped.contains_key(&grant.raw())) {
            return Err(shared);
        }
        shared.grants.iter().for_each(|grant| drop(tables.grants.remove(&grant.raw())));
        Ok(())
    }

    fn map(&mut self, _: DomId, grants: &[GrantRef]) -> Result<Mapping, Errno> {
        let mut tables = self.tables();
        let [grant] = grants else { return Err(Errno::EINVAL) };
        let (memory, _) = tables.grants.get(&grant.raw()).cloned().ok_or(Errno::EINVAL)?;
        *tables.mapped.entry(grant.raw()).or_default() += 1;
        Ok(Mapping(memory, grant.raw()))
    }

    fn unmap(&mut self, Mapping(_, grant): Mapping) {
        self.tables().mapped.remove(&grant);
    }
}

impl Copies for Lab {
    fn copy(&mut self, _: DomId, pieces: &mut [Piece<'_>]) {
        for piece in pieces {
            let page = self.tables().grants.get(&piece.grant.raw()).cloned();
            let offset = usize::from(piece.offset);
            piece.done = match page {
                Some((memory, page)) if offset + piece.local.len() <= 4096 => {
                    match &mut piece.local {
                        Local::Into(bytes) => memory.copy_out(page * 4096 + offset, bytes),
                        Local::From(bytes) => memory.copy_in(page * 4096 + offset, bytes),
                    }
                    Ok(())
                }
                _ => Err(Errno::EINVAL),
            };
        }
    }
}

impl Nodes for Lab {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, Errno> {
        Ok(self.tables().nodes.get(path).cloned())
    }

    fn write(&mut self, path: &str, value: &[u8]) -> Result<(), Errno> {
        self.tables().nodes.insert(path.to_string(), value.to_vec());
        Ok(())
    }

    fn directory(&mut self, _: &str) -> Result<Option<Vec<String>>, Errno> {
        Err(Errno::ENOSYS)
    }
}

impl Store for Lab {
    fn watch(&mut self, _: &str, _: &str) -> Result<(), Errno> {
        Ok(())
    }

    fn unwatch(&mut self, _: &str, _: &str) -> Result<(), Errno> {
        Ok(())
    }

    fn transact(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Nodes) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        work(self)
    }
}

pub const PLAN: Plan = Plan { queues: 1, pages: 32, copes: Copes::ALL, split: true };

/// A front end's link whose nodes are in the store, for a back end that offers so many queues.
pub fn publish(lab: &mut Lab, plan: &Plan, queues: usize) -> Result<front::Link<Words>, Fault> {
    let offer = back::Link::<Mapping>::offer(queues);
    lab.publish(BACK, &offer, State::InitWait);
    let mut store = lab.clone();
    let (link, keys) = front::Link::publish(lab, HOST, &mut Node::new(&mut store, BACK), plan)?;
    lab.publish(FRONT, &keys, State::Initialised);
    Ok(link)
}

/// The back end's link to what is published.
pub fn attach(lab: &mut Lab, queues: usize) -> Result<back::Link<Mapping>, Fault> {
    let mut store = lab.clone();
    back::Link::connect(lab, GUEST, &mut Node::new(&mut store, FRONT), queues)
}

/// Both links, connected.
pub fn connected(plan: &Plan, queues: usize) -> (Lab, front::Link<Words>, back::Link<Mapping>) {
    let mut lab = Lab::new();
    let mut front = publish(&mut lab, plan, queues).expect("all that is needed");
    let back = attach(&mut lab, queues).expect("an honest front end");
    let mut store = lab.clone();
    let offered = front::Link::<Words>::offered(&mut Node::new(&mut store, BACK));
    front.connect(&mut lab, offered.expect("an honest back end"));
    (lab, front, back)
}
