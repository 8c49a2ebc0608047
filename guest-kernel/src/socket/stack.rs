//! All sockets of the host, its interface, and the turn in which packets are handled.
//!
//! Invariants: an [`Entry`]'s handles are in the pool, and nothing else has them; a connection in the
//! pool is an entry's, an entry's listener's, or an orphan's; in the pool nothing listens between two
//! polls ([`super::listener`]).

use super::address::ANY;
use super::datagram::Datagram;
use super::link::Link;
use super::listener::{Listener, Verdict};
use super::network::Network;
use super::options::Options;
use super::plan::Plan;
use super::ports::Ports;
use super::raw::Raw;
use super::stream::{Connection, Phase};
use crate::errno::{EINVAL, EISCONN, ENOTCONN, ENOTSOCK, EOPNOTSUPP};
use crate::fs::file::Ready;
use crate::net::Interface;
use crate::shell::kernel::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddrV4;
use smoltcp::iface::{self, PollIngressSingleResult, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress};

/// Frames that one poll handles at most, so that others get to run.
const FRAMES: usize = 64;
/// Rounds of sending in one poll, each of at most a packet from each socket.
const ROUNDS: usize = 32;
/// Nanoseconds until what there was no room for is tried again, should nobody say that there is.
const RETRY_NS: u64 = 10_000_000;

/// The result of an operation on a socket.
pub type Result<T = ()> = core::result::Result<T, Errno>;

/// A socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Id(u32);

impl Id {
    /// Its number: small, and used again once it is closed.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// What kind of socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
    /// IP packets of one protocol: 1 is ICMP.
    Raw(u8),
}

/// What a socket is at the moment.
pub(super) enum Body {
    /// TCP, neither connected nor listening.
    Fresh,
    Listener(Listener),
    Connection(Connection),
    Datagram(Datagram),
    Raw(Raw),
}

/// A socket and all that is known of it.
pub(super) struct Entry {
    pub(super) body: Body,
    pub(super) options: Options,
    /// Its address, once it has a port.
    pub(super) local: Option<SocketAddrV4>,
    /// Whom it is connected to.
    pub(super) peer: Option<SocketAddrV4>,
    /// What went wrong, until it is told.
    pub(super) error: Option<Errno>,
    /// What it was ready for when it was last asked: whoever sleeps on it sleeps because of that.
    seen: Ready,
}

impl Entry {
    pub(super) fn new(body: Body) -> Self {
        let seen = Ready::empty();
        Self { body, options: Options::default(), local: None, peer: None, error: None, seen }
    }
}

/// Which half of a connection is shut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// Nothing more is received.
    Read,
    /// Nothing more is sent.
    Write,
    /// Both.
    Both,
}

/// The host's sockets.
pub struct Stack {
    pub(super) link: Link,
    pub(super) interface: iface::Interface,
    pub(super) pool: SocketSet<'static>,
    pub(super) entries: Vec<Option<Entry>>,
    /// Connections whose sockets are closed, in that order.
    pub(super) orphans: Vec<SocketHandle>,
    pub(super) ports: Ports,
    pub(super) network: Network,
    /// Most connections at a time.
    pub(super) limit: usize,
    /// Memory is short: nothing is made for peers.
    pub(super) is_short: bool,
}

impl Stack {
    /// A host that is alone, with room for so many connections. The seed is behind sequence numbers
    /// and ports: who knows it can guess them.
    pub fn new(limit: usize, seed: u64) -> Self {
        let mut link = Link::new(None);
        let interface = new_interface(&mut link, seed);
        let mut stack = Self {
            link,
            interface,
            pool: SocketSet::new(Vec::new()),
            entries: Vec::new(),
            orphans: Vec::new(),
            ports: Ports::new(seed),
            network: Network::new(),
            limit,
            is_short: false,
        };
        stack.set_plan(Plan::Off);
        stack
    }

    /// Puts the host on the wire of another interface, or takes it off. Where its address comes from
    /// stays as it is; the host's connections to itself live on.
    pub fn attach(&mut self, interface: Option<Arc<dyn Interface>>, seed: u64) {
        self.link = Link::new(interface);
        self.interface = new_interface(&mut self.link, seed);
        self.set_plan(self.plan().clone());
    }

    /// The device.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Says whether memory is short.
    pub fn set_short(&mut self, is_short: bool) {
        self.is_short = is_short;
    }

    /// Makes a socket.
    pub fn open(&mut self, kind: Kind) -> Id {
        let body = match kind {
            Kind::Stream => Body::Fresh,
            Kind::Datagram => Body::Datagram(Datagram::default()),
            Kind::Raw(protocol) => Body::Raw(self.open_raw(protocol)),
        };
        self.add(Entry::new(body))
    }

    pub(super) fn add(&mut self, entry: Entry) -> Id {
        let index = self.entries.iter().position(Option::is_none).unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.entries[index] = Some(entry);
        Id(index as u32)
    }

