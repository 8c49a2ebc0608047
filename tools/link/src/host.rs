//! The host's half: the sockets of a machine's directory on one side, its console on the other.
//!
//! A thread connects whoever comes to a socket to the service of that name: one client, one
//! channel. While domain 0 does not answer (it boots, or there is none), clients wait to be
//! accepted. A client that is slow or sends without reading stops its own channel alone: its
//! socket is not read until domain 0 has taken what it sent before.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};
use std::vec::Vec;
use std::{process, vec};

use rustix::event::{PollFd, PollFlags, poll};

use crate::machine::Running;
use crate::{ChannelId, End, Event, MAX_CHANNELS, Side, service};

/// The socket in a machine's directory that the emulator connects its console to.
const CONSOLE: &str = "console";
/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// The link of a machine that this process runs. Dropping it ends the thread, disconnects clients
/// and removes the machine's directory.
pub struct Link {
    console: PathBuf,
    /// Dropped first: the thread sees that the other end is gone.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Makes the sockets in the machine's directory and serves them.
    pub fn start(running: Running) -> io::Result<Self> {
        let console = running.found().directory.join(CONSOLE);
        let listen = |path: &PathBuf| {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            io::Result::Ok(listener)
        };
        let emulator = listen(&console)?;
        let services = vec![
            (listen(&running.found().xenstored())?, service::XENSTORE),
            (listen(&running.found().xl())?, service::XL),
        ];
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new().name("link".into()).spawn(move || {
            // Its end is the end of the machine, or of us: nobody is left to tell.
            let _ = serve(&emulator, &services, &stopped);
            drop(services);
            drop(running);
        })?;
        Ok(Self { console, stop: Some(stop), thread: Some(thread) })
    }

    /// Where the emulator is to connect the console to.
    pub fn console(&self) -> &PathBuf {
        &self.console
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A program's socket and its channel.
struct Client {
    socket: UnixStream,
    id: ChannelId,
    /// Read from the socket, not yet sent in the channel, from `sent` on.
    waiting: Vec<u8>,
    sent: usize,
    /// The socket takes no more for now.
    full: bool,
    /// The program has closed the socket.
    ended: bool,
    /// Domain 0 has closed the channel.
    peer_closed: bool,
}

/// Waits for the emulator to connect, and serves until it or `stopped`'s other end is gone.
fn serve(
    emulator: &UnixListener,
    services: &[(UnixListener, &str)],
    stopped: &UnixStream,
) -> io::Result<()> {
    wait(&mut [PollFd::new(emulator, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)])?;
    let (mut console, _) = emulator.accept()?;
    console.set_nonblocking(true)?;
    let mut end = End::new(Side::Host, epoch());
    let mut clients: Vec<Client> = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let ready = poll_all(&console, services, &clients, stopped, &mut end)?;
        if ready.stopped {
            return Ok(());
        }
        if ready.console {
            match console.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => end.input(&buffer[..count]),
                Err(error) => later(error)?,
            }
            while let Some(event) = end.next_event() {
                match event {
                    Event::Down => clients.clear(),
                    Event::Closed(id) => {
                        clients
                            .iter_mut()
                            .filter(|client| client.id == id)
                            .for_each(|client| client.peer_closed = true);
                    }
                    Event::Up | Event::Opened(..) | Event::Readable(_) => {}
                }
            }
        }
        for (listener, service) in services {
            accept(listener, service, &mut end, &mut clients);
        }
        loop {
            clients.retain_mut(|client| {
                let goes_on = client.move_bytes(&mut end, &mut buffer);
                if !goes_on {
                    end.close(client.id);
                }
                goes_on
            });
            let any = write_output(&mut console, &mut end)?;
            // There is room now, perhaps for those who found none.
            if !any || clients.iter().all(|client| client.waiting.is_empty()) {
                break;
            }
        }
    }
}

