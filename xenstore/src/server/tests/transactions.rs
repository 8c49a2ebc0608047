//! Transactions: what they see, what disturbs them, what becomes of them.

use pv_abi::errno::Errno;
use pv_abi::types::DomId;
use std::vec::Vec;

use crate::client::{Client, Store, Transaction};
use crate::harness::{Failure, Wire, World, ask, events, perms, refused};
use crate::wire::MessageType;

/// One end of a commit that must fail: others were first.
const AGAIN: Result<(), Failure> = refused(Errno::EAGAIN);

/// Does `inside` in a transaction of one client and `outside` in the midst of it by another; returns
/// how the commit ends. `/a` = 1, `/a/x` = 2 and `/b` = 3 are there before.
fn race(
    inside: impl FnOnce(&mut Transaction<'_, Wire>),
    outside: impl FnOnce(&mut Client<Wire>),
) -> Result<(), Failure> {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    for (path, value) in [("/a", b"1"), ("/a/x", b"2"), ("/b", b"3")] {
        one.write(path, value).unwrap();
    }
    let mut transaction = one.transaction().unwrap();
    inside(&mut transaction);
    outside(&mut other);
    let result = transaction.commit();
    world.server.borrow().check().unwrap();
    result
}

#[test]
fn changes_show_at_the_commit_and_not_before() {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    one.write("/a", b"1").unwrap();
    let mut transaction = one.transaction().unwrap();
    transaction.write("/a", b"2").unwrap();
    transaction.write("/b/c", b"3").unwrap();
    transaction.rm("/tool").unwrap();
    assert_eq!(transaction.read("/a").unwrap().unwrap(), b"2");
    assert_eq!(transaction.directory("/").unwrap().unwrap(), ["a", "b"]);
    assert_eq!(other.read("/a").unwrap().unwrap(), b"1");
    assert_eq!(other.directory("/").unwrap().unwrap(), ["a", "tool"]);
    transaction.commit().unwrap();
    assert_eq!(other.read("/a").unwrap().unwrap(), b"2");
    assert_eq!(other.directory("/").unwrap().unwrap(), ["a", "b"]);
}

#[test]
fn a_domain_that_goes_takes_its_permissions_along() {
    let released = |inside: fn(&mut Transaction<'_, Wire>)| {
        let world = World::new();
        let (mut one, mut other, _five) = (world.client(0), world.client(0), world.domain(5));
        one.write("/a", b"1").unwrap();
        one.set_perms("/a", &perms("n0 r5")).unwrap();
        one.write("/b", b"1").unwrap();
        let mut transaction = one.transaction().unwrap();
        inside(&mut transaction);
        other.release(DomId::new(5)).unwrap();
        (transaction.commit(), one.get_perms("/b").unwrap().unwrap())
    };
    // Whoever saw them has seen what is not so any more.
    let seen = |transaction: &mut Transaction<'_, Wire>| {
        let seen = transaction.get_perms("/a").unwrap().unwrap();
        transaction.set_perms("/b", &seen).unwrap();
    };
    assert_eq!(released(seen), (AGAIN, perms("n0")));
    // Whoever has given them is not disturbed, but they are gone.
    let given = |transaction: &mut Transaction<'_, Wire>| {
        transaction.set_perms("/b", &perms("n0 b5 r6")).unwrap();
        assert_eq!(transaction.get_perms("/b").unwrap().unwrap(), perms("n0 b5 r6"));
    };
    assert_eq!(released(given), (Ok(()), perms("n0 r6")));
}

#[test]
fn a_node_that_is_made_anew_and_written_keeps_its_children() {
    let world = World::new();
    let mut one = world.client(0);
    one.write("/a/old", b"1").unwrap();
    let mut transaction = one.transaction().unwrap();
    transaction.rm("/a").unwrap();
    transaction.write("/a/new", b"2").unwrap();
    transaction.write("/a", b"3").unwrap();
    transaction.set_perms("/a", &perms("n0 r5")).unwrap();
    transaction.commit().unwrap();
    assert_eq!(one.directory("/a").unwrap().unwrap(), ["new"]);
    assert_eq!(one.read("/a").unwrap().unwrap(), b"3");
    assert_eq!(one.get_perms("/a").unwrap().unwrap(), perms("n0 r5"));
}

