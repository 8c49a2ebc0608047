//! GDT, LDT and single descriptors.

use hypervisor::mm::frame::Type;
use hypervisor::trap::ldt_fault;
use pv_abi::x86_32::MmuextOp;
use pv_abi::{hypercall as nr, mmu, types::DomId};
use pv_tests::check;
use pv_tests::guest::{Guest, Page};
use pv_tests::machine::TableSlot;
use zerocopy::FromZeros;

const EFAULT: i64 = -14;
const EINVAL: i64 = -22;
/// Ring 1, flat, writable.
const DATA: u64 = 0x00cf_b300_0000_ffff;
/// 64-bit code.
const LONG: u64 = 0x00af_fb00_0000_ffff;

/// Maps a page again, read-only or writable.
fn remap(guest: &mut Guest, page: Page, writable: bool) -> i64 {
    let entry = page.maddr() | 0x61 | u64::from(writable) << 1;
    guest.call(nr::UPDATE_VA_MAPPING, &[page.va, entry & 0xffff_ffff, entry >> 32, 2])
}

/// A page of descriptors, mapped read-only.
fn table(guest: &mut Guest, descriptors: &[u64]) -> Page {
    let page = guest.page();
    guest.write(page.va, descriptors);
    assert_eq!(remap(guest, page, false), 0);
    page
}

fn set_gdt(guest: &mut Guest, frames: &[Page], entries: u64) -> i64 {
    let list: Vec<u32> = frames.iter().map(|p| p.mfn.raw() as u32).collect();
    let at = guest.arg(list.as_slice());
    guest.call(nr::SET_GDT, &[at, entries])
}

fn update(guest: &mut Guest, maddr: u64, descriptor: u64) -> i64 {
    let low = |x: u64| x & 0xffff_ffff;
    let args = [low(maddr), maddr >> 32, low(descriptor), descriptor >> 32];
    guest.call(nr::UPDATE_DESCRIPTOR, &args)
}

fn set_ldt(guest: &mut Guest, base: u64, entries: u32) -> i64 {
    let op = MmuextOp {
        cmd: mmu::MMUEXT_SET_LDT,
        arg1: base as u32,
        arg2: entries,
        ..MmuextOp::new_zeroed()
    };
    let at = guest.arg(&op);
    guest.call(nr::MMUEXT_OP, &[at, 1, 0, DomId::SELF.raw().into()])
}

fn kind(guest: &Guest, page: Page) -> (Type, u64) {
    let word = guest.sys.memory.frame(page.mfn).unwrap().load();
    (word.kind(), word.type_count())
}

#[test]
fn a_gdt_is_checked_protected_and_mapped() {
    let mut guest = Guest::pv32();
    // The DPL of the second is Ring 0's.
    let page = table(&mut guest, &[0, DATA & !(3 << 45), DATA]);
    assert_eq!(set_gdt(&mut guest, &[page], 3), 0);
    assert_eq!(kind(&guest, page), (Type::SegDesc, 1));
    assert_eq!(guest.read::<u64>(page.va + 8), DATA, "forced to Ring 1");
    assert_eq!(guest.machine().windows().get(&(0, TableSlot::Gdt(0))), Some(&page.mfn));
    assert_eq!(remap(&mut guest, page, true), EINVAL, "not to be written any more");
    check::invariants(&guest.sys);
    // Another takes its place: the first is ordinary memory again.
    let other = table(&mut guest, &[0, DATA]);
    assert_eq!(set_gdt(&mut guest, &[other], 2), 0);
    assert_eq!(kind(&guest, page).1, 0);
    assert_eq!(remap(&mut guest, page, true), 0);
    assert_eq!(set_gdt(&mut guest, &[], 0), 0);
    assert!(guest.machine().windows().is_empty());
    assert_eq!(remap(&mut guest, other, true), 0);
    check::invariants(&guest.sys);
}

#[test]
fn a_bad_gdt_changes_nothing() {
    let mut guest = Guest::pv32();
    let good = table(&mut guest, &[0, DATA]);
    assert_eq!(set_gdt(&mut guest, &[good], 2), 0);
    let long = table(&mut guest, &[0, LONG]);
    let writable = guest.page();
    let root = guest.page_at(guest.frames.iter().position(|f| *f == guest.root).unwrap() as u64);
    let second = table(&mut guest, &[DATA]);
    for bad in [long, writable, root] {
        assert_eq!(set_gdt(&mut guest, &[bad], 512), EINVAL);
        assert_eq!(set_gdt(&mut guest, &[second, bad], 513), EINVAL);
        assert_eq!(kind(&guest, second).1, 0, "its reference was given back");
    }
    let list = guest.arg(&[u32::MAX]);
    assert_eq!(guest.call(nr::SET_GDT, &[list, 1]), EINVAL, "no such frame");
    assert_eq!(guest.call(nr::SET_GDT, &[list, 7169]), EINVAL, "the hypervisor's entries");
    assert_eq!(guest.call(nr::SET_GDT, &[0x1_0000, 1]), EFAULT);
    assert_eq!(guest.call(nr::SET_GDT, &[0xffff_fffc, 513]), EFAULT);
    assert_eq!(guest.machine().windows().len(), 1);
    check::invariants(&guest.sys);
}

