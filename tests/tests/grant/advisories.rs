//! Xen's security advisories on grant tables: each root cause that could exist here, tried.
//!
//! Those on transfer (214, 284) are with its tests.

use hypervisor::grant::active::Pins;
use hypervisor::mm::frame::Type;
use pv_abi::grant_table::*;
use pv_abi::hypercall as nr;
use pv_abi::types::{DomId, GrantHandle, GrantRef};
use pv_tests::guest::grants::{End, copy_op, full_page, map_op, sub_page, transitive, unmap_op};
use pv_tests::guest::mmu::{P, RW};

use super::world::*;

const HOST: u32 = GNTMAP_HOST_MAP;
const DEVICE: u32 = GNTMAP_DEVICE_MAP;
const RO: u32 = GNTMAP_READONLY;

fn swap(w: &mut World, a: u32, b: u32) -> i16 {
    let (ref_a, ref_b) = (GrantRef::new(a), GrantRef::new(b));
    let op = GnttabSwapGrantRef { ref_a, ref_b, status: 1, _pad: [0; 2] };
    w.two.gnttab_one(GNTTABOP_SWAP_GRANT_REF, op).status
}

fn pins(w: &World, gref: u32) -> Pins {
    let found = hypervisor::grant::report::in_use(&w.sys, w.one.domain())
        .find(|(number, _)| number.raw() == gref);
    found.map_or(Pins::NONE, |(_, active)| active.pins)
}

#[test]
fn xsa_18_swapped_references_are_checked() {
    let mut w = world();
    for bad in [512, 0x1000_0000, u32::MAX] {
        assert_eq!(swap(&mut w, bad, 9), GNTST_BAD_GNTREF);
        assert_eq!(swap(&mut w, 9, bad), GNTST_BAD_GNTREF);
        assert_eq!(swap(&mut w, bad, bad), GNTST_BAD_GNTREF);
    }
    w.check();
}

#[test]
fn xsa_24_telling_status_frames_comes_to_an_end() {
    let mut w = world();
    assert_eq!(w.two.set_version(2), (0, 2));
    w.two.take_over();
    for count in [0_u64, 1, 2, 5, 0x7fff_ffff] {
        for frames in [0_u32, 1, 2, 0xffff] {
            let list = w.two.arg(&[0_u64; 2]);
            let op = pv_abi::x86_32::GnttabGetStatusFrames {
                nr_frames: frames,
                dom: DomId::SELF,
                status: 1,
                frame_list: list as u32,
            };
            let at = w.two.arg(&op);
            let command = u64::from(GNTTABOP_GET_STATUS_FRAMES);
            let result = w.two.call(nr::GRANT_TABLE_OP, &[command, at, count]);
            assert_eq!(result, if count > 1 { EINVAL } else { 0 });
        }
    }
    w.check();
}

#[test]
fn xsa_26_status_frames_survive_changes_of_version() {
    let mut w = world();
    let free = w.sys.memory.free_and_total().0;
    assert_eq!(w.two.set_version(2), (0, 2));
    let (_, first) = w.two.status_frames(DomId::SELF, 1);
    let after = w.sys.memory.free_and_total().0;
    for _ in 0..10 {
        assert_eq!(w.two.set_version(1), (0, 1));
        assert_eq!(w.two.set_version(2), (0, 2));
        w.check();
    }
    assert_eq!(w.two.status_frames(DomId::SELF, 1).1, first);
    assert_eq!(w.sys.memory.free_and_total().0, after);
    assert!(free > after);
}

#[test]
fn xsa_134_swapping_before_anything_else() {
    let mut w = world();
    // Domain 2 has not touched its table yet.
    assert_eq!(swap(&mut w, 1, 2), GNTST_OKAY);
    w.check();
}

