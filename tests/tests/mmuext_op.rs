//! `mmuext_op`: pins, roots, flushes, clearing and copying.

use hypervisor::mm::frame::{Type, Word};
use hypervisor::platform::Mmu;
use pv_abi::hypercall as nr;
use pv_abi::mmu::*;
use pv_abi::types::Mfn;
use pv_tests::check;
use pv_tests::guest::mmu::{P, RW, SELF, US};
use pv_tests::guest::{Guest, Page, Spec};

const EPERM: i64 = -1;
const EACCES: i64 = -13;
const EFAULT: i64 = -14;
const EBUSY: i64 = -16;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;
const EOPNOTSUPP: i64 = -95;

fn guest() -> Guest {
    Guest::with(Spec { base: 0x8000_0000, ..Spec::default() })
}

fn word(guest: &Guest, mfn: Mfn) -> Word {
    guest.sys.memory.frame(mfn).expect("a frame").load()
}

/// A root with the guest's own memory in slot 2, and what has to be in slot 3.
fn new_root(g: &mut Guest) -> Page {
    let home = g.entry(g.root, 2) & 0x000f_ffff_ffff_f000 | P;
    let top = g.table_page(&[]).maddr() | P;
    g.table_page(&[(2, home), (3, top)])
}

#[test]
fn a_pin_validates_and_an_unpin_lets_go() {
    let mut g = guest();
    let page = g.page();
    let table = g.table_page(&[(0, page.maddr() | P | RW), (511, page.maddr() | P)]);
    assert_eq!(g.pin(1, table.mfn), 0);
    let w = word(&g, table.mfn);
    assert_eq!((w.kind(), w.pinned(), w.type_count()), (Type::L1, true, 1));
    check::invariants(&g.sys);
    assert_eq!(g.pin(1, table.mfn), EINVAL, "it is pinned already");
    assert_eq!(g.pin(2, table.mfn), EINVAL, "and is not of another level");
    assert_eq!(g.update_va(table.va, table.maddr() | P | RW, 0), EINVAL, "nor writable");
    assert_eq!(g.unpin(table.mfn), 0);
    assert_eq!(g.unpin(table.mfn), EINVAL, "not pinned any more");
    assert_eq!(g.update_va(table.va, table.maddr() | P | RW, 0), 0);
    check::invariants(&g.sys);
}

#[test]
fn a_page_that_is_mapped_writable_is_no_table() {
    let mut g = guest();
    let page = g.page();
    for level in 1..=3 {
        assert_eq!(g.pin(level, page.mfn), EINVAL);
    }
    check::invariants(&g.sys);
}

#[test]
fn pins_of_what_is_not_the_guests() {
    let mut g = guest();
    let other = Guest::on(g.sys.clone(), Spec { id: 1, pages: 64, ..Spec::default() });
    g.run_as(0);
    let l4 = g.vcpu().state.lock().l4;
    g.machine().load_root(l4);
    for mfn in [other.root, other.frames[9], l4, Mfn::new(1), Mfn::new(0), Mfn::new(0xffff_ffff)] {
        for level in 1..=3 {
            assert_eq!(g.pin(level, mfn), EINVAL, "{mfn}");
        }
        assert_eq!(g.unpin(mfn), EINVAL, "{mfn}");
        assert_eq!(g.mmuext(MMUEXT_NEW_BASEPTR, mfn.raw(), 0), EINVAL, "{mfn}");
        assert_eq!(g.mmuext(MMUEXT_CLEAR_PAGE, mfn.raw(), 0), EINVAL, "{mfn}");
    }
    check::invariants(&g.sys);
}

#[test]
fn a_bad_entry_anywhere_undoes_the_validation() {
    // Not one that may map devices.
    let mut g = Guest::with(Spec { privileged: false, ..Spec::default() });
    let page = g.page();
    let good = page.maddr() | P | RW;
    for bad in [g.root.raw() << 12 | P | RW, 1 << 12 | P, page.maddr() | P | 0x10, 1 << 50 | P] {
        for at in [0, 1, 255, 511] {
            let table = g.table_page(&[(0, good), (100, good), (400, good), (at, bad)]);
            let before = word(&g, page.mfn);
            assert_eq!(g.pin(1, table.mfn), EINVAL);
            assert_eq!(word(&g, page.mfn), before);
            check::invariants(&g.sys);
        }
    }
}