#[test]
fn a_gdt_may_have_all_14_frames() {
    let mut guest = Guest::pv32();
    let pages: Vec<Page> = (0..14).map(|_| table(&mut guest, &[DATA; 512])).collect();
    assert_eq!(set_gdt(&mut guest, &pages, 14 * 512), 0);
    assert_eq!(guest.machine().windows().len(), 14);
    assert_eq!(set_gdt(&mut guest, &pages[..1], 1), 0);
    assert_eq!(guest.machine().windows().len(), 1);
    check::invariants(&guest.sys);
}

#[test]
fn one_frame_may_serve_twice() {
    let mut guest = Guest::pv32();
    let page = table(&mut guest, &[DATA; 512]);
    assert_eq!(set_gdt(&mut guest, &[page, page], 1024), 0);
    assert_eq!(kind(&guest, page), (Type::SegDesc, 2));
    check::invariants(&guest.sys);
    assert_eq!(set_gdt(&mut guest, &[page], 512), 0);
    assert_eq!(kind(&guest, page), (Type::SegDesc, 1));
}

#[test]
fn a_descriptor_is_checked_before_it_is_written() {
    let mut guest = Guest::pv32();
    let page = table(&mut guest, &[0, DATA]);
    assert_eq!(set_gdt(&mut guest, &[page], 2), 0);
    assert_eq!(update(&mut guest, page.maddr() + 16, DATA & !(3 << 45)), 0);
    assert_eq!(guest.read::<u64>(page.va + 16), DATA);
    assert_eq!(update(&mut guest, page.maddr() + 4088, 0), 0);
    for bad in [LONG, 1 << 47 | 0x9 << 40, 1 << 47 | 0xe << 40, 1 << 47 | 0x2 << 40] {
        assert_eq!(update(&mut guest, page.maddr() + 16, bad), EINVAL, "{bad:#x}");
    }
    for offset in [1, 2, 4, 7, 20] {
        assert_eq!(update(&mut guest, page.maddr() + offset, DATA), EINVAL);
    }
    assert_eq!(guest.read::<u64>(page.va + 16), DATA);
    assert_eq!(kind(&guest, page), (Type::SegDesc, 1));
    check::invariants(&guest.sys);
}

#[test]
fn a_descriptor_goes_to_the_callers_data_only() {
    let mut guest = Guest::pv32();
    let data = guest.page();
    assert_eq!(update(&mut guest, data.maddr() + 8, DATA), 0);
    assert_eq!(guest.read::<u64>(data.va + 8), DATA);
    // Page tables, frames of nobody, of the hypervisor, of another domain, and none at all.
    for table in guest.tables.clone() {
        assert_eq!(update(&mut guest, table.raw() << 12 | 8, 0), EINVAL);
    }
    let spec = pv_tests::guest::Spec { id: 1, privileged: false, ..Default::default() };
    let foreign = Guest::on(guest.sys.clone(), spec).page();
    for maddr in [0, foreign.maddr(), u64::from(u32::MAX) << 12, 0xffff_ffff_ffff_f000] {
        assert_eq!(update(&mut guest, maddr, DATA), EINVAL, "{maddr:#x}");
    }
    check::invariants(&guest.sys);
}

#[test]
fn an_ldt_is_mapped_when_it_is_used() {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.kernel_stack();
    let first = table(&mut guest, &[DATA & !(3 << 45)]);
    let second = table(&mut guest, &[DATA]);
    assert_eq!(second.va, first.va + 4096);
    assert_eq!(set_ldt(&mut guest, first.va, 1024), 0);
    assert_eq!(guest.machine().this().ldt, Some((0, 1024)));
    assert!(guest.machine().windows().is_empty());
    let before = guest.regs;
    // The processor reads descriptor 512 in the window.
    let window = pv_tests::machine::window_address(0);
    guest.page_fault(window + 0x1_1000, 0);
    assert_eq!((guest.regs.rip, guest.regs.rsp), (before.rip, before.rsp), "cured");
    assert_eq!(guest.machine().windows().get(&(0, TableSlot::Ldt(1))), Some(&second.mfn));
    assert_eq!(kind(&guest, second), (Type::SegDesc, 1));
    assert!(guest.enter(|ctx| ldt_fault(ctx, window + 0x1_0008)));
    assert_eq!(guest.read::<u64>(first.va), DATA, "checked like any descriptor");
    check::invariants(&guest.sys);
    assert_eq!(set_ldt(&mut guest, 0, 0), 0);
    assert!(guest.machine().windows().is_empty());
    assert_eq!(guest.machine().this().ldt, None);
    assert_eq!(remap(&mut guest, first, true), 0);
    check::invariants(&guest.sys);
}

