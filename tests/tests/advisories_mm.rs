//! Root causes of advisories on memory that no other test is about; `XSA.md` has the list.

use std::sync::atomic::Ordering;

use hypervisor::mm::frame::Type;
use pv_abi::errno::Errno;
use pv_abi::memory::{XENMEM_DECREASE_RESERVATION, XENMEM_POPULATE_PHYSMAP};
use pv_abi::types::DomId;
use pv_tests::check;
use pv_tests::guest::mmu::{P, RW};
use pv_tests::guest::{Guest, Spec};

const EINVAL: i64 = Errno::EINVAL.to_ret();

/// Two frames of one guest, each in every use that it can be brought to, in every order: what a
/// frame is used as never is two things at once, and no sequence upsets the hypervisor.
///
/// Breadth first over the guest's moves, states told apart by the two frames' records.
#[test]
fn xsa_37_every_type_meets_every_other() {
    let spec = || Spec { pages: 40, base: 0x8000_0000, privileged: false, ..Spec::default() };
    let moves: Vec<(usize, Move)> = (0..2).flat_map(|f| Move::ALL.map(|m| (f, m))).collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut waiting = std::collections::VecDeque::from([Vec::new()]);
    while let Some(path) = waiting.pop_front() {
        let path: Vec<(usize, Move)> = path;
        let mut guest = Guest::with(spec());
        let pages = [guest.page(), guest.page()];
        for (frame, one) in &path {
            one.make(&mut guest, pages, *frame);
        }
        check::invariants(&guest.sys);
        let state = pages.map(|page| {
            let frame = guest.sys.memory.frame(page.mfn).expect("it is memory");
            let word = frame.load();
            let kind = if word.type_count() > 0 { word.kind() } else { Type::None };
            let owned = frame.is_owned_by(guest.id);
            let (entry, _) =
                guest.l1_entry_of(page.va).map_or((0, 0), |(t, i)| (guest.entry(t, i), 0));
            (kind as u8, word.type_count(), word.total(), word.pinned(), owned, entry & 3)
        });
        if seen.insert(state) && path.len() < 6 {
            for next in &moves {
                let mut longer = path.clone();
                longer.push(*next);
                waiting.push_back(longer);
            }
        }
    }
    assert!(seen.len() > 60, "only {} states were reached", seen.len());
}

/// What a guest does with a frame and the other one.
#[derive(Clone, Copy, Debug)]
enum Move {
    MapWritable,
    MapReadOnly,
    Unmap,
    Pin1,
    Pin2,
    Unpin,
    /// Its first entry names the other one.
    Refer,
    Forget,
    GiveBack,
}

impl Move {
    const ALL: [Move; 9] = [
        Move::MapWritable,
        Move::MapReadOnly,
        Move::Unmap,
        Move::Pin1,
        Move::Pin2,
        Move::Unpin,
        Move::Refer,
        Move::Forget,
        Move::GiveBack,
    ];

    fn make(self, guest: &mut Guest, pages: [pv_tests::guest::Page; 2], which: usize) {
        let (page, other) = (pages[which], pages[1 - which]);
        let update = |guest: &mut Guest, value: u64| {
            let entry = pv_abi::mmu::MmuUpdate { ptr: page.maddr(), val: value };
            let at = guest.arg(&entry);
            guest.call(pv_abi::hypercall::MMU_UPDATE, &[at, 1, 0, DomId::SELF.raw().into()]);
        };
        match self {
            Move::MapWritable => _ = guest.update_va(page.va, page.maddr() | P | RW, 2),
            Move::MapReadOnly => _ = guest.update_va(page.va, page.maddr() | P, 2),
            Move::Unmap => _ = guest.update_va(page.va, 0, 2),
            Move::Pin1 => _ = guest.pin(1, page.mfn),
            Move::Pin2 => _ = guest.pin(2, page.mfn),
            Move::Unpin => _ = guest.unpin(page.mfn),
            Move::Refer => update(guest, other.maddr() | P),
            Move::Forget => update(guest, 0),
            Move::GiveBack => {
                let frame = [page.mfn.raw() as u32];
                guest.reservation(XENMEM_DECREASE_RESERVATION, &frame, 0, DomId::SELF);
            }
        }
    }
}

