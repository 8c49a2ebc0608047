//! Page tables and frames of other domains: what a privileged domain may do to them.

use std::sync::Arc;

use hypervisor::mm::frame::{Owner, Type};
use hypervisor::platform::Mmu;
use pv_abi::hypercall as nr;
use pv_abi::memory::XENMEM_DECREASE_RESERVATION;
use pv_abi::mmu::{
    MMU_MACHPHYS_UPDATE, MMUEXT_CLEAR_PAGE, MMUEXT_NEW_BASEPTR, MMUEXT_PIN_L1_TABLE,
    MMUEXT_SET_LDT, MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_UNPIN_TABLE, MmuUpdate,
};
use pv_abi::types::{DomId, Mfn};
use pv_abi::x86_32::MmuextOp;
use pv_tests::guest::{Guest, Page, Spec};
use pv_tests::{boot, check};

const EPERM: i64 = -1;
const ESRCH: i64 = -3;
const EINVAL: i64 = -22;

const P: u64 = 1;
const RW: u64 = 2;
const PCD: u64 = 0x10;

/// Domain 0 and domain 1, which domain 0 may act upon; two CPUs, one for each.
fn pair() -> (Guest, Guest) {
    let sys = boot::system(1024, 2);
    let dom0 = Guest::on(Arc::clone(&sys), Spec { pages: 96, ..Spec::default() });
    let domu = Guest::on(sys, Spec { id: 1, privileged: false, pages: 96, ..Spec::default() });
    let mut pair = (dom0, domu);
    pair.0.run_as(0);
    pair
}

fn foreigndom(frames: u16, tables: Option<u16>) -> u64 {
    u64::from(frames) | tables.map_or(0, |t| u64::from(t + 1) << 16)
}

/// `mmu_update` of the entry of `table` at `index`.
fn update(g: &mut Guest, table: Mfn, index: u64, value: u64, whose: u64) -> i64 {
    let request = MmuUpdate { ptr: (table.raw() << 12) + index * 8, val: value };
    let at = g.arg(&request);
    g.call(nr::MMU_UPDATE, &[at, 1, 0, whose])
}

/// Maps `mfn` of domain `id` at a page of the caller's, by either call.
fn map(g: &mut Guest, page: &Page, mfn: Mfn, flags: u64, id: u16) -> i64 {
    let value = mfn.raw() << 12 | flags;
    let args = [page.va, value & 0xffff_ffff, value >> 32, 2, u64::from(id)];
    g.call(nr::UPDATE_VA_MAPPING_OTHERDOMAIN, &args)
}

fn ext(g: &mut Guest, cmd: u32, mfn: Mfn, whose: u16) -> i64 {
    let op = MmuextOp { cmd, _pad: [], arg1: mfn.raw() as u32, arg2: 0 };
    let at = g.arg(&op);
    g.call(nr::MMUEXT_OP, &[at, 1, 0, u64::from(whose)])
}

#[test]
fn a_privileged_domain_maps_anothers_frame_and_writes_it() {
    let (mut dom0, mut domu) = pair();
    let (window, target) = (dom0.page(), domu.page());
    assert_eq!(map(&mut dom0, &window, target.mfn, P | RW, 1), 0);
    check::invariants(&dom0.sys);
    dom0.write(window.va, &0x1234_5678_u32);
    domu.run_as(0);
    assert_eq!(domu.read::<u32>(target.va), 0x1234_5678);
    dom0.run_as(0);
    // Gone again: and the frame's references with it.
    let own = window.mfn.raw() << 12 | P | RW;
    assert_eq!(dom0.call(nr::UPDATE_VA_MAPPING, &[window.va, own, 0, 0]), 0);
    let word = dom0.sys.memory.frame(target.mfn).unwrap().load();
    assert_eq!((word.total(), word.type_count()), (2, 1), "allocated, and its own mapping");
    check::invariants(&dom0.sys);
}

#[test]
fn others_may_not() {
    let (dom0, mut domu) = pair();
    domu.run_as(0);
    let window = domu.page();
    let theirs = dom0.frames[20];
    assert_eq!(map(&mut domu, &window, theirs, P, 0), EPERM);
    let table = domu.tables[1];
    for whose in [foreigndom(0, None), foreigndom(1, Some(0)), foreigndom(0, Some(0))] {
        assert_eq!(update(&mut domu, table, 0, theirs.raw() << 12 | P, whose), EPERM);
    }
    assert_eq!(ext(&mut domu, MMUEXT_PIN_L1_TABLE, theirs, 0), EPERM);
    assert_eq!(ext(&mut domu, MMUEXT_CLEAR_PAGE, theirs, 0), EPERM);
    check::invariants(&domu.sys);
}

