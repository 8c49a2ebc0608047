//! `mmu_update`: each command, each refusal, and lists that are cut short.

use hypervisor::mm::frame::Type;
use pv_abi::hypercall as nr;
use pv_abi::mmu::{
    MMU_MACHPHYS_UPDATE, MMU_NORMAL_PT_UPDATE, MMU_PT_UPDATE_NO_TRANSLATE,
    MMU_PT_UPDATE_PRESERVE_AD,
};
use pv_abi::types::Mfn;
use pv_tests::check;
use pv_tests::guest::mmu::{P, RW, SELF, US};
use pv_tests::guest::{Guest, Spec};

/// Uncached: not for memory.
const PCD: u64 = 0x10;
const EPERM: i64 = -1;
const ESRCH: i64 = -3;
const EFAULT: i64 = -14;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;

/// An unprivileged guest with room below its kernel, and another one beside it.
fn two() -> (Guest, Guest) {
    let spec = Spec { base: 0x8000_0000, privileged: false, ..Spec::default() };
    let one = Guest::with(spec.clone());
    let two = Guest::on(one.sys.clone(), Spec { id: 1, ..spec });
    let mut one = one;
    one.run_as(0);
    use hypervisor::platform::Mmu;
    let l4 = one.vcpu().state.lock().l4;
    one.machine().load_root(l4);
    (one, two)
}

fn guest() -> Guest {
    Guest::with(Spec { base: 0x8000_0000, ..Spec::default() })
}

fn kind(guest: &Guest, mfn: Mfn) -> Type {
    guest.sys.memory.frame(mfn).expect("a frame").load().kind()
}

#[test]
fn an_entry_maps_a_page_at_once() {
    let mut g = guest();
    let (a, b) = (g.page(), g.page());
    g.write(b.va, &0x1234_5678_u32);
    let at = g.l1_maddr_of(a.va) | u64::from(MMU_NORMAL_PT_UPDATE);
    assert_eq!(g.mmu_update(&[(at, b.maddr() | P | RW)]), (0, 1));
    g.machine().this().tlb.clear();
    assert_eq!(g.read::<u32>(a.va), 0x1234_5678);
    check::invariants(&g.sys);
}

#[test]
fn nothing_to_do_is_done() {
    let mut g = guest();
    assert_eq!(g.mmu_update(&[]), (0, 0));
    // Without a place for the count, and with a list that is not there.
    assert_eq!(g.call(nr::MMU_UPDATE, &[0x1000, 0, 0, SELF]), 0);
}

#[test]
fn a_table_is_hung_in_and_taken_out() {
    let mut g = guest();
    let page = g.page();
    let table = g.table_page(&[(5, page.maddr() | P | RW)]);
    let l2 = g.entry(g.root, 2) & !0xfff;
    let (slot, entry) = (l2 + 8 * 100, table.maddr() | P | RW | US);
    assert_eq!(g.mmu_update(&[(slot, entry)]).0, 0);
    assert_eq!(kind(&g, table.mfn), Type::L1);
    let va = 0x8000_0000 + (100 << 21) + 5 * 4096;
    g.write(page.va, &7_u32);
    assert_eq!(g.read::<u32>(va), 7);
    check::invariants(&g.sys);
    assert_eq!(g.mmu_update(&[(slot, 0)]).0, 0);
    assert!(g.try_read(va, &mut [0]).is_err(), "the way through the table is forgotten");
    check::invariants(&g.sys);
    // Ordinary memory again.
    assert_eq!(g.update_va(table.va, table.maddr() | P | RW, 0), 0);
}

#[test]
fn entries_that_would_give_away_too_much_are_refused() {
    let (mut g, other) = two();
    let page = g.page();
    let at = g.l1_maddr_of(page.va);
    let before = g.entry(Mfn::new(at >> 12), (at & 0xfff) as usize / 8);
    let beyond = g.sys.memory.frame_count() << 12;
    let l4 = g.vcpu().state.lock().l4.raw() << 12;
    for (entry, what) in [
        (g.root.raw() << 12 | P | RW, "a page table, writable"),
        (other.frames[9].raw() << 12 | P, "another domain's frame"),
        (other.frames[9].raw() << 12 | P | RW, "another domain's frame, writable"),
        (l4 | P, "a frame of the hypervisor's"),
        (1 << 12 | P, "the M2P"),
        (beyond | P, "no frame at all"),
        (0x000f_ffff_ffff_f000 | P, "the highest frame number"),
        (page.maddr() | P | 0x08, "write-through"),
        (page.maddr() | P | 0x10, "uncached"),
        (page.maddr() | P | 0x80, "PAT"),
    ] {
        assert_eq!(g.mmu_update(&[(at, entry)]), (EINVAL, 0), "{what}");
        let after = g.entry(Mfn::new(at >> 12), (at & 0xfff) as usize / 8);
        assert_eq!(after & !0x60, before & !0x60, "{what}: nothing has changed");
    }
    check::invariants(&g.sys);
}