#[test]
fn level_4_is_passed_over() {
    let mut g = guest();
    assert_eq!(g.pin(4, g.root), 0);
    assert_eq!(g.pin(4, Mfn::new(0xffff_ffff)), 0);
}

#[test]
fn a_root_needs_the_windows_table_of_its_own() {
    let mut g = guest();
    let empty = g.table_page(&[]);
    assert_eq!(g.pin(3, empty.mfn), EINVAL, "slot 3 is empty");
    let top = g.entry(g.root, 3) & 0x000f_ffff_ffff_f000 | P;
    let thief = g.table_page(&[(3, top)]);
    assert_eq!(g.pin(3, thief.mfn), EBUSY, "it is another root's");
    let root = new_root(&mut g);
    assert_eq!(g.pin(3, root.mfn), 0);
    let top = Mfn::new(g.entry(root.mfn, 3) >> 12 & 0xff_ffff);
    assert_eq!(word(&g, top).kind(), Type::L2Top);
    assert_eq!(g.pin(2, top), EINVAL, "the window's table cannot be pinned as another");
    check::invariants(&g.sys);
}

#[test]
fn entries_past_the_fourth_of_a_root_are_wiped() {
    let mut g = guest();
    let page = g.page();
    let top = g.table_page(&[]).maddr() | P;
    let root = g.table_page(&[(3, top), (4, page.maddr() | P | RW), (511, u64::MAX)]);
    assert_eq!(g.pin(3, root.mfn), 0);
    assert_eq!((g.entry(root.mfn, 4), g.entry(root.mfn, 511)), (0, 0));
    check::invariants(&g.sys);
}

#[test]
fn a_new_root_is_walked_at_once() {
    let mut g = guest();
    let root = new_root(&mut g);
    assert_eq!(g.pin(3, root.mfn), 0);
    let (old, loads) = (g.root, g.machine().this().root_loads);
    assert_eq!(g.mmuext(MMUEXT_NEW_BASEPTR, root.mfn.raw(), 0), 0);
    assert_eq!(g.machine().this().root_loads, loads + 1);
    assert_eq!(g.vcpu().state.lock().root, root.mfn);
    assert_eq!(word(&g, root.mfn).type_count(), 2);
    assert_eq!(word(&g, old).type_count(), 1, "only its pin is left");
    let l4 = g.vcpu().state.lock().l4;
    assert_eq!(g.entry(l4, 0) >> 12, root.mfn.raw());
    check::invariants(&g.sys);
    // The same again changes nothing.
    assert_eq!(g.mmuext(MMUEXT_NEW_BASEPTR, root.mfn.raw(), 0), 0);
    assert_eq!(g.machine().this().root_loads, loads + 1);
    // The old one goes when its pin goes; the loaded one stays without a pin.
    assert_eq!(g.unpin(old), 0);
    assert_eq!(word(&g, old).type_count(), 0);
    assert_eq!(g.unpin(root.mfn), 0);
    assert_eq!(word(&g, root.mfn).type_count(), 1);
    check::invariants(&g.sys);
}

#[test]
fn a_root_need_not_be_pinned_but_must_be_valid() {
    let mut g = guest();
    let bad = g.table_page(&[]);
    assert_eq!(g.mmuext(MMUEXT_NEW_BASEPTR, bad.mfn.raw(), 0), EINVAL);
    let l1 = g.table_page(&[]);
    assert_eq!(g.pin(1, l1.mfn), 0);
    assert_eq!(g.mmuext(MMUEXT_NEW_BASEPTR, l1.mfn.raw(), 0), EINVAL);
    let root = new_root(&mut g);
    assert_eq!(g.mmuext(MMUEXT_NEW_BASEPTR, root.mfn.raw(), 0), 0);
    check::invariants(&g.sys);
}