#[test]
fn what_is_not_that_domains_is_refused() {
    let (mut dom0, mut domu) = pair();
    let window = dom0.page();
    let own = dom0.page();
    assert_eq!(map(&mut dom0, &window, own.mfn, P, 1), EINVAL, "its own, said to be another's");
    assert_eq!(map(&mut dom0, &window, Mfn::new(0xff_ffff), P, 1), EINVAL);
    assert_eq!(map(&mut dom0, &window, own.mfn, P, 9), ESRCH);
    assert_eq!(map(&mut dom0, &window, domu.root, P | RW, 1), EINVAL, "a page table");
    assert_eq!(map(&mut dom0, &window, domu.root, P, 1), 0, "to read one is harmless");
    let target = domu.page();
    assert_eq!(map(&mut dom0, &window, target.mfn, P | PCD, 1), EINVAL, "RAM is cached");
    check::invariants(&dom0.sys);
}

#[test]
fn a_frame_that_is_mapped_elsewhere_cannot_become_a_page_table() {
    let (mut dom0, mut domu) = pair();
    let (window, target) = (dom0.page(), domu.page());
    assert_eq!(map(&mut dom0, &window, target.mfn, P | RW, 1), 0);
    domu.run_as(0);
    let read_only = target.mfn.raw() << 12 | P;
    assert_eq!(domu.call(nr::UPDATE_VA_MAPPING, &[target.va, read_only, 0, 2]), 0);
    assert_eq!(ext(&mut domu, MMUEXT_PIN_L1_TABLE, target.mfn, 1), EINVAL);
    // Read-only in domain 0, it can; and domain 0's CPU has forgotten that it could write.
    dom0.run_as(0);
    dom0.write(window.va, &0_u64);
    assert_eq!(map(&mut dom0, &window, target.mfn, P, 1), 0);
    domu.run_as(0);
    assert_eq!(ext(&mut domu, MMUEXT_PIN_L1_TABLE, target.mfn, 1), 0);
    check::invariants(&domu.sys);
    dom0.run_as(0);
    assert!(dom0.try_write(window.va, &[1]).is_err());
}

#[test]
fn tables_of_another_domain_are_written_and_pinned() {
    let (mut dom0, mut domu) = pair();
    let target = domu.page();
    // Taken out of the domain's own mapping, made a table from outside.
    let (l1, index) = domu.l1_entry_of(target.va).expect("it is mapped");
    let index = index as u64;
    assert_eq!(update(&mut dom0, l1, index, 0, foreigndom(1, Some(1))), 0);
    assert_eq!(ext(&mut dom0, MMUEXT_PIN_L1_TABLE, target.mfn, 1), 0);
    assert_eq!(dom0.sys.memory.frame(target.mfn).unwrap().load().kind(), Type::L1);
    let page = domu.page();
    let entry = page.mfn.raw() << 12 | P | RW;
    assert_eq!(update(&mut dom0, target.mfn, 7, entry, foreigndom(1, Some(1))), 0);
    check::invariants(&dom0.sys);
    // An entry of its table may name a frame of domain 0's, if domain 0 says so.
    let lent = dom0.page();
    let entry = lent.mfn.raw() << 12 | P | RW;
    assert_eq!(update(&mut dom0, target.mfn, 8, entry, foreigndom(0, Some(1))), 0);
    check::invariants(&dom0.sys);
    assert_eq!(ext(&mut dom0, MMUEXT_UNPIN_TABLE, target.mfn, 1), 0);
    check::invariants(&dom0.sys);
    let word = dom0.sys.memory.frame(lent.mfn).unwrap().load();
    assert_eq!((word.total(), word.type_count()), (2, 1));
}

#[test]
fn an_address_space_is_its_owners() {
    let (mut dom0, domu) = pair();
    for cmd in [MMUEXT_NEW_BASEPTR, MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_SET_LDT] {
        assert_eq!(ext(&mut dom0, cmd, domu.root, 1), EPERM);
    }
}