    pub(super) fn entry(&mut self, id: Id) -> Result<&mut Entry> {
        self.entries.get_mut(id.0 as usize).and_then(Option::as_mut).ok_or(ENOTSOCK)
    }

    /// Ends a socket. What was written still goes out.
    pub fn close(&mut self, id: Id) {
        let Some(entry) = self.entries.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        match entry.body {
            Body::Fresh => {}
            Body::Listener(listener) => self.close_listener(listener),
            Body::Connection(connection) => self.close_connection(connection, entry.options),
            Body::Datagram(datagram) => {
                if let Some(handle) = datagram.handle() {
                    self.pool.remove(handle);
                }
            }
            Body::Raw(raw) => {
                self.pool.remove(raw.handle());
            }
        }
    }

    /// Gives a socket an address and, if the address has none, a port.
    ///
    /// # Errors
    /// EINVAL: it has one; else as [`Stack::take_port`].
    pub fn bind(&mut self, id: Id, address: SocketAddrV4) -> Result {
        let entry = self.entry(id)?;
        if entry.local.is_some() {
            return Err(EINVAL);
        }
        let is_raw = matches!(entry.body, Body::Raw(_));
        let local = if is_raw { self.own(address)? } else { self.take_port(id, address)? };
        self.entry(id)?.local = Some(local);
        self.bind_datagram(id)
    }

    /// Connects a stream, or says whom a datagram socket sends to and hears.
    ///
    /// # Errors
    /// EINPROGRESS: a stream, which is on the way; EISCONN: it is connected; EALREADY: it was on the
    /// way before; EOPNOTSUPP: it listens; ENETUNREACH: nothing leads there; what went wrong before.
    pub fn connect(&mut self, id: Id, to: SocketAddrV4) -> Result {
        match &self.entry(id)?.body {
            Body::Fresh | Body::Connection(_) => self.connect_stream(id, to),
            Body::Listener(_) => Err(EISCONN),
            Body::Datagram(_) | Body::Raw(_) => self.connect_datagram(id, to),
        }
    }

    /// Has a datagram or raw socket hear everyone again (`connect` to `AF_UNSPEC`).
    ///
    /// # Errors
    /// EOPNOTSUPP: a stream.
    pub fn disconnect(&mut self, id: Id) -> Result {
        let entry = self.entry(id)?;
        match entry.body {
            Body::Datagram(_) | Body::Raw(_) => {
                entry.peer = None;
                Ok(())
            }
            _ => Err(EOPNOTSUPP),
        }
    }

    /// Sends bytes, or as many as there is room for: how many.
    ///
    /// # Errors
    /// EAGAIN: no room; EPIPE: the stream's sending half is shut; else by kind.
    pub fn send(&mut self, id: Id, bytes: &[u8], to: Option<SocketAddrV4>) -> Result<usize> {
        match &self.entry(id)?.body {
            Body::Fresh | Body::Listener(_) | Body::Connection(_) => {
                self.send_stream(id, bytes, to)
            }
            Body::Datagram(_) => self.send_datagram(id, bytes, to),
            Body::Raw(_) => self.send_raw(id, bytes, to),
        }
    }

    /// Receives bytes: how many there were (more than the buffer holds, when a packet was cut), and
    /// from whom. With `peek` they stay. A stream that has ended gives none.
    ///
    /// # Errors
    /// EAGAIN: there are none; ENOTCONN; what went wrong.
    pub fn receive(
        &mut self,
        id: Id,
        into: &mut [u8],
        peek: bool,
    ) -> Result<(usize, Option<SocketAddrV4>)> {
        match &self.entry(id)?.body {
            Body::Fresh | Body::Listener(_) => Err(ENOTCONN),
            Body::Connection(_) => self.receive_stream(id, into, peek).map(|count| (count, None)),
            Body::Datagram(_) => self.receive_datagram(id, into, peek),
            Body::Raw(_) => self.receive_raw(id, into, peek),
        }
    }

    /// Bytes that can be received at once: a stream's all, else those of the next packet.
    ///
    /// # Errors
    /// ENOTSOCK; EINVAL: it listens.
    pub fn readable(&mut self, id: Id) -> Result<usize> {
        match &self.entry(id)?.body {
            Body::Fresh => Ok(0),
            Body::Listener(_) => Err(EINVAL),
            Body::Connection(connection) => {
                let handle = connection.handle();
                Ok(self.pool.get::<tcp::Socket<'_>>(handle).recv_queue())
            }
            Body::Datagram(_) | Body::Raw(_) => match self.receive(id, &mut [], true) {
                Ok((count, _)) => Ok(count),
                Err(_) => Ok(0),
            },
        }
    }

    /// Shuts one half or both.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown(&mut self, id: Id, how: Shutdown) -> Result {
        let entry = self.entry(id)?;
        match &entry.body {
            Body::Connection(_) => self.shutdown_stream(id, how),
            _ if entry.peer.is_some() => Ok(()),
            _ => Err(ENOTCONN),
        }
    }

