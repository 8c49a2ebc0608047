//! A grant table of one's own: grants to oneself are mapped, copied and unmapped.
//!
//! `xen/include/public/grant_table.h`; Xen 4.17 `common/grant_table.c`. Expected: the table's frame
//! is told and can be mapped; a grant is mapped for reading and for writing, and marked as in use
//! meanwhile; after unmapping neither address nor TLB leads there; a page is copied; what is not
//! granted has a status below 0.
#![no_std]
#![no_main]
use pv_abi::grant_table::*;
use pv_abi::types::DomId;
use pv_guests::expect;
use pv_guests::grants::{Table, copy_from, map, mapped, unmapped};
use pv_guests::pages::{Page, read32, write32};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest};

guest!(run);

/// The reference that is used.
const REF: u32 = 16;
/// We.
const ZERO: DomId = DomId::new(0);

fn run(_: &'static StartInfo) -> Outcome {
    let table = Table::set_up()?;
    let (page, at, copy) = (Page::take(), Page::take(), Page::take());
    write32(page.va, 0x1234_5678);
    table.grant(REF, ZERO, page, 0);
    for (flags, in_use) in [
        (GNTMAP_HOST_MAP, GTF_READING | GTF_WRITING),
        (GNTMAP_HOST_MAP | GNTMAP_READONLY, GTF_READING),
    ] {
        let handle = mapped(ZERO, REF, flags, at.va);
        check_eq!(read32(at.va), 0x1234_5678, "the page, {flags:#x}");
        check_eq!(table.flags(REF), GTF_PERMIT_ACCESS | in_use, "the entry, {flags:#x}");
        if flags & GNTMAP_READONLY == 0 {
            write32(at.va + 4, 99);
            check_eq!(read32(page.va + 4), 99, "what was written");
        } else {
            expect::pf("a store to a read-only grant", at.va, 3, || write32(at.va, 0));
        }
        unmapped(handle, at.va);
        check_eq!(table.flags(REF), GTF_PERMIT_ACCESS, "not in use");
        expect::pf("a load after unmapping", at.va, 0, || read32(at.va));
    }
    write32(page.va + 4092, 0xabcd);
    check_eq!(copy_from(ZERO, REF, 4, copy, 4092), GNTST_OKAY, "copy's status");
    check_eq!(read32(copy.va), 99, "its first word");
    check_eq!(read32(copy.va + 4088), 0xabcd, "its last");
    check_eq!(read32(copy.va + 4092), 0, "what follows");
    let refused = map(ZERO, REF + 1, GNTMAP_HOST_MAP, at.va);
    check!(refused.status < 0, "a reference that grants nothing: {}", refused.status);
    Ok(())
}