#[test]
fn xsa_218_a_handle_is_unmapped_once() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let (a, b) = (w.two.page(), w.two.page());
    let first = w.two.map_grant(1, 9, HOST, a.va);
    let second = w.two.map_grant(1, 9, HOST, b.va);
    assert_eq!(pins(&w, 9).counts(), [2, 0, 0, 0]);
    // Two vCPUs unmap the first handle, one of them at the address of the second: the paging lock
    // lets one of them through, and whoever comes later finds the record gone.
    let mut ops = [unmap_op(first.handle, a.va, 0), unmap_op(first.handle, b.va, 0)];
    assert_eq!(w.two.gnttab(GNTTABOP_UNMAP_GRANT_REF, &mut ops), 0);
    assert_eq!(ops.map(|op| op.status), [GNTST_OKAY, GNTST_BAD_HANDLE]);
    assert_eq!(pins(&w, 9).counts(), [1, 0, 0, 0]);
    w.check();
    assert_eq!(w.two.unmap_grant(second.handle, b.va), GNTST_OKAY);
    w.check();
}

#[test]
fn xsa_224_host_and_device_mappings_are_counted_apart() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let references = |w: &World| w.sys.memory.frame(page.mfn).expect("RAM").load();
    let before = references(&w);
    for flags in [HOST | DEVICE, HOST | DEVICE | RO] {
        let op = w.two.map_grant(1, 9, flags, at.va);
        assert_eq!(references(&w).total(), before.total() + 2);
        let typed = if flags & RO == 0 { 2 } else { 0 };
        assert_eq!(references(&w).type_count(), before.type_count() + typed);
        // By an address that is not the device's nothing is undone, the host's part neither.
        let wrong = unmap_op(op.handle, at.va, page.maddr() + 1);
        let wrong = w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, wrong);
        assert_eq!(wrong.status, GNTST_BAD_DEV_ADDR);
        assert_eq!(references(&w).total(), before.total() + 2);
        let right = unmap_op(op.handle, at.va, page.maddr());
        assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, right).status, GNTST_OKAY);
        assert_eq!(references(&w), before);
        w.check();
    }
    // A device mapping that is unmapped with an address of the host's, which it has not.
    let op = w.two.map_grant(1, 9, DEVICE, 0);
    let both = unmap_op(op.handle, at.va, page.maddr());
    assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, both).status, GNTST_OKAY);
    assert_eq!(references(&w), before);
    w.check();
}

#[test]
fn xsa_226_transitive_chains_end() {
    let mut w = world();
    let ours = w.two.page();
    let zeros = w.zero.grant_table_v2(1);
    let ones = w.one.grant_table_v2(1);
    // A ring of two, and one that bites its own tail.
    zeros.set_v2(&mut w.zero, 9, transitive(1, 1, 9, 0));
    ones.set_v2(&mut w.one, 9, transitive(2, 0, 9, 0));
    ones.set_v2(&mut w.one, 10, transitive(2, 1, 10, 0));
    for gref in [9, 10] {
        let mut ops = vec![copy_op(End::Grant(1, gref, 0), End::Own(ours.mfn, 0), 8); 100];
        assert_eq!(w.two.gnttab(GNTTABOP_COPY, &mut ops), 0);
        assert!(ops.iter().all(|op| op.status == GNTST_GENERAL_ERROR));
        assert_eq!(ones.status_of(&mut w.one, gref), 0);
    }
    assert_eq!(zeros.status_of(&mut w.zero, 9), 0);
    w.check();
}

#[test]
fn xsa_227_the_machine_address_of_an_entry_is_one() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let at = w.two.page();
    let entry = w.two.l1_maddr_of(at.va);
    let (table, index) = w.two.l1_entry_of(at.va).expect("it is mapped");
    let before: Vec<_> = (0..512).map(|i| w.two.entry(table, i)).collect();
    for offset in 1..8 {
        for contains in [entry + offset, (entry & !0xfff) + 0xff8 + offset] {
            let op = w.two.map_grant(1, 9, HOST | GNTMAP_CONTAINS_PTE, contains);
            assert_eq!(op.status, GNTST_GENERAL_ERROR);
        }
    }
    let after: Vec<_> = (0..512).map(|i| w.two.entry(table, i)).collect();
    assert_eq!(before[index], after[index]);
    assert_eq!(before, after);
    w.check();
}

