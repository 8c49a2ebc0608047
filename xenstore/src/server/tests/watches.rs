//! Watches: who is told, of what, and in which order.

use pv_abi::errno::Errno;
use std::format;

use crate::client::Store;
use crate::harness::{World, ask, events, perms, refused};
use crate::wire::{Header, MessageType};

#[test]
fn the_first_event_comes_at_once_and_after_the_reply() {
    let world = World::new();
    let mut client = world.client(0);
    ask(&mut client, MessageType::Watch, 0, b"/not/there\0tok en\0").unwrap();
    assert_eq!(events(&mut client), ["/not/there tok en"]);
    let id = world.server.borrow_mut().connect(pv_abi::types::DomId::new(0));
    let mut server = world.server.borrow_mut();
    let head = Header { request: 9, len: 5, ..Header::unsolicited(MessageType::Watch) };
    server.input(id, &[&head.encode()[..], b"/a\0t\0"].concat());
    let reply = server.output(id);
    let first = Header::decode(*reply.first_chunk().unwrap());
    assert_eq!((first.kind(), first.request), (Some(MessageType::Watch), 9));
    let event = Header::decode(*reply[Header::SIZE + 3..].first_chunk().unwrap());
    assert_eq!(event, Header { len: 5, ..Header::unsolicited(MessageType::WatchEvent) });
}

#[test]
fn changes_below_fire() {
    let world = World::new();
    let (mut watcher, mut other) = (world.client(0), world.client(0));
    watcher.watch("/a", "t").unwrap();
    events(&mut watcher);
    other.write("/a/b/c", b"1").unwrap();
    assert_eq!(events(&mut watcher), ["/a/b/c t"]);
    other.mkdir("/a/b/c").unwrap();
    assert!(events(&mut watcher).is_empty());
    other.set_perms("/a/b", &perms("b0")).unwrap();
    other.write("/ab", b"").unwrap();
    other.rm("/a/b").unwrap();
    assert_eq!(events(&mut watcher), ["/a/b t"]);
    other.write("/a", b"2").unwrap();
    assert_eq!(events(&mut watcher), ["/a t"]);
}

#[test]
fn a_removal_tells_each_watch_below_of_its_own_path() {
    let world = World::new();
    let (mut watcher, mut other) = (world.client(0), world.client(0));
    other.mkdir("/a/b/c").unwrap();
    for (path, token) in [("/a/b/c", "c"), ("/a/b", "b"), ("/a", "a"), ("/a/b/none", "n")] {
        watcher.watch(path, token).unwrap();
    }
    events(&mut watcher);
    other.rm("/a").unwrap();
    assert_eq!(events(&mut watcher), ["/a/b/c c", "/a/b b", "/a a"]);
}

#[test]
fn depth() {
    let world = World::new();
    let (mut watcher, mut other) = (world.client(0), world.client(0));
    watcher.watch_depth("/a", "0", 0).unwrap();
    watcher.watch_depth("/a", "1", 1).unwrap();
    events(&mut watcher);
    other.write("/a/b", b"").unwrap();
    assert_eq!(events(&mut watcher), ["/a/b 1"]);
    other.write("/a/b/c", b"").unwrap();
    assert!(events(&mut watcher).is_empty());
    other.write("/a", b"").unwrap();
    assert_eq!(events(&mut watcher), ["/a 0", "/a 1"]);
    for wrong in [&b"/a\0t\0x\0"[..], b"/a\0t\0-1\0", b"/a\0t\x001\0more\0", b"@a\0t\x002\0"] {
        let reply = ask(&mut watcher, MessageType::Watch, 0, wrong);
        assert_eq!(reply, refused(Errno::EINVAL), "{wrong:?}");
    }
}

#[test]
fn relative_watches_are_told_relative_paths() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    five.watch("device", "t").unwrap();
    five.watch("/local/domain/5/device", "full").unwrap();
    assert_eq!(events(&mut five), ["device t", "/local/domain/5/device full"]);
    zero.write("/local/domain/5/device/x", b"").unwrap();
    zero.set_perms("/local/domain/5/device/x", &perms("n5")).unwrap();
    let expected = ["device/x t", "/local/domain/5/device/x full"];
    assert_eq!(events(&mut five), expected);
}

#[test]
fn only_who_may_read_is_told() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    zero.mkdir("/a").unwrap();
    five.watch("/a", "t").unwrap();
    assert_eq!(events(&mut five), ["/a t"]);
    zero.write("/a/b", b"").unwrap();
    assert!(events(&mut five).is_empty());
    // Who can read it afterwards, or could before.
    zero.set_perms("/a/b", &perms("n0 r5")).unwrap();
    assert_eq!(events(&mut five), ["/a/b t"]);
    zero.set_perms("/a/b", &perms("n0")).unwrap();
    assert_eq!(events(&mut five), ["/a/b t"]);
    zero.write("/a/b", b"1").unwrap();
    assert!(events(&mut five).is_empty());
    zero.set_perms("/a/b", &perms("r0")).unwrap();
    events(&mut five);
    zero.rm("/a/b").unwrap();
    assert_eq!(events(&mut five), ["/a/b t"]);
}

#[test]
fn an_event_that_waits_is_not_queued_again() {
    let world = World::new();
    let (mut watcher, mut other) = (world.client(0), world.client(0));
    watcher.watch("/a", "t").unwrap();
    events(&mut watcher);
    for number in 0..9 {
        other.write("/a", &[number]).unwrap();
        other.write("/a/b", &[number]).unwrap();
    }
    assert_eq!(events(&mut watcher), ["/a t", "/a/b t"]);
    other.write("/a", b"").unwrap();
    assert_eq!(events(&mut watcher), ["/a t"]);
}

#[test]
fn path_and_token_name_a_watch() {
    let world = World::new();
    let mut client = world.client(0);
    client.watch("/a", "t").unwrap();
    assert_eq!(client.watch("/a", "t"), refused(Errno::EEXIST));
    client.watch("/a", "u").unwrap();
    assert_eq!(client.unwatch("/a", "v"), refused(Errno::ENOENT));
    assert_eq!(client.unwatch("/b", "t"), refused(Errno::ENOENT));
    assert_eq!(client.unwatch("/a/", "t"), refused(Errno::ENOENT));
    client.unwatch("/a", "t").unwrap();
    events(&mut client);
    client.write("/a", b"").unwrap();
    assert_eq!(events(&mut client), ["/a u"]);
    for wrong in ["/a/", "/a b", ""] {
        assert_eq!(client.watch(wrong, "t"), refused(Errno::EINVAL), "{wrong}");
    }
    let long = format!("@{}", "a".repeat(2048));
    assert_eq!(client.watch(&long, "t"), refused(Errno::EINVAL));
    client.watch(&long[..2048], "t").unwrap();
}

#[test]
fn reset_ends_watches_and_transactions() {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    one.watch("/a", "t").unwrap();
    events(&mut one);
    let number = ask(&mut one, MessageType::TransactionStart, 0, b"\0").unwrap();
    assert_eq!(number, b"1\0");
    one.reset_watches().unwrap();
    other.write("/a", b"").unwrap();
    assert!(events(&mut one).is_empty());
    let ended = ask(&mut one, MessageType::TransactionEnd, 1, b"T\0");
    assert_eq!(ended, refused(Errno::ENOENT));
}

#[test]
fn watches_end_with_their_connection() {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    one.watch("/a", "t").unwrap();
    world.server.borrow_mut().disconnect(one.transport().id);
    other.write("/a", b"").unwrap();
    assert_eq!(world.server.borrow().watches.iter().count(), 0);
}
