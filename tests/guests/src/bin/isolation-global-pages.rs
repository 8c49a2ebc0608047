//! Isolation, point 6: a global mapping does not survive a switch of address spaces.
//!
//! L1 entries may have G (Xen 4.17 `arch/x86/mm.c`, L1_DISALLOW_MASK). Expected: after new_baseptr
//! the address shows what the new tables say, and after a change with a local flush, the change.
#![no_std]
#![no_main]
use pv_abi::mmu::MMUEXT_TLB_FLUSH_LOCAL;
use pv_guests::pages::{self, GLOBAL, KRW, P, Page, map, read32, write32};
use pv_guests::{Outcome, StartInfo, check_eq, expect, guest, must, roots};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    let (one, two) = (Page::take(), Page::take());
    write32(one.va, 1);
    write32(two.va, 2);
    let other = roots::pinned()?;
    let (l2, _) = roots::low_tables(&[one.entry(KRW | GLOBAL), one.entry(KRW | GLOBAL)])?;
    roots::attach_low(roots::builder(), l2)?;
    let (l2, _) = roots::low_tables(&[two.entry(KRW | GLOBAL), 0])?;
    roots::attach_low(other.mfn, l2)?;

    for round in 0..3 {
        check_eq!(read32(0), 1, "page 0 of the first root, round {round}");
        check_eq!(read32(0x1000), 1, "page 1 of the first root");
        roots::switch_to(other.mfn)?;
        check_eq!(read32(0), 2, "page 0 of the second root, round {round}");
        expect::pf("page 1 of the second root", 0x1000, 0, || read32(0x1000));
        roots::switch_to(roots::builder())?;
    }
    check_eq!(read32(0), 1, "page 0");
    must(map(0, two.entry(P | GLOBAL)), "changing a global entry, invlpg")?;
    check_eq!(read32(0), 2, "page 0 after invlpg");
    must(pages::update(pages::machine_of(pages::l1_slot(0x1000)), 0), "clearing a global entry")?;
    must(pages::extended(MMUEXT_TLB_FLUSH_LOCAL, 0, 0), "flushing")?;
    expect::pf("page 1 after the flush", 0x1000, 0, || read32(0x1000));
    Ok(())
}