#[test]
fn an_ldt_that_cannot_be_mapped_is_the_guests_fault() {
    let mut guest = Guest::pv32();
    guest.handlers();
    let window = pv_tests::machine::window_address(0);
    let long = table(&mut guest, &[0, LONG]);
    let hole = guest.page();
    assert_eq!(guest.call(nr::UPDATE_VA_MAPPING, &[hole.va, 0, 0, 2]), 0);
    let writable = guest.page();
    for (base, offset) in [(long.va, 8), (hole.va, 0), (writable.va, 0), (long.va, 0x1008)] {
        let entries = if offset > 0xfff { 514 } else { 512 };
        assert_eq!(set_ldt(&mut guest, base, entries), 0);
        let top = guest.kernel_stack();
        guest.page_fault(window + 0x1_0000 + offset, 0);
        assert_eq!(guest.at_handler(), Some(14));
        assert_eq!(guest.regs.rsp, u64::from(top) - 16);
        assert!(guest.machine().windows().is_empty());
        assert!(!guest.enter(|ctx| ldt_fault(ctx, window + 0x1_0000 + offset)));
        use hypervisor::platform::FrameAccess;
        let info = guest.machine().half_words(guest.domain().shared_info);
        let cr2 = info[2].load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(u64::from(cr2), base + offset, "its own address, not ours");
    }
    // Beyond the LDT's end: by a page, by one descriptor.
    let pages = [table(&mut guest, &[DATA]), table(&mut guest, &[DATA])];
    assert_eq!(set_ldt(&mut guest, pages[0].va, 512), 0);
    assert!(!guest.enter(|ctx| ldt_fault(ctx, window + 0x1_1000)));
    assert_eq!(set_ldt(&mut guest, pages[0].va, 513), 0);
    assert!(guest.enter(|ctx| ldt_fault(ctx, window + 0x1_1000)));
    assert!(!guest.enter(|ctx| ldt_fault(ctx, window + 0x1_f000)));
    assert!(!guest.enter(|ctx| ldt_fault(ctx, window + 0x8000)), "the GDT");
    assert!(!guest.enter(|ctx| ldt_fault(ctx, 0x1000)));
    check::invariants(&guest.sys);
}

#[test]
fn a_missing_page_of_the_gdt_is_a_bad_selector() {
    let mut guest = Guest::pv32();
    guest.handlers();
    guest.kernel_stack();
    guest.page_fault(pv_tests::machine::window_address(0) + 0x2018, 0);
    assert_eq!(guest.at_handler(), Some(13));
    assert_eq!(guest.stack(), [0x2018]);
}

#[test]
fn bad_ldts_are_refused() {
    let mut guest = Guest::pv32();
    let page = guest.page();
    assert_eq!(set_ldt(&mut guest, page.va + 8, 1), EINVAL);
    assert_eq!(set_ldt(&mut guest, page.va, 8193), EINVAL);
    assert_eq!(set_ldt(&mut guest, page.va, u32::MAX), EINVAL);
    assert_eq!(set_ldt(&mut guest, page.va, 8192), 0);
    assert_eq!(set_ldt(&mut guest, 0x123, 0), 0, "the address of no LDT does not matter");
}

#[test]
fn another_root_forgets_the_ldts_pages() {
    let mut guest = Guest::pv32();
    let ldt = table(&mut guest, &[DATA]);
    assert_eq!(set_ldt(&mut guest, ldt.va, 1), 0);
    let window = pv_tests::machine::window_address(0);
    assert!(guest.enter(|ctx| ldt_fault(ctx, window + 0x1_0000)));
    // A second root: its own level 3 and top level 2, the same level 1.
    let top = guest.page();
    let root = guest.page();
    let old_top = (guest.entry(guest.root, 3) & 0x000f_ffff_ffff_f000) >> 12;
    for i in 0..428 {
        let entry = guest.entry(pv_abi::types::Mfn::new(old_top), i);
        guest.write(top.va + 8 * i as u64, &entry);
    }
    guest.write(root.va + 24, &(top.maddr() | 1));
    assert_eq!(remap(&mut guest, top, false), 0);
    assert_eq!(remap(&mut guest, root, false), 0);
    let op = MmuextOp {
        cmd: mmu::MMUEXT_NEW_BASEPTR,
        arg1: root.mfn.raw() as u32,
        ..MmuextOp::new_zeroed()
    };
    let at = guest.arg(&op);
    assert_eq!(guest.call(nr::MMUEXT_OP, &[at, 1, 0, DomId::SELF.raw().into()]), 0);
    assert!(guest.machine().windows().is_empty());
    assert_eq!(kind(&guest, ldt).1, 0);
    check::invariants(&guest.sys);
}
