//! Pin and unpin: what can be a table, and that a pinned one stays one.
//!
//! Xen 4.17 `arch/x86/mm.c` (do_mmuext_op, MMUEXT_PIN_*). Expected: a table must be read-only
//! everywhere, its entries valid; pinned twice is an error, unpinned twice, too; after the unpin it
//! is writable again; a failed pin leaves no trace; operations stop at the first failure.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::hypercall::MMUEXT_OP;
use pv_abi::mmu::*;
use pv_guests::call::address_of;
use pv_guests::pages::{self, KRO, KRW, P, PSE, Page, TABLE, extended};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, hypercall, must, roots};
use ring1::calls::{self, mmuext};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    let (table, page) = (Page::take(), Page::take());
    let pin = |level| extended(level, table.mfn, 0);
    check!(pin(MMUEXT_PIN_L1_TABLE).is_err(), "a page that is mapped writable was pinned");
    must(table.set(KRO), "protecting it")?;
    check_eq!(pin(MMUEXT_PIN_L1_TABLE), Ok(1), "pin");
    check_eq!(pin(MMUEXT_PIN_L1_TABLE), Err(Errno::EINVAL), "a second pin");
    check!(pin(MMUEXT_PIN_L2_TABLE).is_err(), "an L1 was pinned as an L2");
    check!(table.set(KRW).is_err(), "a pinned table was mapped writable");
    check_eq!(extended(MMUEXT_UNPIN_TABLE, table.mfn, 0), Ok(1), "unpin");
    check_eq!(extended(MMUEXT_UNPIN_TABLE, table.mfn, 0), Err(Errno::EINVAL), "a second unpin");

    for (name, entry) in [
        ("itself, writable", table.entry(KRW)),
        ("the live root, writable", pages::entry(pages::mfn_of(pages::root()), KRW)),
        ("the hypervisor's frame", pages::entry(0x100, KRW)),
    ] {
        must(table.set(KRW), "a table that is none is writable")?;
        // Entries before the wrong one are given back.
        (0..300).for_each(|index| table.write(index, page.entry(KRW)));
        table.write(300, entry);
        must(table.set(KRO), "protecting it")?;
        check!(pin(MMUEXT_PIN_L1_TABLE).is_err(), "pinned with an entry for {name}");
    }
    must(table.set(KRW), "writable after failed pins")?;
    (0..512).for_each(|index| table.write(index, page.entry(KRW)));
    must(table.set(KRO), "protecting it")?;
    check_eq!(pin(MMUEXT_PIN_L1_TABLE), Ok(1), "pin with 512 entries");
    check!(roots::pin_l1(page).is_err(), "a page that the table maps writable was pinned");
    check_eq!(extended(MMUEXT_UNPIN_TABLE, table.mfn, 0), Ok(1), "unpin");
    must(page.set(KRO), "protecting the mapped page")?;
    check_eq!(roots::pin_l1(page), Ok(1), "the page, mapped by nothing writable, as an L1");
    check_eq!(extended(MMUEXT_UNPIN_TABLE, page.mfn, 0), Ok(1), "unpin");

    // An L2: entries must be L1s, no large pages.
    must(table.set(KRW), "writable again")?;
    (0..512).for_each(|index| table.write(index, 0));
    table.write(1, page.entry(P | PSE));
    must(table.set(KRO), "protecting it")?;
    check!(pin(MMUEXT_PIN_L2_TABLE).is_err(), "an L2 with a large page");
    must(table.set(KRW), "writable again")?;
    table.write(1, page.entry(TABLE));
    table.write(2, page.entry(TABLE));
    must(table.set(KRO), "protecting it")?;
    check_eq!(pin(MMUEXT_PIN_L2_TABLE), Ok(1), "an L2 with an L1 twice");
    check!(page.set(KRW).is_err(), "an L1 in a pinned L2 was mapped writable");
    check_eq!(extended(MMUEXT_PIN_L4_TABLE, page.mfn, 0), Ok(1), "pin L4 does nothing");
    check_eq!(extended(MMUEXT_UNPIN_TABLE, table.mfn, 0), Ok(1), "unpin");
    must(page.set(KRW), "everything is writable again")?;

    // Frames that are not the domain's; operations that are none; stop at the first failure.
    for mfn in [0, 0x100, 0x3f_ffff, u32::MAX] {
        check!(extended(MMUEXT_PIN_L1_TABLE, mfn, 0).is_err(), "frame {mfn:#x} was pinned");
        check!(extended(MMUEXT_UNPIN_TABLE, mfn, 0).is_err(), "frame {mfn:#x} was unpinned");
        check!(extended(MMUEXT_NEW_BASEPTR, mfn, 0).is_err(), "frame {mfn:#x} became the root");
    }
    check!(extended(MMUEXT_NEW_BASEPTR, page.mfn, 0).is_err(), "a page became the root");
    for (cmd, wanted) in [(14, Errno::ENOSYS), (21, Errno::ENOSYS), (999, Errno::ENOSYS)] {
        check_eq!(extended(cmd, 0, 0), Err(wanted), "command {cmd}");
    }
    let flush = mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    let mut list = [flush, flush, mmuext(MMUEXT_UNPIN_TABLE, page.mfn, 0), flush];
    let mut done = 99u32;
    let at = address_of(&mut list);
    let result = hypercall(MMUEXT_OP, &[at, 4, address_of(&mut done), 0x7ff0]);
    check!(calls::outcome(result).is_err() && done == 2, "stopped at {done} with {result}");
    Ok(())
}
