//! `update_va_mapping`: the mapping of one address, and the flush that goes with it.

use hypervisor::width::Width;
use pv_abi::mmu::{UVMF_ALL, UVMF_INVLPG, UVMF_NONE, UVMF_TLB_FLUSH};
use pv_tests::check;
use pv_tests::guest::mmu::{P, RW};
use pv_tests::guest::{Guest, Spec};

const EFAULT: i64 = -14;
const EINVAL: i64 = -22;

fn guest() -> Guest {
    // Not one that may map devices.
    let pv32 = Spec { width: Width::Pv32, privileged: false, ..Spec::default() };
    Guest::with(Spec { base: 0x8000_0000, ..pv32 })
}

#[test]
fn it_maps_and_unmaps() {
    let mut g = guest();
    let (a, b) = (g.page(), g.page());
    g.write(b.va, &99_u32);
    assert_eq!(g.update_va(a.va, b.maddr() | P, UVMF_INVLPG), 0);
    assert_eq!(g.read::<u32>(a.va), 99);
    assert!(g.try_write(a.va, &[0]).is_err(), "read-only");
    assert_eq!(g.update_va(a.va, 0, UVMF_INVLPG), 0);
    assert!(g.try_read(a.va, &mut [0]).is_err());
    check::invariants(&g.sys);
    // Nothing maps `a` any more: it can become a table.
    assert_eq!(g.pin(1, a.mfn), 0);
    check::invariants(&g.sys);
}

#[test]
fn offsets_in_the_page_do_not_matter() {
    let mut g = guest();
    let page = g.page();
    assert_eq!(g.update_va(page.va + 0xabc, page.maddr() | P, UVMF_INVLPG), 0);
    assert!(g.try_write(page.va, &[0]).is_err());
}

#[test]
fn the_flush_is_the_one_that_was_asked_for() {
    let mut g = guest();
    let page = g.page();
    let entry = page.maddr() | P | RW;
    let counts = |g: &Guest| {
        let cpu = g.machine().this();
        (cpu.flushes, cpu.flushed_pages.len())
    };
    let (flushes, pages) = counts(&g);
    assert_eq!(g.update_va(page.va, entry, UVMF_NONE), 0);
    assert_eq!(counts(&g), (flushes, pages), "none");
    assert_eq!(g.update_va(page.va, entry, UVMF_INVLPG), 0);
    assert_eq!(counts(&g), (flushes, pages + 1), "one page");
    assert_eq!(g.machine().this().flushed_pages.last(), Some(&page.va));
    assert_eq!(g.update_va(page.va, entry, UVMF_TLB_FLUSH), 0);
    assert_eq!(counts(&g), (flushes + 1, pages + 1), "all");
    assert_eq!(g.update_va(page.va, entry, UVMF_TLB_FLUSH | UVMF_ALL), 0);
    assert_eq!(g.update_va(page.va, entry, UVMF_INVLPG | UVMF_ALL), 0);
    assert_eq!(counts(&g), (flushes + 2, pages + 2), "on all vCPUs");
    let mask = g.arg(&1_u32);
    assert_eq!(g.update_va(page.va, entry, UVMF_INVLPG | mask), 0);
    assert_eq!(counts(&g), (flushes + 2, pages + 3), "on those of a mask");
    assert_eq!(g.update_va(page.va, entry, UVMF_INVLPG | 0x1000), EFAULT, "no mask there");
}

#[test]
fn a_refusal_changes_and_flushes_nothing() {
    let mut g = guest();
    let page = g.page();
    g.write(page.va, &1_u8);
    let before = g.machine().this().flushes;
    for entry in [g.root.raw() << 12 | P | RW, P, page.maddr() | P | 0x10] {
        assert_eq!(g.update_va(page.va, entry, UVMF_TLB_FLUSH), EINVAL);
        assert_eq!(g.update_va(page.va, entry, UVMF_INVLPG), EINVAL);
    }
    assert_eq!(g.machine().this().flushes, before);
    assert!(g.machine().this().flushed_pages.iter().all(|va| *va != page.va));
    g.write(page.va, &2_u8);
    check::invariants(&g.sys);
}

#[test]
fn addresses_without_a_table_of_the_guests() {
    let mut g = guest();
    let page = g.page();
    for va in [0, 0x1000, 0x7fff_f000, 0xc000_0000, 0xf57f_f000] {
        assert_eq!(g.update_va(va, page.maddr() | P, 0), EINVAL, "{va:#x}: no table");
        assert_eq!(g.update_va(va, 0, 0), EINVAL, "{va:#x}: no table");
    }
    for va in [0xf580_0000, 0xf5ff_f000, 0xffff_f000] {
        assert_eq!(g.update_va(va, page.maddr() | P, 0), EINVAL, "{va:#x}: the hypervisor's");
        assert_eq!(g.update_va(va, 0, 0), EINVAL, "{va:#x}: the hypervisor's");
    }
    check::invariants(&g.sys);
}
