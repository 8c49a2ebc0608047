//! Two domains that may be in threads of their own: nodes, event channels, grants. It counts what is
//! in use, so that tests see what was let go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, GrantRef, Port};
use xenbus::access::{Copies, Events, Grants, Local, Nodes, Piece, Shared, Store};
use xenbus::memory::{PAGE_SIZE, SharedMemory, Words};

use super::{BACK, FRONT};

pub const GUEST: DomId = DomId::new(1);
pub const HOST: DomId = DomId::new(0);

type Key = (DomId, u32);

struct Channel {
    remote: DomId,
    peer: Option<u32>,
}

struct Grant {
    to: DomId,
    page: Words,
    mapped: u32,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Vec<u8>>,
    next: u32,
    ports: HashMap<Key, Channel>,
    pending: BTreeSet<Key>,
    grants: HashMap<Key, Grant>,
}

/// The machine; a clone is the same one.
#[derive(Clone, Default)]
pub struct Machine(Arc<(Mutex<State>, Condvar)>);

/// Pages side by side.
#[derive(Clone, Debug)]
pub struct Pages(Vec<Words>);

impl Pages {
    /// The part of a page where `bytes` bytes from `offset` on begin.
    fn parts(&self, offset: usize, bytes: usize) -> impl Iterator<Item = (&Words, usize, usize)> {
        let mut at = offset;
        std::iter::from_fn(move || {
            let rest = (offset + bytes).checked_sub(at).filter(|rest| *rest > 0)?;
            let part =
                (&self.0[at / PAGE_SIZE], at % PAGE_SIZE, rest.min(PAGE_SIZE - at % PAGE_SIZE));
            at += part.2;
            Some(part)
        })
    }
}

impl SharedMemory for Pages {
    fn size(&self) -> usize {
        self.0.len() * PAGE_SIZE
    }
    fn load(&self, offset: usize) -> u32 {
        self.0[offset / PAGE_SIZE].load(offset % PAGE_SIZE)
    }
    fn store(&self, offset: usize, value: u32) {
        self.0[offset / PAGE_SIZE].store(offset % PAGE_SIZE, value);
    }
    fn barrier(&self) {
        self.0[0].barrier();
    }
    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        let mut rest = into;
        for (page, at, length) in self.parts(offset, rest.len()) {
            let (part, later) = rest.split_at_mut(length);
            page.copy_out(at, part);
            rest = later;
        }
    }
    fn copy_in(&self, offset: usize, from: &[u8]) {
        let mut rest = from;
        for (page, at, length) in self.parts(offset, from.len()) {
            let (part, later) = rest.split_at(length);
            page.copy_in(at, part);
            rest = later;
        }
    }
}

/// Pages of another domain's.
#[derive(Debug)]
pub struct Mapping {
    keys: Vec<Key>,
    pages: Pages,
}

impl Deref for Mapping {
    type Target = Pages;

    fn deref(&self) -> &Pages {
        &self.pages
    }
}

impl Machine {
    pub fn new() -> Machine {
        Machine::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("no thread panics")
    }

    /// Makes a device's directories, as a toolstack does.
    pub fn make_device(&self) {
        for (path, key, value) in [
            (FRONT, "backend", BACK),
            (FRONT, "backend-id", "0"),
            (FRONT, "state", "1"),
            (BACK, "frontend", FRONT),
            (BACK, "frontend-id", "1"),
            (BACK, "online", "1"),
            (BACK, "state", "1"),
        ] {
            self.set(&format!("{path}/{key}"), value);
        }
    }

    pub fn domain(&self, id: DomId) -> Domain {
        Domain { id, machine: self.clone() }
    }

    pub fn set(&self, path: &str, value: &str) {
        self.state().nodes.insert(path.into(), value.into());
    }

    pub fn remove(&self, path: &str) {
        self.state().nodes.remove(path);
    }

    pub fn get(&self, path: &str) -> Option<String> {
        let value = self.state().nodes.get(path).cloned()?;
        Some(String::from_utf8(value).expect("text"))
    }

    /// Ports, grants and mappings of grants that are in use.
    pub fn in_use(&self) -> (usize, usize, u32) {
        let state = self.state();
        let mapped = state.grants.values().map(|grant| grant.mapped).sum();
        (state.ports.len(), state.grants.len(), mapped)
    }

    /// The page behind a grant of the guest's.
    pub fn page(&self, grant: u32) -> Option<Words> {
        self.state().grants.get(&(GUEST, grant)).map(|grant| grant.page.clone())
    }

    /// A domain dies: its ports are closed, its mappings undone, its grants gone.
    pub fn kill(&self, id: DomId) {
        let mut state = self.state();
        state.ports.retain(|key, _| key.0 != id);
        for channel in state.ports.values_mut().filter(|channel| channel.remote == id) {
            channel.peer = None;
        }
        state.grants.retain(|key, _| key.0 != id);
        state.grants.values_mut().filter(|grant| grant.to == id).for_each(|grant| grant.mapped = 0);
    }

    /// Waits for an event at any port of a domain.
    pub fn wait(&self, id: DomId) {
        let mut state = self.state();
        loop {
            let before = state.pending.len();
            state.pending.retain(|key| key.0 != id);
            if state.pending.len() < before {
                return;
            }
            state = self.0.1.wait(state).expect("no thread panics");
        }
    }
}

