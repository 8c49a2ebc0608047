//! Listening: connections that wait to be accepted.
//!
//! smoltcp has no backlog: each of its sockets that listens becomes one connection. So none listens
//! until there is something to hear. A frame is looked at before smoltcp gets it ([`Stack::screen`]),
//! and a SYN to a port that somebody listens on has a smoltcp socket made for it, there and then.
//! Where there is no room for another connection the SYN is dropped, as Linux does: the peer asks
//! again.

use super::stack::{Body, Entry, Id, Result, Stack};
use super::stream::{self, Connection, ORPHAN_S};
use crate::errno::{EAGAIN, EDESTADDRREQ, EINVAL, EOPNOTSUPP};
use crate::fs::file::Ready;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use smoltcp::socket::{Socket, tcp};
use smoltcp::time::Duration;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpEndpoint, IpListenEndpoint, IpProtocol,
    Ipv4Packet, TcpPacket,
};

/// Longest queue that can be asked for (`SOMAXCONN`).
const BACKLOG: usize = 128;
/// Most handshakes of one listener under way.
const HALF_OPEN: usize = 32;

/// A socket that listens.
pub(super) struct Listener {
    /// As `listen` said; one more may wait.
    backlog: usize,
    /// Connections that nobody has accepted, in the order of their SYNs; some in the handshake.
    waiting: Vec<SocketHandle>,
}

/// What is to become of the next frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// There is none.
    NoFrame,
    /// It is not for smoltcp.
    Drop,
    /// It is.
    Pass,
}

/// Who asks whom for a connection.
struct Syn {
    from: SocketAddrV4,
    to: SocketAddrV4,
}

/// What asks for a connection, if the frame does.
fn syn(frame: &[u8]) -> Option<Syn> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    if ip.next_header() != IpProtocol::Tcp || ip.frag_offset() != 0 {
        return None;
    }
    let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
    (tcp.syn() && !tcp.ack() && !tcp.rst() && !tcp.fin()).then(|| Syn {
        from: SocketAddrV4::new(ip.src_addr(), tcp.src_port()),
        to: SocketAddrV4::new(ip.dst_addr(), tcp.dst_port()),
    })
}

impl Stack {
    /// Has a stream wait for others to connect to it.
    ///
    /// # Errors
    /// EINVAL: it is connected; EOPNOTSUPP: not a stream; EDESTADDRREQ: it could not get a port.
    pub fn listen(&mut self, id: Id, backlog: usize) -> Result {
        let backlog = backlog.min(BACKLOG);
        let entry = self.entry(id)?;
        match &mut entry.body {
            Body::Listener(listener) => listener.backlog = backlog,
            Body::Fresh => {
                if entry.local.is_none() {
                    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
                    let local = self.take_port(id, any).map_err(|_| EDESTADDRREQ)?;
                    self.entry(id)?.local = Some(local);
                }
                self.entry(id)?.body = Body::Listener(Listener { backlog, waiting: Vec::new() });
            }
            Body::Connection(_) => return Err(EINVAL),
            Body::Datagram(_) | Body::Raw(_) => return Err(EOPNOTSUPP),
        }
        Ok(())
    }

    /// Whether a socket listens (`SO_ACCEPTCONN`).
    ///
    /// # Errors
    /// ENOTSOCK.
    pub fn listens(&mut self, id: Id) -> Result<bool> {
        Ok(matches!(self.entry(id)?.body, Body::Listener(_)))
    }

    /// A socket of the connection that has waited longest, and its peer.
    ///
    /// # Errors
    /// EAGAIN: none waits; EINVAL: it does not listen; EOPNOTSUPP: it never can.
    pub fn accept(&mut self, id: Id) -> Result<(Id, SocketAddrV4)> {
        let Self { entries, pool, .. } = self;
        let entry = entries.get_mut(id.number() as usize).and_then(Option::as_mut);
        let Entry { body, options, .. } = entry.ok_or(crate::errno::ENOTSOCK)?;
        let listener = match body {
            Body::Listener(listener) => listener,
            Body::Datagram(_) | Body::Raw(_) => return Err(EOPNOTSUPP),
            _ => return Err(EINVAL),
        };
        let whole = listener.waiting.iter().position(|handle| is_whole(pool.get(*handle)));
        let Some(index) = whole else {
            self.ready(id);
            return Err(EAGAIN);
        };
        let handle = listener.waiting.remove(index);
        let options = *options;
        let socket = pool.get_mut::<tcp::Socket<'_>>(handle);
        socket.set_timeout(None);
        stream::configure(socket, &options);
        let state = socket.state();
        let ends = (socket.local_endpoint(), socket.remote_endpoint());
        let (Some(local), Some(peer)) = (ends.0.and_then(v4), ends.1.and_then(v4)) else {
            // Only a connection that is closed knows no ends, and that is not whole.
            return Err(EAGAIN);
        };
        let mut entry = Entry::new(Body::Connection(Connection::open(handle, state)));
        entry.options = options;
        entry.local = Some(local);
        entry.peer = Some(peer);
        Ok((self.add(entry), peer))
    }

