//! Dumps that come back, and bytes that are none.

use alloc::vec::Vec;
use proptest::prelude::*;
use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use super::RestoreError;
use crate::client::Store;
use crate::harness::{World, events, perms, refused};
use crate::server::{Action, Server};
use crate::wire::{Header, Message, MessageType};

/// A server with something of everything, and what is held of it afterwards.
fn rich() -> World {
    let world = World::with(|quotas| quotas.nodes = 77);
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    let _six = world.domain(6);
    five.write("a/b", b"\0value").unwrap();
    five.watch("a", "token").unwrap();
    five.watch_depth("/local", "deep", 2).unwrap();
    zero.set_target(DomId::new(6), DomId::new(5)).unwrap();
    zero.set_perms("@releaseDomain", &perms("n0 r5")).unwrap();
    zero.release(DomId::new(6)).unwrap();
    zero.write("/local/domain/5/a/c", b"").unwrap();
    world
}

fn restart(world: &World) {
    let dump = world.server.borrow().dump();
    let restored = Server::restore(&dump).unwrap();
    assert!(restored.dump() == dump);
    *world.server.borrow_mut() = restored;
}

#[test]
fn everything_comes_back() {
    let world = rich();
    let mut five = world.client(5);
    five.watch("a/b", "t").unwrap();
    restart(&world);
    let mut zero = world.client(0);
    assert_eq!(five.read("a/b").unwrap().unwrap(), b"\0value");
    assert_eq!(zero.get_perms("/local/domain/5/a").unwrap().unwrap(), perms("n5"));
    assert_eq!(events(&mut five), ["a/b t"]);
    zero.write("/local/domain/5/a/b", b"").unwrap();
    assert_eq!(events(&mut five), ["a/b t"]);
    assert!(zero.control(&["quota"]).unwrap().contains("77"));
    assert_eq!(zero.is_domain_introduced(DomId::new(5)), Ok(true));
    assert_eq!(zero.is_domain_introduced(DomId::new(6)), Ok(false));
    let introduced: Vec<DomId> =
        world.server.borrow().introduced().map(|(domid, _)| domid).collect();
    assert_eq!(introduced, [DomId::new(5)]);
}

#[test]
fn a_live_update_keeps_what_waits_for_the_embedder() {
    let world = rich();
    let mut zero = world.client(0);
    while world.server.borrow_mut().take_action().is_some() {}
    while world.server.borrow_mut().take_touched().is_some() {}
    zero.control(&["live-update"]).unwrap();
    zero.introduce(DomId::new(7), 1, 2).unwrap();
    let mut server = world.server.borrow_mut();
    let dump = server.dump();
    assert_eq!(server.take_action(), Some(Action::LiveUpdate));
    assert_eq!(server.live_update(), Ok(()));
    assert!(server.dump() == dump);
    let introduce = Action::Introduce { domid: DomId::new(7), gfn: 1, port: 2 };
    assert_eq!(server.take_action(), Some(introduce));
    assert_eq!(server.take_action(), None);
    let touched = core::iter::from_fn(|| server.take_touched()).count();
    assert_eq!(touched, server.connections().count());
}

#[test]
fn a_live_update_that_fails_leaves_the_server_as_it_was() {
    let world = rich();
    let mut five = world.client(5);
    let mut zero = world.client(0);
    // A counter that no dump may have.
    world.server.borrow_mut().store.generation = u64::MAX >> 1;
    zero.control(&["print", "still here"]).unwrap();
    let dump = world.server.borrow().dump();
    let failed = world.server.borrow_mut().live_update();
    assert_eq!(failed, Err(RestoreError::Wrong("a counter")));
    assert!(world.server.borrow().dump() == dump);
    assert_eq!(five.read("a/b").unwrap().unwrap(), b"\0value");
    let actions = core::iter::from_fn(|| world.server.borrow_mut().take_action());
    assert_eq!(actions.last(), Some(Action::Print("still here".into())));
}

