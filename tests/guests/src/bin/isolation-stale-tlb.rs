//! A frame that becomes a page table or a descriptor table can no longer be written through a TLB
//! entry of its time as a writable page, though the guest never flushed.
//!
//! Xen 4.17 `arch/x86/mm.c` (_get_page_type: flush on a change of type; XSA-401). Expected: #PF with
//! error code 3 at the store. (Xen emulates stores to L1s for its hardware domain.)
#![no_std]
#![no_main]
use pv_abi::hypercall as nr;
use pv_guests::pages::{KRO, Page, read32, write32};
use pv_guests::{Outcome, StartInfo, check_eq, expect, guest, hypercall, must, roots};
use ring1::calls;

guest!(run);

/// Makes a page read-only without a flush, after a store that filled the TLB.
fn protect_unflushed(page: Page) -> Outcome {
    write32(page.va, 0);
    let entry = page.entry(KRO);
    let result =
        hypercall(nr::UPDATE_VA_MAPPING, &[page.va, entry as u32, (entry >> 32) as u32, 0]);
    must(calls::outcome(result), "protecting a page without a flush").map(|_| ())
}

fn run(_: &'static StartInfo) -> Outcome {
    for round in 0..4 {
        let page = Page::take();
        protect_unflushed(page)?;
        if round % 2 == 0 {
            must(roots::pin_l1(page), "pinning an L1")?;
        } else {
            must(calls::set_gdt(&[page.mfn], 512), "setting the GDT")?;
        }
        expect::pf("a store to the new table", page.va, 3, || write32(page.va, 0x67));
        check_eq!(read32(page.va), 0, "the new table");
    }
    Ok(())
}