#[test]
fn flushes() {
    let mut g = guest();
    let counts = |g: &Guest| {
        let cpu = g.machine().this();
        (cpu.flushes, cpu.flushed_pages.len(), cpu.cache_flushes)
    };
    let (all, one, cache) = counts(&g);
    assert_eq!(g.mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0);
    assert_eq!(g.mmuext(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0);
    let mask = g.arg(&1_u32);
    assert_eq!(g.mmuext(MMUEXT_TLB_FLUSH_MULTI, 0, mask), 0);
    assert_eq!(counts(&g), (all + 3, one, cache));
    assert_eq!(g.mmuext(MMUEXT_INVLPG_LOCAL, 0x8000_1000, 0), 0);
    assert_eq!(g.mmuext(MMUEXT_INVLPG_ALL, 0x8000_2000, 0), 0);
    assert_eq!(g.mmuext(MMUEXT_INVLPG_MULTI, 0x8000_3000, mask), 0);
    assert_eq!(counts(&g), (all + 3, one + 3, cache));
    assert_eq!(g.mmuext(MMUEXT_FLUSH_CACHE, 0, 0), 0);
    assert_eq!(g.mmuext(MMUEXT_FLUSH_CACHE_GLOBAL, 0, 0), 0);
    assert_eq!(counts(&g), (all + 3, one + 3, cache + 2));
    assert_eq!(g.mmuext(MMUEXT_TLB_FLUSH_MULTI, 0, 0x1000), EFAULT);
    assert_eq!(g.mmuext(MMUEXT_INVLPG_MULTI, 0x8000_3000, 0x1000), EFAULT);
    assert_eq!(counts(&g), (all + 3, one + 3, cache + 2));
}

#[test]
fn caches_are_not_for_everybody_to_flush() {
    let mut g = Guest::with(Spec { privileged: false, ..Spec::default() });
    assert_eq!(g.mmuext(MMUEXT_FLUSH_CACHE, 0, 0), EACCES);
    assert_eq!(g.mmuext(MMUEXT_FLUSH_CACHE_GLOBAL, 0, 0), EACCES);
    assert_eq!(g.machine().this().cache_flushes, 0);
}

#[test]
fn pages_are_cleared_and_copied() {
    let mut g = guest();
    let (a, b) = (g.page(), g.page());
    g.write(a.va, &[7_u8; 4096]);
    assert_eq!(g.mmuext(MMUEXT_COPY_PAGE, b.mfn.raw(), a.mfn.raw()), 0);
    assert_eq!(g.read::<[u8; 4096]>(b.va), [7; 4096]);
    assert_eq!(g.mmuext(MMUEXT_CLEAR_PAGE, a.mfn.raw(), 0), 0);
    assert_eq!(g.read::<[u8; 4096]>(a.va), [0; 4096]);
    // From a page table, but not to one.
    assert_eq!(g.mmuext(MMUEXT_COPY_PAGE, b.mfn.raw(), g.root.raw()), 0);
    assert_eq!(g.read::<u64>(b.va + 16) & !0xfff, g.entry(g.root, 2) & !0xfff);
    assert_eq!(g.mmuext(MMUEXT_COPY_PAGE, g.root.raw(), b.mfn.raw()), EINVAL);
    assert_eq!(g.mmuext(MMUEXT_CLEAR_PAGE, g.root.raw(), 0), EINVAL);
    assert_eq!(g.mmuext(MMUEXT_COPY_PAGE, b.mfn.raw(), 1), EINVAL, "from a frame not its own");
    check::invariants(&g.sys);
}

#[test]
fn an_ldt_is_a_page_in_the_guests_range() {
    let mut g = guest();
    let page = g.page();
    assert_eq!(g.mmuext(MMUEXT_SET_LDT, page.va, 512), 0);
    assert_eq!(g.machine().this().ldt.map(|(_, n)| n), Some(512));
    assert_eq!(g.mmuext(MMUEXT_SET_LDT, page.va + 8, 512), EINVAL);
    assert_eq!(g.mmuext(MMUEXT_SET_LDT, page.va, 8193), EINVAL);
    assert_eq!(g.mmuext(MMUEXT_SET_LDT, page.va, 8192), 0);
    assert_eq!(g.mmuext(MMUEXT_SET_LDT, 0, 0), 0);
    assert_eq!(g.machine().this().ldt, None);
}

#[test]
fn what_there_is_not() {
    let mut g = guest();
    assert_eq!(g.mmuext(MMUEXT_MARK_SUPER, 0x200, 0), EOPNOTSUPP);
    assert_eq!(g.mmuext(MMUEXT_UNMARK_SUPER, 0x200, 0), EOPNOTSUPP);
    for cmd in [14, 21, 1000, u32::MAX] {
        assert_eq!(g.mmuext(cmd, 0, 0), ENOSYS);
    }
    assert_eq!(g.mmuext(MMUEXT_NEW_USER_BASEPTR, g.root.raw(), 0), ENOSYS, "64-bit guests only");
}

#[test]
fn lists_and_their_places() {
    let mut g = guest();
    let flush = (MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    assert_eq!(g.mmuext_list(&[]), (0, 0));
    assert_eq!(g.mmuext_list(&[flush, flush]), (0, 2));
    assert_eq!(g.mmuext_list(&[flush, flush, (99, 0, 0), flush]), (ENOSYS, 2));
    assert_eq!(g.mmuext_list(&vec![flush; 500]), (0, 500));
    assert!(g.continuations > 0, "a long list is interrupted");
    assert_eq!(g.call(nr::MMUEXT_OP, &[0x1000, 1, 0, SELF]), EFAULT);
    assert_eq!(g.call(nr::MMUEXT_OP, &[0x1000, 0, 0, SELF]), 0);
    let mut domu = Guest::with(Spec { privileged: false, ..Spec::default() });
    let at = domu.arg(&[0_u32; 3]);
    assert_eq!(domu.call(nr::MMUEXT_OP, &[at, 1, 0, 7]), EPERM, "of another domain");
}

/// A level-2 table over `count` level-1 tables with an entry each.
fn wide_table(g: &mut Guest, count: u64) -> Page {
    let page = g.page();
    let mut entries = Vec::new();
    for i in 0..count {
        let l1 = g.table_page(&[(i, page.maddr() | P | RW)]);
        entries.push((i, l1.maddr() | P | RW | US));
    }
    g.table_page(&entries)
}

#[test]
fn long_pins_and_unpins_are_interrupted_and_finish() {
    let mut g = Guest::with(Spec { base: 0x8000_0000, pages: 400, ..Spec::default() });
    let table = wide_table(&mut g, 100);
    let before = g.continuations;
    assert_eq!(g.pin(2, table.mfn), 0);
    assert!(g.continuations >= before + 3, "{} continuations", g.continuations - before);
    check::invariants(&g.sys);
    let before = g.continuations;
    assert_eq!(g.unpin(table.mfn), 0);
    assert!(g.continuations >= before + 3, "{} continuations", g.continuations - before);
    check::invariants(&g.sys);
    assert_eq!(word(&g, table.mfn).type_count(), 0);
    assert!(!word(&g, table.mfn).partial());
}

#[test]
fn a_guest_may_give_up_half_way() {
    let mut g = Guest::with(Spec { base: 0x8000_0000, pages: 400, ..Spec::default() });
    let table = wide_table(&mut g, 100);
    let op = [MMUEXT_PIN_L2_TABLE, table.mfn.raw() as u32, 0];
    let at = g.arg(&op);
    g.set_call(nr::MMUEXT_OP, &[at, 1, 0, SELF]);
    for _ in 0..2 {
        assert_eq!(g.step(), None);
        check::invariants(&g.sys);
    }
    assert!(word(&g, table.mfn).partial());
    // Its contents are still guarded; who wants to write it waits until it is taken apart.
    assert_eq!(g.update_va(table.va, table.maddr() | P | RW, UVMF_INVLPG), 0);
    assert!(!word(&g, table.mfn).partial());
    g.write(table.va, &0_u64);
    check::invariants(&g.sys);
}
