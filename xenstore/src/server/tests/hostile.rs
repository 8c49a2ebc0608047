//! Clients that mean harm get an error, are stopped or cut off, and others do not notice.

use alloc::vec::Vec;
use proptest::prelude::*;
use pv_abi::errno::Errno;
use pv_abi::types::DomId;
use std::format;

use crate::client::{Error, Store};
use crate::harness::{World, refused};
use crate::server::{ConnectionId, Server};
use crate::wire::{Header, Message, MessageType};

fn message(kind: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header { message_type: kind, request: 1, transaction: 0, len: 0 };
    Message { header, payload: payload.to_vec() }.encode()
}

fn write(path: &str) -> Vec<u8> {
    message(MessageType::Write.raw(), format!("{path}\0value").as_bytes())
}

/// How many whole messages wait.
fn waiting(server: &Server, id: ConnectionId) -> usize {
    let mut framer = crate::wire::Framer::default();
    framer.push(server.output(id));
    core::iter::from_fn(|| framer.next_message().unwrap()).count()
}

#[test]
fn a_length_that_cannot_be_cuts_off_alone() {
    for len in [4097, u32::MAX] {
        let world = World::new();
        let (mut zero, five) = (world.client(0), world.domain(5));
        zero.watch("/local/domain/5", "t").unwrap();
        let id = five.transport().id;
        let head = Header { len, ..Header::unsolicited(MessageType::Read) };
        world.server.borrow_mut().input(id, &head.encode());
        assert!(world.server.borrow().is_closed(id));
        assert!(!world.server.borrow().wants_input(id));
        world.server.borrow_mut().input(id, &write("a"));
        assert!(world.server.borrow().output(id).is_empty());
        assert!(zero.read("/tool").is_ok());
    }
}

#[test]
fn types_that_are_none_get_an_error() {
    let mut client = World::new().client(0);
    for kind in [MessageType::WatchEvent, MessageType::Error] {
        assert_eq!(client.exchange(kind, 0, b"/a\0"), refused(Errno::ENOSYS));
    }
    let world = World::new();
    let id = world.server.borrow_mut().connect(DomId::new(5));
    for kind in [20, 23, 0xffff, u32::MAX] {
        let mut server = world.server.borrow_mut();
        server.input(id, &message(kind, b"x"));
        let reply = server.output(id).to_vec();
        assert_eq!(reply, message(MessageType::Error.raw(), b"ENOSYS\0"));
        server.sent(id, reply.len());
    }
}

#[test]
fn a_head_in_pieces_waits_for_its_rest() {
    let world = World::new();
    let id = world.server.borrow_mut().connect(DomId::new(0));
    let mut server = world.server.borrow_mut();
    for byte in write("/a") {
        assert!(server.output(id).is_empty());
        server.input(id, &[byte]);
    }
    assert_eq!(waiting(&server, id), 1);
}

#[test]
fn who_takes_no_replies_is_not_read_from() {
    let world = World::new();
    let five = world.domain(5);
    let id = five.transport().id;
    let mut server = world.server.borrow_mut();
    let flood: Vec<u8> = (0..100).flat_map(|_| write("a")).collect();
    server.input(id, &flood);
    assert_eq!(waiting(&server, id), 20);
    assert!(!server.wants_input(id));
    // What waits is answered as replies are taken, none is lost.
    let mut replies = 0;
    while waiting(&server, id) > 0 {
        let one = Header::SIZE + 3;
        server.sent(id, one);
        replies += 1;
    }
    assert_eq!(replies, 100);
    assert!(server.wants_input(id));
}

