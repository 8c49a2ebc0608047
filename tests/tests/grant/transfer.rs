//! Pages that change hands.

use std::sync::atomic::Ordering;

use hypervisor::mm::frame::{Owner, Type};
use hypervisor::mm::memory::INVALID_M2P;
use pv_abi::grant_table::*;
use pv_abi::types::{DomId, GrantRef, Mfn};
use pv_abi::x86_32::GnttabTransfer;
use pv_tests::guest::Guest;
use pv_tests::guest::grants::{End, entry_v2};
use pv_tests::guest::mmu::{P, RW};

use super::world::*;

fn op(mfn: Mfn, dom: u16, gref: u32) -> GnttabTransfer {
    GnttabTransfer {
        mfn: mfn.raw() as u32,
        domid: DomId::new(dom),
        _pad0: [0; 2],
        r#ref: GrantRef::new(gref),
        status: 1,
        _pad1: [0; 2],
    }
}

/// A page of the guest's that nothing maps.
fn loose(guest: &mut Guest) -> Mfn {
    let page = guest.page();
    guest.take_over();
    assert_eq!(guest.update_va(page.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    page.mfn
}

fn pages(guest: &Guest) -> u32 {
    guest.domain().pages.load(Ordering::Relaxed)
}

#[test]
fn a_page_goes_over() {
    let mut w = world();
    w.one.domain().max_pages.store(321, Ordering::Relaxed);
    let page = w.two.page();
    w.two.take_over();
    w.two.write(page.va, &0x55aa_u32);
    assert_eq!(w.two.update_va(page.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    w.table.set(&mut w.one, 9, GTF_ACCEPT_TRANSFER, 2, 1234);
    assert_eq!(w.two.gnttab_one(GNTTABOP_TRANSFER, op(page.mfn, 1, 9)).status, GNTST_OKAY);
    w.check();
    let entry = w.table.get(&mut w.one, 9);
    let done = GTF_ACCEPT_TRANSFER | GTF_TRANSFER_COMMITTED | GTF_TRANSFER_COMPLETED;
    assert_eq!((entry.flags, u64::from(entry.frame)), (done, page.mfn.raw()));
    assert_eq!((pages(&w.one), pages(&w.two)), (321, 319));
    assert_eq!(w.sys.memory.m2p(page.mfn), 1234, "the number that the receiver wrote there");
    let at = w.one.page();
    assert_eq!(w.one.update_va(at.va, page.maddr() | P | RW, pv_abi::mmu::UVMF_INVLPG), 0);
    assert_eq!(w.one.read::<u32>(at.va), 0x55aa);
    assert_ne!(w.two.update_va(page.va, page.maddr() | P, 0), 0, "it is not ours any more");
    w.check();
}

#[test]
fn version_2_accepts_as_well() {
    let mut w = world();
    w.one.domain().max_pages.store(321, Ordering::Relaxed);
    let mfn = loose(&mut w.two);
    let table = w.one.grant_table_v2(1);
    table.set_v2(&mut w.one, 9, entry_v2(GTF_ACCEPT_TRANSFER, 2, 0, 0, 99));
    assert_eq!(w.two.gnttab_one(GNTTABOP_TRANSFER, op(mfn, 1, 9)).status, GNTST_OKAY);
    let entry = table.get_v2(&mut w.one, 9);
    assert_eq!(entry.frame, mfn.raw());
    assert_ne!(entry.hdr.flags & GTF_TRANSFER_COMPLETED, 0);
    w.check();
}

#[test]
fn a_page_in_use_stays() {
    let mut w = world();
    w.one.domain().max_pages.store(400, Ordering::Relaxed);
    let (mapped, theirs) = (w.two.page().mfn, w.one.page().mfn);
    let granted = loose(&mut w.two);
    let twos = w.two.grant_table(1);
    twos.grant(&mut w.two, 9, 1, granted, true);
    let at = w.one.page();
    let map = w.one.map_grant(2, 9, GNTMAP_HOST_MAP | GNTMAP_READONLY, at.va);
    assert_eq!(map.status, GNTST_OKAY);
    let pinned = loose(&mut w.two);
    assert_eq!(w.two.pin(1, pinned), 0);
    let lent = twos.pages[0].mfn;
    let info = w.two.domain().shared_info;
    for mfn in [mapped, theirs, granted, pinned, lent, info, w.two.root, Mfn::new(0xffff_fff0)] {
        w.table.set(&mut w.one, 9, GTF_ACCEPT_TRANSFER, 2, 0);
        let status = w.two.gnttab_one(GNTTABOP_TRANSFER, op(mfn, 1, 9)).status;
        assert_eq!(status, GNTST_BAD_PAGE, "{mfn}");
        assert_eq!(w.table.get(&mut w.one, 9).flags, GTF_ACCEPT_TRANSFER);
        w.check();
    }
    assert_eq!(pages(&w.two), 320);
}

#[test]
fn a_page_that_is_not_accepted_is_gone() {
    let mut w = world();
    w.one.domain().max_pages.store(400, Ordering::Relaxed);
    w.table.set(&mut w.one, 9, GTF_ACCEPT_TRANSFER, 0, 0);
    w.table.set(&mut w.one, 10, GTF_PERMIT_ACCESS, 2, 0);
    w.table.set(&mut w.one, 11, GTF_ACCEPT_TRANSFER | GTF_TRANSFER_COMMITTED, 2, 0);
    w.table.set(&mut w.one, 12, GTF_ACCEPT_TRANSFER, 2, 0);
    for (dom, gref, status) in [
        (9, 9, GNTST_BAD_DOMAIN),
        (1, 9, GNTST_GENERAL_ERROR),
        (1, 10, GNTST_GENERAL_ERROR),
        (1, 11, GNTST_GENERAL_ERROR),
        (1, 512, GNTST_GENERAL_ERROR),
    ] {
        let (mfn, before) = (loose(&mut w.two), w.sys.memory.free_and_total().0);
        let got = w.two.gnttab_one(GNTTABOP_TRANSFER, op(mfn, dom, gref)).status;
        assert_eq!(got, status, "d{dom} {gref}");
        assert_eq!(w.sys.memory.free_and_total().0, before + 1);
        assert_eq!(w.sys.memory.m2p(mfn), INVALID_M2P);
        w.check();
    }
    w.one.domain().max_pages.store(320, Ordering::Relaxed);
    let mfn = loose(&mut w.two);
    assert_eq!(w.two.gnttab_one(GNTTABOP_TRANSFER, op(mfn, 1, 12)).status, GNTST_GENERAL_ERROR);
    assert_eq!((pages(&w.one), pages(&w.two)), (320, 314));
    w.check();
}

#[test]
fn xsa_214_a_transferred_page_has_no_type() {
    let mut w = world();
    w.one.domain().max_pages.store(321, Ordering::Relaxed);
    let mfn = loose(&mut w.two);
    // It was a descriptor table; the type is still in its record.
    {
        let mut types = w.sys.page_types(w.two.domain());
        types.get(mfn, Type::SegDesc).expect("zeros are descriptors");
        types.put(mfn);
    }
    let kind = |w: &World| w.sys.memory.frame(mfn).expect("RAM").load().kind();
    assert_eq!(kind(&w), Type::SegDesc);
    w.table.set(&mut w.one, 9, GTF_ACCEPT_TRANSFER, 2, 0);
    assert_eq!(w.two.gnttab_one(GNTTABOP_TRANSFER, op(mfn, 1, 9)).status, GNTST_OKAY);
    assert_eq!(kind(&w), Type::None);
    w.check();
}

#[test]
fn xsa_284_the_giver_keeps_no_reference() {
    let mut w = world();
    w.one.domain().max_pages.store(321, Ordering::Relaxed);
    let mfn = loose(&mut w.two);
    w.table.set(&mut w.one, 9, GTF_ACCEPT_TRANSFER, 2, 0);
    assert_eq!(w.two.gnttab_one(GNTTABOP_TRANSFER, op(mfn, 1, 9)).status, GNTST_OKAY);
    let frame = w.sys.memory.frame(mfn).expect("RAM");
    assert_eq!((frame.owner(), frame.load().total()), (Owner::Domain(DomId::new(1)), 1));
    let status = w.two.grant_copy(End::Own(mfn, 0), End::Own(w.two.frames[9], 0), 8);
    assert_eq!(status, GNTST_BAD_PAGE);
    // The receiver gives it back: nothing is left of it.
    let before = w.sys.memory.free_and_total().0;
    w.one.take_over();
    let decrease = pv_abi::memory::XENMEM_DECREASE_RESERVATION;
    assert_eq!(w.one.reservation(decrease, &[mfn.raw() as u32], 0, DomId::SELF).0, 1);
    assert_eq!(w.sys.memory.free_and_total().0, before + 1);
    w.check();
}
