//! Copying between pages.

use hypervisor::mm::frame::Type;
use hypervisor::width::Width;
use pv_abi::grant_table::*;
use pv_abi::hypercall as nr;
use pv_abi::types::{DomId, Mfn};
use pv_abi::{x86_32, x86_64};
use pv_tests::guest::grants::{End, copy_op, entry_v2, full_page, sub_page, transitive};
use pv_tests::guest::{Guest, Page, Spec};
use pv_tests::{boot, check};

use super::world::*;

/// Fills a page with bytes that tell where they are.
fn fill(guest: &mut Guest, page: Page, seed: u8) {
    guest.take_over();
    let bytes: Vec<u8> = (0..4096_u32).map(|i| (i / 16) as u8 ^ i as u8 ^ seed).collect();
    guest.write(page.va, &bytes[..]);
}

fn bytes(guest: &mut Guest, page: Page) -> Vec<u8> {
    guest.take_over();
    let mut bytes = vec![0; 4096];
    guest.try_read(page.va, &mut bytes).expect("it is mapped");
    bytes
}

#[test]
fn all_four_forms() {
    let mut w = world();
    let (theirs, ours, more) = (w.one.page(), w.two.page(), w.two.page());
    let other = w.one.page();
    w.table.grant(&mut w.one, 9, 2, theirs.mfn, true);
    w.table.grant(&mut w.one, 10, 2, other.mfn, false);
    fill(&mut w.one, theirs, 3);
    let expected = bytes(&mut w.one, theirs);
    let (source, dest) = (End::Grant(1, 9, 0), End::Grant(1, 10, 0));
    assert_eq!(w.two.grant_copy(source, End::Own(ours.mfn, 0), 4096), GNTST_OKAY);
    assert_eq!(bytes(&mut w.two, ours), expected);
    assert_eq!(w.two.grant_copy(End::Own(ours.mfn, 0), End::Own(more.mfn, 0), 4096), GNTST_OKAY);
    assert_eq!(bytes(&mut w.two, more), expected);
    assert_eq!(w.two.grant_copy(End::Own(more.mfn, 0), dest, 4096), GNTST_OKAY);
    assert_eq!(bytes(&mut w.one, other), expected);
    fill(&mut w.one, other, 9);
    assert_eq!(w.two.grant_copy(source, dest, 4096), GNTST_OKAY);
    assert_eq!(bytes(&mut w.one, other), expected);
    assert_eq!(w.table.in_use(&mut w.one, 9) | w.table.in_use(&mut w.one, 10), 0);
    w.check();
}

#[test]
fn any_bytes_to_anywhere() {
    let mut w = world();
    let (theirs, ours) = (w.one.page(), w.two.page());
    w.table.grant(&mut w.one, 9, 2, theirs.mfn, true);
    fill(&mut w.one, theirs, 1);
    let from = bytes(&mut w.one, theirs);
    for (at, to, len) in
        [(0, 0, 1), (1, 2, 3), (4095, 4095, 1), (7, 4000, 96), (8, 16, 64), (1, 0, 4095)]
    {
        fill(&mut w.two, ours, 77);
        let mut expected = bytes(&mut w.two, ours);
        expected[to..to + len].copy_from_slice(&from[at..at + len]);
        let dest = End::Own(ours.mfn, to as u16);
        assert_eq!(w.two.grant_copy(End::Grant(1, 9, at as u16), dest, len as u16), GNTST_OKAY);
        assert_eq!(bytes(&mut w.two, ours), expected, "{len} bytes from {at} to {to}");
    }
}

