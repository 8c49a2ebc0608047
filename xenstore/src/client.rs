//! Blocking requests over any [`Transport`].
//!
//! A [`Client`] has one request under way at a time, but for the changes of [`Store::change_all`].
//! Watch events that arrive before a reply are kept for [`Client::next_event`]. What reads and writes nodes is the trait [`Store`], so that a function
//! over it serves inside a [`Transaction`] as outside.

mod error;
mod store;
#[cfg(test)]
mod tests;
mod transaction;

pub use error::Error;
pub use store::{Change, Store};
pub use transaction::Transaction;

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::wire::{Framer, Header, Message, MessageType, errors, payload};

/// The bytes of one connection to a server.
pub trait Transport {
    /// Why bytes could not be carried.
    type Error;

    /// Sends all bytes; waits as long as that takes.
    ///
    /// # Errors
    /// The connection is gone.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Waits for at least one byte, and returns how many came. 0: the server closed the connection.
    ///
    /// # Errors
    /// The connection is gone.
    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error>;
}

/// A watch fired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What changed: below the watch's path, and relative if that was.
    pub path: String,
    /// The watch's token.
    pub token: String,
}

/// Requests that are under way at most. Replies to so many that only acknowledge fit a ring: a server
/// that waits until they are taken does not keep us from sending, which would keep us from taking them.
const UNDER_WAY: usize = 16;

/// A connection to a server. See the [module](self).
pub struct Client<T: Transport> {
    transport: T,
    framer: Framer,
    events: VecDeque<Event>,
    last_request: u32,
}

impl<T: Transport> Client<T> {
    /// A client over a fresh connection.
    pub fn new(transport: T) -> Self {
        Self { transport, framer: Framer::default(), events: VecDeque::new(), last_request: 0 }
    }

