//! Domains that end while grants are in use.

use std::sync::atomic::Ordering;

use hypervisor::domain::Domain;
use hypervisor::error::Stop;
use hypervisor::grant::release::release_all;
use pv_abi::grant_table::*;
use pv_tests::guest::Guest;
use pv_tests::guest::grants::{End, unmap_op};

use super::world::*;

/// Does for a domain that runs no more what concerns its grants; returns in how many pieces.
fn release(w: &World, domain: &Domain) -> u32 {
    for pieces in 1..100 {
        match release_all(&w.sys, domain) {
            Ok(()) => return pieces,
            Err(Stop::Preempted) => w.check(),
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("it does not come to an end")
}

/// Takes the domain's own hold off a page, as its end does with each.
fn give_up(guest: &mut Guest, page: pv_tests::guest::Page) {
    let sys = guest.sys.clone();
    guest.take_over();
    assert_eq!(guest.update_va(page.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    let frame = sys.memory.frame(page.mfn).expect("RAM");
    frame.update(|word| Some(word.with_allocated(false))).expect("it was allocated");
    sys.put_page(page.mfn);
}

#[test]
fn a_mapping_outlives_its_granter() {
    let mut w = world();
    let (page, other) = (w.one.page(), w.one.page());
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    w.table.grant(&mut w.one, 10, 2, other.mfn, true);
    let (a, b) = (w.two.page(), w.two.page());
    let writer = w.two.map_grant(1, 9, GNTMAP_HOST_MAP, a.va);
    let flags = GNTMAP_HOST_MAP | GNTMAP_DEVICE_MAP | GNTMAP_READONLY;
    let reader = w.two.map_grant(1, 10, flags, b.va);
    assert_eq!((writer.status, reader.status), (GNTST_OKAY, GNTST_OKAY));
    w.one.take_over();
    w.one.write(page.va, &0x77_u8);
    give_up(&mut w.one, page);
    give_up(&mut w.one, other);
    let before = w.sys.memory.free_and_total().0;
    release(&w, w.one.domain());
    assert!(w.sys.memory.free_and_total().0 > before, "the table's frames are free");
    w.check();

    w.two.take_over();
    assert_eq!(w.two.read::<u8>(a.va), 0x77);
    // Nothing new comes of it.
    let c = w.two.page();
    assert_ne!(w.two.map_grant(1, 9, GNTMAP_HOST_MAP, c.va).status, GNTST_OKAY);
    assert_ne!(w.two.grant_copy(End::Grant(1, 9, 0), End::Own(c.mfn, 0), 8), GNTST_OKAY);
    w.check();
    let before = w.sys.memory.free_and_total().0;
    assert_eq!(w.two.unmap_grant(writer.handle, a.va), GNTST_OKAY);
    assert_eq!(w.sys.memory.free_and_total().0, before + 1, "the last reference frees the page");
    let both = unmap_op(reader.handle, b.va, reader.dev_bus_addr);
    assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, both).status, GNTST_OKAY);
    assert_eq!(w.sys.memory.free_and_total().0, before + 2);
    w.check();
}

#[test]
fn a_mapper_that_ends_takes_its_pins_off() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let host = w.two.map_grant(1, 9, GNTMAP_HOST_MAP, at.va);
    let device = w.two.map_grant(1, 9, GNTMAP_DEVICE_MAP, 0);
    assert_eq!((host.status, device.status), (GNTST_OKAY, GNTST_OKAY));
    for _ in 0..126 {
        assert_eq!(w.two.map_grant(1, 9, GNTMAP_DEVICE_MAP, 0).status, GNTST_OKAY);
    }
    // Its page tables go; here the entry alone.
    w.two.take_over();
    assert_eq!(w.two.update_va(at.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    w.check();
    assert_eq!(release(&w, w.two.domain()), 1);
    assert_eq!(w.table.in_use(&mut w.one, 9), 0);
    w.check();
    assert_eq!(w.sys.memory.frame(page.mfn).expect("RAM").load().type_count(), 1, "its own");
}

#[test]
fn the_end_comes_in_pieces() {
    let mut w = world();
    let mfns: Vec<_> = (0..5).map(|_| w.one.page().mfn).collect();
    for (gref, mfn) in (9..).zip(mfns) {
        w.table.grant(&mut w.one, gref, 2, mfn, true);
    }
    for index in 0..600 {
        let flags = GNTMAP_DEVICE_MAP | GNTMAP_READONLY;
        assert_eq!(w.two.map_grant(1, 9 + index % 5, flags, 0).status, GNTST_OKAY);
    }
    assert_eq!(w.two.setup_table(pv_abi::types::DomId::SELF, 64).0, GNTST_OKAY);
    let before = w.sys.memory.free_and_total().0;
    assert_eq!(release(&w, w.two.domain()), 3);
    // Three frames of records, 64 of entries, 128 of active ones, a directory of each.
    assert_eq!(w.sys.memory.free_and_total().0, before + 3 + 64 + 128 + 3);
    for gref in 9..14 {
        assert_eq!(w.table.in_use(&mut w.one, gref), 0);
    }
    w.check();
}

#[test]
fn a_lent_frame_that_is_mapped_stays_until_it_is_not() {
    let mut w = world();
    let lent = w.table.pages[0];
    w.table.grant(&mut w.one, 9, 2, lent.mfn, true);
    let at = w.two.page();
    let op = w.two.map_grant(1, 9, GNTMAP_HOST_MAP | GNTMAP_READONLY, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    w.one.take_over();
    assert_eq!(w.one.update_va(lent.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    let lent_now = &w.one.domain().lent;
    assert_eq!(lent_now.load(Ordering::Relaxed), 2, "this and `shared_info`");
    release(&w, w.one.domain());
    assert_eq!(lent_now.load(Ordering::Relaxed), 2, "it is still there");
    w.check();
    let before = w.sys.memory.free_and_total().0;
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert_eq!(w.sys.memory.free_and_total().0, before + 1);
    assert_eq!(lent_now.load(Ordering::Relaxed), 1);
    w.check();
}
