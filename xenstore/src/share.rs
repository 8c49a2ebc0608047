//! Several clients over one connection to a server.
//!
//! A domain has one ring to its server, and several who want a connection of their own: drivers, the
//! balloon, a shell. A [`Share`] stands between: towards its clients it is used as a
//! [`Server`](crate::server::Server) is, towards the server it is one client. Like the server it does no I/O.
//!
//! # What keeps clients apart
//!
//! * *Replies.* A request goes out under a number of its own, and the reply comes back under the client's.
//!   Several clients' requests are under way at a time; the server answers in order.
//! * *Watches.* A token goes out as `<client>:<token>`: two clients may watch the same path with the same
//!   token, and each event finds its client.
//! * *Transactions.* Their numbers are the server's. A client has those that it started: it is told
//!   `ENOENT` of any other.
//! * *Leaving.* The watches and transactions of a client that leaves are ended one by one, as are those
//!   that it was asking for; `RESET_WATCHES` does the same and is answered here.
//!
//! # Bounds
//!
//! Requests are not [wanted](Share::wants_input) while too much waits for the server. Replies and events
//! are taken from it always, so that no client waits for another: an event that waits already is not
//! queued again, and a client that lets [`BACKLOG`] bytes wait is closed.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;

use pv_abi::errno::Errno;

use crate::server::Outbox;
use crate::wire::limits::XENSTORE_PAYLOAD_MAX;
use crate::wire::{Framer, Header, Message, MessageType, errors, payload};

/// Bytes that may wait for a client that does not take them.
pub const BACKLOG: usize = 64 << 10;
/// Bytes that wait for the server, at most, before clients are asked for more.
const ROOM: usize = 16 << 10;

/// Names a client of a [`Share`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(u32);

/// What the server said is not the protocol. The connection is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// A watch: its path and the client's token.
#[derive(Clone, PartialEq, Eq)]
struct Watch {
    path: Vec<u8>,
    token: Vec<u8>,
}

#[derive(Default)]
struct Client {
    framer: Framer,
    outbox: Outbox,
    watches: Vec<Watch>,
    transactions: BTreeSet<u32>,
    closed: bool,
}

/// A request whose reply has not come.
struct Asked {
    client: ClientId,
    /// The client's own number of it.
    request: u32,
    /// What the client has if it succeeds.
    grants: Option<Granted>,
}

/// What a request gives its client until it ends it.
enum Granted {
    Watch(Watch),
    Transaction,
}

/// The clients of one connection. See the [module](self).
#[derive(Default)]
pub struct Share {
    clients: BTreeMap<ClientId, Client>,
    next_client: u32,
    /// By the numbers under which they went out.
    asked: BTreeMap<u32, Asked>,
    next_request: u32,
    requests: VecDeque<u8>,
    replies: Framer,
    broken: bool,
}