#[test]
fn a_transaction_sees_the_store_as_it_was() {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    one.write("/a", b"1").unwrap();
    let mut transaction = one.transaction().unwrap();
    other.write("/a", b"2").unwrap();
    other.write("/new", b"").unwrap();
    assert_eq!(transaction.read("/a").unwrap().unwrap(), b"1");
    assert_eq!(transaction.read("/new").unwrap(), None);
    assert_eq!(transaction.commit(), AGAIN);
}

#[test]
fn what_was_aborted_never_was() {
    let world = World::new();
    let mut one = world.client(0);
    one.watch("/a", "t").unwrap();
    events(&mut one);
    let mut transaction = one.transaction().unwrap();
    transaction.write("/a", b"1").unwrap();
    transaction.abort().unwrap();
    let mut dropped = one.transaction().unwrap();
    dropped.write("/a", b"1").unwrap();
    drop(dropped);
    assert_eq!(one.read("/a").unwrap(), None);
    assert!(events(&mut one).is_empty());
}

#[test]
fn what_was_read_must_still_be_so() {
    let write = |other: &mut Client<Wire>| other.write("/a", b"9").unwrap();
    assert_eq!(race(|t| drop(t.read("/a").unwrap()), write), AGAIN);
    // Absence.
    let appear = |other: &mut Client<Wire>| other.mkdir("/a/new").unwrap();
    assert_eq!(race(|t| assert_eq!(t.read("/a/new"), Ok(None)), appear), AGAIN);
    // A listing: of names, not of what the children hold.
    let list = |t: &mut Transaction<'_, Wire>| drop(t.directory("/a").unwrap());
    assert_eq!(race(list, appear), AGAIN);
    assert_eq!(race(list, |other| other.rm("/a/x").unwrap()), AGAIN);
    assert_eq!(race(list, |other| other.write("/a/x", b"9").unwrap()), Ok(()));
    // Permissions.
    let permit = |other: &mut Client<Wire>| other.set_perms("/a", &perms("b0")).unwrap();
    assert_eq!(race(|t| drop(t.get_perms("/a").unwrap()), permit), AGAIN);
    // Gone, and back in the same form.
    let replace = |other: &mut Client<Wire>| {
        other.rm("/a").unwrap();
        other.write("/a", b"1").unwrap();
    };
    assert_eq!(race(|t| drop(t.read("/a").unwrap()), replace), AGAIN);
    assert_eq!(race(|t| t.write("/a", b"2").unwrap(), replace), AGAIN);
}

#[test]
fn what_was_not_read_disturbs_nobody() {
    let elsewhere = |other: &mut Client<Wire>| other.write("/b", b"9").unwrap();
    assert_eq!(race(|t| drop(t.read("/a").unwrap()), elsewhere), Ok(()));
    // A child of a node is not the node.
    let child = |other: &mut Client<Wire>| other.mkdir("/a/new").unwrap();
    assert_eq!(race(|t| drop(t.read("/a").unwrap()), child), Ok(()));
    assert_eq!(race(|t| t.write("/a/mine", b"").unwrap(), child), Ok(()));
    // Neither is a value that it did not read, even one that it writes.
    let write = |other: &mut Client<Wire>| other.write("/a", b"9").unwrap();
    assert_eq!(race(|t| t.write("/a", b"8").unwrap(), write), Ok(()));
    assert_eq!(race(|t| drop(t.directory("/a").unwrap()), write), Ok(()));
    // What it wrote itself it may read.
    let own = |t: &mut Transaction<'_, Wire>| {
        t.write("/a", b"8").unwrap();
        t.read("/a").unwrap();
    };
    assert_eq!(race(own, write), Ok(()));
}

#[test]
fn a_commit_keeps_what_others_did_elsewhere() {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    one.write("/a/x", b"1").unwrap();
    let mut transaction = one.transaction().unwrap();
    transaction.write("/a/mine", b"").unwrap();
    other.write("/a/theirs", b"").unwrap();
    other.write("/a/x", b"2").unwrap();
    transaction.commit().unwrap();
    assert_eq!(one.directory("/a").unwrap().unwrap(), ["mine", "theirs", "x"]);
    assert_eq!(one.read("/a/x").unwrap().unwrap(), b"2");
}