    /// What carries the bytes, for an embedder that waits for several things at once.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Starts a transaction: what its [`Store`] methods see is the store as it is now, and what they
    /// change becomes visible with [`Transaction::commit`].
    ///
    /// # Errors
    /// `ENOSPC`: too many are open.
    pub fn transaction(&mut self) -> Result<Transaction<'_, T>, Error<T::Error>> {
        let reply = self.request(MessageType::TransactionStart, b"\0")?;
        let id = string(&reply)?.parse().map_err(|_| Error::Malformed)?;
        Ok(Transaction::new(self, id))
    }

    /// Runs `work` in a transaction, again as long as others change what it read. What `work` returns
    /// as an error aborts the transaction.
    ///
    /// # Errors
    /// Those of `work`, and of starting and ending a transaction.
    pub fn transact<R>(
        &mut self,
        mut work: impl FnMut(&mut Transaction<'_, T>) -> Result<R, Error<T::Error>>,
    ) -> Result<R, Error<T::Error>> {
        loop {
            let mut transaction = self.transaction()?;
            let result = work(&mut transaction)?;
            match transaction.commit() {
                Err(Error::Refused(Errno::EAGAIN)) => {}
                done => return done.map(|()| result),
            }
        }
    }

    /// Asks for an [`Event`] whenever `path` or something below it changes. The first comes at once.
    /// `path` may be `@introduceDomain` or `@releaseDomain`.
    ///
    /// # Errors
    /// `EEXIST`: there is such a watch; `E2BIG`: there are too many.
    pub fn watch(&mut self, path: &str, token: &str) -> Result<(), Error<T::Error>> {
        self.acknowledged(MessageType::Watch, &[path, token])
    }

    /// As [`watch`](Self::watch), for changes at most `depth` levels below `path`.
    ///
    /// # Errors
    /// As there.
    pub fn watch_depth(
        &mut self,
        path: &str,
        token: &str,
        depth: u32,
    ) -> Result<(), Error<T::Error>> {
        self.acknowledged(MessageType::Watch, &[path, token, &depth.to_string()])
    }

    /// Takes a watch away.
    ///
    /// # Errors
    /// `ENOENT`: there is none with this path and token.
    pub fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Error<T::Error>> {
        self.acknowledged(MessageType::Unwatch, &[path, token])
    }

    /// Ends all watches and transactions of this connection. Events that were on their way are
    /// dropped.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn reset_watches(&mut self) -> Result<(), Error<T::Error>> {
        self.acknowledged(MessageType::ResetWatches, &[""])?;
        self.events.clear();
        Ok(())
    }

    /// Waits for an event.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn next_event(&mut self) -> Result<Event, Error<T::Error>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            // No request is under way, so a reply would be nobody's.
            if self.receive()?.is_some() {
                return Err(Error::Malformed);
            }
        }
    }

    /// Whether [`next_event`](Self::next_event) would return at once: something has come that nobody
    /// has seen, perhaps together with a reply.
    #[must_use]
    pub fn has_event(&self) -> bool {
        !self.events.is_empty() || self.framer.has_message()
    }

    /// An event that has arrived already. Does not wait.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A domain's home in the store.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn get_domain_path(&mut self, domid: DomId) -> Result<String, Error<T::Error>> {
        let reply = self.domain_request(MessageType::GetDomainPath, domid)?;
        Ok(string(&reply)?.to_string())
    }

    /// Connects a domain to the store: the frame of its page, and its unbound port.
    ///
    /// # Errors
    /// `EACCES`: only domain 0 may.
    pub fn introduce(&mut self, domid: DomId, gfn: u64, port: u32) -> Result<(), Error<T::Error>> {
        let [domid, gfn, port] = [domid.raw().to_string(), gfn.to_string(), port.to_string()];
        self.acknowledged(MessageType::Introduce, &[&domid, &gfn, &port])
    }

    /// Disconnects a domain, and removes the nodes that it owns.
    ///
    /// # Errors
    /// `ENOENT`: it is not connected; `EACCES`: only domain 0 may.
    pub fn release(&mut self, domid: DomId) -> Result<(), Error<T::Error>> {
        self.domain_request(MessageType::Release, domid).and_then(|reply| acknowledge(&reply))
    }

    /// A domain that was shut down goes on.
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub fn resume(&mut self, domid: DomId) -> Result<(), Error<T::Error>> {
        self.domain_request(MessageType::Resume, domid).and_then(|reply| acknowledge(&reply))
    }

    /// Whether a domain is connected.
    ///
    /// # Errors
    /// `EACCES`: only domain 0 may ask.
    pub fn is_domain_introduced(&mut self, domid: DomId) -> Result<bool, Error<T::Error>> {
        let reply = self.domain_request(MessageType::IsDomainIntroduced, domid)?;
        match string(&reply)? {
            "T" => Ok(true),
            "F" => Ok(false),
            _ => Err(Error::Malformed),
        }
    }

    /// Gives a domain the rights that another has.
    ///
    /// # Errors
    /// `ENOENT`: one is not connected; `EACCES`: only domain 0 may.
    pub fn set_target(&mut self, domid: DomId, target: DomId) -> Result<(), Error<T::Error>> {
        let [domid, target] = [domid.raw().to_string(), target.raw().to_string()];
        self.acknowledged(MessageType::SetTarget, &[&domid, &target])
    }

    /// A command to the server itself, and its answer. `help` lists them.
    ///
    /// # Errors
    /// `EINVAL`: no such command; `EACCES`: only domain 0 may.
    pub fn control(&mut self, words: &[&str]) -> Result<String, Error<T::Error>> {
        let reply = self.request(MessageType::Control, &strings(words))?;
        Ok(string(&reply)?.to_string())
    }

    fn domain_request(
        &mut self,
        kind: MessageType,
        domid: DomId,
    ) -> Result<Vec<u8>, Error<T::Error>> {
        self.request(kind, &strings(&[&domid.raw().to_string()]))
    }

    /// Sends one request and waits for its reply.
    pub(crate) fn exchange(
        &mut self,
        kind: MessageType,
        transaction: u32,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error<T::Error>> {
        let mut bytes = Vec::new();
        let request = self.encode(kind, transaction, payload, &mut bytes);
        self.transport.send(&bytes).map_err(Error::Transport)?;
        self.reply(kind, request)
    }

    /// Sends requests whose replies have nothing to say, and takes the replies. Returns the first
    /// error; requests behind the refused one may have been done.
    pub(crate) fn exchange_all(
        &mut self,
        transaction: u32,
        requests: &[(MessageType, Vec<u8>)],
    ) -> Result<(), Error<T::Error>> {
        for some in requests.chunks(UNDER_WAY) {
            let mut bytes = Vec::new();
            let mut numbers = Vec::with_capacity(some.len());
            for (kind, payload) in some {
                numbers.push((*kind, self.encode(*kind, transaction, payload, &mut bytes)));
            }
            self.transport.send(&bytes).map_err(Error::Transport)?;
            let mut outcome = Ok(());
            for (kind, number) in numbers {
                match self.reply(kind, number) {
                    Ok(reply) => outcome = outcome.and(acknowledge(&reply)),
                    // The replies to the others come all the same.
                    Err(Error::Refused(errno)) => outcome = outcome.and(Err(Error::Refused(errno))),
                    Err(error) => return Err(error),
                }
            }
            outcome?;
        }
        Ok(())
    }

    /// Appends a request's bytes; its number.
    fn encode(
        &mut self,
        kind: MessageType,
        transaction: u32,
        payload: &[u8],
        bytes: &mut Vec<u8>,
    ) -> u32 {
        self.last_request = self.last_request.wrapping_add(1);
        let request = self.last_request;
        let len = payload.len() as u32;
        let header = Header { request, transaction, len, ..Header::unsolicited(kind) };
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(payload);
        request
    }

    /// Waits for the reply to a request.
    fn reply(&mut self, kind: MessageType, request: u32) -> Result<Vec<u8>, Error<T::Error>> {
        let reply = loop {
            if let Some(reply) = self.receive()? {
                break reply;
            }
        };
        if reply.header.request != request {
            return Err(Error::Malformed);
        }
        match reply.header.kind() {
            Some(MessageType::Error) => {
                let name = payload::one(&reply.payload).ok_or(Error::Malformed)?;
                Err(errors::from_name(name).map_or(Error::Malformed, Error::Refused))
            }
            Some(own) if own == kind => Ok(reply.payload),
            _ => Err(Error::Malformed),
        }
    }

    /// Waits for a message. An event is kept, and None returned.
    fn receive(&mut self) -> Result<Option<Message>, Error<T::Error>> {
        loop {
            if let Some(message) = self.framer.next_message().map_err(|_| Error::Malformed)? {
                if message.header.kind() != Some(MessageType::WatchEvent) {
                    return Ok(Some(message));
                }
                self.events.push_back(event(&message.payload).ok_or(Error::Malformed)?);
                return Ok(None);
            }
            let mut bytes = [0; 1024];
            match self.transport.receive(&mut bytes).map_err(Error::Transport)? {
                0 => return Err(Error::Closed),
                count => self.framer.push(bytes.get(..count).ok_or(Error::Malformed)?),
            }
        }
    }
}

