//! Linear page tables: entries that refer to a table of their own level.

use pv_abi::mmu::MMUEXT_TLB_FLUSH_LOCAL;
use pv_tests::check;
use pv_tests::guest::{Guest, Page};

const EINVAL: i64 = -22;

const P: u64 = 1;
const RW: u64 = 2;
const TABLE: u64 = 0x67;
/// Present, accessed, for the kernel and its users: read-only.
const READ_ONLY: u64 = 0x25;

fn guest() -> Guest {
    Guest::pv32()
}

/// A pinned level-2 table with one entry to a level-1 table, and that.
fn level2(g: &mut Guest) -> (Page, Page) {
    let l1 = g.table_page(&[]);
    let l2 = g.table_page(&[(0, l1.maddr() | TABLE)]);
    assert_eq!(g.pin(2, l2.mfn), 0);
    (l2, l1)
}

#[test]
fn a_table_may_refer_to_itself() {
    let mut g = guest();
    let (l2, _) = level2(&mut g);
    assert_eq!(g.set_entry(l2.mfn, 5, l2.maddr() | READ_ONLY), 0);
    check::invariants(&g.sys);
    assert_eq!(g.set_entry(l2.mfn, 5, 0), 0);
    assert_eq!(g.set_entry(l2.mfn, 5, l2.maddr() | READ_ONLY), 0);
    assert_eq!(g.unpin(l2.mfn), 0, "and goes with itself");
    check::invariants(&g.sys);
    let word = g.sys.memory.frame(l2.mfn).unwrap().load();
    assert_eq!(word.type_count(), 0);
}

#[test]
fn its_tables_appear_in_a_window_but_only_to_read() {
    let mut g = guest();
    let (l2, l1) = level2(&mut g);
    assert_eq!(g.set_entry(g.root, 1, l2.maddr() | P), 0);
    assert_eq!(g.set_entry(l2.mfn, 5, l2.maddr() | READ_ONLY), 0);
    assert_eq!(g.mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0);
    // Slot 5 of the table for the second GiB: the level-1 tables of that GiB, one after another.
    let window = 0x4000_0000 + (5 << 21);
    assert_eq!(g.read::<u64>(window + 5 * 4096) & !0xfff, l1.maddr(), "itself, as the fifth");
    assert!(g.try_write(window, &[0]).is_err());
    check::invariants(&g.sys);
}

#[test]
fn no_such_entry_permits_writes() {
    let mut g = guest();
    let (a, _) = level2(&mut g);
    let (b, _) = level2(&mut g);
    for child in [&a, &b] {
        assert_eq!(g.set_entry(a.mfn, 5, child.maddr() | TABLE), EINVAL);
        assert_eq!(g.set_entry(a.mfn, 5, child.maddr() | READ_ONLY), 0);
        // XSA-182: nor does it come to permit them later.
        assert_eq!(g.set_entry(a.mfn, 5, child.maddr() | READ_ONLY | RW), EINVAL);
        assert_eq!(g.set_entry(a.mfn, 5, 0), 0);
        check::invariants(&g.sys);
    }
}

#[test]
fn xsa_240_chains_have_one_link() {
    let mut g = guest();
    let [a, b, c] = [0; 3].map(|_| level2(&mut g).0);
    assert_eq!(g.set_entry(a.mfn, 5, b.maddr() | READ_ONLY), 0);
    assert_eq!(g.set_entry(a.mfn, 6, b.maddr() | READ_ONLY), 0, "twice is no longer chain");
    assert_eq!(g.set_entry(b.mfn, 5, a.maddr() | READ_ONLY), EINVAL, "a loop");
    assert_eq!(g.set_entry(b.mfn, 5, c.maddr() | READ_ONLY), EINVAL, "a chain");
    assert_eq!(g.set_entry(c.mfn, 5, a.maddr() | READ_ONLY), EINVAL, "a chain");
    check::invariants(&g.sys);
    assert_eq!(g.set_entry(a.mfn, 5, 0), 0);
    assert_eq!(g.set_entry(b.mfn, 5, c.maddr() | READ_ONLY), EINVAL, "one is left");
    assert_eq!(g.set_entry(a.mfn, 6, 0), 0);
    assert_eq!(g.set_entry(b.mfn, 5, c.maddr() | READ_ONLY), 0);
    assert_eq!(g.set_entry(b.mfn, 6, b.maddr() | READ_ONLY), 0);
    check::invariants(&g.sys);
}

#[test]
fn a_table_that_is_referred_to_outlives_its_pin() {
    let mut g = guest();
    let (a, _) = level2(&mut g);
    let (b, _) = level2(&mut g);
    assert_eq!(g.set_entry(a.mfn, 5, b.maddr() | READ_ONLY), 0);
    assert_eq!(g.unpin(b.mfn), 0);
    check::invariants(&g.sys);
    assert_eq!(g.unpin(a.mfn), 0, "the last reference to both");
    check::invariants(&g.sys);
    for page in [&a, &b] {
        assert_eq!(g.sys.memory.frame(page.mfn).unwrap().load().type_count(), 0);
    }
}

#[test]
fn xsa_185_a_root_refers_to_no_root() {
    let mut g = guest();
    let root = g.root;
    assert_eq!(g.set_entry(root, 1, root.raw() << 12 | P), EINVAL);
    check::invariants(&g.sys);
}

#[test]
fn xsa_309_counts_survive_an_interrupted_validation() {
    let mut g = guest();
    let (b, _) = level2(&mut g);
    let l1s: Vec<Page> = (0..3).map(|_| g.table_page(&[])).collect();
    let entries: Vec<(u64, u64)> = std::iter::once((0, b.maddr() | READ_ONLY))
        .chain((1..).zip(&l1s).map(|(i, l1)| (i, l1.maddr() | TABLE)))
        .collect();
    let a = g.table_page(&entries);
    g.domain().paging.lock().full_budget = 2;
    assert_eq!(g.pin(2, a.mfn), 0);
    assert!(g.continuations > 0);
    check::invariants(&g.sys);
    assert_eq!(g.unpin(a.mfn), 0);
    check::invariants(&g.sys);
}
