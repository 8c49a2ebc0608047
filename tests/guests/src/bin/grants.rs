//! A grant table of one's own: grants to oneself are mapped, copied and unmapped.
//!
//! `xen/include/public/grant_table.h`; Xen 4.17 `common/grant_table.c`. Expected: the table's frame
//! is told and can be mapped; a grant is mapped at an address and by its entry, for reading and for
//! writing, and marked as in use meanwhile; after unmapping neither address nor TLB leads there; a
//! page is copied; what is not granted has a status below 0.
#![no_std]
#![no_main]
use pv_abi::grant_table::*;
use pv_abi::hypercall::GRANT_TABLE_OP;
use pv_abi::types::{DOMID_SELF, DomId, GrantHandle, GrantRef};
use pv_abi::x86_32::{GnttabCopy, GnttabCopyPtr, GnttabSetupTable};
use pv_guests::call::address_of;
use pv_guests::expect;
use pv_guests::pages::{KRW, Page, entry, map, mfn_of, read32, write32};
use pv_guests::{Outcome, StartInfo, Stop, check, check_eq, guest, hypercall, must};

guest!(run);

/// The reference that is used.
const REF: u32 = 16;
const SELF: DomId = DomId::new(DOMID_SELF);

/// One operation; the call itself must succeed.
fn op<T>(command: u32, argument: &mut T) -> i32 {
    hypercall(GRANT_TABLE_OP, &[command, address_of(argument), 1])
}

fn run(_: &'static StartInfo) -> Outcome {
    let mut frame = 0_u32;
    let mut setup = GnttabSetupTable {
        dom: SELF,
        _pad0: [0; 2],
        nr_frames: 1,
        status: 1,
        _pad1: [0; 2],
        frame_list: address_of(&mut frame),
    };
    check_eq!(op(GNTTABOP_SETUP_TABLE, &mut setup), 0, "setup_table");
    check_eq!(setup.status, GNTST_OKAY, "setup_table's status");
    let table = Page::take();
    must(map(table.va, entry(frame, KRW)), "mapping the table")?;
    let (page, at) = (Page::take(), Page::take());
    write32(page.va, 0x1234_5678);
    write32(table.va + REF * 8 + 4, mfn_of(page.va));
    write32(table.va + REF * 8, u32::from(GTF_PERMIT_ACCESS));

    for (flags, in_use) in [
        (GNTMAP_HOST_MAP, GTF_READING | GTF_WRITING),
        (GNTMAP_HOST_MAP | GNTMAP_READONLY, GTF_READING),
    ] {
        let handle = mapped(flags, at.va.into())?;
        check_eq!(read32(at.va), 0x1234_5678, "the page, {flags:#x}");
        let flags_now = read32(table.va + REF * 8) as u16;
        check_eq!(flags_now, GTF_PERMIT_ACCESS | in_use, "the entry, {flags:#x}");
        if flags & GNTMAP_READONLY == 0 {
            write32(at.va + 4, 99);
            check_eq!(read32(page.va + 4), 99, "what was written");
        } else {
            expect::pf("a store to a read-only grant", at.va, 3, || write32(at.va, 0));
        }
        unmapped(handle, at.va.into())?;
        check_eq!(read32(table.va + REF * 8) as u16, GTF_PERMIT_ACCESS, "not in use");
        expect::pf("a load after unmapping", at.va, 0, || read32(at.va));
    }
    copied(&page)?;
    let mut refused = request(GNTMAP_HOST_MAP, at.va.into());
    refused.r#ref = GrantRef::new(REF + 1);
    check_eq!(op(GNTTABOP_MAP_GRANT_REF, &mut refused), 0, "a reference that grants nothing");
    check!(refused.status < 0, "its status {}", refused.status);
    Ok(())
}

fn request(flags: u32, host_addr: u64) -> GnttabMapGrantRef {
    GnttabMapGrantRef {
        host_addr,
        flags,
        r#ref: GrantRef::new(REF),
        dom: DomId::new(0),
        status: 1,
        handle: GrantHandle::new(0),
        dev_bus_addr: 0,
    }
}

fn mapped(flags: u32, at: u64) -> Result<GrantHandle, Stop> {
    let mut map = request(flags, at);
    check_eq!(op(GNTTABOP_MAP_GRANT_REF, &mut map), 0, "map_grant_ref");
    check_eq!(map.status, GNTST_OKAY, "map_grant_ref's status");
    Ok(map.handle)
}

fn unmapped(handle: GrantHandle, at: u64) -> Outcome {
    let mut unmap =
        GnttabUnmapGrantRef { host_addr: at, dev_bus_addr: 0, handle, status: 1, _pad: [0; 2] };
    check_eq!(op(GNTTABOP_UNMAP_GRANT_REF, &mut unmap), 0, "unmap_grant_ref");
    check_eq!(unmap.status, GNTST_OKAY, "unmap_grant_ref's status");
    Ok(())
}

fn copied(page: &Page) -> Outcome {
    let to = Page::take();
    write32(page.va + 4092, 0xabcd);
    let mut copy = GnttabCopy {
        source: GnttabCopyPtr { u: REF, domid: DomId::new(0), offset: 4, _pad: [] },
        dest: GnttabCopyPtr { u: mfn_of(to.va), domid: SELF, offset: 0, _pad: [] },
        len: 4092,
        flags: GNTCOPY_SOURCE_GREF,
        status: 1,
        _pad: [0; 2],
    };
    check_eq!(op(GNTTABOP_COPY, &mut copy), 0, "copy");
    check_eq!(copy.status, GNTST_OKAY, "copy's status");
    check_eq!(read32(to.va), 99, "its first word");
    check_eq!(read32(to.va + 4088), 0xabcd, "its last");
    check_eq!(read32(to.va + 4092), 0, "what follows");
    Ok(())
}
