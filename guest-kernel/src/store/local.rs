//! Connections of the kernel's own services to XenStore: two queues of bytes each.
//!
//! At the daemon's end is domain 0's store, or in a domU the task that passes on to it what comes
//! ([`crate::domu::store`]); clients do not see the difference.
//!
//! A [`Connection`] is the client's end and a [`Transport`]; the daemon's end are functions that take
//! its [`Number`]. Both queues are bounded: a client that sends waits for room, and the daemon keeps
//! what a client does not take in its own bounds.

use crate::sync::Guarded;
use crate::task::scheduler::{self, STORE_CLIENTS, STORE_CLIENTS_COUNT};
use crate::time;
use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;
use ring1::events::Masked;
use xenstore::client::Transport;

/// Bytes in each direction that wait at most.
const ROOM: usize = 16 << 10;

/// A connection's number.
pub type Number = u32;

/// The daemon has ended the connection: a request broke the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store has ended the connection")
    }
}

struct Pipe {
    /// The scheduler's channel of the client.
    channel: u32,
    requests: VecDeque<u8>,
    replies: VecDeque<u8>,
    /// It is among [`Pipes::changed`].
    changed: bool,
    /// The client has let go.
    left: bool,
    /// The daemon has let go.
    hung_up: bool,
}

struct Pipes {
    all: BTreeMap<Number, Pipe>,
    /// Connections that the daemon has not seen yet.
    new: VecDeque<Number>,
    /// Connections at which the daemon is to look: their clients did something.
    changed: VecDeque<Number>,
    next: Number,
}

impl Pipes {
    /// The client of a connection has done something.
    fn change(&mut self, number: Number) {
        if let Some(pipe) = self.all.get_mut(&number)
            && !core::mem::replace(&mut pipe.changed, true)
        {
            self.changed.push_back(number);
        }
    }

    /// Neither side has anything to do with a connection any more.
    fn remove(&mut self, number: Number) {
        self.all.remove(&number);
        self.changed.retain(|other| *other != number);
    }
}

static PIPES: Guarded<Pipes> = Guarded::new(Pipes {
    all: BTreeMap::new(),
    new: VecDeque::new(),
    changed: VecDeque::new(),
    next: 0,
});

/// A service's connection to the store.
#[derive(Debug)]
pub struct Connection {
    number: Number,
    channel: u32,
}

impl Connection {
    /// A new one.
    pub fn new() -> Self {
        Self::open(None)
    }

    /// One for a client that waits for other things as well: replies and events wake `channel`.
    pub fn waking(channel: u32) -> Self {
        Self::open(Some(channel))
    }

    fn open(channel: Option<u32>) -> Self {
        super::start();
        let (number, channel) = PIPES.with(|pipes| {
            let number = pipes.next;
            pipes.next = (number + 1) % STORE_CLIENTS_COUNT;
            let channel = channel.unwrap_or(STORE_CLIENTS + number);
            let (requests, replies) = (VecDeque::new(), VecDeque::new());
            let pipe =
                Pipe { channel, requests, replies, changed: false, left: false, hung_up: false };
            pipes.all.insert(number, pipe);
            pipes.new.push_back(number);
            (number, channel)
        });
        super::rung();
        Self { number, channel }
    }

    /// Whether replies or events wait.
    pub fn has_received(&self) -> bool {
        PIPES.with(|pipes| pipes.all.get(&self.number).is_some_and(|pipe| !pipe.replies.is_empty()))
    }

    /// Waits until replies or events have come, or until `deadline` of system time; whether they have.
    pub fn wait(&self, deadline: u64) -> bool {
        let _masked = Masked::new();
        while !self.has_received() && time::now() < deadline {
            scheduler::sleep(self.channel, deadline);
        }
        self.has_received()
    }

    /// Waits until `f` moved some bytes of the pipe.
    fn wait_for(&mut self, mut f: impl FnMut(&mut Pipe) -> usize) -> Result<usize, Closed> {
        let _masked = Masked::new();
        loop {
            let moved = PIPES.with(|pipes| {
                let pipe = pipes.all.get_mut(&self.number).ok_or(Closed)?;
                let moved = f(pipe);
                if moved > 0 {
                    pipes.change(self.number);
                } else if pipe.hung_up {
                    return Err(Closed);
                }
                Ok(moved)
            })?;
            if moved > 0 {
                super::rung();
                return Ok(moved);
            }
            scheduler::sleep(self.channel, 0);
        }
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        PIPES.with(|pipes| {
            if let Some(pipe) = pipes.all.get_mut(&self.number) {
                pipe.left = true;
                if pipe.hung_up {
                    pipes.remove(self.number);
                } else {
                    pipes.change(self.number);
                }
            }
        });
        super::rung();
    }
}

impl Transport for Connection {
    type Error = Closed;

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            let sent = self.wait_for(|pipe| append(&mut pipe.requests, bytes))?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Closed> {
        self.wait_for(|pipe| take(&mut pipe.replies, bytes)).or(Ok(0))
    }
}

/// Appends as many bytes as there is room for.
fn append(queue: &mut VecDeque<u8>, bytes: &[u8]) -> usize {
    let count = bytes.len().min(ROOM.saturating_sub(queue.len()));
    queue.extend(&bytes[..count]);
    count
}

/// Takes as many bytes as there are, and fit.
fn take(queue: &mut VecDeque<u8>, into: &mut [u8]) -> usize {
    let count = into.len().min(queue.len());
    let (first, second) = queue.as_slices();
    let (to_first, to_second) = into[..count].split_at_mut(count.min(first.len()));
    to_first.copy_from_slice(&first[..to_first.len()]);
    to_second.copy_from_slice(&second[..to_second.len()]);
    queue.drain(..count);
    count
}

/// The next connection that the daemon has not seen.
pub fn take_new() -> Option<Number> {
    PIPES.with(|pipes| pipes.new.pop_front())
}

/// The next connection whose client has sent, taken or left since it was named last.
pub(super) fn take_changed() -> Option<Number> {
    PIPES.with(|pipes| {
        let number = pipes.changed.pop_front()?;
        if let Some(pipe) = pipes.all.get_mut(&number) {
            pipe.changed = false;
        }
        Some(number)
    })
}

/// Takes bytes of requests. None: the client has let go, and left nothing.
pub fn take_requests(number: Number, into: &mut [u8]) -> Option<usize> {
    with_pipe(number, |pipe| {
        let taken = take(&mut pipe.requests, into);
        (taken > 0 || !pipe.left).then_some(taken)
    })
}

/// Gives bytes of replies and events. None: the client has let go.
pub fn give_replies(number: Number, bytes: &[u8]) -> Option<usize> {
    with_pipe(number, |pipe| (!pipe.left).then(|| append(&mut pipe.replies, bytes)))
}

/// Moves bytes of a pipe, and wakes its client if there were any.
fn with_pipe(number: Number, f: impl FnOnce(&mut Pipe) -> Option<usize>) -> Option<usize> {
    let (moved, channel) = PIPES.with(|pipes| {
        let pipe = pipes.all.get_mut(&number)?;
        Some((f(pipe)?, pipe.channel))
    })?;
    if moved > 0 {
        scheduler::wake(channel);
    }
    Some(moved)
}

/// Ends a connection.
pub fn hang_up(number: Number) {
    let channel = PIPES.with(|pipes| {
        let pipe = pipes.all.get_mut(&number)?;
        pipe.hung_up = true;
        let channel = pipe.channel;
        if pipe.left {
            pipes.remove(number);
        }
        Some(channel)
    });
    if let Some(channel) = channel {
        scheduler::wake(channel);
    }
}