/// Writes to the emulator as much as it takes; whether that was anything.
fn write_output(console: &mut UnixStream, end: &mut End) -> io::Result<bool> {
    let mut any = false;
    loop {
        let output = end.output();
        if output.is_empty() {
            return Ok(any);
        }
        match console.write(output) {
            Ok(count) => {
                end.sent(count);
                any = true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(any),
            Err(error) => later(error)?,
        }
    }
}

/// What is ready besides clients, which are simply tried.
struct Ready {
    console: bool,
    stopped: bool,
}

fn poll_all(
    console: &UnixStream,
    services: &[(UnixListener, &str)],
    clients: &[Client],
    stopped: &UnixStream,
    end: &mut End,
) -> io::Result<Ready> {
    let flags = |reads: bool, writes: bool| {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, reads);
        flags.set(PollFlags::OUT, writes);
        flags
    };
    let mut fds = vec![
        PollFd::new(console, flags(true, !end.output().is_empty())),
        PollFd::new(stopped, PollFlags::IN),
    ];
    if end.is_up() && clients.len() < MAX_CHANNELS {
        fds.extend(services.iter().map(|(listener, _)| PollFd::new(listener, PollFlags::IN)));
    }
    for client in clients {
        // One whose bytes wait for credit is not listened to: that comes from the console.
        let wanted = flags(client.waiting.is_empty(), client.full);
        if !wanted.is_empty() {
            fds.push(PollFd::from_borrowed_fd(client.socket.as_fd(), wanted));
        }
    }
    wait(&mut fds)?;
    Ok(Ready { console: !fds[0].revents().is_empty(), stopped: !fds[1].revents().is_empty() })
}

fn wait(fds: &mut [PollFd<'_>]) -> io::Result<()> {
    loop {
        match poll(fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done.map(|_| ())?),
        }
    }
}

/// Accepts those who wait, as long as there are channels for them.
fn accept(listener: &UnixListener, service: &str, end: &mut End, clients: &mut Vec<Client>) {
    while end.is_up() && clients.len() < MAX_CHANNELS {
        let Ok((socket, _)) = listener.accept() else { return };
        // One that cannot have a channel is hung up on.
        let (Ok(()), Ok(id)) = (socket.set_nonblocking(true), end.open(service)) else { return };
        clients.push(Client {
            socket,
            id,
            waiting: Vec::new(),
            sent: 0,
            full: false,
            ended: false,
            peer_closed: false,
        });
    }
}

impl Client {
    /// Moves what can be moved, both ways. False: the client is done with.
    fn move_bytes(&mut self, end: &mut End, buffer: &mut [u8]) -> bool {
        self.write_out(end).is_ok() && self.read_in(end, buffer).is_ok()
    }

    fn write_out(&mut self, end: &mut End) -> io::Result<()> {
        self.full = false;
        loop {
            let received = end.received(self.id);
            if received.is_empty() {
                // What came before the end has been written.
                return if self.peer_closed { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) };
            }
            match self.socket.write(received) {
                Ok(count) => end.consume(self.id, count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.full = true;
                    return Ok(());
                }
                Err(error) => later(error)?,
            }
        }
    }

    fn read_in(&mut self, end: &mut End, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            while self.sent < self.waiting.len() {
                match end.send(self.id, &self.waiting[self.sent..]) {
                    Ok(0) => return Ok(()),
                    Ok(count) => self.sent += count,
                    // What domain 0 said before it closed is still to be written.
                    Err(_) => self.sent = self.waiting.len(),
                }
            }
            self.waiting.clear();
            self.sent = 0;
            if self.ended {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match self.socket.read(buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.waiting.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => later(error)?,
            }
        }
    }
}

/// Passes over an error after which the call is made again sooner or later.
fn later(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

/// A number that the last start did not have.
fn epoch() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_micros() as u32) ^ process::id().rotate_left(16)
}

#[cfg(test)]
mod tests;
