//! `xenstored`: XenStore as a task of domain 0.
//!
//! The store itself is the crate `xenstore`, which does no I/O. This task carries bytes between it and
//! those who talk to it:
//!
//! | from | by | as |
//! |---|---|---|
//! | programs of the host | channels to the service `xenstore` ([`crate::host`]) | domain 0, one connection each |
//! | domain 0's own services | [`local`] connections | domain 0, one connection each |
//! | other domains | the ring in their page ([`rings`]), once the toolstack introduced them | themselves |
//!
//! Everything that may give it work calls [`rung`], and says whose work it is: a pass looks at those
//! connections alone where something happened, so it costs the same beside many domains as beside few.
//! While a pass moves bytes, another follows. A connection that takes no replies is not read from, by
//! the server's own bound, and no other one waits for it.
//!
//! A domU has no store: its [`local`] connections are the same, and a task of its own
//! ([`crate::domu::store`]) passes on what comes over them.
//!
//! `control live-update` puts a server restored from the old one's dump into its place. The numbers of
//! connections stay, and with them each connection's channel, pipe or ring: nobody notices.

mod initial;
pub mod local;
mod peer;
pub mod rings;

use crate::host;
use crate::mm::frames;
use crate::sync::Guarded;
use crate::task::scheduler::{self, STORE};
use crate::waker::Waker;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use link::service::XENSTORE;
use peer::{End, Peer};
use pv_abi::types::DomId;
use ring1::events::Masked;
use ring1::println;
use rings::Ring;
use xenstore::quota::Quotas;
use xenstore::server::{Action, ConnectionId, Server};

/// Bytes that are read from a connection at a time.
const PIECE: usize = 4096;
/// So many pieces before others have their turn.
const PIECES: u32 = 16;
/// Domain 0, to which the host's programs belong as well.
const DOMAIN_0: DomId = DomId::new(0);

/// What became of a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It has shut down or crashed, and still exists.
    ShutDown,
    /// It is no more.
    Gone,
}

/// Domains whose fate the server is not told of yet.
static FATES: Guarded<Vec<(DomId, Fate)>> = Guarded::new(Vec::new());
/// There may be work.
static RUNG: AtomicBool = AtomicBool::new(false);

/// A task that serves was started.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts the task, unless it runs: a domain 0 that nobody asks for its store does without. On return
/// the store has what it begins with.
pub fn start() {
    if !start_task("xenstored", task) {
        return;
    }
    let memory_kib = u64::from(frames::counts().total()) * 4;
    if let Err(error) = initial::populate(memory_kib) {
        println!("xenstored: its first nodes: {error}");
    }
    // Without a way to the host there is nobody to offer it to.
    let _ = host::serve(XENSTORE, Waker { call: |_| rung(), argument: 0 });
}

/// Starts a task that serves the connections, which [`rung`] wakes. False: there is one.
pub fn start_task(name: &str, task: extern "C" fn(u32) -> !) -> bool {
    let first = !STARTED.swap(true, Ordering::Relaxed);
    if first && scheduler::start_kernel(name, task, 0).is_none() {
        panic!("no memory for {name}");
    }
    first
}

/// Passes of such a task: each whether anything moved. Sleeps while nothing does.
pub fn work(mut pass: impl FnMut() -> bool) -> ! {
    loop {
        RUNG.store(false, Ordering::Relaxed);
        while pass() {}
        let _masked = Masked::new();
        if !RUNG.load(Ordering::Relaxed) {
            scheduler::sleep(STORE, 0);
        }
    }
}

/// Something has come for the task, or there is room again for something of its own.
pub fn rung() {
    RUNG.store(true, Ordering::Relaxed);
    scheduler::wake(STORE);
}

/// Tells the store what became of a domain: `@releaseDomain` fires, and what one that is gone owned is
/// removed. Nothing happens if nobody has used the store.
pub fn tell(domain: DomId, fate: Fate) {
    if STARTED.load(Ordering::Relaxed) {
        FATES.with(|fates| fates.push((domain, fate)));
        rung();
    }
}

extern "C" fn task(_: u32) -> ! {
    let mut daemon = Daemon {
        server: Server::new(Quotas::default()),
        peers: BTreeMap::new(),
        hosts: BTreeSet::new(),
        locals: BTreeMap::new(),
        domains: BTreeMap::new(),
        due: BTreeSet::new(),
        logs: false,
        piece: alloc::vec![0; PIECE],
    };
    work(|| daemon.pass())
}

struct Daemon {
    server: Server,
    peers: BTreeMap<ConnectionId, Peer>,
    /// Connections of the host's programs.
    hosts: BTreeSet<ConnectionId>,
    /// Connections of domain 0's services, by their numbers.
    locals: BTreeMap<local::Number, ConnectionId>,
    /// Connections of other domains.
    domains: BTreeMap<DomId, ConnectionId>,
    /// Connections that the next pass is to look at.
    due: BTreeSet<ConnectionId>,
    /// Requests are printed.
    logs: bool,
    piece: Vec<u8>,
}