#[test]
fn a_frame_lives_as_long_as_a_foreign_mapping() {
    let (mut dom0, mut domu) = pair();
    let (window, target) = (dom0.page(), domu.page());
    assert_eq!(map(&mut dom0, &window, target.mfn, P | RW, 1), 0);
    domu.run_as(0);
    assert_eq!(domu.call(nr::UPDATE_VA_MAPPING, &[target.va, 0, 0, 2]), 0);
    let list = [target.mfn.raw() as u32];
    assert_eq!(domu.reservation(XENMEM_DECREASE_RESERVATION, &list, 0, DomId::SELF).0, 1);
    let frame = dom0.sys.memory.frame(target.mfn).unwrap();
    assert_eq!(frame.owner(), Owner::Domain(DomId::new(1)), "still there");
    dom0.run_as(0);
    dom0.write(window.va, &1_u64);
    // The mapping goes without a flush that the guest asked for; no CPU reaches the frame then.
    assert_eq!(dom0.call(nr::UPDATE_VA_MAPPING, &[window.va, 0, 0, 0]), 0);
    assert_eq!(frame.owner(), Owner::Nobody);
    assert!(dom0.try_write(window.va, &[1]).is_err());
    check::invariants(&dom0.sys);
}

#[test]
fn m2p_entries_of_another_domain() {
    let (mut dom0, domu) = pair();
    let target = domu.frames[20];
    let ptr = target.raw() << 12 | u64::from(MMU_MACHPHYS_UPDATE);
    let at = dom0.arg(&MmuUpdate { ptr, val: 0x77 });
    assert_eq!(dom0.call(nr::MMU_UPDATE, &[at, 1, 0, foreigndom(1, None)]), 0);
    assert_eq!(dom0.sys.memory.m2p(target), 0x77);
    assert_eq!(dom0.call(nr::MMU_UPDATE, &[at, 1, 0, foreigndom(0, None)]), EINVAL);
}

#[test]
fn stores_of_one_cpu_do_not_outlive_a_change_on_another() {
    // Two vCPUs of one domain on two CPUs: what one unmaps the other cannot write any more once
    // the frame is a page table.
    let mut g = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    g.start_vcpu(1);
    let page = g.page();
    g.run_as(1);
    g.write(page.va, &0_u64);
    g.run_as(0);
    let read_only = page.mfn.raw() << 12 | P;
    assert_eq!(g.call(nr::UPDATE_VA_MAPPING, &[page.va, read_only, 0, 0]), 0);
    assert_eq!(ext(&mut g, MMUEXT_PIN_L1_TABLE, page.mfn, 0), 0);
    check::invariants(&g.sys);
    g.run_as(1);
    assert!(g.try_write(page.va, &[1]).is_err(), "the other CPU was flushed");
    g.sys.platform.flush_tlb();
}

#[test]
fn a_frame_changes_hands_only_unused() {
    let (mut dom0, mut domu) = pair();
    let sys = Arc::clone(&dom0.sys);
    let (from, to) = (dom0.id, domu.id);
    let page = dom0.page();
    let domain = |id| sys.domain(id).unwrap();
    assert!(sys.steal_page(domain(from), page.mfn).is_err(), "mapped");
    assert!(sys.steal_page(domain(from), dom0.root).is_err(), "pinned");
    assert!(sys.steal_page(domain(from), domain(from).shared_info).is_err(), "never allocated");
    assert!(sys.steal_page(domain(to), page.mfn).is_err(), "another's");
    dom0.write(page.va, &7_u64);
    assert_eq!(dom0.call(nr::UPDATE_VA_MAPPING, &[page.va, 0, 0, 0]), 0);
    let pages = |id| domain(id).pages.load(std::sync::atomic::Ordering::Relaxed);
    let before = (pages(from), pages(to));
    sys.steal_page(domain(from), page.mfn).unwrap();
    assert!(dom0.try_write(page.va, &[1]).is_err(), "no CPU still knows the way");
    assert!(domain(to).charge_pages(1).is_err(), "it has all it may have");
    domain(to).max_pages.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    domain(to).charge_pages(1).unwrap();
    sys.memory.hand_over(page.mfn, domain(to), 0);
    assert_eq!((pages(from), pages(to)), (before.0 - 1, before.1 + 1));
    check::invariants(&sys);
    domu.run_as(0);
    let window = domu.page();
    let entry = page.mfn.raw() << 12 | P | RW;
    assert_eq!(domu.call(nr::UPDATE_VA_MAPPING, &[window.va, entry, 0, 2]), 0);
    check::invariants(&sys);
}
