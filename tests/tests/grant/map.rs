//! Mapping and unmapping.

use hypervisor::domain::limits::Limits;
use pv_abi::grant_table::*;
use pv_abi::hypercall as nr;
use pv_abi::mmu::UVMF_INVLPG;
use pv_abi::types::{DomId, GrantHandle, Mfn};
use pv_tests::guest::grants::{full_page, map_op, sub_page, transitive, unmap_op};
use pv_tests::guest::mmu::{P, RW};

use super::world::*;

const HOST: u32 = GNTMAP_HOST_MAP;
const DEVICE: u32 = GNTMAP_DEVICE_MAP;
const RO: u32 = GNTMAP_READONLY;

#[test]
fn a_granted_page_is_mapped_and_unmapped() {
    let mut w = world();
    let page = w.one.page();
    w.one.take_over();
    w.one.write(page.va, &0x1234_u32);
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let op = w.two.map_grant(1, 9, HOST, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    assert_eq!(op.dev_bus_addr, page.maddr());
    w.check();
    assert_eq!(w.two.read::<u32>(at.va), 0x1234);
    w.two.write(at.va, &0x5678_u32);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING | GTF_WRITING);
    assert_eq!(w.one.read::<u32>(page.va), 0x5678);

    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert!(w.two.try_read(at.va, &mut [0]).is_err(), "the flush was the hypervisor's");
    assert_eq!(w.table.in_use(&mut w.one, 9), 0);
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_BAD_HANDLE);
    w.check();
}

#[test]
fn a_readonly_mapping_is_readonly() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, true);
    let at = w.two.page();
    assert_eq!(w.two.map_grant(1, 9, HOST, at.va).status, GNTST_GENERAL_ERROR, "for writing");
    assert_eq!(w.table.in_use(&mut w.one, 9), 0);
    let op = w.two.map_grant(1, 9, HOST | RO, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING);
    w.two.take_over();
    assert!(w.two.try_write(at.va, &[1]).is_err());
    w.check();
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    w.check();
}