impl<T: Transport> Store for Client<T> {
    type Failure = T::Error;

    fn request(&mut self, kind: MessageType, payload: &[u8]) -> Result<Vec<u8>, Error<T::Error>> {
        self.exchange(kind, 0, payload)
    }

    fn change_all(&mut self, changes: &[Change<'_>]) -> Result<(), Error<T::Error>> {
        self.exchange_all(0, &store::requests(changes))
    }
}

fn event(payload: &[u8]) -> Option<Event> {
    let mut strings = payload::strings(payload).map(|text| core::str::from_utf8(text).ok());
    let (path, token) = (strings.next()??, strings.next()??);
    Some(Event { path: path.to_string(), token: token.to_string() })
}

/// A payload of these strings.
fn strings(words: &[&str]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    payload::join(&words)
}

/// The one string that a reply is.
fn string<E>(reply: &[u8]) -> Result<&str, Error<E>> {
    let (text, _) = payload::split(reply).ok_or(Error::Malformed)?;
    core::str::from_utf8(text).map_err(|_| Error::Malformed)
}

/// Checks the reply of a request that has nothing to say.
fn acknowledge<E>(reply: &[u8]) -> Result<(), Error<E>> {
    if reply == b"OK\0" { Ok(()) } else { Err(Error::Malformed) }
}
