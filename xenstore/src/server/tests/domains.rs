//! Domains come and go.

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::client::{Error, Store};
use crate::harness::{World, ask, events, perms, refused};
use crate::server::Action;
use crate::wire::{Header, Message, MessageType};

const FIVE: DomId = DomId::new(5);

#[test]
fn introducing_asks_the_embedder_and_fires() {
    let world = World::new();
    let mut zero = world.client(0);
    zero.watch("@introduceDomain", "i").unwrap();
    assert_eq!(events(&mut zero), ["@introduceDomain i"]);
    assert_eq!(zero.is_domain_introduced(FIVE), Ok(false));
    zero.introduce(FIVE, 0x1234, 7).unwrap();
    assert_eq!(zero.is_domain_introduced(FIVE), Ok(true));
    assert_eq!(events(&mut zero), ["@introduceDomain i"]);
    let action = world.server.borrow_mut().take_action();
    assert_eq!(action, Some(Action::Introduce { domid: FIVE, gfn: 0x1234, port: 7 }));
    assert_eq!(world.server.borrow_mut().take_action(), None);
    assert_eq!(zero.is_domain_introduced(DomId::new(0)), Ok(true));
}

#[test]
fn introducing_again_starts_the_connection_anew() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    five.watch("a", "t").unwrap();
    zero.watch("@introduceDomain", "i").unwrap();
    events(&mut zero);
    zero.introduce(FIVE, 1, 9).unwrap();
    assert!(events(&mut zero).is_empty());
    assert_eq!(five.read("a"), Err(Error::Closed));
    let mut again = world.client(5);
    again.watch("a", "t").unwrap();
    assert_eq!(again.read("a"), Ok(None));
}

#[test]
fn introducing_leaves_a_connection_that_was_made_before() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.client(5));
    zero.introduce(FIVE, 1, 1).unwrap();
    assert_eq!(five.get_domain_path(FIVE).unwrap(), "/local/domain/5");
}

#[test]
fn what_a_dead_domain_caused_does_not_count_for_the_next() {
    let world = World::new();
    let mut zero = world.client(0);
    let mut five = world.domain(5);
    let watcher = world.client(0);
    let watch = |token: &str| {
        let header = Header::unsolicited(MessageType::Watch);
        let payload = [b"/\0", token.as_bytes(), b"\0"].concat();
        world
            .server
            .borrow_mut()
            .input(watcher.transport().id, &Message { header, payload }.encode());
    };
    watch("t");
    five.write("a", b"1").unwrap();
    let text = zero.control(&["quota", "5"]).unwrap();
    assert!(text.contains("outstanding     :        1\n"), "{text}");
    zero.release(FIVE).unwrap();
    let _next = world.domain(5);
    let mut server = world.server.borrow_mut();
    let count = server.output(watcher.transport().id).len();
    server.sent(watcher.transport().id, count);
    drop(server);
    let text = zero.control(&["quota", "5"]).unwrap();
    assert!(text.contains("outstanding     :        0\n"), "{text}");
}

#[test]
fn arguments_of_introduce() {
    let mut zero = World::new().client(0);
    let payloads = [
        &b"5\x001\0"[..],
        b"0\x001\x001\0",
        b"32752\x001\x001\0",
        b"5\x001\x000\0",
        b"5\0x\x001\0",
        b"x\x001\x001\0",
        b"65536\x001\x001\0",
        b"",
    ];
    for payload in payloads {
        let reply = ask(&mut zero, MessageType::Introduce, 0, payload);
        assert_eq!(reply, refused(Errno::EINVAL), "{payload:?}");
    }
    ask(&mut zero, MessageType::Introduce, 0, b"5\0-1\x001\0more\0").unwrap();
}

#[test]
fn releasing_takes_all_of_a_domain_and_fires() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    five.write("data/x", b"1").unwrap();
    five.watch("data", "t").unwrap();
    zero.write("/keep", b"1").unwrap();
    zero.watch("@releaseDomain", "r").unwrap();
    zero.watch("/local/domain/5/data", "d").unwrap();
    events(&mut zero);
    zero.release(FIVE).unwrap();
    assert_eq!(events(&mut zero), ["/local/domain/5/data d", "@releaseDomain r"]);
    assert_eq!(zero.read("/local/domain/5").unwrap(), None);
    assert_eq!(five.read("data"), Err(Error::Closed));
    let mut server = world.server.borrow_mut();
    assert!(matches!(server.take_action(), Some(Action::Introduce { .. })));
    assert_eq!(server.take_action(), Some(Action::Release(FIVE)));
    server.check().unwrap();
    drop(server);
    assert_eq!(zero.release(FIVE), refused(Errno::ENOENT));
    assert_eq!(zero.release(DomId::new(0)), refused(Errno::EINVAL));
    assert_eq!(zero.resume(FIVE), refused(Errno::ENOENT));
}