impl Share {
    /// A new client; it is closed at once where the connection is of no use.
    pub fn connect(&mut self) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client = self.next_client.wrapping_add(1);
        self.clients.insert(id, Client { closed: self.broken, ..Client::default() });
        id
    }

    /// Ends a client: its watches and transactions with it. An unknown one is ignored.
    pub fn disconnect(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id) {
            self.take_back(id, client.watches, client.transactions);
        }
    }

    /// Takes bytes of a client's requests, whatever the pieces.
    pub fn input(&mut self, id: ClientId, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.framer.push(bytes);
        while let Some(client) = self.clients.get_mut(&id)
            && !client.closed
        {
            match client.framer.next_message() {
                Ok(Some(request)) => self.ask(id, request),
                Ok(None) => return,
                Err(_) => self.close(id),
            }
        }
    }

    /// Whether requests of a client would go to the server soon.
    #[must_use]
    pub fn wants_input(&self, id: ClientId) -> bool {
        self.requests.len() < ROOM && !self.is_closed(id)
    }

    /// Bytes that wait for a client. There may be more once these are [sent](Self::sent).
    #[must_use]
    pub fn output(&self, id: ClientId) -> &[u8] {
        self.clients.get(&id).map_or(&[], |client| client.outbox.bytes())
    }

    /// The first `count` bytes of [`output`](Self::output) have gone to the client.
    pub fn sent(&mut self, id: ClientId, count: usize) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.outbox.sent(count);
        }
    }

    /// Whether nothing comes of a client any more: it broke the framing, took nothing for too long, or
    /// the server broke the connection. The embedder is to [disconnect](Self::disconnect) it. True
    /// for unknown ones.
    #[must_use]
    pub fn is_closed(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_none_or(|client| client.closed)
    }

    /// Bytes that wait for the server. There may be more once these are
    /// [sent](Self::requests_sent).
    #[must_use]
    pub fn requests(&self) -> &[u8] {
        self.requests.as_slices().0
    }

    /// The first `count` bytes of [`requests`](Self::requests) have gone to the server.
    pub fn requests_sent(&mut self, count: usize) {
        self.requests.drain(..count.min(self.requests.len()));
    }

    /// Takes bytes that came from the server, whatever the pieces.
    ///
    /// # Errors
    /// They are not the protocol; all clients are closed.
    pub fn replies(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.replies.push(bytes);
        loop {
            let message = match self.replies.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(()),
                Err(_) => break,
            };
            let understood = match message.header.kind() {
                Some(MessageType::WatchEvent) => self.event(&message.payload),
                _ => self.reply(message),
            };
            if understood.is_none() {
                break;
            }
        }
        self.fail();
        Err(Broken)
    }

    /// The connection is of no use any more: closes all clients, and those who come from now on.
    pub fn fail(&mut self) {
        self.broken = true;
        self.requests.clear();
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        ids.into_iter().for_each(|id| self.close(id));
    }

    /// Is done with a client, which is still to take what waits.
    fn close(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.closed = true;
        }
    }

    /// Passes on a request of a client, or answers it.
    fn ask(&mut self, id: ClientId, message: Message) {
        let Message { header, mut payload } = message;
        let Some(client) = self.clients.get_mut(&id) else { return };
        if header.transaction != 0 && !client.transactions.contains(&header.transaction) {
            return self.refuse(id, header, Errno::ENOENT);
        }
        let mut grants = None;
        match header.kind() {
            Some(MessageType::ResetWatches) => {
                let watches = core::mem::take(&mut client.watches);
                let transactions = core::mem::take(&mut client.transactions);
                self.take_back(id, watches, transactions);
                return self.answer(id, header, b"OK\0".to_vec());
            }
            Some(kind @ (MessageType::Watch | MessageType::Unwatch)) => {
                let Some((watch, tagged)) = tag(id, &payload) else {
                    return self.refuse(id, header, Errno::EINVAL);
                };
                if tagged.len() > XENSTORE_PAYLOAD_MAX {
                    return self.refuse(id, header, Errno::E2BIG);
                }
                payload = tagged;
                if kind == MessageType::Watch {
                    grants = Some(Granted::Watch(watch));
                } else {
                    client.watches.retain(|set| *set != watch);
                }
            }
            Some(MessageType::TransactionStart) => grants = Some(Granted::Transaction),
            // Nothing else ends it; whatever else there is, the server refuses and it goes on.
            Some(MessageType::TransactionEnd) if matches!(&payload[..], b"T\0" | b"F\0") => {
                client.transactions.remove(&header.transaction);
            }
            _ => {}
        }
        self.send(header, payload, Asked { client: id, request: header.request, grants });
    }

    /// Sends a request under a number of its own.
    fn send(&mut self, header: Header, payload: Vec<u8>, asked: Asked) {
        if self.broken {
            return;
        }
        self.next_request = self.next_request.wrapping_add(1);
        self.asked.insert(self.next_request, asked);
        let header = Header { request: self.next_request, ..header };
        self.requests.extend(Message { header, payload }.encode());
    }

    /// Ends what a client has, or had. Nobody sees the replies.
    fn take_back(
        &mut self,
        client: ClientId,
        watches: Vec<Watch>,
        transactions: impl IntoIterator<Item = u32>,
    ) {
        // No client's: replies to it are dropped, whoever has this one's number.
        let asked = || Asked { client: ClientId(u32::MAX), request: 0, grants: None };
        for watch in watches {
            let payload = payload::join(&[&watch.path, &tagged_token(client, &watch.token)]);
            self.send(Header::unsolicited(MessageType::Unwatch), payload, asked());
        }
        for transaction in transactions {
            let header = Header { transaction, ..Header::unsolicited(MessageType::TransactionEnd) };
            self.send(header, b"F\0".to_vec(), asked());
        }
    }

    /// Gives a reply to the client that asked. None: nobody did.
    fn reply(&mut self, message: Message) -> Option<()> {
        let Message { header, payload } = message;
        let asked = self.asked.remove(&header.request)?;
        let succeeded = header.kind() != Some(MessageType::Error);
        if let Some(granted) = asked.grants.filter(|_| succeeded) {
            self.granted(asked.client, granted, &payload)?;
        }
        self.answer(asked.client, Header { request: asked.request, ..header }, payload);
        Some(())
    }

    /// A client has something that it asked for; ends it if the client has left. None: the reply makes no
    /// sense.
    fn granted(&mut self, id: ClientId, granted: Granted, reply: &[u8]) -> Option<()> {
        match (granted, self.clients.get_mut(&id)) {
            (Granted::Watch(watch), Some(client)) => client.watches.push(watch),
            (Granted::Watch(watch), None) => self.take_back(id, alloc::vec![watch], None),
            (Granted::Transaction, client) => {
                let number = core::str::from_utf8(payload::one(reply)?).ok()?.parse().ok()?;
                match client {
                    Some(client) => drop(client.transactions.insert(number)),
                    None => self.take_back(id, Vec::new(), Some(number)),
                }
            }
        }
        Some(())
    }

    /// Gives an event to the client whose watch fired. None: it makes no sense.
    fn event(&mut self, event: &[u8]) -> Option<()> {
        let (path, rest) = payload::split(event)?;
        let token = payload::one(rest)?;
        let colon = token.iter().position(|byte| *byte == b':');
        let parsed = colon.and_then(|at| {
            let number = core::str::from_utf8(&token[..at]).ok()?.parse().ok()?;
            Some((ClientId(number), &token[at + 1..]))
        });
        // Without a client's number it is the watch of whoever had the connection before.
        if let Some((id, token)) = parsed
            && let Some(client) = self.clients.get_mut(&id)
        {
            let payload = payload::join(&[path, token]);
            if !client.closed && !client.outbox.has_event(&payload) {
                client.outbox.event(payload.into(), true, None);
                self.bound(id);
            }
        }
        Some(())
    }

    /// Says why a request is refused.
    fn refuse(&mut self, id: ClientId, header: Header, errno: Errno) {
        let header = Header { message_type: MessageType::Error.raw(), ..header };
        self.answer(id, header, payload::join(&[errors::name(errno).as_bytes()]));
    }

    /// Gives a client a message.
    fn answer(&mut self, id: ClientId, header: Header, payload: Vec<u8>) {
        if let Some(client) = self.clients.get_mut(&id)
            && !client.closed
        {
            client.outbox.reply(Message { header, payload }, None);
            self.bound(id);
        }
    }

    /// Something was put into a client's outbox: closes who lets too much wait.
    fn bound(&mut self, id: ClientId) {
        if self.clients.get(&id).is_some_and(|client| client.outbox.len() > BACKLOG) {
            self.close(id);
        }
    }
}

/// The watch that a request names, and the request's payload with the client's number before the token.
/// None: there are no path and token.
fn tag(id: ClientId, request: &[u8]) -> Option<(Watch, Vec<u8>)> {
    let (path, rest) = payload::split(request)?;
    let (token, depth) = payload::split(rest)?;
    let mut tagged = payload::join(&[path, &tagged_token(id, token)]);
    tagged.extend_from_slice(depth);
    Some((Watch { path: path.to_vec(), token: token.to_vec() }, tagged))
}

/// A client's token as the server knows it.
fn tagged_token(id: ClientId, token: &[u8]) -> Vec<u8> {
    let mut tagged = id.0.to_string().into_bytes();
    tagged.push(b':');
    tagged.extend_from_slice(token);
    tagged
}

#[cfg(test)]
mod tests;