#[test]
fn what_is_harmless_is_allowed() {
    let mut g = guest();
    let page = g.page();
    let at = g.l1_maddr_of(page.va);
    for (entry, what) in [
        (g.root.raw() << 12 | P, "a page table, read-only"),
        (page.maddr() | P | RW | US | 0x60, "for Ring 3, accessed, dirty"),
        (page.maddr() | P | RW | 0xe00, "bits for software"),
        (page.maddr() | P | 1 << 63, "no execution"),
        (page.maddr() | P | 0x7ff << 52, "high bits for software"),
        (page.maddr() | P | 0x100, "global"),
        (0xdead_beef_0000_0000 & !P, "anything that is not present"),
        (g.domain().shared_info.raw() << 12 | P | RW, "the shared info page"),
    ] {
        assert_eq!(g.mmu_update(&[(at, entry)]), (0, 1), "{what}");
        assert_eq!(g.entry(Mfn::new(at >> 12), (at & 0xfff) as usize / 8), entry, "{what}");
        check::invariants(&g.sys);
    }
}

#[test]
fn higher_tables_refuse_large_pages_and_wrong_levels() {
    let mut g = guest();
    let page = g.page();
    let l1 = g.table_page(&[]);
    let l2 = Mfn::new(g.entry(g.root, 2) >> 12 & 0xff_ffff);
    for (entry, what) in [
        (page.maddr() & !0x1f_ffff | P | RW | 0x80, "2 MiB at once"),
        (page.maddr() | P | RW, "a page that is mapped writable"),
        (l2.raw() << 12 | P | RW, "itself: a linear page table"),
        (g.root.raw() << 12 | P | RW, "the root"),
        (l1.maddr() | P | RW | 0x10, "uncached"),
        (l1.maddr() | P | RW | 0x100, "global"),
    ] {
        assert_eq!(g.set_entry(l2, 300, entry), EINVAL, "{what}");
    }
    let root = g.root;
    for (index, entry, what) in [
        (3, 0, "the window's table taken out"),
        (3, g.table_page(&[]).maddr() | P, "another table for the window"),
        (4, l1.maddr() | P, "a fifth entry"),
        (511, 0, "the last entry"),
        (0, l1.maddr() | P | 1 << 63, "NX, which PAE's roots do not have"),
        (0, root.raw() << 12 | P, "the root below itself"),
    ] {
        assert_eq!(g.set_entry(root, index, entry), EINVAL, "{what}");
    }
    check::invariants(&g.sys);
}

#[test]
fn the_hypervisors_slots_of_the_top_table_are_not_the_guests() {
    let mut g = guest();
    let l1 = g.table_page(&[]);
    let top = Mfn::new(g.entry(g.root, 3) >> 12 & 0xff_ffff);
    // 0xf5800000 is slot 428.
    assert_eq!(g.set_entry(top, 427, l1.maddr() | P | RW), 0);
    for index in [428, 429, 511] {
        assert_eq!(g.set_entry(top, index, l1.maddr() | P | RW), EINVAL);
        assert_eq!(g.set_entry(top, index, 0), EINVAL);
    }
    check::invariants(&g.sys);
}

#[test]
fn memory_that_is_no_table_is_written_as_it_is() {
    let mut g = guest();
    let page = g.page();
    let wild = 0xffff_ffff_ffff_ffff;
    assert_eq!(g.set_entry(page.mfn, 7, wild), 0);
    assert_eq!(g.read::<u64>(page.va + 56), wild);
    assert_eq!(kind(&g, page.mfn), Type::Writable);
}

#[test]
fn descriptor_tables_are_not_written_this_way() {
    let mut g = guest();
    let page = g.table_page(&[]);
    let list = g.arg(&(page.mfn.raw() as u32));
    assert_eq!(g.call(nr::SET_GDT, &[list, 512]), 0);
    assert_eq!(g.set_entry(page.mfn, 0, 0), EINVAL);
    check::invariants(&g.sys);
}

#[test]
fn accessed_and_dirty_bits_can_be_preserved() {
    let mut g = guest();
    let page = g.page();
    g.write(page.va, &1_u8);
    let at = g.l1_maddr_of(page.va);
    let entry = |g: &Guest| g.entry(Mfn::new(at >> 12), (at & 0xfff) as usize / 8);
    assert_eq!(entry(&g) & 0x60, 0x60);
    let command = u64::from(MMU_PT_UPDATE_PRESERVE_AD);
    assert_eq!(g.mmu_update(&[(at | command, page.maddr() | P | RW)]).0, 0);
    assert_eq!(entry(&g) & 0x60, 0x60, "kept");
    let command = u64::from(MMU_PT_UPDATE_NO_TRANSLATE);
    assert_eq!(g.mmu_update(&[(at | command, page.maddr() | P | RW)]).0, 0);
    assert_eq!(entry(&g) & 0x60, 0, "written as it is");
}

