//! What a domain does with its own table: size, version, swapping, flushing, listing.

use std::sync::atomic::Ordering;

use hypervisor::domain::limits::Limits;
use hypervisor::platform::FrameAccess;
use pv_abi::grant_table::*;
use pv_abi::hypercall as nr;
use pv_abi::mmu::UVMF_INVLPG;
use pv_abi::types::{DomId, GrantRef};
use pv_abi::x86_32::GnttabSetupTable;
use pv_tests::guest::grants::{End, entry_v2, full_page, sub_page, transitive};
use pv_tests::guest::mmu::{P, RW};

use super::world::*;

fn query(w: &mut World, privileged: bool, dom: u16) -> GnttabQuerySize {
    let op = GnttabQuerySize {
        dom: DomId::new(dom),
        _pad0: [0; 2],
        nr_frames: 0xdead,
        max_nr_frames: 0xdead,
        status: 1,
        _pad1: [0; 2],
    };
    let guest = if privileged { &mut w.zero } else { &mut w.two };
    guest.gnttab_one(GNTTABOP_QUERY_SIZE, op)
}

#[test]
fn sizes() {
    let mut w = world();
    let op = query(&mut w, false, DomId::SELF.raw());
    assert_eq!((op.status, op.nr_frames, op.max_nr_frames), (GNTST_OKAY, 1, 64));
    assert_eq!(query(&mut w, false, 2).status, GNTST_OKAY);
    assert_eq!(query(&mut w, false, 1).status, GNTST_PERMISSION_DENIED);
    assert_eq!(query(&mut w, false, 9).status, GNTST_BAD_DOMAIN);
    assert_eq!(query(&mut w, true, 9).status, GNTST_BAD_DOMAIN);
    assert_eq!(w.one.setup_table(DomId::new(1), 3).0, GNTST_OKAY);
    let op = query(&mut w, true, 1);
    assert_eq!((op.status, op.nr_frames), (GNTST_OKAY, 3));
    assert_eq!(w.one.setup_table(DomId::SELF, 2).0, GNTST_OKAY, "it does not shrink");
    assert_eq!(query(&mut w, true, 1).nr_frames, 3);
    w.check();
}

#[test]
fn a_table_grows_to_its_limit() {
    let mut w = world();
    let free = |w: &World| w.sys.memory.free_and_total().0;
    let before = free(&w);
    assert_eq!(w.two.setup_table(DomId::SELF, 65).0, GNTST_GENERAL_ERROR);
    assert_eq!(free(&w), before);
    let (status, list) = w.two.setup_table(DomId::SELF, 64);
    assert_eq!(status, GNTST_OKAY);
    assert!(w.two.continuations >= 3, "in pieces");
    // 64 frames of entries, 128 of active ones, a directory each.
    assert_eq!(before - free(&w), 64 + 128 + 2);
    let mut distinct = list.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 64);
    assert_eq!(w.two.setup_table(DomId::SELF, 64), (GNTST_OKAY, list));
    assert_eq!(w.two.domain().pages.load(Ordering::Relaxed), 320, "they are not the domain's");
    w.check();
    // The last reference works.
    let page = w.two.page();
    let (_, list) = w.two.setup_table(DomId::SELF, 64);
    let last = w.two.map_lent(u64::from(list[63]));
    let entry = GrantEntryV1 {
        flags: GTF_PERMIT_ACCESS,
        domid: DomId::new(1),
        frame: page.mfn.raw() as u32,
    };
    w.two.write(last.va + 511 * 8, &entry);
    let at = w.one.page();
    let op = w.one.map_grant(2, 64 * 512 - 1, GNTMAP_HOST_MAP, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    assert_eq!(w.one.map_grant(2, 64 * 512, GNTMAP_HOST_MAP, at.va).status, GNTST_BAD_GNTREF);
    w.check();
}

