//! mmu_update: which entries are refused, with which errno, and how many were done.
//!
//! Xen 4.17 `arch/x86/mm.c` (do_mmu_update, get_page_from_l1e, mod_l1_entry, mod_l2_entry). Expected:
//! each row accepted or refused; updates before the wrong one are done and counted, later ones are not;
//! plain frames take plain writes; the accessed and dirty bits stay with PRESERVE_AD.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::hypercall as nr;
use pv_abi::mmu::*;
use pv_guests::call::address_of;
use pv_guests::pages::{self, GLOBAL, KRO, KRW, P, PSE, Page, TABLE, l1_slot, machine_of, update};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, hypercall, must, roots};
use ring1::calls::{self, Result};

guest!(run);

fn many(updates: &mut [MmuUpdate], domain: u32) -> (Result<u32>, u32) {
    let mut done = 0xffff_ffff_u32;
    let count = updates.len() as u32;
    let at = address_of(updates);
    let result = hypercall(nr::MMU_UPDATE, &[at, count, address_of(&mut done), domain]);
    (calls::outcome(result), done)
}

fn run(_: &'static StartInfo) -> Outcome {
    let (page, other) = (Page::take(), Page::take());
    let slot = machine_of(l1_slot(page.va));
    let table = Page::take().protect()?;
    must(roots::pin_l1(table), "pinning an L1")?;
    let no_frame = 0x3f_ffffu64;

    for (name, value, wanted) in [
        ("its own frame", page.entry(KRW), Ok(1)),
        ("another frame", other.entry(KRW), Ok(1)),
        ("global", page.entry(KRW | GLOBAL), Ok(1)),
        ("software bits", page.entry(KRW | 0xe00), Ok(1)),
        ("nothing", 0, Ok(1)),
        ("absent with an address", 0x1234_5000, Ok(1)),
        ("a table, writable", table.entry(KRW), Err(Errno::EBUSY)),
        ("a table, read-only", table.entry(KRO), Ok(1)),
        (
            "the live L1, writable",
            pages::entry(pages::mfn_of(l1_slot(page.va)), KRW),
            Err(Errno::EBUSY),
        ),
    ] {
        let result = update(slot, value);
        check!(
            result == wanted || (wanted.is_err() && result.is_err()),
            "{name}: {result:?}, expected {wanted:?}"
        );
    }
    check!(update(slot, pages::entry(0x100, KRW)).is_err(), "the hypervisor's frame");
    must(update(slot, page.entry(KRW)), "the page itself again")?;

    // Slots that are no page table's, and bad commands.
    check_eq!(update(other.slot(3), 0x1122_3344_5566_7788), Ok(1), "a plain frame");
    check_eq!(other.read(3), 0x1122_3344_5566_7788, "the plain frame");
    check!(update(no_frame << 12, 0).is_err(), "a table that is no frame");
    check!(update(0x10_0000, 0).is_err(), "a table of the hypervisor's");
    check!(update(slot | 4, page.entry(KRW)).is_err(), "a misaligned entry");
    // L2 entries: no large pages, no reserved bits, an L1 below.
    let (l2, l1) = roots::low_tables(&[page.entry(KRO)])?;
    must(pages::extended(MMUEXT_PIN_L2_TABLE, l2.mfn, 0), "pinning an L2")?;
    check!(update(l2.slot(1), page.entry(TABLE | PSE)).is_err(), "a large page");
    check!(update(l2.slot(1), page.entry(TABLE)).is_err(), "a writable page as an L1");
    check!(
        update(l2.slot(1), pages::entry(pages::mfn_of(pages::root()), TABLE)).is_err(),
        "a root"
    );
    check_eq!(update(l2.slot(1), l1.entry(TABLE)), Ok(1), "an L1 twice");
    check_eq!(update(l2.slot(1), 0), Ok(1), "clearing it");
    check_eq!(update(l2.slot(0), 0), Ok(1), "clearing the first");
    must(l1.set(KRW), "an L1 that is in no table is writable again")?;

    // Batches: done up to the wrong one.
    let good = MmuUpdate { ptr: slot, val: page.entry(KRW) };
    let bad = MmuUpdate { ptr: slot, val: table.entry(KRW) };
    let (result, done) = many(&mut [good, good, bad, good], 0x7ff0);
    check!(result.is_err(), "a batch with a wrong update: {result:?}");
    check_eq!(done, 2, "updates done before the wrong one");
    let (result, done) = many(&mut [good; 128], 0x7ff0);
    check_eq!((result, done), (Ok(0), 128), "a batch of 128");
    check_eq!(many(&mut [], 0x7ff0).0, Ok(0), "no updates");
    check_eq!(many(&mut [good], 0x0123).0, Err(Errno::ESRCH), "a domain that does not exist");

    // PRESERVE_AD keeps what the CPU has set.
    must(update(slot, page.entry(P | 2)), "clear A and D")?;
    pages::write32(page.va, 1);
    must(update(slot | u64::from(MMU_PT_UPDATE_PRESERVE_AD), page.entry(P | 2)), "preserve")?;
    check_eq!(pages::read64(l1_slot(page.va)) & 0x60, 0x60, "A and D with PRESERVE_AD");
    must(update(slot, page.entry(P | 2)), "clear A and D")?;
    check_eq!(pages::read64(l1_slot(page.va)) & 0x40, 0, "D without");
    Ok(())
}