#[test]
fn what_is_refused() {
    let mut w = world();
    let (theirs, ours, hidden) = (w.one.page(), w.two.page(), w.one.page());
    w.table.grant(&mut w.one, 9, 2, theirs.mfn, true);
    w.table.grant(&mut w.one, 10, 2, theirs.mfn, false);
    w.table.grant(&mut w.one, 11, 0, theirs.mfn, false);
    w.table.grant(&mut w.one, 12, 2, ours.mfn, false);
    let theirs_too = w.one.tables[0];
    w.table.grant(&mut w.one, 13, 2, theirs_too, false);
    let own = |offset| End::Own(ours.mfn, offset);
    let ro = |offset| End::Grant(1, 9, offset);
    let table = w.two.tables[0];
    for (source, dest, len, status) in [
        (ro(0), own(1), 4096, GNTST_BAD_COPY_ARG),
        (ro(1), own(0), 4096, GNTST_BAD_COPY_ARG),
        (ro(4095), own(0), 2, GNTST_BAD_COPY_ARG),
        (ro(0xffff), own(0), 0xffff, GNTST_BAD_COPY_ARG),
        (ro(0), own(0), 0xffff, GNTST_BAD_COPY_ARG),
        (own(0), ro(0), 8, GNTST_GENERAL_ERROR),
        (End::Grant(1, 11, 0), own(0), 8, GNTST_GENERAL_ERROR),
        (End::Grant(1, 8, 0), own(0), 8, GNTST_GENERAL_ERROR),
        (End::Grant(1, 512, 0), own(0), 8, GNTST_BAD_GNTREF),
        (End::Grant(7, 9, 0), own(0), 8, GNTST_BAD_DOMAIN),
        (End::Grant(1, 12, 0), own(0), 8, GNTST_BAD_PAGE),
        (own(0), End::Grant(1, 12, 0), 8, GNTST_BAD_PAGE),
        (own(0), End::Grant(1, 13, 0), 8, GNTST_GENERAL_ERROR),
        (End::Own(hidden.mfn, 0), own(0), 8, GNTST_BAD_PAGE),
        (own(0), End::Own(hidden.mfn, 0), 8, GNTST_BAD_PAGE),
        (End::Own(Mfn::new(0xffff_fff0), 0), own(0), 8, GNTST_BAD_PAGE),
        (own(0), End::Own(table, 0), 8, GNTST_GENERAL_ERROR),
        (own(0xffff), own(0xffff), 0, GNTST_OKAY),
        (End::Grant(9, 9999, 0), own(0), 0, GNTST_OKAY),
    ] {
        assert_eq!(w.two.grant_copy(source, dest, len), status, "{source:?} to {dest:?}, {len}");
        w.check();
    }
    for gref in 9..14 {
        assert_eq!(w.table.in_use(&mut w.one, gref), 0);
    }
    // A frame of a domain that is named, be it oneself, is not to be had by number.
    let mut op = copy_op(own(0), own(64), 8);
    op.source.domid = DomId::new(2);
    assert_eq!(w.two.gnttab_one(GNTTABOP_COPY, op).status, GNTST_PERMISSION_DENIED);
    let mut op = copy_op(own(0), own(64), 8);
    op.dest.domid = DomId::new(1);
    assert_eq!(w.two.gnttab_one(GNTTABOP_COPY, op).status, GNTST_PERMISSION_DENIED);
    w.check();
}

#[test]
fn a_page_table_can_be_read_from_but_not_written_to() {
    let mut w = world();
    let ours = w.two.page();
    let table = w.one.tables[0];
    w.table.grant(&mut w.one, 9, 2, table, false);
    assert_eq!(w.two.grant_copy(End::Grant(1, 9, 0), End::Own(ours.mfn, 0), 4096), GNTST_OKAY);
    assert_eq!(
        w.two.grant_copy(End::Own(ours.mfn, 0), End::Grant(1, 9, 0), 8),
        GNTST_GENERAL_ERROR
    );
    w.check();
}