#[test]
fn without_memory_a_table_does_not_grow() {
    let mut w = world();
    let mut taken = Vec::new();
    while w.sys.memory.free_and_total().0 > 20 {
        let mfn = w.sys.memory.allocate(hypervisor::mm::frame::Owner::Hypervisor, 0);
        taken.push(mfn.expect("there is some left"));
    }
    assert_eq!(w.two.setup_table(DomId::SELF, 16).0, GNTST_GENERAL_ERROR);
    w.check();
    for mfn in taken {
        w.sys.memory.release(mfn, 0);
    }
    assert_eq!(w.two.setup_table(DomId::SELF, 16).0, GNTST_OKAY);
    w.check();
}

#[test]
fn who_may_set_up_whose() {
    let mut w = world();
    assert_eq!(w.two.setup_table(DomId::new(1), 1).0, GNTST_PERMISSION_DENIED);
    assert_eq!(w.two.setup_table(DomId::new(9), 1).0, GNTST_BAD_DOMAIN);
    let (status, list) = w.zero.setup_table(DomId::new(1), 1);
    assert_eq!((status, u64::from(list[0])), (GNTST_OKAY, w.table.pages[0].mfn.raw()));
    w.check();
}

#[test]
fn setup_table_arguments() {
    let mut w = world();
    w.two.take_over();
    let call = |w: &mut World, at: u64, count: u64| {
        w.two.call(nr::GRANT_TABLE_OP, &[GNTTABOP_SETUP_TABLE.into(), at, count])
    };
    let op = |frames: u32, list: u64| GnttabSetupTable {
        dom: DomId::SELF,
        _pad0: [0; 2],
        nr_frames: frames,
        status: 1,
        _pad1: [0; 2],
        frame_list: list as u32,
    };
    let good = w.two.arg(&op(1, 0x4000_0000));
    assert_eq!(call(&mut w, good, 2), EINVAL);
    assert_eq!(call(&mut w, good, 0), 0, "nothing, for a narrow guest");
    assert_eq!(call(&mut w, 0x4000_0000, 1), EFAULT);
    assert_eq!(call(&mut w, good, 1), 0);
    assert_eq!(w.two.read::<GnttabSetupTable>(good).status, GNTST_BAD_VIRT_ADDR);
    let outside = w.two.arg(&op(2, 0xffff_fffc));
    assert_eq!(call(&mut w, outside, 1), EFAULT);
    let readonly = w.two.va_of(w.two.tables[0]);
    assert_eq!(call(&mut w, readonly, 1), EFAULT);
    w.check();
}

#[test]
fn the_frames_are_lent() {
    let mut w = world();
    let frame = w.table.pages[0].mfn;
    let word = w.sys.memory.frame(frame).expect("RAM").load();
    assert!(!word.allocated());
    w.one.take_over();
    let (done, _) = w.one.reservation(
        pv_abi::memory::XENMEM_DECREASE_RESERVATION,
        &[frame.raw() as u32],
        0,
        DomId::SELF,
    );
    assert_eq!(done, 0, "it is not the domain's to give");
    assert_ne!(w.one.pin(1, frame), 0, "nor to be a page table");
    w.check();
}