#[test]
fn the_m2p_is_set_for_own_frames_only() {
    let (mut g, other) = two();
    let page = g.page();
    let command = u64::from(MMU_MACHPHYS_UPDATE);
    assert_eq!(g.mmu_update(&[(page.maddr() | command, 0x777)]), (0, 1));
    assert_eq!(g.read::<u32>(0xf580_0000 + 4 * page.mfn.raw()), 0x777);
    let foreign = other.frames[3];
    assert_eq!(g.mmu_update(&[(foreign.raw() << 12 | command, 0x777)]), (EINVAL, 0));
    assert_eq!(g.sys.memory.m2p(foreign), 3);
    let beyond = g.sys.memory.frame_count() << 12;
    assert_eq!(g.mmu_update(&[(beyond | command, 0)]), (EINVAL, 0));
}

#[test]
fn a_list_stops_at_the_first_failure_and_says_where() {
    let mut g = guest();
    let page = g.page();
    let at = g.l1_maddr_of(page.va);
    let good = (at, page.maddr() | P | RW);
    let bad = (at, page.maddr() | P | RW | PCD);
    assert_eq!(g.mmu_update(&[good, good, bad, good]), (EINVAL, 2));
    assert_eq!(g.mmu_update(&[good, (at | 4, 0)]), (ENOSYS, 1));
    assert_eq!(g.mmu_update(&[(at | 7, 0)]), (ENOSYS, 0));
}

#[test]
fn long_lists_are_interrupted_and_finish() {
    let mut g = guest();
    let page = g.page();
    let at = g.l1_maddr_of(page.va);
    let list = vec![(at, page.maddr() | P | RW); 1500];
    assert_eq!(g.mmu_update(&list), (0, 1500));
    assert!(g.continuations >= 2, "{} continuations", g.continuations);
    // A failure late in it is still counted from the start.
    let mut list = list;
    list[1400] = (at, page.maddr() | P | RW | PCD);
    assert_eq!(g.mmu_update(&list), (EINVAL, 1400));
}

#[test]
fn arguments_in_bad_places() {
    let mut g = guest();
    assert_eq!(g.call(nr::MMU_UPDATE, &[0x1000, 1, 0, SELF]), EFAULT);
    assert_eq!(g.call(nr::MMU_UPDATE, &[0xffff_fff8, 1, 0, SELF]), EFAULT, "it wraps");
    let page = g.page();
    let list = g.arg(&[g.l1_maddr_of(page.va), page.maddr() | P | RW]);
    assert_eq!(g.call(nr::MMU_UPDATE, &[list, 1, 0x1000, SELF]), EFAULT);
    let table = g.va_of(g.root);
    assert_eq!(g.call(nr::MMU_UPDATE, &[list, 1, table, SELF]), EFAULT, "pdone in a page table");
    // The end of the list is not there: what comes before is done.
    let last = g.page_at(g.frames.len() as u64 - 1);
    let at = last.va + 4096 - 8;
    assert_eq!(g.call(nr::MMU_UPDATE, &[at, 1, 0, SELF]), EFAULT);
    check::invariants(&g.sys);
}

#[test]
fn other_domains_are_for_the_privileged() {
    let (mut g, _other) = two();
    let page = g.page();
    let list = g.arg(&[g.l1_maddr_of(page.va), page.maddr() | P | RW]);
    assert_eq!(g.call(nr::MMU_UPDATE, &[list, 1, 0, 0]), 0, "its own number");
    assert_eq!(g.call(nr::MMU_UPDATE, &[list, 1, 0, 1]), EPERM, "frames of another");
    assert_eq!(g.call(nr::MMU_UPDATE, &[list, 1, 0, 5]), EPERM, "of nobody");
    assert_eq!(g.call(nr::MMU_UPDATE, &[list, 1, 0, 2 << 16 | SELF]), EPERM, "tables of another");
    let mut dom0 = guest();
    let list = dom0.arg(&[0_u64; 2]);
    assert_eq!(dom0.call(nr::MMU_UPDATE, &[list, 1, 0, 5]), ESRCH);
    assert_eq!(dom0.call(nr::MMU_UPDATE, &[list, 1, 0, 6 << 16 | SELF]), ESRCH);
    assert_eq!(dom0.call(nr::MMU_UPDATE, &[list, 0, 0, 1 << 16 | SELF]), 0, "itself, by number");
}