#[test]
fn a_page_without_a_type_becomes_writable() {
    let mut w = world();
    let (theirs, ours) = (w.one.page(), w.two.page());
    w.one.take_over();
    assert_eq!(w.one.update_va(theirs.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    assert_eq!(w.one.pin(1, theirs.mfn), 0);
    assert_eq!(w.one.unpin(theirs.mfn), 0);
    w.table.grant(&mut w.one, 9, 2, theirs.mfn, false);
    assert_eq!(w.two.grant_copy(End::Own(ours.mfn, 0), End::Grant(1, 9, 0), 64), GNTST_OKAY);
    let word = w.sys.memory.frame(theirs.mfn).expect("RAM").load();
    assert_eq!((word.kind(), word.type_count()), (Type::Writable, 0));
    w.check();
}

#[test]
fn a_grant_can_be_copied_from_while_it_is_mapped() {
    let mut w = world();
    let (theirs, ours, at) = (w.one.page(), w.two.page(), w.two.page());
    w.table.grant(&mut w.one, 9, 2, theirs.mfn, false);
    let op = w.two.map_grant(1, 9, GNTMAP_HOST_MAP | GNTMAP_READONLY, at.va);
    assert_eq!(w.two.grant_copy(End::Own(ours.mfn, 0), End::Grant(1, 9, 0), 64), GNTST_OKAY);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING);
    w.check();
    // The granter lies about what it granted: writing does not get at the page that was granted
    // for reading, nor at the other one by the mapping's pin.
    let other = w.one.page();
    w.table.grant(&mut w.one, 9, 2, other.mfn, false);
    let dest = End::Grant(1, 9, 0);
    assert_eq!(w.two.grant_copy(End::Own(ours.mfn, 0), dest, 64), GNTST_GENERAL_ERROR);
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert_eq!(w.two.grant_copy(End::Own(ours.mfn, 0), dest, 64), GNTST_OKAY);
    w.check();
}

#[test]
fn a_batch_does_each_and_goes_on_after_errors() {
    let mut w = world();
    let (theirs, ours) = (w.one.page(), w.two.page());
    w.table.grant(&mut w.one, 9, 2, theirs.mfn, true);
    fill(&mut w.one, theirs, 5);
    let expected = bytes(&mut w.one, theirs);
    let mut ops: Vec<_> = (0..256_u16)
        .map(|i| copy_op(End::Grant(1, 9, i * 16), End::Own(ours.mfn, i * 16), 16))
        .collect();
    ops[100] = copy_op(End::Grant(1, 600, 0), End::Own(ours.mfn, 0), 16);
    assert_eq!(w.two.gnttab(GNTTABOP_COPY, &mut ops), 0);
    assert_eq!(w.two.continuations, 3);
    let good = ops.iter().filter(|op| op.status == GNTST_OKAY).count();
    assert_eq!((good, ops[100].status), (255, GNTST_BAD_GNTREF));
    let got = bytes(&mut w.two, ours);
    assert_eq!(got[..1600], expected[..1600]);
    assert_eq!(got[1616..], expected[1616..]);
    w.check();
}

#[test]
fn parts_of_pages() {
    let mut w = world();
    let (theirs, ours) = (w.one.page(), w.two.page());
    let table = w.one.grant_table_v2(1);
    table.set_v2(&mut w.one, 9, sub_page(2, theirs.mfn, 0, 100, 50));
    table.set_v2(&mut w.one, 10, sub_page(2, theirs.mfn, 0, 4090, 100));
    table.set_v2(&mut w.one, 11, sub_page(2, theirs.mfn, 0, 5000, 100));
    table.set_v2(&mut w.one, 12, sub_page(2, theirs.mfn, GTF_READONLY, 0, 4096));
    let own = End::Own(ours.mfn, 0);
    for (gref, offset, len, status) in [
        (9, 100, 50, GNTST_OKAY),
        (9, 149, 1, GNTST_OKAY),
        (9, 99, 2, GNTST_GENERAL_ERROR),
        (9, 100, 51, GNTST_GENERAL_ERROR),
        (9, 150, 1, GNTST_GENERAL_ERROR),
        (9, 0, 4096, GNTST_GENERAL_ERROR),
        (10, 4090, 6, GNTST_OKAY),
        (10, 4090, 7, GNTST_BAD_COPY_ARG),
        (11, 0, 1, GNTST_GENERAL_ERROR),
        (11, 4095, 1, GNTST_GENERAL_ERROR),
        (12, 0, 4096, GNTST_OKAY),
    ] {
        let source = End::Grant(1, gref, offset);
        assert_eq!(w.two.grant_copy(source, own, len), status, "{gref}: {len} from {offset}");
        w.check();
    }
    assert_eq!(w.two.grant_copy(own, End::Grant(1, 9, 100), 50), GNTST_OKAY);
    assert_eq!(w.two.grant_copy(own, End::Grant(1, 12, 100), 50), GNTST_GENERAL_ERROR);
    assert_eq!(w.one.domain().id, DomId::new(1));
    w.check();
}

#[test]
fn a_grant_is_passed_on_once() {
    let mut w = world();
    // 0 grants to 1, which passes it on to 2.
    let (page, ours) = (w.zero.page(), w.two.page());
    let zeros = w.zero.grant_table_v2(1);
    let ones = w.one.grant_table_v2(1);
    fill(&mut w.zero, page, 8);
    let expected = bytes(&mut w.zero, page);
    zeros.set_v2(&mut w.zero, 20, full_page(1, page.mfn, 0));
    zeros.set_v2(&mut w.zero, 21, sub_page(1, page.mfn, GTF_READONLY, 64, 64));
    zeros.set_v2(&mut w.zero, 22, transitive(1, 2, 9, 0));
    zeros.set_v2(&mut w.zero, 23, full_page(2, page.mfn, 0));
    ones.set_v2(&mut w.one, 9, transitive(2, 0, 20, 0));
    ones.set_v2(&mut w.one, 10, transitive(2, 0, 21, 0));
    ones.set_v2(&mut w.one, 11, transitive(2, 0, 22, 0));
    ones.set_v2(&mut w.one, 12, transitive(2, 0, 23, 0));
    ones.set_v2(&mut w.one, 13, transitive(2, 1, 9, 0));
    ones.set_v2(&mut w.one, 14, transitive(2, 9, 0, 0));
    ones.set_v2(&mut w.one, 15, transitive(2, 0, 999, 0));
    ones.set_v2(&mut w.one, 16, transitive(0, 0, 20, 0));
    ones.set_v2(&mut w.one, 17, transitive(2, 0, 20, GTF_READONLY));
    let own = End::Own(ours.mfn, 0);
    assert_eq!(w.two.grant_copy(End::Grant(1, 9, 0), own, 4096), GNTST_OKAY);
    assert_eq!(bytes(&mut w.two, ours), expected);
    for (gref, offset, len, reading, writing) in [
        (9, 0, 100, GNTST_OKAY, GNTST_OKAY),
        (10, 64, 64, GNTST_OKAY, GNTST_GENERAL_ERROR),
        (10, 64, 65, GNTST_GENERAL_ERROR, GNTST_GENERAL_ERROR),
        (11, 0, 8, GNTST_GENERAL_ERROR, GNTST_GENERAL_ERROR),
        (12, 0, 8, GNTST_GENERAL_ERROR, GNTST_GENERAL_ERROR),
        (13, 0, 8, GNTST_GENERAL_ERROR, GNTST_GENERAL_ERROR),
        (14, 0, 8, GNTST_GENERAL_ERROR, GNTST_GENERAL_ERROR),
        (15, 0, 8, GNTST_BAD_GNTREF, GNTST_BAD_GNTREF),
        (16, 0, 8, GNTST_GENERAL_ERROR, GNTST_GENERAL_ERROR),
        (17, 0, 8, GNTST_OKAY, GNTST_GENERAL_ERROR),
    ] {
        let end = End::Grant(1, gref, offset);
        assert_eq!(w.two.grant_copy(end, own, len), reading, "{gref} from {offset}");
        w.check();
        assert_eq!(w.two.grant_copy(own, end, len), writing, "{gref} to {offset}");
        w.check();
    }
    for gref in 9..18 {
        assert_eq!(ones.status_of(&mut w.one, gref), 0, "{gref}");
    }
    for gref in 20..24 {
        assert_eq!(zeros.status_of(&mut w.zero, gref), 0, "{gref}");
    }
    // In version 1 the type does not exist.
    let op = entry_v2(GTF_TRANSITIVE, 0, 0, 0, 0);
    assert_eq!(op.hdr.flags, 3);
    w.check();
}

#[test]
fn transitive_entries_of_version_1_grant_nothing() {
    let mut w = world();
    let ours = w.two.page();
    w.table.set(&mut w.one, 9, GTF_TRANSITIVE, 2, 20);
    let status = w.two.grant_copy(End::Grant(1, 9, 0), End::Own(ours.mfn, 0), 8);
    assert_eq!(status, GNTST_GENERAL_ERROR);
    w.check();
}

#[test]
fn a_wide_guest_copies_by_its_own_structure() {
    let sys = boot::system(2048, 2);
    let wide = Spec { width: Width::Pv64, id: 0, base: 0x8000_0000, ..Spec::default() };
    let mut g = Guest::on(sys.clone(), wide);
    let (a, b) = (g.page(), g.page());
    g.take_over();
    g.write(a.va + 8, &0x1122_3344_5566_7788_u64);
    let end = |page: Page, offset| x86_64::GnttabCopyPtr {
        u: page.mfn.raw(),
        domid: DomId::SELF,
        offset,
        _pad: [0; 4],
    };
    let op = x86_64::GnttabCopy {
        source: end(a, 8),
        dest: end(b, 16),
        len: 8,
        flags: 0,
        status: 1,
        _pad: [0; 2],
    };
    let at = g.arg(&op);
    assert_eq!(g.call(nr::GRANT_TABLE_OP, &[GNTTABOP_COPY.into(), at, 1]), 0);
    assert_eq!(g.read::<x86_64::GnttabCopy>(at).status, GNTST_OKAY);
    assert_eq!(g.read::<u64>(b.va + 16), 0x1122_3344_5566_7788);
    assert_ne!(size_of::<x86_64::GnttabCopy>(), size_of::<x86_32::GnttabCopy>());
    check::invariants(&sys);
}