#[test]
fn a_page_table_can_be_granted_for_reading_only() {
    let mut w = world();
    let mfn = w.one.tables[0];
    w.table.grant(&mut w.one, 9, 2, mfn, false);
    let at = w.two.page();
    assert_eq!(w.two.map_grant(1, 9, HOST, at.va).status, GNTST_GENERAL_ERROR);
    assert_eq!(w.table.in_use(&mut w.one, 9), 0, "the pin is undone");
    w.check();
    let op = w.two.map_grant(1, 9, HOST | RO, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    w.check();
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
}

#[test]
fn ones_own_grant_can_be_mapped() {
    let mut w = world();
    let (page, at) = (w.one.page(), w.one.page());
    w.table.grant(&mut w.one, 3, 1, page.mfn, false);
    let op = w.one.map_grant(1, 3, HOST, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    w.one.write(at.va, &7_u32);
    assert_eq!(w.one.read::<u32>(page.va), 7);
    w.check();
    assert_eq!(w.one.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert_eq!(w.one.map_grant(DomId::SELF.raw(), 3, HOST, at.va).status, GNTST_BAD_DOMAIN);
    w.check();
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    w.table.grant(&mut w.one, 10, 0, page.mfn, false);
    w.table.set(&mut w.one, 11, GTF_ACCEPT_TRANSFER, 2, page.mfn.raw() as u32);
    w.table.set(&mut w.one, 12, GTF_PERMIT_ACCESS | GTF_SUB_PAGE, 2, page.mfn.raw() as u32);
    w.table.grant(&mut w.one, 13, 2, w.two.frames[20], false);
    w.table.grant(&mut w.one, 14, 2, Mfn::new(0xffff_fff0), false);
    let at = w.two.page().va;
    let hole = 0x4000_0000;
    for (dom, gref, flags, address, status) in [
        (1, 9, 0, at, GNTST_BAD_GNTREF),
        (1, 9, RO, at, GNTST_BAD_GNTREF),
        (7, 9, HOST, at, GNTST_BAD_DOMAIN),
        (0xffff, 9, HOST, at, GNTST_BAD_DOMAIN),
        (1, 512, HOST, at, GNTST_BAD_GNTREF),
        (1, u32::MAX, HOST, at, GNTST_BAD_GNTREF),
        (1, 8, HOST, at, GNTST_GENERAL_ERROR),
        (1, 10, HOST, at, GNTST_GENERAL_ERROR),
        (1, 11, HOST, at, GNTST_GENERAL_ERROR),
        (1, 12, HOST, at, GNTST_GENERAL_ERROR),
        (1, 13, HOST, at, GNTST_BAD_PAGE),
        (1, 14, HOST, at, GNTST_BAD_PAGE),
        (1, 9, HOST, hole, GNTST_GENERAL_ERROR),
        (1, 9, HOST, at + (1 << 32), GNTST_GENERAL_ERROR),
        (1, 9, HOST | DEVICE, 0xffff_f000, GNTST_GENERAL_ERROR),
        (1, 9, HOST | RO, hole, GNTST_GENERAL_ERROR),
    ] {
        let op = w.two.map_grant(dom, gref, flags, address);
        assert_eq!(op.status, status, "d{dom} ref {gref} flags {flags:#x} at {address:#x}");
        assert_eq!(op.handle, GrantHandle::new(0xdead), "not filled in");
        w.check();
    }
    for gref in 9..15 {
        assert_eq!(w.table.in_use(&mut w.one, gref), 0);
    }
    // Its record went back as well.
    let op = w.two.map_grant(1, 9, HOST, at);
    assert_eq!((op.status, op.handle), (GNTST_OKAY, GrantHandle::new(0)));
}

#[test]
fn the_entry_can_be_named_by_its_machine_address() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let entry = w.two.l1_maddr_of(at.va);
    let flags = HOST | GNTMAP_CONTAINS_PTE;
    let table = w.two.tables.iter().copied().find(|t| t.raw() != entry >> 12).expect("another");
    for wrong in [
        entry + 1,
        entry + 4,
        at.maddr(),
        page.maddr(),
        table.raw() << 12,
        !7,
        w.one.l1_maddr_of(page.va),
    ] {
        let op = w.two.map_grant(1, 9, flags, wrong);
        assert_eq!(op.status, GNTST_GENERAL_ERROR, "{wrong:#x}");
        w.check();
    }
    let op = w.two.map_grant(1, 9, flags, entry);
    assert_eq!(op.status, GNTST_OKAY);
    w.two.machine().this().tlb.clear();
    w.two.write(at.va, &5_u8);
    w.check();
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_GENERAL_ERROR, "named by address");
    assert_eq!(w.two.unmap_grant(op.handle, entry), GNTST_OKAY);
    w.check();
}

#[test]
fn the_entry_has_the_flags_that_were_asked_for() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let (table, index) = w.two.l1_entry_of(at.va).expect("it is mapped");
    let nx = 1 << 63;
    for (flags, bits) in [
        (HOST, 0x63 | nx),
        (HOST | RO, 0x61 | nx),
        (HOST | GNTMAP_APPLICATION_MAP, 0x67 | nx),
        (HOST | 5 << GNTMAP_GUEST_AVAIL0, 0xa63 | nx),
        (HOST | 0xfff8_0000, 0x63 | nx),
    ] {
        let op = w.two.map_grant(1, 9, flags, at.va);
        assert_eq!(op.status, GNTST_OKAY);
        assert_eq!(w.two.entry(table, index), page.maddr() | bits, "{flags:#x}");
        assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    }
    w.check();
}

#[test]
fn the_page_that_was_mapped_there_loses_its_reference() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let op = w.two.map_grant(1, 9, HOST, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    w.check();
    // Nothing maps it any more: it can become a table.
    w.two.take_over();
    assert_eq!(w.two.pin(1, at.mfn), 0);
    w.check();
}

#[test]
fn device_mappings_have_references_of_their_own() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    for flags in [HOST | DEVICE, HOST | DEVICE | RO] {
        let op = w.two.map_grant(1, 9, flags, at.va);
        assert_eq!(op.status, GNTST_OKAY);
        w.check();
        let op = unmap_op(op.handle, at.va, 0);
        assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, op).status, GNTST_OKAY);
        w.check();
        assert_ne!(w.table.in_use(&mut w.one, 9), 0, "the device still has it");
        let wrong = unmap_op(op.handle, 0, page.maddr() + 4096);
        assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, wrong).status, GNTST_BAD_DEV_ADDR);
        let op = unmap_op(op.handle, 0, page.maddr());
        assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, op).status, GNTST_OKAY);
        w.check();
        assert_eq!(w.table.in_use(&mut w.one, 9), 0);
        assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, op).status, GNTST_BAD_HANDLE);
    }
    // A device's alone, and nothing to be unmapped by neither address.
    let op = w.two.map_grant(1, 9, DEVICE, 0);
    assert_eq!((op.status, op.dev_bus_addr), (GNTST_OKAY, page.maddr()));
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert_ne!(w.table.in_use(&mut w.one, 9), 0);
    w.check();
}

#[test]
fn readers_and_writers_are_told_apart() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let (a, b) = (w.two.page(), w.two.page());
    let reader = w.two.map_grant(1, 9, HOST | RO, a.va);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING);
    let writer = w.two.map_grant(1, 9, HOST, b.va);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING | GTF_WRITING);
    w.check();
    assert_eq!(w.two.unmap_grant(writer.handle, b.va), GNTST_OKAY);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING);
    assert_eq!(w.two.unmap_grant(reader.handle, a.va), GNTST_OKAY);
    assert_eq!(w.table.in_use(&mut w.one, 9), 0);
    w.check();
}