#[test]
fn who_floods_others_with_events_is_stopped_until_they_take_them() {
    let world = World::new();
    let (mut zero, five) = (world.client(0), world.domain(5));
    zero.watch("/local/domain/5", "t").unwrap();
    let (watcher, id) = (zero.transport().id, five.transport().id);
    let mut server = world.server.borrow_mut();
    let first = server.output(watcher).len();
    server.sent(watcher, first);
    for number in 0..100 {
        server.input(id, &write(&format!("n{number}")));
        let replies = server.output(id).len();
        server.sent(id, replies);
    }
    assert_eq!(waiting(&server, watcher), 20);
    assert!(!server.wants_input(id));
    while server.take_touched().is_some() {}
    let events = server.output(watcher).len();
    server.sent(watcher, events);
    assert!(server.wants_input(id) || waiting(&server, watcher) > 0);
    assert!(waiting(&server, id) > 0);
    let mut touched = core::iter::from_fn(|| server.take_touched());
    assert!(touched.any(|other| other == id));
}

#[test]
fn a_client_of_domain_0_that_takes_nothing_is_cut_off() {
    let world = World::with(|quotas| quotas.backlog = 10_000);
    let (mut zero, mut other) = (world.client(0), world.client(0));
    zero.watch("/", "t").unwrap();
    let id = zero.transport().id;
    for number in 0..1000 {
        other.write(&format!("/n{number}"), b"").unwrap();
        if !world.server.borrow().is_closed(id) {
            assert!(world.server.borrow().output(id).len() <= 20_000);
        }
    }
    assert!(world.server.borrow().is_closed(id));
    assert_eq!(zero.read("/n1"), Err(Error::Closed));
    assert!(other.read("/n1").is_ok());
    // One that floods with requests is not read from long before.
    let mut server = world.server.borrow_mut();
    let flooder = server.connect(DomId::new(0));
    let flood: Vec<u8> =
        (0..1000).flat_map(|_| message(MessageType::Directory.raw(), b"/\0")).collect();
    server.input(flooder, &flood);
    assert!(!server.wants_input(flooder) && !server.is_closed(flooder));
    assert!(server.output(flooder).len() <= 10_000 + 4112);
}

#[test]
fn the_deepest_path_is_no_deep_recursion() {
    let world = World::new();
    let mut zero = world.client(0);
    let deep = "/a".repeat(1536);
    zero.write(&deep, b"1").unwrap();
    zero.watch(&deep, "t").unwrap();
    assert_eq!(zero.read(&deep).unwrap().unwrap(), b"1");
    zero.rm("/a").unwrap();
    world.server.borrow().check().unwrap();
}

/// Bytes that look like the protocol, more or less.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let words = "/ /a a /a/b @releaseDomain t T F 5 0 1 b5 n0 -1 \u{e4} quota set check";
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).chain([&b""[..]]).collect();
    let word = prop::sample::select(words);
    let payload =
        prop::collection::vec(word, 0..5).prop_map(|words| crate::wire::payload::join(&words));
    let likely = (0u32..25, 0u32..4, payload).prop_map(|(kind, transaction, payload)| {
        let header = Header { message_type: kind, request: 0, transaction, len: 0 };
        Message { header, payload }.encode()
    });
    prop_oneof![9 => likely, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn no_bytes_harm_anyone_else(
        pieces in prop::collection::vec((0usize..3, hostile_bytes(), any::<bool>()), 1..80),
    ) {
        let world = World::new();
        let mut zero = world.client(0);
        zero.write("/mine", b"1").unwrap();
        let ids = [0, 5, 6].map(|domid| world.server.borrow_mut().connect(DomId::new(domid)));
        for (who, bytes, takes) in pieces {
            let mut server = world.server.borrow_mut();
            server.input(ids[who], &bytes);
            if takes {
                let count = server.output(ids[who]).len();
                server.sent(ids[who], count);
            }
            while server.take_action().is_some() {}
            prop_assert_eq!(server.check(), Ok(()));
        }
        zero.write("/mine", b"2").unwrap();
        prop_assert_eq!(zero.read("/mine").unwrap().unwrap(), b"2");
        for id in ids {
            world.server.borrow_mut().disconnect(id);
        }
        let server = world.server.borrow();
        prop_assert_eq!(server.watches.iter().count(), 0);
    }
}