/// A guest with one page that nothing maps.
fn with_unmapped() -> (Guest, pv_tests::guest::Page) {
    let mut guest = Guest::pv32();
    let page = guest.page();
    guest.write(page.va, &0x005e_c2e7_u64);
    assert_eq!(guest.update_va(page.va, 0, 2), 0);
    (guest, page)
}

#[test]
fn xsa_100_memory_changes_hands_empty() {
    let (mut guest, page) = with_unmapped();
    let frame = [page.mfn.raw() as u32];
    assert_eq!(guest.reservation(XENMEM_DECREASE_RESERVATION, &frame, 0, DomId::SELF).0, 1);
    let mut held = Vec::new();
    // Until the very frame comes back.
    for pfn in 300..2300 {
        let (done, list) = guest.reservation(XENMEM_POPULATE_PHYSMAP, &[pfn], 0, DomId::SELF);
        if done != 1 {
            break;
        }
        let mfn = pv_abi::types::Mfn::new(list[0].into());
        let words = hypervisor::platform::FrameAccess::words(guest.machine(), mfn);
        assert!(words.iter().all(|w| w.load(Ordering::Relaxed) == 0), "{mfn} is not empty");
        held.push(mfn);
        guest.domain().max_pages.store(4000, Ordering::Relaxed);
    }
    assert!(held.contains(&page.mfn), "the frame did not come back");
}

#[test]
fn xsa_148_no_flag_makes_a_large_page() {
    const LARGE: u64 = 1 << 7;
    let mut guest = Guest::pv32();
    let (table, _) = guest.l1_entry_of(guest.base).expect("it is mapped");
    let top = guest.entry(guest.root, 3) >> 12 & 0xff_ffff_ffff;
    for flags in [LARGE, LARGE | RW, LARGE | RW | 0x60, LARGE | 4] {
        // An entry that only gets a flag more, and one that is new.
        for value in [table.raw() << 12 | 0x67 | flags, guest.frames[20].raw() << 12 | P | flags] {
            for preserve in [0, 2] {
                let update = pv_abi::mmu::MmuUpdate { ptr: top << 12 | preserve, val: value };
                let at = guest.arg(&update);
                let to = [at, 1, 0, DomId::SELF.raw().into()];
                assert!(guest.call(pv_abi::hypercall::MMU_UPDATE, &to) < 0, "{value:#x}");
            }
        }
    }
    check::invariants(&guest.sys);
}

#[test]
fn xsa_31_orders_have_a_bound() {
    let (mut guest, page) = with_unmapped();
    for order in [10, 19, 20, 31, 32, 52, 63, 64, u32::MAX] {
        for command in [XENMEM_POPULATE_PHYSMAP, XENMEM_DECREASE_RESERVATION] {
            let frame = [page.mfn.raw() as u32];
            let (done, _) = guest.reservation(command, &frame, order, DomId::SELF);
            assert!(done <= 0, "order {order} of {command}: {done}");
        }
    }
    check::invariants(&guest.sys);
}

#[test]
fn xsa_252_a_pinned_table_is_not_given_back() {
    let (mut guest, page) = with_unmapped();
    assert_eq!(guest.update_va(page.va, page.maddr() | P | RW, 2), 0);
    guest.write(page.va, &0_u64);
    assert_eq!(guest.update_va(page.va, 0, 2), 0);
    assert_eq!(guest.pin(1, page.mfn), 0);
    let frame = [page.mfn.raw() as u32];
    assert!(guest.reservation(XENMEM_DECREASE_RESERVATION, &frame, 0, DomId::SELF).0 < 1);
    check::invariants(&guest.sys);
    assert_eq!(guest.unpin(page.mfn), 0, "the pin is still there");
    assert_eq!(guest.unpin(page.mfn), EINVAL);
    assert_eq!(guest.reservation(XENMEM_DECREASE_RESERVATION, &frame, 0, DomId::SELF).0, 1);
    check::invariants(&guest.sys);
}