#[test]
fn changing_the_version() {
    let mut w = world();
    assert_eq!(w.one.set_version(3), (EINVAL, 1));
    assert_eq!(w.one.set_version(0), (EINVAL, 1));
    assert_eq!(w.one.set_version(1), (0, 1));
    let page = w.one.page();
    w.table.grant(&mut w.one, 1, 2, page.mfn, false);
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let op = w.two.map_grant(1, 9, GNTMAP_HOST_MAP, at.va);
    assert_eq!(w.one.set_version(2), (EBUSY, 1));
    w.check();
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    // A reserved entry may be in use; it is translated.
    let op = w.two.map_grant(1, 1, GNTMAP_HOST_MAP, at.va);
    assert_eq!(w.one.set_version(2), (0, 2));
    w.check();
    assert_eq!(w.table.get_v2(&mut w.one, 1), full_page(2, page.mfn, 0));
    assert_eq!(w.table.get_v2(&mut w.one, 9), entry_v2(0, 0, 0, 0, 0), "cleared");
    let version = |w: &mut World, dom: u16| {
        let op = GnttabGetVersion { dom: DomId::new(dom), pad: 0, version: 9 };
        let mut op = [op];
        let result = w.two.gnttab(GNTTABOP_GET_VERSION, &mut op);
        (result, op[0].version)
    };
    assert_eq!(version(&mut w, 2), (0, 1));
    assert_eq!(version(&mut w, DomId::SELF.raw()), (0, 1));
    assert_eq!(version(&mut w, 1), (EPERM, 9));
    assert_eq!(version(&mut w, 7), (ESRCH, 9));
    // Back again, still in use.
    assert_eq!(w.one.set_version(1), (0, 1));
    w.check();
    let entry = w.table.get(&mut w.one, 1);
    assert_eq!(entry.flags, GTF_PERMIT_ACCESS | GTF_READING | GTF_WRITING);
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert_eq!(w.table.get(&mut w.one, 1).flags, GTF_PERMIT_ACCESS);
    w.check();
    let mut w = world_with(Limits { grant_version: 1, grant_frames: 3, ..Limits::default() });
    assert_eq!(w.one.set_version(2), (ENOSYS, 1));
    assert_eq!(query(&mut w, false, 2).max_nr_frames, 3);
    assert_eq!(w.one.setup_table(DomId::SELF, 4).0, GNTST_GENERAL_ERROR);
    assert_eq!(w.one.setup_table(DomId::SELF, 3).0, GNTST_OKAY);
}

#[test]
fn what_version_1_cannot_say() {
    let mut w = world();
    let page = w.one.page();
    let table = w.one.grant_table_v2(1);
    w.one.take_over();
    for status in &table.status {
        assert_eq!(w.one.update_va(status.va, 0, UVMF_INVLPG), 0);
    }
    for (entry, result) in [
        (entry_v2(GTF_PERMIT_ACCESS, 2, 0, 0, 1 << 32), ERANGE),
        (transitive(2, 0, 1, 0), ERANGE),
        (entry_v2(GTF_ACCEPT_TRANSFER, 2, 0, 0, 1 << 40), 0),
    ] {
        table.set_v2(&mut w.one, 7, entry);
        assert_eq!(w.one.set_version(1).0, result);
        w.check();
    }
    assert_eq!(w.table.get(&mut w.one, 7).flags, 0, "an entry of that kind is dropped");
    assert_eq!(w.one.set_version(2), (0, 2));
    table.set_v2(&mut w.one, 7, sub_page(2, page.mfn, 0, 1, 2));
    assert_eq!(w.one.set_version(1), (0, 1));
    assert_eq!(w.table.get(&mut w.one, 7).flags, GTF_PERMIT_ACCESS | GTF_SUB_PAGE);
}

#[test]
fn status_frames() {
    let mut w = world();
    assert_eq!(w.one.status_frames(DomId::SELF, 0).0, GNTST_OKAY);
    assert_eq!(w.one.status_frames(DomId::SELF, 1).0, GNTST_GENERAL_ERROR, "in version 1");
    assert_eq!(w.one.setup_table(DomId::SELF, 9).0, GNTST_OKAY);
    assert_eq!(w.one.set_version(2), (0, 2));
    let (status, list) = w.one.status_frames(DomId::SELF, 2);
    assert_eq!(status, GNTST_OKAY);
    assert!(list[0] != list[1] && list[0] != u64::MAX);
    assert_eq!(w.one.status_frames(DomId::SELF, 3).0, GNTST_GENERAL_ERROR);
    assert_eq!(w.two.status_frames(DomId::new(1), 1).0, GNTST_PERMISSION_DENIED);
    assert_eq!(w.two.status_frames(DomId::new(9), 1).0, GNTST_BAD_DOMAIN);
    assert_eq!(w.zero.status_frames(DomId::new(1), 2), (GNTST_OKAY, list));
    // They grow with the table.
    assert_eq!(w.one.setup_table(DomId::SELF, 17).0, GNTST_OKAY);
    assert_eq!(w.one.status_frames(DomId::SELF, 3).0, GNTST_OKAY);
    w.check();
}

