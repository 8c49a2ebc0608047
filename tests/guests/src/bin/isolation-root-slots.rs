//! Isolation, point 1: a root's entries 4 to 511 are zeroed when it is validated, and slots 3 and up
//! of a validated root cannot be changed.
//!
//! The CPU walks four levels and would see all 512 entries (Xen 4.17 `arch/x86/mm.c`,
//! `promote_l3_table`, `mod_l3_entry`). Expected: zeros after the pin, -EINVAL for updates, and no
//! pin without a table in slot 3 or with one that is pinned or shared.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::mmu::{MMUEXT_PIN_L2_TABLE, MMUEXT_PIN_L3_TABLE, MMUEXT_UNPIN_TABLE};
use pv_guests::pages::{self, P, Page, TABLE};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, must, roots};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    let victim = Page::take();
    let (root, top) = roots::unpinned()?;
    must(root.set(pages::KRW), "making a page writable again")?;
    for index in 4..512 {
        root.write(index, victim.entry(TABLE));
    }
    root.protect()?;
    must(pages::extended(MMUEXT_PIN_L3_TABLE, root.mfn, 0), "pinning the root")?;
    for index in 4..512 {
        check_eq!(root.read(index), 0, "entry {index} after the pin");
    }
    for slot in [3, 4, 5, 255, 511] {
        let result = pages::update(root.slot(slot), 0);
        check_eq!(result, Err(Errno::EINVAL), "clearing slot {slot}");
        let result = pages::update(root.slot(slot), victim.entry(P));
        check_eq!(result, Err(Errno::EINVAL), "filling slot {slot}");
    }
    roots::switch_to(root.mfn)?;
    check_eq!(pages::update(root.slot(3), 0), Err(Errno::EINVAL), "slot 3 of the live root");
    roots::switch_to(roots::builder())?;

    // The table in slot 3 is its root's alone.
    check!(pages::extended(MMUEXT_PIN_L2_TABLE, top.mfn, 0).is_err(), "slot 3's table was pinned");
    let (other, _) = roots::unpinned()?;
    must(other.set(pages::KRW), "making a page writable again")?;
    other.write(3, top.entry(P));
    other.protect()?;
    let shared = pages::extended(MMUEXT_PIN_L3_TABLE, other.mfn, 0);
    check!(shared.is_err(), "two roots share the table of slot 3");
    must(other.set(pages::KRW), "a refused root is writable again")?;
    other.write(3, 0);
    other.protect()?;
    let without = pages::extended(MMUEXT_PIN_L3_TABLE, other.mfn, 0);
    check!(without.is_err(), "a root without slot 3 was pinned");

    must(pages::extended(MMUEXT_UNPIN_TABLE, root.mfn, 0), "unpinning the root")?;
    must(root.set(pages::KRW), "the unpinned root is writable again")
}
