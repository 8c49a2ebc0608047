//! The loop: sockets on one side, the server on the other.
//!
//! One thread serves all clients in turns. A turn carries a bounded number of bytes of one client each
//! way, then the next client with work has its turn; so a flood of requests slows its sender down and
//! nobody else. A client that does not read its replies and events is not waited for: the server stops
//! taking its requests, and cuts it off when too many events wait for it.
//!
//! Invariant between turns: a client that could go on is in `work`, or a report of the poll about it is
//! to come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use log::LevelFilter;
use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};
use xenstore::DomId;
use xenstore::quota::Quotas;
use xenstore::server::{Action, Server};

use crate::endpoint::Endpoint;
use crate::options::Options;
use crate::peer::Peer;
use crate::state;
use crate::wakeup::{Wakeups, woken};

/// Bytes that one turn carries each way, at most.
const TURN: usize = 16 << 10;
/// After a failed `accept` (the process has no file descriptor left, most often) it is tried again
/// when a client goes, and so often at the latest.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

const STOP: Token = Token(0);
const SAVE: Token = Token(1);
/// Tokens of listening sockets, then those of clients.
const FIRST_ENDPOINT: usize = 2;

/// A daemon whose sockets are open.
pub struct Daemon {
    poll: Poll,
    endpoints: Vec<(Endpoint, DomId)>,
    /// By index: clients may be waiting there.
    pending: Vec<bool>,
    server: Server,
    /// By the number of the server's connection.
    peers: BTreeMap<u32, Peer>,
    /// Clients that have something to do, each once.
    work: Work,
    state: Option<PathBuf>,
    log_level: LevelFilter,
    buffer: Box<[u8; TURN]>,
}

impl Daemon {
    /// Reads the state and opens the sockets: from then on clients can connect.
    ///
    /// # Errors
    /// A sentence for whoever started it.
    pub fn start(options: &Options) -> Result<Self> {
        let mut server = Server::new(Quotas::default());
        if let Some(path) = &options.state
            && let Some(bytes) = state::load(path)?
        {
            server = restored(&bytes)
                .with_context(|| format!("the state in {} cannot be used", path.display()))?;
            log::info!("took the state from {}: {} nodes", path.display(), server.nodes());
        }
        let poll = Poll::new().context("cannot wait for clients")?;
        let mut endpoints = vec![(Endpoint::bind(&options.socket(), options.mode)?, DomId::new(0))];
        for socket in &options.domain_socket {
            endpoints.push((Endpoint::bind(&socket.path, options.mode)?, socket.domid));
        }
        for (index, (endpoint, domid)) in endpoints.iter_mut().enumerate() {
            let token = Token(FIRST_ENDPOINT + index);
            poll.registry()
                .register(endpoint.listener(), token, Interest::READABLE)
                .context("cannot wait for clients")?;
            log::info!("listening at {} for {domid}", endpoint.path().display());
        }
        // Now, so that a file that cannot be written is not found out at the end, with the store lost.
        if let Some(path) = &options.state {
            state::save(path, &server.dump())?;
        }
        Ok(Self {
            poll,
            pending: vec![false; endpoints.len()],
            endpoints,
            server,
            peers: BTreeMap::new(),
            work: Work::default(),
            state: options.state.clone(),
            log_level: options.log_level.into(),
            buffer: Box::new([0; TURN]),
        })
    }

