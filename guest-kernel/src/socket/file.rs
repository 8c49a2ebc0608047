//! A socket as an open file.

use super::ioctl;
use super::stack::{Kind, Shutdown};
use super::task::{self, Patience};
use super::{Id, Stack};
use crate::errno::{EAGAIN, EALREADY, EINPROGRESS, ENETDOWN, EPIPE};
use crate::fs::file::{File, Flags, Ready, Result, SOCKET, Status};
use crate::signal::SIGPIPE;
use crate::task::{scheduler, signal};
use core::net::SocketAddrV4;

/// A socket of this host's stack; closed when dropped.
pub struct Socket {
    id: Id,
    kind: Kind,
}

/// How to send or receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    /// Do not wait.
    pub is_nonblocking: bool,
    /// Leave what is received where it is.
    pub peek: bool,
    /// Wait until the buffer is full.
    pub whole: bool,
    /// No signal when nobody receives.
    pub is_quiet: bool,
}

impl Socket {
    /// Makes a socket.
    ///
    /// # Errors
    /// ENETDOWN: there is no network.
    pub fn new(kind: Kind) -> Result<Self> {
        let id = task::with(|stack| stack.open(kind)).ok_or(ENETDOWN)?;
        Ok(Self { id, kind })
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Looks at the stack's socket, or changes what moves no packet.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn with<R>(&self, f: impl FnOnce(&mut Stack, Id) -> Result<R>) -> Result<R> {
        task::with(|stack| f(stack, self.id)).unwrap_or(Err(ENETDOWN))
    }

    /// Connects. A stream waits for the peer's answer, unless it must not.
    ///
    /// # Errors
    /// EINPROGRESS: it must not wait; as [`Stack::connect`] and [`Stack::finish_connect`].
    pub fn connect(&self, to: SocketAddrV4, flags: Flags) -> Result {
        let begun = task::change(|stack| stack.connect(self.id, to)).unwrap_or(Err(ENETDOWN));
        let waits = !flags.is_nonblocking();
        match begun {
            // On the way by this call, or by one that a signal interrupted.
            Err(errno) if (errno == EINPROGRESS || errno == EALREADY) && waits => {}
            result => return result,
        }
        let timeout = self.with(|stack, id| Ok(stack.options(id)?.send_timeout_ns))?;
        let patience = Patience::of(false, timeout);
        task::wait(self.id, patience, |stack| stack.finish_connect(self.id))
            .map_err(|errno| if errno == EAGAIN { EINPROGRESS } else { errno })
    }

    /// A socket for the next connection, and its peer.
    ///
    /// # Errors
    /// As [`Stack::accept`].
    pub fn accept(&self, flags: Flags) -> Result<(Self, SocketAddrV4)> {
        let timeout = self.with(|stack, id| Ok(stack.options(id)?.receive_timeout_ns))?;
        let patience = Patience::of(flags.is_nonblocking(), timeout);
        let (id, peer) = task::wait(self.id, patience, |stack| stack.accept(self.id))?;
        Ok((Self { id, kind: Kind::Stream }, peer))
    }

    /// Sends bytes: a stream as many as there is room for, at least one.
    ///
    /// # Errors
    /// As [`Stack::send`].
    pub fn send(&self, bytes: &[u8], to: Option<SocketAddrV4>, manner: Manner) -> Result<usize> {
        let timeout = self.with(|stack, id| Ok(stack.options(id)?.send_timeout_ns))?;
        let patience = Patience::of(manner.is_nonblocking, timeout);
        let result = task::wait(self.id, patience, |stack| stack.send(self.id, bytes, to));
        let is_broken = result.is_err_and(|errno| errno == EPIPE) && self.kind == Kind::Stream;
        if is_broken && !manner.is_quiet {
            // A kernel task has no signals, and nobody to tell.
            signal::raise(SIGPIPE);
        }
        result
    }

    /// Receives bytes: how many there were, and from whom.
    ///
    /// # Errors
    /// As [`Stack::receive`].
    pub fn receive(
        &self,
        into: &mut [u8],
        manner: Manner,
    ) -> Result<(usize, Option<SocketAddrV4>)> {
        let timeout = self.with(|stack, id| Ok(stack.options(id)?.receive_timeout_ns))?;
        let patience = Patience::of(manner.is_nonblocking, timeout);
        let mut done = 0;
        loop {
            let rest = &mut into[done..];
            let received = task::wait(self.id, patience, |stack| {
                stack.receive(self.id, &mut *rest, manner.peek)
            });
            let is_whole = !manner.whole || manner.peek || self.kind != Kind::Stream;
            match received {
                Ok(result) if is_whole => return Ok(result),
                Ok((count, _)) if count > 0 && done + count < into.len() => done += count,
                Ok((count, _)) => return Ok((done + count, None)),
                Err(_) if done > 0 => return Ok((done, None)),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Shuts one half or both.
    ///
    /// # Errors
    /// As [`Stack::shutdown`].
    pub fn shutdown(&self, how: Shutdown) -> Result {
        let result = task::change(|stack| stack.shutdown(self.id, how)).unwrap_or(Err(ENETDOWN));
        // Others may wait for what will not come now.
        scheduler::wake(task::channel(self.id));
        result
    }
}

impl File for Socket {
    fn status(&self) -> Result<Status> {
        Ok(Status::anonymous(SOCKET | 0o777))
    }

    fn read(&self, _: u64, into: &mut [u8], flags: Flags) -> Result<usize> {
        let manner = Manner { is_nonblocking: flags.is_nonblocking(), ..Manner::default() };
        let length = into.len();
        self.receive(into, manner).map(|(count, _)| count.min(length))
    }

    fn write(&self, _: u64, from: &[u8], flags: Flags) -> Result<usize> {
        let manner = Manner { is_nonblocking: flags.is_nonblocking(), ..Manner::default() };
        self.send(from, None, manner)
    }

    fn ready(&self) -> Ready {
        task::with(|stack| stack.ready(self.id)).unwrap_or(Ready::ERROR)
    }

    fn channel(&self) -> u32 {
        task::channel(self.id)
    }

    fn ioctl(&self, request: u32, argument: u32) -> Result<u32> {
        ioctl::serve(self, request, argument)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        task::change(|stack| stack.close(self.id));
        // Who still sleeps on it sleeps on nothing.
        scheduler::wake(task::channel(self.id));
    }
}
