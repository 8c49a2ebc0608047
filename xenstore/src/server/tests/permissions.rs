//! Who may do what.

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::client::Store;
use crate::harness::{World, perms, refused};

#[test]
fn new_nodes_inherit_and_belong_to_their_maker() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    zero.mkdir("/shared").unwrap();
    zero.set_perms("/shared", &perms("b0 r7")).unwrap();
    five.write("/shared/a/b", b"1").unwrap();
    assert_eq!(zero.get_perms("/shared/a").unwrap().unwrap(), perms("b5 r7"));
    assert_eq!(zero.get_perms("/shared/a/b").unwrap().unwrap(), perms("b5 r7"));
    zero.write("/shared/z", b"1").unwrap();
    assert_eq!(zero.get_perms("/shared/z").unwrap().unwrap(), perms("b0 r7"));
}

#[test]
fn access_is_checked_for_each_operation() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    for (name, list) in [("none", "n0"), ("read", "n0 r5"), ("write", "n0 w5"), ("both", "n0 b5")] {
        let path = std::format!("/{name}");
        zero.write(&path, b"1").unwrap();
        zero.set_perms(&path, &perms(list)).unwrap();
        let (reads, writes) = (matches!(name, "read" | "both"), matches!(name, "write" | "both"));
        let access = |allowed: bool| if allowed { Ok(()) } else { refused(Errno::EACCES) };
        assert_eq!(five.read(&path).map(drop), access(reads), "{name}");
        assert_eq!(five.directory(&path).map(drop), access(reads), "{name}");
        assert_eq!(five.get_perms(&path).map(drop), access(reads), "{name}");
        assert_eq!(five.write(&path, b"2"), access(writes), "{name}");
        assert_eq!(five.mkdir(&path), access(writes), "{name}");
        assert_eq!(five.set_perms(&path, &perms("n5")), refused(Errno::EACCES), "{name}");
        assert_eq!(five.mkdir(&std::format!("{path}/child")), access(writes), "{name}");
        assert_eq!(five.rm(&path), access(writes), "{name}");
    }
}

#[test]
fn absence_is_told_only_to_who_may_read_above() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    zero.mkdir("/open").unwrap();
    zero.set_perms("/open", &perms("r0")).unwrap();
    assert_eq!(five.read("/open/a/b").unwrap(), None);
    assert_eq!(five.write("/open/a", b""), refused(Errno::EACCES));
    assert_eq!(five.read("/tool/a"), refused(Errno::EACCES));
    assert_eq!(five.rm("/open/a"), refused(Errno::EACCES));
}

#[test]
fn an_owner_sets_permissions_but_gives_nothing_away() {
    let world = World::new();
    let (mut zero, mut five, mut six) = (world.client(0), world.domain(5), world.domain(6));
    five.write("a", b"1").unwrap();
    let path = "/local/domain/5/a";
    assert_eq!(six.read(path), refused(Errno::EACCES));
    five.set_perms("a", &perms("n5 r6")).unwrap();
    assert_eq!(six.read(path).unwrap().unwrap(), b"1");
    assert_eq!(five.set_perms("a", &perms("n6")), refused(Errno::EPERM));
    zero.set_perms(path, &perms("n6")).unwrap();
    assert_eq!(five.read("a"), refused(Errno::EACCES));
    six.write(path, b"2").unwrap();
    assert_eq!(zero.set_perms("/nowhere", &perms("n0")), refused(Errno::ENOENT));
    world.server.borrow().check().unwrap();
}

#[test]
fn a_domain_acts_for_its_target() {
    let world = World::new();
    let (mut zero, mut five, mut six) = (world.client(0), world.domain(5), world.domain(6));
    five.write("a", b"1").unwrap();
    let path = "/local/domain/5/a";
    assert_eq!(six.write(path, b"2"), refused(Errno::EACCES));
    zero.set_target(DomId::new(6), DomId::new(5)).unwrap();
    six.write(path, b"2").unwrap();
    six.set_perms(path, &perms("n5 r0")).unwrap();
    // What it makes is its own all the same.
    six.mkdir("/local/domain/5/b").unwrap();
    assert_eq!(zero.get_perms("/local/domain/5/b").unwrap().unwrap(), perms("n6"));
    zero.release(DomId::new(5)).unwrap();
    zero.write(path, b"3").unwrap();
    zero.set_perms(path, &perms("n5")).unwrap();
    assert_eq!(six.read(path), refused(Errno::EACCES));
}

#[test]
fn a_new_domain_has_no_rights_of_the_old_one() {
    let world = World::new();
    let mut zero = world.client(0);
    let mut old = world.domain(5);
    zero.write("/a", b"1").unwrap();
    zero.set_perms("/a", &perms("n0 r5 r6")).unwrap();
    assert!(old.read("/a").is_ok());
    zero.release(DomId::new(5)).unwrap();
    let mut new = world.domain(5);
    assert_eq!(new.read("/a"), refused(Errno::EACCES));
    assert_eq!(zero.get_perms("/a").unwrap().unwrap(), perms("n0 r6"));
    // Nor by inheritance.
    zero.mkdir("/a/b").unwrap();
    assert_eq!(new.read("/a/b"), refused(Errno::EACCES));
    zero.set_perms("/a", &perms("n0 r5")).unwrap();
    assert!(new.read("/a").is_ok());
}