/// A domain's hypercalls, and the store.
#[derive(Clone)]
pub struct Domain {
    id: DomId,
    machine: Machine,
}

impl Events for Domain {
    fn alloc_unbound(&mut self, remote: DomId) -> Result<Port, Errno> {
        let mut state = self.machine.state();
        state.next += 1;
        let port = state.next;
        state.ports.insert((self.id, port), Channel { remote, peer: None });
        Ok(Port::new(port))
    }

    fn bind(&mut self, remote: DomId, port: Port) -> Result<Port, Errno> {
        let ours = self.alloc_unbound(remote)?;
        let mut state = self.machine.state();
        let theirs = state.ports.get_mut(&(remote, port.raw()));
        match theirs.filter(|channel| channel.remote == self.id && channel.peer.is_none()) {
            Some(channel) => channel.peer = Some(ours.raw()),
            None => {
                state.ports.remove(&(self.id, ours.raw()));
                return Err(Errno::EINVAL);
            }
        }
        let channel = Channel { remote, peer: Some(port.raw()) };
        state.ports.insert((self.id, ours.raw()), channel);
        state.pending.insert((self.id, ours.raw()));
        Ok(ours)
    }

    fn send(&mut self, port: Port) -> Result<(), Errno> {
        let mut state = self.machine.state();
        let channel = state.ports.get(&(self.id, port.raw())).ok_or(Errno::EINVAL)?;
        if let Some(peer) = channel.peer {
            let key = (channel.remote, peer);
            state.pending.insert(key);
            self.machine.0.1.notify_all();
        }
        Ok(())
    }

    fn close(&mut self, port: Port) -> Result<(), Errno> {
        let mut state = self.machine.state();
        let channel = state.ports.remove(&(self.id, port.raw())).ok_or(Errno::EINVAL)?;
        let other = channel.peer.and_then(|peer| state.ports.get_mut(&(channel.remote, peer)));
        if let Some(other) = other {
            other.peer = None;
        }
        Ok(())
    }
}

impl Grants for Domain {
    type Own = Pages;
    type Foreign = Mapping;

    fn share(&mut self, with: DomId, pages: usize) -> Result<Shared<Pages>, Errno> {
        let mut state = self.machine.state();
        let memory = Pages((0..pages).map(|_| Words::pages(1)).collect());
        let mut grants = Vec::new();
        for page in &memory.0 {
            state.next += 1;
            let number = state.next;
            let grant = Grant { to: with, page: page.clone(), mapped: 0 };
            state.grants.insert((self.id, number), grant);
            grants.push(GrantRef::new(number));
        }
        Ok(Shared { memory, grants })
    }

    fn end(&mut self, shared: Shared<Pages>) -> Result<(), Shared<Pages>> {
        let mut state = self.machine.state();
        let keys: Vec<_> = shared.grants.iter().map(|grant| (self.id, grant.raw())).collect();
        if keys.iter().any(|key| state.grants[key].mapped > 0) {
            return Err(shared);
        }
        for key in keys {
            state.grants.remove(&key);
        }
        Ok(())
    }

    fn map(&mut self, of: DomId, grants: &[GrantRef]) -> Result<Mapping, Errno> {
        let mut state = self.machine.state();
        let keys: Vec<Key> = grants.iter().map(|grant| (of, grant.raw())).collect();
        for key in &keys {
            let grant = state.grants.get(key).ok_or(Errno::EINVAL)?;
            if grant.to != self.id {
                return Err(Errno::EPERM);
            }
        }
        let mut pages = Vec::new();
        for key in &keys {
            let grant = state.grants.get_mut(key).expect("seen above");
            grant.mapped += 1;
            pages.push(grant.page.clone());
        }
        Ok(Mapping { keys, pages: Pages(pages) })
    }

    fn unmap(&mut self, memory: Mapping) {
        let mut state = self.machine.state();
        for key in memory.keys {
            // The granter may have died meanwhile.
            if let Some(grant) = state.grants.get_mut(&key) {
                grant.mapped = grant.mapped.saturating_sub(1);
            }
        }
    }
}

impl Copies for Domain {
    fn copy(&mut self, with: DomId, pieces: &mut [Piece<'_>]) {
        for piece in pieces {
            let grant = (with, piece.grant.raw());
            let page =
                self.machine.state().grants.get(&grant).map(|one| (one.to, one.page.clone()));
            let end = usize::from(piece.offset) + piece.local.len();
            piece.done = match page {
                None => Err(Errno::EINVAL),
                Some((to, _)) if to != self.id => Err(Errno::EPERM),
                Some(_) if end > PAGE_SIZE => Err(Errno::EINVAL),
                Some((_, page)) => {
                    match &mut piece.local {
                        Local::Into(bytes) => page.copy_out(piece.offset.into(), bytes),
                        Local::From(bytes) => page.copy_in(piece.offset.into(), bytes),
                    }
                    Ok(())
                }
            };
        }
    }
}

impl Nodes for Domain {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, Errno> {
        Ok(self.machine.state().nodes.get(path).cloned())
    }

    fn write(&mut self, path: &str, value: &[u8]) -> Result<(), Errno> {
        self.machine.state().nodes.insert(path.into(), value.into());
        Ok(())
    }

    fn directory(&mut self, _: &str) -> Result<Option<Vec<String>>, Errno> {
        Err(Errno::ENOSYS)
    }
}

impl Store for Domain {
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