#[test]
fn an_open_transaction_is_to_be_done_again() {
    let world = rich();
    let mut five = world.client(5);
    let mut transaction = five.transaction().unwrap();
    transaction.write("a/b", b"new").unwrap();
    restart(&world);
    assert_eq!(transaction.read("a/b").unwrap().unwrap(), b"\0value");
    assert_eq!(transaction.commit(), refused(Errno::EAGAIN));
    assert_eq!(five.read("a/b").unwrap().unwrap(), b"\0value");
}

#[test]
fn half_a_request_and_half_a_reply_go_on() {
    let world = World::new();
    let id = world.server.borrow_mut().connect(DomId::new(5));
    let header = Header { request: 3, ..Header::unsolicited(MessageType::GetDomainPath) };
    let request = Message { header, payload: b"5\0".to_vec() }.encode();
    let whole = {
        let mut server = world.server.borrow_mut();
        server.input(id, &request);
        let whole = server.output(id).to_vec();
        server.sent(id, 7);
        server.input(id, &request[..9]);
        whole
    };
    restart(&world);
    let mut server = world.server.borrow_mut();
    assert_eq!(server.take_touched(), Some(id));
    assert_eq!(server.output(id), &whole[7..]);
    server.sent(id, whole.len());
    server.input(id, &request[9..]);
    assert_eq!(server.output(id), whole);
}

#[test]
fn who_was_stopped_goes_on_when_replies_are_taken() {
    let world = World::new();
    let five = world.domain(5);
    let id = five.transport().id;
    let header = Header::unsolicited(MessageType::GetDomainPath);
    let request = Message { header, payload: b"5\0".to_vec() }.encode();
    let flood: Vec<u8> = core::iter::repeat_n(request, 50).flatten().collect();
    world.server.borrow_mut().input(id, &flood);
    assert!(!world.server.borrow().wants_input(id));
    restart(&world);
    let mut server = world.server.borrow_mut();
    assert!(!server.wants_input(id));
    let mut bytes = 0;
    while !server.output(id).is_empty() {
        let count = server.output(id).len();
        bytes += count;
        server.sent(id, count);
    }
    assert_eq!(bytes, 50 * (Header::SIZE + "/local/domain/5\0".len()));
}

#[test]
fn numbers_of_connections_are_not_used_again() {
    let world = rich();
    let before: Vec<_> = world.server.borrow().connections().collect();
    restart(&world);
    assert_eq!(world.server.borrow().connections().collect::<Vec<_>>(), before);
    let id = world.server.borrow_mut().connect(DomId::new(0));
    assert!(before.iter().all(|(other, _)| *other != id));
    assert!(!matches!(world.server.borrow_mut().take_action(), Some(Action::Introduce { .. })));
}

#[test]
fn what_is_no_dump_is_refused() {
    let refusal = |bytes: &[u8]| Server::restore(bytes).err().unwrap();
    assert_eq!(refusal(b""), RestoreError::NotADump);
    assert_eq!(refusal(b"xenstorx\x01\0\0\0"), RestoreError::NotADump);
    assert_eq!(refusal(b"xenstore\x02\0\0\0"), RestoreError::Version(2));
    let dump = rich().server.borrow().dump();
    for len in 8..dump.len() {
        assert_eq!(refusal(&dump[..len]), RestoreError::Cut, "{len}");
    }
    let longer = [&dump[..], b"x"].concat();
    assert!(matches!(refusal(&longer), RestoreError::Wrong(_)));
}

proptest! {
    #[test]
    fn a_damaged_dump_does_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut dump = rich().server.borrow().dump();
        let at = at.index(dump.len());
        dump[at] = byte;
        if let Ok(mut server) = Server::restore(&dump) {
            let id = server.connect(DomId::new(0));
            let header = Header::unsolicited(MessageType::Mkdir);
            server.input(id, &Message { header, payload: b"/new\0".to_vec() }.encode());
            // Quotas are in a dump, too: one that became nothing cuts everybody off.
            prop_assert!(!server.output(id).is_empty() || server.is_closed(id));
            prop_assert_eq!(server.check(), Ok(()));
        }
    }
}