    pub(super) fn ready_listener(&mut self, id: Id) -> Ready {
        let Some(Some(Entry { body: Body::Listener(listener), .. })) =
            self.entries.get(id.number() as usize)
        else {
            return Ready::ERROR;
        };
        let whole = listener.waiting.iter().any(|handle| is_whole(self.pool.get(*handle)));
        if whole { Ready::READ } else { Ready::empty() }
    }

    /// Ends a listener: whoever waits is turned away.
    pub(super) fn close_listener(&mut self, listener: Listener) {
        for handle in listener.waiting {
            self.pool.get_mut::<tcp::Socket<'_>>(handle).abort();
            self.adopt(handle);
        }
    }

    /// Says what is to become of the next frame, and makes what it needs: a socket that listens for
    /// a SYN.
    pub(super) fn screen(&mut self) -> Verdict {
        let Some(frame) = self.link.peek() else { return Verdict::NoFrame };
        let Some(syn) = syn(frame) else { return Verdict::Pass };
        if !self.is_own(*syn.to.ip()) {
            return Verdict::Pass;
        }
        let Some(index) = self.listener_at(syn.to) else { return Verdict::Pass };
        match self.connection_between(&syn) {
            // The peer uses the port again before we have forgotten it.
            Some((handle, State::TimeWait)) => {
                self.orphans.retain(|orphan| *orphan != handle);
                if self.owns(handle) {
                    return Verdict::Pass;
                }
                self.pool.remove(handle);
            }
            // Sent again, or forged: TCP's to deal with.
            Some(_) => return Verdict::Pass,
            None => {}
        }
        let admitted = self.admits(index) && self.has_room();
        if !admitted {
            return Verdict::Drop;
        }
        let mut socket = stream::new_socket();
        socket.set_timeout(Some(Duration::from_secs(ORPHAN_S)));
        let end =
            IpListenEndpoint { addr: Some(IpAddress::Ipv4(*syn.to.ip())), port: syn.to.port() };
        // The port is not zero, since somebody listens on it, and the socket is new.
        if socket.listen(end).is_err() {
            return Verdict::Drop;
        }
        let handle = self.pool.add(socket);
        if let Some(Some(Entry { body: Body::Listener(listener), .. })) =
            self.entries.get_mut(index)
        {
            listener.waiting.push(handle);
        }
        Verdict::Pass
    }

    /// Who listens at an address: rather who listens there than who listens everywhere.
    fn listener_at(&self, address: SocketAddrV4) -> Option<usize> {
        let listens = |ip: Ipv4Addr| {
            self.entries.iter().position(|entry| {
                entry.as_ref().is_some_and(|entry| {
                    matches!(entry.body, Body::Listener(_))
                        && entry.local == Some(SocketAddrV4::new(ip, address.port()))
                })
            })
        };
        listens(*address.ip()).or_else(|| listens(Ipv4Addr::UNSPECIFIED))
    }

    /// The connection that a SYN asks for, if there is one already.
    fn connection_between(&self, syn: &Syn) -> Option<(SocketHandle, State)> {
        let (local, remote) = (IpEndpoint::from(syn.to), IpEndpoint::from(syn.from));
        self.pool.iter().find_map(|(handle, socket)| match socket {
            Socket::Tcp(socket)
                if socket.local_endpoint() == Some(local)
                    && socket.remote_endpoint() == Some(remote) =>
            {
                Some((handle, socket.state()))
            }
            _ => None,
        })
    }

    /// Whether a socket of a program has a connection.
    fn owns(&self, handle: SocketHandle) -> bool {
        self.entries.iter().flatten().any(|entry| {
            matches!(&entry.body, Body::Connection(connection) if connection.handle() == handle)
        })
    }

    /// Whether a listener has room for one more.
    fn admits(&self, index: usize) -> bool {
        let Some(Some(Entry { body: Body::Listener(listener), .. })) = self.entries.get(index)
        else {
            return false;
        };
        let whole =
            listener.waiting.iter().filter(|handle| is_whole(self.pool.get(**handle))).count();
        whole <= listener.backlog && listener.waiting.len() - whole < HALF_OPEN
    }

    /// What listens in the pool after a frame was handled has heard nothing: the frame was not what
    /// it looked like.
    pub(super) fn stop_listening(&mut self) {
        self.drop_waiting(|state| state == State::Listen);
    }

    /// Forgets connections that ended before anybody accepted them.
    pub(super) fn sweep_listeners(&mut self) {
        self.drop_waiting(|state| matches!(state, State::Closed | State::Listen));
    }

    fn drop_waiting(&mut self, is_over: impl Fn(State) -> bool) {
        let Self { entries, pool, .. } = self;
        for entry in entries.iter_mut().flatten() {
            let Body::Listener(listener) = &mut entry.body else { continue };
            listener.waiting.retain(|handle| {
                let over = is_over(pool.get::<tcp::Socket<'_>>(*handle).state());
                if over {
                    pool.remove(*handle);
                }
                !over
            });
        }
    }
}

/// Whether a connection is through its handshake, and can be accepted.
fn is_whole(socket: &tcp::Socket<'_>) -> bool {
    !matches!(socket.state(), State::Listen | State::SynReceived | State::Closed)
}

/// An endpoint as programs know it.
pub(super) fn v4(endpoint: IpEndpoint) -> Option<SocketAddrV4> {
    let IpAddress::Ipv4(address) = endpoint.addr;
    Some(SocketAddrV4::new(address, endpoint.port))
}