#[test]
fn xsa_228_a_record_in_use_is_never_given_out() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, true);
    let mut live: Vec<GrantHandle> = Vec::new();
    for round in 0..300_usize {
        if round % 3 == 2 {
            let handle = live.remove(round * 7 % live.len());
            let op = unmap_op(handle, 0, page.maddr());
            assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, op).status, GNTST_OKAY);
        } else {
            let op = w.two.map_grant(1, 9, DEVICE | RO, 0);
            assert_eq!(op.status, GNTST_OKAY);
            assert!(!live.contains(&op.handle), "{:?} is in use", op.handle);
            live.push(op.handle);
        }
        if live.len() > 90 {
            break;
        }
    }
    w.check();
}

#[test]
fn xsa_230_and_236_the_status_follows_the_pins_after_errors() {
    let mut w = world();
    let (page, at) = (w.one.page(), w.two.page());
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    // Fails after it was pinned.
    for flags in [HOST, HOST | RO, HOST | DEVICE] {
        assert_eq!(w.two.map_grant(1, 9, flags, 0x4000_0000).status, GNTST_GENERAL_ERROR);
        assert_eq!(w.table.in_use(&mut w.one, 9), 0);
        assert!(pins(&w, 9).is_none());
    }
    // The same while it is mapped for reading: that remains.
    let op = w.two.map_grant(1, 9, HOST | RO, at.va);
    assert_eq!(w.two.map_grant(1, 9, HOST, 0x4000_0000).status, GNTST_GENERAL_ERROR);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING);
    w.check();
    // And for writing.
    let second = w.two.map_grant(1, 9, DEVICE, 0);
    assert_eq!(w.two.map_grant(1, 9, HOST, 0x4000_0000).status, GNTST_GENERAL_ERROR);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING | GTF_WRITING);
    w.check();
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert_eq!(w.table.in_use(&mut w.one, 9), GTF_READING | GTF_WRITING, "the writer reads, too");
    let unmap = unmap_op(second.handle, 0, page.maddr());
    assert_eq!(w.two.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, unmap).status, GNTST_OKAY);
    assert_eq!(w.table.in_use(&mut w.one, 9), 0);
    w.check();
}

#[test]
fn xsa_232_flushing_pages_that_are_nobodys() {
    let mut w = world();
    let mut flush = |address: u64| {
        let op = GnttabCacheFlush { a: address, offset: 0, length: 8, op: GNTTAB_CACHE_CLEAN };
        w.two.gnttab(GNTTABOP_CACHE_FLUSH, &mut [op])
    };
    let frames = 4096_u64;
    // The M2P, free memory, the hypervisor's objects.
    for mfn in [0, 1, frames - 1] {
        assert_eq!(flush(mfn << 12), EPERM);
    }
    assert_eq!(flush(frames << 12), EINVAL);
    let tables = w.two.vcpu().state.lock().fpu;
    let op =
        GnttabCacheFlush { a: tables.raw() << 12, offset: 0, length: 8, op: GNTTAB_CACHE_CLEAN };
    assert_eq!(w.two.gnttab(GNTTABOP_CACHE_FLUSH, &mut [op]), EPERM);
    w.check();
}