#[test]
fn swapping_entries() {
    let mut w = world();
    let (a, b) = (w.one.page(), w.one.page());
    w.table.grant(&mut w.one, 9, 2, a.mfn, false);
    w.table.grant(&mut w.one, 10, 0, b.mfn, true);
    let swap = |w: &mut World, a: u32, b: u32| {
        let op = GnttabSwapGrantRef {
            ref_a: GrantRef::new(a),
            ref_b: GrantRef::new(b),
            status: 1,
            _pad: [0; 2],
        };
        w.one.gnttab_one(GNTTABOP_SWAP_GRANT_REF, op).status
    };
    let (nine, ten) = (w.table.get(&mut w.one, 9), w.table.get(&mut w.one, 10));
    assert_eq!(swap(&mut w, 9, 10), GNTST_OKAY);
    assert_eq!(w.table.get(&mut w.one, 9), ten);
    assert_eq!(w.table.get(&mut w.one, 10), nine);
    assert_eq!(swap(&mut w, 9, 9), GNTST_OKAY);
    assert_eq!(swap(&mut w, 512, 9), GNTST_BAD_GNTREF);
    assert_eq!(swap(&mut w, 9, u32::MAX), GNTST_BAD_GNTREF);
    let at = w.two.page();
    let op = w.two.map_grant(1, 10, GNTMAP_HOST_MAP, at.va);
    assert_eq!(swap(&mut w, 9, 10), GNTST_EAGAIN);
    assert_eq!(swap(&mut w, 10, 9), GNTST_EAGAIN);
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    // In version 2 the status goes along.
    let table = w.one.grant_table_v2(1);
    table.set_v2(&mut w.one, 20, sub_page(2, a.mfn, 0, 3, 4));
    assert_eq!(swap(&mut w, 20, 21), GNTST_OKAY);
    assert_eq!(table.get_v2(&mut w.one, 21), sub_page(2, a.mfn, 0, 3, 4));
    assert_eq!(table.get_v2(&mut w.one, 20), entry_v2(0, 0, 0, 0, 0));
    w.check();
}

#[test]
fn cache_lines_are_written_back() {
    let mut w = world();
    let (own, theirs, hidden) = (w.two.page(), w.one.page(), w.one.page());
    w.table.grant(&mut w.one, 9, 2, theirs.mfn, true);
    let flush = |w: &mut World, address: u64, offset: u16, length: u16, op: u32| {
        let mut ops = [GnttabCacheFlush { a: address, offset, length, op }];
        w.two.gnttab(GNTTABOP_CACHE_FLUSH, &mut ops)
    };
    let (clean, both) = (GNTTAB_CACHE_CLEAN, GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL);
    assert_eq!(flush(&mut w, own.maddr(), 64, 128, clean), 0);
    assert_eq!(w.two.machine().this().flushed_lines, [(own.mfn, 64, 128)]);
    assert_eq!(flush(&mut w, own.maddr(), 0, 4096, both), 0);
    assert_eq!(flush(&mut w, own.maddr(), 0, 8, GNTTAB_CACHE_INVAL), EOPNOTSUPP);
    assert_eq!(flush(&mut w, own.maddr(), 1, 4096, clean), EINVAL);
    assert_eq!(flush(&mut w, own.maddr(), 4096, 0, clean), EINVAL);
    assert_eq!(flush(&mut w, own.maddr(), 0, 8, clean | 4), EINVAL);
    assert_eq!(flush(&mut w, 9, 0, 8, clean | GNTTAB_CACHE_SOURCE_GREF), EINVAL);
    assert_eq!(flush(&mut w, own.maddr(), 0, 0, clean), 0);
    assert_eq!(flush(&mut w, own.maddr(), 0, 8, 0), 0);
    assert_eq!(flush(&mut w, u64::MAX, 0, 8, clean), EINVAL);
    assert_eq!(flush(&mut w, 1 << 12, 0, 8, clean), EPERM, "the M2P's");
    assert_eq!(flush(&mut w, theirs.maddr(), 0, 8, clean), EINVAL, "not in use");
    let at = w.two.page();
    let op = w.two.map_grant(1, 9, GNTMAP_HOST_MAP | GNTMAP_READONLY, at.va);
    assert_eq!(flush(&mut w, theirs.maddr(), 0, 8, clean), 0);
    assert_eq!(flush(&mut w, hidden.maddr(), 0, 8, clean), EINVAL);
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    w.two.take_over();
    let at = w.two.arg(&GnttabCacheFlush { a: own.maddr(), offset: 0, length: 0, op: 0 });
    let command = u64::from(GNTTABOP_CACHE_FLUSH) | 1 << 12;
    assert_eq!(w.two.call(nr::GRANT_TABLE_OP, &[command, at, 1]), EILSEQ);
    w.check();
}