#[test]
fn another_domain_does_not_get_a_grant_that_is_in_use() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    assert_eq!(w.two.map_grant(1, 9, HOST, at.va).status, GNTST_OKAY);
    w.table.grant(&mut w.one, 9, 0, page.mfn, false);
    let at = w.zero.page();
    assert_eq!(w.zero.map_grant(1, 9, HOST, at.va).status, GNTST_GENERAL_ERROR);
}

#[test]
fn a_grant_is_mapped_128_times_of_each_kind() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let mut ops = vec![map_op(1, 9, DEVICE, 0); 130];
    assert_eq!(w.two.gnttab(GNTTABOP_MAP_GRANT_REF, &mut ops), 0);
    assert!(w.two.continuations > 0, "a long list is done in pieces");
    let good = ops.iter().filter(|op| op.status == GNTST_OKAY).count();
    assert_eq!(good, 128);
    assert!(ops[128..].iter().all(|op| op.status == GNTST_GENERAL_ERROR));
    w.check();
    let mut ops: Vec<_> =
        ops[..128].iter().map(|op| unmap_op(op.handle, 0, op.dev_bus_addr)).collect();
    assert_eq!(w.two.gnttab(GNTTABOP_UNMAP_GRANT_REF, &mut ops), 0);
    assert!(ops.iter().all(|op| op.status == GNTST_OKAY));
    assert_eq!(w.table.in_use(&mut w.one, 9), 0);
    w.check();
}

#[test]
fn a_domain_has_so_many_handles() {
    let mut w = world_with(Limits { maptrack_frames: 1, ..Limits::default() });
    let pages: Vec<_> = (0..3).map(|_| w.one.page().mfn).collect();
    for (gref, mfn) in (9..).zip(&pages) {
        w.table.grant(&mut w.one, gref, 2, *mfn, true);
    }
    let mut handles = Vec::new();
    for index in 0..257 {
        let op = w.two.map_grant(1, 9 + index / 100, DEVICE | RO, 0);
        if op.status != GNTST_OKAY {
            assert_eq!((index, op.status), (256, GNTST_NO_SPACE));
            break;
        }
        handles.push((op.handle, op.dev_bus_addr));
    }
    assert_eq!(handles.len(), 256);
    let (handle, address) = handles[100];
    let op = unmap_op(handle, 0, address);
    assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, op).status, GNTST_OKAY);
    assert_eq!(w.two.map_grant(1, 8, DEVICE | RO, 0).status, GNTST_GENERAL_ERROR);
    assert_eq!(w.two.map_grant(1, 11, DEVICE | RO, 0).handle, handle, "the one that is free");
    assert_eq!(w.two.map_grant(1, 11, DEVICE | RO, 0).status, GNTST_NO_SPACE);
    w.check();
}

#[test]
fn bad_handles() {
    let mut w = world();
    let at = w.two.page();
    for handle in [0, 1, 255, 256, u32::MAX] {
        assert_eq!(w.two.unmap_grant(GrantHandle::new(handle), at.va), GNTST_BAD_HANDLE);
    }
    w.check();
}

#[test]
fn an_entry_that_the_guest_changed_is_not_unmapped() {
    let mut w = world();
    let (page, other) = (w.one.page(), w.two.page());
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let op = w.two.map_grant(1, 9, HOST, at.va);
    assert_eq!(w.two.unmap_grant(op.handle, other.va), GNTST_GENERAL_ERROR, "another page's");
    assert_eq!(w.two.unmap_grant(op.handle, 0x4000_0000), GNTST_GENERAL_ERROR, "nothing there");
    w.check();
    // By other means: the reference goes with the entry, the pin stays with the record.
    assert_eq!(w.two.update_va(at.va, other.maddr() | P | RW, UVMF_INVLPG), 0);
    w.check();
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_GENERAL_ERROR);
    assert_ne!(w.table.in_use(&mut w.one, 9), 0);
    assert_eq!(w.two.unmap_grant(op.handle, 0), GNTST_OKAY, "nothing was asked for");
    w.check();
}