#[test]
fn a_shutdown_fires_once_until_resume() {
    let world = World::new();
    let (mut zero, _five) = (world.client(0), world.domain(5));
    zero.watch("@releaseDomain", "r").unwrap();
    zero.watch_depth("@releaseDomain", "which", 1).unwrap();
    events(&mut zero);
    world.server.borrow_mut().domain_shut_down(FIVE);
    world.server.borrow_mut().domain_shut_down(FIVE);
    world.server.borrow_mut().domain_shut_down(DomId::new(6));
    assert_eq!(events(&mut zero), ["@releaseDomain r", "@releaseDomain/5 which"]);
    zero.resume(FIVE).unwrap();
    world.server.borrow_mut().domain_shut_down(FIVE);
    assert_eq!(events(&mut zero), ["@releaseDomain r", "@releaseDomain/5 which"]);
}

#[test]
fn special_events_are_for_whom_domain_0_says() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    five.watch("@introduceDomain", "i").unwrap();
    assert_eq!(events(&mut five), ["@introduceDomain i"]);
    zero.introduce(DomId::new(6), 1, 1).unwrap();
    assert!(events(&mut five).is_empty());
    assert_eq!(five.set_perms("@introduceDomain", &perms("n5")), refused(Errno::EACCES));
    zero.set_perms("@introduceDomain", &perms("n0 r5")).unwrap();
    zero.introduce(DomId::new(7), 1, 1).unwrap();
    assert_eq!(events(&mut five), ["@introduceDomain i"]);
    assert_eq!(zero.set_perms("@other", &perms("n5")), refused(Errno::EINVAL));
}

#[test]
fn only_domain_0_manages_domains() {
    let world = World::new();
    let mut five = world.domain(5);
    assert_eq!(five.introduce(DomId::new(6), 1, 1), refused(Errno::EACCES));
    assert_eq!(five.release(FIVE), refused(Errno::EACCES));
    assert_eq!(five.resume(FIVE), refused(Errno::EACCES));
    assert_eq!(five.set_target(FIVE, DomId::new(0)), refused(Errno::EACCES));
    assert_eq!(five.is_domain_introduced(FIVE), refused(Errno::EACCES));
    assert_eq!(five.control(&["help"]), refused(Errno::EACCES));
    assert_eq!(five.get_domain_path(DomId::new(6)).unwrap(), "/local/domain/6");
}

#[test]
fn targets_must_be_there() {
    let world = World::new();
    let (mut zero, _five) = (world.client(0), world.domain(5));
    assert_eq!(zero.set_target(FIVE, DomId::new(6)), refused(Errno::ENOENT));
    assert_eq!(zero.set_target(DomId::new(6), FIVE), refused(Errno::ENOENT));
}

#[test]
fn control_commands() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    assert!(zero.control(&["help"]).unwrap().contains("quota\t"));
    assert_eq!(zero.control(&["check"]).unwrap(), "OK");
    zero.control(&["print", "hello"]).unwrap();
    zero.control(&["log", "on"]).unwrap();
    zero.control(&["live-update"]).unwrap();
    let mut server = world.server.borrow_mut();
    server.take_action();
    assert_eq!(server.take_action(), Some(Action::Print("hello".into())));
    assert_eq!(server.take_action(), Some(Action::Log(true)));
    assert_eq!(server.take_action(), Some(Action::LiveUpdate));
    drop(server);
    zero.control(&["quota", "set", "nodes", "3"]).unwrap();
    assert!(zero.control(&["quota"]).unwrap().contains("nodes               :        3\n"));
    five.write("a/b", b"").unwrap();
    assert_eq!(five.write("c", b""), refused(Errno::ENOSPC));
    assert!(zero.control(&["quota", "5"]).unwrap().contains("nodes           :        3\n"));
    assert!(zero.control(&["memreport"]).unwrap().contains("domains: 1\n"));
    for wrong in
        [&["nonsense"][..], &["quota", "set", "x", "1"], &["log"], &["quota", "set", "nodes", "-1"]]
    {
        assert_eq!(zero.control(wrong), refused(Errno::EINVAL), "{wrong:?}");
    }
    assert_eq!(zero.control(&["quota", "77"]), refused(Errno::ENOENT));
}