#[test]
fn a_long_table_is_searched_in_pieces() {
    let mut w = world();
    let theirs = w.one.page();
    let (_, list) = w.one.setup_table(DomId::SELF, 64);
    w.one.take_over();
    let last = w.one.map_lent(u64::from(list[63]));
    let frame = theirs.mfn.raw() as u32;
    let entry = GrantEntryV1 { flags: GTF_PERMIT_ACCESS, domid: DomId::new(2), frame };
    w.one.write(last.va, &entry);
    let op = w.two.map_grant(1, 63 * 512, GNTMAP_DEVICE_MAP, 0);
    assert_eq!(op.status, GNTST_OKAY);
    let flush =
        GnttabCacheFlush { a: theirs.maddr(), offset: 0, length: 8, op: GNTTAB_CACHE_CLEAN };
    let before = w.two.continuations;
    assert_eq!(w.two.gnttab(GNTTABOP_CACHE_FLUSH, &mut [flush, flush]), 0);
    assert_eq!(w.two.continuations - before, 14, "seven for each");
    w.check();
}

#[test]
fn listing_a_table_is_for_domain_0() {
    let mut w = world();
    let op = |dom: u16| GnttabDumpTable { dom: DomId::new(dom), status: 1 };
    assert_eq!(w.two.gnttab(GNTTABOP_DUMP_TABLE, &mut [op(2)]), EPERM);
    assert_eq!(w.zero.gnttab_one(GNTTABOP_DUMP_TABLE, op(1)).status, GNTST_OKAY);
    assert_eq!(w.zero.gnttab_one(GNTTABOP_DUMP_TABLE, op(9)).status, GNTST_BAD_DOMAIN);
    w.check();
}

#[test]
fn a_toolstack_finds_the_frames() {
    let w = world();
    let one = w.one.domain();
    use hypervisor::grant::setup::frame_of;
    assert_eq!(frame_of(&w.sys, one, false, 0), Ok(w.table.pages[0].mfn));
    assert!(frame_of(&w.sys, one, false, 63).is_ok());
    assert!(frame_of(&w.sys, one, false, 64).is_err());
    assert!(frame_of(&w.sys, one, true, 0).is_err());
    w.check();
}

#[test]
fn a_grant_frame_can_be_granted() {
    let mut w = world();
    let frame = w.table.pages[0].mfn;
    w.table.grant(&mut w.one, 9, 2, frame, true);
    let at = w.two.page();
    let op = w.two.map_grant(1, 9, GNTMAP_HOST_MAP | GNTMAP_READONLY, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    let entry: GrantEntryV1 = w.two.read(at.va + 9 * 8);
    assert_eq!(u64::from(entry.frame), frame.raw());
    w.check();
    let source = End::Grant(1, 9, 72);
    let page = w.two.page();
    assert_eq!(w.two.grant_copy(source, End::Own(page.mfn, 0), 8), GNTST_OKAY);
    let seen = w.sys.platform.words(page.mfn)[0].load(Ordering::Relaxed);
    assert_eq!(seen >> 32, frame.raw());
    assert_eq!(w.two.update_va(at.va, page.maddr() | P | RW, UVMF_INVLPG), 0);
    w.check();
}
