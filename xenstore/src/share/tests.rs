use super::*;
use crate::client::{self, Error, Event, Store, Transport};
use crate::harness::World;
use crate::server::{ConnectionId, Server};
use alloc::rc::Rc;
use core::cell::RefCell;

/// A server and a share of one of its connections, which moves a few bytes at a time.
struct Line {
    share: Share,
    server: Rc<RefCell<Server>>,
    id: ConnectionId,
}

impl Line {
    /// Moves bytes until nothing moves.
    fn pump(&mut self) {
        let server = &mut *self.server.borrow_mut();
        loop {
            let requests = self.share.requests();
            let out = requests.len().min(100);
            server.input(self.id, &requests[..out]);
            self.share.requests_sent(out);
            let replies = server.output(self.id);
            let back = replies.len().min(70);
            self.share.replies(&replies[..back]).unwrap();
            server.sent(self.id, back);
            if out + back == 0 {
                return;
            }
        }
    }
}

/// A client of the share.
struct Near {
    line: Rc<RefCell<Line>>,
    id: ClientId,
}

/// Nothing came.
#[derive(Debug, PartialEq, Eq)]
struct Silence;

impl Transport for Near {
    type Error = Silence;

    fn send(&mut self, bytes: &[u8]) -> Result<(), Silence> {
        self.line.borrow_mut().share.input(self.id, bytes);
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Silence> {
        let line = &mut *self.line.borrow_mut();
        line.pump();
        let output = line.share.output(self.id);
        let count = output.len().min(into.len());
        into[..count].copy_from_slice(&output[..count]);
        line.share.sent(self.id, count);
        match count {
            0 if line.share.is_closed(self.id) => Ok(0),
            0 => Err(Silence),
            count => Ok(count),
        }
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        let line = &mut *self.line.borrow_mut();
        line.share.disconnect(self.id);
        line.pump();
    }
}

type Client = client::Client<Near>;

/// A domain with a home, and its line.
fn domain() -> (World, Rc<RefCell<Line>>) {
    let world = World::new();
    let id = world.domain(1).transport().id;
    let server = Rc::clone(&world.server);
    (world, Rc::new(RefCell::new(Line { share: Share::default(), server, id })))
}

fn client(line: &Rc<RefCell<Line>>) -> Client {
    let id = line.borrow_mut().share.connect();
    Client::new(Near { line: Rc::clone(line), id })
}

fn event(path: &str, token: &str) -> Event {
    Event { path: path.into(), token: token.into() }
}

/// What `control quota 1` counts of the domain, by its name.
fn count(world: &World, what: &str) -> u32 {
    let text = world.client(0).control(&["quota", "1"]).unwrap();
    let line = text.lines().find(|line| line.starts_with(what)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn replies_come_to_those_who_asked() {
    let (_world, line) = domain();
    let (mut a, mut b) = (client(&line), client(&line));
    a.write("x", b"1").unwrap();
    // Both are under way at once.
    let read = |id: ClientId, request| {
        let header = Header { request, ..Header::unsolicited(MessageType::Read) };
        line.borrow_mut().share.input(id, &Message { header, payload: b"x\0".to_vec() }.encode());
    };
    read(a.transport().id, 7);
    read(b.transport().id, 7);
    line.borrow_mut().pump();
    for who in [&mut a, &mut b] {
        let mut bytes = [0; 64];
        let id = who.transport().id;
        let count = Near { line: Rc::clone(&line), id }.receive(&mut bytes).unwrap();
        let head = Header::decode(*bytes.first_chunk().unwrap());
        assert_eq!((head.request, &bytes[Header::SIZE..count]), (7, &b"1"[..]));
    }
}

#[test]
fn clients_may_watch_the_same_with_the_same_token() {
    let (world, line) = domain();
    let (mut a, mut b) = (client(&line), client(&line));
    for who in [&mut a, &mut b] {
        who.watch("x", "t:1").unwrap();
        assert_eq!(who.watch("x", "t:1"), Err(Error::Refused(Errno::EEXIST)));
        assert_eq!(who.next_event(), Ok(event("x", "t:1")));
    }
    a.unwatch("x", "t:1").unwrap();
    assert_eq!(a.unwatch("x", "t:1"), Err(Error::Refused(Errno::ENOENT)));
    world.client(0).write("/local/domain/1/x", b"1").unwrap();
    assert_eq!(b.next_event(), Ok(event("x", "t:1")));
    assert_eq!(a.next_event(), Err(Error::Transport(Silence)));
}

#[test]
fn depth_is_passed_on() {
    let (world, line) = domain();
    let mut a = client(&line);
    a.watch_depth("x", "t", 1).unwrap();
    a.next_event().unwrap();
    for path in ["x/y/z", "x/y"] {
        world.client(0).write(&std::format!("/local/domain/1/{path}"), b"1").unwrap();
    }
    assert_eq!(a.next_event(), Ok(event("x/y", "t")));
    assert_eq!(a.next_event(), Err(Error::Transport(Silence)));
}

#[test]
fn who_leaves_leaves_nothing() {
    let (world, line) = domain();
    let mut stays = client(&line);
    stays.watch("x", "t").unwrap();
    let mut leaves = client(&line);
    leaves.watch("x", "t").unwrap();
    leaves.watch("y", "t").unwrap();
    let mut transaction = leaves.transaction().unwrap();
    transaction.write("x", b"1").unwrap();
    core::mem::forget(transaction);
    assert_eq!((count(&world, "watches"), count(&world, "transactions")), (3, 1));
    drop(leaves);
    assert_eq!((count(&world, "watches"), count(&world, "transactions")), (1, 0));
    // What it was asking for as it left is ended when it comes.
    let id = line.borrow_mut().share.connect();
    for (kind, payload) in
        [(MessageType::Watch, &b"x\0t\0"[..]), (MessageType::TransactionStart, b"\0")]
    {
        let message = Message { header: Header::unsolicited(kind), payload: payload.to_vec() };
        line.borrow_mut().share.input(id, &message.encode());
    }
    line.borrow_mut().share.disconnect(id);
    line.borrow_mut().pump();
    assert_eq!((count(&world, "watches"), count(&world, "transactions")), (1, 0));
    assert_eq!(stays.next_event(), Ok(event("x", "t")));
    assert!(line.borrow().share.asked.is_empty());
}

#[test]
fn a_reset_is_the_clients_own() {
    let (world, line) = domain();
    let (mut a, mut b) = (client(&line), client(&line));
    a.watch("x", "t").unwrap();
    b.watch("x", "t").unwrap();
    a.reset_watches().unwrap();
    assert_eq!(count(&world, "watches"), 1);
    a.watch("x", "t").unwrap();
}

#[test]
fn transactions_are_the_clients_own() {
    let (_world, line) = domain();
    let (mut a, mut b) = (client(&line), client(&line));
    let own = a.transaction().unwrap();
    // The server's first transaction is the first number it gives.
    let number = *line.borrow().share.clients[&ClientId(0)].transactions.first().unwrap();
    assert_eq!(b.exchange(MessageType::Read, number, b"x\0"), Err(Error::Refused(Errno::ENOENT)));
    own.commit().unwrap();
    assert!(line.borrow().share.clients[&ClientId(0)].transactions.is_empty());
    assert_eq!(a.transact(|store| store.write("x", b"2")), Ok(()));
    assert_eq!(b.read("x"), Ok(Some(b"2".to_vec())));
}

#[test]
fn a_refused_end_does_not_end_a_transaction() {
    let (world, line) = domain();
    let mut a = client(&line);
    core::mem::forget(a.transaction().unwrap());
    let number = *line.borrow().share.clients[&ClientId(0)].transactions.first().unwrap();
    let end = a.exchange(MessageType::TransactionEnd, number, b"X\0");
    assert_eq!(end, Err(Error::Refused(Errno::EINVAL)));
    drop(a);
    assert_eq!(count(&world, "transactions"), 0);
}

#[test]
fn what_is_no_watch_or_too_long_is_refused_here() {
    let (_world, line) = domain();
    let mut a = client(&line);
    for payload in [&b"x\0"[..], b"x\0t", b""] {
        let refused = a.exchange(MessageType::Watch, 0, payload);
        assert_eq!(refused, Err(Error::Refused(Errno::EINVAL)), "{payload:?}");
    }
    let mut long = b"x\0".to_vec();
    long.resize(XENSTORE_PAYLOAD_MAX - 1, b't');
    long.push(0);
    let refused = a.exchange(MessageType::Watch, 0, &long);
    assert_eq!(refused, Err(Error::Refused(Errno::E2BIG)));
}

#[test]
fn who_breaks_the_framing_is_closed_alone() {
    let (_world, line) = domain();
    let (mut a, mut b) = (client(&line), client(&line));
    let head = Header { len: 4097, ..Header::unsolicited(MessageType::Read) };
    line.borrow_mut().share.input(a.transport().id, &head.encode());
    assert_eq!(a.read("x"), Err(Error::Closed));
    assert_eq!(b.read("x"), Ok(None));
}

#[test]
fn events_wait_once_and_not_without_bound() {
    let mut share = Share::default();
    let id = share.connect();
    let event = |share: &mut Share, number: u32| {
        let payload = std::format!("/node/{number}\00:t\0").into_bytes();
        let message = Message { header: Header::unsolicited(MessageType::WatchEvent), payload };
        share.replies(&message.encode()).unwrap();
    };
    (0..10_000).for_each(|_| event(&mut share, 1));
    assert_eq!(share.output(id).len(), Header::SIZE + "/node/1_t_".len());
    (0..10_000).for_each(|number| event(&mut share, number));
    assert!(share.is_closed(id));
    assert!(share.output(id).len() < BACKLOG + 100);
}

#[test]
fn a_server_that_breaks_the_protocol_ends_all() {
    let long = Header { len: 4097, ..Header::unsolicited(MessageType::Read) }.encode().to_vec();
    let message = |kind, payload: &[u8]| {
        Message { header: Header::unsolicited(kind), payload: payload.to_vec() }.encode()
    };
    let nobody_asked = message(MessageType::Read, b"x");
    let no_event = message(MessageType::WatchEvent, b"x");
    for bytes in [long, nobody_asked, no_event] {
        let mut share = Share::default();
        let id = share.connect();
        assert_eq!(share.replies(&bytes), Err(Broken));
        assert!(share.is_closed(id) && !share.wants_input(id));
        let late = share.connect();
        assert!(share.is_closed(late));
        share.disconnect(id);
        assert!(share.requests().is_empty());
    }
    // The watches of who had the connection before are nobody's.
    let mut share = Share::default();
    for token in [&b"t"[..], b"9:t", b"x:t"] {
        let payload = payload::join(&[b"/x", token]);
        assert_eq!(share.replies(&message(MessageType::WatchEvent, &payload)), Ok(()));
    }
}

#[test]
fn requests_are_not_wanted_while_the_server_takes_none() {
    let mut share = Share::default();
    let id = share.connect();
    let read =
        Message { header: Header::unsolicited(MessageType::Read), payload: std::vec![b'x'; 4000] };
    while share.wants_input(id) {
        share.input(id, &read.clone().encode());
    }
    assert!(share.requests.len() < ROOM + 4096 + Header::SIZE);
    share.requests_sent(5000);
    assert!(share.wants_input(id));
}