#[test]
fn unmap_and_replace_moves_a_mapping() {
    let mut w = world();
    let (page, other) = (w.one.page(), w.two.page());
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    w.two.take_over();
    w.two.write(other.va, &77_u32);
    let replace = |w: &mut World, handle, host_addr, new_addr| {
        let op = GnttabUnmapAndReplace { host_addr, new_addr, handle, status: 1, _pad: [0; 2] };
        w.two.gnttab_one(GNTTABOP_UNMAP_AND_REPLACE, op).status
    };
    let op = w.two.map_grant(1, 9, HOST, at.va);
    for (host, new) in [(other.va, at.va), (at.va, 0x4000_0000), (at.va, at.va), (0x4000_0000, 0)] {
        assert_eq!(replace(&mut w, op.handle, host, new), GNTST_GENERAL_ERROR);
        w.check();
    }
    assert_eq!(replace(&mut w, GrantHandle::new(99), at.va, other.va), GNTST_BAD_HANDLE);
    assert_eq!(replace(&mut w, op.handle, at.va, other.va), GNTST_OKAY);
    assert_eq!(w.two.read::<u32>(at.va), 77);
    assert!(w.two.try_read(other.va, &mut [0]).is_err());
    assert_eq!(w.table.in_use(&mut w.one, 9), 0);
    w.check();
    // Named by the entry's address there is no replacing.
    let entry = w.two.l1_maddr_of(at.va);
    let op = w.two.map_grant(1, 9, HOST | GNTMAP_CONTAINS_PTE, entry);
    assert_eq!(op.status, GNTST_OKAY);
    assert_eq!(replace(&mut w, op.handle, entry, at.va), GNTST_GENERAL_ERROR);
    assert_eq!(replace(&mut w, op.handle, entry, 0), GNTST_OKAY, "no address: it goes");
    w.check();
}

#[test]
fn version_2_entries() {
    let mut w = world();
    let page = w.one.page();
    let table = w.one.grant_table_v2(1);
    table.set_v2(&mut w.one, 9, full_page(2, page.mfn, 0));
    table.set_v2(&mut w.one, 10, sub_page(2, page.mfn, 0, 0, 100));
    table.set_v2(&mut w.one, 11, transitive(2, 0, 9, 0));
    table.set_v2(&mut w.one, 12, full_page(2, page.mfn, GTF_READONLY));
    let at = w.two.page();
    for gref in [8, 10, 11, 12, 256] {
        let expected = if gref == 256 { GNTST_BAD_GNTREF } else { GNTST_GENERAL_ERROR };
        assert_eq!(w.two.map_grant(1, gref, HOST, at.va).status, expected, "{gref}");
        w.check();
    }
    let op = w.two.map_grant(1, 9, HOST | RO, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    assert_eq!(table.status_of(&mut w.one, 9), GTF_READING);
    assert_eq!(table.get_v2(&mut w.one, 9).hdr.flags, GTF_PERMIT_ACCESS, "not in the entry");
    let more = w.two.map_grant(1, 9, DEVICE, 0);
    assert_eq!(table.status_of(&mut w.one, 9), GTF_READING | GTF_WRITING);
    w.check();
    let unmap = unmap_op(more.handle, 0, more.dev_bus_addr);
    assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, unmap).status, GNTST_OKAY);
    assert_eq!(table.status_of(&mut w.one, 9), GTF_READING);
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert_eq!(table.status_of(&mut w.one, 9), 0);
    w.check();
}

#[test]
fn arrays_that_are_not_there() {
    let mut w = world();
    let call = |w: &mut World, command: u32, at: u64, count: u64| {
        w.two.take_over();
        w.two.call(nr::GRANT_TABLE_OP, &[command.into(), at, count])
    };
    let at = w.two.page().va;
    for command in [GNTTABOP_MAP_GRANT_REF, GNTTABOP_UNMAP_GRANT_REF, GNTTABOP_UNMAP_AND_REPLACE] {
        assert_eq!(call(&mut w, command, 0x4000_0000, 1), EFAULT);
        assert_eq!(call(&mut w, command, 0xffff_fff0, 1), EFAULT);
        assert_eq!(call(&mut w, command, at, 0x7fff_ffff), EFAULT);
        assert_eq!(call(&mut w, command, at, 0x8000_0000), EINVAL);
        assert_eq!(call(&mut w, command, 0, 0), 0);
        assert_eq!(call(&mut w, command | 1 << 12, at, 1), EINVAL);
    }
    assert_eq!(call(&mut w, 13, at, 1), ENOSYS);
    assert_eq!(call(&mut w, 0xfff, at, 1), ENOSYS);
    // What was done before the fault stands.
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let last = w.two.page();
    w.two.take_over();
    assert_eq!(w.two.update_va(last.va + 4096, 0, UVMF_INVLPG), 0);
    w.two.write(last.va + 4096 - 32, &map_op(1, 9, DEVICE, 0));
    assert_eq!(call(&mut w, GNTTABOP_MAP_GRANT_REF, last.va + 4096 - 32, 2), EFAULT);
    let op: GnttabMapGrantRef = w.two.read(last.va + 4096 - 32);
    assert_eq!(op.status, GNTST_OKAY);
    w.check();
}
