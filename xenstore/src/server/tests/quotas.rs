//! Limits: reached, passed, and for whom they do not hold.

use pv_abi::errno::Errno;
use std::format;
use std::vec;

use crate::client::Store;
use crate::harness::{World, ask, events, perms, refused};
use crate::quota::Quotas;
use crate::wire::MessageType;

#[test]
fn nodes() {
    let world = World::with(|quotas| quotas.nodes = 3);
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    // Its home is its own.
    assert_eq!(five.write("a/b/c", b""), refused(Errno::ENOSPC));
    assert_eq!(five.read("a").unwrap(), None);
    five.write("a/b", b"").unwrap();
    assert_eq!(five.mkdir("c"), refused(Errno::ENOSPC));
    five.rm("a/b").unwrap();
    five.mkdir("c").unwrap();
    zero.write("/many/nodes/of/domain/0", b"").unwrap();
}

#[test]
fn nodes_in_a_transaction() {
    let world = World::with(|quotas| quotas.nodes = 3);
    let mut five = world.domain(5);
    let mut transaction = five.transaction().unwrap();
    transaction.mkdir("a").unwrap();
    transaction.mkdir("b").unwrap();
    assert_eq!(transaction.mkdir("c"), refused(Errno::ENOSPC));
    transaction.rm("a").unwrap();
    transaction.mkdir("c").unwrap();
    transaction.commit().unwrap();
    // Two that fit alone and not together.
    five.rm("b").unwrap();
    let mut other = world.client(5);
    let mut transaction = five.transaction().unwrap();
    transaction.mkdir("d").unwrap();
    other.mkdir("e").unwrap();
    assert_eq!(transaction.commit(), refused(Errno::ENOSPC));
}

#[test]
fn size_of_a_node() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    let fits = vec![1; 2048 - size_of::<crate::perms::Permission>()];
    five.write("a", &fits).unwrap();
    let more = [&fits[..], b"1"].concat();
    assert_eq!(five.write("a", &more), refused(Errno::ENOSPC));
    assert_eq!(five.write("b", &more), refused(Errno::ENOSPC));
    zero.write("/local/domain/5/a", &more).unwrap();
}

#[test]
fn entries_of_permissions() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    five.mkdir("a").unwrap();
    five.set_perms("a", &perms("n5 r1 r2 r3 r4")).unwrap();
    assert_eq!(five.set_perms("a", &perms("n5 r1 r2 r3 r4 r6")), refused(Errno::ENOSPC));
    zero.set_perms("/local/domain/5/a", &perms("n5 r1 r2 r3 r4 r6")).unwrap();
}

#[test]
fn watches() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    for number in 0..128 {
        five.watch("a", &format!("{number}")).unwrap();
        zero.watch("a", &format!("{number}")).unwrap();
    }
    assert_eq!(five.watch("a", "128"), refused(Errno::E2BIG));
    zero.watch("a", "128").unwrap();
    five.unwatch("a", "0").unwrap();
    five.watch("a", "128").unwrap();
}

#[test]
fn transactions() {
    let world = World::new();
    let mut five = world.domain(5);
    let start = |client: &mut _| ask(client, MessageType::TransactionStart, 0, b"\0");
    for _ in 0..10 {
        start(&mut five).unwrap();
    }
    assert_eq!(start(&mut five), refused(Errno::ENOSPC));
    ask(&mut five, MessageType::TransactionEnd, 3, b"F\0").unwrap();
    start(&mut five).unwrap();
}

#[test]
fn nodes_that_a_transaction_touches() {
    let world = World::with(|quotas| quotas.transaction_nodes = 4);
    let mut five = world.domain(5);
    let mut transaction = five.transaction().unwrap();
    // Each looks at home too.
    for name in ["a", "b", "c"] {
        transaction.read(name).unwrap();
    }
    assert_eq!(transaction.read("d"), refused(Errno::ENOSPC));
    transaction.read("a").unwrap();
    transaction.commit().unwrap();
}

#[test]
fn memory() {
    let world = World::with(|quotas| quotas.memory = 4000);
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    five.write("a", &[1; 1500]).unwrap();
    five.write("b", &[1; 1500]).unwrap();
    assert_eq!(five.write("c", &[1; 1500]), refused(Errno::ENOMEM));
    let mut transaction = five.transaction().unwrap();
    assert_eq!(transaction.write("c", &[1; 1500]), refused(Errno::ENOMEM));
    transaction.abort().unwrap();
    assert_eq!(five.watch("x", &"t".repeat(1000)), refused(Errno::ENOMEM));
    five.rm("b").unwrap();
    five.write("c", &[1; 1500]).unwrap();
    five.rm("c").unwrap();
    // Events that do not fit any more are dropped.
    zero.mkdir("/open").unwrap();
    zero.set_perms("/open", &perms("r0")).unwrap();
    five.watch("/open", "t").unwrap();
    events(&mut five);
    for number in 0..100 {
        zero.write(&format!("/open/{number}-{}", "x".repeat(200)), b"").unwrap();
    }
    let told = events(&mut five).len();
    assert!((1..20).contains(&told), "{told}");
}

#[test]
fn accounts_are_empty_at_the_end() {
    let world = World::new();
    let (mut zero, mut five) = (world.client(0), world.domain(5));
    let five_is = pv_abi::types::DomId::new(5);
    five.write("a/b", b"1").unwrap();
    five.watch("a", "t").unwrap();
    let mut transaction = five.transaction().unwrap();
    transaction.write("c", b"1").unwrap();
    transaction.read("a").unwrap();
    transaction.commit().unwrap();
    events(&mut five);
    five.unwatch("a", "t").unwrap();
    let text = zero.control(&["quota", "5"]).unwrap();
    let sizes = [("", 0), ("/a", 0), ("/a/b", 1), ("/c", 1)]
        .map(|(path, value)| "/local/domain/5".len() + path.len() + value + 4);
    let nodes: usize = sizes.iter().sum();
    assert!(text.contains(&format!("memory          : {nodes:8}\n")), "{text}");
    assert!(text.contains("outstanding     :        0\n"), "{text}");
    zero.release(five_is).unwrap();
    assert_eq!(zero.control(&["quota", "5"]), refused(Errno::ENOENT));
}

#[test]
fn the_defaults_are_xens() {
    let expected = [
        ("nodes", 1000),
        ("node-size", 2048),
        ("node-permissions", 5),
        ("watches", 128),
        ("transactions", 10),
        ("transaction-nodes", 1024),
        ("outstanding", 20),
        ("memory", 2_621_440),
    ];
    for limit in expected {
        assert!(Quotas::default().named().any(|own| own == limit), "{limit:?}");
    }
}