    /// Serves until it is told to stop, and then saves the state.
    ///
    /// # Errors
    /// The system broke the poll, or the state could not be saved.
    pub fn run(mut self, mut wakeups: Wakeups) -> Result<()> {
        for (stream, token) in [(&mut wakeups.stop, STOP), (&mut wakeups.save, SAVE)] {
            self.poll.registry().register(stream, token, Interest::READABLE)?;
        }
        let mut events = Events::with_capacity(256);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.context("cannot wait for clients")?,
            }
            for event in &events {
                match event.token() {
                    STOP if woken(&mut wakeups.stop) => {
                        log::info!("ending");
                        return self.save();
                    }
                    SAVE if woken(&mut wakeups.save) => self.save_or_complain(),
                    STOP | SAVE => {}
                    _ => self.note(event),
                }
            }
            self.accept();
            self.turns();
        }
    }

    /// How long the poll may wait.
    fn patience(&self) -> Option<Duration> {
        if self.work.len() > 0 {
            Some(Duration::ZERO)
        } else if self.pending.contains(&true) {
            Some(ACCEPT_AGAIN)
        } else {
            None
        }
    }

    /// Remembers what the poll reports.
    fn note(&mut self, event: &mio::event::Event) {
        let index = event.token().0 - FIRST_ENDPOINT;
        if let Some(pending) = self.pending.get_mut(index) {
            *pending = true;
            return;
        }
        let Ok(client) = u32::try_from(index - self.pending.len()) else { return };
        let Some(peer) = self.peers.get_mut(&client) else { return };
        peer.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        peer.writable |= event.is_writable() || event.is_write_closed();
        self.work.add(client);
    }

    /// Takes the clients that are waiting.
    fn accept(&mut self) {
        for index in 0..self.endpoints.len() {
            while self.pending.get(index) == Some(&true) {
                let Some((endpoint, domid)) = self.endpoints.get_mut(index) else { return };
                match endpoint.listener().accept() {
                    Ok((stream, _)) => {
                        let domid = *domid;
                        self.admit(stream, domid);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.pending[index] = false;
                    }
                    // The client has gone already.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        log::debug!("a client has to wait: {error}");
                        break;
                    }
                }
            }
        }
    }

    fn admit(&mut self, stream: UnixStream, domid: DomId) {
        let id = self.server.connect(domid);
        let client = id.raw();
        let mut peer = Peer::new(stream, domid, id);
        let token = Token(FIRST_ENDPOINT + self.pending.len() + client as usize);
        let both = Interest::READABLE | Interest::WRITABLE;
        match self.poll.registry().register(peer.stream(), token, both) {
            Ok(()) => {
                log::debug!("client {client} ({domid}) is here");
                self.peers.insert(client, peer);
                self.work.add(client);
            }
            Err(error) => {
                log::warn!("a client had to be turned away: {error}");
                self.server.disconnect(id);
            }
        }
    }

    /// A turn for each client that has work now.
    fn turns(&mut self) {
        for _ in 0..self.work.len() {
            let Some(client) = self.work.take() else { break };
            self.turn(client);
            while let Some(action) = self.server.take_action() {
                self.act(action);
            }
            while let Some(touched) = self.server.take_touched() {
                self.work.add(touched.raw());
            }
        }
    }

    /// Carries some bytes of a client: its requests in, then replies and events out.
    fn turn(&mut self, client: u32) {
        let Some(peer) = self.peers.get_mut(&client) else { return };
        let id = peer.id;
        if peer.readable && self.server.wants_input(id) {
            let bytes = peer.read(&mut self.buffer[..]);
            if !bytes.is_empty() {
                self.server.input(id, bytes);
            }
        }
        let mut room = TURN;
        while peer.writable && !peer.ended && room > 0 {
            let waiting = self.server.output(id);
            let sent = peer.write(waiting.get(..room).unwrap_or(waiting));
            if sent == 0 {
                break;
            }
            self.server.sent(id, sent);
            room -= sent;
        }
        if peer.ended {
            self.dismiss(client, "has gone");
        } else if self.server.is_closed(id) {
            self.dismiss(client, "is cut off");
        } else if (peer.writable && !self.server.output(id).is_empty())
            || (peer.readable && self.server.wants_input(id))
        {
            self.work.add(client);
        }
    }

    fn dismiss(&mut self, client: u32, why: &str) {
        if let Some(mut peer) = self.peers.remove(&client) {
            log::debug!("client {client} ({}) {why}", peer.domid);
            // Dropping the stream closes it, which is what counts; an error here changes nothing.
            let _ = self.poll.registry().deregister(peer.stream());
            self.server.disconnect(peer.id);
        }
    }

    /// Puts a server restored from the old one's dump into its place. Clients notice nothing.
    fn live_update(&mut self) {
        if self.state.is_some() {
            self.save_or_complain();
        }
        match self.server.live_update() {
            Ok(()) => log::info!("the server was replaced: {} nodes", self.server.nodes()),
            Err(error) => log::error!("the server could not be replaced, and goes on: {error}"),
        }
    }

    fn save(&self) -> Result<()> {
        let Some(path) = &self.state else { return Ok(()) };
        state::save(path, &self.server.dump())?;
        log::info!("saved the state in {}", path.display());
        Ok(())
    }

    fn save_or_complain(&self) {
        if self.state.is_none() {
            log::warn!("there is no file to save the state in: start it with --state FILE");
        } else if let Err(error) = self.save() {
            log::error!("{error:#}");
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Introduce { domid, .. } => {
                log::info!("{domid} is introduced; without Xen its ring cannot be reached");
            }
            Action::Release(domid) => log::info!("{domid} is released"),
            Action::Print(line) => log::info!("{line}"),
            Action::Log(true) => log::set_max_level(LevelFilter::Trace),
            Action::Log(false) => log::set_max_level(self.log_level),
            Action::LiveUpdate => self.live_update(),
        }
    }
}

/// The server that was saved, without its clients: their sockets ended with the old daemon.
fn restored(dump: &[u8]) -> Result<Server> {
    let mut server = Server::restore(dump)?;
    let clients: Vec<_> = server.connections().map(|(id, _)| id).collect();
    clients.into_iter().for_each(|id| server.disconnect(id));
    Ok(server)
}

/// Clients that wait for their turn, each once, in the order in which they came.
#[derive(Default)]
struct Work {
    queue: VecDeque<u32>,
    queued: BTreeSet<u32>,
}

impl Work {
    fn add(&mut self, client: u32) {
        if self.queued.insert(client) {
            self.queue.push_back(client);
        }
    }

    fn take(&mut self) -> Option<u32> {
        let client = self.queue.pop_front()?;
        self.queued.remove(&client);
        Some(client)
    }

    fn len(&self) -> usize {
        self.queue.len()
    }
}
