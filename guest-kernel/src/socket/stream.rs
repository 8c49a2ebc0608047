//! TCP: connecting, the two halves of a connection, and what remains of it when its socket is closed.
//!
//! smoltcp's socket is in the pool; a [`Connection`] says what the program has been told of it. What
//! ends a connection is known from when it ends: while packets are received it is the peer, while
//! packets are sent it is a timer ([`Stack::sweep`] runs after each).

use super::options::Options;
use super::ports;
use super::stack::{Body, Id, Result, Shutdown, Stack};
use crate::errno::{
    EAGAIN, EALREADY, ECONNREFUSED, ECONNRESET, EINPROGRESS, EISCONN, ENETUNREACH, ENOBUFS,
    ENOTCONN, EPIPE, ETIMEDOUT,
};
use crate::fs::file::Ready;
use crate::shell::kernel::Errno;
use core::net::SocketAddrV4;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, CongestionControl, State};
use smoltcp::time::Duration;

/// Bytes of each of a connection's two buffers.
pub const BUFFER: usize = 32 << 10;
/// Seconds until a peer that does not answer a SYN is given up, as in Linux.
const CONNECT_S: u64 = 127;
/// Seconds until a peer that does not acknowledge what it was sent is given up, as in Linux.
const SILENT_S: u64 = 924;
/// Seconds until a peer that does not answer is given up when there is no socket any more, and until
/// one that does not finish its handshake is.
pub(super) const ORPHAN_S: u64 = 60;
/// Seconds between questions whether a silent peer is still there.
const KEEP_ALIVE_S: u64 = 75;
/// Most orphans that only wait for late packets. The oldest are forgotten first.
const TIME_WAITS: usize = 32;

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// On the way.
    Connecting,
    /// There.
    Open,
    /// Over. What was received can still be read.
    Over,
}

/// A connection of a socket.
pub(super) struct Connection {
    handle: SocketHandle,
    pub(super) phase: Phase,
    /// Its state at the last sweep, for what came since to be understood.
    last: State,
    shut_read: bool,
    shut_write: bool,
}

impl Connection {
    pub(super) fn handle(&self) -> SocketHandle {
        self.handle
    }

    pub(super) fn open(handle: SocketHandle, last: State) -> Self {
        Self { handle, phase: Phase::Open, last, shut_read: false, shut_write: false }
    }
}

/// A connection's smoltcp socket, in no state yet.
pub(super) fn new_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(alloc::vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_congestion_control(CongestionControl::Reno);
    socket
}

/// Has a smoltcp socket follow the options.
pub(super) fn configure(socket: &mut tcp::Socket<'_>, options: &Options) {
    socket.set_nagle_enabled(!options.no_delay);
    socket.set_keep_alive(options.keep_alive.then_some(Duration::from_secs(KEEP_ALIVE_S)));
    socket.set_hop_limit(options.hop_limit);
}

/// Whether a connection only waits: for late packets, or (one that knows its peer still) for its
/// reset to go out.
fn only_waits(socket: &tcp::Socket<'_>) -> bool {
    matches!(socket.state(), State::TimeWait | State::Closed) && socket.remote_endpoint().is_some()
}

impl Stack {
    /// Connections that there are.
    pub fn connections(&self) -> usize {
        self.pool
            .iter()
            .filter(|(_, socket)| matches!(socket, smoltcp::socket::Socket::Tcp(_)))
            .count()
    }

    /// Whether there is room for another connection; an orphan that only waits makes room.
    pub(super) fn has_room(&mut self) -> bool {
        if self.is_short {
            return false;
        }
        if self.connections() < self.limit {
            return true;
        }
        let waits = self.orphans.iter().position(|handle| only_waits(self.pool.get(*handle)));
        let Some(index) = waits else { return false };
        let handle = self.orphans.remove(index);
        self.pool.remove(handle);
        true
    }

    fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.pool.get_mut(handle)
    }

    fn connection(&mut self, id: Id) -> Result<&mut Connection> {
        match &mut self.entry(id)?.body {
            Body::Connection(connection) => Ok(connection),
            _ => Err(ENOTCONN),
        }
    }

    pub(super) fn connect_stream(&mut self, id: Id, to: SocketAddrV4) -> Result {
        let entry = self.entry(id)?;
        if let Some(error) = entry.error.take() {
            return Err(error);
        }
        if let Body::Connection(connection) = &entry.body {
            return Err(match connection.phase {
                Phase::Connecting => EALREADY,
                Phase::Open | Phase::Over => EISCONN,
            });
        }
        let options = entry.options;
        let bound = entry.local;
        let to = ports::or_loopback(to);
        let source = self.source_to(*to.ip()).ok_or(ENETUNREACH)?;
        if to.port() == 0 {
            return Err(ECONNREFUSED);
        }
        if to.ip().is_broadcast() || to.ip().is_multicast() {
            return Err(ENETUNREACH);
        }
        if !self.has_room() {
            return Err(ENOBUFS);
        }
        let local = match bound {
            Some(local) if local.ip().is_unspecified() => SocketAddrV4::new(source, local.port()),
            Some(local) => local,
            None => self.take_port(id, SocketAddrV4::new(source, 0))?,
        };
        let mut socket = new_socket();
        configure(&mut socket, &options);
        socket.set_timeout(Some(Duration::from_secs(CONNECT_S)));
        // Neither address nor port is zero, and the socket is new.
        socket.connect(self.interface.context(), to, local).map_err(|_| ENETUNREACH)?;
        let handle = self.pool.add(socket);
        let entry = self.entry(id)?;
        entry.local = Some(local);
        entry.peer = Some(to);
        let mut connection = Connection::open(handle, State::SynSent);
        connection.phase = Phase::Connecting;
        entry.body = Body::Connection(connection);
        Err(EINPROGRESS)
    }

    /// How a connection that was on the way has come out.
    ///
    /// # Errors
    /// EAGAIN: it has not yet; what went wrong.
    pub fn finish_connect(&mut self, id: Id) -> Result {
        let entry = self.entry(id)?;
        if let Some(error) = entry.error.take() {
            return Err(error);
        }
        let is_open = match &entry.body {
            Body::Connection(connection) => connection.phase != Phase::Connecting,
            _ => return Err(ENOTCONN),
        };
        if is_open {
            return Ok(());
        }
        self.ready(id);
        Err(EAGAIN)
    }

    pub(super) fn send_stream(
        &mut self,
        id: Id,
        bytes: &[u8],
        to: Option<SocketAddrV4>,
    ) -> Result<usize> {
        let entry = self.entry(id)?;
        if to.is_some() && entry.peer.is_some() {
            return Err(EISCONN);
        }
        if let Some(error) = entry.error.take() {
            return Err(error);
        }
        let Body::Connection(connection) = &entry.body else { return Err(EPIPE) };
        let handle = connection.handle;
        if connection.phase == Phase::Over || connection.shut_write {
            return Err(EPIPE);
        }
        if connection.phase == Phase::Open {
            match self.tcp(handle).send_slice(bytes) {
                Ok(count) if count > 0 || bytes.is_empty() => return Ok(count),
                Ok(_) => {}
                // It has ended since the last sweep, which will say why.
                Err(tcp::SendError::InvalidState) => return Err(EPIPE),
            }
        }
        self.ready(id);
        Err(EAGAIN)
    }

    pub(super) fn receive_stream(&mut self, id: Id, into: &mut [u8], peek: bool) -> Result<usize> {
        let connection = self.connection(id)?;
        let (handle, phase, shut) = (connection.handle, connection.phase, connection.shut_read);
        let socket = self.tcp(handle);
        let result = match peek {
            true if socket.can_recv() => socket.peek_slice(into),
            _ => socket.recv_slice(into),
        };
        match (result, phase) {
            (Ok(count), _) if count > 0 || into.is_empty() => return Ok(count),
            (_, Phase::Connecting) => {}
            (Ok(_), Phase::Open) if !shut => {}
            (Ok(_) | Err(tcp::RecvError::Finished), _) => return Ok(0),
            (Err(tcp::RecvError::InvalidState), _) => {
                return self.entry(id)?.error.take().map_or(Ok(0), Err);
            }
        }
        self.ready(id);
        Err(EAGAIN)
    }

    pub(super) fn shutdown_stream(&mut self, id: Id, how: Shutdown) -> Result {
        let connection = self.connection(id)?;
        if connection.phase != Phase::Open {
            return Err(ENOTCONN);
        }
        let handle = connection.handle;
        connection.shut_read |= how != Shutdown::Write;
        connection.shut_write |= how != Shutdown::Read;
        if how != Shutdown::Read {
            let socket = self.tcp(handle);
            socket.close();
            let last = socket.state();
            self.connection(id)?.last = last;
        }
        Ok(())
    }

    pub(super) fn ready_stream(&mut self, id: Id) -> Ready {
        let Ok(connection) = self.connection(id) else { return Ready::ERROR };
        let (handle, phase) = (connection.handle, connection.phase);
        let (shut_read, shut_write) = (connection.shut_read, connection.shut_write);
        if phase == Phase::Connecting {
            return Ready::empty();
        }
        let socket = self.tcp(handle);
        let has_ended = phase == Phase::Over || !socket.may_recv();
        let mut ready = Ready::empty();
        ready.set(Ready::READ, socket.can_recv() || has_ended || shut_read);
        ready.set(Ready::WRITE, socket.can_send() || shut_write || phase == Phase::Over);
        ready.set(Ready::HANGUP, phase == Phase::Over || (has_ended && shut_write));
        ready.set(Ready::READ_HANGUP, has_ended || shut_read);
        ready
    }

    /// Has a connected socket follow its options, which have changed.
    pub fn follow_options(&mut self, id: Id) {
        let Ok(entry) = self.entry(id) else { return };
        let options = entry.options;
        if let Body::Connection(connection) = &entry.body {
            let handle = connection.handle;
            configure(self.tcp(handle), &options);
        }
    }

    /// The closed socket's connection becomes an orphan, if there is anything left of it to do.
    pub(super) fn close_connection(&mut self, connection: Connection, options: Options) {
        let handle = connection.handle;
        let socket = self.tcp(handle);
        if connection.phase == Phase::Connecting || socket.state() == State::Closed {
            self.pool.remove(handle);
            return;
        }
        // What nobody will read is lost, and the peer is to know it.
        if socket.recv_queue() > 0 || options.reset_on_close {
            socket.abort();
        } else {
            socket.close();
        }
        self.adopt(handle);
    }

    /// Makes a connection an orphan.
    pub(super) fn adopt(&mut self, handle: SocketHandle) {
        let socket = self.tcp(handle);
        socket.set_keep_alive(None);
        socket.set_timeout(Some(Duration::from_secs(ORPHAN_S)));
        self.orphans.push(handle);
    }

    /// Looks at all connections after packets were received (`cause` is `ECONNRESET`) or sent
    /// (`ETIMEDOUT`), and takes down what became of them.
    pub(super) fn sweep(&mut self, cause: Errno) {
        for entry in self.entries.iter_mut().flatten() {
            let Body::Connection(connection) = &mut entry.body else { continue };
            let socket = self.pool.get_mut::<tcp::Socket<'_>>(connection.handle);
            let state = socket.state();
            match (connection.phase, state) {
                (Phase::Connecting, State::Closed) => {
                    self.pool.remove(connection.handle);
                    entry.error = Some(if cause == ECONNRESET { ECONNREFUSED } else { ETIMEDOUT });
                    entry.body = Body::Fresh;
                    entry.peer = None;
                    continue;
                }
                (Phase::Connecting, State::SynSent | State::SynReceived) => {}
                (Phase::Connecting, _) => {
                    connection.phase = Phase::Open;
                    socket.set_timeout(None);
                }
                (Phase::Open, State::Closed) => {
                    connection.phase = Phase::Over;
                    if !matches!(connection.last, State::LastAck | State::TimeWait | State::Closing)
                    {
                        entry.error = Some(cause);
                    }
                }
                (Phase::Open, _) => {
                    // smoltcp's limit is on silence, which is no fault while nothing is asked.
                    let waits = socket.send_queue() > 0;
                    socket.set_timeout(waits.then_some(Duration::from_secs(SILENT_S)));
                }
                (Phase::Over, _) => {}
            }
            connection.last = state;
        }
        self.sweep_listeners();
    }

    /// Forgets orphans that are done, those that get what nobody will read, and the oldest of those
    /// that only wait, where they are too many.
    pub(super) fn drop_orphans(&mut self) {
        let Self { orphans, pool, .. } = self;
        let mut waits = 0;
        for handle in orphans.iter() {
            let socket = pool.get_mut::<tcp::Socket<'_>>(*handle);
            waits += usize::from(only_waits(socket));
            if socket.recv_queue() > 0 && socket.state() != State::Closed {
                socket.abort();
            }
        }
        orphans.retain(|handle| {
            let socket = pool.get::<tcp::Socket<'_>>(*handle);
            let mut is_done = socket.state() == State::Closed && socket.remote_endpoint().is_none();
            if waits > TIME_WAITS && only_waits(socket) {
                waits -= 1;
                is_done = true;
            }
            if is_done {
                pool.remove(*handle);
            }
            !is_done
        });
    }
}