    /// Its address; [`ANY`] when it has none yet.
    ///
    /// # Errors
    /// ENOTSOCK.
    pub fn local(&mut self, id: Id) -> Result<SocketAddrV4> {
        Ok(self.entry(id)?.local.unwrap_or(ANY))
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer(&mut self, id: Id) -> Result<SocketAddrV4> {
        let entry = self.entry(id)?;
        let is_connected = match &entry.body {
            Body::Connection(connection) => connection.phase == Phase::Open,
            _ => true,
        };
        entry.peer.filter(|_| is_connected).ok_or(ENOTCONN)
    }

    /// What went wrong since it was last told (`SO_ERROR`).
    ///
    /// # Errors
    /// ENOTSOCK.
    pub fn take_error(&mut self, id: Id) -> Result<Option<Errno>> {
        Ok(self.entry(id)?.error.take())
    }

    /// The options of a socket.
    ///
    /// # Errors
    /// ENOTSOCK.
    pub fn options(&mut self, id: Id) -> Result<&mut Options> {
        Ok(&mut self.entry(id)?.options)
    }

    /// What the socket can do at once. Whoever sleeps after that is woken when it can do more.
    pub fn ready(&mut self, id: Id) -> Ready {
        let Ok(entry) = self.entry(id) else { return Ready::ERROR };
        let failed = if entry.error.is_some() { Ready::ERROR } else { Ready::empty() };
        let ready = failed
            | match &entry.body {
                Body::Fresh => Ready::WRITE | Ready::HANGUP,
                Body::Listener(_) => self.ready_listener(id),
                Body::Connection(_) => self.ready_stream(id),
                Body::Datagram(_) => self.ready_datagram(id),
                Body::Raw(_) => self.ready_raw(id),
            };
        if let Ok(entry) = self.entry(id) {
            entry.seen = ready;
        }
        ready
    }

    /// Handles packets and timers, and calls `wake` with each socket that can do what it could not
    /// when it was last asked. When to poll again, if nothing happens before.
    pub fn poll(&mut self, now: u64, wake: &mut dyn FnMut(Id)) -> Option<u64> {
        self.prepare(now);
        self.interface.poll_maintenance(instant(now));
        let (mut frames, mut rounds) = (0, 0);
        let mut is_idle = true;
        loop {
            let came = self.take_in(now, FRAMES - frames);
            self.sweep(crate::errno::ECONNRESET);
            let went = rounds < ROUNDS && self.send_out(now, &mut rounds);
            self.sweep(crate::errno::ETIMEDOUT);
            frames += came;
            is_idle &= came == 0 && !went;
            if (came == 0 && !went) || frames >= FRAMES || rounds >= ROUNDS {
                break;
            }
        }
        self.follow_dhcp();
        self.drop_orphans();
        self.wake_changed(wake);
        if self.link.peek().is_some() {
            return Some(now);
        }
        let next = self.interface.poll_at(instant(now), &self.pool);
        let next =
            next.map(|at| u64::try_from(at.total_micros()).unwrap_or(0).saturating_mul(1000));
        match next {
            // What could not be done now cannot be done at once.
            Some(at) if at <= now && (is_idle || self.link.is_busy()) => Some(now + RETRY_NS),
            next => next.map(|at| at.max(now)),
        }
    }

    /// Receives at most so many frames: how many.
    fn take_in(&mut self, now: u64, most: usize) -> usize {
        for count in 0..most {
            match self.screen() {
                Verdict::NoFrame => return count,
                Verdict::Drop => {
                    self.link.skip();
                    continue;
                }
                Verdict::Pass => {}
            }
            let Self { interface, link, pool, .. } = self;
            if interface.poll_ingress_single(instant(now), link, pool)
                == PollIngressSingleResult::None
            {
                return count;
            }
            self.stop_listening();
        }
        most
    }

    /// Sends what there is to send: whether there was anything.
    fn send_out(&mut self, now: u64, rounds: &mut usize) -> bool {
        let mut went = false;
        while *rounds < ROUNDS {
            *rounds += 1;
            let Self { interface, link, pool, .. } = self;
            if interface.poll_egress(instant(now), link, pool) == PollResult::None {
                break;
            }
            went = true;
        }
        went
    }

    fn wake_changed(&mut self, wake: &mut dyn FnMut(Id)) {
        for index in 0..self.entries.len() {
            let Some(Some(entry)) = self.entries.get(index) else { continue };
            let (id, seen) = (Id(index as u32), entry.seen);
            if !seen.contains(self.ready(id)) {
                wake(id);
            }
        }
    }
}

/// What smoltcp knows of the host's place on a wire.
fn new_interface(link: &mut Link, seed: u64) -> iface::Interface {
    let address = HardwareAddress::Ethernet(EthernetAddress(link.mac()));
    let mut config = iface::Config::new(address);
    config.random_seed = seed;
    iface::Interface::new(config, link, Instant::ZERO)
}

/// System time as smoltcp has it.
pub(super) fn instant(now: u64) -> Instant {
    Instant::from_micros((now / 1000) as i64)
}