#[test]
fn xsa_234_an_entry_is_unmapped_as_what_it_was_mapped() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let (a, b) = (w.two.page(), w.two.page());
    let writer = w.two.map_grant(1, 9, HOST, a.va);
    let reader = w.two.map_grant(1, 9, HOST | RO, b.va);
    // The reader's handle at the writer's address would drop a reference of the wrong kind.
    assert_eq!(w.two.unmap_grant(reader.handle, a.va), GNTST_GENERAL_ERROR);
    assert_eq!(w.two.unmap_grant(writer.handle, b.va), GNTST_GENERAL_ERROR);
    w.check();
    // Ones that the guest cleared map nothing.
    assert_eq!(w.two.update_va(a.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    assert_eq!(w.two.unmap_grant(writer.handle, a.va), GNTST_GENERAL_ERROR);
    w.check();
    assert_eq!(w.two.unmap_grant(reader.handle, b.va), GNTST_OKAY);
    assert_eq!(pins(&w, 9).counts(), [1, 0, 0, 0], "the record keeps its pin");
    w.check();
}

#[test]
fn xsa_255_version_1_with_mapped_status_frames_is_refused() {
    let mut w = world();
    let table = w.one.grant_table_v2(1);
    assert_eq!(w.one.set_version(1), (EBUSY, 2));
    w.check();
    let status = table.status[0];
    assert_eq!(w.one.update_va(status.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    assert_eq!(w.one.set_version(1), (0, 1));
    // It stays lent: mapping it now is of no use, and of no harm.
    assert_eq!(w.one.update_va(status.va, status.maddr() | P | RW, 0), 0);
    w.check();
    assert_eq!(w.one.set_version(2), (0, 2));
    assert_eq!(w.one.read::<u64>(status.va), 0, "without what it said before");
    w.check();
}

#[test]
fn xsa_295_an_unstable_entry_is_given_up_on() {
    // Changing the entry takes another CPU; what bounds us is the number of tries, and a version 2
    // entry that is withdrawn between two looks leaves no status behind. Single steps of that are
    // what `shared` does; here the outcome for an entry that never grants.
    let mut w = world();
    let page = w.one.page();
    let table = w.one.grant_table_v2(1);
    let at = w.two.page();
    for flags in [GTF_READONLY, GTF_SUB_PAGE] {
        table.set_v2(&mut w.one, 9, full_page(2, page.mfn, flags));
        assert_eq!(w.two.map_grant(1, 9, HOST, at.va).status, GNTST_GENERAL_ERROR);
        assert_eq!(table.status_of(&mut w.one, 9), 0);
    }
    w.check();
}

#[test]
fn xsa_316_failed_mappings_say_so() {
    let mut w = world();
    let at = w.two.page();
    let mut ops =
        [map_op(1, 8, HOST, at.va), map_op(9, 8, HOST, at.va), map_op(1, 999, HOST, at.va)];
    assert_eq!(w.two.gnttab(GNTTABOP_MAP_GRANT_REF, &mut ops), 0);
    assert!(ops.iter().all(|op| op.status < 0), "{ops:?}");
    w.check();
}

#[test]
fn xsa_318_a_long_copy_goes_on_where_it_stopped() {
    let mut w = world();
    let (page, ours) = (w.one.page(), w.two.page());
    w.table.grant(&mut w.one, 9, 2, page.mfn, true);
    w.one.take_over();
    w.one.write(page.va, &[0xee_u8; 4096][..]);
    let mut ops: Vec<_> = (0..512_u16)
        .map(|i| {
            copy_op(
                End::Grant(1, if i == 64 { 9999 } else { 9 }, i * 8),
                End::Own(ours.mfn, i * 8),
                8,
            )
        })
        .collect();
    assert_eq!(w.two.gnttab(GNTTABOP_COPY, &mut ops), 0);
    for (i, op) in ops.iter().enumerate() {
        assert_eq!(op.status, if i == 64 { GNTST_BAD_GNTREF } else { GNTST_OKAY }, "{i}");
        let expected = if i == 64 { 0 } else { 0xeeee_eeee_eeee_eeee };
        assert_eq!(w.two.read::<u64>(ours.va + 8 * i as u64), expected);
    }
    w.check();
}

#[test]
fn xsa_380_a_large_table_is_released_in_pieces() {
    let mut w = world();
    assert_eq!(w.two.setup_table(DomId::SELF, 64).0, GNTST_OKAY);
    assert!(w.two.continuations > 2);
    let first = hypervisor::grant::release::release_all(&w.sys, w.two.domain());
    assert!(first.is_ok(), "192 frames are one piece");
    w.check();
}

#[test]
fn xsa_382_the_last_status_word_is_there() {
    let mut w = world();
    let page = w.one.page();
    // 64 frames of entries have 16384 entries, the words of which are in 8 frames.
    assert_eq!(w.one.setup_table(DomId::SELF, 64).0, GNTST_OKAY);
    assert_eq!(w.one.set_version(2), (0, 2));
    assert_eq!(w.one.status_frames(DomId::SELF, 8).0, GNTST_OKAY);
    assert_eq!(w.one.status_frames(DomId::SELF, 9).0, GNTST_GENERAL_ERROR);
    let (_, list) = w.one.setup_table(DomId::SELF, 64);
    let last = w.one.map_lent(u64::from(list[63]));
    w.one.write(last.va + 255 * 16, &full_page(2, page.mfn, 0));
    let at = w.two.page();
    let op = w.two.map_grant(1, 64 * 256 - 1, HOST, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    w.check();
    assert_eq!(w.two.map_grant(1, 64 * 256, HOST, at.va).status, GNTST_BAD_GNTREF);
    w.check();
}

#[test]
fn xsa_387_and_486_status_frames_are_not_freed_while_referred_to() {
    let mut w = world();
    let table = w.one.grant_table_v2(1);
    let status = table.status[0];
    let page = w.one.page();
    table.set_v2(&mut w.one, 9, full_page(2, page.mfn, 0));
    // Another domain maps the frame by a grant, the granter unmaps it.
    table.set_v2(&mut w.one, 10, full_page(2, status.mfn, GTF_READONLY));
    let at = w.two.page();
    let op = w.two.map_grant(1, 10, HOST | RO, at.va);
    assert_eq!(op.status, GNTST_OKAY);
    w.one.take_over();
    assert_eq!(w.one.update_va(status.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    assert_eq!(w.one.set_version(1).0, EBUSY);
    assert_eq!(w.two.unmap_grant(op.handle, at.va), GNTST_OKAY);
    assert_eq!(w.one.set_version(1).0, 0);
    w.check();
}

#[test]
fn xsa_394_pins_that_are_left_do_not_lose_the_count() {
    let mut w = world();
    let page = w.one.page();
    w.table.grant(&mut w.one, 9, 2, page.mfn, false);
    let (a, b) = (w.two.page(), w.two.page());
    let first = w.two.map_grant(1, 9, HOST, a.va);
    let _ = w.two.map_grant(1, 9, HOST, b.va);
    assert_eq!(w.two.update_va(a.va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    for _ in 0..3 {
        assert_eq!(w.two.unmap_grant(first.handle, a.va), GNTST_GENERAL_ERROR);
        assert_eq!(w.two.unmap_grant(first.handle, 0), GNTST_OKAY);
    }
    assert_eq!(pins(&w, 9).counts(), [2, 0, 0, 0]);
    w.check();
    // At the other one's address it finds an entry of its kind, once.
    assert_eq!(w.two.unmap_grant(first.handle, b.va), GNTST_OKAY);
    assert_eq!(w.two.unmap_grant(first.handle, b.va), GNTST_BAD_HANDLE);
    assert_eq!(pins(&w, 9).counts(), [1, 0, 0, 0]);
    w.check();
}

#[test]
fn xsa_411_a_failing_inner_grant_leaves_the_outer_usable() {
    let mut w = world();
    let (page, ours) = (w.zero.page(), w.two.page());
    let zeros = w.zero.grant_table_v2(1);
    let ones = w.one.grant_table_v2(1);
    ones.set_v2(&mut w.one, 9, transitive(2, 0, 9, 0));
    for _ in 0..3 {
        let source = End::Grant(1, 9, 0);
        assert_eq!(w.two.grant_copy(source, End::Own(ours.mfn, 0), 8), GNTST_GENERAL_ERROR);
        assert_eq!(ones.status_of(&mut w.one, 9), 0);
        w.check();
    }
    zeros.set_v2(&mut w.zero, 9, full_page(1, page.mfn, 0));
    assert_eq!(w.two.grant_copy(End::Grant(1, 9, 0), End::Own(ours.mfn, 0), 8), GNTST_OKAY);
    // No lock is left behind: version changes take it.
    assert_eq!(w.one.set_version(1).0, EBUSY);
    w.check();
}

#[test]
fn xsa_500_a_pinned_part_stays_what_it_was() {
    let mut w = world();
    let (page, other, ours) = (w.one.page(), w.one.page(), w.two.page());
    let table = w.one.grant_table_v2(1);
    table.set_v2(&mut w.one, 9, sub_page(2, page.mfn, 0, 0, 64));
    // In use by a copy of another vCPU's that is under way.
    let granter = w.one.domain();
    let want = |write| hypervisor::grant::claim::Wanted {
        grantee: DomId::new(2),
        pins: Pins::host(write),
        write,
        map: false,
        transitive: true,
    };
    let held =
        w.sys.pin_grant(granter, GrantRef::new(9), &want(false)).expect("it is granted").held;
    for entry in [
        sub_page(2, page.mfn, 0, 0, 4096),
        sub_page(2, other.mfn, 0, 0, 64),
        full_page(2, page.mfn, 0),
        transitive(2, 0, 9, 0),
    ] {
        table.set_v2(&mut w.one, 9, entry);
        let (grant, own) = (End::Grant(1, 9, 0), End::Own(ours.mfn, 0));
        assert_eq!(w.two.grant_copy(own, grant, 64), GNTST_GENERAL_ERROR, "for writing, anew");
        assert_eq!(w.two.grant_copy(grant, own, 64), GNTST_OKAY, "by what was pinned");
        assert_eq!(w.two.grant_copy(grant, own, 65), GNTST_GENERAL_ERROR);
    }
    w.sys.let_go(page.mfn, held);
    w.sys.unpin_grant(w.one.domain(), GrantRef::new(9), Pins::host(false), false);
    w.check();
}

#[test]
fn xsa_501_versions_do_not_change_under_a_copy() {
    let mut w = world();
    let (page, ours) = (w.one.page(), w.two.page());
    let table = w.one.grant_table_v2(1);
    assert_eq!(w.one.update_va(table.status[0].va, 0, pv_abi::mmu::UVMF_INVLPG), 0);
    // A reserved entry, which may be in use when the version changes.
    table.set_v2(&mut w.one, 3, sub_page(2, page.mfn, 0, 0, 64));
    let want = hypervisor::grant::claim::Wanted {
        grantee: DomId::new(2),
        pins: Pins::host(false),
        write: false,
        map: false,
        transitive: true,
    };
    let held = w.sys.pin_grant(w.one.domain(), GrantRef::new(3), &want).expect("granted").held;
    assert_eq!(w.one.set_version(1), (EAGAIN, 2));
    w.sys.let_go(page.mfn, held);
    w.sys.unpin_grant(w.one.domain(), GrantRef::new(3), Pins::host(false), false);
    assert_eq!(w.one.set_version(1), (0, 1));
    w.check();
    // A whole page may stay in use; the end of the use finds its flags in the other version.
    w.table.grant(&mut w.one, 3, 2, page.mfn, false);
    let held = w.sys.pin_grant(w.one.domain(), GrantRef::new(3), &want).expect("granted").held;
    assert_eq!(w.one.set_version(2), (0, 2));
    w.sys.let_go(page.mfn, held);
    w.sys.unpin_grant(w.one.domain(), GrantRef::new(3), Pins::host(false), false);
    assert_eq!(w.table.get_v2(&mut w.one, 3), full_page(2, page.mfn, 0));
    let word = w.sys.memory.frame(page.mfn).expect("RAM").load();
    assert_eq!((word.kind(), word.type_count()), (Type::Writable, 1));
    assert_eq!(w.two.grant_copy(End::Grant(1, 3, 0), End::Own(ours.mfn, 0), 8), GNTST_OKAY);
    w.check();
}