#[test]
fn removed_and_made_again() {
    let world = World::new();
    let mut one = world.client(0);
    one.write("/a/x/y", b"1").unwrap();
    one.set_perms("/a", &perms("b0 r5")).unwrap();
    one.watch("/a", "a").unwrap();
    one.watch("/a/x", "x").unwrap();
    events(&mut one);
    let mut transaction = one.transaction().unwrap();
    transaction.write("/a/x", b"lost").unwrap();
    transaction.rm("/a").unwrap();
    transaction.write("/a/z", b"2").unwrap();
    transaction.commit().unwrap();
    assert_eq!(one.directory("/a").unwrap().unwrap(), ["z"]);
    assert_eq!(one.get_perms("/a").unwrap().unwrap(), perms("n0"));
    assert_eq!(events(&mut one), ["/a/x x", "/a a", "/a/z a"]);
    // Made and removed: nothing to tell.
    let mut transaction = one.transaction().unwrap();
    transaction.mkdir("/n/m").unwrap();
    transaction.rm("/n").unwrap();
    transaction.commit().unwrap();
    assert_eq!(one.read("/n").unwrap(), None);
}

#[test]
fn events_come_after_the_commit_in_the_order_of_the_changes() {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    other.watch("/", "t").unwrap();
    events(&mut other);
    let mut transaction = one.transaction().unwrap();
    for path in ["/z", "/y", "/z", "/x/w"] {
        transaction.write(path, b"").unwrap();
    }
    assert!(events(&mut other).is_empty());
    transaction.commit().unwrap();
    assert_eq!(events(&mut other), ["/z t", "/y t", "/x/w t"]);
}

#[test]
fn transact_repeats_until_nobody_disturbs() {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    one.write("/n", b"0").unwrap();
    let mut disturbances = 3;
    let tries = one.transact(|t| {
        let value = t.read("/n")?.unwrap();
        if disturbances > 0 {
            disturbances -= 1;
            other.write("/n", &[value[0] + 1])?;
        }
        t.write("/n", &[value[0] + 1])?;
        Ok(value[0])
    });
    assert_eq!(tries, Ok(b'3'));
    assert_eq!(one.read("/n").unwrap().unwrap(), b"4");
}

#[test]
fn numbers_are_a_connections_own() {
    let world = World::new();
    let (mut one, mut other) = (world.client(0), world.client(0));
    let reply = ask(&mut one, MessageType::TransactionStart, 0, b"\0").unwrap();
    assert_eq!(reply.last(), Some(&0));
    let text = std::str::from_utf8(&reply[..reply.len() - 1]).unwrap();
    let number: u32 = text.parse().unwrap();
    assert_ne!(number, 0);
    use MessageType as Is;
    let unknown = refused::<Vec<u8>>(Errno::ENOENT);
    assert_eq!(ask(&mut other, Is::Read, number, b"/tool\0"), unknown);
    assert_eq!(ask(&mut one, Is::Read, number + 1, b"/tool\0"), unknown);
    assert_eq!(ask(&mut one, Is::TransactionEnd, number + 1, b"T\0"), unknown);
    assert_eq!(ask(&mut one, Is::TransactionEnd, 0, b"T\0"), unknown);
    assert_eq!(ask(&mut one, Is::TransactionStart, number, b"\0"), refused(Errno::EBUSY));
    assert_eq!(ask(&mut one, Is::TransactionEnd, number, b"X\0"), refused(Errno::EINVAL));
    // A watch has nothing to do with it.
    assert!(ask(&mut other, Is::Watch, number, b"/a\0t\0").is_ok());
    assert!(ask(&mut one, Is::TransactionEnd, number, b"F\0").is_ok());
    assert_eq!(ask(&mut one, Is::TransactionEnd, number, b"F\0"), unknown);
}

#[test]
fn one_that_never_ends_is_given_up() {
    let world = World::with(|quotas| quotas.transaction_age = 20);
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    five.write("a", b"1").unwrap();
    let mut transaction = five.transaction().unwrap();
    transaction.write("b", b"2").unwrap();
    for number in 0..30_u8 {
        zero.write("/n", &[number]).unwrap();
    }
    // It sees the store as it is, and has no effect.
    assert_eq!(transaction.read("a").unwrap().unwrap(), b"1");
    transaction.write("a", b"3").unwrap();
    assert_eq!(transaction.commit(), AGAIN);
    assert_eq!(five.read("a").unwrap().unwrap(), b"1");
    assert_eq!(five.read("b").unwrap(), None);
}

#[test]
fn permissions_bind_inside_too() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    zero.write("/secret", b"1").unwrap();
    let mut transaction = five.transaction().unwrap();
    assert_eq!(transaction.read("/secret"), refused(Errno::EACCES));
    transaction.write("a", b"1").unwrap();
    transaction.commit().unwrap();
    assert_eq!(zero.get_perms("/local/domain/5/a").unwrap().unwrap(), perms("n5"));
}