impl Daemon {
    /// Looks once wherever something happened; whether anything moved.
    fn pass(&mut self) -> bool {
        let mut moved = self.take_new();
        self.take_rung();
        for (domain, fate) in FATES.with(core::mem::take) {
            match fate {
                Fate::ShutDown => self.server.domain_shut_down(domain),
                Fate::Gone => self.server.domain_died(domain),
            }
            moved = true;
        }
        let mut due = core::mem::take(&mut self.due);
        for id in &due {
            moved |= self.read(*id);
        }
        // Before replies are written: the connections of a domain that was released are gone.
        while let Some(action) = self.server.take_action() {
            self.act(action);
            moved = true;
        }
        while let Some(id) = self.server.take_touched() {
            // It may be that the server wants its requests again.
            moved |= self.due.insert(id);
            due.insert(id);
        }
        for id in due {
            moved |= self.write(id);
        }
        moved
    }

    /// Connects those who have come.
    fn take_new(&mut self) -> bool {
        let mut any = false;
        let host = core::iter::from_fn(|| host::accept(XENSTORE)).map(End::Host);
        let local = core::iter::from_fn(local::take_new).map(End::Local);
        for end in host.chain(local) {
            self.connect(end);
            any = true;
        }
        any
    }

    /// Notes whose connections are to be looked at. Of the host's programs, which are few, it is not
    /// said which one did something.
    fn take_rung(&mut self) {
        self.due.extend(&self.hosts);
        let locals = core::iter::from_fn(local::take_changed);
        self.due.extend(locals.filter_map(|number| self.locals.get(&number)));
        let domains = rings::take_rung();
        self.due.extend(domains.iter().filter_map(|domain| self.domains.get(domain)));
    }

    /// Takes in what has come over a connection, if the server wants its requests; whether anything
    /// had.
    fn read(&mut self, id: ConnectionId) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if let End::Domain(ring) = &peer.end
            && ring.wants_reset()
        {
            // Its requests begin anew; that of its watches is the server's to know.
            self.disconnect(id);
            return true;
        }
        for piece in 0..PIECES {
            let count =
                if self.server.wants_input(id) { peer.read(&mut self.piece) } else { Some(0) };
            match count {
                Some(0) => return piece > 0,
                Some(count) => {
                    peer.trace(id, &self.piece[..count], self.logs);
                    self.server.input(id, &self.piece[..count]);
                }
                None => {
                    self.disconnect(id);
                    return true;
                }
            }
        }
        // There may be more; the others have their turn.
        self.due.insert(id);
        true
    }

    /// Gives a connection what waits for it; whether it took any.
    fn write(&mut self, id: ConnectionId) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let mut any = false;
        let mut gone = false;
        while !self.server.output(id).is_empty() {
            match peer.write(self.server.output(id)) {
                // It rings when it has made room.
                Some(0) => return any,
                Some(count) => {
                    any = true;
                    self.server.sent(id, count);
                }
                None => {
                    gone = true;
                    break;
                }
            }
        }
        if gone || self.server.is_closed(id) {
            self.disconnect(id);
            any = true;
        }
        any
    }

    /// Ends a connection. A domain's ring stays: it is connected anew, with empty rings if the domain
    /// asked for them, else deaf until it does.
    fn disconnect(&mut self, id: ConnectionId) {
        match self.forget(id) {
            Some(End::Host(channel)) => host::close(channel),
            Some(End::Local(number)) => local::hang_up(number),
            Some(End::Domain(mut ring)) => {
                if ring.wants_reset() {
                    ring.reset();
                } else {
                    ring.give_up();
                }
                self.connect(End::Domain(ring));
            }
            None => {}
        }
    }

    /// Connects somebody to the server. What has come already is read next.
    fn connect(&mut self, end: End) {
        let id = self.server.connect(end.domain());
        match &end {
            End::Host(_) => drop(self.hosts.insert(id)),
            End::Local(number) => drop(self.locals.insert(*number, id)),
            End::Domain(ring) => drop(self.domains.insert(ring.domain(), id)),
        }
        self.peers.insert(id, Peer::new(end));
        self.due.insert(id);
    }

    /// Takes a connection from the server; its other end.
    fn forget(&mut self, id: ConnectionId) -> Option<End> {
        self.server.disconnect(id);
        let end = self.peers.remove(&id)?.end;
        match &end {
            End::Host(_) => drop(self.hosts.remove(&id)),
            End::Local(number) => drop(self.locals.remove(number)),
            End::Domain(ring) => drop(self.domains.remove(&ring.domain())),
        }
        Some(end)
    }

    /// Does what the server asks for.
    fn act(&mut self, action: Action) {
        match action {
            Action::Introduce { domid, port, .. } => {
                self.drop_ring(domid);
                match Ring::new(domid, port) {
                    Ok(ring) => self.connect(End::Domain(ring)),
                    Err(errno) => println!("xenstored: cannot introduce {domid}: {errno}"),
                }
            }
            Action::Release(domid) => self.drop_ring(domid),
            Action::Print(line) => println!("xenstored: {line}"),
            Action::Log(on) => self.logs = on,
            Action::LiveUpdate => self.live_update(),
        }
    }

    /// Puts a server restored from the old one's dump into its place. Clients notice nothing.
    fn live_update(&mut self) {
        match self.server.live_update() {
            Ok(()) => println!(
                "xenstored: the server was replaced: {} nodes, {} connections, {} other domains",
                self.server.nodes(),
                self.server.connections().count(),
                self.server.introduced().count()
            ),
            Err(error) => {
                println!("xenstored: the server could not be replaced, and goes on: {error}");
            }
        }
    }

    /// Disconnects a domain, if it is connected.
    fn drop_ring(&mut self, domid: DomId) {
        if let Some(id) = self.domains.get(&domid).copied() {
            // The ring is unmapped and its port closed as it is dropped.
            self.forget(id);
        }
    }
}
